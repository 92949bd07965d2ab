"""The planes of a picture: their formats, where their samples lie, and crops of them in RGB.

Display coordinates are those of `VideoInfo.display_size`; plane coordinates those of one plane's
samples. In both, pixel centers are at integers. All transforms are 2 x 3 float64 matrices named
``target_from_source``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import cv2
import numpy as np
from av.video.format import VideoFormat
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from dubkit.records import Color, VideoInfo

Matrix = NDArray[np.float64]
Plane = NDArray[np.uint8] | NDArray[np.uint16]

FULL_RANGE = 2
_LIMITED = 1
_UNSPECIFIED = 2
# luma weights of red and blue by FFmpeg's matrix code (ITU-T H.273)
_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}

# formats that hold the same samples in another arrangement -> the planar one that is read instead
SAME_SAMPLES = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "p010le": "yuv420p10le",
    "p012le": "yuv420p12le",
    "p210le": "yuv422p10le",
    "p410le": "yuv444p10le",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yvyu422": "yuv422p",
    "rgb48le": "gbrp16le",
    "rgb48be": "gbrp16le",
    "x2rgb10le": "gbrp10le",
    "v30xle": "yuv444p10le",
    "vyu444": "yuv444p",
    "gbrp10be": "gbrp10le",
    "gbrp12be": "gbrp12le",
    "gray16be": "gray16le",
    "rgb24": "gbrp",
    "bgr24": "gbrp",
    "rgb0": "gbrp",
    "bgr0": "gbrp",
    "0rgb": "gbrp",
    "0bgr": "gbrp",
    "monob": "gray",
    "monow": "gray",
}
# formats with alpha -> the same with planes of their own; the last one is alpha
_WITH_ALPHA = {
    **dict.fromkeys(("rgba", "bgra", "argb", "abgr"), "gbrap"),
    **dict.fromkeys(("rgba64le", "rgba64be", "gbrap16be"), "gbrap16le"),
    "gbrap10be": "gbrap10le",
    "gbrap12be": "gbrap12le",
}


@dataclass(frozen=True, slots=True)
class PlaneFormat:
    """How the planes of a picture are to be read. Planes of RGB come in the order R, G, B."""

    name: str
    depth: int
    shift: tuple[int, int]  # chroma is smaller by these powers of two, across and down
    is_rgb: bool
    planes: int
    full_range: bool
    weights: tuple[float, float]  # of red and blue in luma
    centered: bool  # chroma lies between luma samples across as well (JPEG), not on them (MPEG-2)
    parity: int | None = (
        None  # of a field: whether its lines are the even or the odd ones of the frame
    )

    @property
    def sample_type(self) -> type[np.uint8] | type[np.uint16]:
        return np.uint8 if self.depth == 8 else np.uint16


def plane_format(info: VideoInfo) -> PlaneFormat:
    """The format of a film's pictures."""
    return _format(info.pixel_format, info.color, info.height * info.lines)


def paint_format(layout: PlaneFormat) -> PlaneFormat:
    """The format in which faces of such pictures are painted: their own; of RGB, luma and color differences of 16 bits.

    So a film gets the same mouths whichever way it is coded.
    """
    if not layout.is_rgb:
        return layout
    return replace(
        layout, name="yuv444p16le", depth=16, shift=(0, 0), is_rgb=False, full_range=True
    )


def paint_planes(planes: Sequence[Plane], layout: PlaneFormat) -> tuple[Plane, ...]:
    """Planes in ``layout`` in its `paint_format`; of RGB of up to 14 bits, so fine that all samples come back."""
    if not layout.is_rgb:
        return tuple(planes)
    return _transformed(planes, _inverse(_rgb_from_painted(layout)), paint_format(layout))


def painted_planes(
    planes: Sequence[Plane], layout: PlaneFormat, before: Sequence[Plane], after: Sequence[Plane]
) -> tuple[Plane, ...]:
    """Planes in ``layout`` with what was painted in their `paint_planes`; samples of RGB that did not change keep
    their bits.
    """
    if not layout.is_rgb:
        return tuple(after)
    changed = np.logical_or.reduce([old != new for old, new in zip(before, after, strict=True)])
    x, y, width, height = cv2.boundingRect(changed.view(np.uint8))
    if not width:
        return tuple(planes)
    inside = slice(y, y + height), slice(x, x + width)
    made = tuple(plane.copy() for plane in planes)
    values = _transformed([plane[inside] for plane in after], _rgb_from_painted(layout), layout)
    for plane, new in zip(made, values, strict=True):
        np.copyto(plane[inside], new, where=changed[inside], casting="same_kind")
    return made


def _transformed(planes: Sequence[Plane], matrix: Matrix, layout: PlaneFormat) -> tuple[Plane, ...]:
    """Three planes by a matrix (3, 4), rounded to samples of ``layout``."""
    first, second, third = (plane.astype(np.float32) for plane in planes)
    kind, top = cv2.CV_8U if layout.depth == 8 else cv2.CV_16U, (1 << layout.depth) - 1
    made: list[Plane] = []
    for a, b, c, added in matrix.tolist():
        pair = cv2.addWeighted(first, a, second, b, added)
        whole: Any = cv2.addWeighted(pair, 1, third, c, 0, dtype=kind)  # rounds and saturates
        made.append(np.minimum(whole, top) if 8 < layout.depth < 16 else whole)
    return tuple(made)


@cache
def _rgb_from_painted(layout: PlaneFormat) -> Matrix:
    """(3, 4): samples of the `paint_format` of RGB -> samples of RGB."""
    return rgb_from_planes(paint_format(layout)) * ((2.0**layout.depth - 1) / 255)


def _inverse(matrix: Matrix) -> Matrix:
    """The way back of a matrix (3, 4)."""
    back = np.linalg.inv(matrix[:, :3])
    return np.hstack([back, -back @ matrix[:, 3:]])


def black_of(layout: PlaneFormat) -> float:
    """The sample of luma that is black."""
    return _levels(layout)[0]


def plane_rows(plane: VideoPlane, kind: type[np.uint8] | type[np.uint16]) -> Plane:
    """All rows of one of FFmpeg's planes as it lies in memory, padding at their ends included."""
    memory: Any = plane  # the buffer protocol, which PyAV's annotations do not tell
    rows: Any = np.frombuffer(memory, dtype=kind).reshape(plane.height, -1)
    whole: Plane = rows
    return whole


@cache
def _format(name: str, color: Color, height: int) -> PlaneFormat:
    known = VideoFormat(name, 16, 16)
    parts = known.components
    chroma = parts[1] if len(parts) > 2 and not known.is_rgb else parts[0]
    jpeg = name.startswith("yuvj")
    matrix = color.matrix if color.matrix in _WEIGHTS else (5 if height < 720 or jpeg else 1)
    # gray that states no range is full range, to FFmpeg and to all that convert with it
    full = color.range == FULL_RANGE or (name.startswith("gray") and color.range != _LIMITED)
    return PlaneFormat(
        name=name,
        depth=parts[0].bits,
        shift=((16 // chroma.width).bit_length() - 1, (16 // chroma.height).bit_length() - 1),
        is_rgb=known.is_rgb,
        planes=len(parts),
        full_range=jpeg or known.is_rgb or full,
        weights=_WEIGHTS[matrix],
        centered=jpeg,
    )


def alpha_name(name: str) -> str:
    """The planar format with alpha of a planar one without."""
    return name.replace("gbrp", "gbrap").replace("yuv", "yuva")


def without_alpha(name: str) -> str | None:
    """The planar format of the colors of a format with alpha; None: it has none that is kept."""
    name = _WITH_ALPHA.get(name, name)
    plain = name.replace("gbrap", "gbrp").replace("yuva", "yuv")
    return plain if plain != name and planar_name(plain) == plain else None


@cache
def planar_name(name: str) -> str | None:
    """The planar format in which pictures of format ``name`` are read without loss, if any."""
    name = SAME_SAMPLES.get(name, name)
    known = VideoFormat(name, 16, 16)
    parts = known.components
    separate = len({part.plane for part in parts}) == len(parts) in (1, 3)
    plain = (
        name.startswith(("yuv", "gray", "gbrp"))
        and not known.is_big_endian
        and "f" not in name.removeprefix("gray")
    )
    whole = all(8 <= part.bits <= 16 and not part.is_alpha for part in parts) and "msb" not in name
    return name if separate and plain and whole else None


def swscale_matrix(layout: PlaneFormat) -> int:
    """FFmpeg's code of the matrix that a format's weights mean."""
    red = layout.weights[0]
    return {0.2126: 1, 0.30: 4, 0.299: 5, 0.212: 7, 0.2627: 9}[red]


def coded_from_display(info: VideoInfo) -> Matrix:
    """Display coordinates -> pixels of the coded (decoded, not yet turned) picture."""
    width, height = info.display_size
    turn = {
        0: [[1, 0, 0], [0, 1, 0]],
        90: [[0, 1, 0], [-1, 0, width - 1]],
        180: [[-1, 0, width - 1], [0, -1, height - 1]],
        270: [[0, -1, height - 1], [1, 0, 0]],
    }[info.rotation]
    matrix = np.array(turn, np.float64)
    upright_width = height if info.rotation in (90, 270) else width
    return _scaled(matrix, info.width / upright_width, 1 / info.lines)


def plane_from_display(info: VideoInfo, layout: PlaneFormat, plane: int) -> Matrix:
    """Display coordinates -> samples of plane ``plane``, chroma siting included."""
    matrix = coded_from_display(info)
    if layout.parity is not None:
        matrix[1, 2] += (
            0.25 - 0.5 * layout.parity
        )  # its lines lie above or below the frame's middle
    if plane == 0 or layout.is_rgb:
        return matrix
    across, down = layout.shift
    matrix = _scaled(matrix, 0.5**across, 0.5**down)
    if across and not layout.centered:
        # chroma sits on the luma column 2i, not between 2i and 2i+1
        matrix[0, 2] += 0.5 - 0.5 ** (across + 1)
    return matrix


def _scaled(matrix: Matrix, across: float, down: float) -> Matrix:
    """Scale a transform's target about the picture's corner, which is at (-0.5, -0.5)."""
    scale = np.array([across, down])
    scaled: Matrix = matrix * scale[:, None]
    scaled[:, 2] += 0.5 * scale - 0.5
    return scaled


class Sampled(Protocol):
    """A picture as `rgb_crop` needs it; `frames.Frame` is one."""

    @property
    def planes(self) -> tuple[Plane, ...]: ...

    @property
    def format(self) -> PlaneFormat: ...

    @property
    def info(self) -> VideoInfo: ...


def rgb_crop(frame: Sampled, crop_from_display: Matrix, size: int) -> NDArray[np.uint8]:
    """The square of ``size`` pixels that ``crop_from_display`` cuts out, as (S, S, 3) 8-bit RGB.

    Samples are taken from the native planes; beyond the picture its edge is repeated. Where the crop
    shrinks the picture, samples are averaged first.
    """
    layout = frame.format
    display_from_crop: Any = cv2.invertAffineTransform(np.asarray(crop_from_display, np.float64))
    parts = [
        warp_plane(
            plane, _after(plane_from_display(frame.info, layout, index), display_from_crop), size
        )
        for index, plane in enumerate(frame.planes)
    ]
    return to_rgb(parts, layout)


def luma_crop(frame: Sampled, crop_from_display: Matrix, size: int) -> NDArray[np.float32]:
    """The same square in gray alone: (S, S) luma, 0 black to 1 white; of RGB, its luma by the film's own weights."""
    layout = frame.format
    display_from_crop: Any = cv2.invertAffineTransform(np.asarray(crop_from_display, np.float64))
    black, peak, _, _ = _levels(layout)
    red, blue = layout.weights
    shares = (red, 1 - red - blue, blue) if layout.is_rgb else (1.0,)
    luma = np.zeros((size, size), np.float32)
    for index, share in enumerate(shares):
        way = _after(plane_from_display(frame.info, layout, index), display_from_crop)
        luma += np.float32(share) * warp_plane(frame.planes[index], way, size)
    return np.asarray((luma - black) / np.float32(peak - black), np.float32)


def color_crop(frame: Sampled, crop_from_display: Matrix, size: int) -> NDArray[np.float32]:
    """The same square in its color differences: (S, S, 2) blue and red less luma, -0.5 to 0.5; of gray films 0."""
    layout = frame.format
    if layout.planes == 1:
        return np.zeros((size, size, 2), np.float32)
    display_from_crop: Any = cv2.invertAffineTransform(np.asarray(crop_from_display, np.float64))
    planes = (0, 1, 2) if layout.is_rgb else (1, 2)
    parts = [
        warp_plane(
            frame.planes[k],
            _after(plane_from_display(frame.info, layout, k), display_from_crop),
            size,
        ).astype(np.float32)
        for k in planes
    ]
    black, peak, middle, span = _levels(layout)
    if not layout.is_rgb:
        return np.asarray((np.stack(parts, 2) - middle) / span, np.float32)
    red, blue = layout.weights
    r, g, b = ((part - black) / (peak - black) for part in parts)
    luma = red * r + (1 - red - blue) * g + blue * b
    differences = ((b - luma) / (2 * (1 - blue)), (r - luma) / (2 * (1 - red)))
    return np.asarray(np.stack(differences, 2), np.float32)


def _after(outer: Matrix, inner: Matrix) -> Matrix:
    return np.hstack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2:] + outer[:, 2:]])


def warp_plane(plane: Plane, plane_from_crop: Matrix, size: int) -> Plane:
    """Sample a plane on the (size, size) grid that ``plane_from_crop`` lays over it."""
    corners = np.array([[-1, -1], [size, -1], [-1, size], [size, size]], np.float64)
    laid = corners @ plane_from_crop[:, :2].T + plane_from_crop[:, 2]
    height, width = plane.shape
    x0, y0 = np.clip(np.floor(laid.min(0)) - 2, 0, (width - 1, height - 1)).astype(int)
    x1, y1 = np.clip(np.ceil(laid.max(0)) + 3, (x0 + 1, y0 + 1), (width, height)).astype(int)
    part: Any = plane[y0:y1, x0:x1]
    matrix = plane_from_crop.copy()
    matrix[:, 2] -= (x0, y0)
    step = float(np.sqrt(abs(np.linalg.det(plane_from_crop[:, :2]))))
    if step > 1.5:
        target = (max(1, round((x1 - x0) / step)), max(1, round((y1 - y0) / step)))
        part = cv2.resize(part, target, interpolation=cv2.INTER_AREA)
        matrix = _scaled(matrix, target[0] / (x1 - x0), target[1] / (y1 - y0))
    warped: Any = cv2.warpAffine(
        part,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    samples: Plane = warped
    return samples


def to_rgb(parts: list[Plane], layout: PlaneFormat) -> NDArray[np.uint8]:
    """Planes of one size -> (H, W, 3) 8-bit RGB, by the film's own matrix and range."""
    if len(parts) == 1:
        parts = [parts[0]] * 3
        matrix = _gray_matrix(layout)
    else:
        matrix = rgb_from_planes(layout)
    merged: Any = cv2.merge(parts)
    if layout.depth > 8:
        merged = merged.astype(np.float32)
    mixed: Any = cv2.transform(merged, matrix)
    if layout.depth > 8:
        mixed = np.clip(np.rint(mixed, out=mixed), 0, 255, out=mixed).astype(np.uint8)
    rgb: NDArray[np.uint8] = mixed
    return rgb


def _levels(layout: PlaneFormat) -> tuple[float, float, float, float]:
    """Black and peak of luma, middle and span of chroma, in sample values."""
    if layout.full_range:
        top = 2.0**layout.depth
        return 0.0, top - 1, top / 2, top - 1
    unit = 2.0 ** (layout.depth - 8)
    return 16 * unit, 235 * unit, 128 * unit, 224 * unit


@cache
def rgb_from_planes(layout: PlaneFormat) -> Matrix:
    """(3, 4): sample values -> RGB 0..255."""
    black, peak, middle, span = _levels(layout)
    if layout.is_rgb:
        return np.hstack([np.eye(3) * 255 / (peak - black), np.zeros((3, 1))])
    red, blue = layout.weights
    green = 1 - red - blue
    luma, chroma = 255 / (peak - black), 255 / span
    colors = np.array(
        [
            [luma, 0, chroma * 2 * (1 - red)],
            [luma, -chroma * 2 * blue * (1 - blue) / green, -chroma * 2 * red * (1 - red) / green],
            [luma, chroma * 2 * (1 - blue), 0],
        ]
    )
    return np.hstack([colors, -colors @ np.array([[black], [middle], [middle]])])


@cache
def _gray_matrix(layout: PlaneFormat) -> Matrix:
    black, peak, _, _ = _levels(layout)
    scale = 255 / (peak - black)
    return np.hstack([np.eye(3) * scale, np.full((3, 1), -black * scale)])


def changed_part(
    before: Sequence[Plane], after: Sequence[Plane]
) -> tuple[float, float, float, float] | None:
    """The box of samples that differ, ``x0 y0 x1 y1`` as shares of width and height; None where none does."""
    boxes = []
    for old, new in zip(before, after, strict=True):
        rows, columns = (np.nonzero((old != new).any(axis))[0] for axis in (1, 0))
        if len(rows):
            height, width = old.shape
            edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
            boxes.append(np.array(edges, np.float64) / (width, height, width, height))
    if not boxes:
        return None
    low, high = np.min(boxes, 0)[:2], np.max(boxes, 0)[2:]
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
