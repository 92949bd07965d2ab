"""What a stage is: a record with a function.

A stage reads the published folders of the stages in ``after`` and writes into ``context.out`` only; the
runner publishes that folder by rename. A stage never learns of the manifest, of workers or of the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from pydantic import BaseModel

from dubkit.config.schema import Config
from dubkit.errors import WorkError
from dubkit.records import Decision, FileDigest, Job, Shot, Taken
from dubkit.work.folder import EarlierJob


class Per(Enum):
    """What one unit of a stage is."""

    JOB = "job"
    SHOT = "shot"


class Source(Enum):
    """What a stage's results depend on; units of the picture are shared by all dubs of a film."""

    VIDEO = "video"
    DUB = "dub"


@dataclass(frozen=True, slots=True)
class StageContext:
    """All that a stage may know of the run. Pickles."""

    job: Job
    config: Config
    out: Path  # an empty scratch folder
    inputs: Mapping[str, tuple[Path, ...]]  # stage name -> published folders, in film order
    shot: Shot | None = None
    decision: Decision | None = None  # a person's, on this shot; see `Stage.heeds_decision`
    taken: Taken | None = (
        None  # the shot of `Job.reuse` that it may take over; see `Stage.takes_over`
    )
    given: Mapping[str, FileDigest] = field(default_factory=dict)  # the input files, hashed
    device: str = "cpu"
    cores: int = 1  # how many it may keep busy; changes no result

    @property
    def earlier(self) -> EarlierJob:
        """The job of the earlier cut, where there is one. Raises WorkError."""
        if self.job.reuse is None:
            raise WorkError("there is no earlier cut to take over from")
        return EarlierJob(self.job.reuse)

    def folder(self, stage: str) -> Path:
        """The one published folder of an upstream stage (of this shot, where it works per shot)."""
        folders = self.inputs[stage]
        if len(folders) != 1:
            raise WorkError(f"stage {stage} has {len(folders)} results where one was expected")
        return folders[0]


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a stage says of its work, beside the files it wrote."""

    engine: str | None = None  # name and version
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    kept: str | None = None  # why the original picture is kept, though nothing failed


Selected = tuple[
    str, str, BaseModel
]  # an engine: its kind, its name and the settings, as `load_engine` takes them


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the pipeline.

    ``identity`` names the engines and weights that a configuration selects; it goes into the fingerprint
    with ``version``, the settings ``sections`` and the digests of the outputs read. ``files`` names the
    input files (attributes of `Job`) that it reads. ``engines`` are those whose libraries a worker may load
    beforehand. ``fallback`` makes the unit without what failed
    (the original picture of a shot); inputs of failed upstream stages are empty tuples there.

    A per-shot stage never lists ``shots`` in ``after``: its shot is its own identity, so moving one cut
    leaves the others alone.
    """

    name: str
    per: Per
    source: Source
    after: tuple[str, ...]
    run: Callable[[StageContext], StageReport]
    version: int
    sections: tuple[str, ...]
    files: tuple[str, ...] = ()
    identity: Callable[[Config], str] = lambda config: ""
    engines: Callable[[Config], Sequence[Selected]] = lambda config: ()
    gpu: bool = False
    # False: it is off, and its progress is not shown
    shown: Callable[[Config], bool] = lambda config: True
    heeds_decision: bool = False  # a person's decision on a shot is part of the unit's fingerprint
    takes_over: bool = False  # it may take over what an earlier cut's job made of the same frames
    fallback: Callable[[StageContext], StageReport] | None = None
