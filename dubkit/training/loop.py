"""What the training loops share: the rate's course, one step down, the running average."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


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
