"""Drawn pictures without faces: ramps, noise, shapes and icons for the detector to refuse."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray



def _colour(rng: Random) -> tuple[int, ...]:
    return tuple(int(c) for c in rng.integers(0, 256, 3))


def icon(rng: Random, picture: Picture) -> None:
    """Draw a small round or square sign with dots, bars or rings in it."""
    size = picture.shape[0]
    radius = float(np.exp(rng.uniform(np.log(4), np.log(max(size / 6, 5)))))
    centre = rng.uniform(0, size, 2)
    middle = (int(centre[0]), int(centre[1]))
    axes = (max(2, int(radius * rng.uniform(0.6, 1))), max(2, int(radius)))
    if rng.random() < 0.6:
        cv2.ellipse(picture, middle, axes, rng.uniform(-30, 30), 0, 360, _colour(rng), -1)
    else:
        low = (middle[0] - axes[0], middle[1] - axes[1])
        high = (middle[0] + axes[0], middle[1] + axes[1])
        cv2.rectangle(picture, low, high, _colour(rng), -1)
    ink = _colour(rng)
    for _ in range(int(rng.integers(1, 6))):
        spot = centre + rng.uniform(-0.6, 0.6, 2) * axes
        at, share = (int(spot[0]), int(spot[1])), radius * rng.uniform(0.08, 0.4)
        thick = -1 if rng.random() < 0.6 else max(1, int(radius / 8))
        if rng.random() < 0.6:
            twin = (int(2 * centre[0] - spot[0]), at[1])  # signs are often symmetric
            cv2.circle(picture, at, max(1, int(share)), ink, thick)
            cv2.circle(picture, twin, max(1, int(share)), ink, thick)
        else:
            end = (int(spot[0] + share * 3 * rng.uniform(-1, 1)), int(spot[1] + share))
            cv2.line(picture, at, end, ink, max(1, int(radius / 6)))
        if rng.random() < 0.3:
            ink = _colour(rng)


def procedural(rng: Random, size: int) -> Picture:
    """Colour ramps, clouds of noise at one scale, and a few shapes."""
    nodes = int(rng.choice([2, 3, 6, 16, 40]))
    field_ = rng.uniform(0, 255, (nodes, nodes, 3 if rng.random() < 0.7 else 1)).astype(np.float32)
    picture = cv2.resize(
        np.broadcast_to(field_, (nodes, nodes, 3)).copy(),
        (size, size),
        interpolation=cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST,
    )
    picture = np.clip(picture * rng.uniform(0.2, 1) + rng.uniform(0, 60), 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 12))):
        colour = _colour(rng)
        a, b = rng.integers(0, size, 2), rng.integers(0, size, 2)
        start, end = (int(a[0]), int(a[1])), (int(b[0]), int(b[1]))
        shape = rng.random()
        if shape < 0.4:
            radius = (int(rng.integers(2, size // 4 + 3)), int(rng.integers(2, size // 4 + 3)))
            cv2.ellipse(picture, start, radius, rng.uniform(0, 180), 0, 360, colour, -1)
        elif shape < 0.7:
            cv2.rectangle(picture, start, end, colour, -1 if rng.random() < 0.5 else 2)
        else:
            cv2.line(picture, start, end, colour, int(rng.integers(1, 8)))
    for _ in range(int(rng.integers(0, 40)) if rng.random() < 0.5 else 0):
        icon(rng, picture)
    return np.asarray(picture, np.uint8)
