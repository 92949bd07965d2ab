"""A few small steps of the whole TC net towards one person: what is learnt from, the loss, the descent.

As in training, the loss is about position, opening and motion, and most of all about the course of the opening in
windows of some seconds. Everything is seen in every step, so nothing is drawn at random but the dropout, which has
a seed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dubkit.lips import mouth_shape
from dubkit.models.tc import TcNet
from dubkit.records import Floats
from dubkit.speech.articulatory import STEP
from dubkit.speech.timing import Timing
from dubkit.synthesis.asked import Asked, asked

RATE = 1e-4
# a step for each second of speech: more of them learn the footage by heart. Chosen on people whom the nets had not seen
_STEPS = (5, 40)  # at least and at most
_SINGLE = 64  # channels of one net: of several side by side, the last layer takes the mean
_WARM = 5  # steps in which the rate rises
_COURSE, _MOTION = 5.0, 0.3  # weights, as in training
_OPENING = 0.03  # opening over face width that counts as one unit of error
_STEEP = 1.5  # error beyond which squares turn linear
_WINDOW = 2.4  # seconds in which the course is compared
_LEAST = 0.25  # of a window must be learnt from
_LONGEST = 1.0  # gradient


@dataclass(frozen=True, slots=True)
class Spoken:
    """One stretch of speech; N frames, K coefficients."""

    asked: Asked
    shapes: Tensor  # (N, K) what the mouth did
    window: int  # frames


def taught(net: TcNet, timing: Timing, shapes: Floats) -> Spoken:
    """What ``net`` is asked about a stretch, and what it should answer."""
    times = timing.times
    interval = float(np.median(np.diff(times))) if len(times) > 1 else STEP
    window = max(10, round(_WINDOW / max(interval, 1e-3)))
    return Spoken(asked(net, timing), torch.from_numpy(np.asarray(shapes, np.float32)), window)


def steps(seconds: float) -> int:
    """How far is gone with so much speech."""
    return int(np.clip(round(seconds), *_STEPS))


def learnt(net: TcNet, speech: Sequence[Spoken], chosen: Sequence[np.ndarray], count: int) -> TcNet:
    """A copy of ``net`` after ``count`` steps; of each stretch the frames ``chosen`` (N,) are learnt from."""
    tuned = copy.deepcopy(net).requires_grad_(True).train()
    masks = [torch.from_numpy(np.asarray(rows, np.float32)) for rows in chosen]
    # nets that stand side by side in one do not meet: what is 0 between them stays so
    there = [(p, (p != 0).to(p)) for p in tuned.parameters()]
    optimizer, rates = _optimizer(tuned)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        for step in range(1, count + 1):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * min(1.0, step / _WARM)
            optimizer.zero_grad()
            _loss(tuned, speech, masks).backward()  # type: ignore[no-untyped-call]
            for parameter, kept in there:
                if parameter.grad is not None:
                    parameter.grad *= kept
            nn.utils.clip_grad_norm_(tuned.parameters(), _LONGEST)
            optimizer.step()
    return tuned.eval().requires_grad_(False)


def error(net: TcNet, speech: Sequence[Spoken], chosen: Sequence[np.ndarray]) -> float:
    """How wrong ``net`` is on the frames ``chosen``: the loss that `learnt` follows, mean over the frames."""
    masks = [torch.from_numpy(np.asarray(rows, np.float32)) for rows in chosen]
    with torch.inference_mode():
        return float(_loss(net, speech, masks))


def _optimizer(net: TcNet) -> tuple[torch.optim.Optimizer, tuple[float, float]]:
    last = list(net.last.parameters())
    known = {id(parameter) for parameter in last}
    deep = [parameter for parameter in net.parameters() if id(parameter) not in known]
    groups: list[dict[str, Any]] = [{"params": deep}, {"params": last}]
    return torch.optim.Adam(groups), (RATE, RATE * _SINGLE / net.config.width)


def _loss(net: TcNet, speech: Sequence[Spoken], masks: Sequence[Tensor]) -> Tensor:
    """Mean over the frames that are learnt from."""
    effect = torch.from_numpy(mouth_shape.gap_effect())
    size = torch.from_numpy(np.linalg.norm(mouth_shape.basis().decode, axis=1) ** 2).float()
    weights = size / size.sum()
    total = torch.zeros(())
    for stretch, mask in zip(speech, masks, strict=True):
        made = stretch.asked.answer(net)
        error = made - stretch.shapes
        lips = error @ effect / _OPENING
        place = (_huber(error) * weights).sum(-1) + _huber(lips)
        jump = (_huber(error.diff(dim=0)) * weights).sum(-1) + 0.5 * _huber(lips.diff())
        course = _courses(made @ effect, stretch.shapes @ effect, mask, stretch.window)
        total = total + (place * mask).sum() + _COURSE * course
        total = total + _MOTION * (jump * mask[1:] * mask[:-1]).sum()
    frames = torch.stack([mask.sum() for mask in masks]).sum()
    return total / frames.clamp(min=1)


def _courses(made: Tensor, true: Tensor, mask: Tensor, window: int) -> Tensor:
    """One minus the correlation of openings (N,) in each window, weighed by its frames that are learnt from."""
    short = max(0, window - len(mask))
    x, y, m = (
        nn.functional.pad(v, (0, short)).unfold(0, window, max(1, window // 2))
        for v in (made / _OPENING, true / _OPENING, mask)
    )
    count = m.sum(1, keepdim=True)
    x, y = ((v - (v * m).sum(1, keepdim=True) / count.clamp(min=1)) * m for v in (x, y))
    agreed = (x * y).sum(1) / torch.sqrt((x * x).sum(1) * (y * y).sum(1) + 1.0)
    return ((1 - agreed) * count[:, 0] * (count[:, 0] >= _LEAST * window)).sum()


def _huber(error: Tensor) -> Tensor:
    """Squares that turn linear at `_STEEP`."""
    size = error.abs()
    return torch.where(size < _STEEP, 0.5 * error * error, _STEEP * (size - _STEEP / 2))
