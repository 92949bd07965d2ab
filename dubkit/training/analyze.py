"""The first stage of preparing a file: its shots, long ones in pieces, and its script aligned with its sound.

Publishes ``shots.json`` and ``analysis.json``. Footage that cannot be used is a result with the reason, not an error.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np

from dubkit.config.schema import Config
from dubkit.engines import base, registry
from dubkit.errors import DubkitError, InputError
from dubkit.media.audio import load_span
from dubkit.media.probe import probe
from dubkit.pipeline.dry_run import SHOTS
from dubkit.records import Doubles, Integers, Shot, TimedPhoneme, VideoInfo
from dubkit.speech.auto import aligner_of
from dubkit.stages import shots as shots_stage, speech as speech_stage
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.stages.shots import without_short
from dubkit.training.footage import read_lines
from dubkit.work.store import read_record, write_record

ANALYSIS = "analysis.json"
LEAST_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a file holds. Times are seconds from its first picture."""

    frames: int = 0
    seconds: float = 0.0
    pieces: int = 0  # that clips are cut from
    script: tuple[TimedPhoneme, ...] | None = None  # phonemes by the script, where it fits
    refused: str | None = None  # why nothing of the file can be used


@lru_cache(maxsize=4)
def film(path: Path) -> tuple[VideoInfo, Integers]:
    """Facts and frame times of a file; the pieces of one file follow one another."""
    return probe(path)


@lru_cache(maxsize=4)
def aligner(config: Config, device: str) -> base.Aligner:
    """The aligner of `dubkit run`, once a process."""
    return aligner_of(config.speech, device)


def times_of(info: VideoInfo, pts: Integers) -> Doubles:
    """Seconds of frames on the container's clock."""
    return np.asarray(pts * float(info.time_base), np.float64)


def run(context: StageContext) -> StageReport:
    """Analyze one file."""
    pieces: list[Shot] = []
    note = None
    try:
        analysis, pieces, note = _analyze(context)
    except DubkitError as error:
        analysis = Analysis(refused=error.message.replace(str(context.job.video), "it"))
    write_record(context.out / f"{SHOTS}.json", pieces, list[Shot])
    write_record(context.out / ANALYSIS, analysis)
    return StageReport(
        notes=(f"{context.job.video.name}: {note}",) if note else (),
        facts={"pieces": len(pieces), "refused": analysis.refused},
    )


def load_analysis(folder: Path) -> Analysis:
    """What `run` published. Raises WorkError where it cannot be read."""
    return read_record(folder / ANALYSIS, Analysis)


def _analyze(context: StageContext) -> tuple[Analysis, list[Shot], str | None]:
    """The analysis, the pieces to cut clips from, and why the script is not used, if it is not."""
    config, video = context.config, context.job.video
    info, pts = film(video)
    if info.width * info.height > config.probe.max_pixels:
        raise InputError(f"its pictures have {info.width} x {info.height} pixels, over the limit")
    if info.duration > config.probe.max_hours * 3600:
        raise InputError(f"it is {info.duration / 3600:.1f} hours long, over the limit")
    settings = config.train.prepare
    if info.frames < LEAST_FRAMES or info.duration < settings.min_seconds:
        raise InputError(f"too short: {info.duration:.2f} s, {settings.min_seconds:g} needed")
    pictures_alone = settings.pictures > 0
    if not info.has_audio and not pictures_alone:
        raise InputError("it has no sound")
    shots = registry.load_engine("shots", config.shots.detector, config.shots)
    found = cast(base.ShotDetector, shots).detect(video, info, pts)
    found = without_short(found, pts, info, config.shots.min_seconds)
    pieces = _cut_long(found, float(info.average_rate), settings.max_seconds)
    aligned = context.job.script is not None and not pictures_alone
    script, note = _aligned(context, info, pts) if aligned else (None, None)
    return Analysis(info.frames, info.duration, len(pieces), script), pieces, note


def _cut_long(shots: Sequence[Shot], rate: float, longest: float) -> list[Shot]:
    """Shots, those over the longest in equal parts."""
    pieces: list[Shot] = []
    for shot in shots:
        parts = max(1, int(np.ceil(shot.frames / (longest * rate) - 1e-6)))
        edges = np.linspace(shot.start, shot.end, parts + 1).round().astype(int).tolist()
        pieces += [Shot(start, end) for start, end in itertools.pairwise(edges)]
    return pieces


def _aligned(
    context: StageContext, info: VideoInfo, pts: Integers
) -> tuple[tuple[TimedPhoneme, ...] | None, str | None]:
    """The script's phonemes, or None and why they cannot be used."""
    video, script, config = context.job.video, context.job.script, context.config
    assert script is not None
    start = float(times_of(info, pts[:1])[0])
    samples = load_span(video, start, start + info.duration)
    if samples is None:
        raise InputError("its sound cannot be decoded")
    try:
        lines = read_lines(script)
        speech = aligner(config, context.device).align(samples, lines, config.speech.language)
    except InputError as error:
        return None, f"its script is ignored: {error.message}"
    if speech.path != "script":
        return None, "its script is ignored: it does not match its sound"
    return tuple((p.symbol, p.start, p.end) for p in speech.phonemes), None


def identity(config: Config) -> str:
    """The engines that find shots and align scripts."""
    return f"{shots_stage.STAGE.identity(config)}, {speech_stage.STAGE.identity(config)}"


STAGE: Stage = Stage(
    name=SHOTS,
    per=Per.JOB,
    source=Source.VIDEO,
    after=(),
    run=run,
    version=1,
    sections=("probe", "shots", "speech", "train.prepare"),
    files=("video", "script"),
    identity=identity,
)
