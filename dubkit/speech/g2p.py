# ruff: noqa: RUF001 - IPA and other letters are meant
"""How English is pronounced: words of a text, their ARPAbet phones, and IPA.

Known words come from the dictionary that is inside the pocketsphinx wheel; others by letter rules,
which is enough for lips (and a fair guess for names and for other languages in Latin letters).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import pocketsphinx

from dubkit.engines.registry import load_module
from dubkit.errors import InputError, MissingDependency, UsageError
from dubkit.records import ScriptLine
from dubkit.speech import normalize
from dubkit.speech.espeak import Language, available, espeak

ENGLISH = "en"
IPA = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ",
    "D": "d", "DH": "ð", "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ",
    "IY": "i", "JH": "dʒ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ",
    "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u",
    "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip

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
# a letter with a point is said as a letter: the dictionary has those too
_TOKEN = re.compile(r"[a-z]\.(?![^\W_])|\d+|[^\W\d_]+(?:'[^\W\d_]+)*")
_VOWELS = set("aeiouy")
_KATAKANA_TO_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


@cache
def dictionary() -> dict[str, str]:
    """Word -> its first pronunciation, ARPAbet with blanks between (about 126,000 words)."""
    path = Path(pocketsphinx.get_model_path("en-us")) / "cmudict-en-us.dict"
    pairs = (line.partition(" ") for line in path.read_text(encoding="utf-8").splitlines())
    return {word: phones.strip() for word, _, phones in pairs if "(" not in word}


def words_of(text: str, language: str = ENGLISH) -> list[str]:
    """The speakable words of a text, lower case, all of it written out as it is spoken, punctuation gone."""
    english = language.split("-")[0] == ENGLISH
    said, _ = normalize.spoken(text, language, dictionary().__contains__ if english else _nothing)
    return _TOKEN.findall(said.lower())


def _nothing(_word: str) -> bool:
    return False


def latin(word: str) -> str:
    """A word in plain a-z; empty where its writing is not Latin."""
    spelled = "".join(_SPECIAL.get(c, c) for c in word.lower())
    bare = unicodedata.normalize("NFKD", spelled).lower()  # capitals of other alphabets
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


EXTRA = "languages"
_TAG = re.compile(r"[a-z]{2,3}(-[a-z0-9]+)*", re.IGNORECASE)
_SURE_SENTENCE = 0.95  # probability of a sentence's language
_KNOWN_SHARE = 0.8  # of a text's words in the English dictionary, from which on it is English

# where espeak-ng's IPA is none: its own names of sounds, marks of tone, stress and language
_RESPELLED = {
    "ts.": "tʂ", "s.": "ʂ", "z.": "ʐ", "r.": "ɽ", "i.": "ɨ", "e-": "ə", "tS": "tʃ", "dZ": "dʒ",
    "S": "ʃ", "Z": "ʒ", "N": "ŋ", "X": "χ", "A": "ɑ", "ε": "ɛ", "Φ": "ɸ", "ʦ": "ts", "ʣ": "dz",
    "ʧ": "tʃ", "ʤ": "dʒ", "?": "ʔ",
}  # fmt: skip
_RESPELL = re.compile("|".join(map(re.escape, _RESPELLED)))
_SWITCH = re.compile(r"\([a-z-]+\)")
_TONAL = {"cmn", "hak", "my", "shn", "th", "vi", "yue"}
_ASPIRATED = re.compile(r"(?<=[ptkcqbdɡʂʃsɕ])h$")
_WITHOUT_BLANKS = re.compile(r"[\u2e80-\u2fff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


class Pronouncer:
    """Words and sounds of one language.

    Raises UsageError for a language that nobody knows, MissingDependency where the extra
    ``languages`` is needed and absent.
    """

    def __init__(self, language: str) -> None:
        self.language = language.lower().replace("_", "-")
        self.english = self.language.split("-")[0] == ENGLISH
        self._voice = "" if self.english and not available() else known(self.language).voice
        self.left_out: list[str] = []  # signs for which there are no words in the language
        self._readings: dict[str, str] = {}

    def words(self, text: str) -> list[str]:
        """The speakable words of a text, lower case, written out as they are spoken, without punctuation."""
        if self.english:
            return words_of(text)
        text, left_out = normalize.spoken(text, self.language)
        self.left_out += [sign for sign in left_out if sign not in self.left_out]
        text = unicodedata.normalize("NFC", text)
        if self.language.startswith("ja"):
            pairs = _read_japanese(text)
            self._readings.update(pairs)
            return [written for written, _ in pairs]
        return [word for word in _split(text) if any(c.isalnum() for c in word)]

    def ipa(self, word: str) -> tuple[str, ...] | None:
        """The phonemes of one word of `words`; None where nobody can say it."""
        if self.english:
            return self._english(word)
        return _symbols(self._readings.get(word, word), self._voice) or None

    def in_dictionary(self, word: str) -> bool:
        """Whether the word is pronounced by the English dictionary."""
        return self.english and word in dictionary()

    def _english(self, word: str) -> tuple[str, ...] | None:
        if not latin(word):
            return None  # espeak-ng would name the signs: "Chinese letter"
        if self._voice and word not in dictionary():
            return _symbols(word, self._voice) or None
        phones = pronounce(word)
        return tuple(IPA[phone] for phone in phones.split()) if phones else None


def known(language: str) -> Language:
    """The language of a code such as ``de`` or ``pt-br``; ``de-at`` is ``de`` where it has no entry.

    Raises UsageError for a code that nobody knows, MissingDependency without espeak-ng.
    """
    code = language.lower().replace("_", "-")
    if not available():
        if not _TAG.fullmatch(code):
            raise _unknown(language)
        raise MissingDependency(
            f"a script in the language {language!r} needs espeak-ng, which is not installed",
            hint=f"pip install 'dubkit[{EXTRA}]'",
        )
    languages = espeak().languages()
    while code not in languages:
        code, dash, _ = code.rpartition("-")
        if not dash:
            raise _unknown(language)
    return languages[code]


def check(language: str) -> None:
    """Raise UsageError where a language is certainly unknown; without espeak-ng most pass."""
    if available():
        known(language)
    elif not _TAG.fullmatch(language):
        raise _unknown(language)


def guess(texts: Iterable[str]) -> str:
    """The language that a script is written in.

    Raises MissingDependency where it is not English and the extra ``languages`` is absent.
    """
    text = " ".join(texts)
    words = words_of(text)
    share = sum(word in dictionary() for word in words) / max(1, len(words))
    english = share >= _KNOWN_SHARE and all(latin(word) for word in words)
    try:
        guesser = load_module("dubkit.speech.language_id", what="another language", extra=EXTRA)
    except MissingDependency as error:
        if english:
            return ENGLISH
        raise MissingDependency(
            "the script does not read as English, and its language is not stated",
            hint="state it, as in --language de, or by the name of the file, as in film.de.srt; "
            f"{error.hint} detects it",
        ) from None
    code = guesser.guess(text, tuple(espeak().languages()) if available() else (ENGLISH,))
    if code is None and not english:
        raise InputError(
            "the language of the script cannot be detected from its text",
            hint="set it with --language; dubkit languages lists the codes",
        )
    return cast(str, code or ENGLISH)


_SENTENCE = re.compile(r"(?<=[^\W\d_]{3}[.!?…])\s+|(?<=[。！？])\s*(?=\S)")
_FEWEST_WORDS = 4  # by which the language of a sentence is detected
_OTHER_SHARE = (
    0.15  # of a script's words in another language, from which on they are believed to be
)


def languages_of(
    lines: Sequence[ScriptLine], language: str | None
) -> tuple[str, list[list[tuple[str, str]]]]:
    """The main language of a script, and its lines as sentences (text, language); ``language`` is what the user set.

    The language of a line is the one that the script states; where neither states any, sentences that are clearly
    in a second language are told apart. Raises as `guess`.
    """
    stated = Counter(line.language for line in lines if line.language)
    tag = stated.most_common(1)[0][0] if stated else None
    main = language or tag or guess(line.text for line in lines)
    sentences = [_SENTENCE.split(line.text) for line in lines]
    other: dict[str, str] = {}
    if language is None and tag is None:
        other = _second_language([text for line in sentences for text in line], main)
    parts = []
    for line, texts in zip(lines, sentences, strict=True):
        own = main if line.language in (None, tag) else str(line.language)
        parts.append([(text, other.get(text, own)) for text in texts])
    return main, parts


def _second_language(sentences: Sequence[str], main: str) -> dict[str, str]:
    """The sentences that are in another language than ``main``, with it; none where they are few."""
    try:
        guesser = load_module("dubkit.speech.language_id", what="another language", extra=EXTRA)
    except MissingDependency:
        return {}
    codes = tuple(espeak().languages()) if available() else (ENGLISH,)
    found: dict[str, str] = {}
    words = others = 0
    for sentence in sentences:
        count = len(sentence.split())
        words += count
        code = (
            guesser.guess(sentence, codes, sure=_SURE_SENTENCE) if count >= _FEWEST_WORDS else None
        )
        if code and code != main.split("-")[0]:
            found[sentence] = code
            others += count
    return found if others >= _OTHER_SHARE * words else {}


def _unknown(language: str) -> UsageError:
    known = espeak().languages().values() if available() else ()
    named = [k for k in known if k.name.split(" (")[0].lower() == language.lower()]
    meant = " or ".join(f"{k.code} ({k.name})" for k in named[:3])
    return UsageError(
        f"the language {language!r} is not known",
        hint=f"{f'did you mean {meant}? ' if meant else ''}dubkit languages lists all codes",
    )


def _read_japanese(text: str) -> list[tuple[str, str]]:
    """Words and how they are read, in hiragana (janome); espeak-ng itself reads kana only.

    What has no reading is read as it is written.
    """
    pairs = []
    for token in _japanese_tokenizer().tokenize(text):
        if any(c.isalnum() for c in token.surface):
            reading = token.phonetic if token.phonetic not in ("*", "") else token.surface
            pairs.append((token.surface, reading.translate(_KATAKANA_TO_HIRAGANA)))
    return pairs


@cache
def _japanese_tokenizer() -> Any:
    return load_module("janome.tokenizer", what="Japanese", extra=EXTRA).Tokenizer()


def _split(text: str) -> list[str]:
    """Words between blanks and punctuation; signs of Chinese writing are words of their own."""
    words, current = [], ""
    for c in text + " ":
        alone = _WITHOUT_BLANKS.match(c)
        inside = unicodedata.category(c)[0] in "LMN" or (c in "'-·" and current)
        if alone or not inside:
            words.append(current.strip("'-·").lower())
            current = ""
        if alone:
            words.append(c)
        elif inside:
            current += c
    return [word for word in words if word]


@cache
def _symbols(text: str, voice: str) -> tuple[str, ...]:
    """The phonemes of espeak-ng's answer, cleaned of all that is no sound."""
    found = []
    for spoken in _SWITCH.sub("", espeak().ipa(text, voice)).replace(" ", "_").split("_"):
        symbol = _RESPELL.sub(lambda match: _RESPELLED[match[0]], spoken.strip("ˈˌ"))
        # in tone languages this letter is the third tone, not a vowel
        symbol = (
            symbol.replace("ɜ", "") if voice.rpartition("/")[2].split("-")[0] in _TONAL else symbol
        )
        symbol = "".join(c for c in symbol if unicodedata.category(c)[0] in "LM")
        symbol = _ASPIRATED.sub("ʰ", symbol)
        if any(unicodedata.category(c) in ("Ll", "Lo") for c in symbol):
            found.append(symbol)
    return tuple(found)
