"""Tune the generator to the film's own speakers, each by what their face does with the film's own sound.

Publishes ``verdict.json`` and, for every person whose held-out speech got better, ``person_N.safetensors``. Nobody
is recognised: dubbed faces that look alike in one set-up are taken for one person (or all of them, where a
setting says so), and only where their lips go with the sound. Does nothing unless it is asked to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubkit.config.schema import Config
from dubkit.engines.registry import load_module
from dubkit.errors import UsageError
from dubkit.stages import speech
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.work.store import read_record, write_record

VERDICT = "verdict.json"


@dataclass(frozen=True, slots=True)
class PersonVerdict:
    """What came of one person."""

    name: str
    faces: tuple[str, ...]  # all that look like this person, each as SHOT/TRACK
    heard: int  # of them, those that move with the film's own sound
    seconds: float  # of their usable speech
    before: float = 0.0  # error on held-out speech, `synthesis.lesson`
    after: float = 0.0
    profile: str | None = None  # file, where it was kept

    @property
    def kept(self) -> bool:
        return self.profile is not None


@dataclass(frozen=True, slots=True)
class AdaptVerdict:
    """What came of it, person by person."""

    asked: bool
    persons: tuple[PersonVerdict, ...] = ()


def actors_of(folder: Path) -> dict[str, Path]:
    """The profiles that this stage kept, by the faces (SHOT/TRACK) that they are for."""
    verdict = read_record(folder / VERDICT, AdaptVerdict)
    return {
        face: folder / person.profile
        for person in verdict.persons
        if person.profile is not None
        for face in person.faces
    }


def identity(config: Config) -> str:
    """Aligner and net, where they are used. Raises UsageError for two profiles at once."""
    if not config.adapt.enabled:
        return "off"
    if config.generate.actor is not None:
        raise UsageError(
            "an actor profile is given, and another is to be made",
            hint="give --adapt or --actor, not both",
        )
    heard_by = speech.identity(config)
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
    version=3,
    sections=("adapt",),
    files=("video",),
    identity=identity,
)
