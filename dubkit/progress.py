"""The protocols through which long work reports its progress, and how people name the shots that it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

_SHOT = re.compile(r"(?:\bshot )?\b\d{7}-\d{7}\b(?!/)")


@dataclass(frozen=True, slots=True)
class ShotName:
    """What people call a shot; programs call it by its frames, ``0000120-0000248``."""

    number: int  # counted from 1
    timecode: str | None  # of its first frame; None where the film has no usable times

    def __str__(self) -> str:
        return f"shot {self.number}, {self.timecode}" if self.timecode else f"shot {self.number}"


ShotNames = Mapping[str, ShotName]  # by the frames of the shot


def in_words(text: str, names: ShotNames) -> str:
    """The text with number and time code in the place of each shot's frames."""

    def name(found: re.Match[str]) -> str:
        known = names.get(found[0].removeprefix("shot "))
        return str(known) if known else found[0]

    return _SHOT.sub(name, text)


class Progress(Protocol):
    """What a run reports. Called in the parent process only."""

    def plan(self, stage: str, units: int, current: int, frames: int) -> None:
        """A stage is about to run: units in all, units already current, frames of picture to do."""

    def advance(
        self, stage: str, unit: str, frames: int, seconds: float, error: str | None
    ) -> None:
        """A unit finished (``error`` is None) or failed."""

    def watch(self, frames: Callable[[], Mapping[str, int]]) -> None:
        """``frames`` says, whenever it is called, how many frames are done of units under way, by stage."""

    def name_shots(self, names: ShotNames) -> None:
        """The shots are known: what people call them. Messages have their frames."""

    def note(self, message: str) -> None:
        """A fact that the user should see: which engine and why, a fall-back taken."""

    def warn(self, message: str) -> None:
        """Something the user may want to change."""


class BatchProgress(Progress, Protocol):
    """What a batch reports in addition."""

    def begin_job(self, name: str, number: int, count: int) -> Progress:
        """Job ``number`` of ``count`` begins, parallel to others; returns the progress that its run reports to."""

    def end_job(self, name: str, state: str, exit_code: int, error: str | None) -> None:
        """The job ended: done, partial, failed or interrupted."""


class NoProgress:
    """Progress that is not shown; a base for those that show some of it."""

    def plan(self, stage: str, units: int, current: int, frames: int) -> None: ...

    def advance(
        self, stage: str, unit: str, frames: int, seconds: float, error: str | None
    ) -> None: ...

    def watch(self, frames: Callable[[], Mapping[str, int]]) -> None: ...

    def name_shots(self, names: ShotNames) -> None: ...

    def note(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...

    def begin_job(self, name: str, number: int, count: int) -> Progress:
        return self

    def end_job(self, name: str, state: str, exit_code: int, error: str | None) -> None: ...


def place_in_film(seconds: float) -> str:
    """Minutes and seconds of a film, as notes name a place."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"
