# ruff: noqa: RUF001 - IPA and other letters are meant
"""Words of any language for an acoustic model that knows the 39 phones of English.

Each IPA symbol goes to the phone, or the two phones, nearest to it by articulation: close enough for the
model to find where a sound begins and ends, which is all that is asked of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from dubkit.records import Floats
from dubkit.speech import articulatory, g2p
from dubkit.speech.articulatory import FEATURES, articulation

# sounds far from every English one, by the phone they are perceived as; a letter counts with its marks
_NEAREST_BY_SOUND = {
    "x": "HH", "χ": "HH", "ħ": "HH", "ç": "SH", "r": "R", "ɾ": "R", "ɽ": "R", "ʁ": "R", "ʀ": "R",
    "ɣ": "G", "β": "V", "ʋ": "V", "ɸ": "F", "ʈ": "T", "ɖ": "D", "ɟ": "D", "c": "K", "ɯ": "UH",
    "ɨ": "IH", "ø": "ER", "œ": "ER", "ʕ": "AA", "ʔ": "T", "a": "AE", "e": "EY", "o": "OW", "y": "IY", "ɲ": "N",
    "ɐ": "AH", "ɘ": "IH", "ɵ": "UH", "ɻ": "R",
}  # fmt: skip
_SILENCE = 9.0  # weight of its column
_TWO = 0.6  # two phones for one symbol must be nearer than one by this


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word to align. ``groups`` are the phones of each of its ``symbols`` (IPA).

    Without groups the word is one of the model's own dictionary, whose variants may be chosen among.
    """

    text: str
    name: str  # in the decoder's dictionary
    symbols: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    line: int = 0  # of the script, counted from 0
    sentence: int = 0  # of the script, likewise

    @property
    def phones(self) -> str:
        """As the decoder's dictionary has it."""
        return " ".join(phone for group in self.groups for phone in group)


def english(word: str) -> Spoken:
    """A word of the model's own dictionary; a letter stands there with a point."""
    return Spoken(word.rstrip("."), word)


def spoken(pronouncer: g2p.Pronouncer, word: str) -> Spoken | None:
    """A word of a script; None where nobody can say it."""
    if pronouncer.in_dictionary(word):
        return english(word)
    symbols = pronouncer.ipa(word)
    if not symbols:
        return None
    name = f"{pronouncer.language}:{word}"
    return Spoken(word, name, symbols, tuple(nearest(symbol) for symbol in symbols))


@cache
def nearest(symbol: str) -> tuple[str, ...]:
    """The phones (one or two, ARPAbet) that sound most like an IPA symbol."""
    parts = _distinct(articulatory.segments(symbol))
    if len(parts) == 1 and parts[0] in _NEAREST_BY_SOUND:
        return (_NEAREST_BY_SOUND[parts[0]],)
    one, distance = _closest(articulation(symbol))
    if len(parts) < 2 or symbol in g2p.IPA.values():
        return (one,)
    first, last = parts[0], parts[-1]
    ends = [_closest(articulation(part)) for part in (first, last)]
    if _vowel(first) != _vowel(last) or sum(far for _, far in ends) + _TWO < distance:
        return (nearest(first)[0], nearest(last)[0])
    return (one,)


def _vowel(segment: str) -> bool:
    return float(articulatory.vector(segment)[articulatory.PHONOLOGICAL.index("syl")]) > 0


def _distinct(parts: Sequence[str]) -> list[str]:
    return [part for i, part in enumerate(parts) if i == 0 or part != parts[i - 1]]


def _closest(rows: tuple[Floats, Floats]) -> tuple[str, float]:
    phones, table = _table()
    wanted = np.concatenate(rows)
    distances = np.abs(table - wanted) @ _column_weights()
    best = int(np.argmin(distances))
    return phones[best], float(distances[best])


@cache
def _table() -> tuple[list[str], Floats]:
    return list(g2p.IPA), np.stack([np.concatenate(articulation(ipa)) for ipa in g2p.IPA.values()])


@cache
def _column_weights() -> Floats:
    known = articulatory.weights()
    return np.array([known.get(name, _SILENCE) for name in FEATURES] * 2, np.float32)
