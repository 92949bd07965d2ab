"""The mouth shape: K numbers a frame for lips and jaw, free of position, size and head pose.

The moving landmarks (`layout.MOVING`) of a face in canonical coordinates are first brought to a frontal
pose (a turned or tilted head moves them too), then taken as offset from the speaker's own resting mouth and
projected on a basis learnt from many speakers (`training.lab.fit_mouth_shape`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from safetensors.numpy import load_file

from dubkit.faces import landmark_layout
from dubkit.records import Floats

_REST_SHARE = 0.15  # the most closed share of the frames is taken for rest
_OPEN, _ENOUGH = 0.0175, 10  # opening over face width of an open mouth; frames that say something
_MEAN_OPENING = 0.065  # upper quartile of the mean training speaker's open frames
_GAIN_LIMITS = (0.7, 1.3)
_FACE_WIDTH = 2.3  # of the mean face, canonical units


@dataclass(frozen=True, slots=True)
class Basis:
    """The learnt basis; M moving points, K coefficients, F pose features."""

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
    return np.asarray(
        moving - (pose_features(pose) @ basis().pose).reshape(moving.shape), np.float32
    )


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
    return np.asarray(offsets.reshape(len(offsets), -1) @ basis().encode, np.float32)


def decode(coefficients: Floats) -> Floats:
    """(T, K) coefficients -> (T, M, 2) offsets from rest."""
    return np.asarray((coefficients @ basis().decode).reshape(len(coefficients), -1, 2), np.float32)


_TOP = int(np.flatnonzero(landmark_layout.MOVING == landmark_layout.INNER_TOP)[0])
_BOTTOM = int(np.flatnonzero(landmark_layout.MOVING == landmark_layout.INNER_BOTTOM)[0])
