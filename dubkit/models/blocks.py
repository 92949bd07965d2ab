"""Building blocks that the nets share."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


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

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, outputs, H/stride, W/stride)
        y: Tensor = self.norm(self.conv(x))
        return torch.relu(y) if self.active else y

    def fold(self) -> None:
        """Merge the batch norm into the convolution, for inference."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


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
