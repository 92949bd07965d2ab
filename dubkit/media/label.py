"""A visible label in the pictures: white letters on a dark bar, over the first seconds of a film."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dubkit.errors import UsageError
from dubkit.media.planes import coded_from_display, plane_format

if TYPE_CHECKING:
    from dubkit.config.schema import GenerateSettings
    from dubkit.media.planes import Plane
    from dubkit.records import Floats, VideoInfo

_HEIGHT = 1 / 24  # of the letters, of the picture's height
_EDGE = 1 / 20  # from the edge of the picture
_SHADE = 0.6  # how dark the bar is
_FINER = 4  # letters are drawn larger, for smooth edges
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Label:
    """Paints a label into frames of a film."""

    def __init__(self, info: VideoInfo, settings: GenerateSettings) -> None:
        assert settings.label
        self._last = round(settings.label_seconds * float(info.average_rate))
        letters, bar = drawn(info.display_size, settings.label, settings.label_position)
        layout = plane_format(info)
        coded = coded_from_display(info)
        size = (info.width, info.height)
        self._layers = [
            np.asarray(cv2.warpAffine(layer, coded, size, flags=cv2.INTER_AREA), np.float32)
            for layer in (letters, bar)
        ]
        self._rgb = layout.is_rgb
        unit = 2.0**layout.depth
        full = layout.full_range or layout.is_rgb
        self._black, self._white = (0.0, unit - 1) if full else (unit / 16, unit * 235 / 256)
        self._middle = unit / 2

    def touches(self, index: int) -> bool:
        """Whether a frame of the film has the label."""
        return index < self._last

    def paint(self, planes: tuple[Plane, ...]) -> None:
        """Draw the label into the planes of a picture, in place."""
        for number, plane in enumerate(planes):
            height, width = plane.shape
            letters, bar = (
                cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA)
                for layer in self._layers
            )
            luma = self._rgb or number == 0
            dark, light = (self._black, self._white) if luma else (self._middle, self._middle)
            shaded = plane + _SHADE * bar * (dark - plane.astype(np.float32))
            plane[...] = np.rint(shaded + letters * (light - shaded))


def drawn(size: tuple[int, int], text: str, position: str) -> tuple[Floats, Floats]:
    """(H, W) letters and (H, W) bar, 0..1, in the upright picture. Raises UsageError where the text finds no room."""
    width, height = size
    tall = max(8, round(height * _HEIGHT))
    scale, thick = tall * _FINER / 21, max(1, round(tall * _FINER / 12))
    (long, high), below = cv2.getTextSize(text, _FONT, scale, thick)
    big = np.zeros((high + below + 2 * thick, long + 2 * thick), np.uint8)
    cv2.putText(big, text, (thick, high + thick), _FONT, scale, 255, thick, cv2.LINE_AA)
    small = (big.shape[1] // _FINER, big.shape[0] // _FINER)
    word = cv2.resize(big, small, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    edge, room = round(height * _EDGE), tall // 2
    if small[0] + 2 * (edge + room) > width:
        raise UsageError(f"the label {text!r} is too long for the picture", hint="a shorter one")
    upper, left = position.split("-")
    y = edge if upper == "top" else height - edge - small[1] - 2 * room
    x = edge if left == "left" else width - edge - small[0] - 2 * room
    letters, bar = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    bar[y : y + small[1] + 2 * room, x : x + small[0] + 2 * room] = 1
    letters[y + room : y + room + small[1], x + room : x + room + small[0]] = word
    return letters, bar
