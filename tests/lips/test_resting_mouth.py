"""How a speaker's mouth rests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dubkit.lips import mouth_shape
from dubkit.records import Floats
from tests.faces.faces import talking

FRAMES = 100
RATE = 25.0
SEEN = np.ones(FRAMES, np.bool_)


def mouths(opening: np.ndarray) -> Floats:
    """(T, M, 2) points of a mouth that is open by ``opening`` (T,) face widths."""
    moving = mouth_shape.frontal(talking(4), np.zeros((4, 3), np.float32))
    effect = mouth_shape.gap_effect()
    unit = effect / float(effect @ effect)
    shut = mouth_shape.resting_mouth(moving)
    offsets = mouth_shape.decode((opening[:, None] * unit).astype(np.float32))
    return np.asarray(shut + offsets, np.float32)


def speech_then(rest: float) -> np.ndarray:
    """Two seconds of lips that open and meet, two of lips that hold still."""
    spoken = 0.04 - 0.04 * np.cos(np.arange(50) * 2 * np.pi / 6)
    return np.concatenate([spoken, np.full(50, rest)])


def at_rest(opening: np.ndarray, seen: np.ndarray = SEEN, rate: float = RATE) -> float:
    points = mouths(opening)
    found = mouth_shape.posture(points, mouth_shape.resting_mouth(points), seen, rate)
    return float(found @ mouth_shape.gap_effect())


def test_who_holds_the_lips_apart_when_still_rests_ajar() -> None:
    assert at_rest(speech_then(0.045)) == pytest.approx(0.045, abs=0.006)


def test_who_is_still_and_shut_rests_shut() -> None:
    assert at_rest(speech_then(0.0)) == 0
    assert at_rest(speech_then(0.01)) == 0


def test_who_is_seen_both_ways_rests_shut() -> None:
    course = speech_then(0.045)
    course[80:] = 0
    assert at_rest(course) == 0


def test_lips_that_never_hold_still_say_nothing() -> None:
    spoken = 0.04 - 0.04 * np.cos(np.arange(FRAMES) * 2 * np.pi / 6)
    assert at_rest(spoken) == 0


def test_frames_that_are_not_seen_say_nothing() -> None:
    assert at_rest(speech_then(0.045), np.arange(FRAMES) < 55) == 0
    assert at_rest(speech_then(0.045), np.zeros(FRAMES, np.bool_)) == 0


def test_a_mouth_that_is_always_ajar_rests_shut() -> None:
    """Its most closed frames are all there is to tell what shut is."""
    assert at_rest(np.full(FRAMES, 0.05)) == 0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0, 0.2), min_size=1, max_size=FRAMES),
    st.floats(5, 120),
    st.integers(0, 2**16),
)
def test_rest_is_shut_or_something_that_was_seen(
    opening: list[float], rate: float, seed: int
) -> None:
    course = np.array(opening)
    seen = np.random.default_rng(seed).random(len(course)) < 0.9
    seen[0] = True
    found = at_rest(course, seen, rate)
    assert found == 0 or 0.0175 <= found <= course.max() + 0.01
