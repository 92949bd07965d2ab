"""The losses of the SC net: colors, edges, the amount of texture, an invisible seam, and a discriminator of mouths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import Tensor

from dubkit.models.sc import MouthDiscriminator, ScOutput, fuse
from dubkit.training.sc_data import Maps
from dubkit.training.trainer import StepContext, gradient_step

_LIPS = 4.0  # how much more a pixel around the lips counts
_CELL = 8  # grid pixels: side of a region whose texture is compared
_CHROMA = 2.0  # how much more a step of color counts than one of light


@dataclass(frozen=True, slots=True)
class Made:
    """The picture that an output of the net makes."""

    patch: Tensor  # (B, 3, S, S)
    picture: Tensor  # (B, 3, S, S) the patch over the frame
    mask: Tensor  # (B, 1, S, S)


def compose(maps: Maps, output: ScOutput) -> Made:
    """Lay the prediction over the frame as `engines` do."""
    patch = fuse(maps.references, output.weights) + output.residual
    mask = maps.mask * output.mask
    return Made(patch, maps.filmed + mask * (patch - maps.filmed), mask)


def without_net(maps: Maps) -> Made:
    """What the warp alone makes."""
    weights = maps.weights[:, :, None, None].expand(-1, -1, *maps.mask.shape[-2:])
    patch = fuse(maps.references, weights)
    return Made(patch, maps.filmed + maps.mask * (patch - maps.filmed), maps.mask)


def slopes(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Differences across and down, (B, C, S, S - 1) and (B, C, S - 1, S)."""
    return picture[..., :, 1:] - picture[..., :, :-1], picture[..., 1:, :] - picture[..., :-1, :]


def energy(picture: Tensor) -> Tensor:
    """(B, 1, S / 8, S / 8) root of the mean squared slope of the light in each region."""
    across, down = slopes(picture[:, :1])
    squared = F.pad(across**2, (0, 1)) + F.pad(down**2, (0, 0, 0, 1))
    return (F.avg_pool2d(squared, _CELL) + 1e-6).sqrt()


def losses(maps: Maps, output: ScOutput, made: Made) -> Mapping[str, Tensor]:
    """Each loss, weighted; their sum is descended. ``made`` is the picture that ``output`` makes."""
    weight = maps.mask * (1 + _LIPS * maps.core)
    total = weight.sum()
    color = torch.tensor([1.0, _CHROMA, _CHROMA], device=weight.device)[:, None, None]

    def distance(picture: Tensor) -> Tensor:
        return ((picture - maps.truth).abs() * color * weight).sum() / total

    scales = torch.zeros((), device=weight.device)
    for factor in (2, 4):
        gap = F.avg_pool2d(made.patch - maps.truth, factor).abs() * color
        small = F.avg_pool2d(weight, factor)
        scales = scales + (gap * small).sum() / small.sum()
    edges = _edges(made.patch, maps.truth, weight)
    area = F.avg_pool2d(weight, _CELL)
    texture = ((energy(made.patch) - energy(maps.truth)).abs() * area).sum() / area.sum()
    seam = _edges(made.picture, maps.truth, maps.ring)
    single = 1 - (output.weights**2).sum(1, keepdim=True)
    return {
        "color": distance(made.patch) + 0.5 * distance(made.picture),
        "scales": 0.5 * scales,
        "edges": edges,
        "texture": 2.5 * texture,
        "seam": 0.5 * seam,
        "likeness": 0.1 * unlike(made.patch, maps.truth, weight),
        "mixing": 0.004 * (single * maps.mask).sum() / maps.mask.sum(),
    }


def unlike(picture: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """1 - SSIM (Wang 2004) of the light, windows of seven pixels, under ``weight``."""

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, 7, 1, 3, count_include_pad=False)

    x, y = picture[:, :1], truth[:, :1]
    mx, my = mean(x), mean(y)
    sx, sy, sxy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    # pictures are about 0, so the term of means is that of pictures raised to 0..1
    top = (2 * (mx + 0.5) * (my + 0.5) + 1e-4) * (2 * sxy + 9e-4)
    likeness = top / (((mx + 0.5) ** 2 + (my + 0.5) ** 2 + 1e-4) * (sx + sy + 9e-4))
    return ((1 - likeness) * weight).sum() / weight.sum()


def _edges(picture: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Difference of slopes of the light."""
    total = torch.zeros((), device=weight.device)
    cuts = (weight[..., :, 1:], weight[..., 1:, :])
    for mine, true, part in zip(slopes(picture[:, :1]), slopes(truth[:, :1]), cuts, strict=True):
        total = total + ((mine - true).abs() * part).sum() / part.sum().clamp(min=1)
    return total


_WINDOW = slice(24, 104)  # rows and columns of the view in which all mouths lie
_EASED = 300  # steps over which the term grows: at first the discriminator is random
_QUICK = 4.0  # how much faster the discriminator learns than the net
_BETAS = (0.5, 0.99)


class Adversary:
    """The discriminator and its optimizer."""

    def __init__(self, share: float, rate: float, device: torch.device) -> None:
        self._share = share
        self.discriminator = MouthDiscriminator().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            self.discriminator.parameters(), rate, betas=_BETAS, weight_decay=0
        )

    def term(self, maps: Maps, made: Made, others: Tensor, step: int) -> Tensor:
        """The adversarial loss, scaled to its share of the gradient of ``others``; the discriminator gets none."""
        self.discriminator.requires_grad_(False)
        unreal = -_mean(self._score(maps, made.patch), maps)
        self.discriminator.requires_grad_(True)
        others_norm, own_norm = (
            torch.autograd.grad(loss, made.patch, retain_graph=True)[0].norm()
            for loss in (others, unreal)
        )
        weight = self._share * min(1.0, step / _EASED) * float(others_norm / (own_norm + 1e-6))
        return weight * unreal

    def train_step(self, maps: Maps, made: Made, context: StepContext) -> float:
        """One step of the discriminator; its loss, which is 2 while it cannot distinguish real from made."""
        for group in self.optimizer.param_groups:
            group["lr"] = _QUICK * context.rate
        with context.autocast():
            real = self._score(maps, maps.truth)
            false = self._score(maps, made.patch.detach())
            loss = _mean(F.relu(1 - real), maps) + _mean(F.relu(1 + false), maps)
        return gradient_step(self.discriminator, self.optimizer, loss, _LONGEST)

    def _score(self, maps: Maps, picture: Tensor) -> Tensor:
        score: Tensor = self.discriminator(
            picture[..., _WINDOW, _WINDOW], maps.sketch[..., _WINDOW, _WINDOW]
        )
        return score


def _mean(values: Tensor, maps: Maps) -> Tensor:
    """The mean of (B, 1, H, W) around the lips."""
    height, width = values.shape[-2:]
    area = F.adaptive_avg_pool2d(maps.core[..., _WINDOW, _WINDOW], (height, width))
    return (values * area).sum() / area.sum()
