"""From a wanted mouth shape to wanted landmarks: where lips and jaw of each frame must go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.lips import mouth_shape
from dubkit.records import Floats

FADE_SECONDS = 0.16  # in which a new mouth fades in and out beside frames that keep their own
_LOWER = landmark_layout.LIPS_INNER[1:10]
_UPPER = landmark_layout.LIPS_INNER[:10:-1]
_UNDER = landmark_layout.LIPS_OUTER[1:10]


def wanted_landmarks(canonical: Floats, pose: Floats, rest: Floats, coefficients: Floats) -> Floats:
    """Canonical landmarks (T, L, 2) of the same frames with the mouth shape ``coefficients`` (T, K).

    ``rest`` (M, 2) is the speaker's resting mouth, ``pose`` (T, 3) degrees. The frame's own shape is taken
    out and the wanted one put in, so what speech does not explain (identity, pose, a smile) stays. The jaw's
    sides stay as filmed (`layout.JAW_HELD`). The inner lips are then set to the wanted gap exactly, because a
    closure that is nearly shut is open.
    """
    frontal = mouth_shape.frontal(canonical, pose)
    own = mouth_shape.encode(frontal - rest)
    target = canonical.copy()
    target[:, landmark_layout.MOVING] += mouth_shape.decode(coefficients) - mouth_shape.decode(own)
    target[:, landmark_layout.JAW] -= (
        landmark_layout.JAW_HELD * (target - canonical)[:, landmark_layout.JAW]
    )
    wanted = rest + mouth_shape.decode(coefficients)
    shut = np.minimum(
        _inner_gap(_placed(rest[None], 1)), 0
    )  # as lips of this speaker look when they meet
    return _with_gap(target, np.maximum(_inner_gap(_placed(wanted, len(canonical))), shut))


def _placed(moving: Floats, frames: int) -> Floats:
    """(T, M, 2) moving points in a (T, L, 2) array; other landmarks are 0."""
    points = np.zeros((frames, landmark_layout.COUNT, 2), np.float32)
    points[:, landmark_layout.MOVING] = moving
    return points


def _inner_gap(points: Floats) -> Floats:
    """(T, 9) vertical gap between the inner lips, corner to corner; negative where they seem to overlap."""
    return np.asarray(points[:, _LOWER, 1] - points[:, _UPPER, 1], np.float32)


def _with_gap(target: Floats, gap: Floats) -> Floats:
    """Move the lips (most of it the lower one, as in life) until the inner gap is as wanted."""
    excess = gap - (target[:, _LOWER, 1] - target[:, _UPPER, 1])
    target[:, _LOWER, 1] += 0.7 * excess
    target[:, _UNDER, 1] += 0.7 * excess
    target[:, _UPPER, 1] -= 0.3 * excess
    return target


def fill_absent(values: Floats, present: NDArray[np.bool_]) -> Floats:
    """Rows (T, ...) that are not ``present`` (T,) become those of the nearest present one in time."""
    rows = np.flatnonzero(present)
    if not len(rows):
        return np.zeros_like(values)
    every = np.arange(len(values))
    after = np.clip(np.searchsorted(rows, every), 0, len(rows) - 1)
    before = np.clip(after - 1, 0, None)
    nearer = np.where(np.abs(rows[before] - every) <= np.abs(rows[after] - every), before, after)
    return values[rows[nearer]]


def fade(usable: NDArray[np.bool_], frames: int) -> Floats:
    """(T,) 0..1: 1 inside usable spans, falling to 0 over ``frames`` at their inner edges.

    A span that begins or ends with the shot does not fade there: a cut hides the change.
    """
    alpha = np.ones(len(usable), np.float32)
    for k in np.flatnonzero(~usable):
        low, high = max(0, k - frames), min(len(usable), k + frames + 1)
        ramp = np.abs(np.arange(low, high) - k) / (frames + 1)
        alpha[low:high] = np.minimum(alpha[low:high], ramp)
    return alpha


def two_steps(strength: Floats) -> tuple[Floats, Floats]:
    """How a new mouth of ``strength`` (T,) 0..1 goes over into the filmed one: its shape, then its picture.

    (T,) how far the mouth has the wanted shape, and (T,) how much of its picture is shown. A patch that is not wholly
    shown has the filmed mouth's shape: two mouths of other shapes over one another would be seen as two.
    """
    shaped, shown = np.clip(2 * strength - 1, 0, 1), np.clip(2 * strength, 0, 1)
    return np.asarray(shaped, np.float32), np.asarray(shown, np.float32)
