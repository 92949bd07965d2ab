"""Small videos for the page, original at the left and dubbed at the right in one picture, so that they cannot part.

Their sound has the original in the left channel and the dub in the right one. The whole film is made by ffmpeg as
large as its share of the room allows; faces of shots are cut from the film's own pixels.
"""

from __future__ import annotations

import io
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from dubkit.errors import DubkitError
from dubkit.faces import align
from dubkit.media import audio, concat, mux, pictures, planes, process
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.probe import probe
from dubkit.metrics.lips import opening
from dubkit.metrics.shot_meter import load_seen
from dubkit.records import AT_START, FaceState, Placement
from dubkit.stages.probe import load_film
from dubkit.work.store import digest_value, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dubkit.records import FaceTrack, Floats, Integers, Picture, Shot, VideoInfo

HEIGHTS = (360, 288, 216, 180, 144)  # of each of the two pictures of the whole film
_DENSITY = 0.035  # bits for a pixel from which a picture can be judged
_SOUND_BITS = 64000  # both channels
_LEAST_BITS = 120_000  # a second of film, under which neither picture nor speech is of use
_SHARE = 0.9  # of what it may take: the container needs some


@dataclass(frozen=True, slots=True)
class FilmTask:
    """A film and what was made of it."""

    film: Path
    dubbed: Path
    info: VideoInfo
    first: int  # time stamp of the film's first picture
    limit: float  # bytes


def room_for_film(seconds: float) -> float:
    """Bytes that the video of a film needs at the least."""
    return seconds * _LEAST_BITS / 8 / _SHARE


def film_size(info: VideoInfo, limit: float) -> tuple[int, int, int] | None:
    """Width and height of each picture and bits a second of a film in ``limit`` bytes; None where they do not do."""
    seconds, rate = max(info.duration, 0.1), float(info.average_rate / info.lines)
    bits = limit * _SHARE * 8 / seconds - _SOUND_BITS
    if limit < room_for_film(seconds):
        return None
    width, height = info.display_size
    sizes = [
        (2 * round(width * h / height / 2), h) for h in HEIGHTS if h <= max(height, HEIGHTS[-1])
    ]
    dense = [size for size in sizes if bits >= _DENSITY * 2 * size[0] * size[1] * rate]
    wide, high = (dense or sizes[-1:])[0]
    return max(2, wide), high, round(bits)


def make_film(task: FilmTask, out: Path, progress: Path) -> dict[str, Any] | None:
    """Write the video of a whole film as MP4; what the page has to know of it. None where there is too little room.

    `frames_made` reads from the file ``progress`` how far it is. Raises ToolError where one of the films cannot be
    read.
    """
    size = film_size(task.info, task.limit)
    if size is None:
        return None
    wide, high, bits = size
    made, times = probe(task.dubbed)
    sources = ((task.film, task.info, task.first), (task.dubbed, made, int(times[0])))
    sounds = [info.has_audio for _, info, _ in sources]
    seconds = max(info.duration for _, info, _ in sources)
    parts = [_film_side(number, task.info, (wide, high)) for number in (0, 1)]
    parts.append("[v0][v1]hstack=inputs=2,format=yuv420p[v]")
    for number, (path, info, first) in enumerate(sources):
        if sounds[number]:
            late = concat.film_offset(path, first, info)
            parts.append(
                f"[{number}:a:0]asetpts=PTS-{late:.6f}/TB,aresample={SOUND_RATE}:async=1:first_pts=0,"
                f"aformat=channel_layouts=mono,apad=whole_dur={seconds:.3f},atrim=0:{seconds:.3f}[a{number}]"
            )
    if all(sounds):
        parts.append("[a0][a1]join=inputs=2:channel_layout=stereo[a]")
    elif any(sounds):
        parts.append(f"[a{sounds.index(True)}]pan=stereo|c0=c0|c1=c0[a]")
    most = min(bits, round(0.25 * 2 * wide * high * float(task.info.average_rate)))
    argv = [str(process.find_program("ffmpeg")), "-nostdin", "-v", "error", "-y"]
    argv += ["-progress", f"file:{progress}"]
    argv += [word for path, _, _ in sources for word in mux.read_from(path)]
    argv += ["-filter_complex", ";".join(parts), "-map", "[v]", "-fps_mode", "passthrough"]
    argv += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "22", "-bf", "0", "-g", "25"]
    argv += ["-maxrate", str(most), "-bufsize", str(2 * most)]
    if any(sounds):
        argv += ["-map", "[a]", "-c:a", "aac", "-aac_ms", "0", "-b:a", str(_SOUND_BITS)]
    process.run(
        [*argv, "-fflags", "+bitexact", "-movflags", "+faststart", "-f", "mp4", f"file:{out}"]
    )
    return {"width": wide, "height": high, "sounds": {"original": sounds[0], "dub": sounds[1]}}


def frames_made(progress: Path) -> int:
    """How many frames of the whole film's video are done."""
    try:
        found = re.findall(rb"^frame=(\d+)", progress.read_bytes(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[-1]) if found else 0


def _film_side(number: int, info: VideoInfo, size: tuple[int, int]) -> str:
    """One of the two films on the clock of the first: pictures by their number where the rate is constant."""
    rate = info.rate / info.lines if info.rate else None
    clock = f"N*{rate.denominator}/({rate.numerator}*TB)" if rate else "PTS-STARTPTS"
    woven = "bwdif=mode=send_frame," if info.lines > 1 else ""
    ticks = f"1/{90000 if rate else 1000}"
    scaled = f"scale={size[0]}:{size[1]}:flags=area,setsar=1"
    return f"[{number}:v:0]{woven}settb={ticks},setpts={clock},{scaled}[v{number}]"


THOUSAND = 1000  # openings are told in thousandths of the face's width


def openings(track: FaceTrack, shot: Shot) -> list[int | None]:
    """Opening of the mouth in every frame of the shot, thousandths of the face's width; None: no face."""
    series: list[int | None] = [None] * shot.frames
    seen = track.state != FaceState.ABSENT
    for row, value in enumerate(opening(track.landmarks)):
        if seen[row] and np.isfinite(value):
            series[track.start - shot.start + row] = round(float(value) * THOUSAND)
    return series


SIDE = 288  # pixels of each of the two pictures
ROOM = 2.1  # side of what is shown, over the face's height
LONGEST = 20.0  # seconds; what is longer is cut there, and the page says so
SOUND_RATE, SOUND_BITS = 32000, 72000
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
    placement: Placement = AT_START


@dataclass(frozen=True, slots=True)
class Clip:
    """A video, and what the dubbed mouth does in it."""

    video: bytes  # MP4
    frames: int  # fewer than the shot's where it was cut
    dubbed: list[int | None]  # `openings` of the rendered picture


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
    sound = _both_sounds(task, float(pts[0] * info.time_base), (began, until))
    clock = np.rint(1000 * (times[shot.start : shot.start + count] - began)).astype(int)
    writer = _Writer(float(info.average_rate), sound)
    for row, (real, made) in enumerate(_pairs(task, info, pts, count)):
        both = np.hstack([planes.rgb_crop(real, way, SIDE), planes.rgb_crop(made, way, SIDE)])
        writer.write(both, int(clock[row]))
    return Clip(writer.close(), count, _dubbed_openings(task))


_FADING = 4  # frames beside those that show a new mouth wholly, in which it may come or go


def _dubbed_openings(task: ClipTask) -> list[int | None]:
    """`openings` of the rendered picture: as the gate measured them, and the film's own where no mouth is new.

    None where a new mouth comes or goes.
    """
    track, shot = task.track, task.shot
    series = openings(track, shot)
    lips = (face.lips for face in load_seen(task.segment.parent) if face.track == track.track)
    if (found := next(lips, None)) is None:
        return series
    near = np.convolve(found.painted, np.ones(2 * _FADING + 1), "same") > 0
    for row, value in enumerate(found.opening()):
        at = track.start - shot.start + row
        if np.isfinite(value):
            series[at] = round(float(value) * THOUSAND)
        elif near[row]:
            series[at] = None
    return series


def _both_sounds(task: ClipTask, first: float, span: tuple[float, float]) -> Floats | None:
    """(2, N) samples of the film's own sound and of the dub, in seconds of the film; None where there is neither.

    ``first`` is when the film's first picture is shown, on the file's clock.
    """
    began, until = span
    place = task.placement
    own = audio.load_span(task.video, first + began, first + until, SOUND_RATE)
    dub = audio.load_span(task.dub, place.dub_time(began), place.dub_time(until), SOUND_RATE)
    if dub is not None and place.stretch != 1:
        at = np.arange(round((until - began) * SOUND_RATE)) / place.stretch
        dub = np.interp(at, np.arange(len(dub)), dub).astype(np.float32)
    there = [sound for sound in (own, dub) if sound is not None]
    if not there:
        return None
    rows = [sound if sound is not None else there[0] for sound in (own, dub)]
    length = min(map(len, rows))
    return np.stack([row[:length] for row in rows])


WAVE_RATE = 50  # bars a second
_WAVE_SOUND = 8000  # samples a second are enough for them


def waves(
    film: Path, info: VideoInfo, first: int, dub: Path, placement: Placement
) -> dict[str, bytes]:
    """The `wave` of a film's own sound and of its dub, where they have one; ``first`` is its first time stamp."""
    found = {"dub": wave(dub, placement, info.duration)}
    if info.has_audio:
        own = Placement(-concat.film_offset(film, first, info))
        found["original"] = wave(film, own, info.duration)
    return {name: bars for name, bars in found.items() if bars}


def wave(path: Path, place: Placement, seconds: float) -> bytes | None:
    """How loud a file is over the film: `WAVE_RATE` bars a second of 0..255, the root of the highest sample.

    ``place`` is where the file lies on the film. None where it has no sound that can be read.
    """
    bars = np.zeros(max(1, round(seconds * WAVE_RATE)), np.float32)
    done = 0
    try:
        for block in audio.stream_samples(path, _WAVE_SOUND):
            at = place.start + place.stretch * (done + np.arange(len(block))) / _WAVE_SOUND
            bar = np.floor(at * WAVE_RATE).astype(np.int64)
            inside = (bar >= 0) & (bar < len(bars))
            np.maximum.at(bars, bar[inside], np.abs(block[inside]))
            done += len(block)
    except DubkitError:
        return None
    return np.rint(255 * np.sqrt(bars)).astype(np.uint8).tobytes() if done else None


def face_square(track: FaceTrack, info: VideoInfo) -> tuple[float, float, float]:
    """Left, top and side, in display pixels, of a square that holds the face over the whole shot, standing still."""
    boxes = track.boxes[np.isfinite(track.boxes[:, 0])]
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    tall = float(np.median(boxes[:, 3] - boxes[:, 1]))
    width, height = info.display_size
    side = min(max(ROOM * tall, float((high - low).max()) * 1.1), float(min(width, height)))
    center = (low + high) / 2
    corner = np.clip(center - side / 2, 0, np.maximum((width - side, height - side), 0))
    return float(corner[0]), float(corner[1]), side


def crop_way(track: FaceTrack, info: VideoInfo) -> align.Matrix:
    """``crop_from_display`` of `face_square`."""
    left, top, side = face_square(track, info)
    scale = SIDE / side
    shift = [-scale * (low - 0.5) - 0.5 for low in (left, top)]
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)


def _pairs(
    task: ClipTask, info: VideoInfo, pts: Integers, count: int
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
        self._scaler = VideoReformatter()
        self._sound = sound
        self._voice: AudioStream | None = None
        if sound is not None:
            voice = self._container.add_stream("aac", rate=SOUND_RATE)
            assert isinstance(voice, AudioStream)
            voice.layout = "stereo"
            voice.bit_rate = SOUND_BITS
            voice.options = {
                "aac_ms": "0"
            }  # the channels are two films' sounds: neither hears the other
            self._voice = voice

    def write(self, picture: Picture, at: int) -> None:
        """Add a picture, shown from ``at`` milliseconds."""
        frame = pictures.to_frame(picture, at, _MILLISECONDS, self._scaler)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> bytes:
        """The finished file."""
        self._container.mux(self._stream.encode(None))
        if self._voice is not None and self._sound is not None:
            block = AudioFrame.from_ndarray(
                np.clip(self._sound, -1, 1).astype(np.float32), format="fltp", layout="stereo"
            )
            block.sample_rate = SOUND_RATE
            block.pts = 0
            block.time_base = Fraction(1, SOUND_RATE)
            self._container.mux(self._voice.encode(block))
            self._container.mux(self._voice.encode(None))
        self._container.close()
        return self._file.getvalue()


def name_of(what: str, parts: list[Any]) -> str:
    """What a video is kept as: ``what`` it shows, and the digest of the ``parts`` that it is made of."""
    return f"{what}-{digest_value(parts)[:16]}"


class Kept:
    """Videos that were made for an earlier page of a job, in a folder; nothing depends on them.

    What cannot be written is made again. A name says all that a video was made of.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()

    def film(self, name: str) -> tuple[Path, dict[str, Any]] | None:
        """A film's video and what the page has to know of it."""
        facts = self._facts(name)
        return (self._folder / f"{name}.mp4", facts) if facts else None

    def clip(self, name: str) -> Clip | None:
        """The video of a shot."""
        facts = self._facts(name)
        try:
            video = (self._folder / f"{name}.mp4").read_bytes() if facts else b""
            return Clip(video, facts["frames"], facts["dubbed"]) if facts and video else None
        except (OSError, KeyError):
            return None

    def keep(self, name: str, video: bytes | Path, facts: dict[str, Any]) -> None:
        """Keep a video; facts, which come last, say that it is whole."""
        self._used.add(name)
        with suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            target = self._folder / f"{name}.mp4"
            if isinstance(video, Path):
                shutil.copyfile(video, target)
            else:
                target.write_bytes(video)
            write_record(self._folder / f"{name}.json", facts, dict[str, Any])

    def _facts(self, name: str) -> dict[str, Any] | None:
        try:
            facts = read_record(self._folder / f"{name}.json", dict[str, Any])
        except DubkitError:
            return None
        whole = (self._folder / f"{name}.mp4").is_file()
        self._used |= {name} if whole else set()
        return facts if whole else None

    def forget_others(self) -> None:
        """Delete what the last page did not use."""
        for path in self._folder.glob("*") if self._folder.is_dir() else ():
            if path.stem not in self._used:
                with suppress(OSError):
                    path.unlink()
