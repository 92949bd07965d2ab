"""RetinaFace's network with either of two published backbones, built from the parts of retinaface-pytorch.

The package itself offers the ResNet-50 only. The small one is a MobileNet of a quarter of the width, as the first
release of biubug6/Pytorch_Retinaface trained it: the same pyramid, heads and decoding, plain rectifiers and anchors
of 10 to 256 pixels. Later releases train with leaky ones and other anchors; nothing in a file says so but that
no channel of theirs can be dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from retinaface.net import conv_bn, conv_dw
from retinaface.network import RetinaFace
from retinaface.prior_box import priorbox
from torch import nn

from dubkit.engines.base import Picture
from dubkit.errors import ModelError

VARIANCE = [0.1, 0.2]  # of the decoding; both networks were trained with it
_STEPS = [8, 16, 32]
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_SPREAD = np.array([0.229, 0.224, 0.225], np.float32)
_MEAN_BGR = np.array([104.0, 117.0, 123.0], np.float32)
_AFTER_ACTIVATION = "body.stage1.1.1.running_var"
_DEAD = 1e-20  # variance of a channel that never speaks


@dataclass(frozen=True, slots=True)
class Backbone:
    """What differs between the two networks."""

    name: str
    widths: tuple[int, int]  # channels of the first level, and of the heads
    anchors: tuple[tuple[int, int], ...]  # pixels, at each stride

    @classmethod
    def of(cls, weights: Mapping[str, torch.Tensor]) -> Backbone:
        """The one that a state dict belongs to. Raises ModelError for a later release of the small one."""
        if not any(key.startswith("body.stage1.") for key in weights):
            return RESNET
        spread = weights.get(_AFTER_ACTIVATION)
        if spread is not None and not bool((spread < _DEAD).any()):
            raise ModelError(
                "these are weights of a MobileNet with leaky rectifiers, which dubkit does not know",
                hint="take those of the first release of Pytorch_Retinaface, or a ResNet-50",
            )
        return MOBILENET

    def network(self) -> nn.Module:
        """The network, untrained."""
        first, heads = self.widths
        levels = {"layer2": 1, "layer3": 2, "layer4": 3}
        net = cast(nn.Module, RetinaFace("Resnet50", False, first, levels, heads))
        if self is MOBILENET:
            net.body = MobileBody()
            for module in net.modules():
                if isinstance(module, nn.LeakyReLU):
                    module.negative_slope = 0.0
        return net

    def numbers(self, picture: Picture) -> NDArray[np.float32]:
        """A picture (H, W, 3) RGB as the network was trained to see it; 0 is the mean colour."""
        pixels = picture.astype(np.float32)
        if self is MOBILENET:
            return np.asarray(pixels[..., ::-1] - _MEAN_BGR, np.float32)
        return np.asarray((pixels / 255 - _MEAN) / _SPREAD, np.float32)

    def priors(self, size: int) -> torch.Tensor:
        """(priors, 4) The anchors of a square picture."""
        sizes = [list(pair) for pair in self.anchors]
        return cast(torch.Tensor, priorbox(sizes, _STEPS, False, (size, size)))


RESNET = Backbone("ResNet-50", (256, 256), ((16, 32), (64, 128), (256, 512)))
MOBILENET = Backbone("MobileNet 0.25", (32, 64), ((10, 20), (32, 64), (128, 256)))


class MobileBody(nn.Module):
    """Depthwise convolutions (A. Howard et al., MobileNets, 2017) at a quarter of the width."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            conv_bn(3, 8, 2), conv_dw(8, 16, 1), conv_dw(16, 32, 2), conv_dw(32, 32, 1),
            conv_dw(32, 64, 2), conv_dw(64, 64, 1),
        )  # fmt: skip
        self.stage2 = nn.Sequential(conv_dw(64, 128, 2), *(conv_dw(128, 128, 1) for _ in range(5)))
        self.stage3 = nn.Sequential(conv_dw(128, 256, 2), conv_dw(256, 256, 1))

    def forward(self, pictures: torch.Tensor) -> dict[int, torch.Tensor]:
        """(B, 3, H, W) -> features at strides 8, 16 and 32."""
        first = self.stage1(pictures)
        second = self.stage2(first)
        return {1: first, 2: second, 3: self.stage3(second)}
