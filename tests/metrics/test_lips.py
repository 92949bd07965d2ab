from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout
from dubkit.metrics import lips
from dubkit.metrics.lips import Tally

TIMES: NDArray[np.float64] = np.arange(100, dtype=np.float64) * 0.04


def test_opening_is_the_gap_over_the_faces_width_at_any_size() -> None:
    face = align.mean_face()[None].astype(np.float32)
    shut = face.copy()
    shut[:, landmark_layout.INNER_BOTTOM] = shut[:, landmark_layout.INNER_TOP]
    opened = shut.copy()
    width = np.linalg.norm(face[0, landmark_layout.OVAL[23]] - face[0, landmark_layout.OVAL[7]])
    opened[:, landmark_layout.INNER_BOTTOM, 1] += 0.1 * width
    assert lips.opening(shut)[0] == 0
    np.testing.assert_allclose(lips.opening(opened * 37 + 5), 0.1, rtol=1e-4)


def test_a_labial_counts_as_shut_when_the_lips_meet_once_in_it() -> None:
    opened = np.full(100, 0.08)
    opened[25] = 0.01
    phonemes = [("a", 0.0, 0.9), ("b", 0.9, 1.1), ("a", 1.1, 2.0), ("m", 2.0, 2.2), ("t", 2.2, 4.0)]
    assert lips.closures(opened, TIMES, phonemes) == Tally(1, 2)
    opened[:] = np.nan
    assert lips.closures(opened, TIMES, phonemes).share is None


def test_breath_beside_speech_is_no_movement_in_silence() -> None:
    phonemes = [("a", 0.0, 1.0), ("sil", 1.0, 3.0), ("a", 3.0, 4.0)]
    opened = np.where((TIMES < 1.3) | (TIMES > 2.5), 0.1, 0.0)
    assert lips.open_in_silence(opened, TIMES, phonemes) == Tally(0, 26)
    assert lips.open_in_silence(opened + 0.05, TIMES, phonemes).share == 1.0


@given(st.integers(-5, 5))
def test_lips_that_are_late_are_found_late(frames: int) -> None:
    wave = np.sin(TIMES * 7) + np.sin(TIMES * 3.1)
    moved = np.interp(TIMES - 0.04 * frames, TIMES, wave)
    found = lips.reference_offset(moved, wave, TIMES)
    assert found is not None
    assert abs(found - 0.04 * frames) <= 0.01


def test_equal_lips_agree_and_still_ones_say_nothing() -> None:
    wave = np.sin(TIMES * 7)
    assert lips.correlation(wave, wave) == 1
    assert lips.correlation(wave, np.zeros(100)) is None
    assert lips.reference_offset(np.full(100, np.nan), wave, TIMES) is None


def test_a_trembling_mouth_moves_more_than_a_calm_one() -> None:
    calm = np.repeat(align.mean_face()[None], 50, 0).astype(np.float32)
    drift = calm + np.linspace(0, 3, 50)[:, None, None].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.01, calm.shape).astype(np.float32)
    still, moving, shaking = (lips.jitter(face) for face in (calm, drift, calm + noise))
    assert still is not None
    assert moving is not None
    assert shaking is not None
    assert still == 0
    assert moving < 1e-5 < shaking
