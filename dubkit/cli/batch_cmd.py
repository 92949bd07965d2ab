"""``dubkit batch``: a folder of films with a folder of dubs, or a job list."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubkit.cli import console, events, lazy, options, options as o, progress_bar, run_cmd
from dubkit.errors import EXIT_OK, EXIT_PARTIAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dubkit.batches.find_jobs import Checked
    from dubkit.batches.jobs import Outcome, Problem
    from dubkit.batches.run_batch import Batch, BatchResult

FRAMES_A_SECOND = 20.0  # guessed where this batch has not measured its own speed yet

Source = Annotated[
    Path,
    typer.Argument(
        metavar="FILMS|LIST",
        help="Folder of films, or a job list (.csv, .toml).",
        show_default=False,
    ),
]
OutFolder = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="DIR", help="Folder for the results.", rich_help_panel=o.FILES
    ),
]
Dubs = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of dubs and scripts.",
        show_default="FILMS",
        rich_help_panel=o.FILES,
    ),
]
Patterns = Annotated[
    list[str] | None,
    typer.Option(
        "--pattern",
        metavar="PATTERN",
        help="How dubs are named, without suffix, as in '{lang}/{film}'; repeatable.",
        show_default="{film}.{lang} and common variants",
        rich_help_panel=o.FILES,
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder that the paths in a job list are relative to and must stay inside.",
        show_default="the folder of the list",
        rich_help_panel=o.FILES,
    ),
]
Work = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder for intermediate results, from which jobs resume.",
        show_default="work, inside --out",
        rich_help_panel=o.FILES,
    ),
]
Junit = Annotated[
    Path | None,
    typer.Option(
        "--junit",
        metavar="FILE",
        help="Write JUnit XML, one test case per job.",
        show_default="none",
        rich_help_panel=o.FILES,
    ),
]
Verdicts = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR|FILE",
        help="Verdict file of a report, or a folder of them; each applies to the jobs of its film.",
        show_default="none",
        rich_help_panel=o.FILES,
    ),
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed", help="Run only jobs that failed before.", rich_help_panel=o.EXECUTION
    ),
]
SkipInvalid = Annotated[
    bool,
    typer.Option(
        "--skip-invalid",
        help="Run the valid jobs although others are invalid; those are listed, and the exit code is 10.",
        rich_help_panel=o.EXECUTION,
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Dub one part of the films, for CI matrices: 1/4 to 4/4.",
        show_default="all films",
        rich_help_panel=o.EXECUTION,
    ),
]


def batch(
    source: Source,
    out: OutFolder,
    dubs: Dubs = None,
    pattern: Patterns = None,
    root: Root = None,
    work: Work = None,
    analysis: o.Analysis = None,
    verdicts: Verdicts = None,
    junit: Junit = None,
    preset: o.Presets = None,
    setting: o.Settings = None,
    length: o.Length = None,
    keep_audio: o.KeepAudio = None,
    silence: o.Silence = None,
    synth: o.Synth = None,
    faces: o.Faces = None,
    adapt: o.Adapt = None,
    gate: o.Gate = None,
    on_failure: o.OnFailure = None,
    jobs: o.Jobs = None,
    backend: o.Backend = None,
    scheduler: o.Scheduler = None,
    device: o.Device = None,
    overwrite: o.Overwrite = False,
    retry_failed: RetryFailed = False,
    skip_invalid: SkipInvalid = False,
    shard: ShardOption = None,
    license: o.License = None,
    dry_run: o.DryRun = False,
    offline: o.Offline = False,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Dub many films. Finished jobs are skipped, and a failed job does not stop the others.

    All jobs are checked before the first one starts. DIR/batch.json records how each job ended; run the same
    command again to do what is missing.

    \b
    Examples:
      dubkit batch films/ --dubs dubs/ --out dubbed/ --dry-run
      dubkit batch films/ --dubs dubs/ --out dubbed/ --pattern '{lang}/{film}'
      dubkit batch jobs.csv --out dubbed/ --shard 2/8 --junit report.xml
      dubkit batch films/ --dubs dubs/ --out dubbed/ --verdicts reviewed/
    """
    console.set_verbosity(verbose, quiet)
    run_cmd.forbid_downloads(offline)
    given = {"length": length, "silence": silence, "synth": synth, "faces": faces}
    flags = options.flags(
        **given, keep_audio=keep_audio, adapt=adapt, gate=gate, on_failure=on_failure
    )
    with run_cmd.reporting_result(as_json=json, quiet=quiet) as reporter:
        part = lazy.batches.Shard.parse(shard) if shard else None
        if junit and not dry_run:
            lazy.batches.open_report(junit)
        request = lazy.batches.BatchRequest(
            source=source,
            out=out,
            dubs=dubs,
            patterns=pattern or lazy.batches.PATTERNS,
            root=root,
            work=work,
            analysis=analysis,
            presets=preset or (),
            settings=[*(setting or ()), *flags, *options.workers(backend, scheduler)],
            flags={"parallel.device": device, "parallel.jobs": jobs},
            license=license or "any",
            overwrite=overwrite,
            verdicts=verdicts,
        )
        chosen = lazy.batches.open_batch(request, part)
        _report_problems(chosen.checked, reporter)
        result = None
        if not dry_run:
            result = _run(chosen, junit, reporter, retry_failed, skip_invalid)
        code = max(_code(chosen), result.exit_code if result else EXIT_OK)
        reporter.finish(_answer(chosen, result, code))
    if not json:
        if result is None:
            _show_plan(chosen)
        else:
            _show(result, chosen.checked.problems, quiet)
            if result.outcomes and not quiet:
                console.write_line(f"review all films: dubkit report {shlex.quote(str(out))}")
    if code != EXIT_OK:
        raise typer.Exit(code)


def _code(chosen: Batch) -> int:
    return EXIT_PARTIAL if chosen.checked.problems else EXIT_OK


def _report_problems(checked: Checked, reporter: progress_bar.Reporter) -> None:
    for warning in checked.warnings:
        reporter.warn(warning)
    for problem in checked.problems:
        hint = f" ({problem.hint})" if problem.hint else ""
        reporter.warn(f"{problem.job} ({problem.origin}): {problem.message}{hint}")


def _run(
    chosen: Batch,
    junit: Path | None,
    reporter: progress_bar.Reporter,
    retry_failed: bool,
    skip_invalid: bool,
) -> BatchResult:
    checked = chosen.checked
    ended: list[Outcome] = []
    left = chosen.left(retry_failed=retry_failed)
    frames = {item.entry.name: item.ready.frames for item in left}
    reporter.expect_jobs(lazy.schema.STAGE_NAMES, frames)
    try:
        result: BatchResult = lazy.batches.run_batch(
            chosen, reporter, retry_failed=retry_failed, skip_invalid=skip_invalid
        )
        ended += result.outcomes
        return result
    finally:
        if junit:
            entries = [item.entry for item in chosen.todo]
            lazy.batches.write_junit(junit, entries, ended, checked.problems)


def _answer(chosen: Batch, result: BatchResult | None, code: int) -> events.Result:
    problems = [asdict(problem) for problem in chosen.checked.problems]
    if result is None:
        jobs = [
            {"job": row[0], **dict(zip(_PLAN[1:], row[1:], strict=True))} for row in _rows(chosen)
        ]
        return events.Result("planned", code, facts={"jobs": jobs, "problems": problems})
    jobs = [{**asdict(outcome), "output": str(outcome.output)} for outcome in result.outcomes]
    facts = {"jobs": jobs, "skipped": list(result.skipped), "problems": problems}
    return events.Result(
        "partial" if code else "done", code, output=str(chosen.record_file), facts=facts
    )


_PLAN = ("job", "film", "dub", "language", "picture", "about", "state")


def _rows(chosen: Batch) -> list[tuple[str, ...]]:
    speed = chosen.frames_a_second or FRAMES_A_SECOND
    rows: list[tuple[str, ...]] = []
    for item in chosen.todo:
        entry = item.entry
        state = "done" if item.done else item.before.state if item.before else "to do"
        rows.append(
            (
                entry.name,
                entry.job.video.name,
                entry.job.audio.name,
                entry.language or "",
                progress_bar.clock_text(item.ready.seconds),
                "" if item.done else progress_bar.clock_text(item.ready.frames / speed),
                state,
            )
        )
    return rows


def _show_plan(chosen: Batch) -> None:
    console.stdout_console().print(console.table(_PLAN, _rows(chosen)))
    speed = chosen.frames_a_second
    frames = sum(item.ready.frames for item in chosen.todo if not item.done)
    basis = "as measured in this batch" if speed else "a guess until the first job is finished"
    took = progress_bar.clock_text(frames / (speed or FRAMES_A_SECOND))
    left = sum(not item.done for item in chosen.todo)
    console.write_line(
        f"{left} of {len(chosen.todo)} jobs to do, about {took} at {speed or FRAMES_A_SECOND:.0f} frames/s, {basis}"
    )


def _state(outcome: Outcome) -> str:
    """How a job ended; of a partial one, how many shots were refused."""
    count = len(outcome.kept)
    if outcome.state != "partial" or not count:
        return outcome.state
    return f"partial: {count} shot{'s' * (count != 1)} kept as filmed"


def _show(result: BatchResult, problems: Sequence[Problem], quiet: bool) -> None:
    rows: list[tuple[str, ...]] = [
        (
            outcome.name,
            "done earlier" if outcome.name in result.skipped else _state(outcome),
            progress_bar.clock_text(outcome.seconds),
            str(outcome.output) if outcome.state in ("done", "partial") else outcome.error or "",
        )
        for outcome in result.outcomes
        if not quiet or outcome.state != "done"
    ]
    rows += [(problem.job, "invalid", "", problem.message) for problem in problems]
    if rows:
        console.stdout_console().print(console.table(("job", "state", "time", "result"), rows))
