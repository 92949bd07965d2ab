"""Tune the generator to the film's own speakers, from their faces and the film's own sound.

Publishes ``verdict.json`` and, where held-out speech got better, ``actor.safetensors``. There is no recognition
of persons: the dubbed face of each shot is taken (the largest where several are dubbed), the longest first, and
only where its lips go with the sound; what was used is said in the notes. Does nothing unless it is asked to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubkit.config import Config
from dubkit.engines.identity import identity as engine_identity
from dubkit.engines.registry import load_module
from dubkit.errors import UsageError
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.work.store import write_record

ACTOR = "actor.safetensors"
VERDICT = "verdict.json"


@dataclass(frozen=True, slots=True)
class AdaptVerdict:
    """What came of it."""

    asked: bool
    kept: bool = False
    faces: int = 0
    seconds: float = 0.0  # of usable speech
    before: float = 0.0  # correlation of the opening on held-out speech
    after: float = 0.0


def actor_of(folder: Path) -> Path | None:
    """The profile that this stage published, if it kept one."""
    path = folder / ACTOR
    return path if path.is_file() else None


def identity(config: Config) -> str:
    """Aligner and net, where they are used. Raises UsageError for two profiles at once."""
    if not config.adapt.enabled:
        return "off"
    if config.generate.actor is not None:
        raise UsageError(
            "an actor profile is given, and another is to be made",
            hint="give --adapt or --actor, not both",
        )
    heard_by = engine_identity("aligner", config.speech.aligner, config.speech)
    return f"{heard_by}, {_work().articulator(config).digest}"


def run(context: StageContext) -> StageReport:
    """Tune, judge on held-out speech, publish what is better."""
    if context.config.adapt.enabled:
        report: StageReport = _work().adapt(context)
        return report
    write_record(context.out / VERDICT, AdaptVerdict(False))
    return StageReport()


def _work() -> Any:
    """The module that does it: it loads torch, which a run without it need not."""
    return load_module("dubkit.stages.tuning", what="adapting")


STAGE = Stage(
    name="adapt",
    per=Per.JOB,
    source=Source.VIDEO,
    after=("probe", "faces"),
    run=run,
    version=1,
    sections=("adapt",),
    files=("video",),
    identity=identity,
)
