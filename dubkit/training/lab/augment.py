"""Picture augmentation for the face nets: geometry with exact labels, light, and loss of quality.

Pictures are (H, W, 3) uint8 RGB; every function draws from the generator it is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout
from dubkit.records import Floats

Picture = NDArray[np.uint8]
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Ripple:
    """A smooth local deformation, ``x -> x + displacement(x)``, a sum of Gaussian bumps."""

    centers: Floats  # (K, 2) pixels
    widths: Floats  # (K,)
    pushes: Floats  # (K, 2)

    def displacement(self, points: NDArray[np.floating]) -> Floats:
        """(..., 2) -> (..., 2)."""
        gap = points[..., None, :] - self.centers
        weight = np.exp(-0.5 * (gap**2).sum(-1) / self.widths**2)
        return np.asarray(weight @ self.pushes, np.float32)

    def undo(self, points: NDArray[np.floating]) -> Floats:
        """Points that the deformation brings to ``points``, by fixed-point iteration."""
        guess = np.asarray(points, np.float32)
        for _ in range(6):
            guess = np.asarray(points - self.displacement(guess), np.float32)
        return guess


def random_ripple(rng: Random, anchors: Floats, unit: float, strength: float) -> Ripple:
    """Up to four bumps on randomly chosen anchor points; ``unit`` is the eye distance in pixels.

    The slope of a bump stays under one half, so the deformation can be undone.
    """
    count = int(rng.integers(1, 5))
    centers = anchors[rng.integers(0, len(anchors), count)] + rng.normal(0, 0.1 * unit, (count, 2))
    widths = rng.uniform(0.18, 0.5, count) * unit
    pushes = rng.normal(0, strength, (count, 2)) * widths[:, None]
    limit = 0.45 * widths[:, None] / count**0.5
    return Ripple(
        centers.astype(np.float32),
        widths.astype(np.float32),
        np.clip(pushes, -limit, limit).astype(np.float32),
    )


def sample(
    picture: Picture, source_from_target: align.Matrix, size: int, ripple: Ripple | None
) -> Picture:
    """A square crop: target pixel x shows the source at ``source_from_target(x + ripple(x))``."""
    if ripple is None:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out = cv2.warpAffine(
            picture, source_from_target, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        return out.astype(np.uint8, copy=False)
    coarse = 17
    line = np.linspace(0, size - 1, coarse, dtype=np.float32)
    nodes = np.stack(np.meshgrid(line, line), 2)
    moved = nodes + ripple.displacement(nodes)
    moved = moved @ source_from_target[:, :2].T + source_from_target[:, 2]
    # resize puts values at pixel centers: map the dense grid's corners onto the coarse grid's corners
    scale = (coarse - 1) / (size - 1)
    dense = np.array([[scale, 0, 0], [0, scale, 0]])
    grid = cv2.warpAffine(
        moved.astype(np.float32), dense, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    across, down = np.ascontiguousarray(grid[..., 0]), np.ascontiguousarray(grid[..., 1])
    out = cv2.remap(picture, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


def relight(rng: Random, picture: Picture) -> Picture:
    """Gamma, gain and offset per channel through one table each; sometimes gray."""
    levels = np.linspace(0, 1, 256)
    gamma = np.exp(rng.normal(0, 0.25))
    gain = np.exp(rng.normal(0, 0.15)) * np.exp(rng.normal(0, 0.06, 3))
    offset = rng.normal(0, 0.06)
    curve = levels[:, None] ** gamma * gain + offset
    if rng.random() < 0.25:
        pivot = rng.uniform(0.2, 0.7)
        curve = pivot + rng.uniform(0.25, 1) * (curve - pivot)
    table = np.clip(curve * 255, 0, 255).astype(np.uint8)[:, None]
    out = cv2.LUT(picture, table.reshape(1, 256, 3))
    if rng.random() < 0.15:
        out = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    elif rng.random() < 0.3:
        gray = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        part = rng.uniform(-0.4, 0.8)
        out = cv2.addWeighted(out, 1 - part, gray, part, 0)
    return np.asarray(out, np.uint8)


def shade(rng: Random, picture: Picture) -> Picture:
    """Light from one side: a smooth ramp over the picture."""
    height, width = picture.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    slope = rng.normal(0, 0.25, 2).astype(np.float32)
    ramp = np.clip(1 + slope[0] * x + slope[1] * y, 0.3, 1.8)[..., None]
    return np.asarray(np.clip(picture * ramp, 0, 255), np.uint8)


def degrade(rng: Random, picture: Picture) -> Picture:
    """Loss of resolution, blur, noise and compression, each now and then."""
    height, width = picture.shape[:2]
    if rng.random() < 0.3:
        part = rng.uniform(0.3, 0.9)
        small = (max(8, int(width * part)), max(8, int(height * part)))
        how = cv2.INTER_AREA if rng.random() < 0.7 else cv2.INTER_LINEAR
        picture = cv2.resize(picture, small, interpolation=how).astype(np.uint8, copy=False)
        back = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
        picture = cv2.resize(picture, (width, height), interpolation=back).astype(np.uint8)
    if rng.random() < 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.8)).astype(np.uint8)
    if rng.random() < 0.05:
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        kernel = kernel if rng.random() < 0.5 else kernel.T
        picture = cv2.filter2D(picture, -1, kernel).astype(np.uint8)
    if rng.random() < 0.25:
        noise = rng.normal(0, rng.uniform(1, 10), (height, width, 1 if rng.random() < 0.5 else 3))
        picture = np.clip(picture + noise.astype(np.float32), 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = int(rng.integers(20, 90))
        _, code = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return picture


def occlude(rng: Random, picture: Picture, box: tuple[float, float, float, float]) -> Picture:
    """Something in front of part of the box: an ellipse or bar of one color or of moved
    picture.
    """
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0)
    mask = np.zeros(picture.shape[:2], np.uint8)
    center = (int(rng.uniform(x0, x1)), int(rng.uniform(y0, y1)))
    axes = (int(side * rng.uniform(0.05, 0.22)), int(side * rng.uniform(0.08, 0.3)))
    cv2.ellipse(mask, center, axes, rng.uniform(0, 180), 0, 360, 255, -1)
    if rng.random() < 0.5:
        cover = np.empty_like(picture)
        cover[:] = rng.integers(0, 256, 3)
    else:
        cover = np.roll(picture, rng.integers(20, picture.shape[0], 2), (0, 1))
    return np.where(mask[..., None] > 0, cover, picture)


def _color(rng: Random) -> tuple[int, ...]:
    return tuple(int(c) for c in rng.integers(0, 256, 3))


def icon(rng: Random, picture: Picture) -> None:
    """Draw a small round or square sign with dots, bars or rings in it."""
    size = picture.shape[0]
    radius = float(np.exp(rng.uniform(np.log(4), np.log(max(size / 6, 5)))))
    center = rng.uniform(0, size, 2)
    middle = (int(center[0]), int(center[1]))
    axes = (max(2, int(radius * rng.uniform(0.6, 1))), max(2, int(radius)))
    if rng.random() < 0.6:
        cv2.ellipse(picture, middle, axes, rng.uniform(-30, 30), 0, 360, _color(rng), -1)
    else:
        low = (middle[0] - axes[0], middle[1] - axes[1])
        high = (middle[0] + axes[0], middle[1] + axes[1])
        cv2.rectangle(picture, low, high, _color(rng), -1)
    ink = _color(rng)
    for _ in range(int(rng.integers(1, 6))):
        spot = center + rng.uniform(-0.6, 0.6, 2) * axes
        at, share = (int(spot[0]), int(spot[1])), radius * rng.uniform(0.08, 0.4)
        thick = -1 if rng.random() < 0.6 else max(1, int(radius / 8))
        if rng.random() < 0.6:
            twin = (int(2 * center[0] - spot[0]), at[1])  # signs are often symmetric
            cv2.circle(picture, at, max(1, int(share)), ink, thick)
            cv2.circle(picture, twin, max(1, int(share)), ink, thick)
        else:
            end = (int(spot[0] + share * 3 * rng.uniform(-1, 1)), int(spot[1] + share))
            cv2.line(picture, at, end, ink, max(1, int(radius / 6)))
        if rng.random() < 0.3:
            ink = _color(rng)


def procedural(rng: Random, size: int) -> Picture:
    """Color ramps, clouds of noise at one scale, and a few shapes."""
    nodes = int(rng.choice([2, 3, 6, 16, 40]))
    field_ = rng.uniform(0, 255, (nodes, nodes, 3 if rng.random() < 0.7 else 1)).astype(np.float32)
    picture = cv2.resize(
        np.broadcast_to(field_, (nodes, nodes, 3)).copy(),
        (size, size),
        interpolation=cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST,
    )
    picture = np.clip(picture * rng.uniform(0.2, 1) + rng.uniform(0, 60), 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 12))):
        color = _color(rng)
        a, b = rng.integers(0, size, 2), rng.integers(0, size, 2)
        start, end = (int(a[0]), int(a[1])), (int(b[0]), int(b[1]))
        shape = rng.random()
        if shape < 0.4:
            radius = (int(rng.integers(2, size // 4 + 3)), int(rng.integers(2, size // 4 + 3)))
            cv2.ellipse(picture, start, radius, rng.uniform(0, 180), 0, 360, color, -1)
        elif shape < 0.7:
            cv2.rectangle(picture, start, end, color, -1 if rng.random() < 0.5 else 2)
        else:
            cv2.line(picture, start, end, color, int(rng.integers(1, 8)))
    for _ in range(int(rng.integers(0, 40)) if rng.random() < 0.5 else 0):
        icon(rng, picture)
    return np.asarray(picture, np.uint8)


_SUBNASAL = landmark_layout.NOSE_TIP[2]
# points that lie on neither face truly once their skin is blended: nothing is to be learned of them
BLENDED = np.concatenate(
    [
        landmark_layout.CHEEKS,
        landmark_layout.CHIN,
        landmark_layout.NOSTRILS,
        landmark_layout.NOSE_TIP,
    ]
)


def transplant(
    picture: Picture, points: Floats, donor: Picture, donor_points: Floats, scale: float
) -> tuple[Picture, Floats]:
    """The recipient with the donor's mouth, and its landmarks."""
    shift = points[_SUBNASAL] - scale * donor_points[_SUBNASAL]
    moved = donor_points * scale + shift
    lips = np.concatenate([moved[landmark_layout.LIPS], points[landmark_layout.LIPS]])
    grow = 0.22 * float(np.ptp(moved[landmark_layout.LIPS, 0]))
    size = picture.shape[0]
    x0, y0 = np.clip(lips.min(0) - 2 * grow, 0, size - 2).astype(int)
    x1, y1 = np.clip(lips.max(0) + 2 * grow, 2, size).astype(int)
    if x1 - x0 < 4 or y1 - y0 < 4:
        return picture, points
    corner = np.array([x0, y0])
    matrix = np.array([[scale, 0, shift[0] - x0], [0, scale, shift[1] - y0]])
    patch = cv2.warpAffine(
        donor, matrix, (int(x1 - x0), int(y1 - y0)), borderMode=cv2.BORDER_REPLICATE
    )
    view = picture[y0:y1, x0:x1].astype(np.float32)
    inner = _hull(moved[landmark_layout.LIPS] - corner, view.shape[:2], 0)
    mask = _hull(lips - corner, view.shape[:2], grow)
    skin = (mask > 0.5) & (inner < 0.5)
    if not skin.any():
        return picture, points
    patch = _matched(patch.astype(np.float32), view, skin)
    soft = cv2.GaussianBlur(mask, (0, 0), max(grow / 3, 0.8))
    mixed = picture.copy()
    mixed[y0:y1, x0:x1] = np.clip(view + soft[..., None] * (patch - view), 0, 255)
    result = points.copy()
    result[landmark_layout.LIPS] = moved[landmark_layout.LIPS]
    return mixed, result


def _hull(points: Floats, shape: tuple[int, ...], grow: float) -> Floats:
    """The convex hull of points, grown, as 0 and 1."""
    mask = np.zeros(shape[:2], np.float32)
    hull = cv2.convexHull(np.round(points).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, (1.0,))
    if grow > 0:
        cv2.polylines(mask, [hull], True, (1.0,), max(1, int(2 * grow)))
    return mask


def _matched(patch: Floats, view: Floats, skin: NDArray[np.bool_]) -> Floats:
    """The patch in the view's light, as the skin of both tells; gray where the view is gray."""
    color = view[skin]
    if float(np.ptp(color, axis=1).mean()) < 6:
        patch = np.repeat(patch.mean(2, keepdims=True), 3, 2)
    gain = (color.mean(0) + 8) / (patch[skin].mean(0) + 8)
    return np.asarray(patch * np.clip(gain, 0.3, 3.0), np.float32)
