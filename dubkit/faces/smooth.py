"""Two-sided smoothing of one face through one shot: no lag, and no lip closure lost.

Position, size and roll (the similarity) and the shape (canonical landmarks) are smoothed apart. Both use
J. S. Lee's adaptive filter (Digital image enhancement and noise filtering by use of local statistics,
IEEE PAMI 1980) along time: where the picture only jitters, the value is the local mean; where it really
moves, more than the measured noise, it stays as it is. A mouth that closes for a single frame is far
above the noise and survives; eyes and nose bridge, which rest most of the time, come out still.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from dubkit.faces import align, landmark_layout

if TYPE_CHECKING:
    from dubkit.records import Doubles, Floats, Mask

WINDOW_SECONDS = 0.12  # standard deviation of the window at full strength
MAX_NOISE = 0.015  # inter-ocular distances; what is larger is motion, not noise
REMOVED = (
    2.0  # largest change that counts as noise at full strength, in standard deviations of the noise
)
BLOCK = 1000  # frames smoothed at once
_GROUPS = (
    landmark_layout.LIPS,
    landmark_layout.EYE_LEFT,
    landmark_layout.EYE_RIGHT,
    landmark_layout.IRISES,
)


def segments(present: Mask) -> Iterator[slice]:
    """The runs of true values, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], present.astype(np.int8), [0]])))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield slice(int(first), int(last))


def closed(present: Mask, gap: int) -> Mask:
    """``present`` (T,) with its inner gaps of at most ``gap`` filled."""
    filled: Mask = present.copy()
    inner = list(segments(present))
    for before, after in pairwise(inner):
        if after.start - before.stop <= gap:
            filled[before.stop : after.start] = True
    return filled


def local_mean(values: Doubles, sigma: float) -> Doubles:
    """Gaussian mean along the first axis, (T, N); straight motion comes out unchanged, to the very ends."""
    reach = min(max(1, int(np.ceil(3 * sigma))), len(values) - 1)
    if sigma <= 0 or reach < 1:
        return values
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    head = 2 * values[0] - values[reach:0:-1]
    tail = 2 * values[-1] - values[-2 : -reach - 2 : -1]
    padded = np.concatenate([head, values, tail])
    total = np.zeros_like(values)
    for k, weight in enumerate(weights):
        total += weight * padded[k : k + len(values)]
    return total


def noise_level(values: Doubles) -> float:
    """Standard deviation of the white noise in (T, N) series, robust against motion in under half of it."""
    if len(values) < 3:
        return 0.0
    second = values[2:] - 2 * values[1:-1] + values[:-2]
    return float(np.median(np.sqrt((second**2).mean(1) / 6.0)))


def adaptive(values: Doubles, sigma: float, noise: float) -> Doubles:
    """Lee's filter over (T, N) series that move together; ``noise`` is one standard deviation."""
    mean = local_mean(values, sigma)
    departure = (values - mean) ** 2
    # the frame's own departure, or its neighborhood's: whichever is larger shows motion
    energy = departure.mean(1)
    energy = np.maximum(energy, local_mean(energy[:, None], sigma / 2)[:, 0])
    gain = np.clip(1.0 - noise**2 / np.maximum(energy, 1e-12), 0.0, 1.0)
    return np.asarray(mean + gain[:, None] * (values - mean))


def smooth_run(landmarks: Floats, rate: float, strength: float) -> Floats:
    """Smooth the (T, L, 2) landmarks of an unbroken run of frames; ``strength`` 0..1, 0 changes nothing."""
    if strength <= 0 or len(landmarks) < 3:
        return landmarks
    sigma = WINDOW_SECONDS * strength * rate
    matrices = np.stack([align.canonical_from_face(face) for face in landmarks])
    shape = np.stack([align.apply(m, f) for m, f in zip(matrices, landmarks, strict=True)])
    stable = shape[:, landmark_layout.STABLE].reshape(len(shape), -1).astype(np.float64)
    noise = min(noise_level(stable), MAX_NOISE)
    ways_back = _smooth_similarity(matrices, sigma, strength)
    still = _smooth_shape(shape, sigma, noise * REMOVED * strength)
    out = [align.apply(m, s) for m, s in zip(ways_back, still, strict=True)]
    return np.stack(out).astype(np.float32)


def _smooth_similarity(
    canonical_from_display: Doubles, sigma: float, strength: float
) -> list[Doubles]:
    """(T, 2, 3) -> the smoothed way back, ``display_from_canonical``, of each frame."""
    back = np.stack([align.invert(m) for m in canonical_from_display])
    turn = np.unwrap(np.arctan2(back[:, 1, 0], back[:, 0, 0]))
    size = np.hypot(back[:, 0, 0], back[:, 1, 0])
    # in inter-ocular distances; scale and turn act on points about one unit from the origin
    unit = float(np.median(size))
    series = np.column_stack([back[:, :, 2] / unit, np.log(size), turn])
    noise = min(noise_level(series), MAX_NOISE) * REMOVED * strength
    series = adaptive(series, sigma, noise)
    matrices = []
    for x, y, log_size, angle in series:
        c, s = np.exp(log_size) * np.cos(angle), np.exp(log_size) * np.sin(angle)
        matrices.append(np.array([[c, -s, x * unit], [s, c, y * unit]]))
    return matrices


def _smooth_shape(shape: Floats, sigma: float, noise: float) -> Floats:
    """(T, L, 2) canonical landmarks: lips, each eye and the rest, each with its own gain.

    Long runs go in blocks, with as much on either side as a frame's result can depend on.
    """
    out = np.empty_like(shape)
    rest = np.setdiff1d(np.arange(shape.shape[1]), np.concatenate(_GROUPS))
    margin = 2 * int(np.ceil(3 * sigma)) + 2
    for first in range(0, len(shape), BLOCK):
        low, high = max(0, first - margin), min(len(shape), first + BLOCK + margin)
        for group in (*_GROUPS, rest):
            part = shape[low:high, group].reshape(high - low, -1).astype(np.float64)
            still = adaptive(part, sigma, noise)[first - low : first - low + BLOCK]
            out[first : first + BLOCK, group] = still.reshape(len(still), -1, 2)
    return out


def median(values: Floats) -> Floats:
    """(..., n) -> (...), of numbers only; a third of the time that `numpy.median` takes for few."""
    middle = values.shape[-1] // 2
    if values.shape[-1] % 2:
        return np.asarray(np.partition(values, middle)[..., middle])
    ordered = np.partition(values, (middle - 1, middle))
    return np.asarray((ordered[..., middle - 1] + ordered[..., middle]) / 2, np.float32)
