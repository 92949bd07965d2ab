"""``dubkit status``: what is done in a work folder, what is not, and why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubkit.cli import lazy
from dubkit.cli import options as o
from dubkit.cli.console import answers, say, say_json, table
from dubkit.cli.progress_bar import clock_text
from dubkit.errors import WorkError

if TYPE_CHECKING:
    from dubkit.batch.book import JobState
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
Why = Annotated[bool, typer.Option("--why", help="Every unit, and why it is done again or not.")]
Verify = Annotated[
    bool, typer.Option("--verify", help="Read every file again and compare its checksum.")
]


def status(
    work: WorkFolder, why: Why = False, verify: Verify = False, json: o.Json = False
) -> None:
    """Show how far the job in WORK is, or how every job of a batch is.

    With --verify, what is damaged is listed and marked to be done again; the exit code is 6 then.

    \b
    Examples:
      dubkit status movie.dubbed.dubkit
      dubkit status movie.dubbed.dubkit --why
      dubkit status dubbed/ --json
    """
    if lazy.batch.books(work):
        _show_batch(lazy.batch.batch_status(work), json)
        return
    state = lazy.status.job_status(work)
    damaged = lazy.status.verify(work) if verify else ()
    if json:
        say_json({**_facts(state), "damaged": damaged if verify else None})
    else:
        _show(state, why)
    if damaged:
        raise WorkError("; ".join(damaged), hint="the same run again mends it")
    if verify and not json:
        say("every file is as it was written")


def _show_batch(jobs: list[JobState], as_json: bool) -> None:
    tally = Counter(job.state for job in jobs)
    if as_json:
        say_json({"jobs": jobs, "states": tally})
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
    answers().print(table(("job", "state", "time", ""), rows))
    say(", ".join(f"{count} {state}" for state, count in sorted(tally.items())))


def _show(state: JobStatus, why: bool) -> None:
    say(f"film    {state.job.video}")
    say(f"dub     {state.job.audio}")
    say(f"result  {state.job.output}{'' if state.finished else '  (not finished)'}")
    if state.in_use_by:
        say(f"in use  {state.in_use_by}")
    say("")
    answers().print(table(("stage", "done", "of", "failed", "time"), _stage_rows(state)))
    if state.failures:
        say("")
        rows = [(r.stage, r.unit, r.error or "", r.hint or "") for r in state.failures]
        answers().print(table(("failed", "unit", "why", "hint"), rows))
    bad = [gate for gate in state.gates if gate.reasons]
    if bad:
        say("")
        lines = [(gate.shot, _outcome(gate), "; ".join(gate.reasons)) for gate in bad]
        answers().print(table(("gate", "what became of it", "why"), lines))
    if why:
        say("")
        units = [(line.stage, line.unit, line.reason) for line in state.plan]
        answers().print(table(("stage", "unit", "state"), units))


def _outcome(gate: GateResult) -> str:
    if gate.kept:
        return "keeps its original picture"
    if gate.verdict == "approve":
        return "approved"
    return "stops the film" if gate.action == "stop" else "is in the film"


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
        "units": state.plan,
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
All = Annotated[bool, typer.Option("--all", help="Also the shots that stay as they are.")]


def diff(
    old: Old,
    new: New,
    script: o.Script = None,
    every: All = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Show which shots would be rendered again with NEW instead of what OLD was made with.

    \b
    Examples:
      dubkit diff movie.dubbed.dubkit corrected.wav
      dubkit diff movie.dubbed.dubkit corrected.wav --script corrected.srt
      dubkit diff old.dubkit new.dubkit --all
    """
    if new.is_dir():
        found = lazy.difference.compare(old, new)
    else:
        with reporting(as_json=False, quiet=quiet or json) as reporter:
            found = lazy.difference.compare_dub(old, new, script, reporter)
    changed = sum(shot.changed for shot in found)
    if json:
        say_json({"shots": found, "changed": changed})
        return
    rows = [
        (shot.shot, clock_text(shot.start), "changes" if shot.changed else "stays", shot.reason)
        for shot in found
        if shot.changed or every
    ]
    if rows:
        answers().print(table(("shot", "at", "", "why"), rows))
    say(f"{changed} of {len(found)} shots change")
