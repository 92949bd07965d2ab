"""Measures of pictures: SSIM and PSNR; seam, flicker, likeness, sharpness and what changed beside the mouth; focus.

All compare a rendered picture with the filmed one, but for `focus`, which needs one alone. On luma, black 0 and white
1 where nothing else is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout
from dubkit.media.planes import Plane
from dubkit.records import Floats

Luma = NDArray[Any]
_C1, _C2 = 0.01**2, 0.03**2


def ssim(a: Luma, b: Luma) -> float:
    """Structural similarity of two pictures (Wang et al. 2004: Gaussian window of 11, sigma 1.5), -1 to 1."""
    x, y = a.astype(np.float32), b.astype(np.float32)
    mean_x, mean_y = _window(x), _window(y)
    var_x = _window(x * x) - mean_x**2
    var_y = _window(y * y) - mean_y**2
    both = _window(x * y) - mean_x * mean_y
    top = (2 * mean_x * mean_y + _C1) * (2 * both + _C2)
    return float((top / ((mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2))).mean())


def _window(values: Luma) -> Luma:
    return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float32)


def squared_error(a: Luma, b: Luma, white: float = 1.0) -> float:
    """Mean squared error of two pictures, both of floats or of whole numbers up to ``white``."""
    return float(cv2.norm(a, b, cv2.NORM_L2SQR)) / (a.size * white * white)


def psnr(error: float) -> float:
    """Decibel of a mean squared error; 100 for equal pictures."""
    return float(min(100.0, -10 * np.log10(max(error, 1e-10))))


def gradient(picture: Luma) -> float:
    """Mean squared gradient: how sharp a picture is."""
    steps = [np.diff(picture, axis=axis).ravel() for axis in (0, 1)]
    return float(sum(float(np.dot(step, step)) / max(step.size, 1) for step in steps))


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
    # a dilation, in time that does not grow with how far it reaches
    near = cv2.boxFilter(
        *(mask, cv2.CV_32S, (side, side)), normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(near > 0)


@dataclass(slots=True)
class PictureSums:
    """SSIM and PSNR of a face, added up over its frames."""

    _ssim: list[float] = field(default_factory=list)
    _error: list[float] = field(default_factory=list)

    def add(self, made: Luma, real: Luma, points: Floats, white: float = 1.0) -> None:
        """One frame: luma (H, W) of both, up to ``white``; landmarks (L, 2) of the real one in its pixels."""
        face = box(points, made.shape)
        if face is not None:
            a, b = (np.asarray(luma[face] / np.float32(white), np.float32) for luma in (made, real))
            self._ssim.append(ssim(a, b))
            self._error.append(squared_error(a, b))

    def measures(self) -> dict[str, float]:
        """``ssim`` and ``psnr_face``; nothing where no face was large enough."""
        if not self._ssim:
            return {}
        return {"ssim": float(np.mean(self._ssim)), "psnr_face": psnr(float(np.mean(self._error)))}


REACH = 0.35  # face widths around the lower face that a dub may change
_MARK = 85  # percentile of the skin that is reported
_NEAR, _PLAIN = (
    9,
    0.02,
)  # pixels within which the source's detail counts; detail that plain skin is given
_LIPS = 1 / 16  # of the crop's side around the lips: what moves there lasts by chance
_WORST = 95  # percentile of the frames
_FINE = 1 / 16  # of the crop's side: coarser than this is light, not looks
_NEIGHBORHOOD, _SHIFT = (
    1 / 32,
    1 / 64,
)  # of the crop's side: where detail is compared, and how far it may move


@dataclass(frozen=True, slots=True)
class Zones:
    """Parts of the crop, (S, S) each."""

    skin: NDArray[np.bool_]  # of the face, its lips left out
    lower: NDArray[np.bool_]  # of the skin: what a dub paints
    far: NDArray[np.bool_]  # what a dub may not touch


def zones(points: Floats, side: int) -> Zones:
    """From landmarks (L, 2) in crop pixels."""
    shape = (side, side)
    face = _hull(points[landmark_layout.OVAL], side)
    reach = 2 * round(_LIPS * side) + 1
    lips = (
        cv2.dilate(_hull(points[landmark_layout.LIPS], side), np.ones((reach, reach), np.uint8)) > 0
    )
    skin = (cv2.erode(face, np.ones((5, 5), np.uint8)) > 0) & ~lips
    far = ~lower_face(points, shape, REACH)
    edge = np.zeros(shape, np.bool_)
    edge[3:-3, 3:-3] = True
    return Zones(skin, skin & lower_face(points, shape, 0.0), far & edge)


def _hull(points: Floats, side: int) -> NDArray[np.uint8]:
    drawn = np.zeros((side, side), np.uint8)
    hull = cv2.convexHull(points.astype(np.float32))
    cv2.fillConvexPoly(drawn, np.round(hull).astype(np.int32), 1)
    return drawn


@dataclass(slots=True)
class CropSums:
    """Seam, flicker, likeness and what changed beside the mouth, added up over the frames of one face."""

    _zones: Zones | None = None
    _source: list[Luma] = field(default_factory=list)  # one sum
    _made: list[Luma] = field(default_factory=list)
    _rows: list[int] = field(default_factory=list)
    _light: list[float] = field(default_factory=list)  # mean of D on the lower skin
    _outside: list[float] = field(default_factory=list)  # mean of abs D far away

    def add(self, row: int, source: Luma, made: Luma, points: Floats) -> None:
        """One frame: crops (S, S) and the source's landmarks (L, 2) in them."""
        if self._zones is None:
            self._zones = zones(points, len(source))
            blank = np.zeros(source.shape, np.float32)
            self._source, self._made = [blank], [blank.copy()]
        self._source[0] += source
        self._made[0] += made
        difference = made - source
        self._rows.append(row)
        self._light.append(_mean(difference, self._zones.lower))
        self._outside.append(_mean(np.abs(difference), self._zones.far))

    def measures(self) -> dict[str, float]:
        """``seam``, ``flicker``, ``outside``, ``likeness``, as `metrics.definitions` has them."""
        if self._zones is None:
            return {}
        share = np.float32(1 / len(self._rows))
        a, b = self._source[0] * share, self._made[0] * share
        found = {
            "seam": _marks(a, b, self._zones.skin),
            "outside": float(np.percentile(self._outside, _WORST)),
        }
        if self._zones.lower.any():
            found["likeness"] = _alike(a, b, self._zones.lower)
            changes = self._changes()
            if len(changes) >= 3:
                found["flicker"] = float(np.abs(changes).mean())
        return found

    def _changes(self) -> NDArray[np.float64]:
        """Second differences in time, of frames that follow one another."""
        light, rows = np.array(self._light), np.array(self._rows)
        return np.asarray(np.diff(light, 2)[(rows[2:] - rows[:-2]) == 2], np.float64)


def _mean(values: Luma, where: NDArray[np.bool_]) -> float:
    return float(values[where].mean()) if where.any() else 0.0


def _marks(source: Luma, made: Luma, where: NDArray[np.bool_]) -> float:
    """How much detail the lasting difference has, beside what the source has nearby.

    A border that stands still adds up over the frames, texture does not; jaw, beard and folds that move have their
    own detail beside them.
    """
    if not where.any():
        return 0.0
    reach = np.ones((_NEAR, _NEAR), np.uint8)
    near = cv2.dilate(np.abs(_detail(source)), reach)
    return float(np.percentile((np.abs(_detail(made - source)) / (near + _PLAIN))[where], _MARK))


def _detail(picture: Luma) -> Luma:
    """A pass band: neither noise nor light."""
    smooth, light = (cv2.GaussianBlur(picture, (0, 0), len(picture) / part) for part in (85, 30))
    return np.asarray(smooth - light, np.float32)


def _alike(a: Luma, b: Luma, where: NDArray[np.bool_]) -> float:
    """Correlation of the mean pictures' detail, -1 to 1: in each neighborhood at the shift that fits best, and by how
    much detail it has. Light and color do not count, nor folds that move with the mouth.
    """
    sigma, near = _FINE * len(a), _NEIGHBORHOOD * len(a)
    x, y = (np.asarray(p - cv2.GaussianBlur(p, (0, 0), sigma), np.float32) for p in (a, b))
    weight = where.astype(np.float32)
    power = cv2.GaussianBlur(x * x * weight, (0, 0), near)
    reach = round(_SHIFT * len(a))
    best = np.full(a.shape, -1.0, np.float32)
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            moved = cv2.warpAffine(
                y,
                np.array([[1, 0, across], [0, 1, down]], np.float32),
                y.shape[::-1],
                flags=cv2.INTER_NEAREST,
                borderMode=cv2.BORDER_REFLECT,
            )
            both = cv2.GaussianBlur(x * moved * weight, (0, 0), near)
            other = cv2.GaussianBlur(moved * moved * weight, (0, 0), near)
            best = np.maximum(best, both / np.sqrt(power * other + 1e-12))
    detail = np.sqrt(power) * weight
    return float((best * detail).sum() / max(float(detail.sum()), 1e-9))


_MARGIN, _LEAST = 0.25, 8  # of the lips' box; pixels
_COARSE, _DULLEST = 1 / 40, 10  # of the lips' width: coarse detail; percentile of the frames
_AROUND = 2  # frames to either side of one, which its sharpness is compared with
_EVEN = 1e-9  # energy of a mouth without detail


@dataclass(slots=True)
class SharpSums:
    """Gradient energies of mouths, fine and coarse, frame by frame of one face."""

    _made: list[tuple[float, float]] = field(default_factory=list)
    _real: list[tuple[float, float]] = field(default_factory=list)

    def add(
        self, source: Plane, made: Plane, landmarks: Floats, from_display: align.Matrix
    ) -> None:
        """One frame: the first planes (H, W) of both, the source's landmarks (L, 2)."""
        lips = align.apply(from_display, landmarks[landmark_layout.LIPS])
        where = box(lips, source.shape, _MARGIN, least=_LEAST)
        if where is not None:
            top = float(np.iinfo(source.dtype).max)
            for energies, plane in ((self._made, made), (self._real, source)):
                mouth = (plane[where] / top).astype(np.float32)
                soft = cv2.GaussianBlur(
                    mouth, (0, 0), max(_COARSE * float(np.ptp(lips[:, 0])), 0.7)
                )
                energies.append((gradient(mouth), gradient(np.asarray(soft, np.float32))))

    def measures(self) -> dict[str, float]:
        """``sharpness`` and ``frame_sharpness``; nothing where the mouth is too small."""
        if not self._real:
            return {}
        made, real = np.array(self._made), np.array(self._real)
        if real[:, 0].mean() <= 1e-7:
            return {}
        found = {"sharpness": float(made[:, 0].mean() / real[:, 0].mean())}
        if len(real) > _AROUND:
            dips = _beside(made) / np.minimum(_beside(real), 1)
            found["frame_sharpness"] = float(np.percentile(dips, _DULLEST))
        return found


def _beside(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) share of fine detail of each mouth, of energies (T, 2) fine and coarse, over that of the frames before it or
    after it, where it is less: a frame on the way from a sharp mouth to a soft one is as sharp as what follows.
    """
    fine = (energies[:, 0] + _EVEN) / (energies[:, 1] + _EVEN)
    padded = np.pad(fine, _AROUND, mode="reflect")
    means = np.convolve(padded, np.full(_AROUND, 1 / _AROUND), "valid")
    return np.asarray(fine / np.minimum(means[: len(fine)], means[_AROUND + 1 :]))


FLAT, SHARP = 1.1, 1.8  # `focus` before scaling: of smeared faces, of well focused ones
_SMALLEST = 32  # pixels


def focus(crop: NDArray[np.uint8], native: float) -> float:
    """How steep the edges of a face (S, S, 3) RGB are against the same face smeared: 1 well focused, 0 smeared itself.

    Needs no other picture, unlike ``sharpness``. Judged at the scale at which the face was filmed: ``native`` is pixels
    of the film per pixel of the crop.
    """
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    side = max(_SMALLEST, min(crop.shape[0], round(crop.shape[0] * native)))
    if side < crop.shape[0]:
        gray = cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA)
    plain = gray.astype(np.float32)
    fine, coarse = (_steepest(p) for p in (plain, cv2.GaussianBlur(plain, (0, 0), 2.0)))
    return max(0.0, (fine / max(coarse, 1e-3) - FLAT) / (SHARP - FLAT))


def _steepest(picture: NDArray[Any]) -> float:
    """The slope of a picture's edges: noise and blocks of a codec are not as steep."""
    across = cv2.Sobel(picture, cv2.CV_32F, 1, 0, ksize=1)
    down = cv2.Sobel(picture, cv2.CV_32F, 0, 1, ksize=1)
    return float(np.percentile(np.hypot(across, down), 98))
