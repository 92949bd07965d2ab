"""The warp: a landmark mesh that carries one face's pixels to another mouth shape.

Everything is computed in canonical coordinates on a small grid, so it does not depend on the picture's
resolution; `lips.blend` applies it to native planes. The mesh is piecewise affine: exact at every landmark,
and two lips that meet meet without a smear, because the triangles between them vanish.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout

if TYPE_CHECKING:
    from dubkit.records import Floats

# the part of the canonical plane that a warp covers: from under the eyes to the throat
LEFT, TOP, SIDE = -1.5, 0.0, 3.0
_OPEN = 0.35  # how far the template's mouth is opened before it is triangulated
# the upper part of an open mouth, along it, that hangs on the skull, and how light it is where that ends, of the light
# of the lips: where its picture does not say otherwise
SPLIT: Floats = np.array([[0.5, 0.6, 0.6, 0.6, 0.5], [0.0] * 5], np.float32)
_INSET = (
    0.012  # canonical units inside the source's inner lips from which on there is mouth and no lip
)
_BORDER = 0.05  # canonical units inside the lips whose picture is that of the lip's border
# canonical units of mouth that was never seen over which it gets darkest: behind rows of teeth that part, and that meet
_FADE, _FADE_MEETING = 0.12, 0.02
_PARTED, _MEETING = 0.2, 0.75  # light between them, of that of the lips, above black
# share of the source's mouth above and below the place where teeth part that is drawn out, and where they meet
_BETWEEN, _BETWEEN_MEETING = 0.12, 0.02
_MIDDLE_ONLY = 0.3  # how far it is all as in the middle of the mouth then
# and how much of the light is left there: at most, and of the light of the lips
_DARK, _DARK_OF_LIPS = 0.3, 0.1
_SHUT = 0.06  # canonical units: a mouth less open than this is about to shut
_SHIFT = 6  # fractional bits of OpenCV's polygon filler


def grid_from_canonical(size: int) -> align.Matrix:
    """Canonical coordinates -> pixels of the (size, size) grid; pixel centers at integers."""
    scale = size / (2 * -LEFT)
    return np.array([[scale, 0, -LEFT * scale - 0.5], [0, scale, -TOP * scale - 0.5]])


@cache
def anchors() -> Floats:
    """(A, 2) canonical points around the face that no speech moves."""
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    ring = np.stack([2.3 * np.sin(angle), 0.75 + 2.4 * np.cos(angle)], 1)
    return ring.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles over landmarks and anchors."""

    triangles: NDArray[np.intp]  # (N, 3) into landmarks followed by anchors
    inner: NDArray[np.bool_]  # (N,) the triangle lies between the lips


@cache
def mesh() -> Mesh:
    """Delaunay triangulation of the mean face with its mouth opened (so that lips are never bridged)."""
    points = align.mean_face().copy()
    upper = np.concatenate(
        [
            landmark_layout.LIPS_OUTER[[0, *range(10, 20)]],
            landmark_layout.LIPS_INNER[[0, *range(10, 20)]],
        ]
    )
    lower = np.setdiff1d(
        np.flatnonzero(points[:, 1] > points[landmark_layout.MOUTH_LEFT, 1] - 0.01), upper
    )
    points[lower, 1] += _OPEN * np.clip(1 - (points[lower, 0] / 0.4) ** 2, 0, 1)
    every = np.concatenate([points, anchors()])
    plane = cv2.Subdiv2D((-10, -10, 20, 20))
    plane.insert([(float(x), float(y)) for x, y in every])
    corners = np.asarray(plane.getTriangleList()).reshape(-1, 3, 2)
    corners = corners[(np.abs(corners) < 9).all((1, 2))]  # drop those that touch OpenCV's own frame
    triangles = np.linalg.norm(corners[:, :, None] - every, axis=-1).argmin(-1)
    ring = set(landmark_layout.LIPS_INNER.tolist())
    inner = np.array([all(int(i) in ring for i in row) for row in triangles])
    return Mesh(triangles, inner)


Part = tuple[slice, slice]  # rows and columns of a grid
WHOLE: Part = (slice(None), slice(None))


def triangle_map(target: Floats, size: int, part: Part = WHOLE) -> NDArray[np.int32]:
    """Which triangle covers each grid pixel, (size, size); -1 where none does, and anything outside of ``part``.

    ``target`` (L + A, 2) canonical vertices. The mouth's inside is drawn first, so that lips win where a
    prediction folds them over.
    """
    grid = align.apply(grid_from_canonical(size), target)
    fixed = np.round(grid * (1 << _SHIFT)).astype(np.int32)
    ids = np.full((size, size), -1, np.int32)
    m = mesh()
    (y0, y1, _), (x0, x1, _) = (side.indices(size) for side in part)
    corners = grid[m.triangles]
    low, high = corners.min(1), corners.max(1)
    near = ((high > (x0 - 2, y0 - 2)) & (low < (x1 + 2, y1 + 2))).all(1)
    order = np.concatenate([np.flatnonzero(near & m.inner), np.flatnonzero(near & ~m.inner)])
    for t, corners in zip(order.tolist(), fixed[m.triangles[order]], strict=True):
        cv2.fillConvexPoly(ids, corners, t, cv2.LINE_8, _SHIFT)
    return ids


@dataclass(frozen=True, slots=True)
class Warp:
    """Where a target's grid pixels come from in a source, in canonical units."""

    source: Floats  # (size, size, 2) the source's point that is seen at each
    shade: Floats  # (size, size) 1 everywhere but in the mouth's inside where the source shows less of it
    closing: Floats  # (size, size) 0..1, along lips that shut over what the source shows open

    @property
    def displacement(self) -> Floats:
        """(size, size, 2) source point minus target point."""
        return self.source - grid_points(len(self.source))


def carried(grid: Floats, warp: Warp) -> Floats:
    """A square map of a source, on the warp's grid in any size, carried to the target."""
    size = len(grid)
    source = cv2.resize(warp.source, (size, size), interpolation=cv2.INTER_LINEAR)
    places = cv2.transform(source, grid_from_canonical(size))
    # OpenCV 5.0 reads maps of two channels wrongly where it interpolates linearly
    x, y = (np.ascontiguousarray(places[..., k], np.float32) for k in range(2))
    seen = cv2.remap(grid, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)


def warp(
    target: Floats,
    source: Floats,
    ids: NDArray[np.int32],
    split: Floats = SPLIT,
    part: Part = WHOLE,
) -> Warp:
    """The warp between two vertex sets, (L + A, 2) canonical, of the same mesh; ``ids`` of `triangle_map`.

    ``split`` (2, 5) is where in the source's open mouth, from 0 at the upper lip to 1, the upper teeth have ended, and
    how light it is there, of the light of the lips.
    Outside of ``part``, in which the mouth must lie, nothing is displaced.
    """
    size = ids.shape[0]
    points, ids = grid_points(size)[part], ids[part]
    # both axes of a coefficient are gathered as one number of eight bytes: half the time of gathering each
    table = np.ascontiguousarray(_affine(target, source - target).transpose(2, 0, 1))
    across, down = _paired_points(size)
    field, slope, shift = (
        # -1 takes the last row, which is zero
        pair.view(np.float64)[:, 0].take(ids, mode="wrap").view(np.float32).reshape(points.shape)
        for pair in table
    )
    field *= across[part]
    slope *= down[part]
    field += slope
    field += shift
    whole, shade = grid_points(size).copy(), np.ones((size, size), np.float32)
    covered = np.append(mesh().inner, False)[ids]
    if covered.any():
        field[covered], shade[part][covered] = _mouth(target, source, points[covered], split)
    whole[part] += field
    return Warp(whole, shade, _closing(target, source, size))


# what the upper teeth hang on
_SKULL = np.concatenate(
    [landmark_layout.STABLE, landmark_layout.NOSE_TIP, landmark_layout.NOSTRILS[:4]]
)
_RING = landmark_layout.LIPS_INNER
_CORNERS = _RING[[0, 10]]
_EDGES = (np.append(_RING[0], _RING[:9:-1]), _RING[:11])  # upper and lower lip, from the left
_MIDDLES = (_RING[13:18], _RING[3:8])


def _mouth(target: Floats, source: Floats, points: Floats, split: Floats) -> tuple[Floats, Floats]:
    """Displacement (N, 2) and shade (N,) of points (N, 2) between the lips.

    Teeth do not stretch: the upper ones hang on the skull, the lower ones stand on the lower lip; the upper ones are
    in front. Where the jaw is lower than in the source, what lies between the rows is drawn out and
    darkened, since more of it was never seen; at once where the source shows rows that meet. A row moves with its lip
    only as far as it would otherwise be uncovered farther than the source shows it.
    """
    skull = align.similarity(target[_SKULL], source[_SKULL])
    upper = align.apply(skull, points)
    upper[:, 0] = _within(
        upper[:, 0], align.apply(skull, target[_CORNERS])[:, 0], source[_CORNERS, 0]
    )
    (lip, hung), (under, stood) = (
        (align.apply(skull, target[row])[:, 1].mean(), source[row, 1].mean()) for row in _MIDDLES
    )
    upper[:, 1] += max(hung - lip, 0)
    lower = points[:, 1] + (stood - under) + (align.apply(skull, points)[:, 1] - points[:, 1])
    top, bottom = _inner_edges(source, upper[:, 0])
    columns = np.maximum.accumulate(source[_MIDDLES[1], 0])
    parting, light = (np.interp(upper[:, 0], columns, row).astype(np.float32) for row in split)
    meet = meeting(light)
    ends = top + parting * (bottom - top)
    fallen = max(
        float((upper[:, 1] - lower)[0]), 0.0
    )  # how much lower the jaw is than in the source
    between = _BETWEEN + meet * (_BETWEEN_MEETING - _BETWEEN)
    reach = np.minimum(fallen, between * (bottom - top))
    drawn = np.clip((upper[:, 1] - ends + reach) / (2 * reach + fallen + 1e-6), 0, 1)
    rows = np.where(drawn <= 0, upper[:, 1], np.maximum(lower, ends + reach))
    place = np.where((drawn > 0) & (drawn < 1), ends + (2 * drawn - 1) * reach, rows)
    fade = _FADE + meet * (_FADE_MEETING - _FADE)
    unseen = np.clip(np.minimum(upper[:, 1] - ends, ends - lower) / fade, 0, 1)
    change = float(
        np.abs(target[_RING] - source[_RING]).max()
    )  # where there is none, nothing is held in
    inset = _INSET * min(2 * change / _INSET - 1, 1.0)
    low, high, middle = top + inset, bottom - inset, (top + bottom) / 2
    place = np.clip(place, np.minimum(low, middle), np.maximum(high, middle))
    # what is drawn out is what the middle of the mouth shows: no pattern of teeth
    center = source[_CORNERS, 0].mean()
    across = upper[:, 0] + _MIDDLE_ONLY * unseen * (center - upper[:, 0])
    found = np.stack([across, place], 1)
    above, below = _inner_edges(target, points[:, 0])
    # the border of a lip goes with the lip, as soft as it was filmed
    from_top, from_bottom = points[:, 1] - above, below - points[:, 1]
    near = np.minimum(top + from_top, bottom), np.maximum(bottom - from_bottom, top)
    for edge, distance in zip(near, (from_top, from_bottom), strict=True):
        part = np.clip(distance / _BORDER, 0, 1)
        found[:, 1] = edge + part * part * (3 - 2 * part) * (found[:, 1] - edge)
    wide, seen = np.maximum(below - above, 1e-4), np.maximum(bottom - top, 1e-4)
    shut = np.clip(1 - wide / _SHUT, 0, 1) * np.clip(2 * (1 - wide / seen), 0, 1)
    dark = np.minimum(_DARK, _DARK_OF_LIPS / np.maximum(light, 0.1))
    return found - points, np.asarray(1 - (1 - dark) * np.maximum(unseen, shut), np.float32)


def meeting(light: Floats) -> Floats:
    """(N,) 0..1 how far rows of teeth meet between which there is so much light, of that of the lips (N,)."""
    return np.asarray(np.clip((light - _PARTED) / (_MEETING - _PARTED), 0, 1), np.float32)


def _within(places: Floats, ends: Floats, limits: Floats) -> Floats:
    """Places (N,) between ``ends`` (2,), squeezed as far as it takes to lie within ``limits`` (2,)."""
    left, right = max(ends[0], limits[0]), min(ends[1], limits[1])
    share = (places - ends[0]) / max(ends[1] - ends[0], 1e-4)
    return np.asarray(left + np.clip(share, 0, 1) * max(right - left, 0), np.float32)


def _inner_edges(face: Floats, x: Floats) -> tuple[Floats, Floats]:
    """(N,) heights of the upper and of the lower inner lip at ``x`` (N,)."""
    upper, lower = (
        np.interp(x, np.maximum.accumulate(face[way, 0]), face[way, 1]) for way in _EDGES
    )
    return np.asarray(upper, np.float32), np.asarray(np.maximum(upper, lower), np.float32)


def _closing(target: Floats, source: Floats, size: int) -> Floats:
    """(size, size) 0..1 along the line where lips shut that are open in the source.

    Bright teeth would leave a white thread there; `lips.blend` takes it away.
    """
    lower, upper = landmark_layout.LIPS_INNER[1:10], landmark_layout.LIPS_INNER[:10:-1]
    wide, seen = (np.maximum(v[lower, 1] - v[upper, 1], 1e-4) for v in (target, source))
    shut = np.clip(1.5 * (1 - wide / _SHUT), 0, 1) * np.clip(2 * (1 - wide / seen), 0, 1)
    made = np.zeros((size, size), np.float32)
    if not np.minimum(shut[:-1], shut[1:]).any():
        return made
    line = np.zeros((size, size), np.uint8)
    middle = align.apply(grid_from_canonical(size), (target[lower] + target[upper]) / 2)
    points = np.round(middle * (1 << _SHIFT)).astype(np.int32).tolist()
    for k, part in enumerate(np.minimum(shut[:-1], shut[1:])):
        ends = tuple(points[k]), tuple(points[k + 1])
        cv2.line(line, *ends, float(255 * part), 3, cv2.LINE_AA, _SHIFT)
    x0, y0 = np.clip(middle.min(0).astype(int) - 8, 0, size)
    x1, y1 = np.clip(middle.max(0).astype(int) + 8, 0, size)
    if x1 > x0 and y1 > y0:
        near = line[y0:y1, x0:x1].astype(np.float32) / 255
        made[y0:y1, x0:x1] = cv2.GaussianBlur(near, (0, 0), 0.7)
    return made


def _affine(target: Floats, values: Floats) -> Floats:
    """(N + 1, C, 3): per triangle the affine function of the target's point that meets ``values`` (V, C)."""
    t = target[mesh().triangles].astype(np.float64)
    v = values[mesh().triangles].astype(np.float64)
    a, b = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    flat = np.abs(area) <= 1e-7  # a vanished triangle keeps its first corner's value
    safe = np.where(flat, 1.0, area)[:, None]
    da, db = v[:, 1] - v[:, 0], v[:, 2] - v[:, 0]
    gx = np.where(flat[:, None], 0, (da * b[:, 1:] - db * a[:, 1:]) / safe)
    gy = np.where(flat[:, None], 0, (db * a[:, :1] - da * b[:, :1]) / safe)
    constant = v[:, 0] - gx * t[:, 0, :1] - gy * t[:, 0, 1:]
    rows = np.stack([gx, gy, constant], -1)
    return np.concatenate([rows, np.zeros((1, *rows.shape[1:]))]).astype(np.float32)


@cache
def grid_points(size: int) -> Floats:
    """(size, size, 2) canonical coordinates of the grid's pixel centers."""
    m = grid_from_canonical(size)
    x = (np.arange(size) - m[0, 2]) / m[0, 0]
    y = (np.arange(size) - m[1, 2]) / m[1, 1]
    return np.stack(np.meshgrid(x, y), -1).astype(np.float32)


@cache
def _paired_points(size: int) -> tuple[Floats, Floats]:
    """(size, size, 2) each: x of the grid's pixel centers twice, and y twice."""
    points = grid_points(size)
    across, down = (np.repeat(points[..., k : k + 1], 2, axis=2) for k in range(2))
    return across, down


_LEAST = 0.25  # of a triangle's area on the mean face
_CHEEK = 0.15  # how easily a cheek's point moves, beside the border, the jaw line
_ROUNDS = 30  # at most
_STEP = 0.8  # of what a point's triangles ask for together


@cache
def _rest() -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Triangles that may not fold (N, 3), twice their least signed area (N,), how easily points move (V,)."""
    every = np.concatenate([align.mean_face(), anchors()]).astype(np.float64)
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
    x, y = corners[..., 0], corners[..., 1]
    # what the area gains as a corner moves, from the side opposite it
    right, down = y[:, [1, 2, 0]] - y[:, [2, 0, 1]], x[:, [2, 0, 1]] - x[:, [1, 2, 0]]
    part = free[triangles]
    share = missing / np.maximum((part * (right * right + down * down)).sum(1), 1e-4)
    part *= share[:, None]
    places, points = triangles.ravel(), len(free)
    moves = [np.bincount(places, (part * way).ravel(), points) for way in (right, down)]
    total, count = np.stack(moves, 1), np.bincount(places, minlength=points)
    return np.asarray(_STEP * total / np.maximum(count, 1)[:, None])
