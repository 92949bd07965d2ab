"""What ``--json`` writes to stdout: one object a line, the last one always a ``result``.

Every object has ``event`` (its kind, the class attribute below) and ``time`` (seconds since the
command began), in a batch ``job`` (the name of the job that it is about), then the fields of its class.
``events.schema.json`` beside this file says the same for programs. New fields may be added; none is renamed or
removed within a major version. Readers should ignore events and fields that they do not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Literal

Status = Literal["done", "partial", "planned", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""

    event: ClassVar[str] = "event"


@dataclass(frozen=True, slots=True)
class Planned(Event):
    """A stage is about to run."""

    event: ClassVar[str] = "plan"
    stage: str
    units: int  # shots, or 1 where the stage works on the whole film
    current: int  # units already done by an earlier run
    frames: int  # frames of picture still to do; 0 where the stage does not look at the picture


@dataclass(frozen=True, slots=True)
class Advanced(Event):
    """One unit of a stage finished, or failed where ``error`` is not null."""

    event: ClassVar[str] = "unit"
    stage: str
    unit: str  # shot name ``0000120-0000248`` (frames, end excluded), or ``job``
    frames: int
    seconds: float
    error: str | None


@dataclass(frozen=True, slots=True)
class JobBegun(Event):
    """A job of a batch begins, beside others."""

    event: ClassVar[str] = "job"
    name: str
    number: int  # from 1
    count: int


@dataclass(frozen=True, slots=True)
class JobEnded(Event):
    """A job of a batch ended."""

    event: ClassVar[str] = "job_end"
    name: str
    status: str  # done | partial | failed | interrupted
    exit_code: int
    error: str | None


@dataclass(frozen=True, slots=True)
class ShotPlanned(Event):
    """A shot of a film that ``dubkit plan`` looked at."""

    event: ClassVar[str] = "shot"
    shot: str
    start: float  # seconds
    end: float
    frames: int
    faces: int
    dubbed: int
    who: str  # which face speaks, and why
    face: (
        Mapping[str, float] | None
    )  # of the dubbed face: width, share, yaw, pitch, confidence, to_dub
    speech: Mapping[str, float]  # seconds, phonemes, closures
    focus: float | None  # 1: sharp, 0: smeared
    risk: str  # none | low | medium | high
    reasons: list[dict[str, str]]  # kind, level, text
    to_paint: int  # frames that get a new mouth
    minutes: float | None  # of rendering, of one worker
    rendered: bool


@dataclass(frozen=True, slots=True)
class Gated(Event):
    """One measure of one dubbed face of a shot, held to its limit by the gate."""

    event: ClassVar[str] = "gate"
    shot: str
    face: int
    measure: str
    value: float | None  # null: there was nothing to measure, and ``reason`` says why
    limit: float
    better: str  # lower: at most the limit; higher: at least
    passed: bool
    reason: str
    verdict: str | None  # approve | reject, where a person has spoken
    kept: bool  # whether the shot keeps its original picture


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

    kind: str  # class name in `dubkit.errors`
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
