"""Measure what was made of one shot, and keep its original picture where that is better.

Publishes ``gate.json`` (`dubkit.measures.checks.GateResult`) and, where the shot keeps its picture, the shot's own
``segment.nut`` and ``result.json`` in place of those of the stage ``generate``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from dubkit.config import Config, FaceSettings
from dubkit.engines.identity import identity as engine_identity
from dubkit.engines.registry import load_engine, load_module
from dubkit.errors import WorkError
from dubkit.faces.store import load_choice, load_tracks
from dubkit.faces.trail import Locator
from dubkit.faces.wanted import FADE_SECONDS
from dubkit.measures.checks import GATE, FaceChecks, GateResult, check, judge
from dubkit.measures.lips import Series
from dubkit.measures.meter import FaceMeter
from dubkit.measures.sampling import looks
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.probe import probe
from dubkit.records import FaceState, FaceTrack, VideoInfo
from dubkit.stages import generate
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.stages.probe import load_film
from dubkit.synthesis.timing import Timing, load_timing
from dubkit.work.store import read_record, write_record


def run(context: StageContext) -> StageReport:
    """Judge one shot."""
    if context.shot is None:
        raise WorkError("the gate works on shots, but was given none")
    settings = context.config.gate
    faces = () if settings.action == "off" else tuple(_faces(context))
    result = judge(context.shot.name, faces, settings)
    if result.kept:
        generate.keep_original(context)
    write_record(context.out / GATE, result)
    why = "; ".join(result.reasons)
    warned = not result.passed and not result.kept and result.verdict is None
    return StageReport(
        kept=why if result.kept else None,
        warnings=(f"fails the gate: {why}",) if warned else (),
        facts={
            "measured": int(bool(faces)),
            "failed": int(not result.passed),
            "kept": int(result.kept),
            "approved": int(result.verdict == "approve"),
        },
    )


def load_gate(folder: Path) -> GateResult:
    """What the gate said of a shot. Raises WorkError where it cannot be read."""
    return read_record(folder / GATE, GateResult)


def _faces(context: StageContext) -> Iterator[FaceChecks]:
    """The checks of each face that was dubbed."""
    cv2.setNumThreads(1)  # workers share the cores
    made = context.folder("generate")
    if not read_record(made / generate.RESULT, generate.GenerateResult).touched:
        return
    info, pts = load_film(context.folder("probe"))
    timing = load_timing(context.folder("timing"))
    meters = _meters(context, info, timing)
    for source, frame in _pairs(context, info, pts, made / generate.SEGMENT) if meters else ():
        for meter in meters:
            if meter.wants(source.index):
                meter.look(source, frame)
    voices = generate.Cast(context)
    still = context.config.generate.silence != "original"
    for meter in meters:
        rows = _span(context, meter.track)
        wanted = _wanted(timing, voices.config(meter.track))[rows]
        found = meter.values(timing.times[rows], timing.phonemes, wanted, still)
        yield FaceChecks(meter.track.track, meter.frames, check(found, context.config.gate))


def _wanted(timing: Timing, config: Config) -> Series:
    """(T,) the opening over face width that the phonemes ask for, in the shot's frames."""
    found: Series = load_module("dubkit.engines.tcsc", what="the gate").wanted_opening(
        timing, config.generate
    )
    return found


@lru_cache(maxsize=1)
def _locator(settings: FaceSettings, device: str, _weights: str) -> Locator:
    """The landmarker, once a process: loading it takes as long as ten frames, and a film has many shots."""
    return cast(Locator, load_engine("landmarker", settings.landmarker, settings, device))


def _span(context: StageContext, track: FaceTrack) -> slice:
    """A track's rows among the shot's."""
    assert context.shot is not None
    row = track.start - context.shot.start
    return slice(row, row + len(track))


def _meters(context: StageContext, info: VideoInfo, timing: Timing) -> list[FaceMeter]:
    settings = context.config.faces
    name = engine_identity("landmarker", settings.landmarker, settings)
    locator = _locator(settings, context.device, name)
    rate = float(info.average_rate)
    folder = context.folder("faces")
    choices = {choice.track: choice for choice in load_choice(folder)}
    edge = max(1, round(FADE_SECONDS * rate))
    meters = []
    for track in load_tracks(folder):
        choice = choices[track.track]
        rows = choice.usable & (track.state == FaceState.SEEN)
        if choice.dubbed and rows.any():
            times = timing.times[_span(context, track)]
            chosen = looks(_inside(rows, edge), times, timing.phonemes, rate)
            meters.append(FaceMeter(track, chosen, locator))
    return meters


def _inside(rows: np.ndarray, edge: int) -> np.ndarray:
    """Rows farther than ``edge`` from one that is not: near it the new mouth fades."""
    near = np.convolve(~rows, np.ones(2 * edge + 1), "full")[edge : edge + len(rows)] > 0.5
    return np.asarray(rows & ~near, np.bool_)


def _pairs(
    context: StageContext, info: VideoInfo, pts: np.ndarray, segment: Path
) -> Iterator[tuple[Frame, Frame]]:
    """Every frame of the shot as filmed and as made; both with the film's own facts and number."""
    shot = context.shot
    assert shot is not None
    there, times = probe(segment)
    like = replace(info, pixel_format=there.pixel_format, frames=there.frames, video_stream=0)
    threads = context.cores
    filmed = FrameReader(context.job.video, info, pts, threads).read(shot.start, shot.end)
    made = FrameReader(segment, like, times, threads).read(0, there.frames)
    yield from zip(filmed, made, strict=True)


def identity(config: Config) -> str:
    """The landmarker that looks, and what says which mouth was wanted."""
    settings = config.faces
    looks = engine_identity("landmarker", settings.landmarker, settings)
    return f"{looks}, {generate.identity(config)}"


STAGE = Stage(
    name="gate",
    per=Per.SHOT,
    source=Source.DUB,
    after=("probe", "faces", "adapt", "timing", "generate"),
    run=run,
    version=2,
    sections=("gate", "generate"),
    files=("video",),
    identity=identity,
    gpu=True,
)
