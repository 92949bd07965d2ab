"""``dubkit status`` and ``dubkit diff``: what is done in a work folder, what is not, and why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubkit.cli import lazy
from dubkit.cli import options as o
from dubkit.cli.console import stdout_console, table, write_json, write_line
from dubkit.cli.progress_bar import clock_text
from dubkit.errors import WorkError

if TYPE_CHECKING:
    from dubkit.batch.outcomes import JobState
    from dubkit.metrics.gate_limits import GateResult
    from dubkit.pipeline.inspect import JobStatus
from dubkit.cli.progress_bar import reporting

WorkFolder = Annotated[
    Path,
    typer.Argument(
        metavar="WORK",
        help="The work folder of a run, or a batch's output folder.",
        show_default=False,
    ),
]
Why = Annotated[
    bool, typer.Option("--why", help="List every unit, and why it is up to date or will be redone.")
]
Verify = Annotated[bool, typer.Option("--verify", help="Compare the checksum of every file.")]


def status(
    work: WorkFolder, why: Why = False, verify: Verify = False, json: o.Json = False
) -> None:
    """Show the progress of the job in WORK, or of every job of a batch.

    With --verify, damaged files are listed and will be redone; the exit code is then 6.

    \b
    Examples:
      dubkit status movie.dubbed.dubkit
      dubkit status movie.dubbed.dubkit --why
      dubkit status dubbed/ --json
    """
    if lazy.batch.outcome_files(work):
        _show_batch(lazy.batch.batch_status(work), json)
        return
    state = lazy.inspect.job_status(work)
    damaged = lazy.inspect.verify(work) if verify else ()
    if json:
        write_json({**_facts(state), "damaged": damaged if verify else None})
    else:
        _show(state, why)
    if damaged:
        raise WorkError("; ".join(damaged), hint="the same dubkit run repairs it")
    if verify and not json:
        write_line("every file is intact")


def _show_batch(jobs: list[JobState], as_json: bool) -> None:
    tally = Counter(job.state for job in jobs)
    if as_json:
        write_json({"jobs": jobs, "states": tally})
        return
    rows = [
        (
            job.name,
            job.state,
            clock_text(job.seconds),
            job.error or job.in_use_by or str(job.output),
        )
        for job in jobs
    ]
    stdout_console().print(table(("job", "state", "time", ""), rows))
    write_line(", ".join(f"{count} {state}" for state, count in sorted(tally.items())))


def _show(state: JobStatus, why: bool) -> None:
    write_line(f"film    {state.job.video}")
    write_line(f"dub     {state.job.audio}")
    write_line(f"result  {state.job.output}{'' if state.finished else '  (not finished)'}")
    if state.in_use_by:
        write_line(f"in use  {state.in_use_by}")
    write_line("")
    stdout_console().print(table(("stage", "done", "of", "failed", "time"), _stage_rows(state)))
    if state.failures:
        write_line("")
        rows = [(r.stage, r.unit, r.error or "", r.hint or "") for r in state.failures]
        stdout_console().print(table(("failed", "unit", "why", "hint"), rows))
    bad = [gate for gate in state.gates if gate.reasons]
    if bad:
        write_line("")
        lines = [(gate.shot, _outcome(gate), "; ".join(gate.reasons)) for gate in bad]
        stdout_console().print(table(("gate", "outcome", "why"), lines))
    if why:
        write_line("")
        units = [(unit.stage, unit.unit, unit.reason) for unit in state.units]
        stdout_console().print(table(("stage", "unit", "state"), units))


def _outcome(gate: GateResult) -> str:
    if gate.kept:
        return "keeps its original picture"
    if gate.verdict == "approve":
        return "approved"
    return "blocks the film" if gate.action == "stop" else "in the film"


def _stage_rows(state: JobStatus) -> list[tuple[str, ...]]:
    return [
        (
            stage.stage,
            str(stage.current),
            "?" if stage.units is None else str(stage.units),
            str(stage.failed),
            clock_text(stage.seconds),
        )
        for stage in state.stages
    ]


def _facts(state: JobStatus) -> dict[str, object]:
    return {
        "finished": state.finished,
        "job": state.job,
        "in_use_by": state.in_use_by,
        "stages": state.stages,
        "units": state.units,
        "failures": state.failures,
        "warnings": state.warnings,
        "gates": state.gates,
    }


Old = Annotated[
    Path, typer.Argument(metavar="OLD", help="The work folder of a run.", show_default=False)
]
New = Annotated[
    Path,
    typer.Argument(
        metavar="NEW", help="Another work folder of the film, or a new dub.", show_default=False
    ),
]
All = Annotated[bool, typer.Option("--all", help="Also list the shots that stay as they are.")]


def diff(
    old: Old,
    new: New,
    script: o.Script = None,
    every: All = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Show which shots would be rendered again if NEW replaced the dub of OLD.

    \b
    Examples:
      dubkit diff movie.dubbed.dubkit corrected.wav
      dubkit diff movie.dubbed.dubkit corrected.wav --script corrected.srt
      dubkit diff old.dubkit new.dubkit --all
    """
    if new.is_dir():
        found = lazy.diff.compare(old, new)
    else:
        with reporting(as_json=False, quiet=quiet or json) as reporter:
            found = lazy.diff.compare_dub(old, new, script, reporter)
    changed = sum(shot.changed for shot in found)
    if json:
        write_json({"shots": found, "changed": changed})
        return
    rows = [
        (shot.shot, clock_text(shot.start), "changes" if shot.changed else "stays", shot.reason)
        for shot in found
        if shot.changed or every
    ]
    if rows:
        stdout_console().print(table(("shot", "at", "", "why"), rows))
    write_line(f"{changed} of {len(found)} shots change")
