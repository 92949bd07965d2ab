"""``dubkit cast``: the people of a film, as a file to edit and a contact sheet."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubkit.cli import console, events, lazy, options, options as o, run_cmd
from dubkit.errors import EXIT_OK

if TYPE_CHECKING:
    from dubkit.planning import FilmCast

CastOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="The cast file; the contact sheet lies beside it as a JPEG.",
        show_default="MOVIE.cast.toml",
        rich_help_panel=o.FILES,
    ),
]

ConsentOut = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also write a consent file to fill in, with everybody who may be dubbed.",
        show_default="none",
        rich_help_panel=o.FILES,
    ),
]


def cast(
    movie: o.Movie,
    out: CastOut = None,
    cast: o.Cast = None,
    consent: ConsentOut = None,
    work: o.Work = None,
    shots: o.Shots = None,
    analysis: o.Analysis = None,
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
    """Find the people of MOVIE: a cast file to edit, and a contact sheet to see who is who.

    In the file, rename people, move faces from one to another, or set dub and double; then give it to `dubkit run`
    with --cast. The analysis is kept in the work folder, and `dubkit run` continues from it.

    \b
    Examples:
      dubkit cast movie.mp4
      dubkit run movie.mp4 --audio dub.wav --cast movie.cast.toml
      dubkit cast movie.mp4 --cast movie.cast.toml --out new.cast.toml
      dubkit cast movie.mp4 --cast movie.cast.toml --consent consent.toml
    """
    console.set_verbosity(verbose, quiet)
    with run_cmd.reporting_result(as_json=json, quiet=quiet) as reporter:
        given = [*(setting or ()), *options.flags(faces=faces)]
        config = run_cmd.settings_for(movie, preset, given, device, jobs, reporter)
        made = lazy.planning.make_cast(
            *(movie, config),
            progress=reporter,
            out=out,
            work=work,
            shots=shots,
            analysis=analysis,
            known=cast,
            consent=consent,
            overwrite=overwrite,
        )
        reporter.finish(events.Result("done", EXIT_OK, output=str(made.file), facts=_facts(made)))
    if not json:
        _show(made, quiet)


def _facts(made: FilmCast) -> dict[str, object]:
    return {
        "people": [asdict(person) for person in made.people.people],
        "unknown": list(made.people.unknown),
        "pictures": [str(path) for path in made.pictures],
    }


def _show(made: FilmCast, quiet: bool) -> None:
    rows = []
    for person in made.people.people:
        shots = len({face.split("/")[0] for face in person.faces})
        dubbed = f"{person.dubbed:.1f} s" if person.dub else "never"
        rows.append((person.name, str(shots), f"{person.seconds:.1f} s", dubbed))
    if not quiet:
        heads = ("person", "shots", "on screen", "dubbed")
        console.stdout_console().print(console.table(heads, rows, heads[1:]))
        if made.people.unknown:
            console.write_line(f"{len(made.people.unknown)} faces are too unclear to assign")
    for path in (*made.pictures, made.file):
        console.write_line(str(path))
