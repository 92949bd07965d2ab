"""Synthetic scenes for the detector: labeled faces at every size on pictures that hold none.

Geometry is exact: a face's box is the bounding box of its landmarks after every transform, so
turned and cut faces are labeled as they stand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from dubkit.faces import align, landmark_layout
from dubkit.records import Floats, Picture
from dubkit.training.lab import augment, faces_data

Random = np.random.Generator

SMALLEST = 13.0  # pixels, the longer side of the smallest face drawn
ATTEMPTS = 12


@dataclass(slots=True)
class Scene:
    """A square picture and its faces."""

    picture: Picture
    boxes: list[Floats] = field(default_factory=list)  # (4,) xyxy, also beyond the picture's edge
    points: list[Floats] = field(default_factory=list)  # (5, 2)
    ignored: list[Floats] = field(default_factory=list)  # boxes neither right nor wrong to find


def box_of(landmarks: Floats) -> Floats:
    """(L, 2) -> xyxy."""
    return np.concatenate([landmarks.min(0), landmarks.max(0)])


def five_of(landmarks: Floats) -> Floats:
    """(L, 2) -> eyes, nose tip and mouth corners (5, 2), in the picture's order."""
    return np.stack(
        [
            *align.eye_centers(landmarks),
            landmarks[landmark_layout.NOSE_TIP[0]],
            landmarks[landmark_layout.MOUTH_LEFT],
            landmarks[landmark_layout.MOUTH_RIGHT],
        ]
    )


def covered(box: Floats, by: Floats) -> float:
    """The part of ``box`` that lies inside ``by``."""
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    area = max(float((box[2] - box[0]) * (box[3] - box[1])), 1e-6)
    return max(float(width), 0.0) * max(float(height), 0.0) / area


class SceneMaker:
    """Draws scenes from prepared pictures."""

    def __init__(self, source: faces_data.PictureSource) -> None:
        self.source = source
        holds = [not np.isnan(source.landmarks[row, 0, 0]) for row in source.rows]
        self.faces = source.rows[np.array(holds)]

    def scene(self, rng: Random, size: int) -> Scene:
        """One scene, faces from none to six."""
        scene = Scene(np.ascontiguousarray(self.ground(rng, size)))
        kind = rng.random()
        if kind < 0.4:
            largest = 1.15 * size if rng.random() < 0.5 else 0.5 * size
            self.paste(rng, scene, SMALLEST, largest, whole=True)
        for _ in range(int(rng.integers(1, 6)) if 0.25 < kind < 0.88 else 0):
            self.paste(rng, scene, SMALLEST, 0.5 * size, whole=False)
        for _ in range(int(rng.integers(0, 5))):
            self.decoy(rng, scene)
        scene.picture = augment.relight(rng, scene.picture)
        if rng.random() < 0.2:
            scene.picture = augment.shade(rng, scene.picture)
        scene.picture = augment.degrade(rng, scene.picture)
        return scene

    def ground(self, rng: Random, size: int) -> Picture:
        """A picture without a face."""
        kind = rng.random()
        if kind < 0.15:
            return augment.procedural(rng, size)
        if kind < 0.4:
            return self.leaves(rng, size)
        return self.window(rng, size, rng.random() < 0.5)

    def leaves(self, rng: Random, size: int) -> Picture:
        """Shapes over shapes, filled with pieces of face-free pictures: clutter with sharp edges."""
        picture = np.ascontiguousarray(self.window(rng, size, True))
        piece = self.window(rng, size, False)
        for number in range(int(rng.integers(10, 60))):
            if number % 12 == 11:
                piece = self.window(rng, size, rng.random() < 0.5)
            side = int(np.exp(rng.uniform(np.log(6), np.log(size / 2.5))))
            x, y = rng.integers(-side // 2, size - side // 2, 2)
            u, v = rng.integers(0, size - side, 2)
            low, high = max(x, 0), min(x + side, size)
            top, bottom = max(y, 0), min(y + side, size)
            part = piece[v + top - y : v + bottom - y, u + low - x : u + high - x]
            if rng.random() < 0.4:
                part = np.broadcast_to(part.mean((0, 1)).astype(np.uint8), part.shape)
            view = picture[top:bottom, low:high]
            if rng.random() < 0.5:
                view[:] = part
            else:
                mask = np.zeros(view.shape[:2], np.uint8)
                middle, radius = (int(x + side // 2 - low), int(y + side // 2 - top)), side // 2
                axes = (radius, max(1, int(radius * rng.uniform(0.3, 1))))
                cv2.ellipse(mask, middle, axes, rng.uniform(0, 180), 0, 360, 1, -1)
                view[mask > 0] = part[mask > 0]
        for _ in range(int(rng.integers(0, 25)) if rng.random() < 0.4 else 0):
            augment.icon(rng, picture)
        return picture

    def window(self, rng: Random, size: int, empty: bool) -> Picture:
        """A piece of a picture that holds no face, or of one that holds a face elsewhere."""
        row = int(rng.choice(self.source.empty if empty else self.faces))
        picture, points = self.source.picture(row), self.source.landmarks[row]
        height, width = picture.shape[:2]
        head = None if np.isnan(points[0, 0]) else _head(points)
        for _ in range(ATTEMPTS):
            least = 60 if head is None else 20
            side = float(np.exp(rng.uniform(np.log(least), np.log(min(height, width)))))
            x, y = rng.uniform((0, 0), (width - side + 1, height - side + 1))
            window = np.array([x, y, x + side, y + side], np.float32)
            if head is None or covered(window, head) * side**2 < 1:
                return _cut(rng, picture, window, size)
        return augment.procedural(rng, size)

    def paste(self, rng: Random, scene: Scene, low: float, high: float, whole: bool) -> None:
        """Put a face in: the whole picture around it, or its head with a soft edge."""
        size = scene.picture.shape[0]
        row = int(rng.choice(self.faces))
        picture, points = self.source.picture(row), self.source.landmarks[row]
        if rng.random() < 0.5:
            picture = cv2.flip(picture, 1).astype(np.uint8, copy=False)
            points = points[landmark_layout.MIRROR] * (-1, 1) + (picture.shape[1] - 1, 0)
        box = box_of(points)
        for _ in range(ATTEMPTS):
            matrix = _placing(rng, box, float(np.exp(rng.uniform(np.log(low), np.log(high)))), size)
            placed = align.apply(matrix, points)
            region = _region(rng, picture, box, whole)
            corners = align.apply(matrix, _corners(region))
            if not any(covered(old, box_of(corners)) > 0.1 for old in scene.boxes):
                break
        else:
            return
        _blend(rng, scene, picture, matrix, region, soft=not whole)
        _register(rng, scene, placed)

    def decoy(self, rng: Random, scene: Scene) -> None:
        """Put something without a face in, so that an edge of a paste tells nothing."""
        size = scene.picture.shape[0]
        side = float(np.exp(rng.uniform(np.log(12), np.log(size / 2))))
        hard = self.source.hard
        if len(hard) and rng.random() < 0.6:
            patch = hard[int(rng.integers(len(hard)))]
            if rng.random() < 0.5:
                patch = np.asarray(cv2.flip(patch, 1), np.uint8)
            if side < 0.5 * patch.shape[0]:
                small = (int(2 * side), int(2 * side))
                patch = np.asarray(cv2.resize(patch, small, interpolation=cv2.INTER_AREA), np.uint8)
        else:
            patch = self.window(rng, max(12, int(side)), rng.random() < 0.5)
        x, y = rng.uniform(-side / 3, size - side / 2, 2)
        target = np.array([x, y, x + side, y + side], np.float32)
        if any(covered(box, target) > 0.02 for box in scene.boxes + scene.ignored):
            return
        scale = side / patch.shape[0]
        matrix = np.array([[scale, 0, x], [0, scale, y]])
        region = np.array([0, 0, patch.shape[1], patch.shape[0]], np.float32)
        _blend(rng, scene, patch, matrix, region, soft=rng.random() < 0.5)


def _register(rng: Random, scene: Scene, placed: Floats) -> None:
    """Enter a face in the scene's list, or among the ignored when too little of it shows."""
    box, size = box_of(placed), scene.picture.shape[0]
    visible = covered(box, np.array([0, 0, size, size], np.float32))
    if visible > 0.6:
        scene.boxes.append(box)
        scene.points.append(five_of(placed))
        if rng.random() < 0.12:
            scene.picture = augment.occlude(rng, scene.picture, (box[0], box[1], box[2], box[3]))
    elif visible > 0.15:
        scene.ignored.append(box)


def _head(points: Floats) -> Floats:
    """The box of the face with hair and ears."""
    x0, y0, x1, y1 = box_of(points)
    grow = 0.25 * (x1 - x0)
    return np.array([x0 - grow, y0 - 2 * grow, x1 + grow, y1 + grow], np.float32)


def _corners(box: Floats) -> Floats:
    x0, y0, x1, y1 = box
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


def _placing(rng: Random, box: Floats, target: float, size: int) -> align.Matrix:
    """Scene from picture, so that the face is ``target`` pixels and mostly inside."""
    scale = target / max(box[2] - box[0], box[3] - box[1])
    angle = np.radians(np.clip(rng.normal(0, 12), -35, 35))
    spin = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (box[:2] + box[2:]) / 2
    edge = 0.25 * target
    low, high = min(edge, size / 2), max(size - edge, size / 2)
    return np.hstack([spin, (rng.uniform(low, high, 2) - spin @ middle)[:, None]])


def _region(rng: Random, picture: Picture, box: Floats, whole: bool) -> Floats:
    """The part of the picture that is pasted."""
    height, width = picture.shape[:2]
    if whole:
        return np.array([0, 0, width, height], np.float32)
    grow = (box[2] - box[0]) * rng.uniform((0.15, 0.25, 0.15, 0.1), (0.7, 0.6, 0.7, 1.2))
    region = box + grow * (-1, -1, 1, 1)
    return np.asarray(np.clip(region, 0, (width, height, width, height)), np.float32)


def _blend(
    rng: Random, scene: Scene, picture: Picture, matrix: align.Matrix, region: Floats, soft: bool
) -> None:
    """Draw a region of a picture into the scene, its edge feathered when ``soft``."""
    size, scale = scene.picture.shape[0], align.scale_of(matrix)
    x0, y0, x1, y1 = np.round(region).astype(int)
    part = picture[max(y0, 0) : y1, max(x0, 0) : x1]
    matrix = align.compose(matrix, np.array([[1, 0, max(x0, 0)], [0, 1, max(y0, 0)]]))
    if scale < 0.6:
        shrink = 1.6 * scale
        part = np.asarray(
            cv2.resize(part, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8
        )
        half = 0.5 / shrink - 0.5  # pixel centers are at integers
        matrix = align.compose(matrix, np.array([[1 / shrink, 0, half], [0, 1 / shrink, half]]))
    height, width = part.shape[:2]
    corners = align.apply(matrix, _corners(np.array([0, 0, width - 1, height - 1], np.float32)))
    low = np.clip(np.floor(corners.min(0)), 0, size).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + 1, 0, size).astype(int)
    if (high <= low).any():
        return
    window = (int(high[0] - low[0]), int(high[1] - low[1]))
    matrix = align.compose(np.array([[1, 0, -low[0]], [0, 1, -low[1]]]), matrix)
    mask = _mask(rng, width, height, soft)
    warped = cv2.warpAffine(part, matrix, window, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(mask, matrix, window)[..., None]
    view = scene.picture[low[1] : high[1], low[0] : high[0]]
    view[:] = (view * (1 - weight) + warped * weight).astype(np.uint8)


def _mask(rng: Random, width: int, height: int, soft: bool) -> Floats:
    """What of a patch shows: all of it, or a feathered rectangle or ellipse."""
    if not soft:
        return np.ones((height, width), np.float32)
    mask = np.zeros((height, width), np.float32)
    edge = max(1, round(0.06 * width))
    if rng.random() < 0.5:
        radius = (max(1, width // 2 - edge), max(1, height // 2 - edge))
        cv2.ellipse(mask, (width // 2, height // 2), radius, 0, 0, 360, 1.0, -1)
    else:
        mask[edge : max(height - edge, edge + 1), edge : max(width - edge, edge + 1)] = 1
    return np.asarray(cv2.blur(mask, (edge, edge)), np.float32)


def _cut(rng: Random, picture: Picture, window: Floats, size: int) -> Picture:
    """A window of a picture, scaled to a square; sometimes turned upside down or mirrored."""
    x0, y0, x1, y1 = window.astype(int)
    part = picture[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    how = cv2.INTER_AREA if part.shape[0] > size else cv2.INTER_LINEAR
    out = cv2.resize(part, (size, size), interpolation=how)
    if rng.random() < 0.5:
        out = cv2.flip(out, int(rng.choice([-1, 0, 1])))
    return out.astype(np.uint8, copy=False)
