"""Words and sounds of many languages; what needs espeak-ng is skipped where it is not installed."""

from __future__ import annotations

import sys

import pytest

from dubkit.engines.registry import load_module
from dubkit.errors import InputError, MissingDependency, UsageError
from dubkit.speech import articulatory, espeak, g2p
from dubkit.speech.g2p import Pronouncer, check, guess
from dubkit.speech.phone_map import nearest, spoken

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="espeak-ng is not installed")


def sounds(language: str, text: str) -> list[str]:
    pronouncer = Pronouncer(language)
    return [" ".join(pronouncer.ipa(word) or ()) for word in pronouncer.words(text)]


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without espeak-ng and without the extra's packages."""
    monkeypatch.setattr(espeak, "located", lambda: None)
    monkeypatch.setattr(espeak, "espeak", None)
    for name in ("py3langid", "py3langid.langid", "janome", "janome.tokenizer"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "dubkit.speech.language_id", raising=False)
    g2p._symbols.cache_clear()


@needs_espeak
@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        ("de", "Zwölf Züge", ["ts v œ l f", "ts yː ɡ ə"]),
        ("fr", "l'été", ["l e t e"]),
        ("es", "buenos días", ["b w e n o s", "d i a s"]),
        ("pt-BR", "bom", ["b o ŋ"]),
        ("de-AT", "haus", ["h aʊ s"]),
    ],
)
def test_words_are_said_in_their_language(language: str, text: str, said: list[str]) -> None:
    assert sounds(language, text) == said


@needs_espeak
@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("zh", "你好，世界", 4),
        ("hi", "नमस्ते दुनिया", 2),
        ("th", "สวัสดี", 1),
        ("ru", "Привет, как дела?", 3),
        ("ar", "مرحبا بالعالم", 2),
        ("de", "25 Hunde", 2),
    ],
)
def test_every_writing_is_split_into_words_with_sounds(
    language: str, text: str, words: int
) -> None:
    found = sounds(language, text)
    assert len(found) == words
    assert all(found)


@needs_espeak
def test_every_language_of_espeak_counts_to_ten_in_known_sounds() -> None:
    for code in espeak.espeak().languages():
        pronouncer = Pronouncer(code)
        for word in ("1", "2", "7", "10"):
            for symbol in pronouncer.ipa(word) or ():
                assert articulatory.segments(symbol), (code, symbol)
                assert set(nearest(symbol)) <= set(g2p.IPA)


@needs_espeak
def test_japanese_is_read_before_it_is_said() -> None:
    pytest.importorskip("janome")
    assert sounds("ja", "東京へ") == ["t o̞o̞ kʲ o̞o̞", "e̞"]


def test_english_needs_nothing_but_the_dictionary(without_extra: None) -> None:
    assert sounds("en", "blue") == ["b l u"]
    assert sounds("en-gb", "kowalczyk")[0]
    assert guess(["My portrait has been silent for many years now"]) == "en"
    check("xx")


@pytest.mark.parametrize("text", ["Guten Tag, wie geht es Ihnen heute Abend?", "Привет, как дела?"])
def test_another_language_without_the_extra_names_it(without_extra: None, text: str) -> None:
    with pytest.raises(MissingDependency, match="its language is not stated") as raised:
        guess([text])
    assert "dubkit[languages]" in str(raised.value.hint)
    with pytest.raises(MissingDependency) as raised:
        Pronouncer("de")
    assert "dubkit[languages]" in str(raised.value.hint)


@needs_espeak
@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Guten Tag, wie geht es Ihnen heute?", "de"),
        ("Nous allons parler de la mer et des bateaux.", "fr"),
        ("Buenos días a todos, me llamo Juan.", "es"),
        ("Сегодня прекрасная погода.", "ru"),
        ("今天天气很好，我们去海边吧。", "zh"),
        ("きょうはとてもいいてんきです。", "ja"),
        ("Bin blue at f two now.", "en"),
    ],
)
def test_the_language_of_a_script_is_told_from_its_text(text: str, language: str) -> None:
    pytest.importorskip("py3langid")
    assert guess([text]) == language


@needs_espeak
def test_a_text_of_no_language_asks_for_one() -> None:
    pytest.importorskip("py3langid")
    with pytest.raises(InputError, match="cannot be detected") as raised:
        guess(["zx"])
    assert "--language" in str(raised.value.hint)


@needs_espeak
@pytest.mark.parametrize("code", ["xx", "english", "q", ""])
def test_a_language_that_nobody_knows_is_answered_with_where_to_look(code: str) -> None:
    with pytest.raises(UsageError, match="is not known") as raised:
        check(code)
    assert "dubkit languages" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("symbol", "phones"),
    [
        ("ts", ("T", "S")),
        ("tɕʰ", ("CH",)),
        ("ʁ", ("R",)),
        ("y", ("IY",)),
        ("ɛ̃", ("EH",)),
        ("aʊ", ("AW",)),
        ("ja", ("Y", "AE")),
        ("ɲ", ("N",)),
    ],
)
def test_sounds_that_english_lacks_go_to_their_nearest(
    symbol: str, phones: tuple[str, ...]
) -> None:
    assert nearest(symbol) == phones


def test_every_sound_of_english_goes_to_itself() -> None:
    assert {ipa: nearest(ipa) for ipa in g2p.IPA.values()} == {i: (p,) for p, i in g2p.IPA.items()}


@needs_espeak
@pytest.mark.parametrize(("name", "code"), [("german", "de"), ("French", "fr"), ("turkish", "tr")])
def test_a_language_by_its_name_is_answered_with_its_code(name: str, code: str) -> None:
    with pytest.raises(UsageError, match="is not known") as caught:
        check(name)
    assert caught.value.hint is not None
    assert f" {code} (" in caught.value.hint


def test_words_of_the_dictionary_keep_its_variants() -> None:
    word = spoken(Pronouncer("en"), "blue")
    assert word is not None
    assert not word.groups
    assert load_module("dubkit.speech.phone_map", what="phones")
