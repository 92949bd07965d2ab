# ruff: noqa: RUF001 - other letters are meant
"""Text as it is spoken, in any language: digits and symbols become words, punctuation goes."""

from __future__ import annotations

import re
import unicodedata

from num2words import num2words

# what a sign is called; languages that are not here drop it
_SIGNS = {
    "%": {"en": "percent", "de": "Prozent", "fr": "pour cent", "es": "por ciento", "nl": "procent",
          "it": "per cento", "pt": "por cento", "pl": "procent", "ru": "процентов", "sv": "procent"},
    "&": {"en": "and", "de": "und", "fr": "et", "es": "y", "it": "e", "pt": "e", "nl": "en",
          "pl": "i", "ru": "и", "sv": "och"},
    "+": {"en": "plus", "de": "plus", "fr": "plus", "es": "más", "it": "più", "pt": "mais",
          "nl": "plus", "pl": "plus", "ru": "плюс", "sv": "plus"},
    "=": {"en": "equals", "de": "gleich", "fr": "égale", "es": "igual", "it": "uguale",
          "pt": "igual", "nl": "is", "pl": "równa", "ru": "равно", "sv": "lika med"},
    "@": {"en": "at", "de": "at", "fr": "arobase", "es": "arroba", "it": "chiocciola",
          "pt": "arroba", "nl": "at", "pl": "małpa", "ru": "собака", "sv": "snabel-a"},
    "°": {"en": "degrees", "de": "Grad", "fr": "degrés", "es": "grados", "it": "gradi",
          "pt": "graus", "nl": "graden", "pl": "stopni", "ru": "градусов", "sv": "grader"},
}  # fmt: skip
_SIGN = re.compile("[" + re.escape("".join(_SIGNS)) + "]")
_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP"}
_POINT = ("en", "zh", "ja", "ko", "th", "he", "hi", "te", "ml", "ur")  # 1.5; others write 1,5
_CHINESE = "零一二三四五六七八九"
_MONEY = re.compile(r"([$€£])\s*(\d[\d.,]*)|(\d[\d.,]*)\s*([$€£])")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_ENGLISH_ORDER = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b", re.IGNORECASE)
_CLOCK = re.compile(r"\b(\d{1,2}):(\d\d)\b")


def spoken_words(text: str, language: str) -> tuple[list[str], list[str]]:
    """The spoken words of a text, in order, numbers and signs written out; and the tokens that were left out because
    there are no words for them here in that language.
    """
    left_out: list[str] = []

    def replaced(token: str, words: str) -> str:
        left_out.extend([] if words else [token])
        return f" {words} "

    text = _CLOCK.sub(r"\1 \2", text.replace("’", "'").replace("ʼ", "'"))
    if language == "en":
        text = _ENGLISH_ORDER.sub(
            lambda m: replaced(m[0], _in_words(int(m[1]), language, "ordinal")), text
        )
    text = _MONEY.sub(lambda m: replaced(m[0], _money(m, language)), text)
    text = _NUMBER.sub(lambda m: replaced(m[0], _number(m[0], language)), text)
    text = _SIGN.sub(lambda m: replaced(m[0], _SIGNS[m[0]].get(language, "")), text)
    return _words(text), left_out


def _words(text: str) -> list[str]:
    """Runs of letters with their marks (which ``str.isalnum`` does not count) and inner apostrophes."""
    kept = [c if c == "'" or unicodedata.category(c)[0] in "LM" else " " for c in text]
    words = (word.strip("'") for word in "".join(kept).split())
    return [word for word in words if word]


def _value(token: str, language: str) -> int | float:
    point, group = (".", ",") if language in _POINT else (",", ".")
    whole, found, fraction = token.replace(group, "").partition(point)
    lone = token.count(group) == 1 and point not in token
    if lone and len(token.rpartition(group)[2]) != 3:
        whole, found, fraction = token.partition(group)  # 1.5 where 1,5 is usual
    if found and point not in fraction:
        return float(f"{whole}.{fraction}")
    return int(re.sub(r"\D", "", token))


def _money(found: re.Match[str], language: str) -> str:
    sign, token = found[1] or found[4], found[2] or found[3]
    value = _value(token.rstrip(".,"), language)
    try:
        words = num2words(
            float(value), lang=language, to="currency", currency=_CURRENCIES[sign], separator=""
        )
    except (RuntimeError, ValueError, KeyError, AttributeError):  # not in this language
        return _in_words(value, language)
    if value == int(value):  # "twelve dollars", without "zero cents"
        whole = num2words(
            int(value) * 100, lang=language, to="currency", currency=_CURRENCIES[sign], cents=False
        )
        words = re.split(r"[,\d]", whole)[0]
    return str(words)


def _number(token: str, language: str) -> str:
    value = _value(token, language)
    year = len(token) == 4 and token.isdecimal() and 1100 <= value < 2100
    if language == "zh":
        return "".join(_CHINESE[int(c)] for c in token if c.isdecimal())
    return (_in_words(value, language, "year") if year else "") or _in_words(value, language)


def _in_words(value: float, language: str, to: str = "cardinal") -> str:
    try:
        return str(num2words(value, lang=language, to=to))
    except (RuntimeError, OverflowError, ValueError, AttributeError, TypeError):
        return ""
