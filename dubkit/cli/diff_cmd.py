"""``dubkit diff``: which shots another dub would change, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubkit.cli import lazy
from dubkit.cli import options as o
from dubkit.cli.console import answers, say, say_json, table
from dubkit.cli.progress_bar import reporting
from dubkit.cli.time_left import clock_text

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
