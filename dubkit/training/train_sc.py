"""Train the SC net: warped own frames in, one picture with the wanted mouth out.

The objective that `training.trainer` runs for ``dubkit train sc``. A running average of the weights is kept; the sum of
the losses on people of the validation split decides, or, where a discriminator of mouths is trained as well, likeness
and sharpness around their lips.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import Tensor

from dubkit.config.schema import ScTraining
from dubkit.errors import InputError
from dubkit.models import sc
from dubkit.records import Picture
from dubkit.training import dataset, sc_data, trainer

_LIPS = 4.0  # how much more a pixel around the lips counts
_CELL = 8  # grid pixels: side of a region whose texture is compared
_CHROMA = 2.0  # how much more a step of color counts than one of light


@dataclass(frozen=True, slots=True)
class Made:
    """The picture that an output of the net makes."""

    patch: Tensor  # (B, 3, S, S)
    picture: Tensor  # (B, 3, S, S) the patch over the frame
    mask: Tensor  # (B, 1, S, S)


def compose(maps: sc_data.Maps, output: sc.ScOutput) -> Made:
    """Lay the prediction over the frame as `engines` do."""
    patch = sc.fuse(maps.references, output.weights) + output.residual
    mask = maps.mask * output.mask
    return Made(patch, maps.filmed + mask * (patch - maps.filmed), mask)


def without_net(maps: sc_data.Maps) -> Made:
    """What the warp alone makes."""
    weights = maps.weights[:, :, None, None].expand(-1, -1, *maps.mask.shape[-2:])
    patch = sc.fuse(maps.references, weights)
    return Made(patch, maps.filmed + maps.mask * (patch - maps.filmed), maps.mask)


def slopes(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Differences across and down, (B, C, S, S - 1) and (B, C, S - 1, S)."""
    return picture[..., :, 1:] - picture[..., :, :-1], picture[..., 1:, :] - picture[..., :-1, :]


def energy(picture: Tensor) -> Tensor:
    """(B, 1, S / 8, S / 8) root of the mean squared slope of the light in each region."""
    across, down = slopes(picture[:, :1])
    squared = F.pad(across**2, (0, 1)) + F.pad(down**2, (0, 0, 0, 1))
    return (F.avg_pool2d(squared, _CELL) + 1e-6).sqrt()


def losses(maps: sc_data.Maps, output: sc.ScOutput, made: Made) -> Mapping[str, Tensor]:
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
        self.discriminator = sc.MouthDiscriminator().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            self.discriminator.parameters(), rate, betas=_BETAS, weight_decay=0
        )

    def term(self, maps: sc_data.Maps, made: Made, others: Tensor, step: int) -> Tensor:
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

    def train_step(self, maps: sc_data.Maps, made: Made, context: trainer.StepContext) -> float:
        """One step of the discriminator; its loss, which is 2 while it cannot distinguish real from made."""
        for group in self.optimizer.param_groups:
            group["lr"] = _QUICK * context.rate
        with context.autocast():
            real = self._score(maps, maps.truth)
            false = self._score(maps, made.patch.detach())
            loss = _mean(F.relu(1 - real), maps) + _mean(F.relu(1 + false), maps)
        return trainer.gradient_step(self.discriminator, self.optimizer, loss, _LONGEST)

    def _score(self, maps: sc_data.Maps, picture: Tensor) -> Tensor:
        score: Tensor = self.discriminator(
            picture[..., _WINDOW, _WINDOW], maps.sketch[..., _WINDOW, _WINDOW]
        )
        return score


def _mean(values: Tensor, maps: sc_data.Maps) -> Tensor:
    """The mean of (B, 1, H, W) around the lips."""
    height, width = values.shape[-2:]
    area = F.adaptive_avg_pool2d(maps.core[..., _WINDOW, _WINDOW], (height, width))
    return (values * area).sum() / area.sum()


@torch.no_grad()
def measures(maps: sc_data.Maps, net: sc.ScNet) -> Mapping[str, float]:
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


def _figures(maps: sc_data.Maps, made: Made) -> dict[str, float]:
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
def contact_sheet(maps: sc_data.Maps, net: sc.ScNet, rows: int) -> Picture:
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

    kind = sc.KIND

    def __init__(
        self,
        samples: sc_data.Samples,
        held_out: Sequence[sc_data.Maps],
        net: sc.ScNet,
        settings: ScTraining,
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

    def modules(self) -> trainer.Modules:
        """The net and the running average of its weights, and the discriminator, where there is one."""
        discriminator = (
            {} if self._adversary is None else {"discriminator": self._adversary.discriminator}
        )
        return {"net": self._net, "average": self._average, **discriminator}

    def optimizers(self) -> trainer.Optimizers:
        """The net's and, where there is one, the discriminator's."""
        discriminator = (
            {} if self._adversary is None else {"discriminator": self._adversary.optimizer}
        )
        return {"net": self._optimizer, **discriminator}

    def draw(self, rng: np.random.Generator) -> sc_data.Maps:
        """A batch; all its samples have equally many references."""
        count = 2 if rng.random() < _PAIRS else 3
        drawn = [self._samples.draw(rng, count) for _ in range(self._settings.batch)]
        return sc_data.stacked(drawn, rng)

    def train_step(self, batch: sc_data.Maps, context: trainer.StepContext) -> Mapping[str, float]:
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
        trainer.gradient_step(self._net, self._optimizer, total, _LONGEST)
        trainer.update_average(
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
        sc.save_sc(path, self._average, step)


def sc_objective(
    prepared: dataset.PreparedSet, settings: ScTraining, device: torch.device, start: Path | None
) -> ScObjective:
    """The objective of one training; ``start`` is a checkpoint to go on from.

    Raises `InputError` for a set without film to borrow from, `ModelError` for a start that does not fit.
    """
    torch.manual_seed(settings.seed)
    net = sc.load_sc(start)[0].requires_grad_(True) if start else sc.ScNet(sc.ScConfig())
    samples = sc_data.Samples(sc_data.load_footage(prepared, "train", settings.frames))
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ScObjective(samples, held_out(prepared, settings), net.train(), settings)


def held_out(prepared: dataset.PreparedSet, settings: ScTraining) -> list[sc_data.Maps]:
    """Batches of people that are not trained on, always the same."""
    clips = [c for c in sc_data.load_footage(prepared, "val", settings.frames) if len(c.times) > 1]
    if not clips:
        raise InputError("no clip of the validation split is long enough to check with")
    moving = sc_data.Samples(clips).moving
    rng = np.random.default_rng(0)
    drawn = []
    for number in range(_CHECKED):
        clip = moving[number % len(moving)]
        drawn.append(
            sc_data.moving_sample(clip, int(rng.integers(len(clip.times))), rng, relight=False)
        )
    return [sc_data.stacked(drawn[k : k + _TOGETHER]) for k in range(0, len(drawn), _TOGETHER)]
