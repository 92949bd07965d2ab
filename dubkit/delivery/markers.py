"""Findings of the gate and verdicts as markers of editing programs, and verdicts read back from such lists.

A marker is a verdict where its text begins with approve or reject, as in ``reject: the chin smears`` or
``reject preset:soft: the chin smears``; of which shot, its name says or the time code at which it stands.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubkit.delivery import cut_list
from dubkit.delivery.cut_list import CutList, shot_marks
from dubkit.errors import InputError, OutputError, UsageError
from dubkit.pipeline.inspect import OpenedJob

FORMS = ("csv", "edl", "fcpxml", "otio")
_COLUMNS = ("Marker Name", "Description", "In", "Out", "Duration", "Marker Type", "Color")
_LARGEST = 16 * 2**20  # bytes of a list
_VERDICT = re.compile(
    r"(?P<verdict>approve|reject)(?:e?d)?(?:\s+(?P<instead>preset:[^\s:,]+))?\s*[:,-]?\s*(?P<note>.*)",
    re.IGNORECASE | re.DOTALL,
)
_LOCATOR = re.compile(r"\*\s*LOC:\s*(?P<code>\d\d:\d\d:\d\d[:;]\d\d)\s+\S+\s+(?P<text>.*)")
_RESOLVE = re.compile(r"\s*\|C:\S+\s*\|M:(?P<text>.*?)\s*\|D:\d+")
_EVENT = re.compile(
    r"\d+\s+\S+\s+\S+\s+\S+\s+(?:\S+\s+){2}(?P<code>\d\d:\d\d:\d\d[:;]\d\d)\s+\S+\s*"
)
_SHOT = re.compile(r"\b\d{7,}-\d{7,}\b")


def write_markers(work: Path, form: str, out: Path | None, code: str | None) -> tuple[Path, int]:
    """Write the markers of a job, ``.markers.FORM`` beside the result by default; returns the file and their number.

    ``code`` is the time code of the film's first frame, where the film states none. Raises UsageError, InputError,
    WorkError, OutputError.
    """
    if form not in FORMS:
        raise UsageError(
            f"markers cannot be written as {form!r}", hint=f"one of {', '.join(FORMS)}"
        )
    opened = OpenedJob(work)
    cuts = _film(opened, code)
    output = opened.manifest.job.output
    path = out or output.with_name(f"{output.stem}.markers.{form}")
    texts = {
        "csv": _csv_text,
        "edl": _edl_text,
        "fcpxml": cut_list.fcpxml_text,
        "otio": cut_list.otio_text,
    }
    try:
        path.write_text(texts[form](cuts), encoding="utf-8", newline="")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    return path, len(cuts.marks)


def _film(opened: OpenedJob, code: str | None) -> CutList:
    """The film of a job with the marks of its shots."""
    info = opened.film_facts()
    film = opened.manifest.job.video
    time = cut_list.film_time(film, info, code)
    marks = [mark for shot in opened.shots for mark in shot_marks(opened, shot, info.lines)]
    return CutList(
        name=film.stem,
        reel=time.reel,
        clock=time.clock,
        begins=time.begins,
        frames=info.frames // info.lines,
        size=info.display_size,
        film=film,
        marks=tuple(marks),
    )


def _csv_text(cuts: CutList) -> str:
    """Columns as Premiere writes its markers, and a color."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for mark in cuts.marks:
        length = cuts.clock.text(mark.end - mark.start)
        places = (cuts.code(mark.start), cuts.code(mark.end), length)
        rows.writerow([mark.name, mark.text, *places, "Comment", mark.color.title()])
    return file.getvalue()


def _edl_text(cuts: CutList) -> str:
    """One event a marker, with the locator that Avid and Premiere read and the line that Resolve reads."""
    fcm = "DROP FRAME" if cuts.clock.drop else "NON-DROP FRAME"
    lines = [f"TITLE: {' '.join(cuts.name.split())[:70]}", f"FCM: {fcm}", ""]
    reel = cut_list.cmx_reel(cuts.reel)
    for number, mark in enumerate(cuts.marks, 1):
        place = f"{cuts.code(mark.start)} {cuts.code(mark.end)}"
        text = " ".join(f"{mark.name} {mark.text}".split()).replace("|", "/")
        lines.append(f"{number:03d}  {reel:8} V     C        {place} {place}")
        lines.append(f" |C:ResolveColor{mark.color.title()} |M:{text} |D:{mark.end - mark.start}")
        lines.append(f"* LOC: {cuts.code(mark.start)} {mark.color:7} {text}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A marker of a list: a frame of the film, its name, where it has one apart, and its text."""

    frame: int
    name: str
    text: str

    @property
    def whole(self) -> str:
        """Name and text."""
        return f"{self.name} {self.text}".strip()


def read_notes(path: Path, cuts: CutList) -> list[Note]:
    """The markers of a list of a film, by its suffix one of `FORMS`. Raises InputError."""
    readers = {".csv": _csv_notes, ".edl": _edl_notes, ".fcpxml": _fcpxml_notes}
    suffix = path.suffix.lower()
    if suffix == ".otio":
        with cut_list.strange_times(path):
            return list(_otio_notes(path, cuts))
    if suffix not in readers:
        raise InputError(f"{path} is not a list of markers", hint=f"give a .{', .'.join(FORMS)}")
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is too large for a list of markers")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8") from error
    try:
        return list(readers[suffix](text, cuts))
    except csv.Error as error:
        raise InputError(f"{path} is not CSV: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error


def _csv_notes(text: str, cuts: CutList) -> Iterator[Note]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    names = {name.strip().lower(): name for name in rows.fieldnames or ()}
    place = next((names[n] for n in ("in", "timecode", "timecode in", "start") if n in names), None)
    head, body = (
        next((names[n] for n in known if n in names), None)
        for known in (("marker name", "name"), ("description", "comment", "notes"))
    )
    if place is None or (head is None and body is None):
        raise InputError(
            "it has no columns of time codes and remarks", hint="In, Marker Name and Description"
        )
    for row in rows:
        if row[place]:
            name, text = ((row[column] or "") if column else "" for column in (head, body))
            yield Note(_frame(row[place], cuts), name, text)


def _edl_notes(text: str, cuts: CutList) -> Iterator[Note]:
    """Locators, or Resolve's lines; not both of the same place, which `write_markers` writes."""
    place, seen = None, set()
    for line in text.splitlines():
        if event := _EVENT.match(line):
            place = event["code"]
        found = _LOCATOR.match(line.strip()) or _RESOLVE.match(line)
        code = found.groupdict().get("code", place) if found else None
        if found and code and (code, found["text"]) not in seen:
            seen.add((code, found["text"]))
            yield Note(_frame(code, cuts), "", found["text"])


def _fcpxml_notes(text: str, cuts: CutList) -> Iterator[Note]:
    for frame, name, note in cut_list.fcpxml_marks(text, cuts.begins, cuts.clock.rate):
        yield Note(frame, name, note)


def _otio_notes(path: Path, cuts: CutList) -> Iterator[Note]:
    timeline = cut_list.read_timeline(path, cuts.clock.rate)
    start = timeline.global_start_time
    begins = round(start.rescaled_to(float(cuts.clock.rate)).value) if start else 0
    items: list[Any] = [timeline.tracks, *timeline.find_children()]
    for item in items:
        for mark in getattr(item, "markers", ()):
            time = mark.marked_range.start_time
            if item is not timeline.tracks:
                time = item.transformed_time(time, timeline.tracks)
            frame = round(time.rescaled_to(float(cuts.clock.rate)).value) + begins - cuts.begins
            note = mark.metadata.get("dubkit", {}).get("note", "")
            yield Note(frame, mark.name, note or getattr(mark, "comment", ""))


def _frame(code: str, cuts: CutList) -> int:
    return cut_list.read_code(code, cuts.clock) - cuts.begins


def read_verdicts(
    work: Path, markers: Path, out: Path | None, code: str | None
) -> tuple[Path, int, int]:
    """Write the verdicts of a list of markers as a verdict file; returns it, their number, and that of other markers.

    ``.verdicts.json`` beside the result by default. Raises InputError for a list of another film or rate, without a
    verdict, or with two of one shot that contradict each other.
    """
    opened = OpenedJob(work)
    cuts = _film(opened, code)
    lines, names = opened.film_facts().lines, {shot.name: shot for shot in opened.shots}
    shots: dict[str, dict[str, str]] = {}
    notes = read_notes(markers, cuts)
    for note in notes:
        named = _SHOT.search(note.whole)
        alone = _SHOT.sub("", note.whole, count=1).strip()
        found = _VERDICT.match(note.text) or _VERDICT.match(alone)
        if found is None:
            continue
        shot = names.get(named[0]) if named else None
        shot = shot or next(
            (s for s in opened.shots if s.start <= note.frame * lines < s.end), None
        )
        if shot is None:
            raise InputError(
                f"{markers}: there is no frame at {cuts.code(note.frame)} in {cuts.name}",
                hint="is it a list of another film, or of another time code? --timecode gives the film's",
            )
        verdict = _verdict(found)
        if shots.setdefault(shot.name, verdict)["verdict"] != verdict["verdict"]:
            raise InputError(f"{markers} approves and rejects shot {shot.name}", hint="keep one")
    if not shots:
        raise InputError(
            f"none of the {len(notes)} markers in {markers} is a verdict",
            hint="a verdict's text begins with approve or reject, as in: reject: the chin smears",
        )
    whole = {"kind": "dubkit-verdicts", "version": 1, "shots": shots}
    whole["film"] = opened.manifest.inputs["video"].sha256
    output = opened.manifest.job.output
    path = out or output.with_name(f"{output.stem}.verdicts.json")
    try:
        path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    return path, len(shots), len(notes) - len(shots)


def _verdict(found: re.Match[str]) -> dict[str, str]:
    made = {"verdict": found["verdict"].lower()}
    if found["instead"] and made["verdict"] == "reject":
        made["instead"] = found["instead"]
    if note := found["note"].strip():
        made["note"] = note
    return made
