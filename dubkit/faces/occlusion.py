"""What is before a mouth: frames in which much of the lower face suddenly looks like something else.

The color of the skin is read at landmarks around the mouth, so that it does not change when the mouth moves. Each
point is compared with what it shows in other frames of the track, those of the nearest head pose and time, and with
what these foretell of a pose that only this frame has: a head that turns far for a moment shows the light of the other
side. Light that changes on all points at once is taken out. A hand, a microphone or a cup changes many points at
once, by more than they ever differ otherwise, and makes the landmarks less sure. What covers a face through most of a
shot is part of its look and is not seen.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.faces.smooth import segments
from dubkit.records import Floats

Skin = NDArray[np.uint8]  # (N, 3) YCrCb at `POINTS`
Mask = NDArray[np.bool_]

POINTS = np.concatenate([landmark_layout.CHEEKS, landmark_layout.CHIN, landmark_layout.LIPS_OUTER])
SOFT = 0.08  # of the crop's side: the patch that a point's color is the mean of
_FLOOR = np.array(
    [9.0, 4.0, 4.0], np.float32
)  # of Y, Cr and Cb: noise, and landmarks that are a little off
_STRANGE = 2.0  # from which on a point shows something else, in spreads
_QUIET, _WIDE = (
    0.3,
    4.0,
)  # the share of a track that surely is not covered, and its spread's reach over all others
_NEAR_WIDE = 2.5  # the same among neighbors
_PLAIN = 0.12  # strangeness under which a frame may tell what a face looks like
_MODEL, _NEAR = (
    240,
    31,
)  # frames of a track that tell it, and of them those that a frame is compared with
_DEGREES_A_SECOND = 1.0  # how far in time a frame is as far as in pose
_STIFF = (
    3.0  # square degrees, summed over neighbors: poses that differ less tell nothing of other poses
)
_LEAVES = 0.35  # of the limit: what is covered stays so until it is well free
_MARGIN = 0.08  # seconds around: a border of a hand is no measure of where it begins
_SHORTEST = 2  # frames over the limit in a row


def skin_of(crop: NDArray[np.uint8], points: Floats) -> Skin:
    """``crop`` (S, S, 3) RGB, ``points`` (L, 2) landmarks in its pixels -> the colors at `POINTS`."""
    side = max(1, round(SOFT * len(crop)))
    soft = cv2.cvtColor(cv2.blur(crop, (side, side)), cv2.COLOR_RGB2YCrCb)
    at = np.clip(np.round(points[POINTS]), 0, len(crop) - 1).astype(np.intp)
    return np.asarray(soft[at[:, 1], at[:, 0]], np.uint8)


def strangeness(
    skin: NDArray[np.uint8], pose: Floats, scores: Floats, seconds: NDArray[np.float64]
) -> Floats:
    """(T,) 0 to 2: the share of the points that show something else than this face, and how much less sure than
    mostly its landmarks are.

    ``skin`` (T, N, 3), ``pose`` (T, 3) degrees, ``scores`` (T,) confidence, ``seconds`` (T,) when.
    """
    values = skin.astype(np.float32)
    usual = np.median(values, 0)
    spread = np.quantile(np.abs(_off(values, usual)), _QUIET, axis=0).astype(np.float32)
    rough = _strange(values, usual, _WIDE * spread)
    plain = np.flatnonzero(rough <= max(_PLAIN, float(np.quantile(rough, _QUIET))))
    some = np.linspace(0, len(plain) - 1, min(len(plain), _MODEL)).round().astype(np.intp)
    model = plain[np.unique(some)]
    near = min(_NEAR, len(model))
    found = np.zeros(len(values), np.float32)
    for row in range(len(values)):
        turn = pose[model, :2] - pose[row, :2]
        away = np.abs(turn).sum(1)
        away = away + _DEGREES_A_SECOND * np.abs(seconds[model] - seconds[row])
        nearest = np.argpartition(away, near - 1)[:near]
        alike = values[model[nearest]]
        usual = np.median(alike, 0)
        spread = _NEAR_WIDE * np.median(np.abs(alike - usual), 0)
        odd = _odd(values[row], usual, spread)
        predicted = usual + _predicted(alike, turn[nearest])
        found[row] = (odd & _odd(values[row], predicted, spread)).mean()
    return np.asarray(found + np.maximum(np.median(scores) - scores, 0), np.float32)


def covered(strange: Floats, limit: float, rate: float) -> Mask:
    """(T,) frames to leave alone, from (T,) strangeness: over the limit, and around that until well under it."""
    over = np.zeros(len(strange), np.bool_)
    for run in segments(strange > limit * _LEAVES):
        high = [h for h in segments(strange[run] > limit) if h.stop - h.start >= _SHORTEST]
        over[run] = bool(high)
    margin = max(1, round(_MARGIN * rate))
    wide = np.convolve(over, np.ones(2 * margin + 1))[margin:]
    return np.asarray(wide[: len(over)] > 0)


def _off(values: Floats, usual: Floats) -> Floats:
    """How points differ from their usual color, without what all of them differ by."""
    off = values - usual
    return np.asarray(off - np.median(off, -2, keepdims=True), np.float32)


def _predicted(alike: Floats, turn: Floats) -> Floats:
    """(N, 3) how far the pose of a frame moves colors from the usual: a straight line through its neighbors.

    ``alike`` (n, N, 3) their colors, ``turn`` (n, 2) degrees of yaw and pitch between their poses and the frame's.
    """
    middle = turn.mean(0)
    apart = turn - middle
    colors = (alike - alike.mean(0)).reshape(len(alike), -1)
    slope = np.linalg.solve(apart.T @ apart + _STIFF * np.eye(2), apart.T @ colors)
    return np.asarray((-middle @ slope).reshape(alike.shape[1:]), np.float32)


def _odd(values: Floats, usual: Floats, spread: Floats) -> Mask:
    """(..., N, 3) -> (..., N) points that are far from usual."""
    odd = np.square(_off(values, usual) / np.maximum(spread, _FLOOR)).sum(-1)
    return np.asarray(odd > _STRANGE**2)


def _strange(values: Floats, usual: Floats, spread: Floats) -> Floats:
    """(..., N, 3) -> (...) share of the points that are far from usual."""
    return np.asarray(_odd(values, usual, spread).mean(-1), np.float32)
