"""``dubkit deliver`` and ``verify``: what a finishing house needs of a dubbed film, and what a film says of itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dubkit.cli import console, lazy, options as o, progress_bar, report_cmd
from dubkit.errors import OutputError

Kind = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="KIND",
        help="What to deliver: patches (a file for each changed shot, and lists that conform them).",
        rich_help_panel=o.FILES,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="The folder of the delivery.",
        show_default="RESULT.patches, beside the result",
        rich_help_panel=o.FILES,
    ),
]
Codec = Annotated[
    str,
    typer.Option(
        metavar="CODEC",
        help="Codec of the patches: source (the film's own, its coded pictures as they are), h264, h265, ffv1, "
        "prores, dnxhr, cineform, vp9, av1; with the mouth's soft mask as alpha: prores_4444, exr, png.",
        rich_help_panel=o.SETTINGS,
    ),
]
Handles = Annotated[
    int,
    typer.Option(
        metavar="FRAMES",
        help="Frames before and after the changed part, never over a cut.",
        rich_help_panel=o.SETTINGS,
    ),
]
Alpha = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        help="Colors under the alpha: straight, or premultiplied.",
        rich_help_panel=o.SETTINGS,
    ),
]
Reel = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Reel in names and lists.",
        show_default="as the film states it, else its name",
        rich_help_panel=o.SETTINGS,
    ),
]
Timecode = Annotated[
    str | None,
    typer.Option(
        metavar="CODE",
        help="Time code of the film's first frame; 01:00:00;00 is drop frame.",
        show_default="as the film states it",
        rich_help_panel=o.SETTINGS,
    ),
]

Edit = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A new edit of the film, as an .edl, an .otio or the newly cut film: the lists put the patches on it.",
        show_default="the film as it was dubbed",
        rich_help_panel=o.FILES,
    ),
]


def deliver(
    work: report_cmd.WorkFolder,
    kind: Kind = "patches",
    out: Folder = None,
    codec: Codec = "source",
    handles: Handles = 8,
    alpha: Alpha = "straight",
    reel: Reel = None,
    timecode: Timecode = None,
    edit: Edit = None,
    overwrite: o.Overwrite = False,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Deliver what changed of the film in WORK: patches with handles, an EDL, FCPXML and OTIO, and delivery.json.

    Conformed onto the film, the patches make the dubbed film. Names hold film, reel, shot and the time code of the
    first frame in the file.

    \b
    Examples:
      dubkit deliver movie.dubbed.dubkit --as patches
      dubkit deliver movie.dubbed.dubkit --codec prores_4444 --handles 12
      dubkit deliver movie.dubbed.dubkit --codec exr --out patches
      dubkit deliver movie.dubbed.dubkit --reel A001
      dubkit deliver movie.dubbed.dubkit --edit new.edl --out new.patches
    """
    console.set_verbosity(verbose, quiet)
    request = lazy.delivery.DeliveryRequest(
        lazy.inspect.find_work(work),
        out,
        kind=kind,
        codec=codec,
        handles=handles,
        alpha=alpha,
        reel=reel,
        timecode=timecode,
        overwrite=overwrite,
        edit=edit,
    )
    with progress_bar.reporting(as_json=False, quiet=quiet or json) as reporter:
        made = lazy.delivery.deliver(request, reporter)
    if json:
        console.write_json({"folder": str(made.folder), **asdict(made.record)})
        return
    if not quiet:
        frames = sum(shot.frames for shot in made.record.shots)
        console.write_line(
            f"{len(made.record.shots)} of {len(made.record.shots) + made.record.unchanged} shots changed, "
            f"{frames} frames; {made.record.codec}"
        )
    console.write_line(str(made.folder))


Film = Annotated[Path, typer.Argument(metavar="FILM", help="A dubbed film.", show_default=False)]


def verify(film: Film, json: o.Json = False) -> None:
    """Check what FILM says of how it was made: its content credentials, and what of it was changed where.

    Reads the signed manifest in the film (with the extra c2pa), else the facts beside it, and the digital source
    type in its metadata. Ends with code 8 where the film is not as it was made, or says nothing. Work folders are
    checked with `dubkit status --verify`.

    \b
    Examples:
      dubkit verify movie.dubbed.mp4
    """
    found = lazy.api.verify(film)
    if json:
        console.write_json(asdict(found))
    else:
        for line in lazy.credentials.in_words(found):
            console.write_line(line)
    if found.problems:
        raise OutputError(f"{film} is not verified: {'; '.join(found.problems)}")
