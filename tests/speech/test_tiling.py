"""Phones with gaps, overlaps and nonsense become a track without any."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, strategies as st

from dubkit.records import Phoneme, Word
from dubkit.speech.sphinx_decoders import Phones, silence_inaudible, tile

seconds = st.floats(-1, 11)
phone = st.tuples(
    st.sampled_from(["a", "b", "sil"]), seconds, seconds, st.sampled_from([None, 0, 1, 2])
)


@given(st.lists(phone, max_size=12))
def test_whatever_was_found_phonemes_tile_the_track(phones: Phones) -> None:
    words, phonemes = tile(["x", "y", "z"], phones, 10.0)
    assert phonemes[0].start == 0
    assert phonemes[-1].end == 10
    assert all(a.end == b.start for a, b in pairwise(phonemes))
    assert all(p.word is None or p.word < len(words) for p in phonemes)


def test_words_span_their_phones_and_keep_their_scores() -> None:
    phones: Phones = [("a", 1.0, 1.5, 0), ("b", 1.5, 2.0, 0), ("a", 3.0, 4.0, 2)]
    words, phonemes = tile(["ab", "gone", "a"], phones, 5.0, [0.5, 0.6, 0.7])
    assert words == (Word("ab", 1.0, 2.0, 0.5), Word("a", 3.0, 4.0, 0.7))
    assert phonemes[-2] == Phoneme("a", 3.0, 4.0, 1)
    assert [p.symbol for p in phonemes] == ["sil", "a", "b", "sil", "a", "sil"]


def test_nothing_is_spoken_where_nothing_is_heard() -> None:
    phones: Phones = [("a", 0.0, 1.0, 0), ("b", 1.0, 3.0, 0), ("a", 3.0, 4.0, 1)]
    assert silence_inaudible(phones, [(1.5, 3.5)]) == [
        ("a", 0.0, 1.0, 0),
        ("b", 1.0, 1.5, 0),
        ("a", 3.5, 4.0, 1),
    ]
