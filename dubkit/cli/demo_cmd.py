"""``dubkit demo``: a small film made of what the package carries, dubbed by the real pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubkit.cli import lazy
from dubkit.cli import options as o
from dubkit.cli.console import say, set_verbosity
from dubkit.cli.perform import perform

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Where film, dub and result are put.")]


def demo(
    folder: Folder = Path("dubkit-demo"),
    jobs: o.Jobs = None,
    device: o.Device = None,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Make a film of three shots and a dub of it, and dub the film.

    Run again, it does only what is not done.

    \b
    Example:
      dubkit demo
    """
    set_verbosity(verbose, quiet)
    files = lazy.build.build_demo(folder)
    result = folder / "dubbed.mp4"
    perform(
        lambda progress: lazy.api.run(
            files.film,
            files.dub,
            script=files.script,
            out=result,
            work=folder / "work",
            overwrite=True,
            device=device,
            jobs=jobs,
            progress=progress,
        ),
        as_json=json,
        quiet=quiet,
    )
    if not json and not quiet:
        say(f"compare it with {files.film}; what is said is in {files.script}")
