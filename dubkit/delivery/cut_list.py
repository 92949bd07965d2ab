"""A cut list: patches on their film, with time codes and markers, as CMX 3600, FCPXML and OpenTimelineIO.

OpenTimelineIO is the extra ``delivery``. EDL and FCPXML are written here: OTIO's adapter for CMX 3600 knows no
``FCM`` line and takes every 29.97 for drop frame, and the one for FCPXML rounds 23.976 frames/s to 23. What is read
back (`read_timeline`) goes through OTIO and its adapter for CMX 3600.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from dubkit.engines.registry import load_module
from dubkit.errors import InputError, ToolError
from dubkit.media import process, timecode

if TYPE_CHECKING:
    import opentimelineio as otio

    from dubkit.pipeline.inspect import OpenedJob
    from dubkit.records import Shot, VideoInfo

FOUND, KEPT, APPROVED, REJECTED = "YELLOW", "CYAN", "GREEN", "RED"  # colors of marks
PATCHES = "patches"  # the track of the clips
_LARGEST = 256 * 2**20  # bytes of a list
REEL_LENGTH = 8  # letters of a reel in CMX 3600


@dataclass(frozen=True, slots=True)
class Mark:
    """A remark on frames of the film, counted from its first."""

    start: int
    end: int
    name: str  # of the shot
    text: str
    color: str = "RED"  # as Avid and OTIO name it


@dataclass(frozen=True, slots=True)
class Clip:
    """A file that lies on the film from frame ``start`` to ``end``; frames count from the film's first."""

    name: str
    file: Path  # of a sequence its first picture
    first: int  # the frame that the file begins with
    frames: int  # in the file
    start: int
    end: int
    marks: tuple[Mark, ...] = ()
    sequence: bool = False  # numbered pictures, by the number of their time code
    source: int | None = None  # the frame at ``start``, as the file counts; None: as the film

    @property
    def comes_from(self) -> int:
        """The frame at ``start``, as the file counts."""
        return self.start if self.source is None else self.source

    def moved(self, low: int, start: int, frames: int) -> Clip:
        """The frames from ``low`` on at another place of another film."""
        by = start - low
        marks = tuple(
            replace(m, start=max(m.start + by, start), end=min(m.end + by, start + frames))
            for m in self.marks
            if m.start < low + frames and m.end > low
        )
        return replace(self, start=start, end=start + frames, source=low, marks=marks)


@dataclass(frozen=True, slots=True)
class CutList:
    """Clips over a film. Time codes of clips are those of the film."""

    name: str
    reel: str
    clock: timecode.Clock
    begins: int  # the time code of the film's first frame, in frames
    frames: int
    size: tuple[int, int]
    film: Path | None
    sound: Path | None = None  # as long as the film
    clips: tuple[Clip, ...] = ()
    marks: tuple[Mark, ...] = field(default=())  # on the film itself
    source_begins: int | None = None  # the same of the clips' files; None: as the film

    @property
    def file_begins(self) -> int:
        """What the clips' files count from."""
        return self.begins if self.source_begins is None else self.source_begins

    def code(self, frame: int) -> str:
        """The time code of a frame of the film."""
        return self.clock.text(self.begins + frame)


@dataclass(frozen=True, slots=True)
class FilmTime:
    """How the frames of a film are named."""

    clock: timecode.Clock
    begins: int  # the time code of the first frame, in frames
    reel: str
    stated: bool  # whether a time code is known


def film_time(film: Path, info: VideoInfo, code: str | None, reel: str | None = None) -> FilmTime:
    """Time code and reel as given, else as the film states them, else 00:00:00:00 and the film's name.

    Raises InputError for a time code that cannot be, and for a film of variable rate.
    """
    if info.rate is None:
        raise InputError(
            f"{film.name} has a variable frame rate, which time codes cannot count",
            hint="make its rate constant before it is dubbed",
        )
    stated, own = timecode.of_film(film) if film.is_file() else (None, None)
    code, reel = code or stated, reel or own or film.stem
    rate = info.rate / info.lines
    if code is None:
        return FilmTime(timecode.Clock(rate), 0, reel, False)
    begins, clock = timecode.read(code, rate)
    return FilmTime(clock, begins, reel, True)


def read_code(code: str, clock: timecode.Clock) -> int:
    """The frame that a time code of a list names. Raises InputError for one that counts otherwise than the film."""
    found, other = timecode.read(code, clock.rate)
    if other != clock:
        counts = "drop frame" if clock.drop else "non-drop frame"
        raise InputError(
            f"the time code {code} is not {counts}, as the film's are",
            hint="export the list with the film's time code, or give it with --timecode",
        )
    return found


def cmx_reel(name: str) -> str:
    """A name as CMX 3600 holds it: eight capital letters and digits."""
    return re.sub(r"[^A-Z0-9_]", "", name.upper())[:REEL_LENGTH] or "FILM"


def shot_marks(opened: OpenedJob, shot: Shot, lines: int) -> tuple[Mark, ...]:
    """A mark for each finding and verdict of a shot, on the frames of the shot as coded."""
    gate = opened.gate(shot)
    if gate is None:
        return ()
    start, end = shot.start // lines, -(-shot.end // lines)
    texts: list[tuple[str, str]] = []
    if gate.verdict == "approve":
        texts.append((f"approved: {gate.note}" if gate.note else "approved", APPROVED))
    rejected = gate.verdict == "reject"
    color = REJECTED if rejected else KEPT if gate.kept else FOUND
    kept = " (keeps its original picture)" if gate.kept else ""
    texts += [(f"{reason}{kept}", color) for reason in gate.reasons]
    return tuple(Mark(start, end, shot.name, text, color) for text, color in texts)


def edl_text(cuts: CutList) -> str:
    """CMX 3600, one event a clip; without clips one event for the film, which carries the marks."""
    fcm = "DROP FRAME" if cuts.clock.drop else "NON-DROP FRAME"
    lines = [f"TITLE: {_one_line(cuts.name)[:70]}", f"FCM: {fcm}", ""]
    whole = () if cuts.film is None else (_whole(cuts, cuts.film),)
    reel = cmx_reel(cuts.reel)
    for number, clip in enumerate(cuts.clips or whole, 1):
        # past midnight they go on after 23:59:59: an event must not end before it begins
        places = (cuts.begins + clip.start, cuts.begins + clip.end)
        place = " ".join(cuts.clock.text(at, wraps=False) for at in places)
        ends = (clip.comes_from, clip.comes_from + clip.end - clip.start)
        used = " ".join(cuts.clock.text(cuts.file_begins + end, wraps=False) for end in ends)
        lines.append(f"{number:03d}  {reel:8} V     C        {used} {place}")
        lines.append(f"* FROM CLIP NAME:  {_one_line(clip.name)}")
        lines.append(f"* FROM CLIP: {_one_line(clip.file.name)}")
        for mark in clip.marks:
            text = _one_line(f"{mark.name} {mark.text}")
            lines.append(f"* LOC: {cuts.code(mark.start)} {mark.color:7} {text}")
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    """Text in a list of lines, in which a line of its own would be another event."""
    return " ".join(text.split())


def _whole(cuts: CutList, film: Path) -> Clip:
    begins = cuts.begins - cuts.file_begins
    return Clip(film.name, film, begins, cuts.frames, 0, cuts.frames, cuts.marks, source=begins)


def fcpxml_text(cuts: CutList) -> str:
    """FCPXML 1.10: the film, the clips on the lane above it, the dub on the lane below; every time is exact."""
    return _Fcpxml(cuts).text()


class _Fcpxml:
    """Builds the document."""

    def __init__(self, cuts: CutList) -> None:
        self.cuts = cuts
        self.root = ElementTree.Element("fcpxml", version="1.10")
        self.resources = ElementTree.SubElement(self.root, "resources")
        width, height = (str(side) for side in cuts.size)
        form = {"id": "r1", "frameDuration": self._time(1), "width": width, "height": height}
        ElementTree.SubElement(self.resources, "format", form)

    def _time(self, frames: int) -> str:
        seconds = frames / self.cuts.clock.rate
        whole = seconds.denominator == 1
        return f"{seconds.numerator}s" if whole else f"{seconds.numerator}/{seconds.denominator}s"

    def text(self) -> str:
        cuts = self.cuts
        begins, length = self._time(cuts.begins), self._time(cuts.frames)
        event = ElementTree.SubElement(
            ElementTree.SubElement(self.root, "library"), "event", name=cuts.name
        )
        project = ElementTree.SubElement(event, "project", name=cuts.name)
        counting = "DF" if cuts.clock.drop else "NDF"
        facts = {"format": "r1", "duration": length, "tcStart": begins, "tcFormat": counting}
        spine = ElementTree.SubElement(ElementTree.SubElement(project, "sequence", facts), "spine")
        if cuts.film is None:
            facts = {"name": "film", "offset": begins, "start": begins, "duration": length}
            film = ElementTree.SubElement(spine, "gap", facts)
        else:
            film = self._clip(spine, _whole(cuts, cuts.film))
        for clip in cuts.clips:
            placed = self._clip(film, clip, lane="1")
            self._marks(placed, clip.marks, clip.comes_from - clip.start + cuts.file_begins)
        if cuts.sound is not None:
            self._clip(film, _whole(cuts, cuts.sound), lane="-1", picture=False)
        self._marks(film, cuts.marks, cuts.begins)
        ElementTree.indent(self.root)
        text = ElementTree.tostring(self.root, encoding="unicode")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{text}\n'

    def _clip(
        self,
        parent: ElementTree.Element,
        clip: Clip,
        lane: str | None = None,
        *,
        picture: bool = True,
    ) -> ElementTree.Element:
        begins, files = self.cuts.begins, self.cuts.file_begins
        number = f"r{len(self.resources) + 1}"
        kind = {"hasVideo": "1", "format": "r1"} if picture else {"hasAudio": "1"}
        facts = {"id": number, "name": clip.name, "start": self._time(files + clip.first)}
        facts |= {"duration": self._time(clip.frames), **kind}
        asset = ElementTree.SubElement(self.resources, "asset", facts)
        media = {"kind": "original-media", "src": clip.file.absolute().as_uri()}
        ElementTree.SubElement(asset, "media-rep", media)
        place = self._time(begins + clip.start)  # in the time of what it lies on
        own = self._time(files + clip.comes_from)
        shown = {"ref": number, "name": clip.name, "offset": place, "start": own}
        shown |= {"duration": self._time(clip.end - clip.start)}
        if lane is not None:
            shown["lane"] = lane
        return ElementTree.SubElement(parent, "asset-clip", shown)

    def _marks(self, parent: ElementTree.Element, marks: Sequence[Mark], begins: int) -> None:
        """Marks in the time of what they are on, whose frame 0 is ``begins``."""
        for mark in marks:
            facts = {"start": self._time(begins + mark.start), "duration": self._time(1)}
            facts |= {"value": mark.name, "note": mark.text}
            ElementTree.SubElement(parent, "marker", facts)


@cache
def load_otio() -> Any:
    """OpenTimelineIO. Raises MissingDependency where the extra is not installed."""
    found = load_module("opentimelineio", what="a cut list of OTIO", extra="delivery")
    # its C++ (0.18) lets go of this function after Python has ended, which aborts the process: it must outlive that
    if (held := getattr(found.core, "_value_to_any", None)) is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
    return found


def otio_timeline(cuts: CutList) -> otio.schema.Timeline:
    """Tracks: the film, the clips (files named beside the list), the dub. Raises MissingDependency."""
    otio = load_otio()
    timeline = otio.schema.Timeline(cuts.name)
    timeline.global_start_time = _time(otio, cuts, 0)
    timeline.metadata["dubkit"] = {"reel": cuts.reel, "drop_frame": cuts.clock.drop}
    if cuts.film is not None:
        film = otio.schema.Track("film", kind=otio.schema.TrackKind.Video)
        whole = _whole(cuts, cuts.film)
        film.append(_clip(otio, cuts, whole, cuts.film.absolute().as_uri()))
        timeline.tracks.append(film)
    if cuts.clips:
        timeline.tracks.append(_patches(otio, cuts))
    if cuts.sound is not None:
        sound = _whole(replace(cuts, marks=()), cuts.sound)
        dub = otio.schema.Track("dub", kind=otio.schema.TrackKind.Audio)
        dub.append(_clip(otio, cuts, sound, cuts.sound.name))
        timeline.tracks.append(dub)
    return timeline


def otio_text(cuts: CutList) -> str:
    """The same as OTIO's JSON."""
    text: str = otio_timeline(cuts).to_json_string(indent=2)
    return text + "\n"


def can_write_aaf(cuts: CutList) -> bool:
    """Whether OTIO's adapter for AAF is installed, the extra ``aaf``; it knows no numbered pictures."""
    fits = bool(cuts.clips) and not cuts.clips[0].sequence
    return fits and importlib.util.find_spec("otio_aaf_adapter") is not None


def write_aaf(cuts: CutList, path: Path) -> Path:
    """The same as AAF: written by OTIO's adapter, which leaves out markers and drop frame; both are added."""
    otio = load_otio()
    timeline = otio_timeline(cuts)
    otio.adapters.write_to_file(timeline, str(path), adapter_name="AAF", use_empty_mob_ids=True)
    aaf2 = load_module("aaf2", what="an AAF", extra="aaf")
    marks = [mark for clip in cuts.clips for mark in clip.marks]
    with aaf2.open(str(path), "rw") as file:
        whole = next(iter(file.content.toplevel()))
        slots = list(whole.slots)
        for slot in slots:
            if type(slot.segment).__name__ == "Timecode":
                slot.segment.drop = cuts.clock.drop
        own = next((slot for slot in slots if slot.name == PATCHES), None)
        if own is None or not marks:
            return path
        own["PhysicalTrackNumber"].value = 1
        events = file.create.EventMobSlot()
        events["EditRate"].value, events["SlotID"].value = cuts.clock.rate, 1000
        events["PhysicalTrackNumber"].value = 1
        events.segment = file.create.Sequence("DescriptiveMetadata")
        for mark in marks:
            made = file.create.DescriptiveMarker()
            made["Position"].value, made["Length"].value = mark.start, mark.end - mark.start
            made["Comment"].value = f"{mark.name}: {mark.text}"
            made["DescribedSlots"].value = {int(own["SlotID"].value)}
            made["CommentMarkerUser"].value = "dubkit"
            events.segment.components.append(made)
        whole.slots.append(events)
    return path


def _patches(otio: Any, cuts: CutList) -> Any:
    track, at = otio.schema.Track(PATCHES, kind=otio.schema.TrackKind.Video), 0
    for clip in cuts.clips:
        if clip.start > at:
            gap = otio.opentime.TimeRange(
                _length(otio, cuts, 0), _length(otio, cuts, clip.start - at)
            )
            track.append(otio.schema.Gap(source_range=gap))
        track.append(_clip(otio, cuts, clip, clip.file.name))
        at = clip.end
    return track


def _time(otio: Any, cuts: CutList, frame: int) -> Any:
    return otio.opentime.RationalTime(cuts.begins + frame, float(cuts.clock.rate))


def _length(otio: Any, cuts: CutList, frames: int) -> Any:
    return otio.opentime.RationalTime(frames, float(cuts.clock.rate))


def _range(otio: Any, cuts: CutList, start: int, frames: int) -> Any:
    return otio.opentime.TimeRange(_time(otio, cuts, start), _length(otio, cuts, frames))


def _clip(otio: Any, cuts: CutList, clip: Clip, url: str) -> Any:
    begins = cuts.file_begins - cuts.begins  # times of the file
    available = _range(otio, cuts, begins + clip.first, clip.frames)
    if clip.sequence:
        stem = clip.file.name.split(".")[-3]
        media = otio.schema.ImageSequenceReference(
            target_url_base=f"{clip.file.parent.name}/",
            name_prefix=f"{stem}.",
            name_suffix=clip.file.suffix,
            start_frame=cuts.file_begins + clip.first,
            rate=float(cuts.clock.rate),
            frame_zero_padding=8,
            available_range=available,
        )
    else:
        media = otio.schema.ExternalReference(url, available)
    used = _range(otio, cuts, begins + clip.comes_from, clip.end - clip.start)
    made = otio.schema.Clip(clip.name, media, used)
    made.metadata["cmx_3600"] = {"reel": cmx_reel(cuts.reel)}
    for mark in clip.marks:
        own = begins + clip.comes_from + mark.start - clip.start
        marked = _range(otio, cuts, own, mark.end - mark.start)
        made.markers.append(
            otio.schema.Marker(
                mark.name, marked, mark.color, {"dubkit": {"note": mark.text}}, mark.text
            )
        )
    return made


def read_timeline(path: Path, rate: Fraction) -> otio.schema.Timeline:
    """A list of cuts that OTIO reads: ``.otio`` or ``.edl``, at ``rate`` frames a second.

    Raises InputError where it is none, MissingDependency.
    """
    otio = load_otio()
    form = {".otio": "otio_json", ".edl": "cmx_3600"}.get(path.suffix.lower())
    if form is None:
        raise InputError(f"{path} is not a cut list", hint="give an .otio or an .edl")
    more = {"rate": float(rate)} if form == "cmx_3600" else {}
    _check_text(path, form)
    if form == "otio_json":
        _check_apart(path)
    try:
        found = otio.adapters.read_from_file(str(path), adapter_name=form, **more)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # adapters raise whatever their parser does
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} is not a cut list at {float(rate):.6g} frames/s: {reason}"
        ) from error
    if not isinstance(found, otio.schema.Timeline):
        raise InputError(f"{path} holds no timeline")
    return found


@contextmanager
def strange_times(path: Path) -> Iterator[None]:
    """Raise InputError where a list that was read as OTIO counts in what are no numbers, or holds something else."""
    try:
        yield
    except (ValueError, ArithmeticError, TypeError, AttributeError) as error:
        raise InputError(f"{path} states times that cannot be: {error}") from error


def _check_text(path: Path, form: str) -> None:
    """Raise InputError for a list that is too large, or is no JSON of a timeline."""
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is too large for a cut list")
        table = json.loads(path.read_bytes()) if form == "otio_json" else None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a cut list: it is not JSON") from error
    if form == "otio_json" and not _is_timeline(table):
        raise InputError(f"{path} holds no timeline")


_TRIAL = """
import sys
from opentimelineio.adapters import read_from_file
try:
    read_from_file(sys.argv[1], adapter_name="otio_json")
except Exception as error:
    sys.stdout.write(str(error).split("\\n")[0] or type(error).__name__)
"""


def _check_apart(path: Path) -> None:
    """Raise InputError for a list that OTIO's reader, in C++, refuses or ends its process at: read in another one."""
    argv = [sys.executable, "-P", "-c", _TRIAL, str(path)]
    try:
        refusal = process.run(argv).decode(errors="replace").strip()
    except ToolError as error:
        raise InputError(f"{path} is not a cut list: OpenTimelineIO fails at it") from error
    if refusal:
        raise InputError(f"{path} is not a cut list: {refusal}")


def _is_timeline(table: object) -> bool:
    """Whether it is a timeline with a stack of tracks."""

    def is_of(value: object, schema: str) -> bool:
        return isinstance(value, dict) and str(value.get("OTIO_SCHEMA")).startswith(f"{schema}.")

    return (
        isinstance(table, dict) and is_of(table, "Timeline") and is_of(table.get("tracks"), "Stack")
    )


_SECONDS = re.compile(r"(-?\d{1,18})(?:/(0*[1-9]\d{0,17}))?s?")


def fcpxml_marks(text: str, begins: int, rate: Fraction) -> Iterator[tuple[int, str, str]]:
    """Frame of the film, name and note of each marker of an FCPXML whose clips have the film's time codes."""
    try:
        if "<!ENTITY" in text:  # a few of them unfold to gigabytes
            raise InputError("it declares XML entities", hint="export it again without them")
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"it is not FCPXML: {error}") from error
    for mark in root.iter("marker"):
        start = mark.get("start", "0s")
        found = _SECONDS.fullmatch(start)
        if found is None:
            raise InputError(f"{start[:40]!r} is not a time of FCPXML", hint="as 1001/24000s")
        seconds = Fraction(int(found[1]), int(found[2] or 1))
        yield round(seconds * rate) - begins, mark.get("value", ""), mark.get("note", "")
