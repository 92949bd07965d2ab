"""Numbers and signs become words in many languages."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.whisperx


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        (
            "en",
            "It's 3,400.5 at 10:30!",
            "It's three thousand four hundred point five at ten thirty",
        ),
        ("en", "the 2nd of 1984", "the second of nineteen eighty four"),
        ("en", "$12.50 & $12 - 50%", "twelve dollars fifty cents and twelve dollars fifty percent"),
        ("de", "Es kostet 3,50 €.", "Es kostet drei Euro fünfzig Cent"),
        ("de", "1.000 Leute, 20 %", "eintausend Leute zwanzig Prozent"),
        ("fr", "l’été: 21 ans", "l'été vingt et un ans"),
        ("es", "12 gatos", "doce gatos"),
        ("ru", "у меня 3 яблока", "у меня три яблока"),
        ("zh", "我有3个", "我有 三 个"),
        ("hi", "नमस्ते", "नमस्ते"),
    ],
)
def test_text_as_it_is_spoken(language: str, text: str, words: str) -> None:
    from dubkit.speech.normalize import spoken_words

    assert spoken_words(text, language) == (words.split(), [])


@pytest.mark.parametrize("text", ["", "...", "-- ' --", "(!?)"])
def test_punctuation_is_no_word(text: str) -> None:
    from dubkit.speech.normalize import spoken_words

    assert spoken_words(text, "en") == ([], [])


def test_what_a_language_has_no_words_for_here_is_told() -> None:
    from dubkit.speech.normalize import spoken_words

    assert spoken_words("a 3 b & c", "xx") == (["a", "b", "c"], ["3", "&"])
