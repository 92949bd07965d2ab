"""What a frame lends: the planes around one face, and how they look when the face makes another mouth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces.align import Matrix, apply, compose, invert, scale_of
from dubkit.lips.mesh_warp import LEFT, SIDE, TOP, Warp, grid_from_canonical, grid_points
from dubkit.records import Floats

Plane = NDArray[np.uint8] | NDArray[np.uint16]

_THREAD = 0.1  # canonical units: a bright thread between lips is thinner than this
_NO_SECOND = np.empty(0, np.float32)  # OpenCV's second map, where the first holds both coordinates


@dataclass(frozen=True, slots=True)
class Reference:
    """The planes of one own frame around one face, to borrow texture from."""

    vertices: Floats  # (L + A, 2) canonical mesh vertices of the face
    planes: tuple[Plane, ...]  # cropped
    plane_from_canonical: tuple[Matrix, ...]  # into the crops


def cut_reference(
    planes: Sequence[Plane], plane_from_canonical: Sequence[Matrix], vertices: Floats
) -> Reference:
    """Copy what a warp can reach of a frame: the canonical warp region with a margin, clipped to the picture."""
    crops, matrices = [], []
    for plane, matrix in zip(planes, plane_from_canonical, strict=True):
        x0, y0, x1, y1 = _region(matrix, plane.shape, margin=0.3)
        crops.append(plane[y0:y1, x0:x1].copy())
        matrices.append(matrix - np.array([[0, 0, x0], [0, 0, y0]]))
    return Reference(vertices, tuple(crops), tuple(matrices))


def _region(matrix: Matrix, shape: tuple[int, ...], margin: float) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 of the warp region in a plane; empty (but valid) where it lies outside."""
    m = margin
    corners = np.array(
        [
            [LEFT - m, TOP - m],
            [-LEFT + m, TOP - m],
            [LEFT - m, TOP + SIDE + m],
            [-LEFT + m, TOP + SIDE + m],
        ]
    )
    low, high = apply(matrix, corners).min(0), apply(matrix, corners).max(0)
    height, width = shape[:2]
    x0, y0 = int(np.clip(np.floor(low[0]), 0, width)), int(np.clip(np.floor(low[1]), 0, height))
    x1, y1 = (
        int(np.clip(np.ceil(high[0]) + 1, x0, width)),
        int(np.clip(np.ceil(high[1]) + 1, y0, height)),
    )
    return x0, y0, x1, y1


def to_plane(grid: Floats, plane_from_grid: Matrix, size: tuple[int, int]) -> Floats:
    """A small map laid over a part of a plane."""
    return np.asarray(
        cv2.warpAffine(grid, plane_from_grid, size, flags=cv2.INTER_LINEAR), np.float32
    )


def warped(
    reference: Reference, warp: Warp, local: Matrix, size: tuple[int, int], group: Sequence[int]
) -> list[Floats]:
    """Planes of one reference, those of ``group``, seen through its warp, float32."""
    grid = warp.shade.shape[0]
    from_grid = compose(local, invert(grid_from_canonical(grid)))
    # where each sample comes from: canonical points, resampled, then brought to the source's own samples
    flags, mode = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    lattice = warp.displacement + grid_points(grid)
    points = cv2.warpAffine(lattice, from_grid, size, flags=flags, borderMode=mode)
    found: list[Floats] = []
    places, before = points, None
    for index in group:
        source, matrix = reference.planes[index], reference.plane_from_canonical[index]
        if not source.size:
            found.append(np.zeros(size[::-1], np.float32))
            continue
        if before is None or (matrix != before).any():
            places, before = cv2.transform(points, matrix), matrix
        seen = cv2.remap(source, places, _NO_SECOND, cv2.INTER_CUBIC, borderMode=mode)
        pixels = np.asarray(seen, np.float32)
        if index == 0:
            pixels *= to_plane(warp.shade - 1, from_grid, size) + 1
            if warp.closing.any():
                _take_thread(pixels, to_plane(warp.closing, from_grid, size), scale_of(local))
        found.append(pixels)
    return found


def _take_thread(pixels: Floats, closing: Floats, scale: float) -> None:
    """Take bright threads (teeth between shut lips) out of the picture, in place, where ``closing`` says.

    A grey opening: what is brighter than its surroundings and thinner than the kernel goes; a dark line stays.
    """
    height = 2 * max(1, round(_THREAD * scale / 2)) + 1
    opened = cv2.morphologyEx(pixels, cv2.MORPH_OPEN, np.ones((height, 1), np.uint8))
    pixels += closing * (opened - pixels)
