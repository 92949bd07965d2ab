"""Head pose from the teacher's 3-D landmarks.

Angles in degrees, in the picture's axes (x right, y down, z away from the camera): yaw is positive
when the nose points to the right of the picture, pitch when it points up, roll when the head
leans clockwise as the picture shows it. Zero yaw and roll are those of a symmetric face, zero pitch
is the average portrait's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout

Array = NDArray[np.float64]

# what neither speech nor brows move, with some depth to it
_RIGID = np.concatenate(
    [
        landmark_layout.STABLE,
        landmark_layout.NOSE_TIP,
        landmark_layout.OVAL[:10],
        landmark_layout.OVAL[27:],
        landmark_layout.NOSTRILS,
    ]
)


@dataclass(frozen=True, slots=True)
class Template:
    """The rigid points of the average face looking straight ahead."""

    points: Array  # (R, 3), centered


def _rotation(source: Array, target: Array) -> Array:
    """The rotation that turns centered ``source`` onto centered ``target`` (Kabsch)."""
    u, _, vt = np.linalg.svd(target.T @ source)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation: Array = u @ flip @ vt
    return rotation


def fit_template(faces: NDArray[np.floating]) -> Template:
    """Generalized Procrustes over (N, L, 3) faces and their mirror images."""
    mirrored = faces[:, landmark_layout.MIRROR] * (-1.0, 1.0, 1.0)
    both = np.concatenate([faces, mirrored])[:, _RIGID].astype(np.float64)
    both -= both.mean(1, keepdims=True)
    both /= np.sqrt((both**2).sum((1, 2), keepdims=True))
    mean: Array = both.mean(0)
    for _ in range(5):
        turned = np.stack([face @ _rotation(face, mean).T for face in both])
        mean = turned.mean(0)
    angles = np.stack([_angles(_rotation(mean, face)) for face in both])
    level = np.radians(np.median(angles[:, 1]))
    tilt = np.array(
        [[1, 0, 0], [0, np.cos(level), np.sin(level)], [0, -np.sin(level), np.cos(level)]]
    )
    return Template(mean @ tilt.T)


def rotation_angles(face: NDArray[np.floating], template: Template) -> Array:
    """Yaw, pitch and roll of one (L, 3) face."""
    points = face[_RIGID].astype(np.float64)
    return _angles(_rotation(template.points, points - points.mean(0)))


def faced(face: NDArray[np.floating], template: Template) -> Array:
    """One (L, 3) face turned to look straight ahead, around the middle of its rigid points."""
    points = face[_RIGID].astype(np.float64)
    middle = points.mean(0)
    turned: Array = (face - middle) @ _rotation(template.points, points - middle)
    return turned


def _angles(rotation: Array) -> Array:
    """``rotation`` = roll after yaw after pitch, so turning the picture changes roll alone."""
    yaw = np.arcsin(np.clip(rotation[2, 0], -1, 1))
    pitch = np.arctan2(-rotation[2, 1], rotation[2, 2])
    roll = np.arctan2(rotation[1, 0], rotation[0, 0])
    return np.asarray(np.degrees([yaw, pitch, roll]), np.float64)
