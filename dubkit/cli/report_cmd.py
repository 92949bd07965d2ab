"""``dubkit report``: a page to look through a job shot by shot, and to judge it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dubkit.cli import lazy
from dubkit.cli import options as o
from dubkit.cli.console import say, say_json, set_verbosity
from dubkit.cli.progress_bar import reporting

WorkFolder = Annotated[
    Path, typer.Argument(metavar="WORK", help="The work folder of a run.", show_default=False)
]
Page = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE.html",
        help="The page; beside the result if not given.",
        rich_help_panel=o.FILES,
    ),
]
Videos = Annotated[
    str,
    typer.Option(
        metavar="worst|all|none",
        help="Which shots have a video in the page: the worst as far as there is room, all, or none.",
        rich_help_panel=o.PICTURE,
    ),
]
Room = Annotated[
    float,
    typer.Option(
        metavar="MB",
        min=0,
        help="What the worst shots' videos may take.",
        rich_help_panel=o.PICTURE,
    ),
]


def report(
    work: WorkFolder,
    out: Page = None,
    videos: Videos = "worst",
    room: Room = 48,
    jobs: o.Jobs = None,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Make a page of the job in WORK: every shot, original beside dubbed, worst first.

    The page is one file and uses no network. Shots are approved and rejected in it; the verdict file that it
    gives goes to `dubkit run --verdicts`. A job that is not finished has a page too.

    \b
    Examples:
      dubkit report movie.dubbed.dubkit
      dubkit report movie.dubbed.dubkit --out review.html --videos all
    """
    set_verbosity(verbose, quiet)
    with reporting(as_json=False, quiet=quiet or json) as reporter:
        made = lazy.report.make_report(
            work, out, progress=reporter, videos=videos, room=room, jobs=jobs
        )
    if json:
        say_json(asdict(made))
        return
    if not quiet:
        say(f"{made.shots} shots, {made.videos} with a video, {made.size / 2**20:.1f} MB")
    say(str(made.path))
