"""The two face nets: the detector and the dense landmarker, their building blocks and their checkpoints.

`Detector` looks once at the whole picture, without anchors: three grids of cells, 8, 16 and 32 pixels apart, each
answer for faces of about their scale with a score that a face has its middle in the cell, the box and five points,
relative to the cell. The heads share weights.

`Landmarker` regresses landmarks, head pose and confidence from a canonical face crop with a residual trunk. It looks
at the lips twice: a window around them, upright and of a size that follows the face, is sampled from an early, fine
feature map, and a small net corrects the lip points in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dubkit.errors import ModelError
from dubkit.models.checkpoint import Checkpoint, load_checkpoint, restore


class ConvBlock(nn.Module):
    """Convolution, batch norm, and ReLU where ``active``; the size is kept, or halved by ``stride``
    2.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.active = active
        # padding, stride, dilation, groups
        self._way = ((kernel // 2,) * 2, (stride,) * 2, (1, 1), 1)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, outputs, H/stride, W/stride)
        if not isinstance(self.norm, nn.BatchNorm2d) and _with_onednn(x):
            z: Tensor = torch.mkldnn_convolution(x, self.conv.weight, self.conv.bias, *self._way)
            return z.relu_() if self.active else z
        y: Tensor = self.norm(self.conv(x))
        return torch.relu(y) if self.active else y

    def fold(self) -> None:
        """Merge the batch norm into the convolution, for inference."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


def _with_onednn(x: Tensor) -> bool:
    """Whether to convolve by oneDNN: torch's own choice for a single small picture takes a third longer."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and _ONEDNN


_ONEDNN = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


class Residual(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = ConvBlock(channels, channels, active=False)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> the same
        return torch.relu(x + self.second(self.first(x)))


def stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    """Halve the size, then ``blocks`` residual blocks."""
    return nn.Sequential(
        ConvBlock(inputs, outputs, stride=2), *(Residual(outputs) for _ in range(blocks))
    )


def for_inference(net: nn.Module) -> nn.Module:
    """Evaluation mode, batch norms folded into their convolutions, no gradients, channels last."""
    net.eval().requires_grad_(False)
    for block in _blocks(net):
        block.fold()
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _blocks(net: nn.Module) -> Iterator[ConvBlock]:
    return (module for module in net.modules() if isinstance(module, ConvBlock))


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


def build_landmarker(config: Mapping[str, Any]) -> Landmarker:
    """A landmarker with fresh weights; ``config`` as its checkpoint holds it."""
    names = ("lips", "eye_left", "eye_right")
    groups = Groups(**{name: tuple(config[name]) for name in names})
    mean = torch.zeros(config["count"], 2)
    return Landmarker(
        config["size"], groups, mean, config["width"], config["hidden"], config["window"]
    )


def build_detector(config: Mapping[str, Any]) -> Detector:
    """A detector with fresh weights; ``config`` as its checkpoint holds it."""
    return Detector(tuple(config["widths"]), config["head"])


def load_landmarker(path: Path) -> tuple[Landmarker, Checkpoint]:
    """The landmarker of a checkpoint file."""
    checkpoint = load_checkpoint(path, "landmarker")
    try:
        net = build_landmarker(checkpoint.config)
    except (KeyError, TypeError) as error:
        raise ModelError(f"the configuration in {path} does not fit: {error}") from error
    restore(net, checkpoint)
    return net, checkpoint


def load_detector(path: Path) -> tuple[Detector, Checkpoint]:
    """The detector of a checkpoint file."""
    checkpoint = load_checkpoint(path, "detector")
    try:
        net = build_detector(checkpoint.config)
    except (KeyError, TypeError) as error:
        raise ModelError(f"the configuration in {path} does not fit: {error}") from error
    restore(net, checkpoint)
    return net, checkpoint


def debug_landmarker(count: int = 12, size: int = 32) -> Landmarker:
    """A minute landmarker: its lips are the last four points, its eyes the first four."""
    groups = Groups(tuple(range(count - 4, count)), (0, 1), (2, 3))
    mean: Tensor = torch.linspace(-0.5, 0.5, count * 2).reshape(count, 2)
    return Landmarker(size, groups, mean, width=8, hidden=16, window=8)


def debug_detector() -> Detector:
    """A minute detector."""
    return Detector((4, 6, 8, 10, 12), head=8)
