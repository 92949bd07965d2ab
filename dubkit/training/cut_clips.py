"""The second stage of preparing a file: the training clips of one piece of it.

The engines of `dubkit run` track the faces; runs of usable frames of the one who speaks become clips, if
`training.quality` finds nothing wrong with them. Pictures are decoded twice and never kept.

Publishes ``clips.json`` (`CutResult`) and ``<start>-<end>.npz`` and ``.mp4`` for every clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dubkit.config.schema import Config, FaceSettings
from dubkit.engines.registry import load_engine
from dubkit.errors import InputError, WorkError
from dubkit.faces import align, lips_from_sound, selection, tracklet
from dubkit.faces.tracker import track_shot
from dubkit.lips import mesh_warp
from dubkit.media import audio, pictures, planes
from dubkit.media.frames import Frame, FrameReader
from dubkit.records import SILENCE, Doubles, Floats, Integers, Shot, TimedPhoneme, VideoInfo
from dubkit.stages import base, faces, faces as faces_stage, speech as speech_stage
from dubkit.training import analyze, dataset, quality
from dubkit.training.analyze import aligner, film, load_analysis, times_of
from dubkit.training.quality import Choices, Refused, Run, face_settings, refusals, usable_runs
from dubkit.training.sound_versions import sound_versions
from dubkit.work.store import read_record, write_record

_MARGIN = 0.5  # seconds of sound around a piece
_LOOP_LANGUAGE = "und"  # no words are looked for: sounds alone


CLIPS_RECORD = "clips.json"


@dataclass(frozen=True, slots=True)
class CutClip:
    """One clip, in ``<stem>.npz`` and ``<stem>.mp4``."""

    stem: str
    start: int  # frame of the file
    frames: int
    rate: float
    width: float  # of the face, pixels of the file
    offset: float = 0.0
    agreement: float | None = None


@dataclass(frozen=True, slots=True)
class CutResult:
    """The clips of a piece, and what was refused."""

    clips: tuple[CutClip, ...] = ()
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """The film that a piece belongs to, and where its clips go."""

    video: Path
    shot: Shot
    info: VideoInfo
    pts: Integers  # of the whole film
    script: tuple[TimedPhoneme, ...] | None  # seconds from the film's first picture
    config: Config
    out: Path
    device: str

    @property
    def rate(self) -> float:
        return float(self.info.average_rate)

    def reader(self) -> FrameReader:
        return FrameReader(self.video, self.info, self.pts, threads=1)


def run(context: base.StageContext) -> base.StageReport:
    """Cut the clips of one piece; what cannot be used is a result with the reason, not an error."""
    shot, video = context.shot, context.job.video
    if shot is None:
        raise WorkError("clips are cut from pieces, but none was given")
    cv2.setNumThreads(1)  # workers share the cores; results must not depend on how many there are
    script = load_analysis(context.folder(analyze.STAGE.name)).script
    cut = _cut_pictures if context.config.train.prepare.pictures else _cut_speech
    try:
        info, pts = film(video)
        where = context.out, context.device
        result = cut(Piece(video, shot, info, pts, script, context.config, *where))
    except InputError as error:
        reason = error.message.replace(str(video), "it")
        result = CutResult(refused=(Refused(shot.start, shot.end, reason),))
    write_record(context.out / CLIPS_RECORD, result)
    return base.StageReport(facts={"clips": len(result.clips), "refused": len(result.refused)})


def load_result(folder: Path) -> CutResult:
    """What a unit published. Raises WorkError where it cannot be read."""
    return read_record(folder / CLIPS_RECORD, CutResult)


def face_identity(config: Config) -> str:
    """The engines that track faces."""
    return faces_stage.STAGE.identity(config)


@lru_cache(maxsize=4)
def face_engines(settings: FaceSettings, device: str) -> tuple[Any, Any]:
    """Detector and landmarker, once a process."""
    return (
        load_engine("detector", settings.detector, settings, device),
        load_engine("landmarker", settings.landmarker, settings, device),
    )


def _cut_speech(piece: Piece) -> CutResult:
    """Clips of whoever speaks, with their sound."""
    settings = face_settings(piece.config)
    detector, landmarker = face_engines(settings, piece.device)
    shot, rate, pts = piece.shot, piece.rate, piece.pts

    def views(start: int, end: int) -> Iterable[tuple[int, tracklet.View]]:
        for frame in piece.reader().read(start, end):
            yield frame.index, faces.FrameView(frame, detector, settings.detect_size)

    tracks = track_shot(shot, views, landmarker, tracklet.TrackerSettings.of(settings, rate))
    times = times_of(piece.info, pts[shot.start : shot.end])
    begin = float(times[0]) - _MARGIN
    samples = audio.load_span(piece.video, begin, float(times[-1]) + 1 / rate + _MARGIN)
    if samples is None:
        raise InputError("its sound cannot be decoded")
    features = lips_from_sound.sound_features(samples, times - begin + 0.5 / rate)
    speaking, note = quality.talkers(tracks, shot.start, features, settings, rate)
    choices, _ = selection.choose(tracks, settings, rate, speaking)
    found = Choices(shot, rate, tracks, choices, note)
    refused = list(refusals(found, piece.config.train.prepare))
    clips: list[CutClip] = []
    for run in usable_runs(found, piece.config.train.prepare):
        first = run.start - shot.start
        seconds = times[first : first + run.end - run.start]
        sound = samples[round((seconds[0] - begin) * 16000) :]
        sound = sound[: round((seconds[-1] - seconds[0] + 1 / rate) * 16000)]
        made = _speech_clip(piece, run, sound)
        if isinstance(made, str):
            refused.append(Refused(run.start, run.end, made))
        else:
            clips.append(made)
    return CutResult(tuple(clips), tuple(refused))


def _stem(start: int, end: int) -> str:
    return f"{start:07d}-{end:07d}"


def _speech_clip(piece: Piece, run: Run, samples: Floats) -> CutClip | str:
    """Write one clip; what is wrong with it where something is."""
    settings, rate, info, pts = piece.config.train.prepare, piece.rate, piece.info, piece.pts
    part, track = run.rows, run.track
    landmarks, own = track.landmarks[part], pts[run.start : run.end]
    seconds = times_of(info, own - own[0])
    level, motion = quality.energy(samples), lips_from_sound.mouth_motion(landmarks)
    sync = quality.synchrony(motion, samples, seconds, rate)
    fault = quality.face_fault(track.scores[part], settings)
    fault = fault or quality.sound_fault(level, motion, rate, sync, settings)
    if fault:
        return fault
    after = float(times_of(info, own[:1] - pts[:1])[0])
    duration = float(seconds[-1]) + 1 / rate
    phonemes = dict(_phonemes(piece, samples, after, duration))
    spoken = next(iter(phonemes.values()), [])
    fault = quality.speech_fault(spoken, duration, settings)
    if fault:
        return fault
    matrices = np.stack([crop_from_display(face) for face in landmarks])
    stem = _stem(run.start, run.end)
    frames = piece.reader().read(run.start, run.end)
    fault = _write_crops(piece, stem, frames, own, matrices)
    if fault:
        return fault
    scores, pose = track.scores[part], track.pose[part]
    sounds = sound_versions(samples, settings.sound_versions, seed=run.start)
    clip = dataset.PreparedClip(seconds, landmarks, scores, pose, matrices, level, phonemes, sounds)
    dataset.write_clip(piece.out / f"{stem}.npz", clip)
    width = float(np.median(track.boxes[part, 2] - track.boxes[part, 0]))
    return CutClip(stem, run.start, len(seconds), rate, round(width, 1), *_synced(sync))


def _synced(sync: quality.Sync | None) -> tuple[float, float | None]:
    """Offset and agreement, where they are certain."""
    return (round(sync.offset, 4), round(sync.agreement, 3)) if sync and sync.sure else (0.0, None)


def crop_from_display(face: Floats) -> align.Matrix:
    """The place of a prepared crop, by the landmarks (L, 2) of its face."""
    return align.compose(
        mesh_warp.grid_from_canonical(dataset.CROP), align.canonical_from_face(face)
    )


def _write_crops(
    piece: Piece,
    stem: str,
    frames: Iterable[Frame],
    pts: Integers,
    matrices: Doubles,
) -> str | None:
    """Write the aligned crops and judge them; faulty ones leave no file."""
    crops, path = quality.CropQuality(), piece.out / f"{stem}.mp4"
    with pictures.PictureWriter(
        path, dataset.CROP, piece.info.average_rate, piece.info.time_base
    ) as writer:
        for frame, at, matrix in zip(frames, pts - pts[0], matrices, strict=True):
            crop = planes.rgb_crop(frame, matrix, dataset.CROP)
            crops.add(crop, 1 / align.scale_of(matrix))
            writer.write(crop, int(at))
    fault = quality.crop_fault(crops, piece.config.train.prepare)
    if fault:
        path.unlink()
    return fault


def _phonemes(
    piece: Piece, samples: Floats, after: float, duration: float
) -> Iterator[tuple[str, list[TimedPhoneme]]]:
    """Phonemes by each path along which a dub may be aligned."""
    if piece.script is not None:
        moved = [
            (symbol, max(0.0, start - after), min(end - after, duration))
            for symbol, start, end in piece.script
        ]
        inside = [p for p in moved if p[2] > p[1]]
        if any(symbol != SILENCE for symbol, _, _ in inside):
            yield "script", inside
    engine = aligner(piece.config, piece.device)
    for way, path, language in (
        ("recognition", "recognition", piece.config.speech.language),
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


def _cut_pictures(piece: Piece) -> CutResult:
    """Clips of the largest face, some pictures a second, without sound."""
    wanted, shot = piece.config.train.prepare, piece.shot
    settings = face_settings(piece.config).model_copy(update={"which": "largest"})
    detector, landmarker = face_engines(face_settings(piece.config), piece.device)
    step = max(1, round(piece.rate / wanted.pictures))
    thinned = _Thinned(piece.reader(), shot.start, step)
    rate, part = piece.rate / step, Shot(0, -(-shot.frames // step))

    def views(start: int, end: int) -> Iterable[tuple[int, tracklet.View]]:
        for number, frame in thinned.frames(start, end):
            yield number, faces.FrameView(frame, detector, settings.detect_size)

    def refuse(start: int, end: int, reason: str) -> Refused:
        last = min(shot.start + end * step, shot.end)
        return Refused(shot.start + start * step, last, reason)

    tracks = track_shot(part, views, landmarker, tracklet.TrackerSettings.of(settings, rate))
    largest = settings.model_copy(update={"which": "largest"})
    choices, _ = selection.choose(tracks, largest, rate)
    found = Choices(part, rate, tracks, choices, None)
    refused = [refuse(r.start, r.end, r.reason) for r in refusals(found, wanted)]
    clips: list[CutClip] = []
    for run in usable_runs(found, wanted):
        made = _picture_clip(piece, thinned, run)
        if isinstance(made, str):
            refused.append(refuse(run.start, run.end, made))
        else:
            clips.append(made)
    return CutResult(tuple(clips), tuple(refused))


def _picture_clip(piece: Piece, thinned: _Thinned, run: Run) -> CutClip | str:
    """Write one clip; what is wrong with it where something is."""
    track, rows = run.track, run.rows
    fault = quality.face_fault(track.scores[rows], piece.config.train.prepare)
    if fault:
        return fault
    start, end = (thinned.start + n * thinned.step for n in (run.start, run.end))
    pts = piece.pts[start : piece.shot.end : thinned.step][: run.end - run.start]
    landmarks = track.landmarks[rows]
    matrices = np.stack([crop_from_display(face) for face in landmarks])
    frames = (frame for _, frame in thinned.frames(run.start, run.end))
    stem = _stem(start, end)
    fault = _write_crops(piece, stem, frames, pts, matrices)
    if fault:
        return fault
    clip = dataset.PreparedClip(
        times=times_of(piece.info, pts - pts[0]),
        landmarks=landmarks,
        confidence=track.scores[rows],
        pose=track.pose[rows],
        crop_from_display=matrices,
        energy=np.zeros(1, np.float32),
        phonemes={},
    )
    dataset.write_clip(piece.out / f"{stem}.npz", clip)
    width = float(np.median(track.boxes[rows, 2] - track.boxes[rows, 0]))
    return CutClip(stem, start, len(pts), piece.rate / thinned.step, round(width, 1))


STAGE = base.Stage(
    name="clips",
    per=base.Per.SHOT,
    source=base.Source.VIDEO,
    after=(
        analyze.STAGE.name,
    ),  # for the script, whose place in a piece follows from the whole file
    run=run,
    version=2,
    sections=("probe", "faces", "speech", "train.prepare"),
    files=("video",),
    identity=lambda config: f"{face_identity(config)}, {speech_stage.STAGE.identity(config)}",
    gpu=True,
)
