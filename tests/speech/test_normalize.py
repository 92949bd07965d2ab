# ruff: noqa: E501 - a case is one line
"""Text becomes what is spoken, in many languages, by one path for all aligners."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dubkit.speech.g2p import dictionary, words_of
from dubkit.speech.normalize import spoken


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("en", "It's 3,400.5 at 10:30!", "It's three thousand four hundred point five at ten thirty"),
        ("en", "the 2nd of 1984, 007", "the second of nineteen eighty four zero zero seven"),
        ("en", "$12.50 & $1 - 50%", "twelve dollars fifty and one dollar fifty percent"),
        ("en", "It cost $25.4 billion, £13.60", "It cost twenty five point four billion dollars thirteen pounds sixty"),
        ("en", "at 9:32 a.m., 7:05 and 4:00", "at nine thirty two a m seven oh five and four o'clock"),
        ("en", "on 21/12/1969, May 5", "on December twenty first nineteen sixty nine May fifth"),
        ("en", "on 12/21/1969 or 1969-12-21", "on December twenty first nineteen sixty nine or December twenty first nineteen sixty nine"),
        ("en", "Dr. O'Neill lives at St. John St.", "doctor O'Neill lives at Saint John Street"),
        ("en", "EM3985 of the U.S.A., XKCD", "E M three nine eight five of the U S A X K C D"),
        ("en", "384,400 km at -5 °C, the 1950s", "three hundred eighty four thousand four hundred kilometers at minus five degrees Celsius the nineteen fifties"),
        ("de", "um 9:32 Uhr, 9:00 Uhr", "um neun Uhr zweiunddreißig neun Uhr"),
        ("de", "384.400 km, 3,50 €, 1 km", "dreihundertvierundachtzigtausendvierhundert Kilometer drei Euro fünfzig ein Kilometer"),
        ("de", "25,4 Milliarden Dollar, 4 %", "fünfundzwanzig Komma vier Milliarden Dollar vier Prozent"),
        ("de", "Am 3. Mai 1969, z. B. die EU", "Am dritten Mai neunzehnhundertneunundsechzig zum Beispiel die E U"),
        ("fr", "l’été: 21 ans, 1 234 km, M. Dupont", "l'été vingt et un ans mille deux cent trente quatre kilomètres monsieur Dupont"),
        ("es", "12 gatos a las 9:32", "doce gatos a las nueve y treinta y dos"),
        ("ru", "у меня 3 яблока", "у меня три яблока"),
        ("zh", "我有12个，2024年", "我有 十二 个 二零二四 年"),
        ("hi", "नमस्ते 25", "नमस्ते 25"),
    ],
)  # fmt: skip
def test_text_as_it_is_spoken(language: str, text: str, words: str) -> None:
    said, left_out = spoken(text, language, dictionary().__contains__)
    kept = "".join(c if c.isalnum() or c in "' " or not c.isascii() else " " for c in said)
    assert kept.replace("，", " ").split() == words.split()
    assert not left_out


def test_what_a_language_has_no_word_for_here_is_stated() -> None:
    assert spoken("a 3 b & c", "xx") == ("a 3 b c", ["&"])


def test_words_of_a_language_are_kept_and_other_capitals_spelled() -> None:
    assert words_of("NASA, IBM and US") == ["nasa", "ibm", "and", "u.", "s."]
    assert words_of("WE ALL WRITE IN CAPITALS") == ["we", "all", "write", "in", "capitals"]


@given(
    st.integers(0, 10**12),
    st.sampled_from(["en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "sv", "ja", "zh"]),
)
def test_every_number_becomes_words(number: int, language: str) -> None:
    said, _ = spoken(f"x {number} y", language)
    assert not any(c.isdecimal() for c in said)
    assert said.split()[0] == "x"
    assert len(said.split()) > 2


@given(st.integers(1, 10**9), st.integers(0, 99))
def test_amounts_say_whole_units_before_cents(whole: int, cents: int) -> None:
    said, _ = spoken(f"${whole:,}.{cents:02d}", "en")
    unit = "dollar" if whole == 1 else "dollars"
    before, _, after = said.partition(f" {unit}")
    assert before == spoken(f"x {whole:,} y", "en")[0][2:-2].strip() or 1100 <= whole < 2100
    assert bool(after.strip()) == (cents > 0)


@given(st.text(max_size=120), st.sampled_from(["en", "de", "fr", "zh", "xx"]))
def test_any_text_is_said_without_failing(text: str, language: str) -> None:
    said, _ = spoken(text, language, dictionary().__contains__)
    assert said == " ".join(said.split())


letters = st.lists(st.text("abcdefghijklmnop", min_size=2, max_size=9), min_size=1, max_size=8)


@given(letters)
def test_plain_words_stay_as_they_are(words: list[str]) -> None:
    assert spoken(" ".join(words), "xx") == (" ".join(words), [])
