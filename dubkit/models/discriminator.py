"""What the SC net is opposed by while it learns: a judge of small windows of a mouth, real or made.

A conditional patch discriminator (Isola and others, "Image-to-image translation with conditional adversarial
networks", CVPR 2017) with spectral norms (Miyato and others, ICLR 2018). Training alone needs it: it is saved
with a training's state, never with the weights.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

_PICTURE = 3  # channels
_DRAWN = 2  # leading sketch channels: the wanted lips and their inside
_SLOPE = 0.2
_WINDOW = 5  # grid pixels: what is finer is detail
_DETAIL, _CHROMA, _VERDICT = 40.0, 10.0, 4.0  # gains: what is told apart is small


class MouthDiscriminator(nn.Module):
    """Pictures and the lips that were wanted -> a verdict a window.

    Of the light it sees detail alone: what is coarser, the other losses teach better.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (_PICTURE + _DRAWN, width, 2 * width, 3 * width)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(widths)
        )
        self.verdict = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, picture: Tensor, sketch: Tensor) -> Tensor:
        """(B, 3, H, W) YUV about 0 and (B, C, H, W) as in `ScInput`; H and W multiples of 8.

        (B, 1, H/8, W/8) verdicts, each of 38 grid pixels across, higher for what seems real.
        """
        light = picture[:, :1]
        detail = light - F.avg_pool2d(light, _WINDOW, 1, _WINDOW // 2, count_include_pad=False)
        found = torch.cat([_DETAIL * detail, _CHROMA * picture[:, 1:], sketch[:, :_DRAWN]], 1)
        for layer in self.layers:
            found = F.leaky_relu(layer(found), _SLOPE)
        verdict: Tensor = self.verdict(found)
        return _VERDICT * verdict
