"""``dubkit plan``: the shots of a film and what may go wrong, before anything is rendered."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from dubkit.cli import console, events, lazy, options, options as o, progress_bar, run_cmd
from dubkit.errors import EXIT_OK
from dubkit.progress import in_words

if TYPE_CHECKING:
    from dubkit.planning import FilmPlan, ShotPlan
    from dubkit.progress import ShotName

PictureFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write a contact sheet of all shots; long films get several: FILE-2.png and so on.",
        show_default="none",
        rich_help_panel=o.FILES,
    ),
]
_STYLES = {"high": "bold red", "medium": "yellow", "low": "green", "none": "dim"}
_HEADS = ("shot", "at", "length", "faces", "size", "pose", "speech", "risk", "rendering", "why")


def plan(
    movie: o.Movie,
    audio: o.Dub,
    mix: o.Mix = None,
    script: o.Script = None,
    out: o.Out = None,
    work: o.Work = None,
    picture: PictureFile = None,
    language: o.Language = None,
    trust_script: o.TrustScript = False,
    shots: o.Shots = None,
    analysis: o.Analysis = None,
    cast: o.Cast = None,
    preset: o.Presets = None,
    setting: o.Settings = None,
    synth: o.Synth = None,
    faces: o.Faces = None,
    gate: o.Gate = None,
    jobs: o.Jobs = None,
    device: o.Device = None,
    offline: o.Offline = False,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Analyze MOVIE shot by shot before dubbing: faces, speech, risks, and rendering time.

    The analysis is kept in the work folder, and `dubkit run` continues from it.

    \b
    Examples:
      dubkit plan movie.mp4 --audio dub.wav
      dubkit plan movie.mp4 --audio dub.wav --picture shots.png
      dubkit plan movie.mp4 --audio dub.wav --json > plan.jsonl
    """
    console.set_verbosity(verbose, quiet)
    run_cmd.forbid_downloads(offline)
    flags = options.flags(
        language=language, trust_script=trust_script, synth=synth, faces=faces, gate=gate
    )
    with run_cmd.reporting_result(as_json=json, quiet=quiet) as reporter:
        given = [*(setting or ()), *flags]
        config = run_cmd.settings_for(movie, preset, given, device, jobs, reporter)
        job = lazy.api.make_job(
            *(movie, audio, config),
            mix=mix,
            script=script,
            out=out,
            work=work,
            shots=shots,
            analysis=analysis,
            cast=cast,
        )
        request = lazy.api.RunRequest(job, config)
        found = lazy.planning.plan_film(request, progress=reporter, picture=picture)
        if json:
            for shot, minutes, done in _rows(found):
                name = asdict(found.names[shot.shot])
                reporter.emit(events.ShotPlanned(**_fields(shot, minutes, done), **name))
        reporter.finish(events.Result("planned", EXIT_OK, facts=_facts(found)))
    if not json:
        _show(found, quiet)


def _rows(found: FilmPlan) -> list[tuple[ShotPlan, float | None, bool]]:
    return list(zip(found.shots, found.minutes, found.rendered, strict=True))


def _fields(shot: ShotPlan, minutes: float | None, done: bool) -> dict[str, Any]:
    table = asdict(shot)
    for name in ("thumbnail", "box"):
        del table[name]
    del table["speech"]["bar"]
    table["risk"] = shot.risk.word
    table["reasons"] = [
        {"kind": r.kind, "level": r.level.word, "text": r.text} for r in shot.reasons
    ]
    return {**table, "minutes": None if minutes is None else round(minutes, 3), "rendered": done}


def _facts(found: FilmPlan) -> dict[str, object]:
    return {
        "shots": len(found.shots),
        "risks": found.risks,
        "minutes_left": None if found.left is None else round(found.left, 2),
        "workers": found.workers,
        "measured_on": found.speed.basis if found.speed else None,
        "offset": None if found.offset is None else asdict(found.offset),
        "conform": None if found.conform is None else asdict(found.conform),
        "lost_words": list(found.lost),
        "pictures": [str(path) for path in found.pictures],
    }


def _show(found: FilmPlan, quiet: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in _HEADS:
        table.add_column(head, overflow="fold", justify="right" if head in _NUMBERS else "left")
    for shot, minutes, done in _rows(found):
        if not quiet or shot.risk.word in ("high", "medium"):
            table.add_row(*_line(shot, found.names[shot.shot], minutes, done))
    console.stdout_console().print(table)
    counts = ", ".join(f"{count} {_names(word)}" for word, count in found.risks.items() if count)
    console.write_line(f"{len(found.shots)} shots: {counts}")
    console.write_words(_time(found))
    if found.offset is not None:
        console.write_line(f"sound and picture of the film: {found.offset}")
    if found.conform is not None and found.conform.over and not found.conform.fixed:
        console.write_words(
            f"the dub does not lie on the film: {found.conform.summary}; "
            "dubkit run will stop unless --fix-offset or --accept-offset is given"
        )
    if found.lost:
        console.write_words(
            f"{len(found.lost)} words of the dub are cut off: {' '.join(found.lost)}"
        )
    for path in found.pictures:
        console.write_line(str(path))


_NUMBERS = ("shot", "length", "faces", "size", "rendering")


def _line(shot: ShotPlan, name: ShotName, minutes: float | None, done: bool) -> list[Text]:
    face, speech = shot.face, shot.speech
    said = f"{speech.seconds:.1f} s"
    if speech.phonemes is not None:
        said += f", {speech.phonemes} phonemes, {speech.labials} P B M"
    why = "; ".join(reason.text for reason in shot.reasons)
    cells = (
        str(name.number),
        name.timecode or progress_bar.clock_text(shot.start),
        f"{shot.end - shot.start:.1f} s",
        f"{shot.dubbed} of {shot.faces}" if shot.faces else "none",
        f"{face.width:.0f} px" if face else "",
        f"{face.yaw:+.0f}° {face.pitch:+.0f}°" if face else "",
        said if speech.seconds else "silent",
        shot.risk.word if shot.faces else "",
        "done" if done else "" if minutes is None else _short(minutes),
        why or (shot.who if shot.faces > 1 else ""),
    )
    styles = [_STYLES[shot.risk.word] if head == "risk" else "" for head in _HEADS]
    return [Text(cell, style=style) for cell, style in zip(cells, styles, strict=True)]


def _short(minutes: float) -> str:
    return f"{60 * minutes:.1f} s" if minutes < 1 else f"{minutes:.1f} min"


def _names(word: str) -> str:
    return "without a face" if word == "none" else f"at {word} risk"


def _time(found: FilmPlan) -> str:
    if found.left is None or found.speed is None:
        return "the rendering time could not be measured"
    if all(found.rendered):
        return "all shots are already rendered"
    basis = in_words(found.speed.basis, found.names)
    workers = f"{found.workers} workers" if found.workers > 1 else "one worker"
    return f"rendering takes about {_short(found.left)} with {workers}, based on {basis}"
