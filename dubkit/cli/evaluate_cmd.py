"""``dubkit evaluate``: how good a dubbed film is."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from dubkit.cli import console, lazy, options as o, progress_bar
from dubkit.errors import DubkitError, InputError, OutputError, UsageError

if TYPE_CHECKING:
    from dubkit.evaluation.against_reference import ShotMeasures
    from dubkit.evaluation.evaluate_films import Evaluation

Made = Annotated[
    Path,
    typer.Argument(
        metavar="RESULT", help="The dubbed film, or a folder of them.", show_default=False
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="ORIGINAL",
        help="The film that was dubbed, or a folder of such films.",
        show_default="none",
    ),
]
Dub = Annotated[
    Path | None,
    typer.Option(
        "--audio",
        "-a",
        metavar="DUB",
        help="The dub, or a folder of dubs.",
        show_default="the sound of RESULT",
    ),
]
SameWords = Annotated[
    bool,
    typer.Option("--same-words", help="ORIGINAL speaks the same words: compare the lips too."),
]
Csv = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        help="Write a table: one row per shot, then one for the film.",
        show_default="none",
    ),
]
SyncNet = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="syncnet_v2.model, for LSE-D and LSE-C.",
        show_default="from the weights cache",
    ),
]
Inception = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="pt_inception-2015-12-05-6726825d.pth, for FID.",
        show_default="from the weights cache",
    ),
]
PerShot = Annotated[bool, typer.Option("--shots", help="Show every shot, not only the film.")]
Explain = Annotated[
    bool,
    typer.Option("--explain", help="Show the range, source and blind spots of each measure."),
]


def evaluate(
    result: Made,
    reference: Reference = None,
    audio: Dub = None,
    script: o.Script = None,
    same_words: SameWords = False,
    syncnet: SyncNet = None,
    inception: Inception = None,
    work: o.Work = None,
    csv_file: Csv = None,
    shots: PerShot = False,
    explain: Explain = False,
    preset: o.Presets = None,
    setting: o.Settings = None,
    jobs: o.Jobs = None,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Measure a dubbed film: lips, sync, and its pictures against those of the film that was dubbed.

    In a folder, every film is measured. Films that cannot be measured are reported; the exit code is that of the
    first of them.

    \b
    Examples:
      dubkit evaluate movie.dubbed.mp4 --reference movie.mp4
      dubkit evaluate movie.dubbed.mp4 --reference movie.mp4 --csv shots.csv
      dubkit evaluate dubbed/ --reference films/ --audio dubs/ --json
    """
    console.set_verbosity(verbose, quiet)
    config = lazy.presets.load_config(
        preset or (), setting or (), {"parallel.jobs": jobs}, folder=result.parent
    )
    found: list[Evaluation] = []
    failed: list[tuple[Path, DubkitError]] = []
    pairs = lazy.evaluation.pairs_of(result, reference, audio)
    with (
        progress_bar.reporting(as_json=False, quiet=quiet or json) as reporter,
        TemporaryDirectory(prefix="dubkit-evaluate-") as scratch,
    ):
        place = work or Path(scratch)
        for pair in pairs:
            try:
                film = lazy.evaluation.evaluate(
                    pair.result,
                    config,
                    place / pair.result.stem if result.is_dir() else place,
                    reporter,
                    reference=pair.reference,
                    audio=pair.audio,
                    script=script,
                    same_sound=same_words,
                    syncnet=syncnet,
                    inception=inception,
                )
            except (InputError, UsageError) as error:
                failed.append((pair.result, error))
            else:
                found.append(film)
    _print_results(found, csv_file, json, shots, explain)
    _raise_first(failed, alone=len(pairs) == 1)


def _print_results(
    found: list[Evaluation], csv_file: Path | None, json: bool, shots: bool, explain: bool
) -> None:
    if csv_file and found:
        _write_csv(csv_file, found)
    if json and found:
        console.write_json({"films": [asdict(film) for film in found]})
    elif not json:
        for film in found:
            _show(film, shots, explain)


def _raise_first(failed: list[tuple[Path, DubkitError]], *, alone: bool) -> None:
    if failed and not alone:
        for _, error in failed[1:]:
            console.show_error(error)
    if failed:
        raise failed[0][1]


def _show(film: Evaluation, every: bool, explain: bool) -> None:
    known = lazy.evaluation.BY_NAME
    console.write_line(f"{film.result}")
    heads = ["measure", "value", "better", "meaning"]
    heads += ["range", "source", "blind spots"] if explain else []
    rows = []
    for name, value in film.rows.items():
        measure = known[name]
        rows.append([name, _number(value), measure.better, measure.meaning])
        rows[-1] += [measure.range, measure.source, measure.blind] if explain else []
    console.stdout_console().print(console.table(heads, rows))
    for reason, names in _by_reason(film.missing).items():
        console.write_line(f"{', '.join(names)}: {reason}")
    if every:
        shown = [name for name in film.rows if any(_of(s, name) is not None for s in film.shots)]
        lines = [
            (
                str(film.names[shot.shot].number),
                film.names[shot.shot].timecode or progress_bar.clock_text(shot.start),
                *(_number(_of(shot, name)) for name in shown),
            )
            for shot in film.shots
        ]
        console.stdout_console().print(console.table(("shot", "at", *shown), lines))


def _by_reason(missing: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, reason in missing.items():
        found.setdefault(reason, []).append(name)
    return found


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
                    times = f"{shot.start:.3f}", f"{shot.end:.3f}"
                    values = (_number(_of(shot, name)) for name in names)
                    rows.writerow([film.result, shot.shot, *times, shot.frames, *values])
                total = sum(shot.frames for shot in film.shots)
                values = (_number(film.rows.get(name)) for name in names)
                rows.writerow([film.result, "all", "", "", total, *values])
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
