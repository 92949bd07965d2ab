"""The second unit of preparing: the clips of one piece of a file.

The product's own engines follow the faces; runs of usable frames of the one who speaks become clips, if
`training.quality` finds nothing wrong with them. Pictures are decoded twice and never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import Config, FaceSettings, PrepareSettings
from dubkit.engines.registry import load_engine
from dubkit.errors import InputError
from dubkit.faces import align
from dubkit.faces.active_speaker import mouth_motion, sound_features
from dubkit.faces.selection import SoundFeatures, choose
from dubkit.faces.tracker import track_shot
from dubkit.faces.tracklet import TrackerSettings, View
from dubkit.lips import mesh_warp
from dubkit.media.audio import load_span
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.pictures import PictureWriter
from dubkit.media.planes import rgb_crop
from dubkit.records import SILENCE, Floats, Shot, TimedPhoneme, VideoInfo
from dubkit.speech.mel_levels import listen
from dubkit.stages.faces import FrameView
from dubkit.training import quality
from dubkit.training.analyze import aligner, film, times_of
from dubkit.training.dataset import CROP, PreparedClip, write_clip
from dubkit.training.quality import Choices, Refused, Run, face_settings, refusals, usable_runs

_MARGIN = 0.5  # seconds of sound around a piece
_LOOP_LANGUAGE = "und"  # no words are looked for: sounds alone


@dataclass(frozen=True, slots=True)
class CutTask:
    """One piece of a file."""

    video: Path
    start: int  # frames, half-open
    end: int
    name: str
    whole: bool  # the piece is all of the file
    language: str | None
    script: tuple[TimedPhoneme, ...] | None  # seconds from the file's first picture
    config: Config
    out: Path  # where the clips go, a scratch folder
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Kept:
    """One clip that was written to ``NAME.npz`` and ``NAME.mp4``."""

    name: str
    start: int  # frame of the file
    frames: int
    rate: float
    width: float
    offset: float
    agreement: float | None
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """What became of a piece."""

    kept: tuple[Kept, ...] = ()
    refused: tuple[Refused, ...] = ()


def cut(task: CutTask) -> Cut:
    """Make the clips of one piece; what cannot be used is a result with the reason, never an error."""
    return cut_with(_cut, task)


def cut_with(make: Callable[[CutTask, VideoInfo, NDArray[np.int64]], Cut], task: CutTask) -> Cut:
    """What ``make`` makes of a piece whose film can be read."""
    cv2.setNumThreads(1)  # workers share the cores; results must not depend on how many there are
    try:
        info, pts = film(task.video)
        task.out.mkdir(parents=True, exist_ok=True)
        return make(task, info, pts)
    except InputError as error:
        reason = error.message.replace(str(task.video), "it")
        return Cut(refused=(Refused(task.start, task.end, reason),))


@lru_cache(maxsize=4)
def face_engines(settings: FaceSettings, device: str) -> tuple[Any, Any]:
    """Detector and landmarker, once a process."""
    return (
        load_engine("detector", settings.detector, settings, device),
        load_engine("landmarker", settings.landmarker, settings, device),
    )


def _cut(task: CutTask, info: VideoInfo, pts: NDArray[np.int64]) -> Cut:
    settings = face_settings(task.config)
    detector, landmarker = face_engines(settings, task.device)
    reader = FrameReader(task.video, info, pts, threads=1)
    rate, shot = float(info.average_rate), Shot(task.start, task.end)

    def views(start: int, end: int) -> Iterable[tuple[int, View]]:
        for frame in reader.read(start, end):
            yield frame.index, FrameView(frame, detector, settings.detect_size)

    tracks = track_shot(shot, views, landmarker, TrackerSettings.of(settings, rate))
    times = times_of(info, pts[shot.start : shot.end])
    begin = float(times[0]) - _MARGIN
    samples = load_span(task.video, begin, float(times[-1]) + 1 / rate + _MARGIN)
    if samples is None:
        raise InputError("its sound cannot be decoded")
    features = sound_features(samples, times - begin + 0.5 / rate)
    choices, note = choose(tracks, settings, rate, SoundFeatures(shot.start, features))
    found = Choices(shot, rate, tracks, choices, note)
    refused = list(refusals(found, task.config.train.prepare))
    kept: list[Kept] = []
    for run in usable_runs(found, task.config.train.prepare):
        name = _name(task, run, first=not kept)
        first = run.start - shot.start
        seconds = times[first : first + run.end - run.start]
        heard = samples[round((seconds[0] - begin) * 16000) :]
        heard = heard[: round((seconds[-1] - seconds[0] + 1 / rate) * 16000)]
        made = _clip(task, info, pts, reader, run, heard, name)
        if isinstance(made, str):
            refused.append(Refused(run.start, run.end, made))
        else:
            kept.append(made)
    return Cut(tuple(kept), tuple(refused))


def _name(task: CutTask, run: Run, *, first: bool) -> str:
    if task.whole and first:
        return task.name
    return f"{task.name}-{run.start:07d}-{run.end:07d}"


def _clip(
    task: CutTask,
    info: VideoInfo,
    pts: NDArray[np.int64],
    reader: FrameReader,
    run: Run,
    samples: Floats,
    name: str,
) -> Kept | str:
    """Write one clip, or say what is wrong with it."""
    settings, rate = task.config.train.prepare, float(info.average_rate)
    part, track = run.rows, run.track
    landmarks, own = track.landmarks[part], pts[run.start : run.end]
    seconds = times_of(info, own - own[0])
    level, motion = quality.energy(samples), mouth_motion(landmarks)
    sync = quality.synchrony(motion, samples, seconds, rate)
    fault = quality.face_fault(track.scores[part], settings)
    fault = fault or quality.sound_fault(level, motion, rate, sync, settings)
    if fault:
        return fault
    after = float(times_of(info, own[:1] - pts[:1])[0])
    duration = float(seconds[-1]) + 1 / rate
    phonemes = dict(_phonemes(task, samples, after, duration))
    spoken = next(iter(phonemes.values()), [])
    fault = quality.speech_fault(spoken, duration, settings)
    if fault:
        return fault
    matrices = np.stack([crop_from_display(face) for face in landmarks])
    fault = _write_crops(task.out / f"{name}.mp4", info, reader, run, own, matrices, settings)
    if fault:
        return fault
    scores, pose = track.scores[part], track.pose[part]
    sound = listen(samples).levels
    clip = PreparedClip(seconds, landmarks, scores, pose, matrices, level, phonemes, sound)
    write_clip(task.out / f"{name}.npz", clip)
    width = float(np.median(track.boxes[part, 2] - track.boxes[part, 0]))
    offset, agreement = _synced(sync)
    frames, ways = len(seconds), tuple(phonemes)
    return Kept(name, run.start, frames, rate, round(width, 1), offset, agreement, ways)


def _synced(sync: quality.Sync | None) -> tuple[float, float | None]:
    """Offset and agreement, where they can be told."""
    return (round(sync.offset, 4), round(sync.agreement, 3)) if sync and sync.sure else (0.0, None)


def crop_from_display(face: Floats) -> align.Matrix:
    """The place of a prepared crop, by the landmarks (L, 2) of its face."""
    return align.compose(mesh_warp.grid_from_canonical(CROP), align.canonical_from_face(face))


def _write_crops(
    path: Path,
    info: VideoInfo,
    reader: FrameReader,
    run: Run,
    pts: NDArray[np.int64],
    matrices: NDArray[np.float64],
    settings: PrepareSettings,
) -> str | None:
    """Write the aligned crops and judge them; faulty ones leave no file."""
    looks = quality.Looks()
    with PictureWriter(path, CROP, info.average_rate, info.time_base) as writer:
        frames = reader.read(run.start, run.end)
        for frame, at, matrix in zip(frames, pts - pts[0], matrices, strict=True):
            crop = rgb_crop(frame, matrix, CROP)
            looks.see(crop, 1 / align.scale_of(matrix))
            writer.write(crop, int(at))
    fault = quality.look_fault(looks, settings)
    if fault:
        path.unlink()
    return fault


def _phonemes(
    task: CutTask, samples: Floats, after: float, duration: float
) -> Iterator[tuple[str, list[TimedPhoneme]]]:
    """What is said, by every way in which a dub may be aligned."""
    if task.script is not None:
        moved = [
            (symbol, max(0.0, start - after), min(end - after, duration))
            for symbol, start, end in task.script
        ]
        inside = [p for p in moved if p[2] > p[1]]
        if any(symbol != SILENCE for symbol, _, _ in inside):
            yield "script", inside
    engine = aligner(task.config, task.device)
    for way, path, language in (
        ("recognition", "recognition", task.language),
        ("loop", "phone-loop", _LOOP_LANGUAGE),
    ):
        speech = engine.align(samples, None, language)
        if speech.path == path:
            yield way, [(p.symbol, p.start, p.end) for p in speech.phonemes]


@dataclass(frozen=True, slots=True)
class _Thinned:
    """Every n-th frame of a piece, numbered 0, 1, 2 ..."""

    reader: FrameReader
    start: int
    step: int

    def frames(self, start: int, end: int) -> Iterable[tuple[int, Frame]]:
        """Numbers ``start`` to ``end``, end excluded."""
        first, last = (self.start + n * self.step for n in (start, end - 1))
        for frame in self.reader.read(first, last + 1):
            number, rest = divmod(frame.index - self.start, self.step)
            if rest == 0:
                yield number, frame


def cut_pictures(task: CutTask) -> Cut:
    """Make the clips of one piece; what cannot be used is a result with the reason, never an error."""
    return cut_with(_cut_pictures_cut, task)


def _cut_pictures_cut(task: CutTask, info: VideoInfo, pts: NDArray[np.int64]) -> Cut:
    wanted = task.config.train.prepare
    settings = face_settings(task.config).model_copy(update={"which": "largest"})
    detector, landmarker = face_engines(face_settings(task.config), task.device)
    step = max(1, round(float(info.average_rate) / wanted.pictures))
    rate = float(info.average_rate) / step
    shot = Shot(0, -(-(task.end - task.start) // step))
    thinned = _Thinned(FrameReader(task.video, info, pts, threads=1), task.start, step)

    def views(start: int, end: int) -> Iterable[tuple[int, View]]:
        for number, frame in thinned.frames(start, end):
            yield number, FrameView(frame, detector, settings.detect_size)

    tracks = track_shot(shot, views, landmarker, TrackerSettings.of(settings, rate))
    choices, _ = choose(tracks, settings, rate, None)
    found = Choices(shot, rate, tracks, choices, None)
    refused = [_in_film(task, step, r.start, r.end, r.reason) for r in refusals(found, wanted)]
    kept: list[Kept] = []
    for run in usable_runs(found, wanted):
        start, end = (task.start + n * step for n in (run.start, run.end))
        name = task.name if task.whole and not kept else f"{task.name}-{start:07d}-{end:07d}"
        own = pts[start : task.end : step][: run.end - run.start]
        made = _clip_pictures_cut(task, info, thinned, run, own, name)
        if isinstance(made, str):
            refused.append(_in_film(task, step, run.start, run.end, made))
        else:
            kept.append(made)
    return Cut(tuple(kept), tuple(refused))


def _in_film(task: CutTask, step: int, start: int, end: int, reason: str) -> Refused:
    last = min(task.start + end * step, task.end)
    return Refused(task.start + start * step, last, reason)


def _clip_pictures_cut(
    task: CutTask,
    info: VideoInfo,
    thinned: _Thinned,
    run: Run,
    pts: NDArray[np.int64],
    name: str,
) -> Kept | str:
    """Write one clip, or say what is wrong with it."""
    track, rows = run.track, run.rows
    settings = task.config.train.prepare
    fault = quality.face_fault(track.scores[rows], settings)
    if fault:
        return fault
    landmarks = track.landmarks[rows]
    matrices = np.stack([crop_from_display(face) for face in landmarks])
    looks, path = quality.Looks(), task.out / f"{name}.mp4"
    with PictureWriter(path, CROP, info.average_rate, info.time_base) as writer:
        frames = thinned.frames(run.start, run.end)
        for (_, frame), at, matrix in zip(frames, pts - pts[0], matrices, strict=True):
            crop = rgb_crop(frame, matrix, CROP)
            looks.see(crop, 1 / align.scale_of(matrix))
            writer.write(crop, int(at))
    fault = quality.look_fault(looks, settings)
    if fault:
        path.unlink()
        return fault
    clip = PreparedClip(
        times=times_of(info, pts - pts[0]),
        landmarks=landmarks,
        confidence=track.scores[rows],
        pose=track.pose[rows],
        crop_from_display=matrices,
        energy=np.zeros(1, np.float32),
        phonemes={},
    )
    write_clip(task.out / f"{name}.npz", clip)
    width = float(np.median(track.boxes[rows, 2] - track.boxes[rows, 0]))
    start = task.start + run.start * thinned.step
    rate = float(info.average_rate) / thinned.step
    return Kept(name, start, len(pts), rate, round(width, 1), 0.0, None, ())
