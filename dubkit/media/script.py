"""Read a dub's script: plain text, or subtitles with times (SRT, ASS, VTT, ... read by pysubs2)."""

from __future__ import annotations

import re
from pathlib import Path

import pysubs2

from dubkit.errors import InputError
from dubkit.records import ScriptLine

SUBTITLES = {".srt", ".vtt", ".ass", ".ssa", ".sub", ".ttml", ".sbv"}
MAX_BYTES = 16 * 2**20

# what scripts carry beside the spoken words: (laughs), [door slams], <i>tags</i>, music signs
_ASIDES = re.compile(r"\([^)]*\)|\[[^\]]*\]|<[^>]*>|\{[^}]*\}|[♪♫#]")
# "ANNA:" before a line; capitals only, so that "Remember: never" stays speech
_SPEAKER = re.compile(r"^\s*-?\s*[A-ZÀ-ÞА-Я][A-ZÀ-ÞА-Я0-9 .'-]{1,24}:\s+")


def read_script(path: Path) -> tuple[ScriptLine, ...]:
    """The spoken lines of a script file, in order; times where the file states them.

    Raises InputError for a missing, binary, wrongly encoded or empty script.
    """
    text = _decode(path)
    if path.suffix.lower() in SUBTITLES or _looks_timed(text):
        lines = _subtitles(path, text)
    else:
        lines = [ScriptLine(_spoken(line)) for line in text.splitlines()]
    lines = [line for line in lines if any(c.isalnum() for c in line.text)]
    if not lines:
        raise InputError(
            f"the script {path} holds no spoken words",
            hint="leave --script out to recognise the dub",
        )
    return tuple(lines)


def _decode(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"the script {path} is larger than {MAX_BYTES >> 20} MiB")
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"the script {path} cannot be read: {error.strerror}") from error
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"the script {path} is not UTF-8 text (byte {error.start})",
            hint="save it as UTF-8; only plain text and subtitle files are read",
        ) from error
    if "\0" in text:
        raise InputError(f"the script {path} is not a text file")
    return text


def _looks_timed(text: str) -> bool:
    return re.search(r"^\d+:\d\d:\d\d[.,]\d+ --> ", text[:4000], re.MULTILINE) is not None


def _subtitles(path: Path, text: str) -> list[ScriptLine]:
    try:
        events = pysubs2.SSAFile.from_string(text)
    except (pysubs2.Pysubs2Error, ValueError) as error:
        raise InputError(
            f"the subtitles {path} cannot be read: {error or 'unknown format'}",
            hint="give SRT, VTT, ASS or plain text",
        ) from error
    lines = []
    for event in sorted(events, key=lambda e: (e.start, e.end)):
        if not event.is_comment:
            words = _spoken(" ".join(_spoken(part) for part in event.plaintext.splitlines()))
            lines.append(ScriptLine(words, event.start / 1000, event.end / 1000))
    return lines


def _spoken(line: str) -> str:
    return " ".join(_SPEAKER.sub("", _ASIDES.sub(" ", line)).split())
