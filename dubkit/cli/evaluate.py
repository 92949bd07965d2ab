"""``dubkit evaluate``: how good a dubbed film is."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubkit.cli import lazy
from dubkit.cli import options as o
from dubkit.cli.console import answers, say, say_json, set_verbosity, table
from dubkit.cli.meter import clock_text
from dubkit.cli.progress import reporting
from dubkit.errors import OutputError

if TYPE_CHECKING:
    from dubkit.evaluation.evaluate import Evaluation
    from dubkit.evaluation.shots import ShotMeasures

Made = Annotated[
    Path, typer.Argument(metavar="RESULT", help="The dubbed film, or a folder.", show_default=False)
]
Reference = Annotated[
    Path | None,
    typer.Option(metavar="REAL", help="The film that was dubbed, or a folder of such films."),
]
Dub = Annotated[
    Path | None,
    typer.Option(
        "--audio", "-a", metavar="DUB", help="What is spoken; RESULT's sound if not given."
    ),
]
SameWords = Annotated[
    bool,
    typer.Option("--same-words", help="REAL speaks the same words: compare the lips too."),
]
Csv = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write a table of all shots.")
]
SyncNet = Annotated[
    Path | None, typer.Option(metavar="FILE", help="syncnet_v2.model, for LSE-D and LSE-C.")
]
PerShot = Annotated[bool, typer.Option("--shots", help="Show every shot, not only the film.")]


def evaluate(
    result: Made,
    reference: Reference = None,
    audio: Dub = None,
    script: o.Script = None,
    same_words: SameWords = False,
    syncnet: SyncNet = None,
    work: o.Work = None,
    csv_file: Csv = None,
    shots: PerShot = False,
    preset: o.Presets = None,
    setting: o.Settings = None,
    jobs: o.Jobs = None,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Measure a dubbed film: its lips, its sync, and its pictures against the film that was dubbed.

    \b
    Examples:
      dubkit evaluate movie.dubbed.mp4 --reference movie.mp4
      dubkit evaluate movie.dubbed.mp4 --reference movie.mp4 --csv shots.csv --shots
      dubkit evaluate dubbed/ --reference films/ --json
    """
    set_verbosity(verbose, quiet)
    config = lazy.presets.load_config(preset or (), setting or (), {"parallel.jobs": jobs})
    found = []
    with reporting(as_json=False, quiet=quiet or json) as reporter:
        for made, real in lazy.evaluation.pairs_of(result, reference):
            found.append(
                lazy.evaluation.evaluate(
                    made,
                    config,
                    work or made.with_name(f"{made.stem}.evaluated.dubkit"),
                    reporter,
                    reference=real,
                    audio=audio,
                    script=script,
                    same_sound=same_words,
                    syncnet=syncnet or lazy.cache.find("syncnet"),
                )
            )
    if csv_file:
        _write_csv(csv_file, found)
    if json:
        say_json({"films": [asdict(film) for film in found]})
        return
    for film in found:
        _show(film, shots)


def _show(film: Evaluation, every: bool) -> None:
    known = lazy.evaluation.BY_NAME
    say(f"{film.result}")
    rows = [
        (name, _number(value), known[name].better, known[name].meaning)
        for name, value in film.rows.items()
    ]
    answers().print(table(("measure", "value", "better", "what it says"), rows))
    for name, why in film.missing.items():
        say(f"{name}: {why}")
    if every:
        names = list(film.rows)
        lines = [
            (shot.shot, clock_text(shot.start), *(_number(_of(shot, name)) for name in names))
            for shot in film.shots
        ]
        answers().print(table(("shot", "at", *names), lines))


def _of(shot: ShotMeasures, name: str) -> float | None:
    if name in shot.rows:
        return shot.rows[name]
    return shot.tallies[name].share if name in shot.tallies else None


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _write_csv(path: Path, films: list[Evaluation]) -> None:
    names = list(lazy.evaluation.BY_NAME)
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["film", "shot", "start", "end", "frames", *names])
            for film in films:
                for shot in film.shots:
                    head = [
                        film.result,
                        shot.shot,
                        f"{shot.start:.3f}",
                        f"{shot.end:.3f}",
                        shot.frames,
                    ]
                    rows.writerow([*head, *(_number(_of(shot, name)) for name in names)])
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
