"""Train the SC net: warped own frames in, one picture with the wanted mouth out.

The objective that `training.trainer` runs for ``dubkit train sc``. A running average of the weights is kept; the sum of
the losses on people of the validation split decides, or, where a discriminator of mouths is trained as well, likeness
and sharpness around their lips.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubkit.config.schema import ScTraining
from dubkit.errors import InputError
from dubkit.models.sc import KIND, ScConfig, ScNet, load_sc, save_sc
from dubkit.training.dataset import PreparedSet
from dubkit.training.sc_data import Maps, Samples, load_footage, moving_sample, stacked
from dubkit.training.sc_losses import Adversary, Made, compose, energy, losses, unlike, without_net
from dubkit.training.trainer import Modules, Optimizers, StepContext, gradient_step, update_average

Picture = NDArray[np.uint8]


@torch.no_grad()
def measures(maps: Maps, net: ScNet) -> Mapping[str, float]:
    """Figures of one batch.

    - ``loss``: what training descends.
    - ``error``, ``error_lips``: mean absolute difference of the light from the real frame, in shares of its
      range, under the mask and around the lips. Lower is better.
    - ``sharpness``, ``sharpness_lips``: slope energy over the real frame's; 1 is as sharp as real.
    - ``ssim``, ``ssim_lips``: likeness of the light, 1 is equal.
    - ``unlike``: ``1 - ssim_lips + abs(1 - sharpness_lips)``, which decides where a discriminator is trained as
      well: then the picture with the least mean error is no longer the aim. Lower is better.
    - ``mask``: how much of the geometric mask is used, 0..1.
    - The same with ``warp_`` before it: of the warp alone.
    """
    output = net(maps.given())
    made = compose(maps, output)
    found = {"loss": float(torch.stack(list(losses(maps, output, made).values())).sum())}
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
    output = net(maps.given())
    red = torch.tensor([1.0, 0.0, 0.0], device=maps.mask.device)[:, None, None]
    sets = (
        maps.truth,
        maps.filmed,
        maps.references[:, 0],
        without_net(maps).picture,
        compose(maps, output).picture,
        output.mask.expand(-1, 3, -1, -1) * maps.mask * red - 0.5,
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


_CHECKED = 96  # samples of a check
_PAIRS = 0.75  # share of the batches with two references; the others show a cross-fade
_LONGEST = 1.0  # of a gradient
_TOGETHER = 8  # samples at once in a check
_SHOWN = 8  # rows of the preview


class ScObjective:
    """See `training.trainer.Objective`."""

    kind = KIND

    def __init__(
        self, samples: Samples, held_out: Sequence[Maps], net: ScNet, settings: ScTraining
    ) -> None:
        self._samples, self._held_out, self._settings = samples, held_out, settings
        self._net = net
        self._average = copy.deepcopy(net).eval().requires_grad_(False)
        self._call = torch.compile(net) if settings.compile else net
        self._device = next(net.parameters()).device
        self._optimizer = torch.optim.AdamW(
            net.parameters(), settings.rate, weight_decay=settings.decay
        )
        self.goal = "unlike" if settings.adversarial else "loss"
        self._adversary: Adversary | None = None
        if settings.adversarial:
            self._adversary = Adversary(settings.adversarial, settings.rate, self._device)

    def modules(self) -> Modules:
        """The net and the running average of its weights, and the discriminator, where there is one."""
        discriminator = (
            {} if self._adversary is None else {"discriminator": self._adversary.discriminator}
        )
        return {"net": self._net, "average": self._average, **discriminator}

    def optimizers(self) -> Optimizers:
        """The net's and, where there is one, the discriminator's."""
        discriminator = (
            {} if self._adversary is None else {"discriminator": self._adversary.optimizer}
        )
        return {"net": self._optimizer, **discriminator}

    def draw(self, rng: np.random.Generator) -> Maps:
        """A batch; all its samples have equally many references."""
        count = 2 if rng.random() < _PAIRS else 3
        drawn = [self._samples.draw(rng, count) for _ in range(self._settings.batch)]
        return stacked(drawn, rng)

    def train_step(self, batch: Maps, context: StepContext) -> Mapping[str, float]:
        """One step."""
        maps = batch.to(context.device)
        with context.autocast():
            output = self._call(maps.given())
            made = compose(maps, output)
            parts = dict(losses(maps, output, made))
            total = torch.stack(list(parts.values())).sum()
            if self._adversary is not None:
                parts["adversarial"] = self._adversary.term(maps, made, total, context.step)
                total = total + parts["adversarial"]
        gradient_step(self._net, self._optimizer, total, _LONGEST)
        update_average(
            self._average,
            self._net,
            min(self._settings.average, context.step / (context.step + 10)),
        )
        found = {"loss": float(total.detach()), **{k: float(v.detach()) for k, v in parts.items()}}
        if self._adversary is not None:
            found["discriminator"] = self._adversary.train_step(maps, made, context)
        return found

    def evaluate(self) -> Mapping[str, float]:
        """Measures on held-out people, see `sc_report.measures`."""
        found = [measures(maps.to(self._device), self._average) for maps in self._held_out]
        return {name: float(np.mean([f[name] for f in found])) for name in found[0]}

    def preview(self) -> Picture | None:
        """Held-out mouths: real, filmed, warped, made."""
        return contact_sheet(self._held_out[0].to(self._device), self._average, _SHOWN)

    def save(self, path: Path, step: int) -> None:
        """The running average."""
        save_sc(path, self._average, step)


def sc_objective(
    prepared: PreparedSet, settings: ScTraining, device: torch.device, start: Path | None
) -> ScObjective:
    """The objective of one training; ``start`` is a checkpoint to go on from.

    Raises `InputError` for a set without film to borrow from, `ModelError` for a start that does not fit.
    """
    torch.manual_seed(settings.seed)
    net = load_sc(start)[0].requires_grad_(True) if start else ScNet(ScConfig())
    samples = Samples(load_footage(prepared, "train", settings.frames))
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ScObjective(samples, held_out(prepared, settings), net.train(), settings)


def held_out(prepared: PreparedSet, settings: ScTraining) -> list[Maps]:
    """Batches of people that are not trained on, always the same."""
    clips = [c for c in load_footage(prepared, "val", settings.frames) if len(c.times) > 1]
    if not clips:
        raise InputError("no clip of the validation split is long enough to check with")
    moving = Samples(clips).moving
    rng = np.random.default_rng(0)
    drawn = []
    for number in range(_CHECKED):
        clip = moving[number % len(moving)]
        drawn.append(moving_sample(clip, int(rng.integers(len(clip.times))), rng, relight=False))
    return [stacked(drawn[k : k + _TOGETHER]) for k in range(0, len(drawn), _TOGETHER)]
