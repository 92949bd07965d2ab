"""The loss of the TC net: position, opening and motion inside phoneme runs, and how well a window's course fits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dubkit.config.schema import TcTraining
from dubkit.lips.mouth_shape import basis, gap_effect
from dubkit.training.tc_windows import Batch

OPENING = 0.03  # opening over face width that counts as one unit of error
_STEEP = 1.5  # error beyond which squares turn linear


def importance() -> Tensor:
    """(K,) how much a unit of each coefficient moves the landmarks, lips weighing as in the basis."""
    size = np.linalg.norm(basis().decode, axis=1) ** 2
    return torch.from_numpy((size / size.sum()).astype(np.float32))


def huber(error: Tensor) -> Tensor:
    """Squares that turn linear at `_STEEP`."""
    size = error.abs()
    return torch.where(size < _STEEP, 0.5 * error * error, _STEEP * (size - _STEEP / 2))


def run_weights(error: Tensor, batch: Batch) -> Tensor:
    """The adaptive lip weight (B, N): one number for all frames of a phoneme run, mean 1.

    Frames are similar to the truth by ``exp(-error)``. A run weighs as its most similar frame where its
    frames differ, else as their mean: a run that is right somewhere pulls its other frames after it.
    """
    similar = torch.exp(-error.detach().abs())
    windows = torch.arange(len(batch.runs), device=error.device)[:, None]
    _, flat = torch.unique((batch.runs + windows * 100_000).flatten(), return_inverse=True)
    none = error.new_zeros(int(flat.max()) + 1)
    here = (similar * batch.mask).flatten()
    top = none.scatter_reduce(0, flat, here, "amax")
    total = none.index_add(0, flat, here)
    size = none.index_add(0, flat, batch.mask.flatten()).clamp(min=1)
    mean = total / size
    weight = torch.where(top - mean > 0.05, top, mean)[flat].view_as(similar).clamp(0.3, 1.0)
    mean_weight = (weight * batch.mask).sum() / batch.mask.sum()
    return weight / mean_weight


def at_frames(cells: Tensor, batch: Batch) -> Tensor:
    """(B, T, K) on the grid -> (B, N, K) at the frames."""
    rows = torch.arange(len(cells), device=cells.device)[:, None]
    return cells[rows, batch.low] * (1 - batch.part) + cells[rows, batch.low + 1] * batch.part


def losses(made: Tensor, batch: Batch, settings: TcTraining) -> dict[str, Tensor]:
    """What is wrong with the shapes ``made`` (B, N, K), by term; their sum is the loss.

    ``position`` with the opening, closures weighing three times; ``motion`` from frame to frame; ``course``,
    one minus the correlation of a window's opening with the true one.
    """
    effect = torch.from_numpy(gap_effect()).to(made)
    weights = importance().to(made)
    error = made - batch.shapes
    lips = (error @ effect) / OPENING
    weight = batch.mask * (run_weights(lips, batch) if settings.adaptive else 1.0)
    place = (huber(error) * weights).sum(-1) + huber(lips) * (1 + settings.closures * batch.shut)
    pair = weight[:, 1:] * batch.mask[:, :-1]
    motion = (huber(error[:, 1:] - error[:, :-1]) * weights).sum(-1)
    motion = motion + 0.5 * huber(lips[:, 1:] - lips[:, :-1])
    return {
        "position": (place * weight).sum() / weight.sum(),
        "motion": settings.motion * (motion * pair).sum() / pair.sum(),
        "course": settings.course
        * (1 - agreement(made @ effect, batch.shapes @ effect, batch.mask)).mean(),
    }


def agreement(made: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """(B,) correlation of openings (B, N); flat ones agree with nothing."""
    count = mask.sum(1, keepdim=True)
    x, y = made / OPENING, true / OPENING
    x = (x - (x * mask).sum(1, keepdim=True) / count) * mask
    y = (y - (y * mask).sum(1, keepdim=True) / count) * mask
    return (x * y).sum(1) / torch.sqrt((x * x).sum(1) * (y * y).sum(1) + 1.0)
