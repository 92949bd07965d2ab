"""JUnit XML of a batch, one test case a job, as CI systems read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubkit.batch.book import Outcome
from dubkit.batch.jobs import Entry, Problem
from dubkit.errors import OutputError
from dubkit.work.folder import explain
from dubkit.work.junit import Case, write_cases

_GROUP, _SUITE = "dubkit.batch", "dubkit batch"


def open_report(path: Path) -> None:
    """Make room for a report, so that a place that cannot be written is told before the work, not after it.

    Raises OutputError.
    """
    if path.is_dir():
        raise OutputError(f"the report {path} is a folder", hint="give a file name with --junit")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_cases(path, _SUITE, [])
    except OSError as error:
        raise OutputError(
            f"the report {path} cannot be written: {error.strerror}", hint="choose another --junit"
        ) from error


def write_junit(
    path: Path, entries: Sequence[Entry], outcomes: Sequence[Outcome], problems: Sequence[Problem]
) -> None:
    """A failed job is an error, one with original pictures a failure, one not reached is skipped.

    Raises OutputError where it cannot be written.
    """
    by_name = {outcome.name: outcome for outcome in outcomes}
    wrong: dict[str, list[Problem]] = {}
    for problem in problems:
        wrong.setdefault(problem.job, []).append(problem)
    names = list(dict.fromkeys([*(entry.name for entry in entries), *wrong]))
    cases = [_case(name, by_name.get(name), wrong.get(name, [])) for name in names]
    try:
        write_cases(path, _SUITE, cases)
    except OSError as error:
        raise explain(error, path) from error


def _case(name: str, outcome: Outcome | None, problems: Sequence[Problem]) -> Case:
    seconds = outcome.seconds if outcome else 0.0
    if problems:
        text = "\n".join(f"{problem.origin}: {problem.message}" for problem in problems)
        return Case(_GROUP, name, seconds, "error", problems[0].message, text)
    if outcome is None:
        return Case(_GROUP, name, seconds, "skipped", "not reached")
    if outcome.state in ("failed", "interrupted"):
        message = outcome.error or outcome.state
        text = f"{message}\n{outcome.hint or ''}"
        return Case(_GROUP, name, seconds, "error", message, text)
    if outcome.state == "partial":
        message = f"{len(outcome.kept)} shots keep their picture"
        return Case(_GROUP, name, seconds, "failure", message, "\n".join(outcome.kept))
    return Case(_GROUP, name, seconds)
