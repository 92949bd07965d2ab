"""The visible label: in its corner, for its seconds, in planes of every kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from dubkit.config.schema import GenerateSettings
from dubkit.errors import UsageError
from dubkit.media.label import Label, drawn
from dubkit.media.planes import Plane, plane_format, to_rgb
from tests.clips import facts

TEXT = "Dubbed with AI"


def planes_of(info: Any) -> tuple[Plane, ...]:
    """A gray picture."""
    layout = plane_format(info)
    across, down = layout.shift
    small = (info.height >> down, info.width >> across)
    sizes = [(info.height, info.width)] + [
        (info.height, info.width) if layout.is_rgb else small
    ] * (layout.planes - 1)
    middle = 2 ** (layout.depth - 1)
    return tuple(np.full(size, middle, layout.sample_type) for size in sizes)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10le", "gbrp12le", "gray"])
def test_letters_are_white_on_a_dark_bar_in_their_corner(pixels: str) -> None:
    info = facts(pixels, width=320, height=180)
    planes = planes_of(info)
    Label(info, GenerateSettings(label=TEXT)).paint(planes)
    layout = plane_format(info)
    parts: Any = [cv2.resize(plane, (320, 180)) for plane in planes]
    rgb = to_rgb(parts, layout).astype(int)
    corner, rest = rgb[140:180, :160], rgb[:130]
    assert corner.max() > 225
    assert corner.min() < 75
    assert np.ptp(rest) == 0
    assert np.ptp(rgb, axis=2).max() <= 3  # no color


@pytest.mark.parametrize(
    ("position", "inside"),
    [
        ("top-left", (0, 0)),
        ("top-right", (0, 1)),
        ("bottom-left", (1, 0)),
        ("bottom-right", (1, 1)),
    ],
)
def test_the_label_is_where_it_was_asked_for(position: str, inside: tuple[int, int]) -> None:
    _, bar = drawn((640, 360), TEXT, position)
    rows, columns = np.nonzero(bar)
    assert (rows.mean() > 180, columns.mean() > 320) == (bool(inside[0]), bool(inside[1]))


def test_it_is_shown_for_its_seconds_and_upright_in_a_turned_film() -> None:
    info = replace(facts(width=320, height=180), rotation=90)
    label = Label(info, GenerateSettings(label="AI", label_seconds=2, label_position="top-left"))
    assert [label.touches(n) for n in (0, 49, 50)] == [True, True, False]
    planes = planes_of(info)
    label.paint(planes)
    upright = np.rot90(planes[0], -1)
    rows, columns = np.nonzero(upright != 128)
    assert rows.max() < 60
    assert columns.max() < 90


def test_a_label_that_finds_no_room_is_refused() -> None:
    with pytest.raises(UsageError, match="too long"):
        drawn((160, 96), 80 * "x", "top-left")
