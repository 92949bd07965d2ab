"""``dubkit train`` and ``dubkit adapt``: training on your own footage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from dubkit.cli import command, console, events, lazy, options as o, progress_bar, run_cmd
from dubkit.errors import EXIT_OK
from dubkit.progress import BatchProgress

if TYPE_CHECKING:
    from dubkit.training.prepare import PrepareResult
    from dubkit.training.trainer import Outcome
from dubkit.cli import options

app = typer.Typer(
    cls=command.DubkitGroup, no_args_is_help=True, help="Train dubkit's nets on your own footage."
)

Answer = TypeVar("Answer")
_SHOWN = 40  # refused files listed; the set's index holds all

Clips = Annotated[
    Path,
    typer.Argument(metavar="CLIPS", help="Folder of talking-face videos.", show_default=False),
]
SetOut = Annotated[
    Path, typer.Argument(metavar="OUT", help="Folder for the prepared set.", show_default=False)
]
Prepared = Annotated[
    Path,
    typer.Argument(
        metavar="SET", help="Folder written by dubkit train prepare.", show_default=False
    ),
]
Out = Annotated[
    Path,
    typer.Argument(metavar="OUT", help="Folder for this training.", show_default=False),
]
Start = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Weights to start from.",
        show_default="random",
        rich_help_panel=o.FILES,
    ),
]


@app.command(cls=command.DubkitCommand)
def prepare(
    clips: Clips,
    out: SetOut,
    preset: o.Presets = None,
    setting: o.Settings = None,
    jobs: o.Jobs = None,
    device: o.Device = None,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Prepare a training set from the videos in CLIPS, and report what is refused and why.

    A script may lie beside each video (same name; .txt, .srt, .vtt, .align). Run the same command again to resume,
    or to add what is new.

    \b
    Examples:
      dubkit train prepare footage/ set/
      dubkit train prepare footage/ set/ --jobs 8 --set train.prepare.min_width=96
      dubkit train prepare footage/ set/ --set train.prepare.stills=true
    """
    console.set_verbosity(verbose, quiet)
    _run_and_show(
        lambda progress: lazy.commands.prepare_set(
            clips,
            out,
            presets=preset or (),
            settings=setting or (),
            device=device,
            jobs=jobs,
            progress=progress,
        ),
        _prepared_facts,
        _show_prepared,
        as_json=json,
        quiet=quiet,
    )


@app.command(cls=command.DubkitCommand)
def tc(
    prepared: Prepared,
    out: Out,
    start: Start = None,
    preset: o.Presets = None,
    setting: o.Settings = None,
    device: o.Device = None,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Train the net from speech to mouth shapes. The result is OUT/tc.safetensors.

    Ctrl-C saves the training, and the same command resumes it. OUT/metrics.jsonl and OUT/previews show progress.

    \b
    Examples:
      dubkit train tc set/ my-tc/
      dubkit train tc set/ my-tc/ --device cuda --set train.tc.steps=4000
      dubkit run movie.mp4 --audio dub.wav --set generate.tc=my-tc/tc.safetensors
    """
    console.set_verbosity(verbose, quiet)
    _train("tc", prepared, out, start, preset, setting, device, as_json=json, quiet=quiet)


@app.command(cls=command.DubkitCommand)
def sc(
    prepared: Prepared,
    out: Out,
    start: Start = None,
    preset: o.Presets = None,
    setting: o.Settings = None,
    device: o.Device = None,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Train the net from mouth shapes to pictures. The result is OUT/sc.safetensors.

    Ctrl-C saves the training, and the same command resumes it. OUT/metrics.jsonl and OUT/previews show progress.

    \b
    Examples:
      dubkit train sc set/ my-sc/ --device cuda
      dubkit run movie.mp4 --audio dub.wav --set generate.sc=my-sc/sc.safetensors
    """
    console.set_verbosity(verbose, quiet)
    _train("sc", prepared, out, start, preset, setting, device, as_json=json, quiet=quiet)


def _train(
    kind: str,
    prepared: Path,
    out: Path,
    start: Path | None,
    preset: list[str] | None,
    setting: list[str] | None,
    device: str | None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    _run_and_show(
        lambda progress: lazy.commands.train(
            kind,
            prepared,
            out,
            start=start,
            presets=preset or (),
            settings=setting or (),
            device=device,
            progress=progress,
        ),
        _trained_facts,
        _show_trained,
        as_json=as_json,
        quiet=quiet,
    )


def _run_and_show(
    work: Callable[[BatchProgress], Answer],
    facts: Callable[[Answer], tuple[Path | None, dict[str, object]]],
    show: Callable[[Answer], None],
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Call ``work`` with a reporter, then show its result."""
    with run_cmd.reporting_result(as_json=as_json, quiet=quiet) as reporter:
        answer = work(reporter)
        output, found = facts(answer)
        where = str(output) if output else None
        reporter.finish(events.Result("done", EXIT_OK, output=where, facts=found))
    if quiet and not as_json and where:
        console.write_line(where)
    elif not as_json:
        show(answer)


def _prepared_facts(result: PrepareResult) -> tuple[Path, dict[str, object]]:
    index = result.index
    return result.root, {
        "clips": {name: asdict(facts) for name, facts in index.clips.items()},
        "refused": dict(index.refused),
        "left_out": dict(index.left_out),
        "seconds": round(result.seconds, 2),
        "held_out": result.held_out,
        "units_done": result.done,
        "units_kept": result.units - result.done,
        "frames": result.frames,
        "spent_seconds": round(result.spent, 2),
    }


def _show_prepared(result: PrepareResult) -> None:
    index = result.index
    for title, files in (("refused", index.refused), ("partly excluded", index.left_out)):
        if files:
            rows = list(files.items())[:_SHOWN]
            console.stdout_console().print(console.table((title, "why"), rows))
            if len(files) > _SHOWN:
                console.write_line(
                    f"and {len(files) - _SHOWN} more; all are in {result.root / 'set.json'}"
                )
    splits = Counter(facts.split for facts in index.clips.values())
    people = {split: _people(result, split) for split in ("train", "val")}
    counts = [(s, str(splits[s]), str(people[s]), _length(result, s)) for s in ("train", "val")]
    console.stdout_console().print(console.table(("kept", "clips", "people", "length"), counts))
    if result.held_out:
        console.write_line(f"note: {result.held_out}")
    if result.frames:
        speed = result.frames / max(result.spent, 1e-3)
        console.write_line(
            f"{result.frames} frames analyzed in {progress_bar.clock_text(result.spent)}, {speed:.1f} frames/s"
        )
    console.write_line(str(result.root))


def _people(result: PrepareResult, split: str) -> int:
    return len({facts.person for facts in result.index.clips.values() if facts.split == split})


def _length(result: PrepareResult, split: str) -> str:
    films = (facts for facts in result.index.clips.values() if facts.frames > 1)
    own = [facts for facts in films if facts.split == split]
    return progress_bar.clock_text(sum(facts.frames / facts.rate for facts in own))


def _trained_facts(outcome: Outcome) -> tuple[Path | None, dict[str, object]]:
    return outcome.weights, {
        "steps": outcome.step,
        "best_step": outcome.best_step,
        "goal": outcome.goal,
        "held_out": dict(outcome.measures),
        "finished": outcome.finished,
        "spent_seconds": round(outcome.seconds, 1),
    }


def _show_trained(outcome: Outcome) -> None:
    console.write_line(
        f"{outcome.step} steps in {progress_bar.clock_text(outcome.seconds)}: {outcome.finished}"
    )
    rows = [(name, f"{value:.4g}") for name, value in outcome.measures.items()]
    console.stdout_console().print(console.table((f"held out, step {outcome.best_step}", ""), rows))
    if outcome.weights is None:
        console.write_line("no step improved on the start, so no weights were written")
    else:
        console.write_line(str(outcome.weights))


Footage = Annotated[
    Path,
    typer.Argument(
        metavar="MOVIE", help="Footage of one person speaking, with its sound.", show_default=False
    ),
]
Profile = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="ACTOR",
        help="Profile to write, a .safetensors file.",
        show_default=False,
        rich_help_panel=o.FILES,
    ),
]


def adapt(
    movie: Footage,
    out: Profile,
    work: o.Work = None,
    shots: o.Shots = None,
    overwrite: o.Overwrite = False,
    preset: o.Presets = None,
    setting: o.Settings = None,
    faces: o.Faces = None,
    jobs: o.Jobs = None,
    device: o.Device = None,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Learn how the person in MOVIE speaks, from the film and its own sound.

    Needs 8 s of usable speech; a minute is better. Part of the speech is held out, and a profile that does not
    improve on it is not written. Persons are not distinguished: use footage of one.

    \b
    Examples:
      dubkit adapt interview.mp4 --out anna.safetensors
      dubkit run movie.mp4 --audio dub.wav --actor anna.safetensors
    """
    console.set_verbosity(verbose, quiet)
    with run_cmd.reporting_result(as_json=json, quiet=quiet) as reporter:
        verdict = lazy.actor_profile.make_profile(
            movie,
            out,
            work=work,
            shots=shots,
            presets=preset or (),
            settings=[*(setting or ()), *options.flags(faces=faces)],
            overwrite=overwrite,
            device=device,
            jobs=jobs,
            progress=reporter,
        )
        facts: dict[str, object] = {
            "speech_seconds": round(verdict.seconds, 2),
            "faces": len(verdict.faces),
            "held_out_before": verdict.before,
            "held_out_after": verdict.after,
        }
        reporter.finish(events.Result("done", EXIT_OK, output=str(out), facts=facts))
    if not json:
        console.write_line(
            f"correlation with the lips on held-out speech: {verdict.before:.2f} -> {verdict.after:.2f}"
        )
        console.write_line(str(out))
