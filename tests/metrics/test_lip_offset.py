"""Whether lips are late or early, on mouths that move as real ones do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dubkit.lips import mouth_shape
from dubkit.metrics.lip_sync import LEAST_ROWS, moments, offset

K = len(mouth_shape.basis().decode)


def course(times: np.ndarray, seed: int = 0) -> np.ndarray:
    """(T, K) a smooth course of every coefficient, as of speech."""
    random = np.random.default_rng(seed)
    speed, phase = random.uniform(1, 4, (K, 3)), random.uniform(0, 2 * np.pi, (K, 3))
    waves = np.sin(2 * np.pi * speed * times[:, None, None] + phase)
    return np.asarray(waves.sum(2), np.float32)


def found(late: float, times: np.ndarray, seed: int = 0, step: int = 1) -> float | None:
    rows = np.arange(0, len(times), step)
    seen = course(times[rows] - late, seed)
    return offset(times, rows, seen, course(moments(times), seed))


@settings(deadline=None, max_examples=40)
@given(
    late=st.floats(0.06, 0.28),
    way=st.sampled_from([1, -1]),
    rate=st.sampled_from([23.976, 25.0, 50.0]),
    count=st.integers(30, 90),
    seed=st.integers(0, 50),
)
def test_late_and_early_are_found_to_a_frames_quarter(
    late: float, way: int, rate: float, count: int, seed: int
) -> None:
    times = 3.7 + np.arange(count) / rate
    assert found(way * late, times, seed) == pytest.approx(way * late, abs=0.011)


def test_a_third_of_the_frames_is_enough() -> None:
    times = np.arange(60) / 25
    assert found(0.2, times, step=3) == pytest.approx(0.2, abs=0.011)


@pytest.mark.parametrize("late", [-0.02, 0.0, 0.02])
def test_half_a_frame_is_no_offset_to_speak_of(late: float) -> None:
    told = found(late, np.arange(60) / 25)
    assert told is not None
    assert abs(told) <= 0.03


def test_lips_that_go_with_nothing_have_no_offset() -> None:
    times = np.arange(60) / 25
    seen = np.random.default_rng(1).standard_normal((60, K)).astype(np.float32)
    assert offset(times, np.arange(60), seen, course(moments(times))) is None


def test_frozen_lips_and_too_few_frames_tell_nothing() -> None:
    times = np.arange(60) / 25
    asked = course(moments(times))
    assert offset(times, np.arange(60), np.zeros((60, K), np.float32), asked) is None
    few = np.arange(LEAST_ROWS - 1)
    assert offset(times, few, course(times[few]), asked) is None


def test_frames_of_uneven_length_are_taken_at_their_own_moments() -> None:
    random = np.random.default_rng(2)
    times = np.cumsum(random.uniform(0.02, 0.06, 60))
    assert found(-0.15, times) == pytest.approx(-0.15, abs=0.011)
