"""Samples for the SC net as tensors: everything on the view, channels first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import Tensor

from dubkit.lips import refiner_grid
from dubkit.models.sc import ScInput
from dubkit.records import Floats

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Maps:
    """One sample or, stacked, a batch: everything on the view, channels first."""

    filmed: Tensor  # (B, 3, S, S)
    truth: Tensor  # (B, 3, S, S)
    visible: Tensor  # (B, 1, S, S)
    sketch: Tensor  # (B, C, S, S)
    core: Tensor  # (B, 1, S, S)
    mask: Tensor  # (B, 1, S, S) by geometry
    ring: Tensor  # (B, 1, S, S)
    references: Tensor  # (B, K, 3, S, S)
    shade: Tensor  # (B, K, 1, S, S)
    weights: Tensor  # (B, K)

    def given(self) -> ScInput:
        """What the net sees of it."""
        return ScInput(
            self.filmed,
            self.visible,
            self.sketch,
            self.core,
            self.references,
            self.shade,
            self.weights,
        )

    def parts(self) -> list[Tensor]:
        """All of them, in order."""
        return [getattr(self, f.name) for f in fields(self)]

    def to(self, device: torch.device) -> Maps:
        """On another device."""
        return from_parts([part.to(device) for part in self.parts()])


def from_parts(parts: Sequence[Tensor]) -> Maps:
    """What `Maps.parts` gave, put together again."""
    return Maps(**{f.name: part for f, part in zip(fields(Maps), parts, strict=True)})


def as_tensor(part: Floats) -> Tensor:
    """(S, S) or (S, S, C) -> (1, C, S, S)."""
    whole = part[..., None] if part.ndim == 2 else part
    return torch.from_numpy(np.ascontiguousarray(whole.transpose(2, 0, 1), np.float32))[None]


def stacked(samples: Sequence[Maps], rng: Random | None = None) -> Maps:
    """A batch; with ``rng`` each sample is mirrored or deformed."""
    whole = [torch.cat(parts) for parts in zip(*(s.parts() for s in samples), strict=True)]
    if rng is None:
        return from_parts(whole)
    grid = torch.cat([_deformation(rng) for _ in samples])
    images = [t.flatten(1, -3) for t in whole[:-1]]
    together = torch.cat(images, 1)
    moved = torch.split(
        F.grid_sample(together, grid, padding_mode="border", align_corners=False),
        [t.shape[1] for t in images],
        1,
    )
    back = [m.view(t.shape) for m, t in zip(moved, whole[:-1], strict=True)]
    seen = [f.name for f in fields(Maps)].index("visible")
    back[seen] = (back[seen] > 0.999).float()
    return from_parts([*back, whole[-1]])


def _deformation(rng: Random) -> Tensor:
    """(1, S, S, 2) a sampling grid: mirrored or not, other proportions, smooth bumps."""
    size = refiner_grid.SIZE
    steps = (np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1
    x, y = np.meshgrid(steps, steps)
    if rng.random() < 0.6:
        coarse = rng.normal(0, 0.03, (2, 5, 5)).astype(np.float32)
        bumps = [cv2.resize(c, (size, size), interpolation=cv2.INTER_CUBIC) for c in coarse]
        scale = np.exp(rng.normal(0, 0.05, 2))
        x = x * np.float32(scale[0]) + bumps[0]
        y = y * np.float32(scale[1]) + bumps[1]
    if rng.random() < 0.5:
        x = -x
    return torch.from_numpy(np.stack([x, y], 2).astype(np.float32))[None]
