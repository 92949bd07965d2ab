"""The ``dubkit`` command: every command by its name, each a thin layer in a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer
from typer.main import get_command

from dubkit.cli import (
    batch_cmd,
    cast_cmd,
    console,
    deliver_cmd,
    evaluate_cmd,
    info_cmds,
    models_cmd,
    plan_cmd,
    report_cmd,
    run_cmd,
    train_cmd,
    work_folder_cmds,
)
from dubkit.cli.command import DubkitCommand, DubkitGroup
from dubkit.version import __version__

EPILOG = (
    "Exit codes: 0 success, 2 invalid request, 3 unusable media, 4 missing dependency, "
    "5 program failed, 6 work folder, 7 weights, 8 output, 9 dub off the film, 10 partial success, 130 interrupted."
)

app = typer.Typer(
    name="dubkit",
    cls=DubkitGroup,
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", cls=DubkitCommand)(run_cmd.run)
app.command("plan", cls=DubkitCommand)(plan_cmd.plan)
app.command("cast", cls=DubkitCommand)(cast_cmd.cast)
app.command("batch", cls=DubkitCommand)(batch_cmd.batch)
app.command("adapt", cls=DubkitCommand)(train_cmd.adapt)
app.command("status", cls=DubkitCommand)(work_folder_cmds.status)
app.command("report", cls=DubkitCommand)(report_cmd.report)
app.command("deliver", cls=DubkitCommand)(deliver_cmd.deliver)
app.command("verify", cls=DubkitCommand)(deliver_cmd.verify)
app.command("diff", cls=DubkitCommand)(work_folder_cmds.diff)
app.command("clean", cls=DubkitCommand)(work_folder_cmds.clean)
app.command("evaluate", cls=DubkitCommand)(evaluate_cmd.evaluate)
app.add_typer(info_cmds.presets, name="presets")
app.add_typer(info_cmds.config, name="config")
app.add_typer(models_cmd.app, name="models")
app.command("languages", cls=DubkitCommand)(info_cmds.languages)
app.add_typer(train_cmd.app, name="train")
app.command("doctor", cls=DubkitCommand)(info_cmds.doctor)
app.command("demo", cls=DubkitCommand)(run_cmd.demo)
app.command("schema", cls=DubkitCommand)(info_cmds.schema)


def _show_version(requested: bool) -> None:
    if requested:
        console.write_line(f"dubkit {__version__}")
        raise typer.Exit


def command() -> Callable[[], object]:
    """Return the ``dubkit`` command, ready to be called."""
    return partial(get_command(app), prog_name="dubkit")  # also as ``python -m dubkit``


@app.callback()
def main_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    """Dub films: make the faces in a video speak a new audio track.

    \b
    Examples:
      dubkit demo
      dubkit run movie.mp4 --audio dub.wav --script dub.txt
      dubkit run --help
    """
