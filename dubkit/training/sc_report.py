"""How well the SC net does on held-out samples: figures, and a sheet of mouths to look at."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubkit.models.sc import ScNet
from dubkit.training.sc_losses import Made, compose, energy, losses, unlike, without_net
from dubkit.training.sc_maps import Maps

Picture = NDArray[np.uint8]


@torch.no_grad()
def measures(maps: Maps, net: ScNet) -> Mapping[str, float]:
    """Figures of one batch.

    - ``loss``: what training descends.
    - ``error``, ``error_lips``: mean absolute difference of the light from the real frame, in shares of its
      range, under the mask and around the lips. Lower is better.
    - ``sharpness``, ``sharpness_lips``: slope energy over the real frame's; 1 is as sharp as real.
    - ``ssim``, ``ssim_lips``: likeness of the light, 1 is equal.
    - ``unlike``: ``1 - ssim_lips + abs(1 - sharpness_lips)``, what decides where a judge teaches as well: then the
      picture that is least wrong in the mean is no longer the aim. Lower is better.
    - ``mask``: how much of the geometric mask is used, 0..1.
    - The same with ``warp_`` before it: of the warp alone.
    """
    said = net(maps.given())
    made = compose(maps, said)
    found = {"loss": float(torch.stack(list(losses(maps, said, made).values())).sum())}
    found |= _figures(maps, made)
    found["unlike"] = 1 - found["ssim_lips"] + abs(1 - found["sharpness_lips"])
    found["mask"] = float((made.mask.sum() / maps.mask.sum()).item())
    return found | {f"warp_{k}": v for k, v in _figures(maps, without_net(maps)).items()}


def _figures(maps: Maps, made: Made) -> dict[str, float]:
    gap = (made.patch - maps.truth)[:, :1].abs()
    found = {}
    for suffix, area in (("", maps.mask), ("_lips", maps.core)):
        found["error" + suffix] = float((gap * area).sum() / area.sum())
        small = torch.nn.functional.avg_pool2d(area, 8)
        mine, real = ((energy(p) * small).sum() for p in (made.patch, maps.truth))
        found["sharpness" + suffix] = float(mine / real)
        found["ssim" + suffix] = 1 - float(unlike(made.patch, maps.truth, area))
    return found


@torch.no_grad()
def contact_sheet(maps: Maps, net: ScNet, rows: int) -> Picture:
    """Across: the real frame, the frame under the patch, the first reference, the warp alone, the net."""
    said = net(maps.given())
    red = torch.tensor([1.0, 0.0, 0.0], device=maps.mask.device)[:, None, None]
    sets = (
        maps.truth,
        maps.filmed,
        maps.references[:, 0],
        without_net(maps).picture,
        compose(maps, said).picture,
        said.mask.expand(-1, 3, -1, -1) * maps.mask * red - 0.5,
    )
    lines = [np.hstack([_rgb(part[row]) for part in sets]) for row in range(rows)]
    return np.asarray(np.vstack(lines), np.uint8)


def _rgb(picture: Tensor) -> Picture:
    """(3, S, S) YUV of limited range about 0 -> (S, S, 3)."""
    coded = picture.cpu().numpy().transpose(1, 2, 0) * 255
    light = np.clip((coded[..., 0] + 127.5 - 16) * 255 / 219, 0, 255)
    u, v = np.clip(coded[..., 1] + 127.5, 0, 255), np.clip(coded[..., 2] + 127.5, 0, 255)
    whole = np.stack([light, v, u], 2).astype(np.uint8)
    return np.asarray(cv2.cvtColor(whole, cv2.COLOR_YCrCb2RGB), np.uint8)
