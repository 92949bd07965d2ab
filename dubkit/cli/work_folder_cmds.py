"""Commands on work folders: ``dubkit status``, ``diff`` and ``clean``."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubkit.cli import console, lazy, options as o, progress_bar
from dubkit.errors import WorkError

if TYPE_CHECKING:
    from dubkit.batches.jobs import JobState
    from dubkit.delivery import NewEdit
    from dubkit.metrics.gate_limits import GateResult
    from dubkit.pipeline.inspect import JobStatus
from typing import Literal

from dubkit.cli.console import stderr_console
from dubkit.cli.progress_bar import reporting
from dubkit.errors import DubkitError
from dubkit.progress import in_words

Folders = Annotated[
    list[Path],
    typer.Argument(
        metavar="WORK", help="Work folders, or folders that contain some.", show_default=False
    ),
]
DeleteAll = Annotated[
    bool, typer.Option("--all", help="Delete finished work too: a later run starts from scratch.")
]
OlderThan = Annotated[
    str | None,
    typer.Option(
        metavar="AGE", help="Only files older than this: 30d, 12h, 2w.", show_default="of any age"
    ),
]
Dry = Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted, and stop.")]


def clean(
    work: Folders,
    every: DeleteAll = False,
    older_than: OlderThan = None,
    dry_run: Dry = False,
    json: o.Json = False,
) -> None:
    """Delete what work folders hold beyond their last job: older dubs, moved shots, unfinished work.

    Dubbed films are never touched, nor files that dubkit did not write.

    \b
    Examples:
      dubkit clean movie.dubbed.dubkit --dry-run
      dubkit clean dubbed/work --older-than 30d
      dubkit clean dubbed/work --all
    """
    age = lazy.cleanup.parse_age(older_than) if older_than else 0.0
    folders = [found for path in work for found in lazy.cleanup.find_work(path)]
    gone: list[dict[str, object]] = []
    busy: list[str] = []
    names: Counter[tuple[int, int]] = Counter()
    for folder in dict.fromkeys(folders):
        what: Literal["stale", "all"] = "all" if every else "stale"
        try:
            leftovers = (
                lazy.cleanup.survey(folder, what, age, names)
                if dry_run
                else lazy.cleanup.remove(folder, what, age)
            )
        except DubkitError as error:
            busy.append(error.message)
            continue
        gone += [
            {"path": str(x.path), "work": str(x.work), "what": x.what, "bytes": x.size}
            for x in leftovers
        ]
    freed = sum(int(str(line["bytes"])) for line in gone)
    if json:
        console.write_json(
            {"removed": [] if dry_run else gone, "planned": gone, "bytes": freed, "busy": busy}
        )
    else:
        _show_deleted(gone, freed, dry_run)
    if busy:
        for message in busy:
            stderr_console().print(
                f"warning: {message}", markup=False, highlight=False, soft_wrap=True
            )
        raise typer.Exit(WorkError.exit_code)


def _show_deleted(gone: list[dict[str, object]], freed: int, dry_run: bool) -> None:
    tally: dict[tuple[str, str], list[int]] = {}
    for line in gone:
        tally.setdefault((str(line["work"]), str(line["what"])), []).append(int(str(line["bytes"])))
    rows = [(where, what, str(len(s)), _size(sum(s))) for (where, what), s in tally.items()]
    if rows:
        console.stdout_console().print(console.table(("in", "what", "number", "size"), rows))
    console.write_line(f"{_size(freed)} {'would be freed' if dry_run else 'freed'}")


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for bigger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, bigger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


WorkFolder = Annotated[
    Path,
    typer.Argument(
        metavar="WORK",
        help="The work folder of a run, its film or its result; or a batch's output folder.",
        show_default=False,
    ),
]
Why = Annotated[
    bool, typer.Option("--why", help="List every unit, and why it is up to date or will be redone.")
]
Verify = Annotated[bool, typer.Option("--verify", help="Compare the checksum of every file.")]


OneShot = Annotated[
    str | None,
    typer.Option(
        metavar="SHOT",
        help="Show one shot: its number, or a time code in it.",
        show_default="the whole film",
    ),
]


def status(
    work: WorkFolder,
    shot: OneShot = None,
    why: Why = False,
    verify: Verify = False,
    json: o.Json = False,
) -> None:
    """Show the progress of the job in WORK, or of every job of a batch.

    With --verify, damaged files are listed and will be redone; the exit code is then 6.

    \b
    Examples:
      dubkit status movie.dubbed.dubkit
      dubkit status movie.dubbed.dubkit --why
      dubkit status movie.dubbed.dubkit --shot 4
      dubkit status movie.dubbed.dubkit --shot 00:00:15:24
      dubkit status dubbed/ --json
    """
    if lazy.batches.outcome_files(work):
        _show_batch(lazy.batches.batch_status(work), json)
        return
    folder = lazy.inspect.find_work(work)
    state = lazy.inspect.job_status(folder)
    if shot is not None:
        state = lazy.inspect.of_shot(state, shot)
    damaged = lazy.inspect.verify_work(folder) if verify else ()
    if json:
        console.write_json({**_facts(state), "damaged": damaged if verify else None})
    else:
        _show_job(state, why or shot is not None)
    if damaged:
        raise WorkError("; ".join(damaged), hint="the same dubkit run repairs it")
    if verify and not json:
        console.write_line("every file is intact")


def _show_batch(jobs: list[JobState], as_json: bool) -> None:
    tally = Counter(job.state for job in jobs)
    if as_json:
        console.write_json({"jobs": jobs, "states": tally})
        return
    rows = [
        (
            job.name,
            job.state,
            progress_bar.clock_text(job.seconds),
            job.error or job.in_use_by or str(job.output),
        )
        for job in jobs
    ]
    console.stdout_console().print(console.table(("job", "state", "time", ""), rows))
    console.write_line(", ".join(f"{count} {state}" for state, count in sorted(tally.items())))


def _show_job(state: JobStatus, why: bool) -> None:
    console.write_line(f"film    {state.job.video}")
    console.write_line(f"dub     {state.job.audio}")
    console.write_line(f"result  {state.job.output}{'' if state.finished else '  (not finished)'}")
    if state.in_use_by:
        console.write_line(f"in use  {state.in_use_by}")
    console.write_line("")
    if state.stages:
        heads = ("stage", "done", "of", "failed", "time")
        console.stdout_console().print(console.table(heads, _stage_rows(state)))
    if state.failures:
        console.write_line("")
        rows = [
            (r.stage, _named(r.unit, state), in_words(r.error or "", state.names), r.hint or "")
            for r in state.failures
        ]
        console.stdout_console().print(console.table(("failed", "unit", "why", "hint"), rows))
    bad = [gate for gate in state.gates if gate.reasons]
    if bad:
        console.write_line("")
        lines = [
            (_named(gate.shot, state), _outcome(gate), "; ".join(gate.reasons)) for gate in bad
        ]
        console.stdout_console().print(console.table(("gate", "outcome", "why"), lines))
    if why:
        console.write_line("")
        units = [(unit.stage, _named(unit.unit, state), unit.reason) for unit in state.units]
        console.stdout_console().print(console.table(("stage", "unit", "state"), units))
    for warning in dict.fromkeys(state.warnings) if why else ():
        console.write_line(f"warning: {in_words(warning, state.names)}")


def _named(unit: str, state: JobStatus) -> str:
    """A unit as people call it: a shot with its number, time code and frames."""
    name = state.names.get(unit)
    return f"{name} ({unit})" if name else "film" if unit == "job" else unit


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
            progress_bar.clock_text(stage.seconds),
        )
        for stage in state.stages
    ]


def _facts(state: JobStatus) -> dict[str, object]:
    return {
        "finished": state.finished,
        "job": state.job,
        "in_use_by": state.in_use_by,
        "stages": state.stages,
        "units": [{**asdict(unit), **_numbered(unit.unit, state)} for unit in state.units],
        "failures": state.failures,
        "warnings": state.warnings,
        "gates": [{**asdict(gate), **_numbered(gate.shot, state)} for gate in state.gates],
    }


def _numbered(unit: str, state: JobStatus) -> dict[str, object]:
    name = state.names.get(unit)
    return asdict(name) if name else {}


Old = Annotated[
    Path,
    typer.Argument(
        metavar="OLD", help="The work folder of a run, its film or its result.", show_default=False
    ),
]
New = Annotated[
    Path,
    typer.Argument(
        metavar="NEW", help="Another work folder of the film, or a new dub.", show_default=False
    ),
]
ListAll = Annotated[bool, typer.Option("--all", help="Also list the shots that stay as they are.")]


IsEdit = Annotated[
    bool, typer.Option("--edit", help="NEW is a newly cut version of the film, not a dub.")
]


def diff(
    old: Old,
    new: New,
    script: o.Script = None,
    edit: IsEdit = False,
    every: ListAll = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Show which shots would be rendered again if NEW replaced the dub of OLD.

    A NEW that is a list (.edl, .otio), or with --edit the newly cut film, is a new edit of the film: shown is what of
    each shot is still there.

    \b
    Examples:
      dubkit diff movie.dubbed.dubkit corrected.wav
      dubkit diff movie.dubbed.dubkit corrected.wav --script corrected.srt
      dubkit diff old.dubkit new.dubkit --all
      dubkit diff movie.dubbed.dubkit new.edl
      dubkit diff movie.dubbed.dubkit newly-cut.mov --edit
    """
    old = lazy.inspect.find_work(old)
    if edit or new.suffix.lower() in (".edl", ".otio"):
        _show_edit(lazy.delivery.compare_edit(lazy.inspect.OpenedJob(old), new), every, json)
        return
    if new.is_dir():
        found = lazy.diff.compare(old, new)
    else:
        with reporting(as_json=False, quiet=quiet or json) as reporter:
            found = lazy.diff.compare_dub(old, new, script, reporter)
    changed = sum(shot.changed for shot in found)
    if json:
        console.write_json({"shots": found, "changed": changed})
        return
    rows = [
        (
            str(shot.number),
            shot.timecode or progress_bar.clock_text(shot.start),
            "changes" if shot.changed else "stays",
            shot.reason,
        )
        for shot in found
        if shot.changed or every
    ]
    if rows:
        console.stdout_console().print(console.table(("shot", "at", "", "why"), rows))
    console.write_line(f"{changed} of {len(found)} shots change")


def _show_edit(found: NewEdit, every: bool, json: bool) -> None:
    """The shots of a new edit."""
    if json:
        console.write_json(asdict(found))
        return
    rows = [
        (f"{part.start}-{part.end}", part.state, part.shot or "", "dubbed" if part.dubbed else "")
        for part in found.reuses
        if every or part.state != "stays"
    ]
    if rows:
        heads = ("frames", "", "shot of the old film", "")
        console.stdout_console().print(console.table(heads, rows))
    counts = Counter(part.state for part in found.reuses)
    told = [f"{counts[state]} {state}" for state in ("stays", "moved", "trimmed", "new")]
    console.write_line(f"{', '.join(told)}, {len(found.removed)} removed")
