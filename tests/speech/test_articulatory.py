"""Phonemes as the TC net sees them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, strategies as st

from dubkit.records import GRID_STEP, TimedPhoneme
from dubkit.speech import articulatory
from dubkit.speech.articulatory import COUNT, FEATURES, articulation, cells, grid
from dubkit.speech.g2p import IPA

SPEECH: list[TimedPhoneme] = [
    ("sil", 0.0, 0.4),
    ("b", 0.4, 0.48),
    ("aɪ", 0.48, 0.7),
    ("sil", 0.7, 3.0),
]


def column(name: str) -> int:
    return FEATURES.index(name)


def test_every_english_phoneme_is_described_and_no_two_alike() -> None:
    described = {symbol: np.concatenate(articulation(symbol)) for symbol in IPA.values()}
    neutral = np.concatenate(articulation("?"))
    assert not any(np.array_equal(row, neutral) for row in described.values())
    assert len({row.tobytes() for row in described.values()}) == len(IPA)


@pytest.mark.parametrize(
    ("symbol", "like"), [("aː", "a"), ("pʰ", "p"), ("t͡s", "ts"), ("", "ə"), ("♪", "ə")]
)
def test_marks_are_passed_over_and_unknown_symbols_are_neutral(symbol: str, like: str) -> None:
    for mine, other in zip(articulation(symbol), articulation(like), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("symbol", ["y", "ø", "œ", "ʁ", "ç", "ɕ", "ʂ", "ɲ", "x", "ɯ", "ɸ"])
def test_sounds_that_english_lacks_are_known(symbol: str) -> None:
    assert not np.array_equal(articulation(symbol)[0], articulation("?")[0])


def test_cells_tell_what_sounds_when() -> None:
    rows = cells(SPEECH, grid(0, 1))
    assert rows.shape == (51, COUNT)
    assert rows[10, column("silence")] == 1
    assert rows[22, column("lab")] == 1
    assert rows[25, column("lo")] > rows[33, column("lo")]


def test_a_cell_over_a_boundary_is_shared() -> None:
    rows = cells([("b", 0.0, 0.4), ("a", 0.4, 1.0)], np.array([20]))
    lips = column("lab")
    assert rows[0, lips] == pytest.approx((articulation("b")[0] + articulation("a")[0])[lips] / 2)


def test_cells_depend_on_nothing_farther_than_their_reach() -> None:
    near = [p for p in SPEECH if p[0] != "sil"]
    longer = [("a", -5.0, 0.1), ("sil", 0.1, 0.4), *near, ("sil", 0.7, 1.1), ("b", 1.1, 9.0)]
    numbers = grid(0.4, 0.7)
    safe = numbers[
        (numbers * GRID_STEP > 0.1 + articulatory.REACH)
        & (numbers * GRID_STEP < 1.1 - articulatory.REACH)
    ]
    np.testing.assert_allclose(cells(longer, safe), cells(SPEECH, safe), atol=1e-6)


def test_nothing_said_is_silence() -> None:
    rows = cells([], grid(0, 1))
    assert (rows[:, column("silence")] == 1).all()
    assert np.isfinite(rows).all()


def test_letters_that_few_languages_have_are_described_too() -> None:
    lips = [column("lab"), column("cons")]
    for letter in "ɓʙ":
        assert articulation(letter)[0][lips].tolist() == [1.0, 1.0]
    neutral = articulation("ə")[0]
    assert all((articulation(letter)[0] != neutral).any() for letter in "ɗʄɠʛɧɺʟǀǃǂǁʘ")


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("t͡s", ("t", "s")), ("aɪ", ("a", "ɪ")), ("ɑ̃ː", ("ɑ",)), ("g", ("ɡ",)), ("ç", ("ç",)), ("ˈn̩", ("n",)),
        ("kʷ", ("kʷ",)), ("ʤ", ("d", "ʒ")), ("ɝ", ("ɹ̩",)), ("tɕʰ", ("t", "ɕ")), ("♪5", ()), ("", ()),
    ],
)  # fmt: skip
def test_symbols_are_read_as_sounds_without_marks(symbol: str, parts: tuple[str, ...]) -> None:
    assert articulatory.segments(symbol) == parts


def test_lips_that_round_a_consonant_are_seen() -> None:
    rounded = column("round")
    for plain, round_ in (("k", "kʷ"), ("s", "ʃ"), ("l", "ɹ"), ("i", "y"), ("e", "o")):
        assert articulation(round_)[0][rounded] > articulation(plain)[0][rounded]


@given(st.text(max_size=6))
def test_no_symbol_whatever_is_beyond_description(symbol: str) -> None:
    first, last = articulation(symbol)
    assert first.shape == last.shape == (len(FEATURES),)
    assert np.isfinite([first, last]).all()
    assert np.abs([first, last]).max() <= 1


def test_help_does_not_load_panphon() -> None:
    code = "import sys, dubkit.cli.app; sys.exit('panphon' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
