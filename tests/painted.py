"""Painted faces: a film whose faces carry their own position in their colors, and engines that read it.

Red and green are canonical x and y, blue is the person and how far the mouth is open. A landmark engine
that fits red and green is exact, sees a face only where it is visible, and works on any decoded picture;
so tracking can be tested against the truth, without a net.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.faces.align import CROP_SIDE, Matrix, apply, invert, mean_face
from dubkit.faces.association import bounds, five_points
from dubkit.records import Detection, Floats

CENTER = np.array([0.0, 0.55])
RADII = np.array([1.25, 1.6])
LEVELS = 40.0  # of red and green to a canonical unit
FIRST_PERSON, NEXT_PERSON, OPEN = 60.0, 60.0, 24.0  # levels of blue
DROP = 0.4  # how far a wide open mouth's lower lip hangs, canonical units


@dataclass(frozen=True)
class Person:
    """A face in one frame, nearest to the camera last."""

    number: int  # 0..2
    x: float  # between the eyes, display pixels
    y: float
    size: float  # inter-ocular distance, pixels
    roll: float = 0.0  # degrees clockwise
    opening: float = 0.0  # 0..1

    @property
    def display_from_canonical(self) -> Matrix:
        c, s = np.cos(np.radians(self.roll)), np.sin(np.radians(self.roll))
        return np.array(
            [[self.size * c, -self.size * s, self.x], [self.size * s, self.size * c, self.y]]
        )

    @property
    def landmarks(self) -> Floats:
        return apply(self.display_from_canonical, face(self.opening))


Scene = Callable[[int], Sequence[Person]]


def face(opening: float) -> Floats:
    """(L, 2) canonical landmarks of a painted face."""
    points: Floats = mean_face().copy()
    rings = [landmark_layout.LIPS_INNER[1:10], landmark_layout.LIPS_OUTER[1:10]]
    points[np.concatenate(rings), 1] += DROP * opening
    return points


def paint(people: Sequence[Person], width: int, height: int) -> NDArray[np.uint8]:
    """One frame, RGB."""
    picture = np.zeros((height, width, 3), np.uint8)
    for person in people:
        reach = 2.5 * person.size
        left, right = (int(np.clip(person.x + r, 0, width)) for r in (-reach, reach))
        top, bottom = (int(np.clip(person.y + r, 0, height)) for r in (-reach, reach))
        y, x = np.mgrid[top:bottom, left:right]
        at = apply(invert(person.display_from_canonical), np.stack([x, y], -1))
        inside = (((at - CENTER) / RADII) ** 2).sum(-1) < 1
        blue = FIRST_PERSON + NEXT_PERSON * person.number + OPEN * person.opening
        color = np.dstack([128 + LEVELS * at, np.full(at.shape[:2], blue)])
        picture[top:bottom, left:right][inside] = np.round(color[inside]).astype(np.uint8)
    return picture


def read(picture: NDArray[np.uint8]) -> list[tuple[int, Matrix, float, int]]:
    """Person, ``picture_from_canonical``, opening and visible pixels of every face in a picture."""
    found: list[tuple[int, Matrix, float, int]] = []
    blue = picture[..., 2].astype(np.float32) - FIRST_PERSON
    if picture[..., 2].max(initial=0) < FIRST_PERSON - 0.4 * OPEN:
        return found
    for number in range(3):
        opened = (blue - NEXT_PERSON * number) / OPEN
        mask = ((opened > -0.4) & (opened < 1.4)).astype(np.uint8)
        visible = int(mask.sum())
        inner = cv2.erode(mask, np.ones((3, 3), np.uint8)).astype(bool)
        if inner.sum() < 30:
            continue
        ys, xs = np.nonzero(inner)
        known = np.column_stack([xs, ys, np.ones(len(xs))])
        fit = np.linalg.lstsq(known, (picture[inner][:, :2] - 128.0) / LEVELS, rcond=None)[0]
        found.append(
            (
                number,
                invert(np.asarray(fit.T, np.float64)),
                float(np.median(opened[inner])),
                visible,
            )
        )
    return found


class PaintedDetector:
    """Reads painted faces of a whole picture; ``blind`` people are overlooked."""

    name = "painted"
    version = "1"

    def __init__(self, settings: object = None, device: str = "cpu") -> None:
        self.calls = 0

    def detect(self, picture: NDArray[np.uint8]) -> list[Detection]:
        self.calls += 1
        out = []
        for _, matrix, opening, visible in read(picture):
            points = apply(matrix, face(opening))
            area = np.pi * RADII.prod() * abs(np.linalg.det(matrix[:, :2]))
            x0, y0, x1, y1 = (float(v) for v in bounds(points))
            out.append(Detection((x0, y0, x1, y1), min(1.0, visible / area), five_points(points)))
        return sorted(out, key=lambda d: -d.score)


class PaintedLandmarker:
    """Reads the painted face nearest to the middle of each canonical crop."""

    name = "painted"
    version = "1"
    crop_size = 96

    def __init__(self, settings: object = None, device: str = "cpu", noise: float = 0.0) -> None:
        self.noise = noise  # pixels of the crop
        self._random = np.random.default_rng(0)

    def locate(
        self, crops: NDArray[np.uint8], *, together: bool = False
    ) -> tuple[Floats, Floats, Floats]:
        rows = [self._one(crop) for crop in crops]
        return (
            np.stack([r[0] for r in rows]).astype(np.float32),
            np.stack([r[1] for r in rows]).astype(np.float32),
            np.array([r[2] for r in rows], np.float32),
        )

    def _one(self, crop: NDArray[np.uint8]) -> tuple[Floats, Floats, float]:
        middle = np.array([self.crop_size / 2, self.crop_size / 2 - 0.14 * self.crop_size])
        faces = read(crop)
        if not faces:
            return np.zeros((landmark_layout.COUNT, 2), np.float32), np.zeros(3, np.float32), 0.0
        _, matrix, opening, visible = min(
            faces, key=lambda f: float(np.linalg.norm(f[1][:, 2] - middle))
        )
        area = np.pi * RADII.prod() * (self.crop_size / CROP_SIDE) ** 2
        points = apply(matrix, face(opening))
        shaken = points + self._random.normal(0, self.noise, points.shape) * (self.noise > 0)
        roll = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
        pose = np.array([0.0, 0.0, roll], np.float32)
        return shaken.astype(np.float32), pose, float(min(1.0, visible / area))


class PaintedView:
    """One frame for the tracker."""

    def __init__(self, picture: NDArray[np.uint8], detector: PaintedDetector) -> None:
        self.picture = picture
        self.detector = detector

    def detect(self) -> Sequence[Detection]:
        return self.detector.detect(self.picture)

    def crop(self, crop_from_display: Matrix, size: int) -> NDArray[np.uint8]:
        return np.asarray(
            cv2.warpAffine(self.picture, crop_from_display, (size, size), flags=cv2.INTER_LINEAR)
        )


class PaintedFilm:
    """Frames of a scene, painted when asked for."""

    def __init__(self, scene: Scene, width: int = 320, height: int = 200) -> None:
        self.scene, self.width, self.height = scene, width, height
        self.detector = PaintedDetector()
        self.read = 0  # frames read so far

    def views(self, start: int, end: int) -> Iterator[tuple[int, PaintedView]]:
        for index in range(start, end):
            self.read += 1
            yield (
                index,
                PaintedView(paint(self.scene(index), self.width, self.height), self.detector),
            )
