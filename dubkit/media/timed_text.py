"""Timed text of studios and broadcasters: TTML (DAPT, IMSC, EBU-TT-D, DFXP) and EBU STL.

TTML is read here, since no library keeps what a dub needs: who speaks (``ttm:agent``), whether in the picture
(``daptm:onScreen``, ``ttm:role``), and which of several languages is the translation. ttconv counts time code and
reads EBU STL.
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from xml.etree import ElementTree

from ttconv import model
from ttconv.stl.datafile import DataFile
from ttconv.time_code import SmpteTimeCode

from dubkit.errors import InputError

Warn = Callable[[str], None]

READABLE = "give SRT, WebVTT, TTML, DAPT, EBU STL, ASS or plain text"

_TT = re.compile(r"(?:.*/(?:ttml|ttaf1)(?:/?|[^#/]*))?")  # namespaces of elements, of all versions
_XML = "{http://www.w3.org/XML/1998/namespace}"
_CLOCK = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:[.,]\d+)?)")
_CLOCK_FRAMES = re.compile(r"(\d{1,4}):(\d\d):(\d\d)[:;](\d{2,})(?:\.(\d+))?")
_OFFSET = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|f|t)")
_SCALE = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
_LONGEST = 100 * 3600  # seconds; a later time is a slip
_SILENT_ROLES = {"sound", "music", "title", "description", "lyrics"}
_OFF_ROLES = {"narration", "thought"}
_RUBY = {"text", "textContainer", "delimiter"}
_DEEPEST = 60  # elements within elements


@dataclass(frozen=True, slots=True)
class Cue:
    """Text with what its file states of it."""

    text: str
    number: int  # of the paragraph or subtitle in the file, from 1
    start: float | None = None
    end: float | None = None
    speaker: str | None = None
    on_screen: bool | None = None
    language: str | None = None
    translated: bool = False  # from another language, of which the text stands beside it
    event: int = 0  # cues of one event say the same, in several languages


@dataclass(frozen=True, slots=True)
class Clock:
    """How a document counts time."""

    frame_rate: Fraction = Fraction(30)
    sub_frames: int = 1
    tick_rate: Fraction = Fraction(1)
    by_time_code: bool = False
    drop_frame: bool = False

    def seconds(self, expression: str) -> Fraction:
        """The seconds of a time expression in any form of TTML. Raises ValueError where it is none."""
        expression = expression.strip()
        if found := _OFFSET.fullmatch(expression):
            count, unit = Fraction(found[1]), found[2]
            scale = {"f": 1 / self.frame_rate, "t": 1 / self.tick_rate}
            value = count * (scale[unit] if unit in scale else _SCALE[unit])
        elif found := _CLOCK.fullmatch(expression):
            value = self._clock(int(found[1]), int(found[2]), Fraction(found[3].replace(",", ".")))
        elif found := _CLOCK_FRAMES.fullmatch(expression):
            value = self._frames(expression, found)
        else:
            raise ValueError(f"{expression[:40]!r} is not a time")
        if value > _LONGEST:
            raise ValueError(f"{expression[:40]!r} is beyond any film")
        return value

    def _clock(self, hours: int, minutes: int, seconds: Fraction) -> Fraction:
        if minutes > 59 or seconds > 60:  # TTML allows for leap seconds
            raise ValueError("minutes and seconds end with 59")
        return hours * 3600 + minutes * 60 + seconds

    def _frames(self, expression: str, found: re.Match[str]) -> Fraction:
        hours, minutes, seconds, frames = (int(found[i]) for i in range(1, 5))
        whole = self._clock(hours, minutes, Fraction(seconds))
        part = Fraction(int(found[5] or 0), self.sub_frames)
        if frames >= self.frame_rate or part >= 1:
            raise ValueError(f"{expression!r} counts more frames than a second has")
        if self.by_time_code:
            code = SmpteTimeCode(hours, minutes, seconds, frames, self.frame_rate, self.drop_frame)
            return Fraction(code.to_temporal_offset()) + part / self.frame_rate
        return whole + (frames + part) / self.frame_rate


@dataclass(slots=True)
class _Scope:
    """What an element has of those around it."""

    begin: Fraction | None = None
    end: Fraction | None = None
    speaker: str | None = None
    on_screen: bool | None = None
    language: str | None = None
    source: str | None = None
    event: int = 0
    spoken: bool = True


@dataclass(slots=True)
class _Document:
    clock: Clock
    agents: Mapping[str, str]
    ruby: frozenset[str]  # styles of readings printed beside words
    represents: str | None  # what the script is of; None: it is no DAPT
    untimed: bool
    cues: list[Cue] = field(default_factory=list)
    events: int = 0
    paragraphs: int = 0
    bad_times: list[str] = field(default_factory=list)


def read_ttml(text: str, name: str, warn: Warn) -> tuple[list[Cue], str | None]:
    """The cues of a TTML document in its order, and its language. Raises InputError where it is none."""
    root = _parsed(text, name, warn)
    if _local(root) != "tt":
        raise InputError(
            f"the script {name} cannot be read: its XML is not TTML",
            hint=READABLE,
        )
    clock, untimed = _clock_of(root, name, warn)
    represents = _attribute(root, "dapt", "scriptRepresents")
    document = _Document(clock, _agents(root), _ruby_styles(root), represents, untimed)
    language = _language(root)
    scope = _Scope(language=language, source=_attribute(root, "dapt", "langSrc"))
    for body in root.iter():
        if _is_tt(body) and _local(body) == "body":
            _container(document, body, scope, 0)
            break
    if document.bad_times:
        count = len(document.bad_times)
        warn(
            f"{_counted(count, 'time')} of the script {name} cannot be read, the first: "
            f"{document.bad_times[0]}; {'its line is' if count == 1 else 'their lines are'} used without times"
        )
    return document.cues, language


def _parsed(text: str, name: str, warn: Warn) -> ElementTree.Element:
    """The tree, as far as it can be read."""
    text = re.sub(
        r"^\s*<\?xml[^>]*\?>", "", text.lstrip("\ufeff")
    )  # it may state the file's encoding
    tree = _Tree()
    damage: ElementTree.ParseError | None = None
    parser = ElementTree.XMLParser(target=tree)
    try:
        parser.feed(text)
        parser.close()
    except ElementTree.ParseError as error:
        damage = error
        tree.close()
    if tree.root is None or (damage and not tree.paragraphs):
        raise InputError(
            f"the subtitles {name} cannot be read: {damage or 'no element found'}", hint=READABLE
        )
    if damage:
        warn(f"the script {name} is damaged and was read up to there: {damage}")
    return tree.root


def refuse_entities(text: str, name: str) -> None:
    """Raise InputError for XML that declares entities: no list or script needs any, and a few unfold to gigabytes."""
    if "<!ENTITY" in text:
        raise InputError(
            f"{name} cannot be read: it declares XML entities", hint="export it again without them"
        )


class _Tree:
    """Builds a tree of which what was read stays where the document breaks off."""

    def __init__(self) -> None:
        self.root: ElementTree.Element | None = None
        self.paragraphs = 0  # that ended
        self._open: list[ElementTree.Element] = []
        self._last: ElementTree.Element | None = None  # that ended; text follows it
        self._text: list[
            str
        ] = []  # of the place where the reader is: it comes in pieces, one a line at least

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._settle()
        element = ElementTree.Element(tag, attributes)
        if self._open:
            self._open[-1].append(element)
        else:
            self.root = element
        self._open.append(element)
        self._last = None

    def end(self, _tag: str) -> None:
        self._settle()
        self._last = self._open.pop()
        self.paragraphs += _local(self._last) == "p"

    def data(self, text: str) -> None:
        self._text.append(text)

    def _settle(self) -> None:
        """Give the text that was read to what it is in, or follows."""
        text = "".join(self._text)
        self._text.clear()
        if not text:
            return
        if self._last is not None:
            self._last.tail = text
        elif self._open:
            self._open[-1].text = text

    def close(self) -> None:
        """The document ends, or breaks off."""
        self._settle()


def _clock_of(root: ElementTree.Element, name: str, warn: Warn) -> tuple[Clock, bool]:
    """The document's clock, and whether its times count from something else than the film's beginning."""
    rate = _rational(_attribute(root, "parameter", "frameRate"), Fraction(30))
    multiplier = _rational(_attribute(root, "parameter", "frameRateMultiplier"), Fraction(1))
    rate *= multiplier
    sub_frames = int(_rational(_attribute(root, "parameter", "subFrameRate"), Fraction(1)))
    stated = _attribute(root, "parameter", "tickRate")
    of_frames = rate * sub_frames if _attribute(root, "parameter", "frameRate") else Fraction(1)
    base = _attribute(root, "parameter", "timeBase") or "media"
    drop = _attribute(root, "parameter", "dropMode") == "dropNTSC"
    if base == "clock":
        warn(f"the script {name} counts the time of day, not of the film: its times are ignored")
    ticks = _rational(stated, of_frames)
    return Clock(rate, max(sub_frames, 1), ticks, base == "smpte", drop), base == "clock"


def _rational(value: str | None, default: Fraction) -> Fraction:
    found = re.fullmatch(r"\s*(\d+)(?:[ :/]+(\d+))?\s*", value or "")
    if found is None or not int(found[1]) or found[2] == "0":
        return default
    return Fraction(int(found[1]), int(found[2] or 1))


def _agents(root: ElementTree.Element) -> dict[str, str]:
    """The names of those who speak, by their ids: the alias, which is the character's, before the full name."""
    names = {}
    for element in root.iter():
        if _local(element) == "agent":
            found = {n.get("type", ""): " ".join("".join(n.itertext()).split())
                     for n in element if _local(n) == "name"}  # fmt: skip
            name = found.get("alias") or next((name for name in found.values() if name), "")
            identity = element.get(f"{_XML}id")
            if identity and name:
                names[identity] = name
    return names


def _ruby_styles(root: ElementTree.Element) -> frozenset[str]:
    styles = (e for e in root.iter() if _local(e) == "style")
    found = (e.get(f"{_XML}id") for e in styles if _attribute(e, "styling", "ruby") in _RUBY)
    return frozenset(identity for identity in found if identity)


def _container(
    document: _Document, element: ElementTree.Element, scope: _Scope, depth: int
) -> Fraction | None:
    """Collect the cues in a body or div; returns where it ends."""
    own = _inner(document, element, scope)
    end = own.end
    if document.represents is not None:
        document.events += 1
        own.event = document.events
    in_sequence = element.get("timeContainer") == "seq"
    for child in element:
        kind = _local(child) if _is_tt(child) else ""
        stop = None
        if kind == "div" and depth < _DEEPEST:
            stop = _container(document, child, own, depth + 1)
        elif kind == "p":
            stop = _paragraph(document, child, own)
        if in_sequence and stop is not None:
            own = replace(own, begin=stop)
    return end


def _paragraph(document: _Document, element: ElementTree.Element, scope: _Scope) -> Fraction | None:
    document.paragraphs += 1
    own = _inner(document, element, scope)
    cues: list[Cue] = []
    for inner, text in _texts(document, element, own, 0):
        cue = _cue(document, inner, text)
        last = cues[-1] if cues else None
        if last is not None and replace(last, text="") == replace(cue, text=""):
            cues[-1] = replace(last, text=last.text + text)
        else:
            cues.append(cue)
    document.cues += [
        replace(cue, text=re.sub(r"[ \t]*\n[ \t]*", "\n", cue.text).strip()) for cue in cues
    ]
    return own.end


def _texts(
    document: _Document, element: ElementTree.Element, scope: _Scope, depth: int
) -> Iterator[tuple[_Scope, str]]:
    """The texts of a paragraph or span with what is stated of each."""
    if scope.spoken and element.text:
        yield scope, re.sub(r"\s+", " ", element.text)
    for child in element:
        kind = _local(child) if _is_tt(child) else ""
        if scope.spoken and kind == "br":
            yield scope, "\n"
        elif kind == "span" and depth < _DEEPEST and not _is_ruby(document, child):
            yield from _texts(document, child, _inner(document, child, scope), depth + 1)
        if scope.spoken and child.tail:
            yield scope, re.sub(r"\s+", " ", child.tail)


def _is_ruby(document: _Document, element: ElementTree.Element) -> bool:
    styles = (element.get("style") or "").split()
    stated = _attribute(element, "styling", "ruby") in _RUBY
    return stated or not document.ruby.isdisjoint(styles)


def _inner(document: _Document, element: ElementTree.Element, scope: _Scope) -> _Scope:
    """The scope within an element."""
    begin, end = _times(document, element, scope)
    agents = (_attribute(element, "metadata", "agent") or "").split()
    names = [document.agents.get(agent, agent) for agent in agents]
    roles = set((_attribute(element, "metadata", "role") or "").split())
    on_screen = {"ON": True, "OFF": False, "ON_OFF": None, "OFF_ON": None}.get(
        _attribute(element, "dapt", "onScreen") or "", scope.on_screen
    )
    return replace(
        scope,
        begin=begin,
        end=end,
        speaker=", ".join(names) or scope.speaker,
        on_screen=False if roles & _OFF_ROLES else on_screen,
        language=_language(element) or scope.language,
        source=_attribute(element, "dapt", "langSrc") or scope.source,
        spoken=scope.spoken and not roles & _SILENT_ROLES and _is_dialogue(element),
    )


def _times(
    document: _Document, element: ElementTree.Element, scope: _Scope
) -> tuple[Fraction | None, Fraction | None]:
    stated = {name: element.get(name) for name in ("begin", "end", "dur")}
    if document.untimed or not any(value is not None for value in stated.values()):
        return scope.begin, scope.end
    found: dict[str, Fraction] = {}
    for name, value in stated.items():
        if value is None:
            continue
        try:
            found[name] = document.clock.seconds(value)
        except (ValueError, ZeroDivisionError) as error:
            document.bad_times.append(f"{error} (line {max(document.paragraphs, 1)})")
            return None, None
    zero = scope.begin or Fraction(0)
    begin = zero + found.get("begin", Fraction(0))
    ends = [zero + found["end"]] if "end" in found else []
    ends += [begin + found["dur"]] if "dur" in found else []
    ends += [scope.end] if scope.end is not None else []
    end = min(ends) if ends else None
    return begin, end if end is None else max(begin, end)


def _is_dialogue(element: ElementTree.Element) -> bool:
    """Whether DAPT takes an element for something that is spoken."""
    what = _attribute(element, "dapt", "represents") or ""
    return not what.startswith(("visual", "audio.nonDialogueSounds"))


def _cue(document: _Document, scope: _Scope, text: str) -> Cue:
    translated = scope.source is not None and scope.source != scope.language
    return Cue(
        text,
        document.paragraphs,
        None if scope.begin is None else float(scope.begin),
        None if scope.begin is None or scope.end is None else float(scope.end),
        scope.speaker,
        scope.on_screen,
        scope.language,
        translated,
        scope.event,
    )


def _language(element: ElementTree.Element) -> str | None:
    return element.get(f"{_XML}lang") or None


def _local(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _is_tt(element: ElementTree.Element) -> bool:
    namespace = str(element.tag).rpartition("}")[0].lstrip("{")
    return _TT.fullmatch(namespace) is not None


def _attribute(element: ElementTree.Element, space: str, name: str) -> str | None:
    """An attribute of TTML's parameters, metadata or styling, of any version, or of DAPT."""
    for key, value in element.attrib.items():
        namespace, _, local = key.rpartition("}")
        is_dapt = "/dapt#" in namespace
        if local == name and (
            is_dapt if space == "dapt" else not is_dapt and f"#{space}" in namespace
        ):
            return value
    return None


_BLOCK, _HEAD, _PROGRAM_START = 128, 1024, slice(256, 264)
_STL_MARK = slice(3, 6)
_EXTENSION = 3  # byte of a block: which of its subtitle's it is; from `_MOST_BLOCKS` to the last one of other use
_MOST_BLOCKS, _LAST_BLOCK = 0xF0, 0xFF


def is_stl(raw: bytes) -> bool:
    """Whether bytes are a file of EBU STL."""
    return len(raw) >= _HEAD and raw[_STL_MARK] == b"STL" and raw[:3].isdigit()


def read_stl(raw: bytes, name: str, warn: Warn) -> tuple[list[Cue], str | None]:
    """The cues of an EBU STL file, from the beginning of its program, and its language."""
    start = "TCP" if raw[_PROGRAM_START].isdigit() else None
    damaged = len(raw) % _BLOCK > 0
    with _messages() as said:
        try:
            file = DataFile(raw[:_HEAD], start_tc=start)
        except (ValueError, struct.error) as error:
            raise InputError(f"the subtitles {name} cannot be read: {error}") from error
        unended = 0
        for at in range(_HEAD, len(raw) - _BLOCK + 1, _BLOCK):
            number = raw[at + _EXTENSION]
            unended = 0 if number == _LAST_BLOCK else unended + (number < _MOST_BLOCKS)
            if (
                unended > _MOST_BLOCKS
            ):  # ttconv would go on, and look through all of it for each block
                said.append("one of its subtitles has no end")
                break
            try:
                file.process_tti_block(raw[at : at + _BLOCK])
            except (ValueError, struct.error, AttributeError, IndexError) as error:
                said.append(str(error))
    if said or damaged:
        what = said[0] if said else "its last block is cut off"
        warn(f"the script {name} has errors and was read as far as it can be: {what}")
    language = file.get_language() or None
    paragraphs = [p for body in [file.get_document().get_body()] for div in body for p in div]
    cues = []
    for number, paragraph in enumerate(sorted(paragraphs, key=_begin), start=1):
        begin, end = _extent(paragraph)
        text = "".join(_stl_text(paragraph))
        cues.append(Cue(text, number, float(begin), float(end), language=language))
    return cues, language


def _begin(paragraph: model.P) -> Fraction:
    return _extent(paragraph)[0]


def _extent(paragraph: model.P) -> tuple[Fraction, Fraction]:
    """From its first to its last moment, also where it is shown word by word."""
    parts = [e for e in (paragraph, *paragraph.dfs_iterator()) if e.get_begin() is not None]
    return min(Fraction(e.get_begin()) for e in parts), max(Fraction(e.get_end()) for e in parts)


def _stl_text(element: model.ContentElement) -> Iterator[str]:
    for part in element.dfs_iterator():
        if isinstance(part, model.Text):
            yield part.get_text()
        elif isinstance(part, model.Br):
            yield "\n"


@contextmanager
def _messages() -> Iterator[list[str]]:
    """What ttconv says of errors, kept from the terminal."""
    logger, said = logging.getLogger("ttconv"), []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    handler = Keep(logging.ERROR)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
