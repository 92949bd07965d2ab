"""The mesh of one face without folds: points that a turned head hides are brought back to where skin is seen.

Where a head turns, landmarks of the far cheek come to lie beyond the jaw line, and the triangles between them flip or
vanish. A warp over them tears: specks of what is behind the face, doubled edges. Here every triangle is given back a
least part of the area that it has on the mean face, by moving jaw line, cheeks and nostrils as little as needed. A
correction begins at nothing and grows, so it does not jump in time.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.faces.align import mean_face
from dubkit.lips.mesh_warp import anchors, mesh
from dubkit.records import Floats

_LEAST = 0.25  # of a triangle's area on the mean face
_CHEEK = 0.15  # how easily a cheek's point moves, beside the border, the jaw line
_ROUNDS = 30  # at most
_STEP = 0.8  # of what a point's triangles ask for together


@cache
def _rest() -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Triangles that may not fold (N, 3), twice their least signed area (N,), how easily points move (V,)."""
    every = np.concatenate([mean_face(), anchors()]).astype(np.float64)
    triangles = mesh().triangles[~mesh().inner]
    area = _areas(every[triangles])
    triangles[area < 0] = triangles[area < 0][:, [0, 2, 1]]
    free = np.zeros(len(every))
    free[
        np.concatenate([landmark_layout.CHEEKS, landmark_layout.CHIN, landmark_layout.NOSTRILS])
    ] = _CHEEK
    free[landmark_layout.JAW] = 1
    held = free[triangles].sum(1) > 0
    return triangles[held], _LEAST * np.abs(area[held]), free


def _areas(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 2) -> (N,) twice the signed area."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def vertices(face: Floats) -> Floats:
    """(L, 2) canonical landmarks -> (L + A, 2) vertices of the mesh, unfolded."""
    triangles, least, free = _rest()
    points = np.concatenate([face, anchors()]).astype(np.float64)
    for _ in range(_ROUNDS):
        corners = points[triangles]
        missing = least - _areas(corners)
        short = np.flatnonzero(missing > 1e-6)
        if not len(short):
            break
        points += _pushed(triangles[short], corners[short], missing[short], free)
    return points.astype(np.float32)


def _pushed(
    triangles: NDArray[np.intp],
    corners: NDArray[np.float64],
    missing: NDArray[np.float64],
    free: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How each point moves so that triangles gain what they miss, the mean of what all of them ask of it."""
    across = np.roll(corners, -2, 1) - np.roll(corners, -1, 1)  # the side opposite each corner
    slope = np.stack([-across[..., 1], across[..., 0]], -1)
    part = free[triangles][..., None]
    share = missing / np.maximum((part * slope**2).sum((1, 2)), 1e-4)
    total, count = np.zeros((len(free), 2)), np.zeros(len(free))
    np.add.at(total, triangles, part * slope * share[:, None, None])
    np.add.at(count, triangles, 1)
    return np.asarray(_STEP * total / np.maximum(count, 1)[:, None])
