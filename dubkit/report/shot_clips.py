"""Small videos for the page: the face as it was and as it speaks now, side by side, with the sound of the dub.

Both are in one picture, so that they cannot drift apart. H.264 and AAC in MP4; equal input gives equal bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dubkit.config.schema import Config
from dubkit.engines.registry import load_engine
from dubkit.errors import DubkitError
from dubkit.faces.align import Matrix, canonical_from_face
from dubkit.faces.tracklet import locate
from dubkit.media.audio import load_span
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.pictures import Picture, to_frame
from dubkit.media.planes import rgb_crop
from dubkit.media.probe import probe
from dubkit.records import FaceState, FaceTrack, Floats, Shot, VideoInfo
from dubkit.report.data import openings
from dubkit.stages.probe import load_film

SIDE = 288  # pixels of each of the two pictures
ROOM = 2.1  # side of what is shown, over the face's height
LONGEST = 20.0  # seconds; what is longer is cut there, and the page says so
SOUND_RATE, SOUND_BITS = 32000, 56000
_VIDEO: dict[str, str] = {"crf": "27", "preset": "veryfast", "bf": "0", "g": "50"}
_MILLISECONDS = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class ClipTask:
    """A shot of which a video is made. Pickles."""

    shot: Shot
    track: FaceTrack
    video: Path
    segment: Path
    dub: Path
    probe: Path
    config: Config


@dataclass(frozen=True, slots=True)
class Clip:
    """A video, and what the dubbed mouth does in it."""

    video: bytes  # MP4
    frames: int  # fewer than the shot's where it was cut
    dubbed: list[int | None]  # `facts.openings` of the rendered picture


def make_clip(task: ClipTask) -> Clip | str:
    """Render one video; where original or segment cannot be read any more, why."""
    cv2.setNumThreads(1)
    try:
        return _make(task)
    except DubkitError as error:
        return error.message


def _make(task: ClipTask) -> Clip:
    info, pts = load_film(task.probe)
    shot = task.shot
    times = (pts - pts[0]) * float(info.time_base)
    began = float(times[shot.start])
    count = int(np.searchsorted(times[shot.start : shot.end] - began, LONGEST))
    ends = float(times[shot.start + count]) if shot.start + count < len(times) else None
    until = ends if ends is not None else float(times[-1]) + 1 / float(info.average_rate)
    way = crop_way(task.track, info)
    landmarks = np.full_like(task.track.landmarks, np.nan)
    sound = load_span(task.dub, began, until, SOUND_RATE)
    clock = np.rint(1000 * (times[shot.start : shot.start + count] - began)).astype(int)
    writer = _Writer(float(info.average_rate), sound)
    landmarker = load_engine("landmarker", task.config.faces.landmarker, task.config.faces, "cpu")
    for row, (real, made) in enumerate(_pairs(task, info, pts, count)):
        both = np.hstack([rgb_crop(real, way, SIDE), rgb_crop(made, way, SIDE)])
        writer.write(both, int(clock[row]))
        at = shot.start + row - task.track.start
        if 0 <= at < len(task.track) and task.track.state[at] != FaceState.ABSENT:
            landmarks[at] = _mouth(made, landmarker, task.track.landmarks[at])
    spoken = replace(task.track, landmarks=landmarks)
    return Clip(writer.close(), count, openings(spoken, shot))


def crop_way(track: FaceTrack, info: VideoInfo) -> Matrix:
    """``crop_from_display`` of a square that holds the face over the whole shot, standing still."""
    boxes = track.boxes[np.isfinite(track.boxes[:, 0])]
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    tall = float(np.median(boxes[:, 3] - boxes[:, 1]))
    width, height = info.display_size
    side = min(max(ROOM * tall, float((high - low).max()) * 1.1), float(min(width, height)))
    center = (low + high) / 2
    corner = np.clip(center - side / 2, 0, np.maximum((width - side, height - side), 0))
    scale = SIDE / side
    shift = -scale * (corner - 0.5) - 0.5
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)


def _pairs(
    task: ClipTask, info: VideoInfo, pts: NDArray[np.int64], count: int
) -> Iterator[tuple[Frame, Frame]]:
    """The first frames of the shot, original and rendered."""
    start = task.shot.start
    real = FrameReader(task.video, info, pts, threads=1).read(start, start + count)
    there, times = probe(task.segment)
    made = FrameReader(task.segment, _like(there, info), times, threads=1).read(0, count)
    yield from zip(real, made, strict=True)


def _like(segment: VideoInfo, film: VideoInfo) -> VideoInfo:
    """A segment knows nothing of turned pictures and of pixels that are not square."""
    return replace(segment, rotation=film.rotation, pixel_aspect=film.pixel_aspect)


class _View:
    """A rendered frame as the landmarker sees it."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def detect(self) -> list[Any]:
        return []

    def crop(self, crop_from_display: Matrix, size: int) -> Picture:
        return rgb_crop(self.frame, crop_from_display, size)


def _mouth(frame: Frame, landmarker: Any, where: Floats) -> Floats:
    found = locate(_View(frame), landmarker, [canonical_from_face(where)])
    return found[0].landmarks


class _Writer:
    """Pictures and sound into an MP4 in memory."""

    def __init__(self, rate: float, sound: Floats | None) -> None:
        self._file = io.BytesIO()
        self._container = av.open(
            self._file, "w", format="mp4", container_options={"fflags": "+bitexact"}
        )
        stream = self._container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 2 * SIDE, SIDE, "yuv420p"
        stream.codec_context.time_base = stream.time_base = _MILLISECONDS
        stream.codec_context.thread_count = 1
        stream.options = dict(_VIDEO)
        self._stream = stream
        self._sound = sound
        self._voice: AudioStream | None = None
        if sound is not None:
            voice = self._container.add_stream("aac", rate=SOUND_RATE)
            assert isinstance(voice, AudioStream)
            voice.layout = "mono"
            voice.bit_rate = SOUND_BITS
            self._voice = voice

    def write(self, picture: Picture, at: int) -> None:
        """Add a picture, shown from ``at`` milliseconds."""
        self._container.mux(self._stream.encode(to_frame(picture, at, _MILLISECONDS)))

    def close(self) -> bytes:
        """The finished file."""
        self._container.mux(self._stream.encode(None))
        if self._voice is not None and self._sound is not None:
            block = AudioFrame.from_ndarray(
                np.clip(self._sound, -1, 1)[None].astype(np.float32), format="fltp", layout="mono"
            )
            block.sample_rate = SOUND_RATE
            block.pts = 0
            block.time_base = Fraction(1, SOUND_RATE)
            self._container.mux(self._voice.encode(block))
            self._container.mux(self._voice.encode(None))
        self._container.close()
        return self._file.getvalue()
