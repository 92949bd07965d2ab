"""Blend a warped patch into native planes under a soft mask; nothing outside the mask changes.

Works on the planes as decoded (Y, U, V or R, G, B; 8 to 16 bit): there is no color conversion, so no color shift, and
every sample where the mask is zero keeps its bits. The seam lies on the edge of the mask, where colors are matched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout
from dubkit.lips.mesh_warp import LEFT, SIDE, TOP, Warp, grid_from_canonical, grid_points
from dubkit.records import Floats

Plane = NDArray[np.uint8] | NDArray[np.uint16]

_THREAD = 0.1  # canonical units: a bright thread between lips is thinner than this
_NO_SECOND = np.empty(0, np.float32)  # OpenCV's second map, where the first holds both coordinates


@dataclass(frozen=True, slots=True)
class Reference:
    """The planes of one of a face's own frames, cropped around it: a source of texture."""

    vertices: Floats  # (L + A, 2) canonical mesh vertices of the face
    planes: tuple[Plane, ...]  # cropped
    plane_from_canonical: tuple[align.Matrix, ...]  # into the crops


def cut_reference(
    planes: Sequence[Plane], plane_from_canonical: Sequence[align.Matrix], vertices: Floats
) -> Reference:
    """Copy what a warp can reach of a frame: the canonical warp region with a margin, clipped to the picture."""
    crops, matrices = [], []
    for plane, matrix in zip(planes, plane_from_canonical, strict=True):
        x0, y0, x1, y1 = _region(matrix, plane.shape, margin=0.3)
        crops.append(plane[y0:y1, x0:x1].copy())
        matrices.append(matrix - np.array([[0, 0, x0], [0, 0, y0]]))
    return Reference(vertices, tuple(crops), tuple(matrices))


def _region(
    matrix: align.Matrix, shape: tuple[int, ...], margin: float
) -> tuple[int, int, int, int]:
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
    low, high = align.apply(matrix, corners).min(0), align.apply(matrix, corners).max(0)
    height, width = shape[:2]
    x0, y0 = int(np.clip(np.floor(low[0]), 0, width)), int(np.clip(np.floor(low[1]), 0, height))
    x1, y1 = (
        int(np.clip(np.ceil(high[0]) + 1, x0, width)),
        int(np.clip(np.ceil(high[1]) + 1, y0, height)),
    )
    return x0, y0, x1, y1


def to_plane(grid: Floats, plane_from_grid: align.Matrix, size: tuple[int, int]) -> Floats:
    """A small map laid over a part of a plane."""
    return np.asarray(
        cv2.warpAffine(grid, plane_from_grid, size, flags=cv2.INTER_LINEAR), np.float32
    )


def warped(
    reference: Reference,
    warp: Warp,
    local: align.Matrix,
    size: tuple[int, int],
    group: Sequence[int],
) -> list[Floats]:
    """Planes of one reference, those of ``group``, seen through its warp, float32."""
    grid = warp.shade.shape[0]
    from_grid = align.compose(local, align.invert(grid_from_canonical(grid)))
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
                _take_thread(pixels, to_plane(warp.closing, from_grid, size), align.scale_of(local))
        found.append(pixels)
    return found


def _take_thread(pixels: Floats, closing: Floats, scale: float) -> None:
    """Take bright threads (teeth between shut lips) out of the picture, in place, where ``closing`` says.

    A gray opening: what is brighter than its surroundings and thinner than the kernel goes; a dark line stays.
    """
    height = 2 * max(1, round(_THREAD * scale / 2)) + 1
    opened = cv2.morphologyEx(pixels, cv2.MORPH_OPEN, np.ones((height, 1), np.uint8))
    pixels += closing * (opened - pixels)


_MATCH = 24  # side of the coarse grid on which colors are matched
_TEXTURE = 0.03  # canonical units: finer detail is texture, coarser is light
_DETAIL = 1.5  # box of what counts as detail, in deviations of `_TEXTURE`
# of all detail, which reading between samples takes away, and at most, where mixing smoothed it: of the mixed
# references, and of what an image net, which is nearer to the truth but softer, made of them
_MIXED, _MADE = (1.02, 1.25), (1.04, 1.35)


@dataclass(frozen=True, slots=True)
class Painted:
    """The output of the image net for a patch, on a small grid; its colors are matched already."""

    grid_from_canonical: align.Matrix
    weights: tuple[Floats, ...]  # (S, S) for each warp, together 1: of light and color
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
    planes: Sequence[Plane], plane_from_canonical: Sequence[align.Matrix], patch: Patch, depth: int
) -> None:
    """Write the patch into ``planes`` in place."""
    for group in _alike(planes, plane_from_canonical):
        parts = [planes[index] for index in group]
        _compose_alike(parts, plane_from_canonical[group[0]], patch, group, depth)


def _alike(planes: Sequence[Plane], matrices: Sequence[align.Matrix]) -> list[list[int]]:
    """The planes that lie alike (color differences mostly do) in groups: their geometry is worked out once."""
    groups: list[list[int]] = []
    for index, (plane, matrix) in enumerate(zip(planes, matrices, strict=True)):
        first = groups[-1][0] if groups else index
        if groups and plane.shape == planes[first].shape and (matrix == matrices[first]).all():
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _compose_alike(
    planes: Sequence[Plane], matrix: align.Matrix, patch: Patch, group: Sequence[int], depth: int
) -> None:
    mask_grid = grid_from_canonical(GRID)
    rows, columns = np.flatnonzero(patch.mask.any(1)), np.flatnonzero(patch.mask.any(0))
    if not len(rows):
        return
    corners = np.array(
        [[x, y] for x in columns[[0, -1]] + (-1, 1) for y in rows[[0, -1]] + (-1, 1)]
    )
    reach = align.apply(align.compose(matrix, align.invert(mask_grid)), corners)
    height, width = planes[0].shape
    x0, y0 = np.clip(np.floor(reach.min(0)).astype(int), 0, (width, height))
    x1, y1 = np.clip(np.ceil(reach.max(0)).astype(int) + 1, 0, (width, height))
    if x1 <= x0 or y1 <= y0:
        return
    local = matrix - np.array([[0, 0, x0], [0, 0, y0]])
    size = (int(x1 - x0), int(y1 - y0))
    from_mask = align.compose(local, align.invert(mask_grid))
    mask = to_plane(patch.mask, from_mask, size)
    regions = [plane[y0:y1, x0:x1] for plane in planes]
    if patch.painted is not None:
        made = _painted(patch.warps, patch.painted, local, size, group)
    else:
        made = _fused(patch, local, size, group)
        ring = to_plane(patch.ring, from_mask, size)
        limit = 0.12 * (1 << depth)
        for region, pixels in zip(regions, made, strict=True):
            pixels += color_offset(region, pixels, ring, limit)
    top = float((1 << depth) - 1)
    for region, pixels in zip(regions, made, strict=True):
        mixed = region + mask * (pixels - region)
        # a mask of zero adds exactly nothing, so rounding gives the sample back
        region[...] = np.clip(np.rint(mixed), 0, top).astype(region.dtype)


def _fused(
    patch: Patch, local: align.Matrix, size: tuple[int, int], group: Sequence[int]
) -> list[Floats]:
    """The references mixed: light and color cross-fade, fine texture comes whole from the strongest one.

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


def _texture_sigma(local: align.Matrix) -> float:
    """Pixels: what is finer is texture."""
    return max(_TEXTURE * align.scale_of(local), 0.8)


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
    local: align.Matrix,
    size: tuple[int, int],
    group: Sequence[int],
) -> list[Floats]:
    """The references under their maps of weights, and what is added to them; see `models.sc.fuse`."""
    from_grid = align.compose(local, align.invert(painted.grid_from_canonical))

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


def color_offset(region: Plane | Floats, made: Floats, ring: Floats, limit: float) -> Floats:
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


def native_scale(plane_from_canonical: Sequence[align.Matrix]) -> float:
    """Pixels of the finest plane per canonical unit."""
    return max(align.scale_of(matrix) for matrix in plane_from_canonical)


GRID = 128  # side of every mask, on `warp.grid_from_canonical`
# how far the outline lies beyond the jaw, and inside of it where it does not move, of the distance to the mouth
_BEYOND, _INSET = 0.02, 0.2
# canonical units of skin that is covered around both mouths, and the softness of its edge
_LIPS_REACH, _LIPS_SOFT = 0.15, 0.07
_FACE_WIDTH = 2.3  # canonical units


def soft_mask(current: Floats, target: Floats, feather: float) -> Floats:
    """(128, 128) 0..1 on the canonical warp grid: where a patch is shown.

    ``current`` and ``target`` (L, 2) canonical landmarks; ``feather`` is the edge's width in face widths.
    The edge runs under the nose, over the cheeks, inside the jaw's sides, which do not move, and around both chins;
    it is exactly 0 outside. Both mouths lie in it whole, even where the corners of a smile reach beyond that edge.
    """
    outwards = _BEYOND - _INSET * landmark_layout.JAW_HELD[2:-2]
    face = _lower_face(current, target, feather, outwards)
    return _steepened(np.maximum(face, _mouths(current, target)))


def whole_mask(current: Floats, target: Floats, feather: float) -> Floats:
    """(128, 128) 0..1, as `soft_mask`, of the whole lower face: what an image net must not see of a frame."""
    outwards = np.full_like(landmark_layout.JAW_HELD[2:-2], _BEYOND)
    return _steepened(_lower_face(current, target, feather, outwards))


def _lower_face(current: Floats, target: Floats, feather: float, outwards: Floats) -> Floats:
    """(128, 128) 0..1: the lower face as it is and as it will be; ``outwards`` (15, 1) moves its jaw's points away from
    the mouth, in shares of their distance.
    """
    to_grid = grid_from_canonical(GRID)
    mask = np.zeros((GRID, GRID), np.uint8)
    further = np.concatenate([outwards, np.full((4, 1), _BEYOND)])
    for face in (current, target):
        jaw = face[landmark_layout.JAW[2:-2]]
        center = face[landmark_layout.LIPS_OUTER].mean(0)
        nose = face[landmark_layout.NOSE_TIP[2]]
        top = np.stack(
            [nose * (1 - w) + jaw[k] * w for k, w in ((-1, 0.6), (-1, 0.25), (0, 0.25), (0, 0.6))]
        )
        outline = np.concatenate([jaw, top])
        outline = outline + further * (outline - center)
        points = np.round(align.apply(to_grid, outline) * 16).astype(np.int32)
        cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, 4)
    width = max(feather * _FACE_WIDTH * to_grid[0, 0], 1.0)
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), width / 3))


def _mouths(current: Floats, target: Floats) -> Floats:
    """(128, 128) 0..1: both mouths with the skin around them."""
    to_grid = grid_from_canonical(GRID)
    unit = float(to_grid[0, 0])
    mask = np.zeros((GRID, GRID), np.uint8)
    for face in (current, target):
        hull = cv2.convexHull(align.apply(to_grid, face[landmark_layout.LIPS_OUTER]))
        fixed = np.round(hull * 16).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, 4)
        cv2.polylines(mask, [fixed], True, 255, round(2 * _LIPS_REACH * unit), cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), _LIPS_SOFT * unit))


def _steepened(soft: Floats) -> Floats:
    ramp = np.clip(soft * 1.1 - 0.05, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def skin_ring(current: Floats, mask: Floats) -> Floats:
    """(128, 128) weights where a patch must agree with the picture: the mask's edge on the face's own skin."""
    to_grid = grid_from_canonical(GRID)
    skin = np.zeros((GRID, GRID), np.uint8)
    cv2.fillPoly(
        skin,
        [np.round(align.apply(to_grid, current[landmark_layout.OVAL]) * 16).astype(np.int32)],
        255,
        cv2.LINE_8,
        4,
    )
    inside = cv2.erode(skin, np.ones((5, 5), np.uint8)).astype(np.float32) / 255
    edge = np.clip(4 * mask * (1 - mask), 0, 1)
    return np.asarray(edge * (0.03 + inside), np.float32)
