"""What two pictures share: SSIM, PSNR, sharpness, seam and flicker, and whether all else is untouched.

On luma, 0 to 1, of the film's own planes; a face is looked at in the box of its landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.records import Floats

Luma = NDArray[np.float32]
_C1, _C2 = 0.01**2, 0.03**2


def ssim(a: Luma, b: Luma) -> float:
    """Structural similarity of two pictures (Wang et al. 2004: Gaussian window of 11, sigma 1.5), -1 to 1."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _window(x), _window(y)
    var_x = _window(x * x) - mean_x**2
    var_y = _window(y * y) - mean_y**2
    both = _window(x * y) - mean_x * mean_y
    top = (2 * mean_x * mean_y + _C1) * (2 * both + _C2)
    return float((top / ((mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2))).mean())


def _window(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float64)


def squared_error(a: Luma, b: Luma) -> float:
    """Mean squared error."""
    difference = a.astype(np.float64) - b
    return float((difference * difference).mean())


def psnr(error: float) -> float:
    """Decibel of a mean squared error; 100 for equal pictures."""
    return float(min(100.0, -10 * np.log10(max(error, 1e-10))))


def gradient(picture: Luma) -> float:
    """Mean squared gradient: how sharp a picture is."""
    p = picture.astype(np.float64)
    return float((np.diff(p, axis=0) ** 2).mean() + (np.diff(p, axis=1) ** 2).mean())


def box(
    points: Floats, shape: tuple[int, ...], grow: float = 0.0, least: int = 16
) -> tuple[slice, slice] | None:
    """The landmarks' box in plane pixels, grown by a part of its size; None where less than ``least`` are inside."""
    low, high = points.min(0), points.max(0)
    low, high = low - grow * (high - low), high + grow * (high - low)
    x0, y0 = (max(0, int(v)) for v in low)
    x1, y1 = (min(int(np.ceil(v)), end) for v, end in zip(high, (shape[1], shape[0]), strict=True))
    return (slice(y0, y1), slice(x0, x1)) if min(x1 - x0, y1 - y0) >= least else None


def lower_face(points: Floats, shape: tuple[int, ...], grow: float) -> NDArray[np.bool_]:
    """Where a dub may change a picture: the hull of nose tip, cheeks and jaw, grown by face widths."""
    hull = cv2.convexHull(
        points[np.concatenate([landmark_layout.MOVING, landmark_layout.NOSE_TIP])].astype(
            np.float32
        )
    )
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1)
    reach = grow * float(np.ptp(points[landmark_layout.OVAL, 0]))
    side = 2 * max(1, round(reach)) + 1
    return np.asarray(cv2.dilate(mask, np.ones((side, side), np.uint8)), bool)


@dataclass(slots=True)
class PictureSums:
    """What is added up over the frames of one face."""

    ssim: list[float] = field(default_factory=list)
    face_error: list[float] = field(default_factory=list)
    sharp: list[tuple[float, float]] = field(default_factory=list)  # made, real
    edge: list[tuple[float, float]] = field(default_factory=list)  # made, real
    ring: list[float] = field(default_factory=list)  # made less real

    def add(self, made: Luma, real: Luma, points: Floats) -> None:
        """One frame: luma (H, W) of both, landmarks (L, 2) of the real one in its pixels."""
        face = box(points, made.shape)
        mouth = box(points[landmark_layout.LIPS], made.shape, 0.25, least=6)
        if face is None or mouth is None:
            return
        self.ssim.append(ssim(made[face], real[face]))
        self.face_error.append(squared_error(made[face], real[face]))
        self.sharp.append((gradient(made[mouth]), gradient(real[mouth])))
        inner = lower_face(points, made.shape, 0.0)[face]
        border = inner ^ np.asarray(
            cv2.erode(inner.astype(np.uint8), np.ones((5, 5), np.uint8)), bool
        )
        if border.any():
            self.edge.append((_steepness(made[face], border), _steepness(real[face], border)))
            self.ring.append(float((made[face] - real[face])[border].mean()))

    def rows(self) -> dict[str, float]:
        """The measures of these frames."""
        if not self.ssim:
            return {}
        sharp, edge = np.mean(self.sharp, 0), np.mean(self.edge, 0) if self.edge else None
        found = {
            "ssim": float(np.mean(self.ssim)),
            "psnr_face": psnr(float(np.mean(self.face_error))),
            "sharpness": float(sharp[0] / max(sharp[1], 1e-9)),
        }
        if edge is not None:
            found["seam"] = float(edge[0] / max(edge[1], 1e-6))
        if len(self.ring) > 2:
            found["flicker"] = float(np.abs(np.diff(self.ring)).mean())
        return found


def _steepness(picture: Luma, where: NDArray[np.bool_]) -> float:
    dx, dy = cv2.Sobel(picture, cv2.CV_32F, 1, 0), cv2.Sobel(picture, cv2.CV_32F, 0, 1)
    return float(np.hypot(dx, dy)[where].mean())
