"""What all trainings share: how a lesson is given, the rate's course, one step down, the running average.

All that is random in step n follows from the seed and n, so a training that is interrupted and goes on ends
with the same weights, to the bit, as one that never stopped (on the CPU, with equally many threads).
`dubkit.training.trainer` runs a lesson.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubkit.config.schema import LoopSettings
from dubkit.training.resume import Modules, Optimizers

_WARM_UP = 200  # steps, or a tenth of the training


@dataclass(frozen=True, slots=True)
class Pace:
    """What a lesson is told at each step; the optimisers' rate is set already."""

    step: int  # from 1
    rate: float
    device: torch.device
    autocast: Callable[[], AbstractContextManager[Any]]


class Lesson(Protocol):
    """One kind of training. ``goal`` names the measure of `examine` that decides; lower is better."""

    kind: str  # of the checkpoint that it makes
    goal: str

    def modules(self) -> Modules:
        """Every net that changes, running averages included, by name."""

    def optimizers(self) -> Optimizers: ...

    def draw(self, rng: np.random.Generator) -> Any:
        """A batch, a function of ``rng`` alone; called from several threads."""

    def learn(self, batch: Any, pace: Pace) -> Mapping[str, float]:
        """One step; the losses."""

    def examine(self) -> Mapping[str, float]:
        """Measures on held-out clips."""

    def preview(self) -> NDArray[np.uint8] | None:
        """A picture (H, W, 3) RGB of what the net does on held-out clips."""

    def save(self, path: Path, step: int) -> None:
        """Write the checkpoint that the product loads."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended."""

    weights: Path | None  # None: nothing was better than the start
    step: int
    best_step: int
    best: float | None
    goal: str
    finished: str
    seconds: float
    measures: Mapping[str, float] = field(default_factory=dict)


def batches(lesson: Lesson, settings: LoopSettings, first: int, last: int) -> Iterator[Any]:
    """The batches of steps ``first`` to ``last``, some of them drawn ahead by threads."""

    def draw(step: int) -> Any:
        return lesson.draw(np.random.default_rng((settings.seed, step)))

    if settings.loaders == 0:
        yield from map(draw, range(first, last + 1))
        return
    ahead: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(settings.loaders) as pool:
        try:
            for step in range(first, last + 1):
                ahead.append(pool.submit(draw, step))
                if len(ahead) > settings.loaders:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def seed_of(seed: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1)


def course_of_rate(step: int, steps: int) -> float:
    """The part of the highest rate at a step: a warm-up, then a cosine to a hundredth."""
    warm = min(1.0, step / min(_WARM_UP, max(1, steps // 10)))
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0))))


def set_rate(optimizer: torch.optim.Optimizer, rate: float, step: int, done: float) -> None:
    """A warm-up over 200 steps, then a cosine to a hundredth; ``done`` is the part of the training 0..1."""
    slope = 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * min(done, 1.0)))
    for group in optimizer.param_groups:
        group["lr"] = rate * min(1.0, step / 200) * slope


def descend(
    net: torch.nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, longest: float
) -> float:
    """One step against the gradient, which is cut to the length ``longest``; the loss as a number."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(net.parameters(), longest)
    optimizer.step()
    return float(loss.detach())


@torch.no_grad()
def follow(average: torch.nn.Module, net: torch.nn.Module, keep: float) -> None:
    """Move the running average of weights and statistics towards the net."""
    for mine, other in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(other, 1 - keep)
        else:
            mine.copy_(other)
