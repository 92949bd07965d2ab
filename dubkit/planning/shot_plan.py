"""One shot of a film before it is dubbed: who is seen, what is said, what may go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import Config
from dubkit.faces.align import canonical_from_face, compose, crop_from_canonical, scale_of
from dubkit.faces.selection import TrackChoice
from dubkit.faces.track_store import load_choice, load_tracks
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.planes import rgb_crop
from dubkit.metrics.lips import LABIALS, MARKS
from dubkit.planning.risk import Level, Reason, Seen, judge, main_face
from dubkit.records import FaceTrack, Floats, PhonemeRun, Shot, VideoInfo
from dubkit.speech.timing import SILENCE, load_timing
from dubkit.stages.probe import load_film
from dubkit.training.quality import sharpness

_CROP = 128  # pixels of the canonical crop whose focus is judged
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is said in a shot."""

    seconds: float
    phonemes: int
    closures: int  # P B M
    bar: tuple[bool, ...]  # of even parts of the shot: whether somebody speaks


@dataclass(frozen=True, slots=True)
class Face:
    """The face that is dubbed, or the largest where none is."""

    width: float  # pixels, in the median
    share: float  # of the picture's width
    yaw: float  # degrees, in the median
    pitch: float
    confidence: float  # of the landmarks, in the median
    to_dub: int  # frames


@dataclass(frozen=True, slots=True)
class ShotPlan:
    """A shot before it is dubbed."""

    shot: str
    start: float  # seconds
    end: float
    frames: int
    faces: int
    dubbed: int  # faces
    who: str  # which face speaks and why, in words
    face: Face | None
    speech: Spoken
    focus: float | None
    risk: Level
    reasons: tuple[Reason, ...]
    to_paint: int  # frames that get a new mouth
    thumbnail: bytes | None = None  # JPEG
    box: Box | None = None  # of the face in the thumbnail, parts of its width and height


@dataclass(frozen=True, slots=True)
class LookTask:
    """A shot to be looked at. Pickles."""

    shot: Shot
    video: Path
    config: Config
    probe: Path
    faces: Path | None  # None where that is not done yet
    timing: Path | None
    thumbnail: int = 0  # pixels of its long side; 0: none is wanted


def look(task: LookTask) -> ShotPlan:
    """Read the analysis of one shot, and one of its frames."""
    cv2.setNumThreads(1)
    info, pts = load_film(task.probe)
    shot = task.shot
    tracks = load_tracks(task.faces) if task.faces else []
    choices = load_choice(task.faces) if task.faces else []
    runs = load_timing(task.timing).runs if task.timing else ()
    start, end = _seconds(shot, info, pts)
    spoken = _spoken(runs, shot, (end - start) / shot.frames)
    bare = Seen(tracks, choices, end - start, spoken.phonemes > 0, None)
    main = main_face(bare)
    focus, thumbnail, box = _picture(task, info, pts, main)
    seen = Seen(tracks, choices, end - start, spoken.phonemes > 0, focus)
    risk, reasons = judge(seen, task.config.faces)
    painted = np.zeros(shot.frames, np.bool_)
    for choice in choices:
        if choice.dubbed:
            painted[choice.start - shot.start : choice.end - shot.start] |= choice.usable
    return ShotPlan(
        shot=shot.name,
        start=round(start, 3),
        end=round(end, 3),
        frames=shot.frames,
        faces=len(tracks),
        dubbed=sum(choice.dubbed for choice in choices),
        who=_who(choices),
        face=_face(main, info) if main else None,
        speech=spoken,
        focus=None if focus is None else round(focus, 2),
        risk=risk,
        reasons=reasons,
        to_paint=int(painted.sum()),
        thumbnail=thumbnail,
        box=box,
    )


def _seconds(shot: Shot, info: VideoInfo, pts: NDArray[np.int64]) -> tuple[float, float]:
    times = (pts - pts[0]) * float(info.time_base)
    last = float(times[-1]) + 1 / float(info.average_rate)
    return float(times[shot.start]), float(times[shot.end]) if shot.end < len(times) else last


_PARTS = 120  # of the bar of speech


def _spoken(runs: Sequence[PhonemeRun], shot: Shot, step: float) -> Spoken:
    speaking = np.zeros(shot.frames, np.bool_)
    phonemes = closures = 0
    for run in runs:
        if run.symbol != SILENCE:
            speaking[run.start - shot.start : run.end - shot.start] = True
            phonemes += 1
            closures += run.symbol.rstrip(MARKS) in LABIALS
    parts = min(_PARTS, shot.frames)
    at = np.linspace(0, shot.frames - 1, parts).round().astype(int)
    bar = tuple(bool(v) for v in speaking[at])
    return Spoken(round(float(speaking.sum()) * step, 3), phonemes, closures, bar)


def _who(choices: Sequence[TrackChoice]) -> str:
    told = [f"face {c.track}: {c.reason}" for c in choices if c.dubbed]
    return "; ".join(told) or ("nobody" if not choices else "no face can be dubbed")


def _face(main: tuple[FaceTrack, TrackChoice], info: VideoInfo) -> Face:
    track, choice = main
    yaw, pitch = (float(np.nanmedian(track.pose[:, axis])) for axis in (0, 1))
    return Face(
        width=choice.width,
        share=round(choice.width / info.display_size[0], 3),
        yaw=round(yaw, 1),
        pitch=round(pitch, 1),
        confidence=round(float(np.median(track.scores)), 2),
        to_dub=int(choice.usable.sum()) if choice.dubbed else 0,
    )


def _picture(
    task: LookTask,
    info: VideoInfo,
    pts: NDArray[np.int64],
    main: tuple[FaceTrack, TrackChoice] | None,
) -> tuple[float | None, bytes | None, Box | None]:
    """Focus of the main face, a thumbnail and the face's box in it, all of one frame."""
    index, row = _frame_to_show(task.shot, main)
    if row is None and not task.thumbnail:
        return None, None, None
    reader = FrameReader(task.video, info, pts, threads=1)
    frame = next(iter(reader.read(index, index + 1)))
    focus = None if main is None or row is None else _focus(frame, main[0].landmarks[row])
    if not task.thumbnail:
        return focus, None, None
    box = None
    if main is not None and row is not None:
        width, height = info.display_size
        x0, y0, x1, y1 = (float(v) for v in main[0].boxes[row])
        box = (x0 / width, y0 / height, x1 / width, y1 / height)
    return focus, jpeg(frame.picture(task.thumbnail)), box


def _frame_to_show(
    shot: Shot, main: tuple[FaceTrack, TrackChoice] | None
) -> tuple[int, int | None]:
    """A frame from the middle of what is dubbed (of the shot, where there is no face) and its row in the track."""
    if main is None:
        return (shot.start + shot.end) // 2, None
    track, choice = main
    rows = np.flatnonzero(choice.usable)
    rows = rows if len(rows) else np.flatnonzero(np.isfinite(track.boxes[:, 0]))
    if not len(rows):
        return (shot.start + shot.end) // 2, None
    row = int(rows[len(rows) // 2])
    return track.start + row, row


def _focus(frame: Frame, landmarks: Floats) -> float:
    matrix = compose(crop_from_canonical(_CROP), canonical_from_face(landmarks))
    return sharpness(rgb_crop(frame, matrix, _CROP), 1 / scale_of(matrix))


def jpeg(picture: NDArray[np.uint8], quality: int = 72) -> bytes:
    """(H, W, 3) RGB -> a JPEG file."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(coded)
