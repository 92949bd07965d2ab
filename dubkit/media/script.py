"""Read a dub's script: plain text with or without times and names, subtitles (SRT, WebVTT, ASS, ... by pysubs2), TTML
in all its forms and EBU STL.

What remains is what is said, line by line, with what the script states of each: speaker, on screen or not, times,
language. The encoding of text that is not Unicode is detected from its bytes (charset-normalizer).
"""

from __future__ import annotations

import codecs
import logging
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pysubs2
from charset_normalizer import from_bytes

from dubkit.errors import InputError
from dubkit.media import dialogue, timed_text
from dubkit.media.timed_text import Cue
from dubkit.records import ScriptLine

SUBTITLES = {".srt", ".vtt", ".ass", ".ssa", ".sub", ".sbv"}
TIMED_XML = {".ttml", ".dfxp", ".xml", ".itt", ".tt", ".imsc"}
# its readers of XML let their parser's error pass
_UNREADABLE = (pysubs2.Pysubs2Error, ValueError, LookupError, ArithmeticError, SyntaxError)
MAX_BYTES = 16 * 2**20

# "00:01:02.5 text", "[01:02] text", "1:02 - 1:05 text": a line of a plain script with its times
_CLOCK = r"(?:(\d{1,2}):)?(\d{1,3}):(\d{2}(?:[.,]\d{1,3})?)"
_TIMED_LINE = re.compile(rf"^\s*[\[(]?{_CLOCK}(?:\s*(?:-->|-|–|—|to)\s*{_CLOCK})?[\])]?\s*(.*)$")  # noqa: RUF001
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_ENCODINGS = (
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258",
    "koi8_r", "cp866", "tis_620", "cp932", "euc_jp", "gb18030", "big5", "cp949", "utf_16_le",
    "utf_16_be",
)  # fmt: skip
_SIGNS = re.compile(r"signs?\b", re.IGNORECASE)  # styles of text that is in the picture
_HOUR = 3600  # seconds
_FEW = 4  # letters beyond ASCII; with fewer an encoding cannot be detected
_NO_TEXT = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"RIFF",
    b"%PDF",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"ID3",
    b"OggS",
    b"fLaC",
)

log = logging.getLogger(__name__)


def read_script(
    path: Path, language: str | None = None, warn: Callable[[str], None] | None = None
) -> tuple[ScriptLine, ...]:
    """The spoken lines of a script file, in order; times where the file states them.

    Of text in several languages side by side the lines in ``language`` are taken, else the translation. ``warn`` is
    called with a sentence for each thing in the file that cannot be used. Raises InputError for a missing, binary,
    wrongly encoded or empty script.
    """
    warn = warn or log.warning
    raw = _bytes(path)
    suffix = path.suffix.lower()
    stated: str | None = None
    plain = False
    if timed_text.is_stl(raw):
        cues, stated = timed_text.read_stl(raw, str(path), warn)
    else:
        text = _decode(path, raw, warn)
        timed_text.refuse_entities(text, f"the script {path}")
        if suffix in TIMED_XML or re.match(r"\s*<(\?xml|(\w+:)?tt[\s>])", text):
            cues, stated = timed_text.read_ttml(text, str(path), warn)
        elif suffix in SUBTITLES or _looks_timed(text):
            cues = _subtitles(path, text)
        else:
            cues, plain = _plain(text), True
    lines = _lines(_of_one_language(cues, stated, language, str(path), warn), plain)
    if not lines:
        raise InputError(
            f"the script {path} holds no spoken words",
            hint="omit --script to have the dub recognized",
        )
    return tuple(lines)


def within(
    lines: tuple[ScriptLine, ...], seconds: float, warn: Callable[[str], None]
) -> tuple[ScriptLine, ...]:
    """The lines of a script for a dub that lasts ``seconds``.

    Times from a whole hour on, as films have them, count from there; a line after the end of the dub is left out; where
    most are, no time is believed. A sentence says so.
    """
    starts = [line.start for line in lines if line.start is not None]
    beyond = [line for line in lines if line.start is not None and line.start > seconds]
    if not beyond:
        return lines
    hours = int(min(starts) // _HOUR) * _HOUR
    if hours and max(starts) - hours <= seconds:
        warn(f"the script's times begin at {hours // _HOUR:02d}:00:00: they are counted from there")
        return tuple(_moved(line, -hours) for line in lines)
    if len(beyond) > 0.5 * len(starts):
        warn("most times of the script lie after the end of the dub: its times are ignored")
        return tuple(replace(line, start=None, end=None) for line in lines)
    count = len(beyond)
    warn(
        f"{count} line{'' if count == 1 else 's'} of the script {'lies' if count == 1 else 'lie'} after the end of the "
        f"dub ({seconds:.1f} s) and {'is' if count == 1 else 'are'} left out, the first: line {beyond[0].number}"
    )
    return tuple(line for line in lines if line not in beyond)


def _moved(line: ScriptLine, seconds: float) -> ScriptLine:
    if line.start is None:
        return line
    return replace(
        line, start=line.start + seconds, end=None if line.end is None else line.end + seconds
    )


def _lines(cues: Sequence[Cue], plain: bool) -> list[ScriptLine]:
    """What is spoken of cues; the rows of a ``plain`` text are lines of their own."""
    names = dialogue.names_in(cue.text for cue in cues)
    lines = []
    for cue in cues:
        for said in dialogue.utterances(cue.text, names, speaker=cue.speaker, by_row=plain):
            lines.append(
                ScriptLine(
                    said.text,
                    cue.start,
                    cue.end,
                    said.speaker,
                    cue.on_screen if said.on_screen is None else said.on_screen,
                    cue.language,
                    cue.number + (said.row if plain else 0),
                )
            )
    return lines


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"the script {path} is larger than {MAX_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"the script {path} cannot be read: {error.strerror}") from error


def _decode(path: Path, raw: bytes, warn: Callable[[str], None]) -> str:
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = _by_its_bytes(path, raw, warn)
    if "\0" in text:
        raise InputError(f"the script {path} is not a text file")
    return text


def _by_its_bytes(path: Path, raw: bytes, warn: Callable[[str], None]) -> str:
    others = sum(byte > 127 for byte in raw)
    if others < _FEW and others < 0.15 * len(raw):
        text, encoding = raw.decode("cp1252", "replace"), "cp1252"  # too few letters to tell others
    else:
        best = from_bytes(raw, cp_isolation=list(_ENCODINGS)).best()
        text, encoding = (str(best), best.encoding) if best is not None else ("", "")
    if raw.startswith(_NO_TEXT) or raw[4:8] == b"ftyp":
        raise InputError(
            f"the script {path} is not a text file", hint="--script takes plain text or subtitles"
        )
    strange = sum(not (c.isspace() or c.isprintable()) for c in text)
    if strange or "\ufffd" in text or not any(map(str.isalpha, text)):
        raise InputError(
            f"the encoding of the script {path} cannot be detected",
            hint="save it as UTF-8; only plain text and subtitle files are read",
        )
    warn(f"the script {path} is not UTF-8; it was read as {encoding}")
    return text


def _plain(text: str) -> list[Cue]:
    """The whole of a plain text; where all spoken lines begin with a time, a cue for each."""
    rows = [
        (number, row)
        for number, row in enumerate(text.splitlines(), start=1)
        if any(c.isalnum() for c in row)
    ]
    found = [(number, _TIMED_LINE.match(row)) for number, row in rows]
    if not rows or not all(match for _, match in found):
        return [Cue("\n".join(text.splitlines()), 1)]
    cues = []
    for number, match in found:
        part = match.groups() if match else ()
        end = _seconds(part[3:6]) if part[4] else None
        cues.append(Cue(part[6], number, _seconds(part[:3]), end))
    return _ended(cues)


def _ended(cues: Sequence[Cue]) -> list[Cue]:
    """Cues in the order of their times, untimed ones after those before them; a cue without an end lasts until the
    next begins.
    """
    places, at = [], 0.0
    for cue in cues:
        at = at if cue.start is None else cue.start
        places.append(at)
    ordered = [cues[i] for i in sorted(range(len(cues)), key=places.__getitem__)]
    starts = [cue.start for cue in ordered]
    found = []
    for at, cue in enumerate(ordered):
        end = cue.end
        if cue.start is not None and end is None:
            later = (t for t in starts[at + 1 :] if t is not None and t > cue.start)
            end = next(later, cue.start + 10.0)
        found.append(
            replace(cue, end=None if cue.start is None or end is None else max(cue.start, end))
        )
    return found


def _seconds(clock: tuple[str, ...]) -> float:
    hours, minutes, seconds = clock
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))


def _looks_timed(text: str) -> bool:
    return re.search(r"^\d+:\d\d:\d\d[.,]\d+ --> ", text[:4000], re.MULTILINE) is not None


def _subtitles(path: Path, text: str) -> list[Cue]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # margins and layers that are no numbers
            events = pysubs2.SSAFile.from_string(dialogue.keep_voices(text))
    except _UNREADABLE as error:
        raise InputError(
            f"the subtitles {path} cannot be read: {error or 'unknown format'}",
            hint=timed_text.READABLE,
        ) from error
    said = [event for event in events if not event.is_comment]
    ordered = sorted(said, key=lambda event: (event.start, event.end))
    return [
        Cue(
            event.plaintext,
            number,
            event.start / 1000,
            event.end / 1000,
            event.name.strip() or None,
        )
        for number, event in enumerate(ordered, start=1)
        if not event.is_drawing and not _SIGNS.match(event.style)
    ]


def _of_one_language(
    cues: Sequence[Cue],
    stated: str | None,
    language: str | None,
    name: str,
    warn: Callable[[str], None],
) -> list[Cue]:
    """The cues in their order without those that say in another language what others say.

    Cues of one event say the same, and cues of different languages at the same time.
    """
    ordered = _ended(cues) if any(cue.start is not None for cue in cues) else list(cues)
    wanted = [_primary(code) for code in (language, stated) if code]
    translated = any(cue.translated for cue in cues)
    kept: list[Cue] = []
    untranslated: list[int] = []
    beside: set[str] = set()
    for group in _same_events(ordered):
        languages = list(dict.fromkeys(_primary(cue.language) for cue in group))
        chosen = next((code for code in wanted if code in languages), None)
        if chosen is None and len(languages) > 1:
            chosen = next((_primary(c.language) for c in group if c.translated), languages[0])
        if chosen is None or len(languages) == 1:
            only_original = translated and wanted and languages[0] not in wanted
            if only_original and not any(cue.translated for cue in group):
                untranslated += [cue.number for cue in group]
                continue
            chosen = languages[0]
        if group[0].event == 0:
            beside |= {code for code in languages if code != chosen}
        kept += [cue for cue in group if _primary(cue.language) == chosen]
    if untranslated:
        count = len(untranslated)
        warn(
            f"{count} line{'' if count == 1 else 's'} of the script {name} "
            f"{'is' if count == 1 else 'are'} not translated and left out (line {untranslated[0]})"
        )
    if beside:
        other = sorted(beside)[0]
        warn(
            f"the script {name} says the same in several languages at the same time: its lines in {other!r} are left "
            f"out; --language {other} takes those"
        )
    return kept


def _same_events(cues: Sequence[Cue]) -> list[list[Cue]]:
    """Cues in groups that say the same."""
    groups: list[list[Cue]] = []
    for _, found in groupby(cues, key=lambda cue: cue.event):
        for cue in found:
            last = groups[-1] if groups else []
            same = cue.event and last and last[0].event == cue.event
            if same or any(_at_once(cue, other) for other in last):
                last.append(cue)
            else:
                groups.append([cue])
    return groups


def _at_once(a: Cue, b: Cue) -> bool:
    """Whether two cues state different languages and mostly lie at the same time."""
    if not a.language or not b.language or _primary(a.language) == _primary(b.language):
        return False
    if a.start is None or b.start is None or a.end is None or b.end is None:
        return False
    shared = min(a.end, b.end) - max(a.start, b.start)
    return shared > 0.5 * min(a.end - a.start, b.end - b.start)


def _primary(code: str | None) -> str:
    return (code or "").lower().replace("_", "-").split("-")[0]
