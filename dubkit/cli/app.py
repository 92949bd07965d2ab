"""The command line: one file per command beside this one, thin layers over plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from typer.main import get_command

from dubkit.cli import (
    batch_cmd,
    clean_cmd,
    doctor_cmd,
    evaluate_cmd,
    languages_cmd,
    models_cmd,
    plan_cmd,
    presets_cmd,
    report_cmd,
    run_cmd,
    schema_cmd,
    status_cmd,
    train_cmd,
)
from dubkit.cli.console import DubkitGroup, say
from dubkit.version import __version__

EPILOG = (
    "Exit codes: 0 done, 2 wrong request, 3 unusable media, 4 something is not installed, "
    "5 a program failed, 6 work folder, 7 weights, 8 output, 10 partly done, 130 interrupted."
)

app = typer.Typer(
    name="dubkit",
    cls=DubkitGroup,
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run_cmd.run)
app.command("plan")(plan_cmd.plan)
app.command("batch")(batch_cmd.batch)
app.command("adapt")(train_cmd.adapt)
app.command("status")(status_cmd.status)
app.command("report")(report_cmd.report)
app.command("diff")(status_cmd.diff)
app.command("clean")(clean_cmd.clean)
app.command("evaluate")(evaluate_cmd.evaluate)
app.add_typer(presets_cmd.app, name="presets")
app.add_typer(models_cmd.app, name="models")
app.command("languages")(languages_cmd.languages)
app.add_typer(train_cmd.app, name="train")
app.command("doctor")(doctor_cmd.doctor)
app.command("demo")(run_cmd.demo)
app.command("schema")(schema_cmd.schema)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"dubkit {__version__}")
        raise typer.Exit


def command() -> Callable[[], object]:
    """The whole command, ready to be called."""
    return get_command(app)


@app.callback()
def main_options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Make the faces of a film speak a new audio track.

    \b
    Examples:
      dubkit demo
      dubkit run movie.mp4 --audio dub.wav --script dub.txt
      dubkit run --help
    """
