"""What is spoken of a text, by whom, and whether in the picture."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dubkit.media.dialogue import Utterance, keep_voices, names_in, utterances


def said(text: str, *others: str) -> list[tuple[str | None, str]]:
    return [(found.speaker, found.text) for found in utterances(text, names_in([text, *others]))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<i>ANNA:</i> [door slams] Good <b>morning</b>.", [("ANNA", "Good morning.")]),
        ("- (laughs) Hello.\n- JOHN: Hi, there!", [(None, "Hello."), ("JOHN", "Hi, there!")]),
        (">> MAN: We go.\n>> Stop.", [("MAN", "We go."), (None, "Stop.")]),
        ("Mr. Smith (whispering): come in.", [("Mr. Smith", "come in.")]),
        ("Herr Müller: „Guten Tag!“ *lacht* – Ja…", [("Herr Müller", "„Guten Tag!“ – Ja…")]),
        ("田中：おはようございます（笑）", [("田中", "おはようございます")]),
        ("【掌声】你好，世界", [(None, "你好，世界")]),
        ("AT&amp;T &lt;3&nbsp;you", [(None, "AT&T <3 you")]),
        ("Remember: never.", [(None, "Remember: never.")]),
        ("We meet at 10:30.", [(None, "We meet at 10:30.")]),
        ("It is -5 degrees\n-really", [(None, "It is -5 degrees"), (None, "really")]),
        ("gentle<00:00:03.000>men", [(None, "gentlemen")]),
        ("♪ soft music ♪", []),
        ("Listen! ♪ la la la", [(None, "Listen!")]),
        ("# Happy birthday #", []),
        ("You are #1", [(None, "You are #1")]),
        ("[music]", []),
        ("(he goes\nto the door) Bye", [(None, "Bye")]),
        ("...", []),
        (
            "ANNA: Hi. Anna: Again. BORIS: And I.",
            [("ANNA", "Hi."), ("Anna", "Again."), ("BORIS", "And I.")],
        ),
    ],
)
def test_what_is_spoken_and_by_whom(text: str, expected: list[tuple[str | None, str]]) -> None:
    assert said(text) == expected


def test_a_name_in_small_letters_is_one_where_the_script_names_it_elsewhere() -> None:
    assert said("Anna: hello") == [(None, "Anna: hello")]
    assert said("Anna: hello", "ANNA: yes") == [("Anna", "hello")]
    assert said("Anna: hello", "Boris: yes", "no") == [("Anna", "hello")]  # most rows begin so


def test_names_of_voice_tags_outlive_readers_of_markup() -> None:
    text = keep_voices("<v.loud Anna Maria>Good morning</v> <v Bob>Hi")
    assert said(text) == [("Anna Maria", "Good morning"), ("Bob", "Hi")]


@pytest.mark.parametrize(
    ("text", "on_screen"),
    [
        ("ANNA (V.O.): hello", False),
        ("ANNA (O.S., whispering): hello", False),
        ("ANNA [off]: hello", False),
        ("(OFF) hello", False),
        ("ANNA (ON): hello", True),
        ("ANNA (laughs): hello", None),
        ("NARRATOR: hello", False),
        ("旁白：你好", False),
        ("Put it on.", None),
    ],
)
def test_marks_say_whether_the_speaker_is_in_the_picture(text: str, on_screen: bool | None) -> None:
    (found,) = utterances(text, names_in([text]))
    assert found.on_screen is on_screen


def test_a_stated_speaker_speaks_until_another_is_named() -> None:
    found = utterances("Hello.\nBOB: Hi.", frozenset(), speaker="Anna")
    assert found == [Utterance("Hello.", "Anna"), Utterance("Hi.", "BOB", row=1)]


@given(st.text(max_size=200))
def test_any_text_gives_only_what_stands_in_it(text: str) -> None:
    for found in utterances(text, names_in([text]), by_row=True):
        assert any(c.isalnum() for c in found.text)
        assert not any("\ue000" <= c <= "\ue004" for c in found.text)


words = st.lists(st.text("abcdefgäß", min_size=1, max_size=8), min_size=1, max_size=6)


@given(words, st.sampled_from(["[{}]", "({})", "（{}）", "♪ {} ♪", "*{}*", "【{}】"]), words)
def test_notes_leave_the_words_around_them(before: list[str], note: str, inside: list[str]) -> None:
    text = f"{' '.join(before)} {note.format(' '.join(inside))} {' '.join(before)}"
    (found,) = utterances(text)
    assert found.text.split() == before + before
