"""How long work reports its progress: the protocols, how far it is, and how people name the shots that it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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


def clock_text(seconds: float) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"


@dataclass(slots=True)
class Meter:
    """Speed and time left of one stage. ``now`` values are seconds of any steady clock."""

    units: int
    current: int  # done before this run
    frames: int  # to do in this run
    begun: float
    word: str = "shots"  # what the units are called
    done_units: int = 0
    done_frames: int = 0
    failed: int = 0
    live: Callable[[], int] = int  # frames done of units under way
    latest: float = field(init=False)

    def __post_init__(self) -> None:
        self.latest = self.begun

    def advance(self, frames: int, failed: bool, now: float) -> None:
        """Count one unit."""
        self.done_units += 1
        self.done_frames += frames
        self.failed += failed
        self.latest = now

    @property
    def finished(self) -> bool:
        return self.current + self.done_units >= self.units

    @property
    def work(self) -> tuple[int, int]:
        """(done, to do) in this run: frames where there are any, also of units under way, else units."""
        if self.frames:
            return min(self.frames, self.done_frames + self.live()), self.frames
        return self.done_units, self.units - self.current

    @property
    def share(self) -> float:
        """Of its work that is done, by this run or an earlier one, 0 to 1."""
        done, todo = self.work
        fresh = done / todo if todo else 1.0
        kept = self.current / self.units if self.units else 1.0
        return kept + (1 - kept) * min(fresh, 1.0)

    @property
    def speed(self) -> float | None:
        """Frames a second; None before the first unit or without frames."""
        spent = self.latest - self.begun
        return self.done_frames / spent if self.done_frames and spent > 0 else None

    def left(self, now: float) -> float | None:
        """Seconds to go, None while unknown."""
        done, todo = self.work
        if not done:
            return None
        since = now if done > self.done_frames and self.frames else self.latest
        seconds = (since - self.begun) * (todo - done) / done
        return max(0.0, seconds - (now - since))

    def describe(self, now: float) -> str:
        """Return the state in words: ``3/8 shots, 51.2 frames/s, 0:14 left``."""
        parts = [f"{self.current + self.done_units}/{self.units}"]
        parts[0] += f" {self.word}" if self.units != 1 else ""
        done, todo = self.work
        if self.frames and self.done_frames < done < todo:
            parts.append(f"{done} of {todo} frames")
        if self.speed is not None:
            parts.append(f"{self.speed:.1f} frames/s")
        left = self.left(now)
        if left is not None and not self.finished:
            parts.append(f"{clock_text(left)} left")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return ", ".join(parts)


# percent of a run's time, as measured on films of 10 and 60 seconds; only their ratios matter
_SHARES = {
    "probe": 2, "conform": 3, "shots": 9, "speech": 9, "faces": 30, "appearance": 5, "cast": 1, "adapt": 2,
    "references": 1, "timing": 1, "generate": 34, "gate": 1, "stitch": 2,
}  # fmt: skip
_LEAST_SHARE = 0.05  # of a run, from which its time is estimated


class Overall:
    """How far a whole run is, by the estimated work of its stages. ``now`` values are seconds of any steady clock."""

    def __init__(self, stages: Sequence[str], begun: float) -> None:
        self.stages = stages
        self.begun = begun
        self.meters: dict[str, Meter] = {}

    @property
    def has_begun(self) -> bool:
        """Whether any work has begun."""
        return bool(self.meters)

    @property
    def share(self) -> float:
        """Of the run's work that is done, 0 to 1."""
        done = sum(_SHARES.get(s, 1) * m.share for s, m in self.meters.items() if s in self.stages)
        return done / sum(_SHARES.get(stage, 1) for stage in self.stages) if self.stages else 1.0

    @property
    def _kept(self) -> float:
        """The share that an earlier run had done, as far as that is known."""
        rows = (
            (s, m.current / max(m.units, 1)) for s, m in self.meters.items() if s in self.stages
        )
        whole = sum(_SHARES.get(stage, 1) for stage in self.stages)
        return sum(_SHARES.get(stage, 1) * part for stage, part in rows) / whole

    def left(self, now: float) -> float | None:
        """Seconds to go, as many as any stage under way has; None before there is enough to go by."""
        fresh = self.share - self._kept
        if fresh < _LEAST_SHARE:
            return None
        stages = (meter.left(now) for meter in list(self.meters.values()) if not meter.finished)
        return max(
            (now - self.begun) * (1 - self.share) / fresh, *(left or 0.0 for left in stages), 0.0
        )

    def describe(self, now: float) -> str:
        """Return the state in words: ``42 %, 1:05 elapsed, about 1:30 left``."""
        left = self.left(now)
        rest = "" if left is None or self.share >= 1 else f", about {clock_text(left)} left"
        return f"{self.share:.0%}, {clock_text(now - self.begun)} elapsed{rest}".replace("%", " %")


class WholeBatch(Overall):
    """How far a batch is, by the frames of its jobs, of which each has the same stages."""

    def __init__(self, stages: Sequence[str], frames: Mapping[str, int], begun: float) -> None:
        super().__init__(stages, begun)
        self._frames = frames
        self.jobs: dict[str, Overall] = {}

    def begin(self, name: str, now: float) -> Overall:
        """A job begins; its meters are the caller's to add."""
        self.jobs[name] = Overall(self.stages, now)
        return self.jobs[name]

    def end(self, name: str) -> None:
        """The job ended, however."""
        self.jobs[name] = Overall((), self.begun)

    @property
    def has_begun(self) -> bool:
        """Whether any job has begun."""
        return bool(self.jobs)

    @property
    def share(self) -> float:
        """Of the batch's work that is done, 0 to 1."""
        done = sum(self._frames.get(name, 0) * job.share for name, job in list(self.jobs.items()))
        return done / max(1, sum(self._frames.values()))

    def left(self, now: float) -> float | None:
        """Seconds to go; None before there is enough to go by."""
        share = self.share
        return None if share < _LEAST_SHARE else (now - self.begun) * (1 - share) / share


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
