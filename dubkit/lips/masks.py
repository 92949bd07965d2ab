"""Where a patch is shown and what an image net must not see: soft masks of the lower face on a canonical grid."""

from __future__ import annotations

import cv2
import numpy as np

from dubkit.faces import landmark_layout
from dubkit.faces.align import apply
from dubkit.lips.mesh_warp import grid_from_canonical
from dubkit.records import Floats

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
        centre = face[landmark_layout.LIPS_OUTER].mean(0)
        nose = face[landmark_layout.NOSE_TIP[2]]
        top = np.stack(
            [nose * (1 - w) + jaw[k] * w for k, w in ((-1, 0.6), (-1, 0.25), (0, 0.25), (0, 0.6))]
        )
        outline = np.concatenate([jaw, top])
        outline = outline + further * (outline - centre)
        points = np.round(apply(to_grid, outline) * 16).astype(np.int32)
        cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, 4)
    width = max(feather * _FACE_WIDTH * to_grid[0, 0], 1.0)
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), width / 3))


def _mouths(current: Floats, target: Floats) -> Floats:
    """(128, 128) 0..1: both mouths with the skin around them."""
    to_grid = grid_from_canonical(GRID)
    unit = float(to_grid[0, 0])
    mask = np.zeros((GRID, GRID), np.uint8)
    for face in (current, target):
        hull = cv2.convexHull(apply(to_grid, face[landmark_layout.LIPS_OUTER]))
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
        [np.round(apply(to_grid, current[landmark_layout.OVAL]) * 16).astype(np.int32)],
        255,
        cv2.LINE_8,
        4,
    )
    inside = cv2.erode(skin, np.ones((5, 5), np.uint8)).astype(np.float32) / 255
    edge = np.clip(4 * mask * (1 - mask), 0, 1)
    return np.asarray(edge * (0.03 + inside), np.float32)
