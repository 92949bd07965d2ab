"""Phonemes -> what the TC net sees: articulation on a fixed grid of 20 ms cells.

Every phoneme of every language is described by what tongue, lips and jaw do, so that languages the net
never heard still say something to it. The grid is fixed in film time (cell ``i`` is centred on ``i`` times
`STEP`), so frame rate, cuts and chunks do not change what the net computes for a moment.

Everything here is local: a cell depends on the phonemes within `REACH` seconds of it and on nothing else.
"""

# ruff: noqa: RUF001 - IPA letters are meant

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dubkit.records import Floats
from dubkit.synthesis.rare_letters import RARE_CONSONANTS
from dubkit.synthesis.sound import STEP, Sound
from dubkit.synthesis.timing import SILENCE, Timed, Timing, load_timing

__all__ = [
    "COUNT", "FEATURES", "STEP", "Timing", "articulation", "cells", "grid", "inputs", "load_timing",
]  # fmt: skip

SUB = 4  # points looked at inside a cell: soft occupancy
REACH = 0.16  # seconds: how far the place inside a long phoneme is still told

FEATURES = (
    "silence", "vowel", "bilabial", "labiodental", "dental", "alveolar", "postalveolar", "palatal",
    "velar", "glottal", "stop", "fricative", "nasal", "approximant", "lateral", "rhotic", "voiced",
    "rounded", "open", "back",
)  # fmt: skip
TIMES = ("since", "until")
COUNT = len(FEATURES) + len(TIMES)

# letter: features that are 1, or "name=value"; vowels state openness, backness and rounding
_CONSONANTS = {
    "p": "bilabial stop", "b": "bilabial stop voiced", "m": "bilabial nasal stop voiced",
    "ɸ": "bilabial=.6 fricative", "β": "bilabial=.6 fricative voiced", "ʙ": "bilabial voiced",
    "f": "labiodental fricative", "v": "labiodental fricative voiced",
    "ʋ": "labiodental=.6 approximant voiced", "ɱ": "labiodental nasal voiced",
    "θ": "dental fricative", "ð": "dental fricative voiced",
    "t": "alveolar stop", "d": "alveolar stop voiced", "n": "alveolar nasal voiced",
    "s": "alveolar fricative", "z": "alveolar fricative voiced", "l": "alveolar lateral voiced",
    "ɬ": "alveolar lateral fricative", "ɮ": "alveolar lateral fricative voiced",
    "r": "alveolar rhotic voiced", "ɾ": "alveolar rhotic=.5 voiced",
    "ɹ": "postalveolar rhotic approximant voiced rounded=.4",
    "ʃ": "postalveolar fricative rounded=.6", "ʒ": "postalveolar fricative voiced rounded=.6",
    "ʂ": "postalveolar fricative rounded=.3", "ʐ": "postalveolar fricative voiced rounded=.3",
    "ʈ": "postalveolar stop", "ɖ": "postalveolar stop voiced", "ɳ": "postalveolar nasal voiced",
    "ɭ": "postalveolar lateral voiced", "ɽ": "postalveolar rhotic voiced",
    "ɻ": "postalveolar rhotic approximant voiced", "ɕ": "palatal postalveolar fricative",
    "ʑ": "palatal postalveolar fricative voiced", "c": "palatal stop", "ɟ": "palatal stop voiced",
    "ɲ": "palatal nasal voiced", "ç": "palatal fricative", "ʝ": "palatal fricative voiced",
    "ʎ": "palatal lateral voiced", "j": "palatal approximant voiced",
    "ɥ": "palatal approximant voiced rounded",
    "k": "velar stop", "g": "velar stop voiced", "ɡ": "velar stop voiced", "ŋ": "velar nasal voiced",
    "x": "velar fricative", "ɣ": "velar fricative voiced", "ɰ": "velar approximant voiced",
    "w": "velar approximant voiced rounded", "ʍ": "velar approximant rounded",
    "ɫ": "alveolar velar=.5 lateral voiced", "q": "velar stop", "ɢ": "velar stop voiced",
    "ɴ": "velar nasal voiced", "χ": "velar fricative", "ʁ": "velar fricative voiced",
    "ʀ": "velar rhotic voiced", "ħ": "glottal fricative open=.5", "ʕ": "glottal voiced open=.5",
    "h": "glottal fricative", "ɦ": "glottal fricative voiced", "ʔ": "glottal stop",
}  # fmt: skip
# letter: openness, backness, rounding, each 0 to 1
_VOWELS = {
    "i": (0.0, 0.0, 0.0), "y": (0.0, 0.0, 1.0), "ɨ": (0.0, 0.5, 0.0), "ʉ": (0.0, 0.5, 1.0),
    "ɯ": (0.0, 1.0, 0.0), "u": (0.0, 1.0, 1.0), "ɪ": (0.2, 0.2, 0.0), "ʏ": (0.2, 0.2, 1.0),
    "ʊ": (0.2, 0.8, 0.8), "e": (0.35, 0.0, 0.0), "ø": (0.35, 0.0, 1.0), "ɘ": (0.35, 0.5, 0.0),
    "ɵ": (0.35, 0.5, 1.0), "ɤ": (0.35, 1.0, 0.0), "o": (0.4, 1.0, 1.0), "ə": (0.45, 0.5, 0.0),
    "ɛ": (0.6, 0.1, 0.0), "œ": (0.6, 0.1, 0.9), "ɜ": (0.55, 0.5, 0.0), "ɞ": (0.55, 0.5, 0.8),
    "ʌ": (0.65, 0.7, 0.0), "ɔ": (0.7, 1.0, 0.7), "æ": (0.85, 0.1, 0.0), "ɐ": (0.8, 0.5, 0.0),
    "a": (1.0, 0.3, 0.0), "ɶ": (1.0, 0.1, 0.8), "ɑ": (1.0, 1.0, 0.0), "ɒ": (1.0, 1.0, 0.6),
}  # fmt: skip
_RHOTIC_VOWELS = {"ɝ": "ɜ", "ɚ": "ə"}


@cache
def _letter(letter: str) -> Floats | None:
    row: Floats = np.zeros(len(FEATURES), np.float32)
    place = {name: i for i, name in enumerate(FEATURES)}
    base = _RHOTIC_VOWELS.get(letter, letter)
    if base in _VOWELS:
        row[place["vowel"]] = row[place["voiced"]] = 1.0
        row[[place["open"], place["back"], place["rounded"]]] = _VOWELS[base]
        if base != letter:
            row[[place["rhotic"], place["rounded"]]] = 1.0, 0.3
        return row
    described = _CONSONANTS.get(base) or RARE_CONSONANTS.get(base)
    if described is None:
        return None
    for part in described.split():
        name, _, value = part.partition("=")
        row[place[name]] = float(value or 1.0)
    return row


def letters(symbol: str) -> list[str]:
    """The letters of an IPA symbol that stand for sounds; marks are left out."""
    return [letter for letter in symbol if _letter(letter) is not None]


@cache
def articulation(symbol: str) -> tuple[Floats, Floats]:
    """Features (F,) at the start and at the end of a phoneme; they differ in diphthongs and affricates.

    Marks (length, stress, tone, nasality) say little of lips and are passed over; a symbol of which no
    letter is known counts as a short neutral vowel.
    """
    if symbol == SILENCE:
        silent: Floats = np.zeros(len(FEATURES), np.float32)
        silent[0] = 1.0
        return silent, silent
    rows = [row for letter in symbol or "ə" if (row := _letter(letter)) is not None]
    return (rows[0], rows[-1]) if rows else articulation("ə")


def grid(start: float, end: float) -> NDArray[np.int64]:
    """Numbers of the cells that cover ``start`` to ``end`` seconds."""
    return np.arange(int(np.floor(start / STEP)), int(np.ceil(end / STEP)) + 1)


def cells(phonemes: Sequence[Timed], numbers: NDArray[np.int64]) -> Floats:
    """Features (N, COUNT) of the cells ``numbers`` (consecutive); silence lies where no phoneme does."""
    centres = np.repeat(numbers * STEP, SUB)
    inner = (np.arange(SUB) + 0.5) / SUB - 0.5
    times = centres + np.tile(inner * STEP, len(numbers))
    tiled = _tiled(phonemes, float(times[0]), float(times[-1]))
    edges = np.array([start for _, start, _ in tiled])
    which = np.clip(np.searchsorted(edges, times, "right") - 1, 0, None)
    begin, finish = edges[which], np.array([end for _, _, end in tiled])[which]
    first = np.stack([articulation(symbol)[0] for symbol, _, _ in tiled])[which]
    last = np.stack([articulation(symbol)[1] for symbol, _, _ in tiled])[which]
    since = np.clip((times - begin) / REACH, 0.0, 1.0)
    until = np.clip((finish - times) / REACH, 0.0, 1.0)
    place = (since / np.maximum(since + until, 1e-6))[:, None]
    rows = np.concatenate([first + (last - first) * place, since[:, None], until[:, None]], 1)
    return np.asarray(rows.reshape(len(numbers), SUB, -1).mean(1), np.float32)


def inputs(
    phonemes: Sequence[Timed], numbers: NDArray[np.int64], sound: Sound | None, bands: int
) -> Floats:
    """What the TC net is given of the cells ``numbers``: (N, COUNT), or for a net that hears ``bands`` of the
    sound (N, COUNT + bands + 1): articulation, levels, and 1 where the sound is known at all.
    """
    rows = cells(phonemes, numbers)
    if not bands:
        return rows
    heard: Floats = np.zeros((len(numbers), bands + 1), np.float32)
    if sound is not None:
        heard[:, :bands], heard[:, bands] = sound.rows(numbers), 1.0
    return np.concatenate([rows, heard], 1)


def _tiled(phonemes: Sequence[Timed], start: float, end: float) -> list[Timed]:
    """The phonemes with every gap filled by silence, from before ``start`` to after ``end``."""
    far = 10.0
    tiled: list[Timed] = []
    at = start - far
    for symbol, begin, finish in phonemes:
        if begin - at > 1e-6:
            tiled.append((SILENCE, at, begin))
        if tiled and tiled[-1][0] == symbol == SILENCE:
            tiled[-1] = (SILENCE, tiled[-1][1], finish)
        else:
            tiled.append((symbol, max(at, begin), finish))
        at = finish
    if tiled and tiled[-1][0] == SILENCE:
        tiled[-1] = (SILENCE, tiled[-1][1], max(at, end + far))
    else:
        tiled.append((SILENCE, at, max(at, end) + far))
    return tiled
