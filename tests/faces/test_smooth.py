"""Two-sided smoothing."""

from __future__ import annotations

import numpy as np
import pytest

from dubkit.faces import landmark_layout, smooth
from dubkit.faces.smooth import adaptive, local_mean, noise_level, segments, smooth_run
from dubkit.records import Floats
from tests.painted import face

RATE = 25.0


def moving(
    frames: int, speed: float, noise: float, opening: Floats | None = None
) -> tuple[Floats, Floats]:
    """Truth and a noisy measurement of a face of 60 px between the eyes, (T, L, 2) each."""
    random = np.random.default_rng(1)
    opened = np.zeros(frames) if opening is None else opening
    shapes = np.stack([face(float(o)) for o in opened]) * 60
    truth = shapes + np.arange(frames)[:, None, None] * (speed, speed / 3) + 200
    return truth.astype(np.float32), (truth + random.normal(0, noise, truth.shape)).astype(
        np.float32
    )


def error(a: Floats, b: Floats) -> float:
    return float(np.linalg.norm(a - b, axis=-1).mean())


def test_segments_are_the_runs_of_true() -> None:
    mask = np.array([1, 1, 0, 0, 1, 0, 1], bool)
    assert [(s.start, s.stop) for s in segments(mask)] == [(0, 2), (4, 5), (6, 7)]
    assert list(segments(np.zeros(3, bool))) == []


def test_even_motion_passes_unchanged_to_the_very_ends() -> None:
    line = np.arange(40.0)[:, None] * (2.0, -0.5)
    assert np.allclose(local_mean(line, 2.0), line)


def test_a_run_of_one_or_two_frames_is_left_alone() -> None:
    for frames in (1, 2):
        _, rough = moving(frames, 1.0, 0.5)
        assert np.array_equal(smooth_run(rough, RATE, 1.0), rough)


def test_no_strength_changes_nothing() -> None:
    _, rough = moving(30, 1.0, 0.5)
    assert smooth_run(rough, RATE, 0.0) is rough


def test_the_noise_level_is_measured_in_motion() -> None:
    random = np.random.default_rng(0)
    series = np.arange(200.0)[:, None] * np.ones(20) + random.normal(0, 0.3, (200, 20))
    assert abs(noise_level(series) - 0.3) < 0.05


def test_a_resting_face_becomes_still() -> None:
    truth, rough = moving(50, 0.0, 0.4)
    fine = smooth_run(rough, RATE, 0.5)
    jitter = [float(np.abs(np.diff(x, axis=0)).mean()) for x in (rough, fine)]
    assert jitter[1] < 0.35 * jitter[0]
    assert error(fine, truth) < 0.7 * error(rough, truth)


def test_a_moving_face_does_not_lag() -> None:
    truth, rough = moving(50, 6.0, 0.3)
    drift = (smooth_run(rough, RATE, 0.5) - truth).mean((1, 2))
    assert np.abs(drift[5:-5]).mean() < 0.15


def test_a_closure_of_one_frame_survives() -> None:
    opening = np.full(40, 0.6, np.float32)
    opening[20] = 0.0
    truth, rough = moving(40, 1.0, 0.3, opening)
    fine = smooth_run(rough, RATE, 0.5)
    gap = fine[:, landmark_layout.LIPS_INNER[5], 1] - fine[:, landmark_layout.LIPS_INNER[15], 1]
    true_gap = (
        truth[:, landmark_layout.LIPS_INNER[5], 1] - truth[:, landmark_layout.LIPS_INNER[15], 1]
    )
    depth = (gap[18] - gap[20]) / (true_gap[18] - true_gap[20])
    assert depth > 0.9


def test_smoothing_forwards_equals_smoothing_backward() -> None:
    _, rough = moving(50, 3.0, 0.4)
    there = smooth_run(rough, RATE, 0.5)
    back = smooth_run(rough[::-1].copy(), RATE, 0.5)[::-1]
    assert np.abs(there - back).max() < 1e-2


def test_a_filter_without_noise_is_no_filter() -> None:
    series = np.random.default_rng(2).normal(0, 1, (30, 4))
    assert np.allclose(adaptive(series, 1.5, 0.0), series)


def test_a_long_run_smoothed_in_blocks_equals_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    _, rough = moving(120, 2.0, 0.4)
    whole = smooth_run(rough, RATE, 0.5)
    monkeypatch.setattr(smooth, "BLOCK", 17)
    assert np.abs(smooth_run(rough, RATE, 0.5) - whole).max() < 1e-3
