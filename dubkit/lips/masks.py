"""Where a patch is shown: soft masks of mouths and lower faces, and the skin on which it must agree with the picture.

All lie on a grid of 128 x 128 of `mesh_warp.grid_from_canonical`.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dubkit.faces import align, landmark_layout
from dubkit.lips.mesh_warp import grid_from_canonical, grid_points
from dubkit.records import Floats

GRID = 128  # side of every mask, on `warp.grid_from_canonical`
# how far the outline lies beyond the jaw, and inside of it where it does not move, of the distance to the mouth
_BEYOND, _INSET = 0.02, 0.2
# and beyond the chin, in the middle of the jaw: what is filmed of a chin that was lower is covered whole
_THROAT = 0.12 * np.cos(np.linspace(-1.57, 1.57, 15, dtype=np.float32))[:, None] ** 3
# how much nearer to the nose, beside the other, the side of a head is that begins to turn away, and one that has; how
# soft the silhouette is there, and how far inside of it the patch ends, in canonical units
_TURNED, _CUT, _CUT_INSET = (0.15, 0.45), 0.03, 0.04
# canonical units of skin that is covered around both mouths, and the softness of its edge
_LIPS_REACH, _LIPS_SOFT = 0.15, 0.07
_FACE_WIDTH = 2.3  # canonical units
_RING_INSET = 7  # grid pixels across: skin lies half as far inside the face's outline
_NO_SKIN = 0.003  # weight of the mask's edge where it is not on skin: only where it is nowhere
# canonical units around the lips, and the softness of their border
_LIPS_OWN, _LIPS_BORDER = 0.05, 0.05


def mouth_mask(target: Floats) -> Floats:
    """(128, 128) 0..1: the lips of ``target`` (L, 2) and what is between them."""
    unit = float(grid_from_canonical(GRID)[0, 0])
    drawn = _hulls((target,), _LIPS_OWN)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), _LIPS_BORDER * unit))


def soft_mask(current: Floats, target: Floats, feather: float) -> Floats:
    """(128, 128) 0..1 on the canonical warp grid: where a patch is shown.

    ``current`` and ``target`` (L, 2) canonical landmarks; ``feather`` is the edge's width in face widths.
    The edge runs under the nose, over the cheeks, inside the jaw's sides, which do not move, and around both chins;
    it is exactly 0 outside. Both mouths lie in it whole, even where the corners of a smile reach beyond that edge.
    """
    outwards = _BEYOND - _INSET * landmark_layout.JAW_HELD[2:-2] + _THROAT
    face = _lower_face(current, target, feather, np.asarray(outwards, np.float32))
    whole = _steepened(np.maximum(face, _mouths(current, target)))
    return np.asarray(whole * _silhouette(current, target), np.float32)


def _silhouette(current: Floats, target: Floats) -> Floats:
    """(128, 128) 0..1: 0 beyond the silhouette on the side of a turned head that is far: what is there is no face."""
    nose = float(current[landmark_layout.NOSE_TIP[0], 0])
    oval = current[landmark_layout.OVAL, 0]
    sides = np.array([nose - oval.min(), oval.max() - nose])
    near, far = _TURNED
    turned = np.clip((1 - sides / max(sides.max(), 1e-3) - near) / (far - near), 0, 1)
    if not turned.any():
        return np.ones((GRID, GRID), np.float32)
    to_grid = grid_from_canonical(GRID)
    unit = float(to_grid[0, 0])
    face = np.zeros((GRID, GRID), np.uint8)
    for shape in (current, target):
        points = np.round(align.apply(to_grid, shape[landmark_layout.OVAL]) * 16).astype(np.int32)
        cv2.fillPoly(face, [points], 255, cv2.LINE_AA, 4)
    reach = 2 * round(_CUT_INSET * unit) + 1
    hard = cv2.erode(face, np.ones((reach, reach), np.uint8)).astype(np.float32) / 255
    inside: Floats = cv2.GaussianBlur(hard, (0, 0), _CUT * unit).astype(np.float32)
    across = (grid_points(GRID)[0, :, 0] - nose) / 0.2
    share = np.where(across < 0, turned[0], turned[1]) * np.clip(np.abs(across), 0, 1)
    return np.asarray(1 - share[None] * (1 - inside), np.float32)


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
    unit = float(grid_from_canonical(GRID)[0, 0])
    drawn = _hulls((current, target), _LIPS_REACH)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), _LIPS_SOFT * unit))


# canonical units around a place at which something lies over the face where more of it is looked for, how far around
# it nothing is painted, and the softness of that
_NEAR, _AROUND, _COVER_SOFT = 0.35, 0.06, 0.04


def cover_mask(points: Floats, foreign: Floats) -> Floats:
    """(128, 128) 0..1: what lies over a face near ``points`` (N, 2), where pictures are ``foreign`` (128, 128) 0..1."""
    to_grid = grid_from_canonical(GRID)
    unit = float(to_grid[0, 0])
    near = np.zeros((GRID, GRID), np.uint8)
    for place in np.round(align.apply(to_grid, points) * 16).astype(np.int32).tolist():
        cv2.circle(near, place, round(_NEAR * unit * 16), 1, -1, cv2.LINE_8, 4)
    thick = cv2.morphologyEx(foreign * near, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    reach = 2 * round(_AROUND * unit) + 1
    wide = cv2.dilate(thick, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), _COVER_SOFT * unit), np.float32)


def _hulls(faces: Sequence[Floats], reach: float) -> Floats:
    """(128, 128) 0 or 1: the lips of all ``faces`` (L, 2) with ``reach`` canonical units around them."""
    to_grid = grid_from_canonical(GRID)
    mask = np.zeros((GRID, GRID), np.uint8)
    for face in faces:
        hull = cv2.convexHull(align.apply(to_grid, face[landmark_layout.LIPS_OUTER]))
        fixed = np.round(hull * 16).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, 4)
        width = round(2 * reach * float(to_grid[0, 0]))
        cv2.polylines(mask, [fixed], True, 255, width, cv2.LINE_AA, 4)
    return np.asarray(mask.astype(np.float32) / 255)


def _steepened(soft: Floats) -> Floats:
    ramp = np.clip(soft * 1.1 - 0.05, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)


def skin_ring(current: Floats, target: Floats, mask: Floats) -> Floats:
    """(128, 128) weights where a patch must agree with the picture: the mask's edge, on what is skin in both.

    ``current`` and ``target`` (L, 2) canonical landmarks of the frame and of the patch.
    """
    to_grid = grid_from_canonical(GRID)
    both = np.ones((GRID, GRID), np.float32)
    for face in (current, target):
        skin = np.zeros((GRID, GRID), np.uint8)
        points = np.round(align.apply(to_grid, face[landmark_layout.OVAL]) * 16).astype(np.int32)
        cv2.fillPoly(skin, [points], 255, cv2.LINE_8, 4)
        inner = cv2.erode(skin, np.ones((_RING_INSET, _RING_INSET), np.uint8))
        both *= inner.astype(np.float32) / 255
    edge = np.clip(4 * mask * (1 - mask), 0, 1)
    return np.asarray(edge * (_NO_SKIN + both), np.float32)
