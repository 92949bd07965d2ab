"""Progress for people and for programs: a live display, timed lines, or JSON events."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock, Thread
from types import MappingProxyType
from typing import Protocol, cast

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress as Bars,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.progress_bar import ProgressBar
from rich.text import Text

from dubkit.cli import events
from dubkit.cli.console import printable, stderr_console, write_line
from dubkit.progress import (
    BatchProgress,
    Meter,
    Overall,
    ShotNames,
    WholeBatch,
    clock_text as clock_text,
    in_words,
)

_WORDS = {"clips": "pieces", "tc": "checks", "sc": "checks"}


def unit_word(stage: str) -> str:
    """Return what the units of a stage are called: shots, except in trainings."""
    return _WORDS.get(stage, "shots")


Clock = Callable[[], float]
LINE_EVERY = 5.0  # seconds between two plain lines of one stage
ALIVE_EVERY = 30.0  # seconds without a line after which one says how far the run is


class Reporter(BatchProgress, Protocol):
    """Progress of a command, with the events of its answer and its end."""

    names: ShotNames
    ended: bool

    def expect(self, stages: Sequence[str]) -> None:
        """These stages are to come: from here on the whole is reported too."""

    def expect_jobs(self, stages: Sequence[str], frames: Mapping[str, int]) -> None:
        """These jobs of a batch are to come, with their frames of picture: the whole batch is reported too."""

    def emit(self, event: events.Event) -> None:
        """Report an event of the answer, for programs."""

    def finish(self, result: events.Result) -> None:
        """Report how the command ended."""


class UnderWay:
    """Frames of units under way, read at most twice a second."""

    def __init__(self, read: Callable[[], Mapping[str, int]], clock: Clock) -> None:
        self._read, self._clock = read, clock
        self._due = clock()
        self._frames: Mapping[str, int] = {}

    def of(self, stage: str) -> int:
        """The frames of a stage."""
        if self._clock() >= self._due:
            self._due = self._clock() + 0.5
            self._frames = self._read()
        return self._frames.get(stage, 0)


class _Watching:
    """What all reporters share that show how far a unit is."""

    under_way = UnderWay(dict, time.monotonic)
    _expected: Overall | None = None  # until the run ends
    ended = False

    def _job_begins(self, name: str, now: float) -> Overall | None:
        """How far a job of the whole batch is, where that is reported."""
        return self._expected.begin(name, now) if isinstance(self._expected, WholeBatch) else None

    def _job_ends(self, name: str) -> None:
        if isinstance(self._expected, WholeBatch):
            self._expected.end(name)

    def stay_alive(self, show_alive: Callable[[], None]) -> None:
        """Until the command ends, call ``show_alive`` every second in a thread of its own."""

        def show() -> None:
            while not self.ended:
                time.sleep(1)
                show_alive()

        Thread(target=show, daemon=True).start()

    def watch(self, frames: Callable[[], Mapping[str, int]]) -> None:
        """Count frames of units under way too."""
        self.under_way = UnderWay(frames, time.monotonic)


class _InWords(_Watching):
    """What reporters for people share: shots have their numbers and time codes."""

    names: ShotNames = MappingProxyType({})

    def expect(self, stages: Sequence[str]) -> None:
        """Do nothing."""

    def expect_jobs(self, stages: Sequence[str], frames: Mapping[str, int]) -> None:
        """Do nothing."""

    def emit(self, event: events.Event) -> None:
        """Do nothing: the command prints its answer."""

    def finish(self, result: events.Result) -> None:
        """Do nothing: the command prints its answer."""

    def name_shots(self, names: ShotNames) -> None:
        """Name the shots so from here on."""
        self.names = names

    def _failed(self, stage: str, unit: str, error: str) -> str:
        about = stage if unit == "job" else f"{stage} of shot {unit}"
        return f"{about} failed: {error}"


class LineReporter(_InWords):
    """Plain timed lines on stderr, for logs and pipes."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._about = ""
        self._meters: dict[str, Meter] = {}
        self._last_line: dict[str, float] = {}
        self._console = stderr_console()
        self._printed = clock()
        self._jobs: dict[str, LineReporter] = {}

    def expect(self, stages: Sequence[str]) -> None:
        """From here on, how far the whole run is stands in the lines of `show_alive`."""
        self._expected = Overall(stages, self._begun)

    def expect_jobs(self, stages: Sequence[str], frames: Mapping[str, int]) -> None:
        """From here on, how far the whole batch is stands there too, and what its jobs do."""
        self._expected = WholeBatch(stages, frames, self._begun)

    def show_alive(self) -> None:
        """Print how far it is, where `ALIVE_EVERY` seconds brought no other line."""
        now, jobs = self._clock(), list(self._jobs.values())
        parts = [self._expected.describe(now)] if self._expected else []
        parts += [part for reporter in (self, *jobs) for part in reporter._stages(now)]
        printed = max(reporter._printed for reporter in (self, *jobs))
        if parts and not self.ended and now - printed >= ALIVE_EVERY:
            self._print("; ".join(parts))

    def _stages(self, now: float) -> list[str]:
        """What is under way."""
        meters = list(self._meters.items())
        return [f"{self._about}{s} {m.describe(now)}" for s, m in meters if not m.finished]

    def plan(self, stage: str, units: int, current: int, frames: int) -> None:
        """Open a stage; print only what was kept, since the first line of work follows."""
        self._meters[stage] = Meter(units, current, frames, self._clock(), unit_word(stage))
        self._meters[stage].live = partial(self.under_way.of, stage)
        if self._expected is not None:
            self._expected.meters[stage] = self._meters[stage]
        self._last_line[stage] = self._clock()
        if current:
            self._print(f"{stage}: {current} of {units} done earlier, kept")

    def advance(
        self, stage: str, unit: str, frames: int, seconds: float, error: str | None
    ) -> None:
        """Count a unit; print a line every few seconds, one at the end, one for every failure."""
        now = self._clock()
        meter = self._meters[stage]
        meter.advance(frames, error is not None, now)
        if error is not None:
            self._print(self._failed(stage, unit, error))
        if meter.finished or now - self._last_line[stage] >= LINE_EVERY:
            self._last_line[stage] = now
            self._print(f"{stage}: {meter.describe(now)}")

    def begin_job(self, name: str, number: int, count: int) -> LineReporter:
        """Print that it begins; return a reporter that puts the job's name before its lines."""
        self._print(f"job {number} of {count}: {name}")
        own = LineReporter(self._clock)
        own._begun, own._about = self._begun, f"{name}: "
        own._expected = self._job_begins(name, self._clock())
        self._jobs[name] = own
        return own

    def end_job(self, name: str, state: str, exit_code: int, error: str | None) -> None:
        """Print how it ended."""
        self._jobs.pop(name, None)
        self._job_ends(name)
        self._print(f"{name}: {state}{f': {error}' if error else ''}")

    def note(self, message: str) -> None:
        """Print a fact."""
        self._print(message)

    def warn(self, message: str) -> None:
        """Print a warning."""
        self._print(f"warning: {message}")

    def finish(self, result: events.Result) -> None:
        """Say no more how far it is: the command prints its answer."""
        self.ended = True

    def _print(self, text: str) -> None:
        self._printed = self._clock()
        stamp = clock_text(self._clock() - self._begun).rjust(5)
        self._console.print(
            f"{stamp} {self._about}{in_words(text, self.names)}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


class QuietReporter(_InWords):
    """Only warnings and failures."""

    def __init__(self, about: str = "") -> None:
        self._about = about

    def plan(self, stage: str, units: int, current: int, frames: int) -> None:
        """Do nothing."""

    def advance(
        self, stage: str, unit: str, frames: int, seconds: float, error: str | None
    ) -> None:
        """Print a line for a failure only."""
        if error is not None:
            self.warn(self._failed(stage, unit, error))

    def begin_job(self, name: str, number: int, count: int) -> QuietReporter:
        """Return a reporter that puts the job's name before its warnings."""
        return QuietReporter(f"{name}: ")

    def end_job(self, name: str, state: str, exit_code: int, error: str | None) -> None:
        """Print a line for a failure only."""
        if error is not None:
            self.warn(f"{name}: {state}: {error}")

    def note(self, message: str) -> None:
        """Do nothing."""

    def warn(self, message: str) -> None:
        """Print a warning."""
        text = f"warning: {self._about}{in_words(message, self.names)}"
        stderr_console().print(text, markup=False, highlight=False, soft_wrap=True)


class JsonReporter(_Watching):
    """One JSON object a line on stdout; see `dubkit.cli.events`."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._job: str | None = None
        self.names: ShotNames = {}
        self._reported = self._begun
        self._lock = Lock()

    def expect(self, stages: Sequence[str]) -> None:
        """From here on, a ``progress`` event is written every few seconds."""
        self._expected = Overall(stages, self._begun)
        self.stay_alive(self.show_alive)

    def expect_jobs(self, stages: Sequence[str], frames: Mapping[str, int]) -> None:
        """From here on, ``progress`` events say how far the whole batch is."""
        self._expected = WholeBatch(stages, frames, self._begun)
        self.stay_alive(self.show_alive)

    def show_alive(self) -> None:
        """Write how far the run, or the batch, is, where that was not written for a while."""
        overall, now = self._expected, self._clock()
        if self._job or overall is None or not overall.has_begun:
            return
        if now - self._reported < LINE_EVERY:
            return
        self._reported = now
        left = overall.left(now)
        rest = None if left is None else round(left, 1)
        self._write(events.Progressed(round(overall.share, 3), rest))

    def plan(self, stage: str, units: int, current: int, frames: int) -> None:
        """Write a ``plan`` event."""
        if self._expected is not None:
            meter = Meter(
                units, current, frames, self._clock(), live=partial(self.under_way.of, stage)
            )
            self._expected.meters[stage] = meter
        self._write(events.Planned(stage, units, current, frames))

    def advance(
        self, stage: str, unit: str, frames: int, seconds: float, error: str | None
    ) -> None:
        """Write a ``unit`` event."""
        name = self.names.get(unit)
        number, code = (name.number, name.timecode) if name else (None, None)
        spent = round(seconds, 3)
        self._write(events.Advanced(stage, unit, frames, spent, error, number, code))
        now = self._clock()
        if self._expected is None or stage not in self._expected.meters:
            return
        self._expected.meters[stage].advance(frames, error is not None, now)
        self.show_alive()

    def name_shots(self, names: ShotNames) -> None:
        """Add them to the events from here on."""
        self.names = names

    def begin_job(self, name: str, number: int, count: int) -> JsonReporter:
        """Write a ``job`` event; return a reporter whose events carry the job's name."""
        self._write(events.JobBegun(name, number, count))
        own = JsonReporter(self._clock)
        own._begun, own._job = self._begun, name
        own._expected = self._job_begins(name, self._clock())
        return own

    def end_job(self, name: str, state: str, exit_code: int, error: str | None) -> None:
        """Write a ``job_end`` event."""
        self._job_ends(name)
        self._write(events.JobEnded(name, cast(events.JobStatus, state), exit_code, error))

    def note(self, message: str) -> None:
        """Write a ``note`` event."""
        self._write(events.Noted(message))

    def warn(self, message: str) -> None:
        """Write a ``warning`` event."""
        self._write(events.Warned(message))

    def emit(self, event: events.Event) -> None:
        """Write it."""
        self._write(event)

    def finish(self, result: events.Result) -> None:
        """Write the ``result``, the last line."""
        with self._lock:
            self.ended = True
            self._line(result)

    def _write(self, event: events.Event) -> None:
        with self._lock:
            if not self.ended:
                self._line(event)

    def _line(self, event: events.Event) -> None:
        write_line(printable(events.to_line(event, self._clock() - self._begun, self._job)))


class _State(ProgressColumn):
    """The meter of a task in words."""

    def render(self, task: Task) -> Text:
        meter: Meter | Overall = task.fields["meter"]
        bad = isinstance(meter, Meter) and meter.failed
        return Text(meter.describe(time.monotonic()), style="red" if bad else "")


class _Share(BarColumn):
    """The bar of a task: its share of work, with the frames of units under way."""

    def render(self, task: Task) -> ProgressBar:
        meter: Meter | Overall = task.fields["meter"]
        bar = super().render(task)
        bar.total, bar.completed = 1.0, meter.share
        return bar


class _Mark(SpinnerColumn):
    """A spinner, then a tick; a cross where a unit of the stage failed."""

    def render(self, task: Task) -> RenderableType:
        meter: Meter | Overall = task.fields["meter"]
        if task.finished and isinstance(meter, Meter) and meter.failed:
            return Text("✗", style="red")
        return super().render(task)


class LiveReporter(_InWords):
    """A bar for every stage, redrawn in place."""

    def __init__(self, console: Console, bars: Bars | None = None, about: str = "") -> None:
        self.bars = bars or Bars(
            _Mark(finished_text="[green]✓"),
            TextColumn("{task.description}", markup=False),
            _Share(bar_width=20),
            _State(),
            console=console,
            refresh_per_second=4,
        )
        self._about = about
        self._jobs: dict[str, LiveReporter] = {}
        self._meters: dict[str, tuple[TaskID, Meter]] = {}
        self._whole: TaskID | None = None  # the bar of the whole run or batch

    def expect(self, stages: Sequence[str]) -> None:
        """Add a bar for the whole run above those of its stages."""
        self._expected = Overall(stages, time.monotonic())
        self._whole = self.bars.add_task("whole run", total=1.0, meter=self._expected)

    def expect_jobs(self, stages: Sequence[str], frames: Mapping[str, int]) -> None:
        """Add a bar for the whole batch above those of its jobs."""
        self._expected = WholeBatch(stages, frames, time.monotonic())
        self._whole = self.bars.add_task("whole batch", total=1.0, meter=self._expected)

    def _move_whole(self) -> None:
        if self._whole is not None and self._expected is not None:
            self.bars.update(self._whole, completed=self._expected.share)

    def plan(self, stage: str, units: int, current: int, frames: int) -> None:
        """Add a bar, or restart it when a stage is planned again."""
        meter = Meter(units, current, frames, time.monotonic(), unit_word(stage))
        meter.live = partial(self.under_way.of, stage)
        if stage in self._meters:
            self.bars.remove_task(self._meters[stage][0])
        if self._about:
            self._drop_finished()
        total = max(units, 1)
        task = self.bars.add_task(f"{self._about}{stage}", total=total, meter=meter)
        self.bars.update(task, completed=current if units else total)  # add_task ends no bar
        self._meters[stage] = (task, meter)
        if self._expected is not None:
            self._expected.meters[stage] = meter
        self._move_whole()

    def _drop_finished(self) -> None:
        """Remove the bars of finished stages: with many jobs, a terminal has few lines."""
        for stage in [stage for stage, (_, meter) in self._meters.items() if meter.finished]:
            self.bars.remove_task(self._meters.pop(stage)[0])

    def advance(
        self, stage: str, unit: str, frames: int, seconds: float, error: str | None
    ) -> None:
        """Move the bar."""
        task, meter = self._meters[stage]
        meter.advance(frames, error is not None, time.monotonic())
        self.bars.update(task, advance=1)
        self._move_whole()
        if error is not None:
            self.warn(self._failed(stage, unit, error))

    def begin_job(self, name: str, number: int, count: int) -> LiveReporter:
        """Return a reporter with bars of its own, which are removed when the job ends."""
        own = LiveReporter(self.bars.console, self.bars, f"{printable(name)}: ")
        own._expected = self._job_begins(name, time.monotonic())
        self._jobs[name] = own
        return own

    def end_job(self, name: str, state: str, exit_code: int, error: str | None) -> None:
        """Print how it ended, above the bars of the others."""
        for task, _ in self._jobs.pop(name)._meters.values():
            self.bars.remove_task(task)
        self._job_ends(name)
        self._move_whole()
        style = "green" if state == "done" else "red"
        text = f"{name}: {state}{f': {error}' if error else ''}"
        self.bars.console.print(text, style=style, markup=False, highlight=False)

    def note(self, message: str) -> None:
        """Print a fact above the bars."""
        text = f"{self._about}{in_words(message, self.names)}"
        self.bars.console.print(text, style="dim", markup=False, highlight=False)

    def warn(self, message: str) -> None:
        """Print a warning above the bars."""
        text = f"warning: {self._about}{in_words(message, self.names)}"
        self.bars.console.print(text, style="yellow", markup=False, highlight=False)


@contextmanager
def reporting(*, as_json: bool, quiet: bool) -> Iterator[Reporter]:
    """Yield the reporter that fits: events for programs, bars on a terminal, lines elsewhere."""
    with _reporter(as_json=as_json, quiet=quiet) as reporter:
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            reporter.note(f"Ctrl-C does not reach this command; stop it with: kill {os.getpid()}")
        try:
            yield reporter
        finally:
            reporter.ended = True


@contextmanager
def _reporter(*, as_json: bool, quiet: bool) -> Iterator[Reporter]:
    console = stderr_console()
    if as_json:
        yield JsonReporter()
    elif quiet:
        yield QuietReporter()
    elif console.is_terminal:
        live = LiveReporter(console)
        with live.bars:
            yield live
    else:
        lines = LineReporter()
        lines.stay_alive(lines.show_alive)
        yield lines
