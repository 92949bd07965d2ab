"""Lay a warped patch over native planes under a soft mask; nothing outside the mask changes.

Works on the planes as decoded (Y, U, V or R, G, B; 8 to 16 bit): no colour conversion, so no colour shift,
and every sample where the mask is zero keeps its bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import layout
from dubkit.faces.align import Matrix, apply, compose, invert, scale_of
from dubkit.faces.warp import LEFT, SIDE, TOP, Warp, grid_from_canonical, grid_points
from dubkit.records import Floats

Plane = NDArray[np.uint8] | NDArray[np.uint16]

_MASK_GRID = 128
_MATCH = 24  # side of the coarse grid on which colours are matched
_TEXTURE = 0.03  # canonical units: finer detail is texture, coarser is light
_CRISP = 0.06  # of the fine texture that resampling and fusing take away and that is given back
_THREAD = 0.1  # canonical units: a bright thread between lips is thinner than this
_FACE_WIDTH = 2.3  # canonical units
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


def soft_mask(current: Floats, target: Floats, feather: float) -> Floats:
    """(128, 128) 0..1 on the canonical warp grid: the lower face as it is and as it will be.

    ``current`` and ``target`` (L, 2) canonical landmarks; ``feather`` is the edge's width in face widths.
    The edge runs under the nose, over the cheeks and around both jaws; it is exactly 0 outside.
    """
    to_grid = grid_from_canonical(_MASK_GRID)
    mask = np.zeros((_MASK_GRID, _MASK_GRID), np.uint8)
    for face in (current, target):
        jaw = face[layout.JAW[2:-2]]
        centre = face[layout.LIPS_OUTER].mean(0)
        nose = face[layout.NOSE_TIP[2]]
        top = np.stack(
            [nose * (1 - w) + jaw[k] * w for k, w in ((-1, 0.6), (-1, 0.25), (0, 0.25), (0, 0.6))]
        )
        outline = np.concatenate([jaw, top]) + 0.02 * (np.concatenate([jaw, top]) - centre)
        points = np.round(apply(to_grid, outline) * 16).astype(np.int32)
        cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, 4)
    width = max(feather * _FACE_WIDTH * to_grid[0, 0], 1.0)
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), width / 3)
    ramp = np.clip(soft * 1.1 - 0.05, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def skin_ring(current: Floats, mask: Floats) -> Floats:
    """(128, 128) weights where a patch must agree with the picture: the mask's edge on the face's own skin."""
    to_grid = grid_from_canonical(_MASK_GRID)
    skin = np.zeros((_MASK_GRID, _MASK_GRID), np.uint8)
    cv2.fillPoly(
        skin,
        [np.round(apply(to_grid, current[layout.OVAL]) * 16).astype(np.int32)],
        255,
        cv2.LINE_8,
        4,
    )
    inside = cv2.erode(skin, np.ones((5, 5), np.uint8)).astype(np.float32) / 255
    edge = np.clip(4 * mask * (1 - mask), 0, 1)
    return np.asarray(edge * (0.03 + inside), np.float32)


@dataclass(frozen=True, slots=True)
class Painted:
    """What an image net says of a patch, on a small grid; colours are matched in it already."""

    grid_from_canonical: Matrix
    weights: tuple[Floats, ...]  # (S, S) for each warp, together 1: of light and colour
    texture: tuple[Floats, ...]  # the same, of what is finer
    additions: tuple[Floats, ...]  # (S, S) for each plane, in samples


@dataclass(frozen=True, slots=True)
class Patch:
    """All that one frame's composition needs besides pixels; everything in canonical grids."""

    mask: Floats  # (128, 128)
    ring: Floats  # (128, 128)
    warps: tuple[tuple[Reference, Warp, float], ...]  # weights sum to 1
    painted: Painted | None = None  # None: the weights and the ring decide


def compose_patch(
    planes: Sequence[Plane], plane_from_canonical: Sequence[Matrix], patch: Patch, depth: int
) -> None:
    """Write the patch into ``planes`` in place."""
    for index, (plane, matrix) in enumerate(zip(planes, plane_from_canonical, strict=True)):
        _compose_plane(plane, matrix, patch, index, depth)


def _compose_plane(plane: Plane, matrix: Matrix, patch: Patch, index: int, depth: int) -> None:
    mask_grid = grid_from_canonical(_MASK_GRID)
    rows, columns = np.flatnonzero(patch.mask.any(1)), np.flatnonzero(patch.mask.any(0))
    if not len(rows):
        return
    corners = np.array(
        [[x, y] for x in columns[[0, -1]] + (-1, 1) for y in rows[[0, -1]] + (-1, 1)]
    )
    reach = apply(compose(matrix, invert(mask_grid)), corners)
    height, width = plane.shape
    x0, y0 = np.clip(np.floor(reach.min(0)).astype(int), 0, (width, height))
    x1, y1 = np.clip(np.ceil(reach.max(0)).astype(int) + 1, 0, (width, height))
    if x1 <= x0 or y1 <= y0:
        return
    local = matrix - np.array([[0, 0, x0], [0, 0, y0]])
    size = (int(x1 - x0), int(y1 - y0))
    mask = _to_plane(patch.mask, compose(local, invert(mask_grid)), size)
    region = plane[y0:y1, x0:x1]
    if patch.painted is not None:
        made = _painted(patch.warps, patch.painted, local, size, index)
    else:
        made = _fused(patch, local, size, index)
        ring = _to_plane(patch.ring, compose(local, invert(mask_grid)), size)
        made = made + colour_offset(region, made, ring, 0.12 * (1 << depth))
    mixed = region + mask * (made - region)
    top = float((1 << depth) - 1)
    # a mask of zero adds exactly nothing, so rounding gives the sample back
    region[...] = np.clip(np.rint(mixed), 0, top).astype(plane.dtype)


def _to_plane(grid: Floats, plane_from_grid: Matrix, size: tuple[int, int]) -> Floats:
    return np.asarray(
        cv2.warpAffine(grid, plane_from_grid, size, flags=cv2.INTER_LINEAR), np.float32
    )


def _fused(patch: Patch, local: Matrix, size: tuple[int, int], index: int) -> Floats:
    """The references mixed: light and colour cross-fade, fine texture comes whole from the strongest one.

    A plain average of two warped frames would lose the skin's detail.
    """
    strongest = max(range(len(patch.warps)), key=lambda k: patch.warps[k][2])
    made = [warped(reference, warp, local, size, index) for reference, warp, _ in patch.warps]
    fused = made[strongest]
    sigma = max(_TEXTURE * scale_of(local), 0.8)
    for k, (_, _, weight) in enumerate(patch.warps):
        if k != strongest:
            fused = fused + weight * cv2.GaussianBlur(made[k] - made[strongest], (0, 0), sigma)
    return fused


def _painted(
    warps: Sequence[tuple[Reference, Warp, float]],
    painted: Painted,
    local: Matrix,
    size: tuple[int, int],
    index: int,
) -> Floats:
    """The references under their maps of weights, and what is added to them; see `models.sc.fuse`."""
    from_grid = compose(local, invert(painted.grid_from_canonical))

    def spread(grid: Floats, flags: int) -> Floats:
        made = cv2.warpAffine(grid, from_grid, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(made, np.float32)

    made = spread(painted.additions[index], cv2.INTER_CUBIC)
    change = np.zeros_like(made)
    for k, (reference, warp, _) in enumerate(warps):
        pixels = warped(reference, warp, local, size, index)
        if len(warps) > 1:
            fine = spread(painted.texture[k], cv2.INTER_LINEAR)
            change += (spread(painted.weights[k], cv2.INTER_LINEAR) - fine) * pixels
            pixels *= fine
        made += pixels
    sigma = max(_TEXTURE * scale_of(local), 0.8)
    if len(warps) > 1:
        made += cv2.GaussianBlur(change, (0, 0), sigma)
    return np.asarray(made + _CRISP * (made - cv2.GaussianBlur(made, (0, 0), sigma)), np.float32)


def warped(
    reference: Reference, warp: Warp, local: Matrix, size: tuple[int, int], index: int
) -> Floats:
    """One reference's plane seen through its warp, float32."""
    grid = warp.shade.shape[0]
    from_grid = compose(local, invert(grid_from_canonical(grid)))
    source = reference.planes[index]
    if not source.size:
        return np.zeros(size[::-1], np.float32)
    # where each sample comes from: canonical points, resampled, then brought to the source's own samples
    flags, mode = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    lattice = warp.displacement + grid_points(grid)
    points = cv2.warpAffine(lattice, from_grid, size, flags=flags, borderMode=mode)
    places = cv2.transform(points, reference.plane_from_canonical[index])
    seen = cv2.remap(source, places, _NO_SECOND, cv2.INTER_CUBIC, borderMode=mode)
    pixels: Floats = seen.astype(np.float32)
    if index == 0:
        pixels *= _to_plane(warp.shade - 1, from_grid, size) + 1
        if warp.closing.any():
            _take_thread(pixels, _to_plane(warp.closing, from_grid, size), scale_of(local))
    return pixels


def _take_thread(pixels: Floats, closing: Floats, scale: float) -> None:
    """Take bright threads (teeth between shut lips) out of the picture, in place, where ``closing`` says.

    A grey opening: what is brighter than its surroundings and thinner than the kernel goes; a dark line stays.
    """
    height = 2 * max(1, round(_THREAD * scale / 2)) + 1
    opened = cv2.morphologyEx(pixels, cv2.MORPH_OPEN, np.ones((height, 1), np.uint8))
    pixels += closing * (opened - pixels)


def colour_offset(region: Plane | Floats, made: Floats, ring: Floats, limit: float) -> Floats:
    """The smooth offset, no sample of it from beyond ``limit``, that makes the patch agree with the picture
    along the ring. Planes (H, W) or pictures (H, W, C).
    """
    difference = np.clip(region.astype(np.float32) - made, -limit, limit)
    height, width = ring.shape
    coarse = (min(_MATCH, width), min(_MATCH, height))
    sigma = coarse[0] / 6
    whole = ring if difference.ndim == 2 else ring[..., None]
    weight = cv2.resize(ring, coarse, interpolation=cv2.INTER_AREA)
    offset = cv2.resize(difference * whole, coarse, interpolation=cv2.INTER_AREA)
    spread = cv2.GaussianBlur(weight, (0, 0), sigma) + 1e-4
    smooth = cv2.GaussianBlur(offset, (0, 0), sigma) / (
        spread if whole is ring else spread[..., None]
    )
    spread_out = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(spread_out, np.float32)


def native_scale(plane_from_canonical: Sequence[Matrix]) -> float:
    """Pixels of the finest plane per canonical unit."""
    return max(scale_of(matrix) for matrix in plane_from_canonical)
