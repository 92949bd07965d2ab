"""Is something in front of a mouth? Frames in which much of the lower face suddenly differs from the same face
elsewhere.

The color of the skin is read at landmarks around the mouth, so that it does not change when the mouth moves. Each point
is compared with its color in the other frames of the track that are nearest in head pose and time, and with a linear
prediction from them for poses that only this frame has (a head that turns far for a moment shows the light of the other
side). Light that changes on all points at once is taken out. A hand, a microphone or a cup changes many points at once,
by more than they ever differ otherwise, and lowers the confidence of the landmarks. What covers a face through most
of a shot counts as part of the face and is not detected.
"""

from __future__ import annotations

import cv2
import numpy as np

from dubkit.faces import landmark_layout, smooth
from dubkit.records import Doubles, Floats, Mask, Picture

Skin = Picture  # (N, 3) YCrCb at `POINTS`

POINTS = np.concatenate([landmark_layout.CHEEKS, landmark_layout.CHIN, landmark_layout.LIPS_OUTER])
PATCH_SIDE = 0.08  # of the crop's side: a point's color is the mean of such a patch
# of Y, Cr and Cb: noise, and landmarks that are a little off
_MIN_SPREAD = np.array([9.0, 4.0, 4.0], np.float32)
_DIFFERENT = 2.0  # spreads from which on a point shows something else
_CLEAR_SHARE = 0.3  # of a track, at least, is not covered
_SPREAD_FACTOR = 4.0  # of the spread in that share to the spread of all clear frames
_NEIGHBOR_SPREAD_FACTOR = 2.5  # the same among neighbors
_CLEAR_SCORE = 0.12  # score under which a frame may be compared with
_SURELY_CLEAR = 0.06  # the same once it was compared with its neighbors
_MODEL_FRAMES, _NEIGHBORS = (
    240,
    31,
)  # frames of a track to compare with, and the nearest of them that count for a frame
_DEGREES_A_SECOND = 1.0  # how far in time a frame is as far as in pose
# square degrees, summed over neighbors: poses that differ less predict nothing of other poses
_RIDGE = 3.0
_RELEASE = 0.35  # of the limit: frames beside covered ones count as covered down to this
_MARGIN_SECONDS = 0.08  # around: the border of a hand does not show where it begins
# over the limit in a row: frames where something is surely there, else seconds, as a mouth that opens wide for a
# moment, or a beard that moves with it, differs for a few frames too
_MIN_FRAMES, _SURE, _MIN_SECONDS = 2, 2.0, 0.2


def skin_of(crop: Picture, points: Floats) -> Skin:
    """(N, 3) YCrCb colors at `POINTS` of a ``crop`` (S, S, 3) RGB, ``points`` (L, 2) being the landmarks in its
    pixels.
    """
    side = max(1, round(PATCH_SIDE * len(crop)))
    soft = cv2.cvtColor(cv2.blur(crop, (side, side)), cv2.COLOR_RGB2YCrCb)
    at = np.clip(np.round(points[POINTS]), 0, len(crop) - 1).astype(np.intp)
    return np.asarray(soft[at[:, 1], at[:, 0]], np.uint8)


def occlusion_scores(skin: Picture, pose: Floats, scores: Floats, seconds: Doubles) -> Floats:
    """(T,) 0 to 2: the share of the points that differ from this face, plus the drop of the landmarks' confidence below
    its median.

    ``skin`` (T, N, 3), ``pose`` (T, 3) degrees, ``scores`` (T,) confidence 0..1, ``seconds`` (T,) of the frames.
    """
    values = skin.astype(np.float32)
    typical = np.median(values, 0)
    spread = np.quantile(np.abs(_deviation(values, typical)), _CLEAR_SHARE, axis=0).astype(
        np.float32
    )
    first_scores = _share_different(values, typical, _SPREAD_FACTOR * spread)
    clear = first_scores <= max(_CLEAR_SCORE, float(np.quantile(first_scores, _CLEAR_SHARE)))
    drop = np.maximum(np.median(scores) - scores, 0)
    share = _against_neighbors(values, pose, seconds, clear)
    # what differs only a little from the most of a track is compared with in its turn: a face that rests for long and
    # then turns is not covered
    more = clear | (share + drop <= _SURELY_CLEAR)
    if (more != clear).any():
        share = _against_neighbors(values, pose, seconds, more)
    return np.asarray(share + drop, np.float32)


def _against_neighbors(values: Floats, pose: Floats, seconds: Doubles, clear: Mask) -> Floats:
    """(T,) share of the points (T, N, 3) that differ from the nearest of the ``clear`` (T,) frames."""
    frames = np.flatnonzero(clear)
    some = np.linspace(0, len(frames) - 1, min(len(frames), _MODEL_FRAMES)).round().astype(np.intp)
    model = frames[np.unique(some)]
    near = min(_NEIGHBORS, len(model))
    colors = np.ascontiguousarray(values[model].reshape(len(model), -1).T)  # (3 N, M)
    found = np.zeros(len(values), np.float32)
    for row in range(len(values)):
        turn = pose[model, :2] - pose[row, :2]
        away = np.abs(turn).sum(1)
        away = away + _DEGREES_A_SECOND * np.abs(seconds[model] - seconds[row])
        nearest = np.argpartition(away, near - 1)[:near]
        neighbors = colors.take(nearest, axis=1)
        typical = smooth.median(neighbors)
        spread = _NEIGHBOR_SPREAD_FACTOR * smooth.median(np.abs(neighbors - typical[:, None]))
        typical, spread = typical.reshape(-1, 3), spread.reshape(-1, 3)
        different = _different(values[row], typical, spread)
        if different.any():
            predicted = typical + _predicted(neighbors, turn[nearest]).reshape(-1, 3)
            found[row] = (different & _different(values[row], predicted, spread)).mean()
    return found


def covered_frames(occlusion: Floats, limit: float, rate: float) -> Mask:
    """(T,) mask of the frames to leave alone, from (T,) occlusion scores: those over the limit, and those around them
    until well under it. ``rate`` is in frames a second.
    """
    over = np.zeros(len(occlusion), np.bool_)
    long = max(_MIN_FRAMES, round(_MIN_SECONDS * rate))
    for run in smooth.segments(occlusion > limit * _RELEASE):
        part = occlusion[run]
        over[run] = any(
            high.stop - high.start >= (_MIN_FRAMES if part[high].max() > _SURE * limit else long)
            for high in smooth.segments(part > limit)
        )
    margin = max(1, round(_MARGIN_SECONDS * rate))
    wide = np.convolve(over, np.ones(2 * margin + 1))[margin:]
    return np.asarray(wide[: len(over)] > 0)


def _deviation(values: Floats, typical: Floats) -> Floats:
    """Differences of points from their typical color, less the median over all points."""
    deviation = values - typical
    return np.asarray(deviation - np.median(deviation, -2, keepdims=True), np.float32)


def _predicted(neighbors: Floats, turn: Floats) -> Floats:
    """(K,) change of colors with the pose of a frame, by ridge regression over its neighbors.

    ``neighbors`` (K, n) their colors, ``turn`` (n, 2) degrees of yaw and pitch between their poses and the frame's.
    """
    middle = turn.mean(0)
    apart = turn - middle
    colors = neighbors - neighbors.mean(1, keepdims=True)
    (a, b), (c, d) = apart.T @ apart + _RIDGE * np.eye(2)
    inverse = np.array([[d, -b], [-c, a]]) / (a * d - b * c)
    return np.asarray(-(colors @ (apart @ (inverse.T @ middle))), np.float32)


def _different(values: Floats, typical: Floats, spread: Floats) -> Mask:
    """(..., N, 3) -> (..., N) points that are far from typical."""
    different = np.square(_deviation(values, typical) / np.maximum(spread, _MIN_SPREAD)).sum(-1)
    return np.asarray(different > _DIFFERENT**2)


def _share_different(values: Floats, typical: Floats, spread: Floats) -> Floats:
    """(..., N, 3) -> (...) share of the points that are far from typical."""
    return np.asarray(_different(values, typical, spread).mean(-1), np.float32)
