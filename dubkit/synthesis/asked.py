"""A stretch of speech as the TC net is asked about it: cells of the grid, and where among them the frames lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dubkit.models.tc import TcNet
from dubkit.speech import articulatory
from dubkit.speech.timing import Timing


@dataclass(frozen=True, slots=True)
class Asked:
    """T cells, N frames."""

    cells: Tensor  # (1, T, F) what the net is given
    low: Tensor  # (N,) cell before each frame
    part: Tensor  # (N, 1) way to the next cell

    def answer(self, net: TcNet) -> Tensor:  # (N, K)
        """Mouth shapes at the frames."""
        cells = net(self.cells)[0]
        shapes: Tensor = cells[self.low] * (1 - self.part) + cells[self.low + 1] * self.part
        return shapes


def asked(net: TcNet, timing: Timing) -> Asked:
    """What ``net`` is given for a stretch, with as much context as it sees."""
    reach = articulatory.STEP * (net.reach + 1)
    first, last = float(timing.times.min()), float(timing.times.max())
    numbers = articulatory.grid(first - reach, last + reach)
    given = articulatory.inputs(timing.phonemes, numbers, timing.sound, net.config.bands)
    place = timing.times / articulatory.STEP - numbers[0]
    low = np.floor(place).astype(np.int64)
    part = (place - low).astype(np.float32)[:, None]
    return Asked(torch.from_numpy(given)[None], torch.from_numpy(low), torch.from_numpy(part))
