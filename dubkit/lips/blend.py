"""Blend a warped patch into native planes under a soft mask; nothing outside the mask changes.

Works on the planes as decoded (Y, U, V; 8 to 16 bit): there is no color conversion, so no color shift, and every sample
where the mask is zero keeps its bits. The seam lies on the edge of the mask, where colors are matched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout
from dubkit.lips.masks import GRID
from dubkit.lips.mesh_warp import LEFT, SIDE, SPLIT, TOP, Part, Warp, grid_from_canonical, meeting
from dubkit.records import Floats

Plane = NDArray[np.uint8] | NDArray[np.uint16]

_THREAD = 0.1  # canonical units: a bright thread between lips is thinner than this
_WHOLE = 1 - 1e-4
_NO_SECOND = np.empty(0, np.float32)  # OpenCV's second map, where the first holds both coordinates


@dataclass(frozen=True, slots=True)
class Kept:
    """What stays as filmed whatever is painted: a map (H, W) 0..1, and how it lies on each plane."""

    matte: Floats
    plane_from_matte: tuple[align.Matrix, ...]
    boxes: Floats  # (H, W) 0 or 1: that part of it that is wider than strokes

    def on(
        self, plane: int, x: int, y: int, shape: tuple[int, ...], *, boxes: bool = False
    ) -> Floats:
        """(h, w) 0..1 on the part of a plane, of the given ``shape``, whose first sample is at ``x`` and ``y``; all of
        it, or only ``boxes``.
        """
        matrix = self.plane_from_matte[plane] - np.array([[0, 0, x], [0, 0, y]])
        chosen = self.boxes if boxes else self.matte
        seen = cv2.warpAffine(chosen, matrix, shape[::-1], flags=cv2.INTER_LINEAR)
        return np.asarray(seen, np.float32)


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


_AROUND = 0.25  # of the size of a part of a face, that is looked at beside it


def part(plane: Plane, points: Floats) -> Floats:
    """(H, W) the samples of a plane around some points (N, 2) in it; empty where they lie outside."""
    low, high = points.min(0), points.max(0)
    around = _AROUND * (high - low)
    width, height = plane.shape[1], plane.shape[0]
    x0, y0 = np.clip(np.floor(low - around), 0, (width, height)).astype(int)
    x1, y1 = np.clip(np.ceil(high + around), (x0, y0), (width, height)).astype(int)
    return np.asarray(plane[y0:y1, x0:x1], np.float32)


_LEAST_MOUTH = 8  # pixels of a mouth whose sharpness can be told


def sharpness(luma: Plane, lips: Floats) -> float:
    """Log of the gradient energy of a mouth, ``lips`` (N, 2) in pixels; NaN where it is too small."""
    mouth = part(luma, lips)
    if min(mouth.shape) < _LEAST_MOUTH:
        return float("nan")
    energy = sum(float((np.diff(mouth, axis=axis) ** 2).mean()) for axis in range(2))
    return float(np.log(energy + 1))


_COARSE = 20  # pixels to a canonical unit at which colors of skin are taken


def colors_at(
    planes: Sequence[Plane], matrices: Sequence[align.Matrix], points: Floats, depth: int
) -> Floats:
    """(P, C) the planes' mean samples around canonical points (P, 2), in 255ths; NaN outside the picture."""
    colors = np.full((len(points), len(planes)), np.nan, np.float32)
    for k, (plane, matrix) in enumerate(zip(planes, matrices, strict=True)):
        places = align.apply(matrix, points)
        low = np.maximum(np.floor(places.min(0)).astype(int) - 2, 0)
        region = plane[low[1] : int(places[:, 1].max()) + 3, low[0] : int(places[:, 0].max()) + 3]
        inside = ((places >= 0) & (places <= np.array(plane.shape[::-1]) - 1)).all(1)
        if not region.size or not inside.any():
            continue
        # whole numbers of samples: OpenCV averages them four times as fast as parts
        factor = min(max(1, round(align.scale_of(matrix) / _COARSE)), *region.shape)
        height, width = (side // factor for side in region.shape)
        whole = region[: height * factor, : width * factor]
        small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
        there = (places - low + 0.5) / factor - 0.5
        x, y = (np.ascontiguousarray(there[:, i, None], np.float32) for i in range(2))
        mode = cv2.BORDER_REPLICATE
        seen = cv2.remap(small.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=mode)
        colors[inside, k] = seen[inside, 0] / (1 << (depth - 8))
    return colors


def crispen(
    luma: Plane,
    plane_from_canonical: align.Matrix,
    where: Floats,
    gain: float,
    depth: int,
    kept: Kept | None = None,
) -> None:
    """Amplify or soften the detail of ``luma`` by ``gain``, in place, where the mask ``where`` (128, 128) says."""
    inside = _inside(where, plane_from_canonical, luma.shape)
    if inside is None:
        return
    region, local = luma[inside], plane_from_canonical - _shift(inside)
    from_mask = align.compose(local, align.invert(grid_from_canonical(GRID)))
    mask = to_plane(where, from_mask, region.shape[::-1])
    if kept is not None:
        mask *= 1 - kept.on(0, inside[1].start, inside[0].start, mask.shape)
    picture = region.astype(np.float32)
    reach = 2 * round(_DETAIL * _texture_sigma(local)) + 1
    detail = picture - cv2.blur(picture, (reach, reach), borderType=cv2.BORDER_REPLICATE)
    top = float((1 << depth) - 1)
    region[...] = np.clip(np.rint(picture + mask * (gain - 1) * detail), 0, top).astype(luma.dtype)


_LEAST_OPEN = 0.04  # canonical units between lips, from which teeth can be told apart
_ROWS = 25  # samples of an open mouth from lip to lip
_NEVER = 0.3  # share of it above which no row of teeth ends, and twice that below
_USUAL = 0.3  # how much darker, of the range of the light, a place must be for each share off the usual one


def teeth_part(reference: Reference, black: float = 0.0) -> Floats:
    """(2, 5) of the open mouth of a reference, along it: where its upper teeth have ended, from 0 at the upper lip to
    1 (the darkest row), and how light it is at most near there above ``black``, of the light of the lips.
    """
    ring = landmark_layout.LIPS_INNER
    upper = reference.vertices[ring[:10:-1]][2:7]
    lower = reference.vertices[ring[1:10]][2:7]
    if (lower - upper)[:, 1].mean() < _LEAST_OPEN or not reference.planes[0].size:
        return SPLIT
    share = np.linspace(0, 1, _ROWS, dtype=np.float32)
    lips = (reference.vertices[ring] + reference.vertices[landmark_layout.LIPS_OUTER]) / 2
    ways = upper[None] + share[:, None, None] * (lower - upper)[None]
    light = cv2.GaussianBlur(_light_at(reference, ways), (3, 5), 0)
    unusual = _USUAL * np.ptp(light, axis=0) * np.abs(share[:, None] - SPLIT[0])
    within = (share >= _NEVER) & (share <= 1 - _NEVER / 2)
    row = np.where(within[:, None], light + unusual, np.inf).argmin(0)
    usual = max(float(np.median(_light_at(reference, lips[None]))) - black, 1.0)
    between = (light[row, np.arange(5)][None] - black) / usual
    between = cv2.dilate(between, np.ones((1, 3), np.uint8))
    # the darkest row of teeth that meet is in part one of chance
    along = SPLIT[0] + np.median(share[row] - SPLIT[0])
    place = share[row] + meeting(between[0]) * (along - share[row])
    found = np.stack([place, between[0]])
    return np.asarray(cv2.blur(found, (3, 1), borderType=cv2.BORDER_REPLICATE), np.float32)


def _light_at(reference: Reference, points: NDArray[np.floating]) -> Floats:
    """(N, M) luma of a reference at canonical points (N, M, 2)."""
    places = align.apply(reference.plane_from_canonical[0], points)
    # OpenCV 5.0 reads narrow maps of two channels wrongly where it interpolates linearly
    x, y = (np.ascontiguousarray(places[..., k], np.float32) for k in range(2))
    mode = cv2.BORDER_REPLICATE
    seen = cv2.remap(reference.planes[0], x, y, cv2.INTER_LINEAR, borderMode=mode)
    return np.asarray(seen, np.float32)


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
    black: float = 0.0,
) -> list[Floats]:
    """Planes of a reference, those of ``group``, seen through its warp, float32; luma is darkened toward ``black``."""
    grid = warp.shade.shape[0]
    from_grid = align.compose(local, align.invert(grid_from_canonical(grid)))
    # where each sample comes from: canonical points, resampled, then brought to the source's own samples
    flags, mode = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    points = cv2.warpAffine(warp.source, from_grid, size, flags=flags, borderMode=mode)
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
            _shaded(pixels, warp, local, black)
        found.append(pixels)
    return found


def _shaded(pixels: Floats, warp: Warp, local: align.Matrix, black: float) -> None:
    """Lay a warp's shade over a picture, and close its lips, in place."""
    darker = warp.shade - 1
    inside = _inside(darker, local, pixels.shape)
    if inside is not None:
        part = pixels[inside]
        part += _laid(darker, local, inside) * (part - black)
    inside = _inside(warp.closing, local, pixels.shape)
    if inside is not None:
        scale = align.scale_of(local)
        rows, columns = inside
        around = 2 * round(_THREAD * scale) + 2
        wide = slice(max(0, rows.start - around), rows.stop + around), columns
        _take_thread(pixels[wide], _laid(warp.closing, local, wide, pixels.shape), scale)


def _laid(
    grid: Floats,
    local: align.Matrix,
    inside: tuple[slice, slice],
    shape: tuple[int, ...] | None = None,
) -> Floats:
    """A map laid over a part of a plane, to which ``local`` leads; ``shape`` is its own, where the part may pass it."""
    rows, columns = inside
    stop = rows.stop if shape is None else min(rows.stop, shape[0])
    way = align.compose(local - _shift(inside), align.invert(grid_from_canonical(len(grid))))
    return to_plane(grid, way, (columns.stop - columns.start, stop - rows.start))


def _take_thread(pixels: Floats, closing: Floats, scale: float) -> None:
    """Take bright threads (teeth between shut lips) out of the picture, in place, where ``closing`` says.

    A gray opening: what is brighter than its surroundings and thinner than the kernel goes; a dark line stays.
    """
    height = 2 * max(1, round(_THREAD * scale / 2)) + 1
    opened = cv2.morphologyEx(pixels, cv2.MORPH_OPEN, np.ones((height, 1), np.uint8))
    pixels += closing * (opened - pixels)


# by which light of a patch may be off, and light and color off what they mostly are, on skin, of their range
_FURTHEST, _LIGHT_FURTHEST, _COLOR_FURTHEST = 0.12, 0.05, 0.015
_ON_RING = 0.25  # weight from which a sample counts there
_MATCH = 24  # side of the coarse grid on which colors are matched
_SAMPLES = 96  # of each row and column of a patch, at least, by which they are
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
    # weights sum to 1; the first one gives the mouth alone, the heaviest one the fine texture of skin
    warps: tuple[tuple[Reference, Warp, float], ...]
    mouth: Floats  # (128, 128) 0..1, where no second one is shown
    painted: Painted | None = None  # None: the weights and the ring decide
    kept: Kept | None = None  # what lies over the face


def compose_patch(
    planes: Sequence[Plane],
    plane_from_canonical: Sequence[align.Matrix],
    patch: Patch,
    depth: int,
    black: float = 0.0,
) -> None:
    """Write the patch into ``planes``, Y U V or gray, in place; ``black`` is the sample of luma that is black."""
    for group in _alike(planes, plane_from_canonical):
        parts = [planes[index] for index in group]
        _compose_alike(parts, plane_from_canonical[group[0]], patch, group, depth, black)


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


def _box(grid: Floats) -> tuple[int, int, int, int] | None:
    """x0 y0 x1 y1 of what is not 0 in a map; None for nothing."""
    x, y, width, height = cv2.boundingRect((grid != 0).view(np.uint8))
    return (x, y, x + width, y + height) if width else None


_BEYOND = 3  # pixels of a mask: what is read between samples lies around it


def reach(mask: Floats, size: int) -> Part:
    """The part of the (size, size) grid that can be seen through a mask (128, 128)."""
    x0, y0, x1, y1 = _box(mask) or (0, 0, 0, 0)
    scale = size / len(mask)
    rows, columns = (
        slice(max(0, int((a - _BEYOND) * scale)), min(size, int((b + _BEYOND) * scale) + 1))
        for a, b in ((y0, y1), (x0, x1))
    )
    return rows, columns


def _inside(
    mask: Floats, matrix: align.Matrix, shape: tuple[int, ...]
) -> tuple[slice, slice] | None:
    """Rows and columns of a plane that a mask on the warp's grid reaches, ``matrix`` leads there; None for none."""
    box = _box(mask)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    corners = np.array([[x, y] for x in (x0 - 1, x1) for y in (y0 - 1, y1)], np.float64)
    back = align.invert(grid_from_canonical(len(mask)))
    ends = align.apply(align.compose(matrix, back), corners)
    height, width = shape
    x0, y0 = np.clip(np.floor(ends.min(0)).astype(int), 0, (width, height))
    x1, y1 = np.clip(np.ceil(ends.max(0)).astype(int) + 1, 0, (width, height))
    return None if x1 <= x0 or y1 <= y0 else (slice(y0, y1), slice(x0, x1))


def mask_over(mask: Floats, plane_from_canonical: align.Matrix, shape: tuple[int, int]) -> Floats:
    """(H, W) a mask (128, 128) as `compose_patch` lays it over a plane of this shape."""
    inside = _inside(mask, plane_from_canonical, shape)
    if inside is None:
        return np.zeros(shape, np.float32)
    from_mask = align.compose(plane_from_canonical, align.invert(grid_from_canonical(GRID)))
    return to_plane(mask, from_mask, shape[::-1])


def _shift(inside: tuple[slice, slice]) -> align.Matrix:
    """What takes a matrix into a plane to one into a part of it, subtracted."""
    return np.array([[0, 0, inside[1].start], [0, 0, inside[0].start]], np.float64)


def _compose_alike(
    planes: Sequence[Plane],
    matrix: align.Matrix,
    patch: Patch,
    group: Sequence[int],
    depth: int,
    black: float,
) -> None:
    inside = _inside(patch.mask, matrix, planes[0].shape)
    if inside is None:
        return
    local = matrix - _shift(inside)
    height, width = planes[0][inside].shape
    size = (width, height)
    from_mask = align.compose(local, align.invert(grid_from_canonical(GRID)))
    mask = to_plane(patch.mask, from_mask, size)
    mask[mask > _WHOLE] = 1  # so that not even rounding depends on what was filmed there
    regions = [plane[inside] for plane in planes]
    free: Floats | np.float32 = np.float32(1)
    if patch.kept is not None:
        free = 1 - patch.kept.on(group[0], inside[1].start, inside[0].start, mask.shape)
    mask *= free
    if patch.painted is not None:
        made = _painted(patch.warps, patch.painted, local, size, group, black)
    else:
        made = _fused(patch, local, size, group, black)
        ring = to_plane(patch.ring, from_mask, size) * free
        limit = _FURTHEST * (1 << depth)
        for index, region, pixels in zip(group, regions, made, strict=True):
            furthest = _COLOR_FURTHEST if index else _LIGHT_FURTHEST
            own = _agreed(region - pixels, ring, furthest * (1 << depth))
            pixels += color_offset(region, pixels, own, limit)
    top = float((1 << depth) - 1)
    for region, pixels in zip(regions, made, strict=True):
        mixed = region + mask * (pixels - region)
        # a mask of zero adds exactly nothing, so rounding gives the sample back
        region[...] = np.clip(np.rint(mixed), 0, top).astype(region.dtype)


def _agreed(difference: Floats, ring: Floats, limit: float) -> Floats:
    """``ring`` (H, W) without the places whose difference is farther than ``limit`` from most of it: there one of both
    pictures shows no skin.
    """
    most = difference[ring > _ON_RING]
    if not most.size:
        return ring
    return np.asarray(ring * (np.abs(difference - np.median(most)) < limit), np.float32)


def _fused(
    patch: Patch,
    local: align.Matrix,
    size: tuple[int, int],
    group: Sequence[int],
    black: float,
) -> list[Floats]:
    """The references mixed: light and color of skin cross-fade, its fine texture comes from the heaviest one, the mouth
    from the first one.

    A plain average of two warped frames would lose the skin's detail, and show two mouths.
    """
    weights = [weight for _, _, weight in patch.warps]
    lead = weights.index(max(weights))
    made = [warped(ref, warp, local, size, group, black) for ref, warp, _ in patch.warps]
    sigma = _texture_sigma(local)
    from_mask = align.compose(local, align.invert(grid_from_canonical(GRID)))
    mouth = to_plane(patch.mouth, from_mask, size) if len(made) > 1 else None
    fused = []
    for number, index in enumerate(group):
        parts = [pictures[number] for pictures in made]
        mixed = parts[lead]
        if mouth is not None:
            skin = mixed
            if weights[lead] < 1:
                others = [w * (p - mixed) for w, p in zip(weights, parts, strict=True)]
                skin = mixed + cv2.GaussianBlur(np.sum(others, axis=0), (0, 0), sigma)
            # of the skin around it the mouth gets the light, and nothing that has a shape
            light = color_offset(skin, parts[0], 1 - mouth, np.inf)
            mixed = skin + mouth * (parts[0] + light - skin)
        if index == 0:
            shares = [
                w if mouth is None else w + mouth * ((k == 0) - w) for k, w in enumerate(weights)
            ]
            lent = list(zip(parts, shares, strict=True))
            mixed = _with_detail(mixed, lent, sigma, _MIXED, single=mouth is None)
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
    *,
    single: bool = False,
) -> Floats:
    """``mixed`` with as much detail as what it was mixed from: mixing and resampling smooth.

    The local energy of detail, (H, W), is compared with that of the references ``lent`` under their weights; what
    is missing is given back by amplifying the detail that is there, by ``gains`` at least and at most. Of a ``single``
    reference, which was not mixed, nothing is missing but the least.
    """
    reach = 2 * round(_DETAIL * sigma) + 1

    def smooth(picture: Floats) -> Floats:
        once = cv2.blur(picture, (reach, reach), borderType=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.blur(once, (reach, reach), borderType=cv2.BORDER_REPLICATE))

    detail = mixed - smooth(mixed)
    if single:
        detail *= np.float32(gains[0] - 1)
        detail += mixed
        return detail
    wanted = np.zeros_like(detail)
    for picture, weight in lent:
        fine = picture - smooth(picture)
        fine *= fine
        fine *= weight
        wanted += fine
    always, most = gains
    gain = np.sqrt((smooth(wanted) + 1) / (smooth(detail * detail) + 1))
    np.clip(gain, 1, most, out=gain)
    detail *= np.float32(always) * gain - 1
    detail += mixed
    return detail


def _painted(
    warps: Sequence[tuple[Reference, Warp, float]],
    painted: Painted,
    local: align.Matrix,
    size: tuple[int, int],
    group: Sequence[int],
    black: float,
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
        pictures = warped(reference, warp, local, size, group, black)
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
    height, width = ring.shape
    coarse = (min(_MATCH, width), min(_MATCH, height))
    # a few samples of each cell say as much as all
    down, across = (slice(None, None, max(1, side // _SAMPLES)) for side in (height, width))
    some = down, across
    region, made, ring = region[some], made[some], ring[some]
    difference = np.clip(region.astype(np.float32) - made, -limit, limit)
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
