"""How a mouth rests between sentences: not every speaker's is shut.

Lips that hold still do not speak, so the picture alone tells what rest looks like, whatever the film's sound is. A
speaker who is seen shut in a good part of such frames rests shut.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dubkit.lips import mouth_shape
from dubkit.records import Floats

_STILL, _STILL_SECONDS = (
    0.008,
    0.32,
)  # opening over face width that changes less for so long is still
_LEAST_SECONDS = 0.5  # of stillness, under which it says nothing
_AJAR = 0.0175  # opening over face width of a mouth that is not shut
_SHUT_SHARE = 0.25  # share of the still frames which, if shut, says that the speaker rests shut


def posture(points: Floats, rest: Floats, seen: NDArray[np.bool_], rate: float) -> Floats:
    """(K,) the mouth shape in which a speaker rests, as offset from ``rest``; zeros where that is shut.

    ``points`` (T, M, 2) frontal moving points, ``rest`` (M, 2) the shut mouth (`shape.resting_mouth`), ``seen`` (T,)
    the frames to go by, ``rate`` frames a second.
    """
    shapes = mouth_shape.encode(points - rest)
    shut = np.zeros(shapes.shape[1], np.float32)
    opening = shapes @ mouth_shape.gap_effect()
    still = _still(opening, seen, max(2, round(_STILL_SECONDS * rate)))
    if still.sum() < _LEAST_SECONDS * rate:
        return shut
    held = opening[still]
    # lips that meet may be seen a little apart
    if np.quantile(held, _SHUT_SHARE) - mouth_shape.closed_gap(opening[seen]) < _AJAR:
        return shut
    # the modest half: a smile or a word held long is no rest
    return np.asarray(np.median(shapes[still][held <= np.median(held)], 0), np.float32)


def _still(opening: Floats, seen: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """(T,) frames of runs of ``length`` in which the lips hold still, all of them ``seen``."""
    found = np.zeros(len(opening), np.bool_)
    if len(opening) < length:
        return found
    runs = sliding_window_view(opening, length)
    still = (np.ptp(runs, axis=1) < _STILL) & sliding_window_view(seen, length).all(1)
    for first in np.flatnonzero(still):
        found[first : first + length] = True
    return found
