"""Mouths opened, shut and spread by the warp: every portrait can say everything, and its labels are exact.

Few of the training people talk, thousands only look. What one talker's mouth did between two frames is done to
another's own lips, beard and chin; what then shows between the lips is the talker's.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout
from dubkit.lips import mesh_warp, mouth_shape
from dubkit.records import Floats, Indices, Picture

_GRID = 160  # cells to a side, over the lower face
_STRENGTH = (0.6, 1.5)  # of the movement
_WIDEST = 0.24  # opening over face width, beyond which nobody speaks
_OWN_INSIDE = 1.25  # times the own opening up to which one's own teeth are drawn, not the talker's


@dataclass(frozen=True, slots=True)
class Speaker:
    """The rows of one person who talks, and their openings."""

    rows: Indices  # (N,)
    opening: Floats  # (N,) over the face's width

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """Two rows, from the first to the second of which a mouth moves; two of three open it."""
        a, b = (int(k) for k in rng.integers(0, len(self.rows), 2))
        if (self.opening[a] > self.opening[b]) == (rng.random() < 2 / 3):
            a, b = b, a
        return int(self.rows[a]), int(self.rows[b])


def reshape(
    rng: np.random.Generator,
    own: tuple[Picture, Floats, Floats],
    start: tuple[Floats, Floats],
    end: tuple[Floats, Floats],
    end_picture: Picture,
    crop_from_canonical: align.Matrix,
) -> tuple[Picture, Floats]:
    """A crop whose mouth moved as another's from ``start`` to ``end``, and its landmarks (L, 2) in crop pixels.

    ``own`` is the crop (S, S, 3) with its landmarks and pose, ``start`` and ``end`` are the other's landmarks and
    poses, ``end_picture`` the other's crop at the end. All crops lie in the plane ``crop_from_canonical`` leads to.
    """
    back = align.invert(crop_from_canonical)
    picture, points, pose = own
    face = align.apply(back, points)
    shown = [align.apply(back, other) for other, _ in (start, end)]
    shapes = [
        mouth_shape.frontal(other[None], angles[None])
        for other, (_, angles) in zip(shown, (start, end), strict=True)
    ]
    moved = mouth_shape.encode(shapes[1] - shapes[0])
    rest = mouth_shape.frontal(face[None], pose[None])[0]
    change = moved * np.float32(rng.uniform(*_STRENGTH))
    effect = mouth_shape.gap_effect()
    before = float(mouth_shape.gap(rest))
    after = before + float(change[0] @ effect)
    step = effect / float(effect @ effect)
    change += (np.clip(after, 0.0, _WIDEST) - after) * step
    target = mouth_shape.wanted_landmarks(face[None], pose[None], rest, change)[0]
    inside = None if after < _OWN_INSIDE * max(before, 0.0) else (end_picture, shown[1])
    return _drawn(picture, face, target, inside, crop_from_canonical), align.apply(
        crop_from_canonical, target
    )


def _drawn(
    picture: Picture,
    face: Floats,
    target: Floats,
    inside: tuple[Picture, Floats] | None,
    crop_from_canonical: align.Matrix,
) -> Picture:
    """The picture of ``face`` warped to ``target``, canonical landmarks; between its lips ``inside``, if given."""
    goal, source = mesh_warp.vertices(target), mesh_warp.vertices(face)
    ids = mesh_warp.triangle_map(goal, _GRID)
    way = mesh_warp.warp(goal, source, ids)
    size = picture.shape[0]
    over = align.compose(crop_from_canonical, align.invert(mesh_warp.grid_from_canonical(_GRID)))
    shown = _pulled(picture, way.displacement, over, crop_from_canonical)
    between = np.append(mesh_warp.mesh().inner, False)[ids]
    if inside is None:
        shade = cv2.warpAffine(way.shade, over, (size, size), borderValue=1.0)
        shown = shown * shade[..., None]
    elif between.any():
        other, landmarks = inside
        lent = mesh_warp.warp(goal, mesh_warp.vertices(landmarks), ids)
        teeth = _pulled(other, lent.displacement, over, crop_from_canonical)
        mask = cv2.warpAffine(between.astype(np.float32), over, (size, size))
        mask = cv2.GaussianBlur(mask, (0, 0), 0.6)[..., None]
        shown += mask * (
            _in_light(teeth, other, landmarks, picture, face, crop_from_canonical) - shown
        )
    return np.asarray(np.clip(shown, 0, 255), np.uint8)


def _pulled(
    picture: Picture, displacement: Floats, over: align.Matrix, crop_from_canonical: align.Matrix
) -> Floats:
    """The picture (S, S, 3) as a displacement on the grid pulls it, float."""
    size = picture.shape[0]
    moved = cv2.warpAffine(displacement, over, (size, size), flags=cv2.INTER_LINEAR)
    line = np.arange(size, dtype=np.float32)
    places = np.stack(np.meshgrid(line, line), 2) + moved * np.float32(
        align.scale_of(crop_from_canonical)
    )
    return np.asarray(
        cv2.remap(
            picture,
            places[..., 0],
            places[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )


_SKIN = np.concatenate([landmark_layout.CHEEKS, landmark_layout.CHIN])


def _in_light(
    teeth: Floats,
    other: Picture,
    landmarks: Floats,
    picture: Picture,
    face: Floats,
    crop_from_canonical: align.Matrix,
) -> Floats:
    """What lies between another's lips in the light of this picture, as the skin of both says; gray where it is."""
    here, there = (
        _colors(shown, align.apply(crop_from_canonical, where))
        for shown, where in ((picture, face), (other, landmarks))
    )
    if float(np.ptp(here, axis=1).mean()) < 6:
        teeth = np.repeat(teeth.mean(2, keepdims=True), 3, 2)
        there = np.repeat(there.mean(1, keepdims=True), 3, 1)
    # dark skin does not have dark teeth
    gain = np.sqrt((here.mean(0) + 8) / (there.mean(0) + 8))
    gain = np.sqrt(gain * gain.mean())
    return np.asarray(teeth * np.clip(gain, 0.4, 2.0), np.float32)


def _colors(picture: Picture, landmarks: Floats) -> NDArray[np.float32]:
    """(N, 3) of the picture at points of its skin."""
    places = np.clip(np.round(landmarks[_SKIN]).astype(int), 0, picture.shape[0] - 1)
    return np.asarray(picture[places[:, 1], places[:, 0]], np.float32)
