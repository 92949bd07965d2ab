"""IPA symbols -> what tongue, lips and jaw do, by panphon.

panphon (Mortensen et al., *PanPhon: A Resource for Mapping IPA Segments to Articulatory Feature Vectors*, COLING
2016) knows the letters of every language. What it leaves open stands here and is little: some spellings of
sounds that it has under another name, and the lips of consonants that push them forward without rounding being
what tells them apart.
"""

# ruff: noqa: RUF001 - IPA letters are meant

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np
from panphon import FeatureTable

from dubkit.records import Floats

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
