"""The canonical face: where every face is brought before anything looks at it, and the way back.

*Canonical coordinates* know no position, size or roll: the midpoint of the eye centers is the origin, their
distance is 1, x to the right of the picture, y down. The similarity that leads there is fitted to stable
points only (eyes, nose bridge; never mouth or jaw), so speech does not move it.

All transforms are 2 x 3 float64 matrices that map points of one plane to another, named ``target_from_source``.
"""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from dubkit.faces import landmark_layout

if TYPE_CHECKING:
    from dubkit.records import Floats

Matrix = NDArray[np.float64]

# the canonical crop: a square that holds the whole face, from mid-forehead to under the chin
CROP_CENTER = (0.0, 0.55)
CROP_SIDE = 3.8


@cache
def mean_face() -> Floats:
    """(L, 2) landmarks of the mean face in canonical coordinates."""
    return _template()["mean_face"]


def turned_mean_face(yaw: float, pitch: float) -> Floats:
    """(L, 2) the mean face as a far camera sees it turned by ``yaw`` and ``pitch`` degrees, in its own scale.

    Positive where the nose points to the right of the picture, and up.
    """
    template = _template()
    y, p = math.radians(yaw), math.radians(pitch)
    x, z = template["mean_face"][:, 0], template["depth"]
    lifted = template["mean_face"][:, 1] * math.cos(p) + z * math.sin(p)
    z = z * math.cos(p) - template["mean_face"][:, 1] * math.sin(p)
    return np.stack([x * math.cos(y) - z * math.sin(y), lifted], 1).astype(np.float32)


@cache
def _template() -> dict[str, Floats]:
    with as_file(files("dubkit") / "weights" / "mean_face.safetensors") as path:
        return load_file(path)


def eye_centers(landmarks: Floats) -> Floats:
    """(..., L, 2) -> (..., 2, 2): centers of the picture's left and right eye."""
    left = landmarks[..., landmark_layout.EYE_LEFT, :].mean(-2)
    right = landmarks[..., landmark_layout.EYE_RIGHT, :].mean(-2)
    return np.stack([left, right], -2)


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> Matrix:
    """Least-squares similarity ``target_from_source`` between two (N, 2) point sets (Umeyama 1991, no mirror).

    A source of no extent gives the identity scale, never NaN.
    """
    a, b = np.asarray(source, np.float64), np.asarray(target, np.float64)
    ca, cb = a.mean(0), b.mean(0)
    za, zb = (a - ca) @ (1, 1j), (b - cb) @ (1, 1j)
    power = float((za.conj() @ za).real)
    z = (za.conj() @ zb) / power if power > 0 else complex(1.0)
    turn = np.array([[z.real, -z.imag], [z.imag, z.real]])
    return np.hstack([turn, (cb - turn @ ca)[:, None]])


def canonical_from_face(landmarks: Floats) -> Matrix:
    """The similarity that brings one face, (L, 2), to canonical coordinates."""
    return similarity(landmarks[landmark_layout.STABLE], mean_face()[landmark_layout.STABLE])


def canonical_from_points(points: Floats) -> Matrix:
    """The same from a detector's five points (eyes, nose tip, mouth corners)."""
    mean = mean_face()
    five = np.stack(
        [
            *eye_centers(mean),
            mean[landmark_layout.NOSE_TIP[0]],
            mean[landmark_layout.MOUTH_LEFT],
            mean[landmark_layout.MOUTH_RIGHT],
        ]
    )
    return similarity(points, five)


def crop_from_canonical(size: int) -> Matrix:
    """Canonical coordinates -> pixels of the square canonical crop (pixel centers at integers)."""
    scale = size / CROP_SIDE
    x, y = CROP_CENTER
    return np.array(
        [[scale, 0, size / 2 - 0.5 - scale * x], [0, scale, size / 2 - 0.5 - scale * y]]
    )


def compose(outer: Matrix, inner: Matrix) -> Matrix:
    """``outer`` after ``inner``."""
    # written out: dozens of these for each frame, and numpy's calls cost more than the sums
    (a, b, x), (c, d, y) = outer.tolist()
    (e, f, u), (g, h, v) = inner.tolist()
    return np.array(
        [
            [a * e + b * g, a * f + b * h, a * u + b * v + x],
            [c * e + d * g, c * f + d * h, c * u + d * v + y],
        ]
    )


def invert(matrix: Matrix) -> Matrix:
    """The way back. Raises `numpy.linalg.LinAlgError` where there is none."""
    (a, b, x), (c, d, y) = matrix.tolist()
    area = a * d - b * c
    if area == 0:
        raise np.linalg.LinAlgError("the transform is flat")
    a, b, c, d = d / area, -b / area, -c / area, a / area
    return np.array([[a, b, -a * x - b * y], [c, d, -c * x - d * y]])


def apply(matrix: Matrix, points: NDArray[np.floating]) -> Floats:
    """Map (..., 2) points."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)


def scale_of(matrix: Matrix) -> float:
    """Target units per source unit."""
    (a, b, _), (c, d, _) = matrix.tolist()
    return math.sqrt(abs(a * d - b * c))
