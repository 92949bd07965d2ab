"""The first unit of preparing: what a file is, its shots, and where its script lies on its sound."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import Config
from dubkit.engines.base import Aligner, ShotDetector
from dubkit.engines.registry import load_engine
from dubkit.errors import DubkitError, InputError
from dubkit.media.audio import load_span
from dubkit.media.probe import probe
from dubkit.records import Shot, TimedPhoneme, VideoInfo
from dubkit.speech.auto import aligner_of
from dubkit.stages.shots import without_short
from dubkit.training.footage import read_lines

LEAST_FRAMES = 8


@dataclass(frozen=True, slots=True)
class LookTask:
    """One file to look at."""

    video: Path
    script: Path | None
    language: str | None
    config: Config
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Look:
    """What was found. Times are seconds from the file's first picture."""

    frames: int = 0
    seconds: float = 0.0
    pieces: tuple[tuple[int, int], ...] = ()  # frames, half-open: shots, long ones cut
    script: tuple[TimedPhoneme, ...] | None = None  # phonemes by the script, where it fits
    note: str | None = None
    refused: str | None = None  # why nothing of the file can be used


@lru_cache(maxsize=4)
def film(path: Path) -> tuple[VideoInfo, NDArray[np.int64]]:
    """Facts and frame times of a file; the pieces of one file follow one another."""
    return probe(path)


@lru_cache(maxsize=4)
def aligner(config: Config, device: str) -> Aligner:
    """The product's own aligner, one a process."""
    return aligner_of(config.speech, device)


def times_of(info: VideoInfo, pts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds of frames on the container's clock."""
    return np.asarray(pts * float(info.time_base), np.float64)


def look(task: LookTask) -> Look:
    """Look at one file; what cannot be used is a result with the reason, never an error."""
    try:
        return _look(task)
    except DubkitError as error:
        return Look(refused=error.message.replace(str(task.video), "it"))


def _look(task: LookTask) -> Look:
    info, pts = film(task.video)
    if info.width * info.height > task.config.probe.max_pixels:
        raise InputError(f"its pictures have {info.width} x {info.height} pixels, over the limit")
    if info.duration > task.config.probe.max_hours * 3600:
        raise InputError(f"it is {info.duration / 3600:.1f} hours long, over the limit")
    settings = task.config.train.prepare
    if info.frames < LEAST_FRAMES or info.duration < settings.min_seconds:
        raise InputError(f"too short: {info.duration:.2f} s, {settings.min_seconds:g} needed")
    pictures_alone = settings.pictures > 0
    if not info.has_audio and not pictures_alone:
        raise InputError("it has no sound")
    shots = load_engine("shots", task.config.shots.detector, task.config.shots)
    found = cast(ShotDetector, shots).detect(task.video, info, pts)
    found = without_short(found, pts, info, task.config.shots.min_seconds)
    pieces = _cut_long(found, float(info.average_rate), settings.max_seconds)
    aligned = task.script and not pictures_alone
    script, note = _aligned(task, info, pts) if aligned else (None, None)
    return Look(info.frames, info.duration, tuple(pieces), script, note)


def _cut_long(shots: Sequence[Shot], rate: float, longest: float) -> list[tuple[int, int]]:
    """Shots, those over the longest in equal parts."""
    pieces: list[tuple[int, int]] = []
    for shot in shots:
        parts = max(1, int(np.ceil(shot.frames / (longest * rate) - 1e-6)))
        edges = np.linspace(shot.start, shot.end, parts + 1).round().astype(int).tolist()
        pieces += list(itertools.pairwise(edges))
    return pieces


def _aligned(
    task: LookTask, info: VideoInfo, pts: NDArray[np.int64]
) -> tuple[tuple[TimedPhoneme, ...] | None, str | None]:
    """The script's phonemes, or None and why they cannot be used."""
    assert task.script is not None
    start = float(times_of(info, pts[:1])[0])
    samples = load_span(task.video, start, start + info.duration)
    if samples is None:
        raise InputError("its sound cannot be decoded")
    try:
        lines = read_lines(task.script)
        speech = aligner(task.config, task.device).align(samples, lines, task.language)
    except InputError as error:
        return None, f"its script is ignored: {error.message}"
    if speech.path != "script":
        return None, "its script does not match its sound and is ignored"
    return tuple((p.symbol, p.start, p.end) for p in speech.phonemes), None
