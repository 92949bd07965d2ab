"""The dense landmarker: landmarks, head pose and confidence from a canonical face crop.

A residual trunk regresses every point from the whole crop. The lips are then looked at again: a
window around them, upright and of a size that follows the face, is sampled from an early, fine
feature map, and a small net corrects the lip points in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import Tensor, nn

from dubkit.models.blocks import ConvBlock, Residual, stage

POSE_UNIT = 30.0  # degrees per unit of the pose output


@dataclass(frozen=True, slots=True)
class Groups:
    """Which landmarks the net treats in a special way."""

    lips: tuple[int, ...]
    eye_left: tuple[int, ...]
    eye_right: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """What the landmarker says of each crop."""

    landmarks: Tensor  # (B, L, 2) in crop units: 0 is the middle of the crop, +-1 its edges
    coarse: Tensor  # (B, L, 2) before the second look at the lips
    pose: Tensor  # (B, 3) yaw, pitch, roll, degrees
    confidence: Tensor  # (B,) logit that the crop holds a face


class Landmarker(nn.Module):
    """Crops (B, 3, S, S), -1..1 -> `Located`."""

    mean: Tensor
    lips: Tensor
    eye_left: Tensor
    eye_right: Tensor

    def __init__(
        self,
        size: int,
        groups: Groups,
        mean: Tensor,
        width: int = 32,
        hidden: int = 256,
        window: int = 32,
    ) -> None:
        super().__init__()
        self.size, self.window = size, window
        count, fine = mean.shape[0], width // 2
        self.register_buffer("mean", mean.clone())  # (L, 2) crop units
        for name in ("lips", "eye_left", "eye_right"):
            index = torch.tensor(getattr(groups, name), dtype=torch.long)
            self.register_buffer(name, index, persistent=False)
        self.stem = ConvBlock(3, fine, stride=2)
        self.trunk = nn.Sequential(
            stage(fine, width, 1),
            stage(width, width * 2, 2),
            stage(width * 2, width * 4, 2),
            ConvBlock(width * 4, width * 2, kernel=1),
        )
        cells = (size // 16) ** 2
        self.embed = nn.Linear(width * 2 * cells, hidden)
        self.points = nn.Linear(hidden, count * 2)
        self.pose = nn.Linear(hidden, 3)
        self.confidence = nn.Linear(hidden, 1)
        self.look = nn.Sequential(
            ConvBlock(fine, width),
            Residual(width),
            stage(width, width + width // 2, 1),
            stage(width + width // 2, width * 2, 1),
        )
        self.look_embed = nn.Linear(width * 2 * (window // 4) ** 2 + hidden // 4, hidden // 2)
        self.look_hint = nn.Linear(hidden, hidden // 4)
        self.look_points = nn.Linear(hidden // 2, len(groups.lips) * 2)
        for layer in (self.points, self.look_points):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, crops: Tensor) -> Located:
        fine = self.stem(crops)
        features = torch.relu(self.embed(self.trunk(fine).flatten(1)))
        coarse = self.mean + self.points(features).float().unflatten(1, (-1, 2))
        axes, center = self._window(coarse.detach())
        seen = self.look(self._sample(fine, axes, center)).flatten(1)
        hint = torch.relu(self.look_hint(features))
        inside = torch.relu(self.look_embed(torch.cat([seen, hint], 1)))
        offsets = self.look_points(inside).float().unflatten(1, (-1, 2))
        moved = coarse.detach()[:, self.lips] + offsets @ axes.transpose(1, 2)
        landmarks = coarse.clone()
        landmarks[:, self.lips] = moved
        return Located(
            landmarks=landmarks,
            coarse=coarse,
            pose=self.pose(features).float() * POSE_UNIT,
            confidence=self.confidence(features).float()[:, 0],
        )

    def _window(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Axes (B, 2, 2), columns, and center (B, 2) of the lip window in crop units."""
        across = points[:, self.eye_right].mean(1) - points[:, self.eye_left].mean(1)
        lips = points[:, self.lips].mean(1)
        down = torch.stack([-across[:, 1], across[:, 0]], 1)
        # a turned face has its eyes close together but a mouth as high as ever
        length = across.norm(dim=1, keepdim=True).clamp(min=0.05)
        eyes = (points[:, self.eye_left].mean(1) + points[:, self.eye_right].mean(1)) / 2
        side = 0.82 * torch.maximum(length, (lips - eyes).norm(dim=1, keepdim=True) / 1.1)
        axes = torch.stack([across / length * side, down / length * side], 2)
        return axes, lips

    def _sample(self, features: Tensor, axes: Tensor, center: Tensor) -> Tensor:
        """The window of a feature map, (B, C, window, window)."""
        matrix = torch.cat([axes, center[:, :, None]], 2).to(features.dtype)
        shape = [features.shape[0], features.shape[1], self.window, self.window]
        grid = F.affine_grid(matrix, shape, align_corners=False)
        return F.grid_sample(features, grid, padding_mode="border", align_corners=False)
