"""The mouth shape: K numbers a frame for lips and jaw, free of position, size and head pose.

The moving landmarks (`layout.MOVING`) of a face in canonical coordinates are first brought to a frontal
pose (a turned or tilted head moves them too), then taken as offset from the speaker's own resting mouth and
projected on a basis learned from many speakers (`training.lab.fit_mouth_shape`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import load_file

from dubkit.faces import align, landmark_layout
from dubkit.records import Floats, Mask

_REST_SHARE = 0.15  # the most closed share of the frames is taken for rest
_OPEN, _ENOUGH = 0.0175, 10  # opening over face width of an open mouth; frames that say something
_MEAN_OPENING = 0.065  # upper quartile of the mean training speaker's open frames
_GAIN_LIMITS = (0.7, 1.3)
_FACE_WIDTH = 2.3  # of the mean face, canonical units
# degrees of yaw up to which the learned offsets of a turned head hold, and from which on those of the mean face in
# three dimensions do; and how much farther both are for pitch
_LEARNED, _PITCH_FURTHER = (14.0, 24.0), 1.4


@dataclass(frozen=True, slots=True)
class Basis:
    """The learned basis; M moving points, K coefficients, F pose features."""

    decode: Floats  # (K, 2M) offsets per coefficient; coefficients have unit variance in training
    encode: Floats  # (2M, K) least squares, lips weighing most
    pose: Floats  # (F, 2M) offsets per pose feature


@cache
def basis() -> Basis:
    """The basis that comes with dubkit."""
    with as_file(files("dubkit") / "weights" / "mouth_shape.safetensors") as path:
        stored = load_file(path)
    return Basis(stored["decode"], stored["encode"], stored["pose"])


def pose_features(pose: Floats) -> Floats:
    """(T, 3) yaw pitch roll in degrees -> (T, 7); roll is undone by the canonical similarity already."""
    yaw, pitch = pose[:, 0] / 30, pose[:, 1] / 30
    terms = [yaw, pitch, yaw**2, pitch**2, yaw * pitch, yaw**3, pitch**3]
    return np.stack(terms, 1).astype(np.float32)


def frontal(canonical: Floats, pose: Floats) -> Floats:
    """(T, L, 2) canonical landmarks and (T, 3) degrees -> (T, M, 2) moving points as of a frontal head."""
    moving = canonical[:, landmark_layout.MOVING]
    learned = (pose_features(pose) @ basis().pose).reshape(moving.shape)
    near, far = _LEARNED
    turned = np.abs(pose[:, :2] / (1, _PITCH_FURTHER)).max(1)
    share = np.clip((turned - near) / (far - near), 0, 1).astype(np.float32)
    offset = learned + share[:, None, None] * (_turned_offset(pose, share > 0) - learned)
    return np.asarray(moving - offset, np.float32)


def _turned_offset(pose: Floats, rows: Mask) -> Floats:
    """(T, M, 2) by how much a turn moves the moving points of the mean face, (T, 3) degrees; 0 but in ``rows`` (T,).

    What was learned from faces of small turns is a polynomial: beyond these it is off by a mouth's height.
    """
    offset = np.zeros((len(pose), len(landmark_layout.MOVING), 2), np.float32)
    mean = align.mean_face()[landmark_layout.MOVING]
    for row in np.flatnonzero(rows):
        turned = align.turned_mean_face(float(pose[row, 0]), float(pose[row, 1]))
        seen = align.apply(align.canonical_from_face(turned), turned[landmark_layout.MOVING])
        offset[row] = seen - mean
    return offset


def gap(points: Floats) -> Floats:
    """(..., M, 2) moving points -> (...) signed inner-lip gap over the mean face's width."""
    return np.asarray((points[..., _BOTTOM, 1] - points[..., _TOP, 1]) / _FACE_WIDTH, np.float32)


def resting_mouth(points: Floats) -> Floats:
    """(T, M, 2) frontal moving points -> (M, 2): this speaker's shut mouth, from which shapes are offsets.

    The median of the most closed frames. What gap remains is closed, with the smallest change of shape: a speaker is
    seldom seen quite shut, and lips that do not meet in a closure are the first thing one notices. Lips that seem to
    overlap are left so: under a beard shut lips look like that, and drawn apart until they seem to meet they gape.
    """
    opening = gap(points)
    closed = opening <= np.quantile(opening, _REST_SHARE)
    return _shut(np.asarray(np.median(points[closed], 0), np.float32))


def closed_gap(opening: Floats) -> float:
    """The opening (T,) of the most closed frames: where lips meet, if they ever do."""
    return float(np.median(opening[opening <= np.quantile(opening, _REST_SHARE)]))


def gap_effect() -> Floats:
    """(K,) opening over face width that a unit of each coefficient adds."""
    return gap(decode(np.eye(len(basis().decode), dtype=np.float32)))


def _shut(mouth: Floats) -> Floats:
    """(M, 2) -> the same with its inner lips meeting, if they do not."""
    effect = gap_effect()
    step = -max(float(gap(mouth)), 0.0) * effect / float(effect @ effect)
    return np.asarray(mouth + decode(step[None])[0], np.float32)


def gain(points: Floats, rest: Floats) -> float:
    """How widely a speaker articulates against the mean one, 0.7 to 1.3, from (T, M, 2) frontal points.

    The upper quartile of the opening of open frames; a speaker hardly seen with an open mouth counts as the
    mean one. It is read from what the shot shows, so a short shot tells little.
    """
    opening = gap(points) - gap(rest)
    wide = opening[opening > _OPEN]
    if len(wide) < _ENOUGH:
        return 1.0
    low, high = _GAIN_LIMITS
    return min(max(float(np.percentile(wide, 75)) / _MEAN_OPENING, low), high)


def encode(offsets: Floats) -> Floats:
    """(T, M, 2) offsets from rest -> (T, K) coefficients."""
    count = offsets.shape[1] * offsets.shape[2]
    return np.asarray(offsets.reshape(len(offsets), count) @ basis().encode, np.float32)


def decode(coefficients: Floats) -> Floats:
    """(T, K) coefficients -> (T, M, 2) offsets from rest."""
    return np.asarray((coefficients @ basis().decode).reshape(len(coefficients), -1, 2), np.float32)


_TOP = int(np.flatnonzero(landmark_layout.MOVING == landmark_layout.INNER_TOP)[0])
_BOTTOM = int(np.flatnonzero(landmark_layout.MOVING == landmark_layout.INNER_BOTTOM)[0])


_STILL, _STILL_SECONDS = (
    0.008,
    0.32,
)  # opening over face width that changes less for so long is still
_LEAST_SECONDS = 0.5  # of stillness, under which it says nothing
_AJAR = 0.0175  # opening over face width of a mouth that is not shut
_SHUT_SHARE = 0.25  # share of the still frames which, if shut, says that the speaker rests shut


def posture(points: Floats, rest: Floats, seen: Mask, rate: float) -> Floats:
    """(K,) the mouth shape in which a speaker rests, as offset from ``rest``; zeros where the mouth rests shut.

    ``points`` (T, M, 2) frontal moving points, ``rest`` (M, 2) the shut mouth (`resting_mouth`), ``seen`` (T,)
    the frames to go by, ``rate`` frames a second.
    """
    shapes = encode(points - rest)
    shut = np.zeros(shapes.shape[1], np.float32)
    opening = shapes @ gap_effect()
    still = _still(opening, seen, max(2, round(_STILL_SECONDS * rate)))
    if still.sum() < _LEAST_SECONDS * rate:
        return shut
    held = opening[still]
    # lips that meet may be located a little apart
    if np.quantile(held, _SHUT_SHARE) - closed_gap(opening[seen]) < _AJAR:
        return shut
    # the less open half: a smile or a long vowel is no rest
    return np.asarray(np.median(shapes[still][held <= np.median(held)], 0), np.float32)


def _still(opening: Floats, seen: Mask, length: int) -> Mask:
    """(T,) frames of runs of ``length`` in which the lips hold still, all of them ``seen``."""
    found = np.zeros(len(opening), np.bool_)
    if len(opening) < length:
        return found
    runs = sliding_window_view(opening, length)
    still = (np.ptp(runs, axis=1) < _STILL) & sliding_window_view(seen, length).all(1)
    for first in np.flatnonzero(still):
        found[first : first + length] = True
    return found


_SLOW_SECONDS = 0.6  # deviation of the window that smiles outlast and speech does not


def expression(points: Floats, rest: Floats, seen: Mask, rate: float) -> Floats:
    """(T, K) what a face shows slowly, beside its mean: a smile that comes and goes; nothing of the lips' opening.

    ``points`` (T, M, 2) frontal moving points, ``rest`` (M, 2), ``seen`` (T,) the frames to go by, ``rate`` a second.
    """
    return slow_course(encode(points - rest), seen, rate)


def beside_gap(shapes: Floats) -> Floats:
    """Shapes (..., K) without what opens or shuts the lips."""
    effect = gap_effect()
    return np.asarray(
        shapes - (shapes @ effect)[..., None] * effect / float(effect @ effect), np.float32
    )


def slow_course(shapes: Floats, seen: Mask, rate: float) -> Floats:
    """`expression` of mouth shapes (T, K)."""
    shapes = beside_gap(shapes)
    if not seen.any():
        return np.zeros_like(shapes)
    reach = max(1, round(3 * _SLOW_SECONDS * rate))
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (_SLOW_SECONDS * rate)) ** 2)
    known = np.convolve(seen, window, "full")[reach:-reach] + 1e-6
    courses = [np.convolve(c * seen, window, "full")[reach:-reach] / known for c in shapes.T]
    slow = np.stack(courses, 1)
    return np.asarray(slow - slow[seen].mean(0), np.float32)


FADE_SECONDS = 0.16  # in which a new mouth fades in and out beside frames that keep their own
_LOWER = landmark_layout.LIPS_INNER[1:10]
_UPPER = landmark_layout.LIPS_INNER[:10:-1]
_UNDER = landmark_layout.LIPS_OUTER[1:10]


def wanted_landmarks(
    canonical: Floats,
    pose: Floats,
    rest: Floats,
    coefficients: Floats,
    kept: Floats | float = 0.0,
) -> Floats:
    """Canonical landmarks (T, L, 2) of the same frames with the mouth shape ``coefficients`` (T, K).

    ``kept`` (T, K) is the face's own beside speech, which does not part lips that speech shuts.

    ``rest`` (M, 2) is the speaker's resting mouth, ``pose`` (T, 3) degrees. The frame's own shape is taken
    out and the wanted one put in, so what speech does not explain (identity, pose, a smile) stays. The jaw's
    sides stay as filmed (`layout.JAW_HELD`). The inner lips are then set to the wanted gap exactly, because a
    closure that is nearly shut is open.
    """
    own = encode(frontal(canonical, pose) - rest)
    target = canonical.copy()
    target[:, landmark_layout.MOVING] += decode(coefficients + kept - own)
    target[:, landmark_layout.JAW] -= (
        landmark_layout.JAW_HELD * (target - canonical)[:, landmark_layout.JAW]
    )
    wanted = rest + decode(coefficients)
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


def fill_absent(values: Floats, present: Mask) -> Floats:
    """Rows (T, ...) that are not ``present`` (T,) become those of the nearest present one in time."""
    rows = np.flatnonzero(present)
    if not len(rows):
        return np.zeros_like(values)
    every = np.arange(len(values))
    after = np.clip(np.searchsorted(rows, every), 0, len(rows) - 1)
    before = np.clip(after - 1, 0, None)
    nearer = np.where(np.abs(rows[before] - every) <= np.abs(rows[after] - every), before, after)
    return values[rows[nearer]]


def fade(usable: Mask, frames: int) -> Floats:
    """(T,) 0..1: 1 inside usable spans, falling to 0 over ``frames`` at their inner edges.

    A span that begins or ends with the shot does not fade there: a cut hides the change.
    """
    alpha = np.ones(len(usable), np.float32)
    for k in np.flatnonzero(~usable).tolist():
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
