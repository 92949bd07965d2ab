"""The mouth shape and what it says of a speaker."""

from __future__ import annotations

import numpy as np
import pytest

from dubkit.faces import align, landmark_layout
from dubkit.lips import mouth_shape
from dubkit.records import Floats
from tests.faces.faces import talking, turned

FRAMES = 60
POSE = np.zeros((FRAMES, 3), np.float32)


def points(widen: float = 1.0) -> Floats:
    """A talking mouth, its offsets from rest ``widen`` times as large."""
    moving = mouth_shape.frontal(talking(FRAMES), POSE)
    rest = mouth_shape.resting_mouth(moving)
    return np.asarray(rest + widen * (moving - rest), np.float32)


def test_shapes_come_back_from_their_coefficients() -> None:
    wanted = np.random.default_rng(0).normal(0, 1, (5, len(mouth_shape.basis().decode)))
    offsets = mouth_shape.decode(wanted.astype(np.float32))
    np.testing.assert_allclose(mouth_shape.encode(offsets), wanted, atol=1e-3)


def test_no_mouths_have_no_coefficients() -> None:
    count = len(mouth_shape.basis().decode)
    assert mouth_shape.encode(points()[:0]).shape == (0, count)


def test_the_resting_mouth_of_a_talker_is_shut() -> None:
    mouth = mouth_shape.resting_mouth(points())
    assert float(mouth_shape.gap(mouth)) == pytest.approx(0.0, abs=1e-4)
    assert float(mouth_shape.gap(points()).max()) > 0.03


def test_a_mouth_that_never_shuts_in_the_shot_rests_shut_all_the_same() -> None:
    ajar = mouth_shape.decode(np.tile(0.04 * unit_of_opening(), (FRAMES, 1)))
    mouth = mouth_shape.resting_mouth(points() + ajar)
    assert float(mouth_shape.gap(mouth)) == pytest.approx(0.0, abs=1e-4)
    # all that closing changes is about the lips and the jaw: nothing jumps
    assert np.abs(mouth - mouth_shape.resting_mouth(points())).max() < 0.2


def test_lips_that_seem_to_overlap_at_rest_are_not_drawn_apart() -> None:
    pressed = mouth_shape.decode(np.tile(-0.02 * unit_of_opening(), (FRAMES, 1)))
    moving = points() + pressed
    mouth = mouth_shape.resting_mouth(moving)
    assert float(mouth_shape.gap(mouth)) == pytest.approx(
        float(mouth_shape.gap(moving).min()), abs=4e-3
    )
    assert float(mouth_shape.gap(mouth)) < -0.01


def unit_of_opening() -> Floats:
    """The smallest shape that opens the mouth by one face width."""
    effect = mouth_shape.gap_effect()
    return np.asarray(effect / (effect @ effect), np.float32)


def test_who_opens_wider_has_a_larger_gain_within_limits() -> None:
    gains = []
    for widen in (0.3, 0.6, 0.9, 3.0):
        moving = points(widen)
        gains.append(mouth_shape.gain(moving, mouth_shape.resting_mouth(moving)))
    assert gains == sorted(gains)
    assert min(gains) >= 0.7
    assert max(gains) <= 1.3


def test_a_speaker_hardly_seen_open_counts_as_the_mean_one() -> None:
    moving = points(0.0)
    assert mouth_shape.gain(moving, mouth_shape.resting_mouth(moving)) == pytest.approx(1.0)


def test_a_smile_that_comes_slowly_is_kept_and_what_speech_does_is_not() -> None:
    rate, frames = 25.0, 200
    rest = mouth_shape.resting_mouth(points())
    times = np.arange(frames) / rate
    effect = mouth_shape.gap_effect()
    smile = np.zeros(len(effect), np.float32)
    smile[1] = 1
    smile -= effect * (smile @ effect) / (effect @ effect)  # opens nothing
    slow = 1 / (1 + np.exp(-(times - 4) * 2))
    fast = np.sin(2 * np.pi * 4 * times)
    seen = np.ones(frames, np.bool_)
    shown = rest + mouth_shape.decode(np.outer(slow + fast, smile).astype(np.float32))
    kept = mouth_shape.expression(shown, rest, seen, rate) @ smile / (smile @ smile)
    assert np.corrcoef(kept, slow)[0, 1] > 0.97
    assert 0.8 < np.ptp(kept) < 1.05
    wide = rest + mouth_shape.decode(np.outer(slow, effect).astype(np.float32))
    assert np.abs(mouth_shape.expression(wide, rest, seen, rate)).max() < 0.05
    assert not mouth_shape.expression(shown, rest, ~seen, rate).any()


@pytest.mark.parametrize("yaw", [-45.0, -35.0, -25.0, 25.0, 35.0, 45.0])
@pytest.mark.parametrize("pitch", [-10.0, 0.0, 10.0])
def test_a_turned_head_has_the_mouth_of_a_frontal_one(yaw: float, pitch: float) -> None:
    pose = np.array([[yaw, pitch, 0]], np.float32)
    mouth = mouth_shape.frontal(turned(yaw, pitch)[None], pose)[0]
    mean = align.mean_face()[landmark_layout.MOVING]
    assert np.abs(mouth - mean).max() < 0.02
    assert np.abs(mouth_shape.encode((mouth - mean)[None])).max() < 1.0


@pytest.mark.parametrize("axis", [0, 1])
def test_a_head_that_turns_slowly_does_not_jump(axis: int) -> None:
    pose = np.zeros((400, 3), np.float32)
    pose[:, axis] = np.linspace(-45, 45, len(pose))
    faces = np.stack([turned(float(y), float(p)) for y, p, _ in pose])
    steps = np.diff(mouth_shape.frontal(faces, pose), axis=0)
    assert np.abs(steps).max() < 0.01
