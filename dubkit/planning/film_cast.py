"""The cast of a film before it is dubbed: a cast file to edit, and a contact sheet of its people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dubkit.config.schema import Config
from dubkit.errors import OutputError
from dubkit.faces.appearance import PORTRAIT_SIDE
from dubkit.faces.consent import consent_text
from dubkit.faces.people import People, Person, cast_text, load_people
from dubkit.pipeline import inspect
from dubkit.pipeline.job import run_job
from dubkit.pipeline.request import RunRequest, make_job
from dubkit.planning.contact_sheet import BACKGROUND, DIM, INK, PANEL, draw_text
from dubkit.records import Picture, Shown
from dubkit.stages import appearance, cast, faces, probe, shots
from dubkit.work.manifest import write_atomic

if TYPE_CHECKING:
    from dubkit.progress import Progress

_STAGES = (probe.STAGE, shots.STAGE, faces.STAGE, appearance.STAGE, cast.STAGE)
PAGE = 10  # people on one picture
_SIDE, _GAP, _MARGIN, _HEAD, _CAPTION = 150, 10, 36, 84, 250  # pixels
_PORTRAITS = 6
_QUALITY = 90  # JPEG


@dataclass(frozen=True, slots=True, repr=False)
class FilmCast(Shown):
    """The people of a film, and the files that say so."""

    people: People
    file: Path
    pictures: tuple[Path, ...]

    def facts_shown(self) -> dict[str, object]:
        """The file, the names of the people, and how many faces nobody could be assigned."""
        names = ", ".join(person.name for person in self.people.people)
        return {"file": self.file, "people": names, "unknown": len(self.people.unknown)}


def make_cast(
    video: Path | str,
    config: Config,
    *,
    progress: Progress,
    out: Path | None = None,
    work: Path | str | None = None,
    shots: Path | str | None = None,
    analysis: Path | str | None = None,
    known: Path | str | None = None,
    consent: Path | None = None,
    overwrite: bool = False,
) -> FilmCast:
    """Group the faces of a film into people, and write the cast file and its contact sheet.

    ``known`` is a cast file whose names are kept, ``consent`` where a consent file to fill in is written. The work
    folder is the one that a run of this film takes. Raises OutputError where the cast file exists already, and other
    `dubkit.errors.DubkitError` as a run does.
    """
    job = make_job(
        *(video, video, config), work=work, shots=shots, analysis=analysis, cast=known
    )  # no stage here reads a dub
    out = out or job.video.with_name(f"{job.video.stem}.cast.toml")
    if consent is not None and consent.exists():
        raise OutputError(f"the consent file {consent} exists already", hint="name another")
    if out.exists() and not overwrite:
        raise OutputError(
            f"the cast file {out} exists already",
            hint=f"--overwrite replaces it; --cast {out} keeps its names",
        )
    run_job(RunRequest(job, config), progress=progress, stages=_STAGES)
    opened = inspect.OpenedJob(job.work)
    published = opened.folder(cast.STAGE.name, None)
    people = load_people(published)
    folder = published.parent.parent / appearance.STAGE.name
    text = cast_text(people, opened.manifest.inputs["video"].sha256, job.video.name)
    try:
        write_atomic(out, text.encode())
        if consent is not None:
            names = [person.name for person in people.people if person.dub]
            film = opened.manifest.inputs["video"].sha256
            write_atomic(consent, consent_text(names, film, job.video.name).encode())
        pictures = _write_sheets(out.with_suffix(".jpg"), people, folder)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
    return FilmCast(people, out, tuple(pictures))


def _write_sheets(path: Path, people: People, folder: Path) -> list[Path]:
    """Write the contact sheet, in pages of `PAGE` people: FILE, FILE-2 and so on."""
    written = []
    pages = range(0, max(len(people.people), 1), PAGE)
    for number, first in enumerate(pages):
        sheet = draw_sheet(people.people[first : first + PAGE], people, folder)
        page = path.with_name(f"{path.stem}-{number + 1}{path.suffix}") if number else path
        shown = cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)
        _, coded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        write_atomic(page, bytes(coded))
        written.append(page)
    return written


def draw_sheet(shown: Sequence[Person], people: People, folder: Path) -> Picture:
    """One row a person: name, seconds, and the clearest portraits; ``folder`` holds those of the shots."""
    row = _SIDE + 2 * _GAP
    width = 2 * _MARGIN + _CAPTION + _PORTRAITS * (_SIDE + _GAP)
    height = _HEAD + max(len(shown), 1) * (row + _GAP) + _MARGIN
    sheet = np.full((height, width, 3), BACKGROUND, np.uint8)
    count = len(people.people)
    title = "1 person" if count == 1 else f"{count} people"
    if people.unknown:
        title += f", {len(people.unknown)} faces too unclear to assign"
    draw_text(sheet, title, _MARGIN, 34, 22, INK)
    for place, person in enumerate(shown):
        top = _HEAD + place * (row + _GAP)
        sheet[top : top + row, _MARGIN : width - _MARGIN] = PANEL
        _caption(sheet, person, top)
        for k, face in enumerate(person.portraits[:_PORTRAITS]):
            x = _MARGIN + _CAPTION + k * (_SIDE + _GAP)
            portrait = _portrait(folder, face)
            if portrait is not None:
                sheet[top + _GAP : top + _GAP + _SIDE, x : x + _SIDE] = portrait
    return sheet


def _caption(sheet: Picture, person: Person, top: int) -> None:
    shots = len({face.split("/")[0] for face in person.faces})
    lines = [
        f"{_clock(person.seconds)} in {'1 shot' if shots == 1 else f'{shots} shots'}",
        f"dubbed {_clock(person.dubbed)}" if person.dub else "never dubbed",
        *([f"double: {person.double}"] if person.double else []),
        f"first {person.faces[0]}",
    ]
    draw_text(sheet, person.name, _MARGIN + 14, top + 14, 20, INK)
    for k, line in enumerate(lines):
        draw_text(sheet, line, _MARGIN + 14, top + 50 + 26 * k, 14, DIM)


def _clock(seconds: float) -> str:
    minutes = math.floor(seconds / 60)
    return f"{minutes} min {seconds - 60 * minutes:.0f} s" if minutes else f"{seconds:.1f} s"


def _portrait(folder: Path, face: str) -> Picture | None:
    """The portrait of SHOT/TRACK; None where it is missing."""
    shot, track = face.split("/")
    path = folder / shot / appearance.portrait_name(int(track))
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None or picture.shape[:2] != (PORTRAIT_SIDE, PORTRAIT_SIDE):
        return None
    return np.asarray(cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)
