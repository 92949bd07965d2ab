"""The outline of the lips as the picture shows it: landmarks of a net hold the lips' shape, not always their edge.

A landmarker looks at a small crop and has seen few people: on faces unlike those its outline cuts into full or painted
lips by up to a quarter of their height. What lies outside of it counts as skin and stays, or fades, where the dub moves
the lips: a stain. Color knows better. Across the outline a profile of the picture is taken in every frame; what
separates this face's lips from its skin is learned from all profiles of the shot (Fisher's linear discriminant), and in
each frame the outline moves to where the one turns into the other (a shortest path along the lip, by dynamic
programming). Where lips and skin look alike, nothing moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout

if TYPE_CHECKING:
    from dubkit.faces.tracklet import View
    from dubkit.records import Floats

# places across the outline, outward, in canonical units (eye distances)
PLACES: NDArray[np.float32] = np.arange(-0.10, 0.131, 0.01, dtype=np.float32)
LEAST_EYES = 48.0  # pixels of the display between the eyes, under which a profile shows nothing
LEAST_SEPARATION = 2.0  # standard deviations between the colors of lips and of skin
_CROP, _CROP_SIDE = 128, 2.0  # pixels and units of the square that profiles are taken from
_SKIN = PLACES > 0.065  # what lies so far outward is skin, to learn its color
_LIP = 0.3, 0.65  # and between these shares of the lip's height inward is lip
_REACH = 0.75  # share of the lip's height that the outline may move inward
_NEAR = 0.15, 0.05  # cost of leaving the landmarker's outline by so many canonical units
_STIFF = 0.04  # cost of one step (.01) between neighbors
_HELD = 4.0  # times that at the corners of the mouth, which do not move
_CARRIED, _CARRIED_REACH = 0.8, 0.12  # how far the skin beside the lips goes along, out to where
_DARKEST = 12.0  # of 255, added before logarithms: noise has no color
_MOST_ROWS = 20_000  # samples that a color is learned from
_AT_ONCE = 3000  # frames: all colors of a shot of an hour would fill gigabytes
# of LIPS_OUTER: lower and upper lip without the corners
_HALVES = (np.arange(1, 10), np.arange(11, 20))
_BESIDE = np.setdiff1d(landmark_layout.MOVING, landmark_layout.LIPS)

Profile = NDArray[np.uint8]


def profile(view: View, face: Floats) -> Profile | None:
    """(20, P, 3) RGB across the outline of the lips of ``face`` (L, 2), display coordinates, at `PLACES`.

    None where the face is too small.
    """
    canonical = align.canonical_from_face(face)
    if align.scale_of(canonical) * LEAST_EYES > 1:
        return None
    shape = align.apply(canonical, face)
    outline = shape[landmark_layout.LIPS_OUTER]
    scale, middle = _CROP / _CROP_SIDE, outline.mean(0)
    shift = _CROP / 2 - 0.5 - scale * middle
    crop_from_canonical = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    crop = view.crop(align.compose(crop_from_canonical, canonical), _CROP)
    across = outline[:, None] + outward(outline)[:, None] * PLACES[None, :, None]
    at = align.apply(crop_from_canonical, across)
    x, y = np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1])
    shown = cv2.remap(crop, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shown, np.uint8)


def outward(ring: Floats) -> Floats:
    """(..., N, 2) unit normals of closed rings of points (..., N, 2), away from the middle."""
    along = np.roll(ring, -1, -2) - np.roll(ring, 1, -2)
    normal = np.stack([along[..., 1], -along[..., 0]], -1)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    normal = normal / np.maximum(length, 1e-9)
    side = ((ring - ring.mean(-2, keepdims=True)) * normal).sum(-1, keepdims=True)
    return np.asarray(np.where(side < 0, -normal, normal), np.float32)


def outlined(landmarks: Floats, profiles: Profile) -> Floats:
    """Landmarks (T, L, 2) of one face in the order of time, the lips' outline moved to where ``profiles`` show it.

    ``profiles`` (T, 20, P, 3) are what `profile` gave of each. The skin next to the lips goes along; corners and inner
    lips stay.
    """
    every = max(1, len(landmarks) // _AT_ONCE)
    height = _height(_canonical(landmarks[::every])[1])
    axes = learned(profiles[::every], height)
    if not any(axes):
        return landmarks
    found = np.empty_like(landmarks, np.float32)
    for first in range(0, len(landmarks), _AT_ONCE):
        start = max(0, first - 1)  # the neighbor in time counts
        part = slice(start, first + _AT_ONCE + 1)
        moved = _outlined(landmarks[part], profiles[part], axes)
        found[first : first + _AT_ONCE] = moved[first - start :][:_AT_ONCE]
    return found


def _outlined(landmarks: Floats, profiles: Profile, axes: list[Axis | None]) -> Floats:
    ways, shape = _canonical(landmarks)
    ring, height = shape[:, landmark_layout.LIPS_OUTER], _height(shape)
    step = outward(ring) * displacement(profiles, height, axes)[..., None]
    shape[:, landmark_layout.LIPS_OUTER] += step
    away = np.linalg.norm(shape[:, _BESIDE, None] - ring[:, None], axis=3)
    nearest, near = away.argmin(2), away.min(2)
    part = _CARRIED * np.exp(-((near / _CARRIED_REACH) ** 2))
    shape[:, _BESIDE] += part[..., None] * np.take_along_axis(step, nearest[..., None], 1)
    return np.stack(
        [align.apply(align.invert(w), s) for w, s in zip(ways, shape, strict=True)]
    ).astype(np.float32)


def _canonical(landmarks: Floats) -> tuple[list[align.Matrix], Floats]:
    """Of landmarks (T, L, 2): the ways to canonical coordinates, and the landmarks there."""
    ways = [align.canonical_from_face(face) for face in landmarks]
    return ways, np.stack([align.apply(w, f) for w, f in zip(ways, landmarks, strict=True)])


def _height(shape: Floats) -> Floats:
    """(T, 20) of the lip at each point of its outline."""
    ring, inner = (
        shape[:, ids] for ids in (landmark_layout.LIPS_OUTER, landmark_layout.LIPS_INNER)
    )
    return np.asarray(np.linalg.norm(ring - inner, axis=2), np.float32)


def learned(profiles: Profile, height: Floats) -> list[Axis | None]:
    """What tells lips from skin in profiles (T, 20, P, 3), for both halves of the outline.

    ``height`` (T, 20) is that of the lip at each point, canonical units. None for a lip whose color is too much like
    the skin's.
    """
    colors = _colors(profiles)
    return [_axis(colors[:, half], height[:, half]) for half in _HALVES]


def displacement(profiles: Profile, height: Floats, axes: list[Axis | None]) -> Floats:
    """(T, 20) how far outward the outline lies of where it was taken to be, canonical units, by what was `learned`.

    ``height`` as there. 0 for a lip whose color is too much like the skin's.
    """
    found = np.zeros(profiles.shape[:2], np.float32)
    colors = _colors(profiles)
    for half, axis in zip(_HALVES, axes, strict=True):
        if axis is not None:
            found[:, half] = _edge(axis.likeness(colors[:, half]), height[:, half])
    return found


def _colors(profiles: Profile) -> Floats:
    """(T, 20, P, 3): two color differences and brightness, logarithms, less the frame's skin: light does not matter."""
    light = np.log(profiles.astype(np.float32) + np.float32(_DARKEST))
    red, green, blue = (light[..., k] for k in range(3))
    colors = np.stack([red - green, green - blue, green], -1)
    skin = colors[:, :, _SKIN].mean((1, 2))
    return np.asarray(colors - skin[:, None, None], np.float32)


class Axis(NamedTuple):
    """What tells this person's lips from their skin: a direction of color, and where on it both lie."""

    direction: NDArray[np.float64]
    lip: float
    skin: float

    def likeness(self, colors: Floats) -> Floats:
        """(T, N, P) of colors (T, N, P, 3): 1 for lips, 0 for skin."""
        off = colors @ self.direction - self.skin
        return np.asarray(off / (self.lip - self.skin), np.float32)


def _axis(colors: Floats, height: Floats) -> Axis | None:
    """Learned from colors (T, N, P, 3) and the lip's height (T, N); None where lips and skin look alike."""
    first, last = (-share * height[..., None] for share in _LIP)
    inner = (last <= PLACES) & (first >= PLACES)
    samples = colors[inner], colors[:, :, _SKIN].reshape(-1, 3)
    if len(samples[0]) < 2:
        return None
    lip, skin = (some[:: max(1, len(some) // _MOST_ROWS)].astype(np.float64) for some in samples)
    within = (np.cov(lip.T) + np.cov(skin.T)) / 2 + 1e-5 * np.eye(3)
    apart = lip.mean(0) - skin.mean(0)
    direction = np.linalg.solve(within, apart)
    if float(apart @ direction) < LEAST_SEPARATION**2:
        return None
    one, none = float(np.median(lip @ direction)), float(np.median(skin @ direction))
    return Axis(direction, one, none) if one - none >= 1e-6 else None


def _edge(likeness: Floats, height: Floats) -> Floats:
    """(T, N) where along the profiles lips end: one path along the lip in every frame, with the least cost."""
    known = -np.minimum(-PLACES[0], _REACH * height)[..., None] <= PLACES  # further in is the mouth
    as_lip = np.where(likeness < 1, np.minimum((likeness - 1) ** 2, 1), 0) * known
    as_skin = np.where(likeness > 0, np.minimum(likeness**2, 1), 0) * known
    # an edge between places k and k + 1: all up to k are lip, the others are skin
    cost = as_lip.cumsum(2)[..., :-1] + as_skin[..., ::-1].cumsum(2)[..., -2::-1]
    edges = (PLACES[1:] + PLACES[:-1]) / 2
    weight, unit = _NEAR
    cost = np.where(known[..., :-1], cost + weight * (edges / unit) ** 2, np.float32(1e3))
    if len(cost) > 2:  # the neighbors in time, against noise
        padded = np.concatenate([cost[:1], cost, cost[-1:]])
        cost = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    steps = ((edges[:, None] - edges[None]) / 0.01) ** 2 * _STIFF
    held = _HELD * _STIFF * (edges / 0.01) ** 2
    total, came = cost[:, 0] + held, []
    for point in range(1, cost.shape[1]):
        ways = total[:, :, None] + steps
        came.append(ways.argmin(1))
        total = ways.min(1) + cost[:, point]
    path = [(total + held).argmin(1)]
    rows = np.arange(len(cost))
    for best in reversed(came):
        path.append(best[rows, path[-1]])
    return np.asarray(edges[np.stack(path[::-1], 1)], np.float32)
