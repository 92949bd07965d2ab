"""Things that pass before a mouth: a hand, a microphone, a cup, drawn over frames; what they cover is known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Series = NDArray[np.float64]

KINDS = ("hand", "own hand", "microphone", "cup")
SIDE = 256  # pixels of the drawing
# palms from light to dark, RGB
_SKINS = ((236, 188, 160), (214, 160, 130), (180, 122, 92), (126, 82, 60), (84, 54, 42))


@dataclass(frozen=True)
class Occluder:
    """A drawing with its soft outline; ``picture`` (S, S, 3), ``alpha`` (S, S) 0..1."""

    picture: NDArray[np.float32]
    alpha: NDArray[np.float32]
    reach: float  # of the drawing, in face widths
    comes_from: tuple[float, float]  # direction, y down


def draw(kind: str, skin: tuple[float, float, float], rng: np.random.Generator) -> Occluder:
    """One of `KINDS`; ``skin`` is the face's own color, which "own hand" has."""
    if kind == "microphone":
        return _microphone(rng)
    if kind == "cup":
        return _cup(rng)
    tone = skin if kind == "own hand" else _SKINS[rng.integers(len(_SKINS))]
    return _hand(np.array(tone, np.float32), rng)


def _hand(tone: NDArray[np.float32], rng: np.random.Generator) -> Occluder:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    shade = np.ones((SIDE, SIDE), np.float32)
    cv2.ellipse(mask, (128, 165), (62, 66), 0, 0, 360, 255, -1)
    for k, (x, length) in enumerate(((78, 88), (110, 108), (142, 112), (174, 96))):
        tip = (int(x + rng.integers(-6, 7)), 150 - length)
        cv2.line(mask, (x, 150), tip, 255, 29)
        cv2.line(shade, (x + 15, 150), (tip[0] + 15, tip[1]), 0.62, 4)
        for part in (0.35, 0.65):
            y = int(150 - part * length)
            cv2.line(shade, (x - 10, y), (x + 10, y + k % 2), 0.85, 2)
    cv2.line(mask, (185, 190), (232, 128), 255, 30)
    cv2.rectangle(mask, (88, 205), (168, SIDE), 255, -1)
    inner = cv2.GaussianBlur(mask, (0, 0), 11).astype(np.float32) / 255
    light = 0.72 + 0.33 * inner + 0.12 * np.linspace(-1, 1, SIDE, dtype=np.float32)[None]
    grain = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)).astype(np.float32), (0, 0), 1.2) * 5
    picture = tone * (light * cv2.GaussianBlur(shade, (0, 0), 1.5))[..., None] + grain[..., None]
    side = (float(rng.choice([-0.8, 0.0, 0.8])), 1.0)
    return Occluder(picture.astype(np.float32), _soft(mask), 0.9, side)


def _microphone(rng: np.random.Generator) -> Occluder:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, (128, 100), 62, 255, -1)
    cv2.line(mask, (128, 150), (128 + int(rng.integers(-40, 41)), SIDE), 255, 44)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    ball = 1 - np.hypot(x - 108, y - 80) / 190
    mesh = 0.75 + 0.25 * (np.sin(x * 0.9) * np.sin(y * 0.9))
    level = float(rng.uniform(40, 110)) * ball * mesh
    picture = np.stack([level, level, level * 1.05], 2).astype(np.float32)
    return Occluder(picture, _soft(mask), 0.75, (float(rng.uniform(-0.6, 0.6)), 1.0))


def _cup(rng: np.random.Generator) -> Occluder:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [np.array([[58, 60], [198, 60], [184, 240], [72, 240]])], 255)
    color = rng.uniform(60, 245, 3).astype(np.float32)
    round_ = 0.65 + 0.45 * np.sin(np.linspace(0.3, 2.6, SIDE, dtype=np.float32))[None]
    picture = np.repeat(round_, SIDE, 0)[..., None] * color
    picture[120:150] = 0.4 * picture[120:150] + 60
    return Occluder(picture.astype(np.float32), _soft(mask), 0.7, (0.4, 1.0))


def _soft(mask: Picture) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.6) / 255, np.float32)


def path(frames: int, rate: float) -> Series:
    """(T,) 0 away, 1 before the mouth: it comes in a third of a second, stays, and leaves; twice in long clips."""
    level = np.zeros(frames)
    stays = [(0.25, 0.65)] if frames < 4 * rate else [(0.15, 0.32), (0.55, 0.75)]
    ramp = max(2.0, rate / 3)
    at = np.arange(frames)
    for begin, end in stays:
        rise = np.clip((at - begin * frames) / ramp, 0, 1)
        level = np.maximum(level, np.minimum(rise, np.clip((end * frames - at) / ramp, 0, 1)))
    return np.asarray(level * level * (3 - 2 * level), np.float64)


def place(
    frame: Picture, thing: Occluder, mouth: Series, face_width: float, level: float, sway: float
) -> tuple[Picture, NDArray[np.float32]]:
    """The frame with the thing on its way to the mouth, and how much of each pixel it covers."""
    height, width = frame.shape[:2]
    if level <= 0:
        return frame, np.zeros((height, width), np.float32)
    scale = thing.reach * face_width / (0.55 * SIDE)
    away = 2.2 * face_width * (1 - level)
    x, y = mouth + away * np.array(thing.comes_from) + (sway * face_width, 0.05 * face_width)
    matrix = np.array([[scale, 0, x - scale * SIDE / 2], [0, scale, y - scale * 0.42 * SIDE]])
    shape = (width, height)
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cover = cv2.warpAffine(thing.alpha, matrix, shape, flags=flags)
    drawn = cv2.warpAffine(
        thing.picture, matrix, shape, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    mixed = frame * (1 - cover[..., None]) + np.clip(drawn, 0, 255) * cover[..., None]
    return np.clip(mixed, 0, 255).astype(np.uint8), np.asarray(cover, np.float32)
