# ruff: noqa: RUF001 - other letters are meant
"""The text of a subtitle or of a script as utterances: who speaks, on screen or not, and the words that are spoken.

What is no speech goes: notes in brackets of any writing, ``*laughs*``, songs between their marks, markup, entities,
scene headings. Names before a colon are speakers where they are written as names; ``(O.S.)``, ``(V.O.)``, ``(OFF)``
and their like say that the speaker is not in the picture.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

# what a removed note leaves behind until speakers are known: its kind
_OFF, _ON, _NOTE = "\ue000", "\ue001", "\ue002"
_VOICE, _VOICE_END = "\ue003", "\ue004"  # around a name that markup states

_VOICE_TAG = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>")  # of WebVTT
_TAG = re.compile(r"</?[a-zA-Z0-9][^<>]*>|\{[^{}]*\}")
_BRACKETS = re.compile(
    r"\([^()]{0,300}\)|\[[^\[\]]{0,300}\]|（[^（）]{0,300}）|［[^［］]{0,300}］|【[^【】]{0,300}】|〔[^〔〕]{0,300}〕"
)
_STARRED = re.compile(r"(?<!\w)\*[^*\n]{1,80}\*(?!\w)")
_SONG = re.compile(r"[♪♫♬♩]+[^♪♫♬♩\n]*(?:[♪♫♬♩]+|$)|^\s*#\s[^\n]*$", re.MULTILINE)
_OFF_MARK = re.compile(
    r"o\.?\s?s\.?|o\.?\s?c\.?|v\.?\s?o\.?|off|(?:en |im |in )?off[- ]?(?:screen|camera|voice)?|voice[- ]?over"
    r"|hors[- ]champ|en off|im off|f\.?\s?c\.?|fuori campo|за кадром|画外音|画外|旁白|オフ|声",
    re.IGNORECASE,
)
_ON_MARK = re.compile(r"on|on[- ]?(?:screen|camera)|im bild|画面内", re.IGNORECASE)
_NARRATORS = {
    "narrator", "narration", "voiceover", "voice-over", "voice over", "erzähler", "erzählerin", "off-stimme",
    "narrateur", "narratrice", "voix off", "narrador", "narradora", "voz en off", "narratore",
    "voce fuori campo", "рассказчик", "голос за кадром", "旁白", "画外音", "ナレーション", "ナレーター",
}  # fmt: skip

_CAPITAL = "A-ZÀ-ÖØ-ÞĀ-ŽΑ-ΩА-ЯЁ"
_MARKS = f"[\\s{_OFF}{_ON}{_NOTE}]*"
_IN_CAPITALS = rf"[{_CAPITAL}][{_CAPITAL}0-9 .'’&#/-]{{0,29}}?"
_MIXED = r"[^\W\d_][\w.'’-]*(?: [^\W_][\w.'’-]*){0,3}"
_IDEOGRAMS = r"[\u3005\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{1,8}"
_COLON = r"\s*(?::(?=\s|$|[^\W\d])|：)\s*"
_NAMED = re.compile(
    rf"(?:{_VOICE}(?P<voice>[^{_VOICE_END}]*){_VOICE_END}"
    rf"|(?P<capitals>{_IN_CAPITALS}){_MARKS}{_COLON}"
    rf"|(?P<ideograms>{_IDEOGRAMS}){_MARKS}：\s*"
    rf"|(?P<mixed>{_MIXED}){_MARKS}{_COLON})"
)
_NEW_SENTENCE = re.compile(rf"(?:(?<=[.!?…。！？])|(?<=[.!?…]['\"”’»]))\s+|(?={_VOICE})")
_TITLE = (
    r"(?:mr|mrs|ms|miss|dr|prof|sir|lady|lord|herr|frau|fräulein|m|mme|mlle|monsieur|madame|mademoiselle|sr|sra|srta"
    r"|señor|señora|señorita|signor|signora|signorina|don|doña|captain|capt|lt|sgt|officer|agent)"
)
_TITLED = re.compile(rf"{_TITLE}\.? [^\W\d_]", re.IGNORECASE)
_ABBREVIATED = re.compile(rf"\b{_TITLE}\.\s+$", re.IGNORECASE)
_TURN = re.compile(r"^\s*(?:>{2,3}|[-‐–—]{1,2}(?=\s|[^\W\d]|[\ue000-\ue003]))\s*")
_HEADING = re.compile(
    r"^\s*(?:(?:INT|EXT|EST|I/E)(?:\.|/| )[^a-z]*|(?:FADE|CUT|SMASH CUT|MATCH CUT|DISSOLVE)\b[^a-z]*)$"
)


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one speaker says; ``row`` counts the lines of the text from 0."""

    text: str
    speaker: str | None = None
    on_screen: bool | None = None  # None: nothing is said of it
    row: int = 0


def keep_voices(text: str) -> str:
    """The text with the names of WebVTT's voice tags where no reader takes them for markup."""
    return _VOICE_TAG.sub(rf"{_VOICE}\1{_VOICE_END}", text)


def names_in(texts: Iterable[str]) -> frozenset[str]:
    """The names, in small letters, of those who certainly speak: written in capitals, or by markup; where there are
    none, what stands before a colon if half of all lines begin in that way.
    """
    certain: set[str] = set()
    possible: set[str] = set()
    lines = begun = 0
    for text in texts:
        for row in _cleaned(text).splitlines():
            row = _TURN.sub("", row).strip()
            if not _words(row):
                continue
            lines += 1
            found = _NAMED.match(row)
            if found is None:
                continue
            begun += 1
            name = _name(found)
            (certain if found["mixed"] is None else possible).add(name.casefold())
    return frozenset(certain or (possible if begun >= 2 and begun >= 0.5 * lines else ()))


def utterances(
    text: str, names: Collection[str] = (), *, speaker: str | None = None, by_row: bool = False
) -> list[Utterance]:
    """What is spoken of a text, in order; ``names`` as from `names_in`, ``speaker`` who begins.

    A name, a dash or ``>>`` at the beginning of a row begins another utterance; other rows go on with the last one,
    or, ``by_row``, are utterances of the same speaker, until an empty row.
    """
    found: list[Utterance] = []
    current, on_screen = speaker, _on_screen(speaker, "")
    fresh = True  # nothing to go on with
    for number, row in enumerate(_cleaned(text).split("\n")):
        turn = _TURN.match(row)
        if turn or _HEADING.match(row) or (by_row and not row.strip()):
            current = None if turn else speaker
            on_screen, fresh = _on_screen(current, ""), True
            row = row[turn.end() :] if turn else ""
        for name, part in _parts(row, names):
            if name is not None:
                current, fresh = name or None, True
                on_screen = _on_screen(current, part)
            words = _words(part)
            if not words:
                continue
            if fresh or by_row:
                found.append(Utterance(words, current, _on_screen(None, part, on_screen), number))
            else:
                found[-1] = replace(found[-1], text=f"{found[-1].text} {words}")
            fresh = False
    return found


def _cleaned(text: str) -> str:
    """The text without markup, notes and songs; every row is kept, and marks say where notes were."""
    text = html.unescape(text).replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ")
    text = _TAG.sub("", keep_voices(text))
    for _ in range(3):  # notes within notes
        text, count = _BRACKETS.subn(_mark, text)
        if not count:
            break
    return _STARRED.sub(_NOTE, _SONG.sub(_NOTE, text))


def _mark(note: re.Match[str]) -> str:
    parts = [part.strip() for part in re.split(r"[,;/、]", note[0][1:-1])]
    rows = "\n" * note[0].count("\n")
    if any(_OFF_MARK.fullmatch(part) for part in parts):
        return _OFF + rows
    return (_ON if any(_ON_MARK.fullmatch(part) for part in parts) else _NOTE) + rows


def _parts(row: str, names: Collection[str]) -> list[tuple[str | None, str]]:
    """A row cut where a speaker begins: (name, what follows); the name is None where none is stated."""
    cuts = [cut.end() for cut in _NEW_SENTENCE.finditer(row)]
    starts = [0, *(cut for cut in cuts if not _ABBREVIATED.search(row[:cut]))]
    parts: list[tuple[str | None, str]] = [(None, "")]
    for start, end in zip(starts, [*starts[1:], len(row)], strict=True):
        sentence = row[start:end]
        lead = re.match(_MARKS, sentence)
        at = lead.end() if lead else 0
        found = _NAMED.match(sentence, at)
        if found and _is_name(found, names):
            marks = sentence[:at] + "".join(c for c in found[0] if c in _OFF + _ON)
            parts.append((_name(found), marks + sentence[found.end() :]))
        else:
            parts[-1] = (parts[-1][0], parts[-1][1] + sentence)
    return [part for part in parts if part != (None, "")]


def _is_name(found: re.Match[str], names: Collection[str]) -> bool:
    if found["mixed"] is None:
        return True
    with_manner = _NOTE in found[0] or _OFF in found[0] or _ON in found[0]
    name = found["mixed"]
    return (
        name.casefold() in names or bool(_TITLED.match(name)) or (with_manner and name[0].isupper())
    )


def _name(found: re.Match[str]) -> str:
    name = next(name for name in found.groups() if name is not None)
    return " ".join(html.unescape(name).split())


def _on_screen(speaker: str | None, part: str, before: bool | None = None) -> bool | None:
    if _OFF in part:
        return False
    if _ON in part:
        return True
    return False if speaker and speaker.casefold() in _NARRATORS else before


def _words(part: str) -> str:
    """The part without marks; empty where nothing of it can be spoken."""
    text = re.sub(r"[\ue000-\ue004♪♫♬♩]", " ", part)
    text = re.sub(r"\s+([,.;:!?…])", r"\1", " ".join(text.split()))
    return text if any(c.isalnum() for c in text) else ""
