"""Where a patch is shown: soft masks of mouths and lower faces, and the skin on which it must agree with the picture.

All lie on a grid of 128 x 128 of `mesh_warp.grid_from_canonical`.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout
from dubkit.lips.mesh_warp import grid_from_canonical, grid_points
from dubkit.records import Floats, Indices

GRID = 128  # side of every mask, on `warp.grid_from_canonical`
# how far the outline lies beyond the jaw, and inside of it where it does not move, of the distance to the mouth
_BEYOND, _INSET = 0.02, 0.2
# and beyond the chin, in the middle of the jaw: what is filmed of a chin that was lower is covered whole
_THROAT = 0.12 * np.cos(np.linspace(-1.57, 1.57, 15, dtype=np.float32))[:, None] ** 3
# how much nearer to the nose, beside the other, the side of a head is that begins to turn away, and one that has; how
# soft the silhouette is there, and how far inside of it the patch ends, in canonical units
_TURNED, _CUT, _CUT_INSET = (0.15, 0.45), 0.03, 0.04
# points down the middle of a face, and how softly its far side begins there, in canonical units
_MIDDLE = np.array(
    [
        landmark_layout.NOSE_TIP[0],
        landmark_layout.LIPS_OUTER[15],
        landmark_layout.LIPS_OUTER[5],
        landmark_layout.JAW[9],
    ]
)
_FAR_SOFT = 0.1
# canonical units: how far below the landmarks' jaw a face may reach, and how much skin goes with the lips
_CHIN_LOWER, _LIPS_BESIDE = 0.3, 0.02
# canonical units: how far inside the landmarks the filmed edge of a cheek is looked for, how far around it skin and
# background are compared, and how far inside of it the patch ends
_EDGE_REACH, _EDGE_BESIDE, _EDGE_INSET = 0.2, 0.4, 0.02
# 255ths by which skin and background begin to be told apart, and are; rows taken together; cost of a sample's step
_APART, _ROWS_ALIKE, _STAY = (12.0, 30.0), 2.5, 0.1
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
    drawn = hulls((target,), _LIPS_OWN)
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
    share = _far_share(current)
    if not share.any():
        return np.ones((GRID, GRID), np.float32)
    face = np.maximum(_oval(current), _oval(target))
    inside = np.maximum(_soft_inside(_chin_lower(face), _CUT_INSET), _lips(current, target))
    return np.asarray(1 - share * (1 - inside), np.float32)


def shown_by(picture: Floats, face: Floats) -> Floats | None:
    """(128, 128) 0..1 what of a reference is face, on the side of a turned head that is far; None for all of it.

    ``picture`` and ``face`` as for `filmed_silhouette`.
    """
    if not is_turned(face):
        return None
    return _silhouette(face, face) * filmed_silhouette(picture, face, face)


def _lips(current: Floats, target: Floats) -> Floats:
    """(128, 128) 0..1: both mouths, which may reach beyond a cheek's silhouette, and with them what is shown."""
    unit = float(grid_from_canonical(GRID)[0, 0])
    drawn = hulls((current, target), _LIPS_BESIDE)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), _CUT * unit), np.float32)


def _chin_lower(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A face (128, 128) with the strip under its jaw in which a beard or a lower chin may be."""
    reach = round(_CHIN_LOWER * float(grid_from_canonical(GRID)[0, 0]))
    below = np.zeros((2 * reach + 1, 1), np.uint8)
    below[: reach + 1] = 1  # OpenCV looks where the kernel lies: above each sample
    return np.asarray(cv2.dilate(face, below), np.uint8)


def is_turned(face: Floats) -> bool:
    """Whether the far side of a face (L, 2) is cut at its silhouette."""
    return bool(_far_share(face).any())


def _far_share(face: Floats) -> Floats:
    """(128, 128) 0..1 how far each place lies on the side of a turned head (L, 2) that is far.

    That side begins at the middle of the face, which in a turned head runs down from the nose aslant.
    """
    nose = float(face[landmark_layout.NOSE_TIP[0], 0])
    oval = face[landmark_layout.OVAL, 0]
    sides = np.array([nose - oval.min(), oval.max() - nose])
    near, far = _TURNED
    turned = np.clip((1 - sides / max(sides.max(), 1e-3) - near) / (far - near), 0, 1)
    if not turned.any():
        return np.zeros((GRID, GRID), np.float32)
    down = face[_MIDDLE]
    places = grid_points(GRID)
    middle = np.interp(places[:, 0, 1], down[:, 1], down[:, 0])
    across = (places[..., 0] - middle[:, None]) / _FAR_SOFT
    share = np.where(across < 0, turned[0], turned[1]) * np.clip(np.abs(across), 0, 1)
    return np.asarray(share, np.float32)


def _oval(face: Floats) -> NDArray[np.uint8]:
    """(128, 128) 0 .. 255 the inside of a face's outline (L, 2)."""
    drawn = np.zeros((GRID, GRID), np.uint8)
    points = align.apply(grid_from_canonical(GRID), face[landmark_layout.OVAL])
    cv2.fillPoly(drawn, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return drawn


def _soft_inside(face: NDArray[np.uint8], inset: float) -> Floats:
    """(128, 128) 0..1 what lies ``inset`` canonical units inside of ``face`` (128, 128) 0 .. 255, with a soft edge."""
    unit = float(grid_from_canonical(GRID)[0, 0])
    reach = 2 * round(inset * unit) + 1
    hard = cv2.erode(face, np.ones((reach, reach), np.uint8)).astype(np.float32) / 255
    return np.asarray(cv2.GaussianBlur(hard, (0, 0), _CUT * unit), np.float32)


def filmed_silhouette(picture: Floats, face: Floats, target: Floats) -> Floats:
    """(128, 128) 0..1: 0 beyond the edge of the far cheek that the picture itself shows, where landmarks missed it.

    ``picture`` (128, 128, C) is the warp's grid as filmed, in 255ths; ``face`` and ``target`` (L, 2) are canonical
    landmarks as filmed and as wanted.
    """
    share = _far_share(face)
    if not share.any():
        return np.ones((GRID, GRID), np.float32)
    mirrored = bool(
        (share * grid_points(GRID)[..., 0]).sum() > share.sum() * face[_MIDDLE, 0].mean()
    )
    outline, skin = _oval(face) > 127, 1 - hulls((face,), _LIPS_OWN)
    if mirrored:  # now the far side is to the left
        outline, skin, picture = outline[:, ::-1], skin[:, ::-1], picture[:, ::-1]
    unit = float(grid_from_canonical(GRID)[0, 0])
    top, chin = (
        int(align.apply(grid_from_canonical(GRID), face[points]).max(0)[1])
        for points in (landmark_layout.NOSE_BRIDGE, landmark_layout.JAW)
    )
    rows = np.arange(max(0, top), min(GRID, chin))
    if not len(rows):  # landmarks of no face
        return np.ones((GRID, GRID), np.float32)
    edges = outline[rows].argmax(1)
    steps = _edge_steps(picture[rows], skin[rows], edges, unit)
    shown = np.full((GRID, GRID), 255, np.uint8)
    cut = np.arange(GRID)[None] < (edges + steps)[:, None]
    shown[rows] = np.where(cut & (steps > 0)[:, None], 0, 255)
    shown = np.ascontiguousarray(shown[:, ::-1] if mirrored else shown)
    inside = np.maximum(_soft_inside(shown, _EDGE_INSET), _lips(face, target))
    return np.asarray(1 - share * (1 - inside), np.float32)


def _edge_steps(picture: Floats, skin: Floats, edges: Indices, unit: float) -> Indices:
    """(R,) how many samples farther right than ``edges`` (R,) the face begins in each row of a picture (R, W, C).

    It is where skin and what lies left of it are told apart best by color, alike in rows that are neighbors; where both
    look alike, the edge stays. ``skin`` (R, W) 0..1 leaves lips out, which are neither.
    """
    reach, width = round(_EDGE_REACH * unit), picture.shape[1]
    beside = np.arange(-round(_EDGE_BESIDE * unit), round(_EDGE_BESIDE * unit) + 1)
    places = np.clip(edges[:, None] + beside, 0, width - 1)
    along = np.arange(len(edges))[:, None]
    seen, counts = picture[along, places], skin[along, places]

    def color(where: NDArray[np.bool_]) -> Floats:
        weight = counts[:, where, None]
        total = cv2.GaussianBlur((weight * seen[:, where]).sum(1), (1, 0), 1, sigmaY=_ROWS_ALIKE)
        count = cv2.GaussianBlur(weight.sum(1), (1, 0), 1, sigmaY=_ROWS_ALIKE).reshape(-1, 1)
        return np.asarray(total.reshape(len(edges), -1) / (count + 1e-3), np.float32)

    inner, outer = color(beside > reach), color(beside < -reach // 2)
    apart = inner - outer
    distance = np.sqrt((apart**2).sum(1))
    near, far = _APART
    told = np.clip((distance - near) / (far - near), 0, 1)
    is_skin = ((seen - outer[:, None]) * apart[:, None]).sum(2) / (distance[:, None] ** 2 + 1)
    is_skin = np.clip(is_skin, 0, 1)
    # what of each row would be cut off though it is skin, and kept though it is none
    wrong_left = np.cumsum(counts * is_skin, 1)
    wrong_right = np.cumsum((counts * (1 - is_skin))[:, ::-1], 1)[:, ::-1]
    at = np.flatnonzero(np.abs(beside) <= reach)
    cost = told[:, None] * (wrong_left[:, at - 1] + wrong_right[:, at])
    cost = cv2.GaussianBlur(cost.astype(np.float32), (1, 0), 1, sigmaY=_ROWS_ALIKE)
    cost += _STAY * np.abs(beside[at])
    steps = beside[at][cost.argmin(1)]
    smooth = cv2.medianBlur(np.maximum(steps, 0).astype(np.float32)[:, None], 5)
    return np.asarray(smooth.ravel().astype(np.intp))


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
    drawn = hulls((current, target), _LIPS_REACH)
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


def hulls(faces: Sequence[Floats], reach: float, to_grid: align.Matrix | None = None) -> Floats:
    """(128, 128) 0 or 1: the lips of all ``faces`` (L, 2) with ``reach`` canonical units around them, on another grid
    than the warp's where ``to_grid`` leads there.
    """
    to_grid = grid_from_canonical(GRID) if to_grid is None else to_grid
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
