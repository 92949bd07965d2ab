"""Spoils rendered shots on purpose, in the film's own planes: what `calibrate_gate.py` wants the gate to catch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout
from dubkit.lips import masks
from dubkit.lips.mesh_warp import grid_from_canonical
from dubkit.media.planes import Plane, plane_format, plane_from_display
from dubkit.metrics.lip_sync import LEAST_LABIALS, Speech
from dubkit.metrics.lips import LABIALS, MARKS, labial_frames
from dubkit.records import FaceTrack, VideoInfo

Planes = tuple[Plane, ...]
SEAM, FLICKER, BLUR = 12.0, 6.0, 0.06  # 8-bit levels, 8-bit levels, canonical units
BESIDE = 12.0  # 8-bit levels
STAIN, STAIN_SPREAD = 14.0, 0.22  # 8-bit levels of color, canonical units
CHIN = 0.18  # canonical units that a second chin is lower
PIECE, PIECE_RADIUS = 0.22, 0.12  # canonical units: beside the face's outline, and how large
OFTEN, TURN = 8, 3  # frames
LEAST_OPEN, APART = 8, 15.0  # open mouths in a shot; 8-bit levels by which they differ in light
OPEN, NEAR = 0.045, 0.06  # opening over face width of open lips; seconds beside P, B and M
# canonical left, top, right, bottom
_UPPER = (-1.1, -1.1, 1.1, 0.25)  # eyes and forehead
_FACE = (-1.2, -1.1, 1.2, 2.1)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A rendered shot with its one dubbed face."""

    info: VideoInfo
    track: FaceTrack
    start: int  # frame of the film of ``pictures[0]``
    pictures: Sequence[Planes]

    def row(self, number: int) -> int:
        """The track's row of a picture, the nearest one there is."""
        return int(np.clip(self.start + number - self.track.start, 0, len(self.track) - 1))

    def face(self, number: int) -> NDArray[np.float32]:
        return np.asarray(np.nan_to_num(self.track.landmarks[self.row(number)]), np.float32)

    def plane_from_canonical(self, number: int, plane: int) -> align.Matrix:
        way = align.invert(align.canonical_from_face(self.face(number)))
        layout = plane_format(self.info)
        return align.compose(plane_from_display(self.info, layout, plane), way)

    def mask(self, number: int, plane: int) -> NDArray[np.float32]:
        """(H, W) what a patch covers, soft."""
        return self._laid(masks.soft_mask, number, plane)

    def lower_face(self, number: int, plane: int) -> NDArray[np.float32]:
        """(H, W) all of the lower face, soft."""
        return self._laid(masks.whole_mask, number, plane)

    def _laid(
        self, covered: Callable[..., NDArray[np.float32]], number: int, plane: int
    ) -> NDArray[np.float32]:
        face = self.face(number)
        canonical = align.apply(align.canonical_from_face(face), face)
        grid = covered(canonical, canonical, 0.12)
        matrix = self.plane_from_canonical(number, plane)
        to_plane = align.compose(matrix, align.invert(grid_from_canonical(len(grid))))
        height, width = self.pictures[number][plane].shape
        return np.asarray(cv2.warpAffine(grid, to_plane, (width, height)), np.float32)

    def box(
        self, number: int, plane: int, sides: tuple[float, float, float, float]
    ) -> NDArray[np.float32]:
        """(H, W) 1 inside a canonical rectangle, else 0."""
        left, top, right, bottom = sides
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)
        laid = align.apply(self.plane_from_canonical(number, plane), corners)
        mask = np.zeros(self.pictures[number][plane].shape, np.float32)
        cv2.fillConvexPoly(mask, np.round(laid).astype(np.int32), 1.0)
        return mask


Spoil = Callable[[Rendered, int], Planes]


def _added(shot: Rendered, number: int, amount: float, hard: bool) -> Planes:
    """More light on the lower face."""
    luma, *rest = shot.pictures[number]
    mask = shot.mask(number, 0)
    mask = (mask > 0.5).astype(np.float32) if hard else mask
    return (_rounded(luma + amount * mask, luma), *rest)


def _rounded(values: NDArray[Any], like: Plane) -> Plane:
    made: Plane = np.clip(np.rint(values), 0, 255).astype(like.dtype)
    return made


def seam(shot: Rendered, number: int) -> Planes:
    """A patch a little too bright, with a hard border."""
    return _added(shot, number, SEAM, hard=True)


def flicker(shot: Rendered, number: int) -> Planes:
    """A patch whose brightness changes from frame to frame."""
    amount = np.random.default_rng(shot.start + number).normal(0, FLICKER)
    return _added(shot, number, float(amount), hard=False)


def blurred(shot: Rendered, number: int) -> Planes:
    """A soft mouth."""
    luma, *rest = shot.pictures[number]
    mask = shot.mask(number, 0)
    sigma = BLUR * align.scale_of(shot.plane_from_canonical(number, 0))
    soft = cv2.GaussianBlur(luma.astype(np.float32), (0, 0), max(sigma, 0.5))
    return (_rounded(luma + mask * (soft - luma), luma), *rest)


def frozen(shot: Rendered, number: int) -> Planes:
    """The lower face of the middle picture on all of them."""
    return _pasted(shot, number, shot, len(shot.pictures) // 2)


def wrong_face(donor: Rendered) -> Spoil:
    """The lower face of someone else who speaks, its brightness and color brought near."""

    def spoil(shot: Rendered, number: int) -> Planes:
        return _pasted(shot, number, donor, number % len(donor.pictures))

    return spoil


def _pasted(shot: Rendered, number: int, donor: Rendered, other: int) -> Planes:
    made = []
    for k, plane in enumerate(shot.pictures[number]):
        back = align.invert(donor.plane_from_canonical(other, k))
        matrix = align.compose(shot.plane_from_canonical(number, k), back)
        size = plane.shape[::-1]
        source = donor.pictures[other][k].astype(np.float32)
        mode = cv2.BORDER_REPLICATE
        there = cv2.warpAffine(source, matrix, size, flags=cv2.INTER_LINEAR, borderMode=mode)
        mask = shot.lower_face(number, k)
        ring = 4 * mask * (1 - mask)
        offset = float((ring * (plane - there)).sum() / max(float(ring.sum()), 1e-6))
        made.append(_rounded(plane + mask * (there + offset - plane.astype(np.float32)), plane))
    return tuple(made)


def stained(shot: Rendered, number: int) -> Planes:
    """An orange stain on a cheek; a gray film has none."""
    if plane_format(shot.info).is_rgb:
        return shot.pictures[number]
    luma, *colors = shot.pictures[number]
    face = shot.face(number)
    cheek = (face[landmark_layout.MOUTH_LEFT] + face[landmark_layout.JAW[14]]) / 2
    made = []
    for k, (plane, sign) in enumerate(zip(colors, (-1, 1), strict=False), 1):
        matrix = shot.plane_from_canonical(number, k)
        place = align.apply(matrix, align.apply(align.canonical_from_face(face), cheek))
        spread = STAIN_SPREAD * align.scale_of(matrix)
        height, width = plane.shape
        rows, columns = np.mgrid[:height, :width]
        away = (columns - place[0]) ** 2 + (rows - place[1]) ** 2
        made.append(_rounded(plane + sign * STAIN * np.exp(-away / (2 * spread**2)), plane))
    return (luma, *made)


def second_chin(shot: Rendered, number: int) -> Planes:
    """Under the chin another one: the face's outline again, a little lower."""
    made = []
    face = shot.face(number)
    canonical = align.apply(align.canonical_from_face(face), face)
    oval = canonical[landmark_layout.OVAL]
    lower = np.concatenate(
        [canonical[landmark_layout.JAW], canonical[landmark_layout.NOSE_TIP[:1]]]
    )
    for k, plane in enumerate(shot.pictures[number]):
        matrix = shot.plane_from_canonical(number, k)
        drop = align.apply(matrix, np.array([[0, CHIN], [0, 0]], np.float32))
        by = drop[0] - drop[1]
        size = plane.shape[::-1]
        moved = cv2.warpAffine(
            plane.astype(np.float32),
            np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float32),
            size,
            borderMode=cv2.BORDER_REPLICATE,
        )
        again = _polygon(align.apply(matrix, lower) + by, plane)
        kept = _polygon(align.apply(matrix, oval), plane)
        soft = max(0.02 * align.scale_of(matrix), 0.4)
        mask = cv2.GaussianBlur(np.clip(again - kept, 0, 1), (0, 0), soft)
        made.append(_rounded(plane + mask * (moved - plane), plane))
    return tuple(made)


def piece(shot: Rendered, number: int) -> Planes:
    """A piece of cheek that lies beside the face, over what is behind it."""
    made = []
    face = shot.face(number)
    canonical = align.apply(align.canonical_from_face(face), face)
    edge = canonical[landmark_layout.JAW[14]]
    inwards = canonical[landmark_layout.LIPS].mean(0) - edge
    inwards /= max(float(np.linalg.norm(inwards)), 1e-6)
    for k, plane in enumerate(shot.pictures[number]):
        matrix = shot.plane_from_canonical(number, k)
        here, there = (align.apply(matrix, edge + way * inwards) for way in (-PIECE, PIECE))
        by = here - there
        moved = cv2.warpAffine(
            plane.astype(np.float32),
            np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float32),
            plane.shape[::-1],
            borderMode=cv2.BORDER_REPLICATE,
        )
        mask = np.zeros(plane.shape, np.float32)
        radius = max(1, round(PIECE_RADIUS * align.scale_of(matrix)))
        cv2.circle(mask, tuple(np.round(here).astype(int).tolist()), radius, 1.0, -1, cv2.LINE_AA)
        made.append(_rounded(plane + mask * (moved - plane), plane))
    return tuple(made)


def _polygon(points: NDArray[np.float32], like: Plane) -> NDArray[np.float32]:
    drawn = np.zeros(like.shape, np.float32)
    cv2.fillPoly(drawn, [np.round(points * 16).astype(np.int32)], 1.0, cv2.LINE_8, 4)
    return drawn


def blurred_at_times(shot: Rendered, number: int) -> Planes:
    """A soft mouth in every eighth frame."""
    return blurred(shot, number) if number % OFTEN == OFTEN // 2 else shot.pictures[number]


def switching_teeth(
    shot: Rendered, mouths: NDArray[np.float32], opened: NDArray[np.float64]
) -> Spoil | None:
    """The inner mouth of the lightest and of the darkest open mouth in turns, each for `TURN` frames; None where they
    look alike or too few mouths are open.

    ``mouths`` (T, L, 2) canonical landmarks of the result by row, ``opened`` (T,) its openings.
    """
    wide = [
        n
        for n in range(len(shot.pictures))
        if shot.start + n - shot.track.start in range(len(opened)) and opened[shot.row(n)] >= OPEN
    ]
    if len(wide) < LEAST_OPEN:
        return None
    light = {n: _light(shot, n, mouths[shot.row(n)]) for n in wide}
    ends = (min(wide, key=light.__getitem__), max(wide, key=light.__getitem__))
    if light[ends[1]] - light[ends[0]] < APART:
        return None

    def spoil(shot: Rendered, number: int) -> Planes:
        if number not in light:
            return shot.pictures[number]
        return _mouth_pasted(shot, number, ends[number // TURN % 2], mouths)

    return spoil


def _light(shot: Rendered, number: int, mouth: NDArray[np.float32]) -> float:
    """Mean luma inside the lips, 8-bit levels."""
    luma = shot.pictures[number][0]
    laid = align.apply(shot.plane_from_canonical(number, 0), mouth[landmark_layout.LIPS_INNER])
    mask = _polygon(laid, luma)
    return float((mask * luma).sum() / max(float(mask.sum()), 1e-6))


def _mouth_pasted(shot: Rendered, number: int, other: int, mouths: NDArray[np.float32]) -> Planes:
    """What ``other`` shows inside its lips, stretched to these."""
    made = []
    inner = landmark_layout.LIPS_INNER
    for k, plane in enumerate(shot.pictures[number]):
        to, way = (
            align.apply(shot.plane_from_canonical(n, k), mouths[shot.row(n)][inner])
            for n in (number, other)
        )
        boxes = [np.array([p.min(0), (p[:, 0].max(), p[:, 1].min()), p.max(0)]) for p in (way, to)]
        matrix = cv2.getAffineTransform(*(b.astype(np.float32) for b in boxes))
        source = shot.pictures[other][k].astype(np.float32)
        there = cv2.warpAffine(source, matrix, plane.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        mask = _polygon(to, plane)
        made.append(_rounded(plane + mask * (there - plane), plane))
    return tuple(made)


def beside(shot: Rendered, number: int) -> Planes:
    """Eyes and forehead, which no dub may touch, too bright."""
    luma, *rest = shot.pictures[number]
    return (_rounded(luma + BESIDE * shot.box(number, 0, _UPPER), luma), *rest)


def lost(shot: Rendered, number: int) -> Planes:
    """The whole face is one stain: a patch that failed."""
    made = []
    for k, plane in enumerate(shot.pictures[number]):
        mask = shot.box(number, k, _FACE)
        mean = float((mask * plane).sum() / max(float(mask.sum()), 1e-6))
        made.append(_rounded(plane + mask * (mean - plane.astype(np.float32)), plane))
    return tuple(made)


def open_lips(shot: Rendered, opened: NDArray[np.float64], speech: Speech) -> Spoil | None:
    """In P, B and M the lower face of the nearest picture with open lips; None where there are too few of either.

    ``opened`` (T,) is the opening of the lips in the rows of the track.
    """
    count = sum(
        symbol.rstrip(MARKS) in LABIALS
        for symbol, start, _ in speech.phonemes
        if speech.times[0] <= start <= speech.times[-1]
    )
    wide = np.flatnonzero(np.nan_to_num(opened) >= OPEN)
    if count < LEAST_LABIALS or not len(wide):
        return None
    wider = [(symbol, start - NEAR, end + NEAR) for symbol, start, end in speech.phonemes]
    shut = labial_frames(speech.times, wider)

    def spoil(shot: Rendered, number: int) -> Planes:
        row = shot.row(number)
        if not shut[row]:
            return shot.pictures[number]
        other = int(wide[np.abs(wide - row).argmin()]) + shot.track.start - shot.start
        return _pasted(shot, number, shot, other)

    return spoil
