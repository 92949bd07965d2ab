"""What the SC net is taught by: colours, edges, the amount of texture, and a seam that does not show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import Tensor

from dubkit.models.sc import ScOutput, fuse
from dubkit.training.sc_maps import Maps

_LIPS = 4.0  # how much more a pixel around the lips counts
_CELL = 8  # grid pixels: side of a region whose texture is compared
_CHROMA = 2.0  # how much more a step of colour counts than one of light


@dataclass(frozen=True, slots=True)
class Made:
    """What a prediction comes to."""

    patch: Tensor  # (B, 3, S, S)
    picture: Tensor  # (B, 3, S, S) the patch over the frame
    mask: Tensor  # (B, 1, S, S)


def compose(maps: Maps, said: ScOutput) -> Made:
    """Lay the prediction over the frame as `engines` do."""
    patch = fuse(maps.references, said.weights) + said.residual
    mask = maps.mask * said.mask
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


def losses(maps: Maps, said: ScOutput, made: Made) -> Mapping[str, Tensor]:
    """Each loss with its weight in it; their sum is what is descended. ``made`` is what was said comes to."""
    weight = maps.mask * (1 + _LIPS * maps.core)
    total = weight.sum()
    colour = torch.tensor([1.0, _CHROMA, _CHROMA], device=weight.device)[:, None, None]

    def distance(picture: Tensor) -> Tensor:
        return ((picture - maps.truth).abs() * colour * weight).sum() / total

    scales = torch.zeros((), device=weight.device)
    for factor in (2, 4):
        gap = F.avg_pool2d(made.patch - maps.truth, factor).abs() * colour
        small = F.avg_pool2d(weight, factor)
        scales = scales + (gap * small).sum() / small.sum()
    edges = _edges(made.patch, maps.truth, weight)
    area = F.avg_pool2d(weight, _CELL)
    texture = ((energy(made.patch) - energy(maps.truth)).abs() * area).sum() / area.sum()
    seam = _edges(made.picture, maps.truth, maps.ring)
    single = 1 - (said.weights**2).sum(1, keepdim=True)
    return {
        "colour": distance(made.patch) + 0.5 * distance(made.picture),
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
