"""By how much lips are late or early: their course against the course that the phonemes ask for.

What is compared is the height of every point of the lips in a frontal, canonical face, not the opening alone:
lips that protrude or draw wide move too, so that even a second of speech has much to compare. What is wanted is known
beyond the cuts, since speech crosses them: every frame counts at every offset.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.lips import mouth_shape
from dubkit.metrics.lips import Series
from dubkit.records import Floats

REACH = 0.3  # seconds of offset looked for
STEP = 0.02  # seconds between moments of what is wanted
LEAST_ROWS = 12  # frames looked at
# another offset is believed where the lips go with the speech there, and clearly better than at none
SURE = 0.65  # correlation there
BETTER = 0.15  # of correlation that it wins
LESS = 0.4  # or: of what is missing from 1 at none, at most so much is missing there
_FINE = 0.01
_LIPS = np.isin(landmark_layout.MOVING, landmark_layout.LIPS)


def moments(times: Series) -> Series:
    """(M,) evenly spaced moments that `offset` needs to know the wanted mouth of; ``times`` (T,) of the frames."""
    count = int(np.ceil((times[-1] - times[0] + 2 * REACH) / STEP)) + 1
    return np.asarray(times[0] - REACH + STEP * np.arange(count), np.float64)


def offset(times: Series, rows: NDArray[np.intp], seen: Floats, asked: Floats) -> float | None:
    """Seconds by which the lips are late; 0 unless another offset explains them clearly better.

    ``seen`` (N, K) mouth shapes (`lips.mouth_shape`) in ``rows`` (N,) of the frames at ``times`` (T,), ``asked`` (M, K)
    those wanted at the `moments` of ``times``. None where it cannot be told: too few frames, or
    lips that go well with the speech at no offset.
    """
    if len(rows) < LEAST_ROWS:
        return None
    lips, wanted = _heights(seen), _heights(asked)
    place = (times[rows] - times[0] + REACH) / STEP
    reach = round(REACH / _FINE)
    scores = {
        lag: _agreement(lips, _at(wanted, place - lag * _FINE / STEP))
        for lag in range(-reach, reach + 1)
    }
    best = max(scores, key=lambda lag: (scores[lag], -abs(lag)))
    here, there = scores[0], scores[best]
    if there < SURE:
        return None
    return best * _FINE if there >= here + BETTER or 1 - there <= LESS * (1 - here) else 0.0


def _heights(shapes: Floats) -> Series:
    """(T, K) -> (T, P) how low each point of the lips is."""
    return mouth_shape.decode(shapes)[:, _LIPS, 1].astype(np.float64)


def _at(values: Series, place: Series) -> Series:
    """Rows of (M, P) at fractional places (N,)."""
    low = np.clip(np.floor(place).astype(np.intp), 0, len(values) - 2)
    part = np.clip(place - low, 0, 1)[:, None]
    return np.asarray(values[low] * (1 - part) + values[low + 1] * part)


def _agreement(x: Series, y: Series) -> float:
    """Correlation of two courses (N, P), all points together."""
    x, y = x - x.mean(0), y - y.mean(0)
    power = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / power if power > 1e-9 else -1.0
