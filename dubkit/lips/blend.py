"""Lay a warped patch over native planes under a soft mask; nothing outside the mask changes.

Works on the planes as decoded (Y, U, V or R, G, B; 8 to 16 bit): no colour conversion, so no colour shift,
and every sample where the mask is zero keeps its bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dubkit.faces.align import Matrix, apply, compose, invert, scale_of
from dubkit.faces.borrow import Plane, Reference, to_plane, warped
from dubkit.lips.masks import GRID
from dubkit.lips.mesh_warp import Warp, grid_from_canonical
from dubkit.records import Floats

_MATCH = 24  # side of the coarse grid on which colours are matched
_TEXTURE = 0.03  # canonical units: finer detail is texture, coarser is light
_DETAIL = 1.5  # box of what counts as detail, in deviations of `_TEXTURE`
# of all detail, which reading between samples takes away, and at most, where mixing smoothed it: of the mixed
# references, and of what an image net, which is nearer to the truth but softer, made of them
_MIXED, _MADE = (1.02, 1.25), (1.04, 1.35)


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
    for group in _alike(planes, plane_from_canonical):
        parts = [planes[index] for index in group]
        _compose_alike(parts, plane_from_canonical[group[0]], patch, group, depth)


def _alike(planes: Sequence[Plane], matrices: Sequence[Matrix]) -> list[list[int]]:
    """The planes that lie alike (colour differences mostly do) in groups: their geometry is worked out once."""
    groups: list[list[int]] = []
    for index, (plane, matrix) in enumerate(zip(planes, matrices, strict=True)):
        first = groups[-1][0] if groups else index
        if groups and plane.shape == planes[first].shape and (matrix == matrices[first]).all():
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _compose_alike(
    planes: Sequence[Plane], matrix: Matrix, patch: Patch, group: Sequence[int], depth: int
) -> None:
    mask_grid = grid_from_canonical(GRID)
    rows, columns = np.flatnonzero(patch.mask.any(1)), np.flatnonzero(patch.mask.any(0))
    if not len(rows):
        return
    corners = np.array(
        [[x, y] for x in columns[[0, -1]] + (-1, 1) for y in rows[[0, -1]] + (-1, 1)]
    )
    reach = apply(compose(matrix, invert(mask_grid)), corners)
    height, width = planes[0].shape
    x0, y0 = np.clip(np.floor(reach.min(0)).astype(int), 0, (width, height))
    x1, y1 = np.clip(np.ceil(reach.max(0)).astype(int) + 1, 0, (width, height))
    if x1 <= x0 or y1 <= y0:
        return
    local = matrix - np.array([[0, 0, x0], [0, 0, y0]])
    size = (int(x1 - x0), int(y1 - y0))
    from_mask = compose(local, invert(mask_grid))
    mask = to_plane(patch.mask, from_mask, size)
    regions = [plane[y0:y1, x0:x1] for plane in planes]
    if patch.painted is not None:
        made = _painted(patch.warps, patch.painted, local, size, group)
    else:
        made = _fused(patch, local, size, group)
        ring = to_plane(patch.ring, from_mask, size)
        limit = 0.12 * (1 << depth)
        for region, pixels in zip(regions, made, strict=True):
            pixels += colour_offset(region, pixels, ring, limit)
    top = float((1 << depth) - 1)
    for region, pixels in zip(regions, made, strict=True):
        mixed = region + mask * (pixels - region)
        # a mask of zero adds exactly nothing, so rounding gives the sample back
        region[...] = np.clip(np.rint(mixed), 0, top).astype(region.dtype)


def _fused(
    patch: Patch, local: Matrix, size: tuple[int, int], group: Sequence[int]
) -> list[Floats]:
    """The references mixed: light and colour cross-fade, fine texture comes whole from the strongest one.

    A plain average of two warped frames would lose the skin's detail.
    """
    weights = [weight for _, _, weight in patch.warps]
    strongest = max(range(len(weights)), key=weights.__getitem__)
    made = [warped(reference, warp, local, size, group) for reference, warp, _ in patch.warps]
    sigma = _texture_sigma(local)
    fused = []
    for number, index in enumerate(group):
        parts = [pictures[number] for pictures in made]
        mixed = parts[strongest]
        if len(parts) > 1:
            others = [w * (p - mixed) for w, p in zip(weights, parts, strict=True)]
            mixed = mixed + cv2.GaussianBlur(np.sum(others, axis=0), (0, 0), sigma)
        if index == 0:
            mixed = _with_detail(mixed, list(zip(parts, weights, strict=True)), sigma, _MIXED)
        fused.append(mixed)
    return fused


def _texture_sigma(local: Matrix) -> float:
    """Pixels: what is finer is texture."""
    return max(_TEXTURE * scale_of(local), 0.8)


def _with_detail(
    mixed: Floats,
    lent: Sequence[tuple[Floats, Floats | float]],
    sigma: float,
    gains: tuple[float, float],
) -> Floats:
    """``mixed`` with as much detail as what it was mixed from: mixing and resampling smooth.

    The local energy of detail, (H, W), is compared with that of the references ``lent`` under their weights; what
    is missing is given back by amplifying the detail that is there, by ``gains`` at least and at most.
    """
    reach = 2 * round(_DETAIL * sigma) + 1

    def smooth(picture: Floats) -> Floats:
        once = cv2.blur(picture, (reach, reach), borderType=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.blur(once, (reach, reach), borderType=cv2.BORDER_REPLICATE))

    detail = mixed - smooth(mixed)
    wanted = sum(weight * (p - smooth(p)) ** 2 for p, weight in lent)
    ratio = (smooth(np.asarray(wanted)) + 1) / (smooth(detail**2) + 1)
    always, most = gains
    gain = always * np.clip(np.sqrt(ratio), 1, most)
    return np.asarray(mixed + (gain - 1) * detail, np.float32)


def _painted(
    warps: Sequence[tuple[Reference, Warp, float]],
    painted: Painted,
    local: Matrix,
    size: tuple[int, int],
    group: Sequence[int],
) -> list[Floats]:
    """The references under their maps of weights, and what is added to them; see `models.sc.fuse`."""
    from_grid = compose(local, invert(painted.grid_from_canonical))

    def spread(grid: Floats, flags: int) -> Floats:
        made = cv2.warpAffine(grid, from_grid, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(made, np.float32)

    made = [spread(painted.additions[index], cv2.INTER_CUBIC) for index in group]
    lent: list[tuple[Floats, Floats | float]] = []
    changes = [np.zeros_like(part) for part in made]
    for k, (reference, warp, _) in enumerate(warps):
        pictures = warped(reference, warp, local, size, group)
        if group[0] == 0:
            lent.append((pictures[0].copy(), 1.0))
        if len(warps) > 1:
            share = spread(painted.weights[k], cv2.INTER_LINEAR)
            fine = spread(painted.texture[k], cv2.INTER_LINEAR)
            rough = share - fine
            if lent:
                lent[-1] = (lent[-1][0], share)
            for pixels, change in zip(pictures, changes, strict=True):
                change += rough * pixels
                pixels *= fine
        for part, pixels in zip(made, pictures, strict=True):
            part += pixels
    sigma = _texture_sigma(local)
    if len(warps) > 1:
        for part, change in zip(made, changes, strict=True):
            part += cv2.GaussianBlur(change, (0, 0), sigma)
    if lent:
        made[0] = _with_detail(made[0], lent, sigma, _MADE)
    return made


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
