"""Lips against phonemes, on curves whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubkit.measures import speech

TIMES = np.arange(50) / 25


def curve(times: np.ndarray) -> np.ndarray:
    """An opening like speech: syllables of uneven length."""
    return np.asarray(0.03 + 0.03 * np.sin(2 * np.pi * (3 * times + 0.4 * np.sin(5 * times))))


PHONEMES = [("sil", -1.0, 0.0), ("a", 0.0, 2.0), ("sil", 2.0, 5.0)]


def told(opened: np.ndarray, wanted: np.ndarray, still: bool = True) -> dict[str, float]:
    return speech.measures(opened, TIMES, PHONEMES, wanted, still)


@settings(deadline=None, max_examples=30)
@given(st.integers(3, 7), st.sampled_from([1, -1]), st.floats(0.5, 1.5), st.floats(0, 0.02))
def test_the_offset_is_found_whatever_size_the_mouth_has(
    frames: int, way: int, size: float, add: float
) -> None:
    opened = size * curve(TIMES - way * frames / 25) + add
    assert told(opened, curve(TIMES))["offset_ms"] == pytest.approx(frames * 40, abs=15)


@pytest.mark.parametrize("frames", [-1, 0, 1])
def test_a_frame_more_or_less_is_no_offset_to_speak_of(frames: int) -> None:
    assert told(curve(TIMES - frames / 25), curve(TIMES))["offset_ms"] < 60


def test_lips_that_go_with_the_speech_at_no_offset_have_none() -> None:
    random = np.random.default_rng(3)
    found = told(0.03 * random.random(50), curve(TIMES))
    assert "offset_ms" not in found
    assert "movement" in found


def test_a_frozen_mouth_does_not_move() -> None:
    assert told(0.02 + 0 * TIMES, curve(TIMES))["movement"] == pytest.approx(0)
    assert told(curve(TIMES), curve(TIMES))["movement"] == pytest.approx(1)


def test_without_speech_there_is_nothing_to_hold_the_lips_to() -> None:
    found = told(curve(TIMES), 0 * TIMES)
    assert not {"movement", "offset_ms"} & set(found)


def test_movement_in_silence_is_measured_away_from_speech() -> None:
    times = np.arange(100) / 25
    opened = np.where(times < 2.3, curve(times), 0.001)
    phonemes = [("a", 0.0, 2.0), ("sil", 2.0, 5.0)]
    quiet = speech.measures(opened, times, phonemes, curve(times), True)["silence"]
    assert quiet == pytest.approx(0)
    talks = speech.measures(curve(times), times, phonemes, curve(times), True)["silence"]
    assert talks > 0.015
    policy = speech.measures(curve(times), times, phonemes, curve(times), False)
    assert "silence" not in policy, "with the original mouth in silence nothing is asked of it"


def test_closures_count_p_b_and_m() -> None:
    opened = np.full(50, 0.06)
    opened[10:13] = 0.01
    phonemes = [("p", 0.4, 0.5), ("a", 0.5, 1.0), ("m", 1.0, 1.1), ("b", 1.5, 1.6)]
    found = speech.measures(opened, TIMES, phonemes, curve(TIMES), True)
    assert found["closures"] == pytest.approx(1 / 3)


def test_frames_that_were_not_looked_at_do_not_count() -> None:
    opened = curve(TIMES)
    opened[20:] = np.nan
    assert told(opened, curve(TIMES))["offset_ms"] == 0
    assert told(np.full(50, np.nan), curve(TIMES)) == {}
