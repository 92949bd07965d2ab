# ruff: noqa: RUF001 - IPA letters are meant
"""Phonemes -> what the TC net is given: articulatory features on a fixed grid of 20 ms cells.

Every phoneme of every language is described by what tongue, lips and jaw do, so that the net can be given languages
that it was not trained on. The features are those of panphon (Mortensen et al., *PanPhon: A Resource for Mapping IPA
Segments to Articulatory Feature Vectors*, COLING 2016), which knows the letters of every language. What it leaves open
stands here: some spellings of sounds that it has under another name, and the lips of consonants that push them forward
without rounding being what tells them apart.

The grid is fixed in film time (cell ``i`` is centered on ``i`` times `records.GRID_STEP`), so frame rate, cuts and
chunks do not change what the net computes for a moment. A cell depends on the phonemes within `REACH` seconds of it
and on nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np
from panphon import FeatureTable

from dubkit.records import GRID_STEP, SILENCE, Floats, Integers, TimedPhoneme

# tone, length, clicks and creak do not show at the lips
PHONOLOGICAL = (
    "syl", "son", "cons", "cont", "delrel", "lat", "nas", "strid", "voi", "sg", "ant", "cor", "distr", "lab",
    "hi", "lo", "back", "round", "tense",
)  # fmt: skip
_ROUND = PHONOLOGICAL.index("round")
_LETTER = re.compile("c\u0327|.")  # c with cedilla is a letter of its own
_ROUNDS = "ʷ"  # the one mark that says something of lips
# spellings that panphon does not have; ligatures and old letters
_SPELLED = {
    "g": "ɡ", "ɝ": "ɹ̩", "ɚ": "ɹ̩", "ᵻ": "ɨ", "ᵿ": "ʊ", "ᵊ": "ə", "ʦ": "ts", "ʣ": "dz", "ʧ": "tʃ", "ʤ": "dʒ",
    "ʨ": "tɕ", "ʥ": "dʑ", "ɿ": "ɨ", "ʅ": "ɨ", "ʮ": "ʉ", "ʯ": "ʉ", "ᶑ": "ɗ", "ꞎ": "ɬ", "ʜ": "ħ", "ʢ": "ʕ",
    "ʡ": "ʔ", "ᴇ": "ɛ", "ⱱ": "v", "ȵ": "ɲ", "ȶ": "c", "ȡ": "ɟ", "ȴ": "ʎ", "ɷ": "ʊ", "ɩ": "ɪ", "ɼ": "r",
}  # fmt: skip
# lips pushed forward, in parts of a rounded vowel's: panphon's features are those that tell phonemes apart, and
# none of these has a twin without it
_FORWARD = {"ʃ": 0.2, "ʒ": 0.2, "ɹ": -0.2, "ʂ": -0.4, "ʐ": -0.4}


@cache
def _table() -> FeatureTable:
    return FeatureTable()


@cache
def segments(symbol: str) -> tuple[str, ...]:
    """The sounds of an IPA symbol, in panphon's spelling; several in affricates and diphthongs.

    Marks of stress, length, tone and the like are left out, and so is what is no IPA.
    """
    known, found = _table().seg_dict, list[str]()
    for letter in _LETTER.findall(unicodedata.normalize("NFD", symbol)):
        if letter == _ROUNDS and found:
            found[-1] = found[-1] + letter if found[-1] + letter in known else found[-1]
            continue
        spelled = _SPELLED.get(letter, letter)
        found += [spelled] if spelled in known else [part for part in spelled if part in known]
    return tuple(unicodedata.normalize("NFC", part) for part in found)


@cache
def vector(segment: str) -> Floats:
    """(len(PHONOLOGICAL),) of one of `segments`: 1 it is, -1 it is not, 0 it does not apply."""
    found = _table().fts(segment)
    row: Floats = np.array([found[name] for name in PHONOLOGICAL], np.float32)
    row[_ROUND] = _FORWARD.get(segment[0], row[_ROUND])
    return row


def weights() -> dict[str, float]:
    """How much each feature tells sounds apart, by panphon's own judgment."""
    table = _table()
    return {name: float(w) for name, w in zip(table.names, table.weights, strict=False)}


SUB = 4  # points looked at inside a cell: soft occupancy
REACH = 0.16  # seconds from a phoneme's ends within which the position in it counts

FEATURES = ("silence", *PHONOLOGICAL)
TIMES = ("since", "until")
COUNT = len(FEATURES) + len(TIMES)


@cache
def articulation(symbol: str) -> tuple[Floats, Floats]:
    """Features (F,) at the start and at the end of a phoneme; they differ in diphthongs and affricates.

    A symbol of which nothing is known counts as a short neutral vowel.
    """
    if symbol == SILENCE:
        silent: Floats = np.zeros(len(FEATURES), np.float32)
        silent[0] = 1.0
        return silent, silent
    found = segments(symbol) or segments("ə")
    first, last = (np.concatenate([[0.0], vector(s)]) for s in (found[0], found[-1]))
    return np.asarray(first, np.float32), np.asarray(last, np.float32)


def grid(start: float, end: float) -> Integers:
    """Numbers of the cells that cover ``start`` to ``end`` seconds."""
    return np.arange(int(np.floor(start / GRID_STEP)), int(np.ceil(end / GRID_STEP)) + 1)


def cells(phonemes: Sequence[TimedPhoneme], numbers: Integers) -> Floats:
    """Features (N, COUNT) of the cells ``numbers`` (consecutive); silence lies where no phoneme does."""
    centers = np.repeat(numbers * GRID_STEP, SUB)
    inner = (np.arange(SUB) + 0.5) / SUB - 0.5
    times = centers + np.tile(inner * GRID_STEP, len(numbers))
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


def _tiled(phonemes: Sequence[TimedPhoneme], start: float, end: float) -> list[TimedPhoneme]:
    """The phonemes with every gap filled by silence, from before ``start`` to after ``end``."""
    far = 10.0
    tiled: list[TimedPhoneme] = []
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
