"""What ``--json`` writes to stdout: one object a line, the last one always a ``result``.

Every object has ``event`` (its kind, the class attribute below) and ``time`` (seconds since the
command began), in a batch ``job`` (the name of the job that it is about), then the fields of its class.
``dubkit schema`` prints the same for programs, made of these classes (`event_schema`): a text below a field describes
it there. New fields may be added; none is renamed or removed within a major version. Readers should ignore events and
fields that they do not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

Count = Annotated[int, Ge(0)]
Number = Annotated[int, Ge(1)]
Seconds = Annotated[float, Ge(0)]
Status = Literal["done", "partial", "planned", "failed", "interrupted"]
JobStatus = Literal["done", "partial", "failed", "interrupted"]
Decision = Literal["approve", "reject"]


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""

    __pydantic_config__: ClassVar = {"use_attribute_docstrings": True}
    event: ClassVar[str] = "event"


@dataclass(frozen=True, slots=True)
class Planned(Event):
    """A stage is about to run."""

    event: ClassVar[str] = "plan"
    stage: str
    units: Count
    """Shots, or 1 where the stage works on the whole film."""
    current: Count
    """Units already done by an earlier run."""
    frames: Count
    """Frames of picture still to do; 0 where the stage does not look at the picture."""


@dataclass(frozen=True, slots=True)
class Advanced(Event):
    """One unit of a stage finished, or failed where error is not null."""

    event: ClassVar[str] = "unit"
    stage: str
    unit: str
    """The frames of a shot, end excluded, as 0000120-0000248; or job."""
    frames: Count
    seconds: Seconds
    error: str | None
    number: Number | None = None
    """The shot's place in the film, from 1."""
    timecode: str | None = None
    """Of the shot's first frame, HH:MM:SS:FF."""


@dataclass(frozen=True, slots=True)
class Progressed(Event):
    """How far a run is, every few seconds, by the estimated work of its stages."""

    event: ClassVar[str] = "progress"
    share: Annotated[float, Ge(0)]
    """Of the work that is done, 0 to 1."""
    left: Seconds | None
    """Seconds to go; null before there is enough to go by."""


@dataclass(frozen=True, slots=True)
class JobBegun(Event):
    """A job of a batch begins, beside others."""

    event: ClassVar[str] = "job"
    name: str
    number: Number
    """Its place in the batch."""
    count: Number
    """Jobs of the batch."""


@dataclass(frozen=True, slots=True)
class JobEnded(Event):
    """A job of a batch ended."""

    event: ClassVar[str] = "job_end"
    name: str
    status: JobStatus
    exit_code: int
    error: str | None


@dataclass(frozen=True, slots=True)
class ShotPlanned(Event):
    """A shot of a film that dubkit plan looked at."""

    event: ClassVar[str] = "shot"
    shot: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""
    frames: Count
    faces: Count
    dubbed: Count
    """Faces that are dubbed."""
    who: str
    """Which face speaks, and why."""
    face: Mapping[str, float] | None
    """Of the dubbed face: width, share, yaw, pitch, confidence, to_dub."""
    speech: Mapping[str, float | None]
    """Seconds, phonemes, labials (P, B and M); null where words were not recognized."""
    focus: float | None
    """1: sharp, 0: smeared."""
    risk: Literal["none", "low", "medium", "high"]
    reasons: list[dict[str, str]]
    """Each with kind, level and text."""
    to_paint: Count
    """Frames that get a new mouth."""
    transitions: list[dict[str, object]]
    """Each with kind, start and end (frames, end excluded), which stay as filmed."""
    minutes: float | None
    """Of rendering, of one worker."""
    rendered: bool
    number: Number | None = None
    """The shot's place in the film, from 1."""
    timecode: str | None = None
    """Of the shot's first frame, HH:MM:SS:FF."""


@dataclass(frozen=True, slots=True)
class Gated(Event):
    """One measure of one dubbed face of a shot, held to its limit by the gate."""

    event: ClassVar[str] = "gate"
    shot: str
    face: Count
    measure: str
    value: float | None
    """Null: there was nothing to measure, and reason says why."""
    limit: float
    better: Literal["lower", "higher"]
    """lower: at most the limit; higher: at least."""
    passed: bool
    reason: str
    verdict: Decision | None
    """Where a person has decided."""
    kept: bool
    """Whether the shot keeps its original picture."""
    number: Number | None = None
    """The shot's place in the film, from 1."""
    timecode: str | None = None
    """Of the shot's first frame, HH:MM:SS:FF."""


@dataclass(frozen=True, slots=True)
class Noted(Event):
    """A fact: which engine was taken and why, a fall-back."""

    event: ClassVar[str] = "note"
    message: str


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something the user may want to change."""

    event: ClassVar[str] = "warning"
    message: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a command failed."""

    __pydantic_config__: ClassVar = {"use_attribute_docstrings": True}
    kind: str
    """A class of dubkit.errors."""
    message: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class Result(Event):
    """The last line: how the command ended."""

    event: ClassVar[str] = "result"
    status: Status
    exit_code: int
    output: str | None = None
    error: Failure | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


def to_line(event: Event, seconds: float, job: str | None = None) -> str:
    """One event as a line of JSON, without the newline."""
    head: dict[str, object] = {"event": event.event, "time": round(seconds, 3)}
    if job is not None:
        head["job"] = job
    return json.dumps({**head, **asdict(event)}, ensure_ascii=False, default=str)
