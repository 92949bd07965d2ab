"""The measures of one shot: its face's lips against phonemes and other lips, its pictures against the real ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.faces.align import apply
from dubkit.faces.track_store import load_choice, load_tracks
from dubkit.lips.articulation import Articulator
from dubkit.lips.mouth_shape import gap_effect
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.planes import plane_from_display
from dubkit.metrics import lips
from dubkit.metrics.lips import Series, Tally
from dubkit.metrics.picture import Luma, PictureSums, lower_face, psnr, squared_error
from dubkit.metrics.syncnet import sync_of_face
from dubkit.records import SILENCE, FaceState, FaceTrack, Shot, TimedPhoneme, Timing
from dubkit.speech.timing import load_timing
from dubkit.stages.probe import load_film

REACH = 0.35  # face widths around the lower face that a dub may change
LEAST = 40  # frames in which an offset from the sound can be told
SOUND_REACH = 0.4  # seconds of offset from the sound looked for
AGREE = 0.4  # correlation with what the sound asks for under which no offset is told
SAME = 0.4  # overlap of boxes that makes two tracks the same face


@dataclass(frozen=True, slots=True)
class Side:
    """A film that was analyzed: where its stages' folders are. Pickles."""

    video: Path
    probe: Path
    faces: Path  # folder of the shot
    timing: Path | None = None


@dataclass(frozen=True, slots=True)
class ShotTask:
    """One shot to be measured."""

    shot: Shot
    made: Side
    real: Side | None
    same_sound: bool  # whether both speak the same words, so that lips can be compared
    sound: Path | None = None  # what the face should speak, from `sync_crops.write_sound`
    syncnet: Path | None = None  # SyncNet's weights


@dataclass(frozen=True, slots=True)
class ShotMeasures:
    """What was measured of a shot; rows that could not be are missing."""

    shot: str
    start: float  # seconds
    end: float
    frames: int
    faces: int
    rows: dict[str, float] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    vowels: tuple[float, ...] = ()
    closures: tuple[float, ...] = ()
    apart: float | None = (
        None  # of both films' eyes, in eye distances; None where one shows no face
    )


def measure(task: ShotTask) -> ShotMeasures:
    """Measure one shot."""
    info, pts = load_film(task.made.probe)
    shot = task.shot
    times = (pts[shot.start : shot.end] - pts[0]) * float(info.time_base)
    tracks = load_tracks(task.made.faces)
    face = main_face(task.made.faces, tracks)
    end = float(times[-1]) + float(1 / info.average_rate)
    rows: dict[str, float] = {}
    found = ShotMeasures(shot.name, float(times[0]), end, shot.frames, len(tracks), rows)
    real_face: FaceTrack | None = None
    if face is not None:
        here = times[face.start - shot.start :][: len(face)]
        opened = lips.opening(_seen(face))
        if task.syncnet is not None and task.sound is not None:
            sync = sync_of_face(task.syncnet, task.made.video, info, pts, face, task.sound)
            rows |= {"lse_d": sync.distance, "lse_c": sync.confidence} if sync else {}
        if task.made.timing is not None:
            timing = load_timing(task.made.timing)
            found = _against_phonemes(found, opened, here, timing.phonemes)
            rows |= _against_sound(opened, here, timing, face.start - shot.start)
        if task.real is not None:
            others = load_tracks(task.real.faces)
            real_face = _same_face(face, others)
            found = replace(found, apart=_apart(face, others))
            if real_face is not None and task.same_sound:
                rows |= _against_lips(face, real_face, here)
    if task.real is not None:
        rows |= _against_pictures(task, real_face if real_face is not None else face)
    return found


def _seen(face: FaceTrack) -> NDArray[np.float32]:
    landmarks = face.landmarks.astype(np.float32)
    return np.where((face.state == FaceState.SEEN)[:, None, None], landmarks, np.nan).astype(
        np.float32
    )


def main_face(folder: Path, tracks: Sequence[FaceTrack]) -> FaceTrack | None:
    """The face that speaks with the sound, or the largest where none does."""
    if not tracks:
        return None
    dubbed = {choice.track for choice in load_choice(folder) if choice.dubbed}
    return next((track for track in tracks if track.track in dubbed), tracks[0])


def _same_face(face: FaceTrack, others: Sequence[FaceTrack]) -> FaceTrack | None:
    best: tuple[float, FaceTrack | None] = (SAME, None)
    for other in others:
        start, end = (
            max(face.start, other.start),
            min(face.start + len(face), other.start + len(other)),
        )
        if end > start:
            a = face.boxes[start - face.start : end - face.start]
            b = other.boxes[start - other.start : end - other.start]
            overlap = float(np.nanmean(_overlap(a, b))) * (end - start) / len(face)
            best = max(best, (overlap, other), key=lambda pair: pair[0])
    return best[1]


def _apart(face: FaceTrack, others: Sequence[FaceTrack]) -> float | None:
    """Median distance of the stable points of a face from those of the nearest face of the other film, in eye
    distances; a dub leaves them where they are.
    """
    found: list[float] = []
    for other in others:
        start = max(face.start, other.start)
        end = min(face.start + len(face), other.start + len(other))
        if end <= start:
            continue
        a, b = (_seen(track)[start - track.start : end - track.start] for track in (face, other))
        left, right = (
            a[:, ring].mean(1) for ring in (landmark_layout.EYE_LEFT, landmark_layout.EYE_RIGHT)
        )
        unit = np.maximum(np.linalg.norm(left - right, axis=1), 1e-6)
        away = np.linalg.norm(a - b, axis=2)[:, landmark_layout.STABLE].mean(1) / unit
        found += [float(np.nanmedian(away))] if np.isfinite(away).any() else []
    return min(found, default=None)


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> Series:
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = [np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (a, b)]
    return np.asarray(both / np.maximum(areas[0] + areas[1] - both, 1e-6), np.float64)


def _against_phonemes(
    found: ShotMeasures, opened: Series, times: Series, phonemes: Sequence[TimedPhoneme]
) -> ShotMeasures:
    vowels, shut = lips.vowels_and_closures(opened, times, phonemes)
    tallies = {
        "closure_recall": lips.closures(opened, times, phonemes),
        "open_in_silence": lips.open_in_silence(opened, times, phonemes),
    }
    return replace(found, tallies=tallies, vowels=tuple(vowels), closures=tuple(shut))


def _against_sound(opened: Series, times: Series, timing: Timing, row: int) -> dict[str, float]:
    """How much later the lips are than the TC net would move them to this sound."""
    if len(opened) < LEAST or not any(symbol != SILENCE for symbol, _, _ in timing.phonemes):
        return {}
    expected = (_articulator().predict(timing).coefficients @ gap_effect())[row:][: len(opened)]
    late = lips.offset(opened, expected.astype(np.float64), times, SOUND_REACH)
    return {"sound_offset_ms": 1000 * late[0]} if late and late[1] >= AGREE else {}


@cache
def _articulator() -> Articulator:
    return Articulator()


def _against_lips(face: FaceTrack, real: FaceTrack, times: Series) -> dict[str, float]:
    start, end = max(face.start, real.start), min(face.start + len(face), real.start + len(real))
    rows: dict[str, float] = {}
    a, b = (_seen(t)[start - t.start : end - t.start] for t in (face, real))
    when = times[start - face.start : end - face.start]
    made, true = lips.opening(a), lips.opening(b)
    agreement = lips.correlation(made, true)
    if agreement is not None:
        rows["opening_correlation"] = agreement
        rows["amplitude"] = float(np.nanstd(made) / max(float(np.nanstd(true)), 1e-6))
    late = lips.offset(made, true, when) if len(when) > 20 else None
    if late is not None:
        rows["offset_ms"] = 1000 * late[0]
    jitters = lips.motion(a), lips.motion(b)
    if jitters[0] is not None and jitters[1]:
        rows["jitter"] = jitters[0] / jitters[1]
    return rows


def _against_pictures(task: ShotTask, face: FaceTrack | None) -> dict[str, float]:
    sums = PictureSums()
    errors: list[float] = []
    outside, same = 0, 0
    for made, real, points in _pairs(task, face):
        errors.append(squared_error(made, real))
        free = np.ones(made.shape, bool)
        if points is not None:
            sums.add(made, real, points)
            free = ~lower_face(points, made.shape, REACH)
        outside += int(free.sum())
        same += int((made[free] == real[free]).sum())
    rows = sums.rows()
    if errors:
        rows["psnr_frame"] = psnr(float(np.mean(errors)))
        rows["outside_equal"] = same / max(outside, 1)
    return rows


def _pairs(
    task: ShotTask, face: FaceTrack | None
) -> Iterator[tuple[Luma, Luma, NDArray[np.float32] | None]]:
    """Both lumas, and the face's landmarks in them."""
    assert task.real is not None
    sides = [(side, *load_film(side.probe)) for side in (task.made, task.real)]
    readers = [FrameReader(side.video, info, pts) for side, info, pts in sides]
    end = min(task.shot.end, *(info.frames for _, info, _ in sides))
    frames = [reader.read(task.shot.start, end) for reader in readers]
    to_plane = plane_from_display(sides[0][1], readers[0].format, 0)
    for made, real in zip(*frames, strict=True):
        points = None
        row = made.index - face.start if face is not None else -1
        if face is not None and 0 <= row < len(face) and face.state[row] == FaceState.SEEN:
            points = apply(to_plane, face.landmarks[row]).astype(np.float32)
        yield luma(made), luma(real), points


def luma(frame: Frame) -> Luma:
    """(H, W) 0..1 of a frame's own planes."""
    top = float(2**frame.format.depth - 1)
    planes = [plane.astype(np.float32) / top for plane in frame.planes[:3]]
    if not frame.format.is_rgb:
        return planes[0]
    red, blue = frame.format.weights
    return np.asarray(red * planes[0] + (1 - red - blue) * planes[1] + blue * planes[2], np.float32)
