"""The protocols through which long work reports its progress."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a run reports. Called in the parent process only."""

    def plan(self, stage: str, units: int, current: int, frames: int) -> None:
        """A stage is about to run: units in all, units already current, frames of picture to do."""

    def advance(
        self, stage: str, unit: str, frames: int, seconds: float, error: str | None
    ) -> None:
        """A unit finished (``error`` is None) or failed."""

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
    """Progress that is not shown."""

    def plan(self, stage: str, units: int, current: int, frames: int) -> None: ...

    def advance(
        self, stage: str, unit: str, frames: int, seconds: float, error: str | None
    ) -> None: ...

    def note(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...

    def begin_job(self, name: str, number: int, count: int) -> Progress:
        return self

    def end_job(self, name: str, state: str, exit_code: int, error: str | None) -> None: ...


def place_in_film(seconds: float) -> str:
    """Minutes and seconds of a film, as notes name a place."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"
