"""Words of WhisperX become complete, and get phonemes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from dubkit.records import Word
from dubkit.speech.script_chunks import Chunk
from dubkit.speech.whisperx import (
    MIN_WORD,
    Timed,
    around,
    complete,
    likeness,
    phones_of,
    timed_words,
)


def character(char: str, start: float | None = None, end: float | None = None) -> dict[str, object]:
    return (
        {"char": char}
        if start is None
        else {"char": char, "start": start, "end": end, "score": 0.5}
    )


def characters(text: str, begin: float, step: float = 0.1) -> list[dict[str, object]]:
    return [
        character(c) if c == " " else character(c, begin + i * step, begin + (i + 1) * step)
        for i, c in enumerate(text)
    ]


def test_words_get_the_times_of_their_characters() -> None:
    first, second = timed_words(["so", "far"], characters("so far", 1.0))
    assert first.edges == pytest.approx((1.0, 1.1, 1.2))
    assert second.edges == pytest.approx((1.3, 1.4, 1.5, 1.6))
    assert first.score == pytest.approx(0.5)


def test_writings_without_blanks_are_cut_into_their_words() -> None:
    first, second = timed_words(["我", "今天"], characters("我今天", 0.0))
    assert first.edges == pytest.approx((0.0, 0.1))
    assert second.edges == pytest.approx((0.1, 0.2, 0.3))


def test_a_character_without_a_time_shares_that_of_its_neighbors() -> None:
    told = [character("a", 0.0, 0.1), character("b"), character("c", 0.3, 0.4)]
    (word,) = timed_words(["abc"], told)
    assert word.edges == pytest.approx((0.0, 0.1, 0.3, 0.4))


def test_words_that_were_not_found_have_no_edges() -> None:
    assert timed_words(["so", "far"], []) == [Timed("so"), Timed("far")]
    told = [*characters("so", 0.0), character(" "), *(character(c) for c in "far")]
    assert timed_words(["so", "far"], told)[1] == Timed("far")


def test_a_word_without_a_time_stands_between_its_neighbors() -> None:
    words = [
        Timed("so", (0.0, 0.2, 0.4), 0.9),
        Timed("far"),
        Timed("off", (1.0, 1.1, 1.2, 1.3), 0.9),
    ]
    so, far, off = complete(words, 0.0, 2.0)
    assert (so.start, so.end, off.start, off.end) == (0.0, 0.4, 1.0, 1.3)
    assert (far.start, far.end) == (0.4, 1.0)
    assert far.score == 0


def test_a_word_between_neighbors_that_touch_takes_some_of_their_time() -> None:
    words = [Timed("so", (0.0, 0.3, 0.6)), Timed("far"), Timed("off", (0.6, 0.8, 1.0, 1.2))]
    so, far, off = complete(words, 0.0, 2.0)
    assert so.end == far.start < far.end == off.start
    assert far.end - far.start == pytest.approx(MIN_WORD)


def test_words_at_the_ends_fill_what_is_left() -> None:
    words = [Timed("well"), Timed("so", (1.0, 1.2, 1.4)), Timed("far"), Timed("off")]
    well, _, far, off = complete(words, 0.5, 3.0)
    assert (well.start, well.end) == (0.5, 1.0)
    assert (far.start, off.end) == (1.4, 3.0)
    assert far.end == off.start


times = st.lists(st.floats(-1, 12), min_size=2, max_size=5).map(lambda t: tuple(sorted(t)))
words = st.builds(
    lambda edges: Timed("a" * max(1, len(edges) - 1), edges), st.one_of(st.just(()), times)
)


@given(st.lists(words, min_size=1, max_size=12))
def test_whatever_was_found_the_words_rise_and_stay_inside(found: list[Timed]) -> None:
    done = complete(found, 0.0, 10.0)
    assert [word.text for word in done] == [word.text for word in found]
    edges = [edge for word in done for edge in word.edges]
    assert all(a <= b + 1e-9 for a, b in pairwise(edges))
    assert edges[0] >= 0
    assert edges[-1] <= 10 + 1e-9
    assert all(len(word.edges) == len(word.text) + 1 for word in done)


def test_phonemes_lie_along_the_characters_and_unknown_words_are_told() -> None:
    said = {"tax": ("t", "æ", "k", "s")}
    words = [Timed("tax", (0.0, 0.1, 0.4, 0.6)), Timed("xqz", (1.0, 1.1, 1.2, 1.3))]
    phones, lost = phones_of(words, lambda word: said.get(word))
    assert lost == ["xqz"]
    assert [p[0] for p in phones] == ["t", "æ", "k", "s"]
    assert {p[3] for p in phones} == {0}
    assert (phones[0][1], phones[-1][2]) == (0.0, 0.6)
    assert all(a[2] == b[1] for a, b in pairwise(phones))
    assert phones[1][2] - phones[1][1] > phones[0][2] - phones[0][1]  # its letter is the long one


def test_a_chunk_loses_the_silence_at_its_ends_only() -> None:
    spans = [(2.0, 3.0), (5.0, 6.0), (20.0, 21.0)]
    assert around(Chunk(0.0, 10.0, 0, 3), spans) == Chunk(1.75, 6.25, 0, 3)
    assert around(Chunk(1.9, 6.1, 0, 3), spans) == Chunk(1.9, 6.1, 0, 3)
    assert around(Chunk(10.0, 15.0, 0, 3), spans) == Chunk(10.0, 15.0, 0, 3)


def test_a_script_is_like_what_is_heard_letter_by_letter() -> None:
    said = ["the", "weather", "in", "northern", "finland", "was", "unusually", "fine"]
    heard = [Word(text, float(i), i + 0.9) for i, text in enumerate(said)]
    chunks = [Chunk(0.0, 4.0, 0, 4), Chunk(4.0, 9.0, 4, 8)]
    assert likeness(said, chunks, heard) == 1.0
    other = ["my", "portrait", "has", "been", "silent", "for", "many", "years"]
    less = likeness(other, chunks, heard)
    assert less is not None
    assert less < 0.4
    assert likeness(["hi"], [Chunk(0.0, 1.0, 0, 1)], heard[:1]) is None
    assert likeness(said, chunks, []) == 0.0
