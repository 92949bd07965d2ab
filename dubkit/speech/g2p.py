# ruff: noqa: RUF001 - IPA and other letters are meant
"""How English is pronounced: words of a text, their ARPAbet phones, and IPA.

Known words come from the dictionary that is inside the pocketsphinx wheel; others by letter rules,
which is enough for lips (and a fair guess for names and for other languages in Latin letters).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

import pocketsphinx

IPA = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ",
    "D": "d", "DH": "ð", "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ",
    "IY": "i", "JH": "dʒ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ",
    "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u",
    "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
SILENCE = "sil"

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))

_LETTERS = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY",
    "h": "EY CH", "i": "AY", "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N",
    "o": "OW", "p": "P IY", "q": "K Y UW", "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW",
    "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S", "y": "W AY", "z": "Z IY",
}  # fmt: skip

# longest first; a small set that gets lips right: labials, rounding, spread, open vowels
_RULES = (
    ("tsch", "CH"), ("sch", "SH"), ("tch", "CH"), ("igh", "AY"), ("eau", "OW"), ("ough", "AO"),
    ("ch", "CH"), ("sh", "SH"), ("th", "TH"), ("ph", "F"), ("wh", "W"), ("ck", "K"), ("ng", "NG"),
    ("qu", "K W"), ("gh", "G"), ("kn", "N"), ("wr", "R"), ("zh", "ZH"), ("ee", "IY"), ("ea", "IY"),
    ("oo", "UW"), ("ou", "AW"), ("ow", "OW"), ("oi", "OY"), ("oy", "OY"), ("ai", "EY"),
    ("ay", "EY"), ("au", "AO"), ("aw", "AO"), ("ie", "IY"), ("ei", "AY"), ("ey", "EY"),
    ("eu", "OY"), ("ue", "UW"), ("er", "ER"), ("ir", "ER"), ("ur", "ER"), ("a", "AE"), ("b", "B"),
    ("c", "K"), ("d", "D"), ("e", "EH"), ("f", "F"), ("g", "G"), ("h", "HH"), ("i", "IH"),
    ("j", "JH"), ("k", "K"), ("l", "L"), ("m", "M"), ("n", "N"), ("o", "AA"), ("p", "P"),
    ("q", "K"), ("r", "R"), ("s", "S"), ("t", "T"), ("u", "AH"), ("v", "V"), ("w", "W"),
    ("x", "K S"), ("y", "IY"), ("z", "Z"),
)  # fmt: skip
_SPECIAL = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "þ": "th", "ı": "i"}
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*")
_VOWELS = set("aeiouy")


@cache
def dictionary() -> dict[str, str]:
    """Word -> its first pronunciation, ARPAbet with blanks between (about 126,000 words)."""
    path = Path(pocketsphinx.get_model_path("en-us")) / "cmudict-en-us.dict"
    pairs = (line.partition(" ") for line in path.read_text(encoding="utf-8").splitlines())
    return {word: phones.strip() for word, _, phones in pairs if "(" not in word}


def words_of(text: str) -> list[str]:
    """The speakable words of a text, lower case, numbers spoken out, punctuation gone."""
    text = text.replace("’", "'").replace("&", " and ").replace("%", " percent ")
    words: list[str] = []
    for token in _TOKEN.findall(text):
        if token[0].isdecimal():
            words += _number(token)
        elif token.isupper() and 1 < len(token) <= 5 and token.lower() not in dictionary():
            words += list(token.lower())
        else:
            words.append(token.lower())
    return words


def latin(word: str) -> str:
    """A word in plain a-z; empty where its writing is not Latin."""
    spelled = "".join(_SPECIAL.get(c, c) for c in word.lower())
    bare = unicodedata.normalize("NFKD", spelled)
    letters = [c for c in bare if c.isalpha()]
    return "".join(c for c in letters if c.isascii()) if all(c.isascii() for c in letters) else ""


def pronounce(word: str) -> str | None:
    """ARPAbet phones of one word of `words_of`; None where its writing is not Latin."""
    known = dictionary().get(word)
    if known is not None:
        return known
    if "'" in word:
        parts = [pronounce(part) for part in word.split("'") if part]
        return " ".join(part for part in parts if part) or None
    letters = latin(word)
    if not letters:
        return None
    if letters in dictionary():
        return dictionary()[letters]
    if not _VOWELS & set(letters):
        return " ".join(_LETTERS[c] for c in letters)
    return _by_rules(letters)


def _by_rules(letters: str) -> str:
    # a doubled consonant and a final e are silent in nearly every word of Latin letters
    letters = re.sub(r"([^aeiou])\1", r"\1", letters)
    if len(letters) > 3 and letters.endswith("e") and letters[-2] not in _VOWELS:
        letters = letters[:-1]
    phones, at = [], 0
    while at < len(letters):
        pattern, sound = next(rule for rule in _RULES if letters.startswith(rule[0], at))
        phones.append(sound)
        at += len(pattern)
    return " ".join(phones)


def _number(token: str) -> list[str]:
    whole, _, fraction = token.replace(",", "").partition(".")
    if len(whole) > 12 or (whole[0] == "0" and len(whole) > 1):
        return [_ONES[int(c)] for c in whole]
    value = int(whole)
    year = len(token) == 4 and 1100 <= value < 2100 and not 2000 <= value < 2010 and value % 100 > 0
    words = _spell(value // 100) + _spell(value % 100) if year else _spell(value)
    return words + (
        ["point"] + [_ONES[int(c)] for c in fraction if c.isdecimal()] if fraction else []
    )


def _spell(value: int) -> list[str]:
    for size, name in _SCALES:
        if value >= size:
            rest = value % size
            return [*_spell(value // size), name, *(_spell(rest) if rest else [])]
    if value < 20:
        return [_ONES[value]]
    return [_TENS[value // 10], *([_ONES[value % 10]] if value % 10 else [])]
