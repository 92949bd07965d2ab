"""How words are pronounced."""

from __future__ import annotations

import pytest

from dubkit.speech.g2p import IPA, dictionary, pronounce, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world!", ["hello", "world"]),
        ("It's 42.", ["it's", "forty", "two"]),
        ("in 1984", ["in", "nineteen", "eighty", "four"]),
        (
            "1,250 & 3.5%",
            [
                "one",
                "thousand",
                "two",
                "hundred",
                "fifty",
                "and",
                "three",
                "point",
                "five",
                "percent",
            ],
        ),
        ("007", ["zero", "zero", "seven"]),
        ("XKCD", ["x.", "k.", "c.", "d."]),
        ("", []),
        ("--- ... !", []),
    ],
)
def test_a_text_is_spoken_out(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_words_of_the_dictionary_are_pronounced_as_it_says() -> None:
    assert pronounce("blue") == "B L UW"


@pytest.mark.parametrize("word", ["kowalczyk", "grüße", "straße", "xkcd", "l'été", "zzz", "q", "é"])
def test_unknown_words_in_latin_letters_get_phones_of_the_model(word: str) -> None:
    phones = (pronounce(word) or "").split()
    assert phones
    assert set(phones) <= set(IPA)


@pytest.mark.parametrize("word", ["привет", "你好", "مرحبا"])
def test_other_writing_is_not_guessed(word: str) -> None:
    assert pronounce(word) is None


def test_the_dictionary_speaks_only_phones_that_have_ipa() -> None:
    phones = {
        phone
        for word in ("the", "boy", "measure", "church")
        for phone in dictionary()[word].split()
    }
    assert phones <= set(IPA)
