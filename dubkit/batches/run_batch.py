"""The batch itself: all jobs side by side, none of which can stop the others."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from dubkit.batches import jobs
from dubkit.batches.find_jobs import BatchRequest, Checked, Ready, check
from dubkit.errors import EXIT_OK, EXIT_PARTIAL, DubkitError, Interrupted, OutputError, UsageError
from dubkit.parallel.scheduler import Ended, JobSteps
from dubkit.parallel.workers import cores
from dubkit.pipeline.job import job_steps, run_jobs
from dubkit.pipeline.result import RunResult
from dubkit.records import Shown
from dubkit.version import __version__
from dubkit.work import folder, junit

if TYPE_CHECKING:
    from dubkit.progress import BatchProgress, Progress


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class BatchResult(Shown):
    """How a batch ended."""

    outcomes: tuple[jobs.Outcome, ...]  # of its jobs, in order; those not reached are missing
    skipped: tuple[str, ...]  # names of jobs that were done before
    exit_code: int

    def facts_shown(self) -> dict[str, object]:
        """Each job with its state."""
        states = {outcome.name: outcome.state for outcome in self.outcomes}
        return {"exit_code": self.exit_code, **dict.fromkeys(self.skipped, "done before"), **states}


@dataclass(frozen=True, slots=True)
class Todo:
    """A job with what is known of it from before."""

    ready: Ready
    asked: str
    before: jobs.Outcome | None

    @property
    def entry(self) -> jobs.Entry:
        return self.ready.entry

    @property
    def done(self) -> bool:
        """Whether the same request has its result already, untouched since."""
        before = self.before
        return (
            before is not None
            and before.state == "done"
            and before.asked == self.asked
            and before.made == jobs.state_of(before.output) != ""
        )

    @property
    def failed(self) -> bool:
        """Whether it was tried and has no whole result."""
        return self.before is not None and self.before.state in ("failed", "partial")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that was checked, and what is known of its jobs from before."""

    checked: Checked
    todo: tuple[Todo, ...]  # of this shard
    record_file: Path
    record: jobs.BatchRecord

    def left(self, *, retry_failed: bool) -> list[Todo]:
        """The jobs that a run would do."""
        return [t for t in self.todo if not t.done and (not retry_failed or t.failed)]

    @property
    def frames_a_second(self) -> float | None:
        """Speed of this batch's finished jobs, with as many workers as now; None before there are any."""
        ended = [o for o in self.record.outcomes.values() if o.frames and o.worked]
        workers = self.checked.parallel.jobs or cores()
        worked = sum(o.worked for o in ended)
        return workers * sum(o.frames for o in ended) / worked if worked else None


def open_batch(request: BatchRequest, shard: jobs.Shard | None = None) -> Batch:
    """Check all jobs of a request and look each up among the outcomes; nothing is written.

    Raises UsageError and InputError where there is no batch at all, WorkError for a foreign batch.json.
    """
    checked = check(request)
    seconds = {ready.entry.name: ready.seconds for ready in checked.ready}
    chosen = {entry.name for entry in jobs.take_shard(checked.entries, shard, seconds)}
    record_file = jobs.record_path(request.out, shard)
    record = jobs.read_outcomes(record_file)
    todo = tuple(
        Todo(
            r, jobs.request_digest(r.entry.request, __version__), record.outcomes.get(r.entry.name)
        )
        for r in checked.ready
        if r.entry.name in chosen
    )
    return Batch(checked, todo, record_file, record)


def run_batch(
    batch: Batch,
    progress: BatchProgress,
    *,
    retry_failed: bool = False,
    skip_invalid: bool = False,
    cancel: Event | None = None,
) -> BatchResult:
    """Do the jobs that are not done; only those that failed before with ``retry_failed``.

    The units of all jobs stand in one queue; a job that fails, whatever the reason, stops no other. Outcomes are
    saved after each job. Raises UsageError where jobs are invalid, unless ``skip_invalid``; Interrupted after Ctrl-C,
    SIGTERM, or once ``cancel`` is set; and DubkitError where outcomes cannot be saved.
    """
    problems = batch.checked.problems
    if problems and not skip_invalid:
        wrong = len({problem.job for problem in problems})
        raise UsageError(
            f"{wrong} of {wrong + len(batch.checked.ready)} jobs are invalid; nothing was started",
            hint="correct them, or run the others with --skip-invalid",
        )
    states = _JobStates(batch, progress)
    skipped = tuple(t.entry.name for t in batch.todo if t.done)
    work = in_turn(batch.left(retry_failed=retry_failed))
    try:
        with closing(run_jobs(states.jobs(work), batch.checked.parallel, cancel)) as jobs:
            for job in jobs:
                states.end(job)
    except Interrupted as stop:
        states.interrupt(stop)
        raise
    chosen = [t.entry.name for t in batch.todo]
    outcomes = tuple(states.known[name] for name in chosen if name in states.known)
    return BatchResult(outcomes, skipped, _exit_code(outcomes))


def in_turn(todo: Sequence[Todo]) -> list[Todo]:
    """The order in which jobs begin: first one dub of each film, the longest film first, then the second ...

    So a film is analyzed by one job while others work on other films, and what takes longest does not come last.
    """
    turns: Counter[Path] = Counter()
    keyed: list[tuple[int, int, int]] = []
    for number, item in enumerate(todo):
        film = item.entry.job.video
        keyed.append((turns[film], -item.ready.frames, number))
        turns[film] += 1
    return [todo[number] for _, _, number in sorted(keyed)]


class _JobProgress:
    """A job under way: passes on its progress, and adds up what its units took of the workers."""

    def __init__(self, item: Todo, progress: Progress) -> None:
        self.item = item
        before = item.before
        same = before is not None and not item.done and before.asked == item.asked
        self.worked = before.worked if before and same else 0.0
        self.note, self.warn, self.plan = progress.note, progress.warn, progress.plan
        self.name_shots, self.watch = progress.name_shots, progress.watch
        self._progress = progress
        self._began = time.monotonic()

    def advance(
        self, stage: str, unit: str, frames: int, seconds: float, error: str | None
    ) -> None:
        self.worked += seconds
        self._progress.advance(stage, unit, frames, seconds, error)

    @property
    def times(self) -> tuple[float, float]:
        """Seconds by the clock, and of workers."""
        return round(time.monotonic() - self._began, 3), round(self.worked, 3)


class _JobStates:
    """How the jobs of a running batch stand, and ``batch.json``, which is saved after each."""

    def __init__(self, batch: Batch, progress: BatchProgress) -> None:
        self.known = dict(batch.record.outcomes)
        self._file = batch.record_file
        self._progress = progress
        self._begun: dict[str, _JobProgress] = {}

    def jobs(self, work: Sequence[Todo]) -> Iterator[tuple[Todo, JobSteps[RunResult]]]:
        """The jobs, each begun when the schedule opens it."""
        for number, item in enumerate(work, 1):
            name = item.entry.name
            begun = _JobProgress(item, self._progress.begin_job(name, number, len(work)))
            self._begun[name] = begun
            yield item, _steps(item, begun)

    def end(self, job: Ended[Todo, RunResult]) -> None:
        """Record how a job ended."""
        begun = self._begun.pop(job.key.entry.name)
        if job.error is None:
            outcome = _finished(begun, job.result)
        else:
            outcome = _ended(begun, "failed", _as_ours(job.error, begun.item))
        self.known[outcome.name] = outcome
        _save(self._file, self.known)
        self._progress.end_job(outcome.name, outcome.state, outcome.exit_code, outcome.error)

    def interrupt(self, stop: Interrupted) -> None:
        """Record that the jobs under way were stopped."""
        for name, begun in self._begun.items():
            self.known[name] = _ended(begun, "interrupted", stop)
        _save(self._file, self.known)


def _steps(item: Todo, progress: Progress) -> JobSteps[RunResult]:
    request, before = item.entry.request, item.before
    # what this batch made earlier may be replaced by what is requested now; what others made may not
    own = before is not None and before.made == jobs.state_of(request.job.output) != ""
    return job_steps(replace(request, overwrite=request.overwrite or own), progress=progress)


def _as_ours(error: Exception, item: Todo) -> DubkitError:
    """Any error as one of ours: in a batch, a bug is the end of one job."""
    if isinstance(error, DubkitError):
        return error
    if isinstance(error, OSError):
        return folder.explain(error, item.entry.job.output)
    log.error("%s", item.entry.name, exc_info=error)
    return DubkitError(
        f"a bug in dubkit: {type(error).__name__}: {error}",
        hint="please report it with its traceback",
    )


def _finished(begun: _JobProgress, result: RunResult) -> jobs.Outcome:
    item, (seconds, worked) = begun.item, begun.times
    job = item.entry.job
    return jobs.Outcome(
        name=item.entry.name,
        state="partial" if result.exit_code == EXIT_PARTIAL else "done",
        exit_code=result.exit_code,
        output=job.output,
        work=job.work,
        asked=item.asked,
        made=jobs.state_of(job.output),
        seconds=seconds,
        worked=worked,
        frames=result.frames,
        kept=result.kept,
        warnings=result.warnings,
    )


def _ended(begun: _JobProgress, state: jobs.State, error: DubkitError) -> jobs.Outcome:
    item, (seconds, worked) = begun.item, begun.times
    return jobs.Outcome(
        name=item.entry.name,
        state=state,
        exit_code=error.exit_code,
        output=item.entry.job.output,
        work=item.entry.job.work,
        asked=item.asked,
        made=item.before.made if item.before else "",
        seconds=seconds,
        worked=worked,
        error=error.message,
        hint=error.hint,
    )


def _save(path: Path, known: dict[str, jobs.Outcome]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        jobs.write_outcomes(path, jobs.BatchRecord(known, jobs.VERSION, jobs.KIND))
    except OSError as error:
        raise folder.explain(error, path) from error


def _exit_code(outcomes: Sequence[jobs.Outcome]) -> int:
    """0 where all is done; the common code where all failed alike; else PARTIAL."""
    codes = {outcome.exit_code for outcome in outcomes}
    if codes <= {EXIT_OK}:
        return EXIT_OK
    return codes.pop() if len(codes) == 1 else EXIT_PARTIAL


_GROUP, _SUITE = "dubkit.batch", "dubkit batch"


def open_report(path: Path) -> None:
    """Make room for a report, so that a place that cannot be written is found before the work, not after it.

    Raises OutputError.
    """
    if path.is_dir():
        raise OutputError(f"the report {path} is a folder", hint="give a file name with --junit")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        junit.write_cases(path, _SUITE, [])
    except OSError as error:
        raise OutputError(
            f"the report {path} cannot be written: {error.strerror}", hint="choose another --junit"
        ) from error


def write_junit(
    path: Path,
    entries: Sequence[jobs.Entry],
    outcomes: Sequence[jobs.Outcome],
    problems: Sequence[jobs.Problem],
) -> None:
    """A failed job is an error, one with original pictures a failure, one not reached is skipped.

    Raises OutputError where it cannot be written.
    """
    by_name = {outcome.name: outcome for outcome in outcomes}
    wrong: dict[str, list[jobs.Problem]] = {}
    for problem in problems:
        wrong.setdefault(problem.job, []).append(problem)
    names = list(dict.fromkeys([*(entry.name for entry in entries), *wrong]))
    cases = [_case(name, by_name.get(name), wrong.get(name, [])) for name in names]
    try:
        junit.write_cases(path, _SUITE, cases)
    except OSError as error:
        raise folder.explain(error, path) from error


def _case(name: str, outcome: jobs.Outcome | None, problems: Sequence[jobs.Problem]) -> junit.Case:
    seconds = outcome.seconds if outcome else 0.0
    if problems:
        text = "\n".join(f"{problem.origin}: {problem.message}" for problem in problems)
        return junit.Case(_GROUP, name, seconds, "error", problems[0].message, text)
    if outcome is None:
        return junit.Case(_GROUP, name, seconds, "skipped", "not reached")
    if outcome.state in ("failed", "interrupted"):
        message = outcome.error or outcome.state
        text = f"{message}\n{outcome.hint or ''}"
        return junit.Case(_GROUP, name, seconds, "error", message, text)
    if outcome.state == "partial":
        message = f"{len(outcome.kept)} shots keep their original picture"
        return junit.Case(_GROUP, name, seconds, "failure", message, "\n".join(outcome.kept))
    return junit.Case(_GROUP, name, seconds)
