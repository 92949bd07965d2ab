"""``dubkit report``: a page on which to review a job shot by shot."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dubkit.cli import console, lazy, options as o, progress_bar
from dubkit.errors import UsageError

WorkFolder = Annotated[
    Path,
    typer.Argument(
        metavar="WORK",
        help="The work folder of a run, its film or its result, or the output folder of a batch.",
        show_default=False,
    ),
]
Page = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="The HTML page, or the list.",
        show_default="beside the result",
        rich_help_panel=o.FILES,
    ),
]
Videos = Annotated[
    str,
    typer.Option(
        metavar="WHICH",
        help="Shots that get a video: worst (as many as --room allows), all, or none.",
        rich_help_panel=o.SETTINGS,
    ),
]
Room = Annotated[
    float,
    typer.Option(
        metavar="MB",
        min=0,
        help="Space for the videos of the whole film and of the worst shots, in megabytes.",
        rich_help_panel=o.SETTINGS,
    ),
]

Markers = Annotated[
    str | None,
    typer.Option(
        metavar="FORM",
        help="Write the findings and verdicts as markers instead of a page: csv, edl, fcpxml, or otio.",
        show_default="a page is made",
        rich_help_panel=o.FILES,
    ),
]
VerdictsFrom = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Read verdicts from markers (.csv, .edl, .fcpxml, .otio) that begin with approve or reject, "
        "and write them as a verdict file instead of a page.",
        show_default="a page is made",
        rich_help_panel=o.FILES,
    ),
]
Timecode = Annotated[
    str | None,
    typer.Option(
        metavar="CODE",
        help="Time code of the film's first frame, for markers.",
        show_default="as the film states it",
        rich_help_panel=o.SETTINGS,
    ),
]


def report(
    work: WorkFolder,
    out: Page = None,
    markers: Markers = None,
    verdicts_from: VerdictsFrom = None,
    timecode: Timecode = None,
    videos: Videos = "worst",
    room: Room = 48,
    jobs: o.Jobs = None,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Make a review page of the job in WORK: the whole film and every shot, original beside dubbed, worst first.

    The page is one file and uses no network. Approve or reject shots on it, and pass the verdict file that it
    saves to `dubkit run --verdicts`. Unfinished jobs have a page too. Of the output folder of a batch, the page shows
    all films and languages, worst first, and leads to the page of each.

    \b
    Examples:
      dubkit report movie.dubbed.dubkit
      dubkit report movie.dubbed.dubkit --out review.html --videos all
      dubkit report movie.dubbed.dubkit --markers edl
      dubkit report dubbed/
      dubkit report movie.dubbed.dubkit --verdicts-from notes.csv
    """
    console.set_verbosity(verbose, quiet)
    if markers is not None and verdicts_from is not None:
        raise UsageError("--markers and --verdicts-from exclude each other", hint="give one")
    if markers is not None or verdicts_from is not None:
        work = lazy.inspect.find_work(work)
    if markers is not None:
        path, count = lazy.delivery.write_markers(work, markers, out, timecode)
        _tell({"path": str(path), "markers": count}, f"{count} markers", json, quiet)
        return
    if verdicts_from is not None:
        path, count, others = lazy.delivery.read_verdicts(work, verdicts_from, out, timecode)
        facts = {"path": str(path), "verdicts": count, "other_markers": others}
        _tell(facts, f"{count} verdicts; {others} other markers", json, quiet)
        return
    with progress_bar.reporting(as_json=False, quiet=quiet or json) as reporter:
        made = lazy.api.report(work, out, progress=reporter, videos=videos, room=room, jobs=jobs)
    if json:
        console.write_json(asdict(made))
        return
    if not quiet:
        size = f", {made.size / 2**20:.1f} MB" if made.films == 1 else f", {made.films} jobs"
        console.write_line(f"{made.shots} shots, {made.videos} with a video{size}")
    console.write_line(str(made.path))


def _tell(facts: dict[str, object], said: str, json: bool, quiet: bool) -> None:
    if json:
        console.write_json(facts)
        return
    if not quiet:
        console.write_line(said)
    console.write_line(str(facts["path"]))
