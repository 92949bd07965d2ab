# ruff: noqa: RUF001 - IPA and other letters are meant
"""How a text is said, in any language: its words, and each word's phonemes in IPA.

English from the dictionary inside pocketsphinx, its unknown words by espeak-ng where that is installed, by
letter rules where it is not. Every other language by espeak-ng. Which language a script is in is guessed
from its text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Protocol, cast

from dubkit.engines.registry import load_module
from dubkit.errors import InputError, MissingDependency, UsageError
from dubkit.speech import g2p
from dubkit.speech.espeak import Language, available, espeak

ENGLISH = "en"
EXTRA = "languages"
_TAG = re.compile(r"[a-z]{2,3}(-[a-z0-9]+)*", re.IGNORECASE)
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


class Reader(Protocol):
    """Finds words in a writing without blanks: pairs of what is written and what is said."""

    def read(self, text: str) -> list[tuple[str, str]]: ...


class Pronouncer:
    """Words and sounds of one language.

    Raises UsageError for a language that nobody knows, MissingDependency where the extra
    ``languages`` is needed and absent.
    """

    def __init__(self, language: str) -> None:
        self.language = language.lower().replace("_", "-")
        self.english = self.language.split("-")[0] == ENGLISH
        self._voice = "" if self.english and not available() else known(self.language).voice
        self._readings: dict[str, str] = {}

    def words(self, text: str) -> list[str]:
        """The speakable words of a text, lower case, without punctuation."""
        if self.english:
            return g2p.words_of(text)
        text = unicodedata.normalize("NFC", text.replace("’", "'"))
        if self.language.startswith("ja"):
            pairs = _japanese().read(text)
            self._readings.update(pairs)
            return [written for written, _ in pairs]
        return [word for word in _split(text) if any(c.isalnum() for c in word)]

    def ipa(self, word: str) -> tuple[str, ...] | None:
        """The phonemes of one word of `words`; None where nobody can say it."""
        if self.english:
            return self._english(word)
        return _symbols(self._readings.get(word, word), self._voice) or None

    def in_dictionary(self, word: str) -> bool:
        """Whether the pronunciation dictionary of English decides how the word is said."""
        return self.english and word in g2p.dictionary()

    def _english(self, word: str) -> tuple[str, ...] | None:
        if not g2p.latin(word):
            return None  # espeak-ng would name the signs: "Chinese letter"
        if self._voice and word not in g2p.dictionary():
            return _symbols(word, self._voice) or None
        phones = g2p.pronounce(word)
        return tuple(g2p.IPA[phone] for phone in phones.split()) if phones else None


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
    words = g2p.words_of(text)
    share = sum(word in g2p.dictionary() for word in words) / max(1, len(words))
    english = share >= _KNOWN_SHARE and all(g2p.latin(word) for word in words)
    try:
        guesser = load_module("dubkit.speech.language_id", what="another language", extra=EXTRA)
    except MissingDependency as error:
        if english:
            return ENGLISH
        raise MissingDependency(
            "the script does not read as English, and other languages need the extra 'languages'",
            hint=f"{error.hint}; or say --language en to have it read as English",
        ) from None
    code = guesser.guess(text, tuple(espeak().languages()) if available() else (ENGLISH,))
    if code is None and not english:
        raise InputError(
            "the language of the script cannot be told from its text",
            hint="say it with --language; dubkit languages shows the codes",
        )
    return cast(str, code or ENGLISH)


def _unknown(language: str) -> UsageError:
    known = espeak().languages().values() if available() else ()
    named = [k for k in known if k.name.split(" (")[0].lower() == language.lower()]
    meant = " or ".join(f"{k.code} ({k.name})" for k in named[:3])
    return UsageError(
        f"the language {language!r} is not known",
        hint=f"{f'did you mean {meant}? ' if meant else ''}dubkit languages shows all, by their codes",
    )


@cache
def _japanese() -> Reader:
    module = load_module("dubkit.speech.japanese", what="Japanese", extra=EXTRA)
    return cast(Reader, module.JapaneseReader())


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
