"""The appearance net: an aligned face -> numbers that are alike for pictures of one person.

A MobileNet of 13 blocks, as OpenCV's SFace (Apache-2.0, see the model card), whose last layer is split in two so that
it stays small. A checkpoint holds the large weights as 8-bit steps with a scale for each row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dubkit.errors import ModelError
from dubkit.models.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint

KIND = "appearance"
SIDE = 112  # pixels of the aligned face
_STEPS = 127  # of a coded weight, to each side
_SCALE = ".scale"
_CODED = 4096  # weights from which on a tensor is coded
_MOST = 4096  # of anything that a file may ask for


@dataclass(frozen=True, slots=True)
class AppearanceConfig:
    """Constructor arguments of `AppearanceNet`."""

    widths: tuple[int, ...] = (64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)  # of the blocks
    halved: tuple[int, ...] = (1, 3, 5, 11)  # blocks that halve the picture
    first: int = 32
    rank: int = 128  # channels that the last layer sees
    out: int = 128


class _Block(nn.Module):
    """A depthwise and a pointwise convolution; (B, C, H, W) -> (B, C', H', W')."""

    def __init__(self, before: int, after: int, step: int) -> None:
        super().__init__()
        self.depth = nn.Conv2d(before, before, 3, step, 1, groups=before)
        self.depth_slope = nn.PReLU(before)
        self.point = nn.Conv2d(before, after, 1)
        self.point_slope = nn.PReLU(after)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.point_slope(self.point(self.depth_slope(self.depth(x))))
        return found


class AppearanceNet(nn.Module):
    """(B, 3, SIDE, SIDE) RGB in -1..1 -> (B, out); the longer the vector, the clearer the face."""

    def __init__(self, config: AppearanceConfig) -> None:
        super().__init__()
        self.config = config
        self.first = nn.Conv2d(3, config.first, 3, padding=1)
        self.slope = nn.PReLU(config.first)
        before = (config.first, *config.widths)
        self.blocks = nn.ModuleList(
            _Block(a, b, 2 if number in config.halved else 1)
            for number, (a, b) in enumerate(zip(before, config.widths, strict=False))
        )
        side = SIDE >> len(config.halved)
        self.reduce = nn.Conv2d(config.widths[-1], config.rank, 1, bias=False)
        self.head = nn.Linear(config.rank * side * side, config.out)

    def features(self, x: Tensor) -> Tensor:
        """(B, widths[-1], S, S): all but the last layer."""
        x = self.slope(self.first(x))
        for block in self.blocks:
            x = block(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.reduce(self.features(x)).flatten(1))
        return found


def save_appearance_net(path: Path, net: AppearanceNet) -> None:
    """Write a checkpoint: weights of convolutions in 8 bits, the rest in float16."""
    stored = AppearanceNet(net.config)
    extra = {}
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.numel() < _CODED:
                continue
            scale = (tensor.flatten(1).abs().amax(1) / _STEPS).clamp(min=1e-12)
            extra[name + _SCALE] = scale.half()
        stored.load_state_dict(net.state_dict())
    packed = {
        name: _coded(tensor, extra[name + _SCALE]) if name + _SCALE in extra else tensor.half()
        for name, tensor in stored.state_dict().items()
    }
    save_checkpoint(path, KIND, _Tensors(packed), asdict(net.config), 0, extra)


def load_appearance_net(path: Path) -> tuple[AppearanceNet, Checkpoint]:
    """The net of a checkpoint file, in float32. Raises `ModelError` where the file does not hold one."""
    checkpoint = load_checkpoint(path, KIND)
    try:
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in checkpoint.config.items()
        }
        config = AppearanceConfig(**given)
        sizes = (*config.widths, config.first, config.rank, config.out)
        if not all(0 < int(size) <= _MOST for size in sizes) or len(config.halved) > 5:
            raise ModelError(f"the configuration in {path} has impossible sizes")
        net = AppearanceNet(config)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the configuration in {path} does not fit: {error}") from error
    restore(net, replace(checkpoint, tensors=_decoded(checkpoint.tensors, checkpoint.extra)))
    return net.eval().requires_grad_(False), checkpoint


class _Tensors(nn.Module):
    """Tensors under their names, as `save_checkpoint` takes them."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._tensors = dict(tensors)

    def state_dict(self, *_: object, **__: object) -> dict[str, Tensor]:  # type: ignore[override]
        return self._tensors


def _coded(tensor: Tensor, scale: Tensor) -> Tensor:
    rows = tensor.flatten(1) / scale.float()[:, None]
    return rows.round().clamp(-_STEPS, _STEPS).to(torch.int8).view_as(tensor)


def _decoded(tensors: Mapping[str, Tensor], extra: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {}
    for name, tensor in tensors.items():
        scale = extra.get(name + _SCALE)
        rows = tensor.float()
        if scale is not None and scale.numel() == len(rows):
            rows = (rows.flatten(1) * scale.float()[:, None]).view_as(rows)
        found[name] = rows
    return found
