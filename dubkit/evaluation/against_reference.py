"""The measures of one shot: its face's lips against phonemes and other lips, its pictures against the real ones.

What the gate measures too is measured by the gate's own meter (`dubkit.metrics.shot_meter`), here on the finished
film: with a reference, beside the reference's pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from dubkit.engines import base, registry
from dubkit.faces import align, landmark_layout, selection
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.planes import plane_from_display
from dubkit.metrics import lip_sync, lips, picture, shot_meter
from dubkit.records import FaceState, FaceTrack, Floats, Shot, Timing
from dubkit.speech.timing import load_timing
from dubkit.stages.probe import load_film

if TYPE_CHECKING:
    from dubkit.config.schema import Config
    from dubkit.metrics.lips import Series, Tally

REACH = 0.35  # face widths around the lower face that a dub may change
_LONG, _EVERY = (
    48,
    3,
)  # frames of a shot, from which on whole pictures are compared in every third one
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
    config: Config
    same_sound: bool  # whether both speak the same words, so that lips can be compared
    sound: Path | None = None  # what the face should speak, from `syncnet.write_sound`
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
    vowel_openings: tuple[float, ...] = ()
    labial_openings: tuple[float, ...] = ()  # least of each P, B and M
    apart: float | None = (
        None  # of both films' eyes, in eye distances; None where one shows no face
    )


def measure(task: ShotTask) -> ShotMeasures:
    """Measure one shot."""
    info, pts = load_film(task.made.probe)
    shot = task.shot
    times = (pts[shot.start : shot.end] - pts[0]) * float(info.time_base)
    tracks = selection.load_tracks(task.made.faces)
    face = main_face(task.made.faces, tracks)
    end = float(times[-1]) + float(1 / info.average_rate)
    rows: dict[str, float] = {}
    found = ShotMeasures(shot.name, float(times[0]), end, shot.frames, len(tracks), rows)
    timing = load_timing(task.made.timing) if task.made.timing is not None else None
    real_face: FaceTrack | None = None
    if face is not None:
        if task.syncnet is not None and task.sound is not None:
            net = registry.load_module("dubkit.metrics.syncnet", what="LSE")
            sync = net.sync_of_face(task.syncnet, task.made.video, info, pts, face, task.sound)
            rows |= {"lse_d": sync.distance, "lse_c": sync.confidence} if sync else {}
        if task.real is not None:
            others = selection.load_tracks(task.real.faces)
            real_face = _same_face(face, others)
            found = replace(found, apart=_apart(face, others))
            if real_face is not None and task.same_sound:
                rows |= _against_lips(
                    face, real_face, times[face.start - shot.start :][: len(face)]
                )
    shown = real_face if real_face is not None else face
    meter = None if shown is None else _meter(task, shown, times, timing, float(info.average_rate))
    rows |= _pictures(task, shown, meter)
    if meter is None:
        return found
    seen = meter.seen()
    rows |= seen.pictures
    return found if timing is None else _against_phonemes(found, task, seen, meter.track, timing)


def _meter(
    task: ShotTask, face: FaceTrack, times: Series, timing: Timing | None, rate: float
) -> shot_meter.FaceMeter:
    """The gate's meter for a face of the film, or of the reference in its place."""
    row = face.start - task.shot.start
    phonemes = lip_sync.phonemes_of(timing, task.config.generate) if timing is not None else ()
    chosen = shot_meter.looks(
        face.state == FaceState.SEEN, times[row:][: len(face)], phonemes, rate
    )
    if task.real is None:  # there is nothing to compare pictures with
        none = np.zeros(len(face), np.bool_)
        chosen = replace(chosen, pictures=none)
    faces = task.config.faces
    locator = cast(base.Locator, registry.load_engine("landmarker", faces.landmarker, faces, "cpu"))
    return shot_meter.FaceMeter(face, chosen, locator)


def _against_phonemes(
    found: ShotMeasures, task: ShotTask, seen: shot_meter.Seen, face: FaceTrack, timing: Timing
) -> ShotMeasures:
    row = face.start - task.shot.start
    speech = lip_sync.speech_of(timing, row, len(face), task.config.generate)
    values = dict(seen.values(speech))
    values.pop("closures", None)  # counted below, so that shots can be added up
    opened = seen.lips.opening()
    said = opened, speech.times, speech.phonemes
    vowels, labials = lips.vowels_and_labials(*said)
    return replace(
        found,
        rows=found.rows | values,
        tallies={
            "closures": lips.closures(*said),
            "open_in_silence": lips.open_in_silence(*said),
        },
        vowel_openings=tuple(vowels),
        labial_openings=tuple(labials),
    )


def _seen(face: FaceTrack) -> Floats:
    landmarks = face.landmarks.astype(np.float32)
    return np.where((face.state == FaceState.SEEN)[:, None, None], landmarks, np.nan).astype(
        np.float32
    )


def main_face(folder: Path, tracks: Sequence[FaceTrack]) -> FaceTrack | None:
    """The face that speaks with the sound, or the largest where none does."""
    if not tracks:
        return None
    dubbed = {choice.track for choice in selection.load_choice(folder) if choice.dubbed}
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


def _overlap(a: Floats, b: Floats) -> Series:
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = [np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (a, b)]
    return np.asarray(both / np.maximum(areas[0] + areas[1] - both, 1e-6), np.float64)


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
    late = lips.reference_offset(made, true, when) if len(when) > 20 else None
    if late is not None:
        rows["reference_offset_ms"] = 1000 * late
    jitters = lips.jitter(a), lips.jitter(b)
    if jitters[0] is not None and jitters[1]:
        rows["jitter"] = jitters[0] / jitters[1]
    return rows


def _pictures(
    task: ShotTask, face: FaceTrack | None, meter: shot_meter.FaceMeter | None
) -> dict[str, float]:
    """Show the meter its frames, and compare all with the reference's, if there is one."""
    sums = picture.PictureSums()
    errors: list[float] = []
    outside, same = 0, 0
    for made, real in _frames(task):
        if meter is not None and meter.wants(made.index):
            meter.look(real, made)
        if task.real is None:
            continue
        if task.shot.frames >= _LONG and made.index % _EVERY:
            continue
        a, b, top = _lumas(made, real)
        errors.append(picture.squared_error(a, b, top))
        free = np.ones(a.shape, bool)
        row = made.index - face.start if face is not None else -1
        if face is not None and 0 <= row < len(face) and face.state[row] == FaceState.SEEN:
            to_plane = plane_from_display(made.info, made.format, 0)
            points = align.apply(to_plane, face.landmarks[row]).astype(np.float32)
            sums.add(a, b, points, top)
            free = ~picture.lower_face(points, a.shape, REACH)
        outside += int(np.count_nonzero(free))
        same += int(np.count_nonzero((a == b) & free))
    rows = sums.measures()
    if errors:
        rows["psnr_frame"] = picture.psnr(float(np.mean(errors)))
        rows["outside_equal"] = same / max(outside, 1)
    return rows


def _frames(task: ShotTask) -> Iterator[tuple[Frame, Frame]]:
    """The shot's frames of the film, each with the reference's; with itself where there is none."""
    sides = [task.made] if task.real is None else [task.made, task.real]
    films = [load_film(side.probe) for side in sides]
    end = min(task.shot.end, *(info.frames for info, _ in films))
    readers = [
        FrameReader(side.video, *film).read(task.shot.start, end)
        for side, film in zip(sides, films, strict=True)
    ]
    for frames in zip(*readers, strict=True):
        yield frames[0], frames[-1]


def _lumas(made: Frame, real: Frame) -> tuple[picture.Luma, picture.Luma, float]:
    """(H, W) of both frames' own planes and the value of white: as stored, where both store it alike."""
    if not (made.format.is_rgb or real.format.is_rgb) and made.format.depth == real.format.depth:
        return made.planes[0], real.planes[0], float(2**made.format.depth - 1)
    return _scaled_luma(made), _scaled_luma(real), 1.0


def _scaled_luma(frame: Frame) -> picture.Luma:
    top = float(2**frame.format.depth - 1)
    if not frame.format.is_rgb:
        return frame.planes[0].astype(np.float32) / top
    planes = [plane.astype(np.float32) / top for plane in frame.planes[:3]]
    red, blue = frame.format.weights
    return np.asarray(red * planes[0] + (1 - red - blue) * planes[1] + blue * planes[2], np.float32)
