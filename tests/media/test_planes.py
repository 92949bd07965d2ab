"""Where samples lie: display coordinates to planes, and crops in RGB."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dubkit.media.planes import (
    Matrix,
    PlaneFormat,
    luma_crop,
    paint_format,
    paint_planes,
    painted_planes,
    planar_name,
    plane_format,
    plane_from_display,
    rgb_crop,
    to_rgb,
)
from dubkit.records import Color, VideoInfo
from tests.clips import facts


@dataclass(frozen=True)
class Still:
    """A picture without a decoder."""

    info: VideoInfo
    planes: tuple[Any, ...]

    @property
    def format(self) -> PlaneFormat:
        return plane_format(self.info)


def ramp(info: VideoInfo) -> Still:
    """Luma rises with x of the coded picture, the first chroma with y, both with chroma siting."""
    layout = plane_format(info)
    across, down = layout.shift
    scale = 2 ** (layout.depth - 8)
    luma = np.tile(np.arange(info.width) * scale, (info.height, 1))
    rows, columns = -(-info.height // 2**down), -(-info.width // 2**across)
    middle = (2**down - 1) / 2
    rise = (np.arange(rows)[:, None] * 2**down + middle) * scale
    flat = np.full((rows, columns), 128 * scale)
    planes = (luma, np.repeat(rise, columns, 1), flat)
    return Still(info, tuple(p.astype(layout.sample_type) for p in planes))


def point(matrix: Matrix, x: float, y: float) -> NDArray[np.float64]:
    return np.asarray(matrix[:, :2] @ (x, y) + matrix[:, 2], np.float64)


def test_luma_of_a_plain_film_lies_where_the_display_says() -> None:
    info = facts()
    assert np.allclose(plane_from_display(info, plane_format(info), 0), [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(16, 11), Fraction(1, 2)])
def test_the_corners_of_the_display_are_the_corners_of_the_plane(
    rotation: int, aspect: Fraction
) -> None:
    info = facts(width=90, height=50, rotation=rotation, pixel_aspect=aspect)
    width, height = info.display_size
    matrix = plane_from_display(info, plane_format(info), 0)
    shown = [(-0.5, -0.5), (width - 0.5, -0.5), (width - 0.5, height - 0.5), (-0.5, height - 0.5)]
    corners = [(-0.5, -0.5), (89.5, -0.5), (89.5, 49.5), (-0.5, 49.5)]
    turn = rotation // 90
    # turned clockwise, the coded picture's top left is shown at the top right, and so on
    for place, corner in enumerate(corners):
        assert np.allclose(point(matrix, *shown[(place + turn) % 4]), corner)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv420p10le"])
def test_chroma_is_sited_on_luma_columns_and_between_luma_rows(pixels: str) -> None:
    info = facts(pixels)
    layout = plane_format(info)
    across, down = layout.shift
    matrix = plane_from_display(info, layout, 1)
    assert np.allclose(point(matrix, 3 * 2**across, 0)[0], 3)
    middle = (2**down - 1) / 2
    assert np.allclose(point(matrix, 0, 5 * 2**down + middle)[1], 5)


def test_chroma_of_full_range_jpeg_is_centered() -> None:
    info = facts("yuvj420p")
    matrix = plane_from_display(info, plane_format(info), 1)
    assert np.allclose(point(matrix, 0.5, 0.5), (0, 0))


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10le", "yuv444p12le", "yuv420p10le"])
def test_a_crop_takes_luma_and_chroma_from_the_same_place(pixels: str) -> None:
    info = facts(pixels, width=200, height=160, color=Color(range=2, matrix=1))
    still = ramp(info)
    crop = np.array([[1.0, 0, -40], [0, 1.0, -30]])
    rgb = rgb_crop(still, crop, 64)
    y, x = np.mgrid[0:64, 0:64]
    parts = [(x + 40).astype(np.uint8), (y + 30).astype(np.uint8), np.full((64, 64), 128, np.uint8)]
    wanted = to_rgb(parts, replace(plane_format(info), depth=8))
    assert np.abs(rgb.astype(int) - wanted).max() <= 2


@pytest.mark.parametrize(
    "pixels", ["yuv420p", "yuv422p10le", "gray", "gray12le", "gbrp", "gbrp10le"]
)
def test_the_luma_of_a_crop_is_that_of_its_colors(pixels: str) -> None:
    info = facts(pixels, width=200, height=160, color=Color(range=2, matrix=5))
    still = ramp(info)
    crop = np.array([[0.8, 0.1, -40], [-0.1, 0.8, -10]])
    rgb = rgb_crop(still, crop, 48).astype(np.float64)
    luma = luma_crop(still, crop, 48)
    inside = ((rgb > 0) & (rgb < 255)).all(2)  # where no color was cut off
    assert inside.any()
    wanted = rgb @ (0.299, 0.587, 0.114) / 255
    assert np.abs(luma - wanted)[inside].max() < 3 / 255


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_crop_of_a_turned_film_is_upright(rotation: int) -> None:
    upright = facts(width=64, height=64, color=Color(range=2))
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (8, 8)).astype(np.uint8)
    luma = cv2.resize(small, (64, 64), interpolation=cv2.INTER_CUBIC)
    gray = np.full((32, 32), 128, np.uint8)
    identity = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    shown = rgb_crop(Still(upright, (luma, gray, gray)), identity, 64)
    coded = np.ascontiguousarray(np.rot90(luma, rotation // 90))
    turned = replace(upright, rotation=rotation)
    assert np.array_equal(rgb_crop(Still(turned, (coded, gray, gray)), identity, 64), shown)


def test_a_crop_beyond_the_picture_repeats_its_edge() -> None:
    info = facts(width=32, height=32, color=Color(range=2))
    planes = (np.full((32, 32), 200, np.uint8), *[np.full((16, 16), 128, np.uint8)] * 2)
    for place in (-1000.0, -16.0, 1000.0):
        rgb = rgb_crop(Still(info, planes), np.array([[1.0, 0, place], [0, 1.0, place]]), 24)
        assert (rgb == 200).all()


@pytest.mark.parametrize("factor", [0.5, 0.25, 0.1])
def test_a_crop_that_shrinks_does_not_alias(factor: float) -> None:
    info = facts(width=640, height=640, color=Color(range=2))
    board = (np.indices((640, 640)).sum(0) % 2 * 255).astype(np.uint8)
    gray = np.full((320, 320), 128, np.uint8)
    matrix = np.array([[factor, 0, 0.13], [0, factor, 0.29]])
    rgb = rgb_crop(Still(info, (board, gray, gray)), matrix, int(600 * factor))
    assert 100 < rgb.min() <= rgb.max() < 156


@pytest.mark.parametrize(
    ("matrix", "height", "red"),
    [
        (1, 480, (63, 102, 240)),
        (5, 1080, (81, 90, 240)),
        (2, 1080, (63, 102, 240)),
        (2, 480, (81, 90, 240)),
    ],
)
def test_red_is_red_by_the_films_own_matrix(
    matrix: int, height: int, red: tuple[int, int, int]
) -> None:
    layout = plane_format(facts(height=height, color=Color(range=1, matrix=matrix)))
    parts: list[Any] = [np.full((2, 2), value, np.uint8) for value in red]
    assert np.abs(to_rgb(parts, layout)[0, 0].astype(int) - (255, 0, 0)).max() <= 1


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("full", [True, False])
def test_black_and_white_reach_the_ends_at_every_depth(depth: int, full: bool) -> None:
    name = "yuv444p" if depth == 8 else f"yuv444p{depth}le"
    layout = plane_format(facts(name, color=Color(range=2 if full else 1)))
    unit = 2 ** (depth - 8)
    black, white = (0, 2**depth - 1) if full else (16 * unit, 235 * unit)
    for luma, wanted in ((black, 0), (white, 255)):
        values = (luma, 128 * unit, 128 * unit)
        parts: list[Any] = [np.full((1, 1), v, layout.sample_type) for v in values]
        assert (to_rgb(parts, layout) == wanted).all()


def test_gray_and_rgb_formats_are_understood() -> None:
    gray = plane_format(facts("gray", color=Color(range=2)))
    assert gray.planes == 1
    assert to_rgb([np.full((1, 1), 77, np.uint8)], gray).tolist() == [[[77, 77, 77]]]
    rgb = plane_format(facts("gbrp"))
    parts: list[Any] = [np.full((1, 1), v, np.uint8) for v in (1, 2, 3)]
    assert to_rgb(parts, rgb).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize(
    ("name", "planar"),
    [
        ("yuv420p", "yuv420p"),
        ("nv12", "yuv420p"),
        ("p010le", "yuv420p10le"),
        ("rgb24", "gbrp"),
        ("gray16le", "gray16le"),
        ("yuva420p", None),
        ("rgba", None),
        ("pal8", None),
        ("yuv420p10be", None),
        ("grayf32le", None),
        ("gbrpf32le", None),
        ("xyz12le", None),
        ("ya8", None),
    ],
)
def test_only_formats_that_keep_every_sample_are_read(name: str, planar: str | None) -> None:
    assert planar_name(name) == planar


@pytest.mark.parametrize("pixels", ["gbrp", "gbrp10le", "gbrp12le", "gbrp16le"])
def test_what_is_painted_in_luma_comes_back_to_rgb_and_the_rest_keeps_its_bits(pixels: str) -> None:
    layout = plane_format(facts(pixels))
    top = (1 << layout.depth) - 1
    rng = np.random.default_rng(1)
    filmed: list[Any] = [
        rng.integers(0, top + 1, (40, 30)).astype(layout.sample_type) for _ in range(3)
    ]
    before = paint_planes(filmed, layout)
    assert all(plane.dtype == np.uint16 for plane in before)
    assert paint_format(layout).depth == 16
    after = [plane.copy() for plane in before]
    inside = slice(10, 20), slice(5, 25)
    lighter = 20 * 257  # of 16 bits
    after[0][inside] = np.minimum(after[0][inside].astype(int) + lighter, 65535)
    made = painted_planes(filmed, layout, before, after)
    added = (after[0][inside].astype(float) - before[0][inside]) * top / 65535
    for old, new in zip(filmed, made, strict=True):
        assert np.abs(new[inside] - np.minimum(old[inside] + added, top)).max() <= 2
        old[inside] = new[inside]
        assert np.array_equal(old, new)


def test_pictures_that_are_not_rgb_are_painted_as_they_are() -> None:
    layout = plane_format(facts("yuv420p10le"))
    planes = tuple(np.zeros((4, 4), np.uint16) for _ in range(3))
    assert paint_format(layout) is layout
    assert all(a is b for a, b in zip(paint_planes(planes, layout), planes, strict=True))
    assert painted_planes(planes[:0], layout, planes, planes) == planes
