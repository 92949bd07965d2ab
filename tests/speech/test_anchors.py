"""Laying a long script on a long track."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given, strategies as st

from dubkit.records import ScriptLine, Word
from dubkit.speech.script_chunks import (
    Place,
    best_places,
    chunks,
    line_times,
    match,
    recognized_times,
)

SCRIPT = list("abcdefghijkabcdl")


def test_a_perfect_hearing_matches_every_word() -> None:
    assert match(SCRIPT, SCRIPT) == [(i, i) for i in range(len(SCRIPT))]


def test_matches_rise_in_both_even_where_words_repeat() -> None:
    heard = ["um", *SCRIPT[:4], "noise", *SCRIPT[11:]]
    pairs = match(SCRIPT, heard)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))
    assert all(SCRIPT[a] == heard[b] for a, b in pairs)
    assert (0, 1) in pairs
    assert (len(SCRIPT) - 1, len(heard) - 1) in pairs


def test_nothing_in_common_matches_nothing() -> None:
    assert match(SCRIPT, ["zebra"] * 9) == []
    assert match([], []) == []


def test_line_times_are_shared_among_the_words_of_a_line() -> None:
    lines = [ScriptLine("a b", 1.0, 2.0), ScriptLine("c")]
    assert line_times(lines, [2, 1]) == [(1.0, 1.5), (1.5, 2.0), None]


def test_chunks_tile_the_track_and_the_script_and_cut_in_pauses() -> None:
    times = [(i * 1.0, i * 1.0 + 0.7) for i in range(60)]
    pauses = [(i + 0.7, i + 1.0) for i in range(60)]
    found = chunks(times, pauses, 60.0)
    assert len(found) > 5
    assert (found[0].start, found[0].first) == (0.0, 0)
    assert (found[-1].end, found[-1].last) == (60.0, 60)
    for left, right in pairwise(found):
        assert (left.end, left.last) == (right.start, right.first)
        assert any(start < left.end < end for start, end in pauses)
        assert times[left.last - 1][1] <= left.end <= times[right.first][0]


def test_no_cut_is_made_beside_a_word_of_unknown_time() -> None:
    times = [None if i % 2 else (i * 1.0, i + 0.7) for i in range(60)]
    pauses = [(i + 0.7, i + 1.0) for i in range(60)]
    assert len(chunks(times, pauses, 60.0)) == 1


def test_heard_times_are_those_of_the_matched_words() -> None:
    heard = [Word("x", 1.0, 2.0), Word("y", 3.0, 4.0)]
    assert recognized_times(3, [(0, 0), (2, 1)], heard) == [(1.0, 2.0), None, (3.0, 4.0)]


places = st.builds(
    lambda sentence, first, length, value: Place(sentence, first, first + length, value),
    st.integers(0, 3), st.integers(0, 4), st.integers(1, 3), st.integers(1, 9),
)  # fmt: skip


def rises(chosen: list[Place]) -> bool:
    return all(a.sentence < b.sentence and a.last <= b.first for a, b in pairwise(chosen))


@given(st.lists(places, max_size=7, unique=True))
def test_the_best_places_rise_in_script_and_sound_and_explain_most(found: list[Place]) -> None:
    chosen = best_places(found)
    assert rises(chosen)
    every = (
        list(some)
        for count in range(len(found) + 1)
        for some in combinations(sorted(found, key=lambda p: (p.sentence, p.first)), count)
    )
    most = max(sum(p.value for p in some) for some in every if rises(some))
    assert sum(p.value for p in chosen) == most
