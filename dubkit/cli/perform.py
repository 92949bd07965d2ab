"""One run from the command line: progress while it lasts, then its answer and its exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from dubkit.cli.console import STOPPED, answers, say, table
from dubkit.cli.events import Failure, Gated, Result, Status
from dubkit.cli.progress_bar import Reporter, reporting
from dubkit.cli.time_left import clock_text
from dubkit.errors import EXIT_OK, EXIT_PARTIAL, DubkitError
from dubkit.progress import Progress

if TYPE_CHECKING:
    from dubkit.pipeline.result import RunResult


def perform(work: Callable[[Progress], RunResult], *, as_json: bool, quiet: bool) -> None:
    """Do ``work``, show its result, end with its exit code."""
    with telling(as_json=as_json, quiet=quiet) as reporter:
        result = work(reporter)
        if result.facts.get("faces.dubbed") == 0:
            reporter.warn("no face is dubbed anywhere in this film: only its sound is new")
        for event in _gated(result):
            reporter.tell(event)
        reporter.finish(_ended(result))
    if quiet and not as_json and result.output and not result.plan:
        say(str(result.output))
    elif not as_json:
        _show(result)
    if result.exit_code != EXIT_OK:
        raise typer.Exit(result.exit_code)


@contextmanager
def telling(*, as_json: bool, quiet: bool) -> Iterator[Reporter]:
    """Progress for a command that ends with a ``result``: of a deliberate error and of a stop there is one too."""
    with reporting(as_json=as_json, quiet=quiet) as reporter:
        try:
            yield reporter
        except (DubkitError, KeyboardInterrupt) as error:
            failure = error if isinstance(error, DubkitError) else STOPPED
            reporter.finish(_failed(failure))
            raise failure from None


def _failed(error: DubkitError) -> Result:
    status: Status = "interrupted" if error.exit_code == STOPPED.exit_code else "failed"
    failure = Failure(type(error).__name__, error.message, error.hint)
    return Result(status, error.exit_code, error=failure)


def _gated(result: RunResult) -> Iterator[Gated]:
    for gate in result.gates:
        for face in gate.faces:
            for check in face.checks:
                yield Gated(
                    shot=gate.shot,
                    face=face.track,
                    verdict=gate.verdict,
                    kept=gate.kept,
                    **asdict(check),
                )


def _ended(result: RunResult) -> Result:
    status: Status = "partial" if result.exit_code == EXIT_PARTIAL else "done"
    output = str(result.output) if result.output else None
    if result.plan:
        facts: dict[str, object] = {"plan": [asdict(line) for line in result.plan]}
        return Result("planned", result.exit_code, output=output, facts=facts)
    facts = {
        "frames": result.frames,
        "seconds": round(result.seconds, 3),
        "units_done": result.done,
        "units_kept": len(result.results) - result.done,
        "warnings": list(result.warnings),
        "shots_with_original_picture": list(result.kept),
        "stages": dict(result.facts),
    }
    return Result(status, result.exit_code, output=output, facts=facts)


def _show(result: RunResult) -> None:
    if result.plan:
        rows = [(line.stage, line.unit, _todo(line.current), line.reason) for line in result.plan]
        answers().print(table(("stage", "unit", "", "why"), rows))
        todo = sum(not line.current for line in result.plan)
        say(f"{todo} of {len(result.plan)} units to do")
        return
    for kept in result.kept:
        say(f"original picture kept: {kept}")
    where = str(result.output) if result.output else "stopped before the film, as asked"
    speed = f", {result.frames / result.seconds:.1f} frames/s" if result.seconds else ""
    kept_units = len(result.results) - result.done
    resumed = f", {kept_units} of {len(result.results)} steps done earlier" if kept_units else ""
    say(
        f"{result.frames} frames in {clock_text(result.seconds)}{'' if resumed else speed}{resumed}"
    )
    say(where)


def _todo(current: bool) -> str:
    return "done" if current else "to do"
