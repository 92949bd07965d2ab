"""Lips against phonemes, on curves whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from dubkit.lips import mouth_shape
from dubkit.metrics import lip_sync
from dubkit.metrics.lip_sync import Lips, Speech, measures
from dubkit.records import TimedPhoneme

TIMES = np.arange(50) / 25
EFFECT = mouth_shape.gap_effect()
PHONEMES = [("sil", -1.0, 0.0), ("a", 0.0, 2.0), ("sil", 2.0, 5.0)]


def curve(times: np.ndarray) -> np.ndarray:
    """An opening like speech: syllables of uneven length."""
    return np.asarray(0.03 + 0.03 * np.sin(2 * np.pi * (3 * times + 0.4 * np.sin(5 * times))))


def mouths(opened: np.ndarray) -> np.ndarray:
    """(T,) openings -> (T, K) mouth shapes that have them."""
    return np.asarray(opened[:, None] * EFFECT / (EFFECT @ EFFECT), np.float32)


def told(
    opened: np.ndarray,
    speaks: bool = True,
    still: bool = True,
    times: np.ndarray = TIMES,
    phonemes: Sequence[TimedPhoneme] = PHONEMES,
) -> dict[str, float]:
    """Of lips that are ``opened`` (T,), NaN where nothing was painted, and speech that asks for `curve`."""
    painted = np.isfinite(opened)
    rows = np.flatnonzero(painted)
    lips = Lips(painted, rows, opened[rows], mouths(opened[rows]))
    wanted = mouths(curve(lip_sync.moments(times)))
    return measures(lips, Speech(times, phonemes, wanted if speaks else 0 * wanted), still=still)


@pytest.mark.parametrize(("frames", "late"), [(0, 0), (5, 200), (-5, -200)])
def test_the_offset_says_how_late_the_lips_are(frames: int, late: float) -> None:
    assert told(curve(TIMES - frames / 25))["offset_ms"] == pytest.approx(late, abs=15)


def test_a_frozen_mouth_does_not_move() -> None:
    assert told(0.02 + 0 * TIMES)["movement"] == pytest.approx(0)
    assert told(curve(TIMES))["movement"] == pytest.approx(1, abs=0.05)


def test_without_speech_there_is_nothing_to_hold_the_lips_to() -> None:
    assert not {"movement", "offset_ms"} & set(told(curve(TIMES), speaks=False))


def test_movement_in_silence_is_measured_away_from_speech() -> None:
    times = np.arange(100) / 25
    phonemes = [("a", 0.0, 2.0), ("sil", 2.0, 5.0)]

    def quiet(opened: np.ndarray, still: bool = True) -> dict[str, float]:
        return told(opened, still=still, times=times, phonemes=phonemes)

    rests = np.where(times < 2.3, curve(times), 0.001)
    assert quiet(rests)["silence"] == pytest.approx(0)
    assert quiet(curve(times))["silence"] > 0.015
    asked = quiet(curve(times), still=False)
    assert "silence" not in asked, "with the original mouth in silence nothing is asked of it"


def test_closures_count_p_b_and_m() -> None:
    opened = np.full(50, 0.06)
    opened[10:13] = 0.01
    phonemes = [("p", 0.4, 0.5), ("a", 0.5, 1.0), ("m", 1.0, 1.1), ("b", 1.5, 1.6)]
    assert told(opened, phonemes=phonemes)["closures"] == pytest.approx(1 / 3)


def test_frames_that_were_not_painted_do_not_count() -> None:
    opened = curve(TIMES)
    opened[20:] = np.nan
    assert told(opened)["offset_ms"] == 0
    assert told(np.full(50, np.nan)) == {}


def test_between_the_frames_looked_at_lips_are_interpolated() -> None:
    painted = np.ones(9, np.bool_)
    painted[8] = False
    lips = Lips(painted, np.array([0, 4, 7]), np.array([0.0, 0.04, 0.01]), mouths(np.zeros(3)))
    course = lips.opening()
    assert course[:8] == pytest.approx([0, 0.01, 0.02, 0.03, 0.04, 0.03, 0.02, 0.01])
    assert np.isnan(course[8])
