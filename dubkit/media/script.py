"""Read a dub's script: plain text, with or without times, or subtitles (SRT, WebVTT, TTML, ASS, ... by pysubs2).

Speakers' names, stage directions and markup are left out: what remains is what is said. The encoding of
text that is not Unicode is detected from its bytes (charset-normalizer).
"""

from __future__ import annotations

import codecs
import logging
import re
import warnings
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import ParseError

import pysubs2
from charset_normalizer import from_bytes

from dubkit.errors import InputError
from dubkit.records import ScriptLine

SUBTITLES = {".srt", ".vtt", ".ass", ".ssa", ".sub", ".sbv"}
TIMED_XML = {".ttml", ".dfxp", ".xml"}
_UNREADABLE = (
    *(pysubs2.Pysubs2Error, ParseError, ValueError, LookupError, ArithmeticError),
    RuntimeError,  # pysubs2 meets a TTML time in a notation that it does not know
)
MAX_BYTES = 16 * 2**20

# what scripts carry beside the spoken words: (laughs), [door slams], <i>tags</i>, music signs
_ASIDES = re.compile(r"\([^)]*\)|\[[^\]]*\]|<[^>]*>|\{[^}]*\}|[♪♫#]")
# "ANNA:" before a line; capitals only, so that "Remember: never" stays speech
_SPEAKER = re.compile(r"^\s*-?\s*[A-ZÀ-ÞА-Я][A-ZÀ-ÞА-Я0-9 .'-]{1,24}:\s+")
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


def read_script(path: Path) -> tuple[ScriptLine, ...]:
    """The spoken lines of a script file, in order; times where the file states them.

    Raises InputError for a missing, binary, wrongly encoded or empty script.
    """
    text = _decode(path)
    suffix = path.suffix.lower()
    if suffix in TIMED_XML or suffix in SUBTITLES or _looks_timed(text):
        lines = _subtitles(path, text, "ttml" if suffix in TIMED_XML else None)
    else:
        lines = _plain(text)
    lines = [line for line in lines if any(c.isalnum() for c in line.text)]
    if not lines:
        raise InputError(
            f"the script {path} holds no spoken words",
            hint="omit --script to have the dub recognized",
        )
    return tuple(lines)


def _decode(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"the script {path} is larger than {MAX_BYTES >> 20} MiB")
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"the script {path} cannot be read: {error.strerror}") from error
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = _by_its_bytes(path, raw)
    if "\0" in text:
        raise InputError(f"the script {path} is not a text file")
    return text


def _by_its_bytes(path: Path, raw: bytes) -> str:
    others = sum(byte > 127 for byte in raw)
    if others < _FEW and others < 0.15 * len(raw):
        text, encoding = raw.decode("cp1252", "replace"), "cp1252"  # too few letters to tell others
    else:
        best = from_bytes(raw, cp_isolation=list(_ENCODINGS)).best()
        text, encoding = (str(best), best.encoding) if best is not None else ("", "")
    strange = sum(not (c.isspace() or c.isprintable()) for c in text)
    if raw.startswith(_NO_TEXT) or strange or "\ufffd" in text or not any(map(str.isalpha, text)):
        raise InputError(
            f"the encoding of the script {path} cannot be detected",
            hint="save it as UTF-8; only plain text and subtitle files are read",
        )
    log.warning("the script %s is not UTF-8; it was read as %s", path, encoding)
    return text


def _plain(text: str) -> list[ScriptLine]:
    """Lines of plain text; where all spoken ones begin with a time, with times."""
    rows = [line for line in text.splitlines() if any(c.isalnum() for c in line)]
    found = [_TIMED_LINE.match(line) for line in rows]
    if not rows or not all(found):
        return [ScriptLine(_spoken(line)) for line in rows]
    parts = [match.groups() for match in found if match]
    lines = [
        (_seconds(part[0:3]), _seconds(part[3:6]) if part[4] else None, _spoken(part[6]))
        for part in parts
    ]
    lines.sort(key=lambda line: line[0])
    ends = [after[0] for _, after in pairwise(lines)] + [lines[-1][0] + 10.0]
    return [
        ScriptLine(words, start, max(start, end if stated is None else stated))
        for (start, stated, words), end in zip(lines, ends, strict=True)
    ]


def _seconds(clock: tuple[str, ...]) -> float:
    hours, minutes, seconds = clock
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))


def _looks_timed(text: str) -> bool:
    return re.search(r"^\d+:\d\d:\d\d[.,]\d+ --> ", text[:4000], re.MULTILINE) is not None


def _subtitles(path: Path, text: str, form: str | None) -> list[ScriptLine]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # margins and layers that are no numbers
            events = pysubs2.SSAFile.from_string(text, form)
    except _UNREADABLE as error:
        raise InputError(
            f"the subtitles {path} cannot be read: {error or 'unknown format'}",
            hint="give SRT, WebVTT, TTML, ASS or plain text",
        ) from error
    lines = []
    for event in sorted(events, key=lambda e: (e.start, e.end)):
        if not event.is_comment:
            words = _spoken(" ".join(_spoken(part) for part in event.plaintext.splitlines()))
            lines.append(ScriptLine(words, event.start / 1000, event.end / 1000))
    return lines


def _spoken(line: str) -> str:
    return " ".join(_SPEAKER.sub("", _ASIDES.sub(" ", line)).split())
