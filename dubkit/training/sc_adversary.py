"""The adversarial term of the SC net's training: a judge of mouths that learns beside it.

Hinge losses (Lim and Ye, "Geometric GAN", 2017) around the lips only: elsewhere the net can add nothing fine. The
term's weight follows the gradients (Esser and others, "Taming transformers", CVPR 2021), so that it stays a share of
what the other losses ask for, however sure the judge becomes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import Tensor

from dubkit.models.discriminator import MouthDiscriminator
from dubkit.training.loop import Pace, descend
from dubkit.training.sc_losses import Made
from dubkit.training.sc_maps import Maps

_WINDOW = slice(24, 104)  # rows and columns of the view in which all mouths lie
_EASED = 300  # steps over which the term grows: at first the judge knows nothing
_QUICK = 4.0  # how much faster the judge learns than the net
_LONGEST = 1.0  # of a gradient
_BETAS = (0.5, 0.99)


class Adversary:
    """The judge and its optimiser."""

    def __init__(self, share: float, rate: float, device: torch.device) -> None:
        self._share = share
        self.judge = MouthDiscriminator().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            self.judge.parameters(), rate, betas=_BETAS, weight_decay=0
        )

    def term(self, maps: Maps, made: Made, others: Tensor, step: int) -> Tensor:
        """What the net's own loss gets beside the ``others``; no gradient of it reaches the judge."""
        self.judge.requires_grad_(False)
        unreal = -_mean(self._verdict(maps, made.patch), maps)
        self.judge.requires_grad_(True)
        asked, told = (
            torch.autograd.grad(loss, made.patch, retain_graph=True)[0].norm()
            for loss in (others, unreal)
        )
        weight = self._share * min(1.0, step / _EASED) * float(asked / (told + 1e-6))
        return weight * unreal

    def learn(self, maps: Maps, made: Made, pace: Pace) -> float:
        """One step of the judge; its loss, which is 2 while it cannot tell real from made."""
        for group in self.optimizer.param_groups:
            group["lr"] = _QUICK * pace.rate
        with pace.autocast():
            real = self._verdict(maps, maps.truth)
            false = self._verdict(maps, made.patch.detach())
            loss = _mean(F.relu(1 - real), maps) + _mean(F.relu(1 + false), maps)
        return descend(self.judge, self.optimizer, loss, _LONGEST)

    def _verdict(self, maps: Maps, picture: Tensor) -> Tensor:
        verdict: Tensor = self.judge(
            picture[..., _WINDOW, _WINDOW], maps.sketch[..., _WINDOW, _WINDOW]
        )
        return verdict


def _mean(values: Tensor, maps: Maps) -> Tensor:
    """The mean of (B, 1, H, W) around the lips."""
    height, width = values.shape[-2:]
    area = F.adaptive_avg_pool2d(maps.core[..., _WINDOW, _WINDOW], (height, width))
    return (values * area).sum() / area.sum()
