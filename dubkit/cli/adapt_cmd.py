"""``dubkit adapt``: tune the generator to the person in a film and keep the result as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubkit.cli import as_settings, lazy
from dubkit.cli import options as o
from dubkit.cli.console import say, set_verbosity
from dubkit.cli.events import Result
from dubkit.cli.perform import telling
from dubkit.errors import EXIT_OK

Profile = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="ACTOR",
        help="The profile to write, a .safetensors file.",
        show_default=False,
        rich_help_panel=o.FILES,
    ),
]


def adapt(
    movie: o.Movie,
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
    """Learn from MOVIE and its own sound how the person in it speaks.

    Needs 10 s of usable speech, better a minute. A part of the speech is held out: a profile that does not
    meet it better is not written. There is no recognition of persons: give footage of one.

    \b
    Examples:
      dubkit adapt interview.mp4 --out anna.safetensors
      dubkit run movie.mp4 --audio dub.wav --actor anna.safetensors
    """
    set_verbosity(verbose, quiet)
    with telling(as_json=json, quiet=quiet) as reporter:
        verdict = lazy.profile.make_profile(
            movie,
            out,
            work=work,
            shots=shots,
            presets=preset or (),
            settings=[*(setting or ()), *as_settings.flags(faces=faces)],
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
        reporter.finish(Result("done", EXIT_OK, output=str(out), facts=facts))
    if not json:
        say(f"error on held-out speech: {verdict.before:.2f} -> {verdict.after:.2f}")
        say(str(out))
