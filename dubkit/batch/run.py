"""The batch itself: job after job, none of which can stop the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubkit import __version__
from dubkit.batch.book import (
    KIND,
    VERSION,
    Book,
    Outcome,
    State,
    book_path,
    read_book,
    request_digest,
    state_of,
    write_book,
)
from dubkit.batch.check import Checked, Ready, Request, check
from dubkit.batch.entries import Shard, take_shard
from dubkit.errors import EXIT_OK, EXIT_PARTIAL, DubkitError, Interrupted
from dubkit.pipeline import run_job
from dubkit.progress import BatchProgress
from dubkit.work.folder import explain


@dataclass(frozen=True, slots=True)
class BatchResult:
    """How a batch ended."""

    outcomes: tuple[Outcome, ...]  # of its jobs, in order; those not reached are missing
    skipped: tuple[str, ...]  # names of jobs that were done before
    exit_code: int


@dataclass(frozen=True, slots=True)
class Todo:
    """A job with what is known of it from before."""

    ready: Ready
    asked: str
    before: Outcome | None

    @property
    def done(self) -> bool:
        """Whether the same request has its result already, untouched since."""
        before = self.before
        return (
            before is not None
            and before.state == "done"
            and before.asked == self.asked
            and before.made == state_of(before.output) != ""
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
    book_file: Path
    book: Book

    @property
    def frames_a_second(self) -> float | None:
        """Speed of this batch's finished jobs; None before there are any."""
        ended = [o for o in self.book.outcomes.values() if o.frames and o.seconds]
        seconds = sum(o.seconds for o in ended)
        return sum(o.frames for o in ended) / seconds if seconds else None


def open_batch(request: Request, shard: Shard | None = None) -> Batch:
    """Check all jobs of a request and look each up in the book; nothing is written.

    Raises UsageError and InputError where there is no batch at all, WorkError for a foreign book.
    """
    checked = check(request)
    seconds = {ready.entry.name: ready.seconds for ready in checked.ready}
    chosen = {entry.name for entry in take_shard(checked.entries, shard, seconds)}
    book_file = book_path(request.out, shard)
    book = read_book(book_file)
    todo = tuple(
        Todo(r, request_digest(r.entry, r.config, __version__), book.outcomes.get(r.entry.name))
        for r in checked.ready
        if r.entry.name in chosen
    )
    return Batch(checked, todo, book_file, book)


def run_batch(
    batch: Batch,
    progress: BatchProgress,
    *,
    retry_failed: bool = False,
    overwrite: bool = False,
) -> BatchResult:
    """Do the jobs that are not done; only those that failed before with ``retry_failed``.

    The book is saved after each job. Raises Interrupted after Ctrl-C or SIGTERM, and DubkitError
    where the book itself cannot be kept.
    """
    known = dict(batch.book.outcomes)
    skipped = tuple(t.ready.entry.name for t in batch.todo if t.done)
    work = [t for t in batch.todo if not t.done and (not retry_failed or t.failed)]
    for number, item in enumerate(work, 1):
        name = item.ready.entry.name
        progress.begin_job(name, number, len(work))
        try:
            known[name] = _do(item, progress, overwrite)
        except Interrupted as stop:
            known[name] = _ended(item, "interrupted", stop, 0.0)
            raise
        finally:
            _save(batch.book_file, known)
        ended = known[name]
        progress.end_job(name, ended.state, ended.exit_code, ended.error)
    chosen = [t.ready.entry.name for t in batch.todo]
    outcomes = tuple(known[name] for name in chosen if name in known)
    return BatchResult(outcomes, skipped, _exit_code(outcomes))


def _do(item: Todo, progress: BatchProgress, overwrite: bool) -> Outcome:
    began = time.monotonic()
    ready = item.ready
    # what this batch made earlier may be replaced by what is asked now; what others made may not
    own = item.before is not None and item.before.made == state_of(ready.job.output) != ""
    try:
        ready.job.output.parent.mkdir(parents=True, exist_ok=True)
        ready.job.work.parent.mkdir(parents=True, exist_ok=True)
        result = run_job(ready.job, ready.config, progress=progress, overwrite=overwrite or own)
    except Interrupted:
        raise
    except DubkitError as error:
        return _ended(item, "failed", error, time.monotonic() - began)
    except OSError as error:
        return _ended(item, "failed", explain(error, ready.job.output), time.monotonic() - began)
    partial = result.exit_code == EXIT_PARTIAL
    return Outcome(
        name=ready.entry.name,
        state="partial" if partial else "done",
        exit_code=result.exit_code,
        output=ready.job.output,
        asked=item.asked,
        made=state_of(ready.job.output),
        seconds=round(time.monotonic() - began, 3),
        frames=result.frames,
        kept=result.kept,
        warnings=result.warnings,
    )


def _ended(item: Todo, state: State, error: DubkitError, seconds: float) -> Outcome:
    return Outcome(
        name=item.ready.entry.name,
        state=state,
        exit_code=error.exit_code,
        output=item.ready.job.output,
        asked=item.asked,
        made=item.before.made if item.before else "",
        seconds=round(seconds, 3),
        error=error.message,
        hint=error.hint,
    )


def _save(path: Path, known: dict[str, Outcome]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_book(path, Book(known, VERSION, KIND))
    except OSError as error:
        raise explain(error, path) from error


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 where all is done; the common code where all failed alike; else PARTIAL."""
    codes = {outcome.exit_code for outcome in outcomes}
    if codes <= {EXIT_OK}:
        return EXIT_OK
    return codes.pop() if len(codes) == 1 else EXIT_PARTIAL
