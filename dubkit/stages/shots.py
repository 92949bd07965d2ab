"""Split the film into shots and find the transitions between them, which stay as filmed.

Publishes ``shots.json`` and ``shots.csv`` (to correct by hand).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from dubkit.config.schema import Config
from dubkit.engines import base, registry, shot_borders
from dubkit.engines.versions import identity as engine_identity
from dubkit.errors import WorkError
from dubkit.media import probe, shotlist
from dubkit.progress import place_in_film
from dubkit.records import Doubles, Integers, Shot, Transition, VideoInfo
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.stages.probe import load_film
from dubkit.work.store import read_record, write_record

SHOTS = "shots.json"
LIST = "shots.csv"
_NAMED = 8  # transitions of a kind that a note names


def load_shots(folder: Path) -> list[Shot]:
    """What this stage published."""
    return read_record(folder / SHOTS, list[Shot])


def run(context: StageContext) -> StageReport:
    """Take the shots from the job's list, or detect them."""
    info, pts = load_film(context.folder("probe"))
    if context.job.shots is not None:
        listed = shotlist.read_shots(context.job.shots, info.frames // info.lines)
        from dubkit.engines.shot_detectors import transitions  # loads PySceneDetect

        known = transitions(context.job.video, info, pts)
        shots = [
            with_transitions(Shot(shot.start * info.lines, shot.end * info.lines), known)
            for shot in listed
        ]
        engine = f"list {shot_borders.VERSION}"
    else:
        detector = _detector(context.config)
        found = detector.detect(context.job.video, info, pts)
        _refuse_damaged(context, detector, info.frames)
        shots = without_short(whole(found, info), pts, info, context.config.shots.min_seconds)
        engine = f"{detector.name} {detector.version}"
    check_tiling(shots, info.frames)
    write_record(context.out / SHOTS, shots, list[Shot])
    coded = [Shot(shot.start // info.lines, shot.end // info.lines) for shot in shots]
    shotlist.write_shots(context.out / LIST, coded)
    spans = [span for shot in shots for span in shot.transitions]
    return StageReport(
        engine=engine,
        notes=tuple(_notes(spans, (pts - pts[0]) * float(info.time_base))),
        facts={"shots": len(shots), "transition_frames": sum(s.end - s.start for s in spans)},
    )


def _notes(spans: Sequence[Transition], times: Doubles) -> Iterator[str]:
    """Where the film stays as filmed because one picture turns into another; one line for each kind."""
    for kind in sorted({span.kind for span in spans}):
        places = [span for span in spans if span.kind == kind]
        seconds = [place_in_film(float(times[span.start])) for span in places[:_NAMED]]
        more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
        frames = sum(span.end - span.start for span in places)
        yield f"{kind}: {frames} frames stay as filmed, at {', '.join(seconds)}{more}"


def with_transitions(shot: Shot, spans: Sequence[Transition]) -> Shot:
    """The shot with the parts of ``spans`` that lie in it."""
    return Shot(shot.start, shot.end, tuple(shot_borders.within(spans, shot.start, shot.end)))


def _refuse_damaged(context: StageContext, detector: base.ShotDetector, frames: int) -> None:
    """An engine that looks at every picture may say how many are none, long before the film is made."""
    damaged = getattr(detector, "repaired", 0)
    probe.refuse_damaged(context.job.video, damaged, frames, context.config.probe.max_damaged)


def whole(shots: list[Shot], info: VideoInfo) -> list[Shot]:
    """Shots of whole coded frames: a cut between two fields of a frame moves behind it."""
    starts = sorted({-(-shot.start // info.lines) * info.lines for shot in shots} - {info.frames})
    spans = [span for shot in shots for span in shot.transitions]
    edges = zip(starts, [*starts[1:], info.frames], strict=True)
    return [with_transitions(Shot(a, b), spans) for a, b in edges]


def without_short(
    shots: list[Shot], pts: Integers, info: VideoInfo, min_seconds: float
) -> list[Shot]:
    """Join shots shorter than ``min_seconds`` with the one before, the first with the one after.

    For engines that only count; ``adaptive`` joins by the picture.
    """
    times = (pts - pts[0]) * float(info.time_base)
    end = max(info.duration, float(times[-1]))
    starts = [0]
    for shot in shots[1:]:
        began = float(times[shot.start])
        if began - float(times[starts[-1]]) >= min_seconds and end - began >= min_seconds:
            starts.append(shot.start)
    spans = [span for shot in shots for span in shot.transitions]
    edges = zip(starts, [*starts[1:], info.frames], strict=True)
    return [with_transitions(Shot(a, b), spans) for a, b in edges]


def check_tiling(shots: list[Shot], frames: int) -> None:
    """Raise WorkError where shots leave a frame out or hold one twice: an engine's fault."""
    edges = [0, *(shot.end for shot in shots)]
    tiled = all(shot.start == a < shot.end for shot, a in zip(shots, edges, strict=False))
    if not tiled or edges[-1] != frames:
        raise WorkError(
            f"the shots of the shot engine do not cover the film's {frames} frames",
            hint="choose another with --set shots.detector=adaptive",
        )


def identity(config: Config) -> str:
    """The shot engine, and what finds transitions where shots come from a list."""
    engine = engine_identity("shots", config.shots.detector, config.shots)
    return f"{engine}, {shot_borders.VERSION}"


def _detector(config: Config) -> base.ShotDetector:
    return cast(
        base.ShotDetector, registry.load_engine("shots", config.shots.detector, config.shots)
    )


STAGE = Stage(
    name="shots",
    per=Per.JOB,
    source=Source.VIDEO,
    after=("probe",),
    run=run,
    version=2,
    sections=("shots", "probe"),
    files=("video", "shots"),
    identity=identity,
)
