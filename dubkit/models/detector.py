"""The face detector: one look at the whole picture, no anchors.

Three grids of cells, 8, 16 and 32 pixels apart, each answer for faces of about their scale: a score
that a face has its middle in the cell, the box and five points, relative to the cell. The heads
share weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import Tensor, nn

from dubkit.models.blocks import ConvBlock, Residual, stage

STRIDES = (8, 16, 32)
UNIT = 4.0  # sizes and offsets are learned in units of this many strides


@dataclass(frozen=True, slots=True)
class Level:
    """What one grid says."""

    score: Tensor  # (B, H, W) logits
    box: Tensor  # (B, 4, H, W) cell's middle to left, top, right, bottom, in UNIT strides
    points: Tensor  # (B, 10, H, W) x y of five points from the cell's middle, in UNIT strides


class Detector(nn.Module):
    """Pictures (B, 3, H, W), -1..1, H and W multiples of 32 -> three `Level`, fine to coarse."""

    def __init__(self, widths: tuple[int, ...] = (16, 24, 48, 96, 128), head: int = 48) -> None:
        super().__init__()
        a, b, c, d, e = widths
        self.stem = nn.Sequential(ConvBlock(3, a, stride=2), stage(a, b, 1))
        self.down = nn.ModuleList([stage(b, c, 2), stage(c, d, 2), stage(d, e, 2)])
        self.context = Residual(e)
        self.lateral = nn.ModuleList([ConvBlock(width, head, kernel=1) for width in (c, d, e)])
        self.merge = nn.ModuleList([ConvBlock(head, head) for _ in STRIDES])
        self.head = ConvBlock(head, head)
        self.score = nn.Conv2d(head, 1, 1)
        self.shape = nn.Conv2d(head, 14, 1)
        nn.init.constant_(self.score.bias, -4.0)  # type: ignore[arg-type]

    def forward(self, pictures: Tensor) -> tuple[Level, ...]:
        x = self.stem(pictures)
        maps: list[Tensor] = []
        for down in self.down:
            x = down(x)
            maps.append(x)
        maps[-1] = self.context(x)
        sides = [lateral(m) for lateral, m in zip(self.lateral, maps, strict=True)]
        for i in (1, 0):
            sides[i] = sides[i] + F.interpolate(sides[i + 1], scale_factor=2.0, mode="nearest")
        return tuple(
            self._level(merge(side)) for merge, side in zip(self.merge, sides, strict=True)
        )

    def _level(self, side: Tensor) -> Level:
        x = self.head(side)
        shape = self.shape(x).float()
        return Level(self.score(x).float()[:, 0], F.softplus(shape[:, :4]), shape[:, 4:])


def cell_middles(height: int, width: int, stride: int, device: torch.device) -> Tensor:
    """(H, W, 2): x y of each cell's middle, in pixels of the net's picture (pixel centers at
    integers).
    """
    y = torch.arange(height, device=device) * stride + stride / 2 - 0.5
    x = torch.arange(width, device=device) * stride + stride / 2 - 0.5
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], 2)


def decode(level: Level, stride: int) -> tuple[Tensor, Tensor, Tensor]:
    """One grid's scores (B, N) in 0..1, boxes (B, N, 4) xyxy and points (B, N, 5, 2), in pixels."""
    _, height, width = level.score.shape
    middle = cell_middles(height, width, stride, level.score.device)
    scale = stride * UNIT
    near = middle - level.box[:, :2].permute(0, 2, 3, 1) * scale
    far = middle + level.box[:, 2:].permute(0, 2, 3, 1) * scale
    points = (
        level.points.permute(0, 2, 3, 1).reshape(-1, height, width, 5, 2) * scale
        + middle[:, :, None]
    )
    boxes = torch.cat([near, far], 3)
    return level.score.sigmoid().flatten(1), boxes.flatten(1, 2), points.flatten(1, 2)
