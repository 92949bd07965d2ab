"""Losses of predicted mouth shapes: what the training of the TC net minimizes.

All are per frame or per window of frames; the caller weighs and adds them. Adaptation judges by `importance`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from dubkit.faces import landmark_layout
from dubkit.lips import mouth_shape

OPENING, SIDEWAYS = (
    0.03,
    0.02,
)  # of the face's width: units of error of the opening; of width and chin
SIDEWAYS_WEIGHT = 0.3  # of an error of the mouth's width, beside one of its opening
_FACE = 2.3  # width of the mean face, canonical units
_KNEE = 1.5  # error beyond which squares turn linear


@cache
def effects() -> tuple[Tensor, Tensor, Tensor]:
    """(K,) each: what a unit of each coefficient adds to opening, width and height of the chin, over face width."""
    decoded = mouth_shape.decode(np.eye(len(mouth_shape.basis().decode), dtype=np.float32))
    where = {int(landmark): row for row, landmark in enumerate(landmark_layout.MOVING)}
    corners = (landmark_layout.MOUTH_LEFT, landmark_layout.MOUTH_RIGHT, landmark_layout.JAW[9])
    left, right, chin = (where[int(point)] for point in corners)
    width = (decoded[:, right, 0] - decoded[:, left, 0]) / _FACE
    height = decoded[:, chin, 1] / _FACE
    gap = mouth_shape.gap_effect()
    with torch.inference_mode(mode=False):  # it is kept, whoever calls first, and trained with
        return torch.from_numpy(gap), torch.from_numpy(width), torch.from_numpy(height)


@cache
def importance() -> Tensor:
    """(K,) how much a unit of each coefficient moves the landmarks, lips weighing as in the basis; sum 1."""
    size = np.linalg.norm(mouth_shape.basis().decode, axis=1) ** 2
    with torch.inference_mode(mode=False):
        return torch.from_numpy((size / size.sum()).astype(np.float32))


def huber(error: Tensor) -> Tensor:
    """Squares that turn linear at `_KNEE`."""
    size = error.abs()
    return torch.where(size < _KNEE, 0.5 * error * error, _KNEE * (size - _KNEE / 2))


def position(error: Tensor, labial: Tensor | float = 0.0) -> Tensor:
    """(...,) loss of shapes that are off by ``error`` (..., K): all points, the opening and the width.

    The opening weighs ``1 + labial`` times.
    """
    gap, width, _ = (effect.to(error) for effect in effects())
    loss = (huber(error) * importance().to(error)).sum(-1)
    loss = loss + huber(error @ gap / OPENING) * (1 + labial)
    return loss + SIDEWAYS_WEIGHT * huber(error @ width / SIDEWAYS)


def motion(error: Tensor) -> Tensor:
    """(..., T - 1) loss of what ``error`` (..., T, K) changes from frame to frame."""
    gap = effects()[0].to(error)
    jump = error.diff(dim=-2)
    return (huber(jump) * importance().to(error)).sum(-1) + 0.5 * huber(jump @ gap / OPENING)


def agreement(made: Tensor, true: Tensor, mask: Tensor, unit: float) -> Tensor:
    """(B,) correlation of values (B, N) in the frames of ``mask``; what is flat, in ``unit``, agrees with nothing."""
    count = mask.sum(1, keepdim=True).clamp(min=1)
    x, y = made / unit, true / unit
    x = (x - (x * mask).sum(1, keepdim=True) / count) * mask
    y = (y - (y * mask).sum(1, keepdim=True) / count) * mask
    return (x * y).sum(1) / torch.sqrt((x * x).sum(1) * (y * y).sum(1) + 1.0)
