"""Is this the same face? Distances between faces of neighboring frames, and who gets whom.

Distances are in face sizes (about one inter-ocular distance of a frontal face), so one set of limits
serves a close-up and a crowd.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dubkit.faces import align, landmark_layout

if TYPE_CHECKING:
    from dubkit.records import Doubles, Floats, Picture

LOOK_SIDE = 12  # pixels
# the part of the canonical crop that is always face: brows to chin, as fractions of its side
_FACE = (0.24, 0.26, 0.76, 0.80)


def five_points(landmarks: Floats) -> Floats:
    """(L, 2) -> (5, 2): eye centers, nose tip, mouth corners, as a `Detection` has them."""
    rest = landmarks[
        [landmark_layout.NOSE_TIP[0], landmark_layout.MOUTH_LEFT, landmark_layout.MOUTH_RIGHT]
    ]
    return np.concatenate([align.eye_centers(landmarks), rest])


def face_size(points: Floats) -> float:
    """A length from five points that survives a turn of the head: eyes apart, or eyes to mouth."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    across = float(np.linalg.norm(points[1] - points[0]))
    down = float(np.linalg.norm(mouth - eyes))
    return max(across, down * 0.9, 1e-3)


def distance(a: Floats, b: Floats) -> float:
    """Mean distance of two faces' five points, in sizes of the smaller face."""
    size = min(face_size(a), face_size(b))
    return float(np.linalg.norm(a - b, axis=1).mean()) / size


def overlap(a: Floats, b: Floats) -> float:
    """How much of the smaller of two boxes lies in the other, 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return float(width * height / max(float(smaller), 1e-6))


def bounds(landmarks: Floats) -> Floats:
    """(..., L, 2) -> (..., 4): the box x0 y0 x1 y1 of the landmarks."""
    return np.concatenate([landmarks.min(-2), landmarks.max(-2)], -1).astype(np.float32)


def look(crop: Picture) -> Floats:
    """What a face looks like, from its canonical crop: a small normalized thumbnail as a unit vector."""
    side = crop.shape[0]
    x0, y0, x1, y1 = (round(f * side) for f in _FACE)
    small = cv2.resize(
        crop[y0:y1, x0:x1], (LOOK_SIDE, LOOK_SIDE), interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    small -= small.mean()
    return np.asarray(small.ravel() / max(float(np.linalg.norm(small)), 1e-6), np.float32)


def likeness(a: Floats, b: Floats) -> float:
    """-1..1, 1 for the same look."""
    length = max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6)
    return float(a @ b) / length


def pair(costs: Doubles, limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of least cost first, each used once, none above ``limit``."""
    pairs: list[tuple[int, int]] = []
    if costs.size == 0:
        return pairs
    costs = costs.copy()
    while True:
        row, column = np.unravel_index(int(np.argmin(costs)), costs.shape)
        if not costs[row, column] <= limit:
            return pairs
        pairs.append((int(row), int(column)))
        costs[row, :] = np.inf
        costs[:, column] = np.inf


def cost_table(rows: Sequence[Floats], columns: Sequence[Floats]) -> Doubles:
    """Distances between two lists of five points."""
    return np.array([[distance(a, b) for b in columns] for a in rows]).reshape(
        len(rows), len(columns)
    )
