"""The SC net: several own frames of a speaker, warped to one wanted mouth, become one picture.

An independent implementation of the idea of spatial consistency (Dong, Ma and Zhang, 2024): faces come
aligned, the jaw of the frame itself is hidden, and what the warps of the references cannot make (inner
mouth, teeth, shade) is added. Everything that comes out is a smooth or small map to be applied at the
picture's own resolution.

References are a set: they go through one shared encoder, are joined by their weights, and a reference of
weight zero changes nothing. So references that fade in and out leave no jump.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from dubkit.errors import ModelError
from dubkit.models.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint

KIND = "sc"
_MIN_WEIGHT = 1e-6  # weight of a reference that is as good as absent
_STEP = 0.1  # of the residual: its last layers learn no faster than the others
_SLOPE = 0.1
CHOICE = 8  # power of the weights by which fine texture is taken
_SOFTENED = 3  # times that a window of three is averaged: as a Gaussian of 1.4 grid pixels
_SHOWN = 3.0  # the mask before training: nearly all of the patch is shown
_EDGE = 4.0  # the net has no say where the mask is 1: there the frame is never seen again
_LIPS = 2  # leading sketch channels that a reference is shown: wanted lips and their inside


@dataclass(frozen=True, slots=True)
class ScConfig:
    """Constructor arguments of `ScNet`."""

    sketches: int = 6
    fine: int = 16  # channels at half the grid
    width: int = 64  # at a quarter
    deep: int = 96  # at an eighth
    deepest: int = 128  # at a sixteenth


@dataclass(frozen=True, slots=True)
class ScInput:
    """What the net sees; pictures are YUV about 0."""

    filmed: Tensor  # (B, 3, S, S) the frame; nothing of it counts where it is not visible
    visible: Tensor  # (B, 1, S, S) 0 or 1
    sketch: Tensor  # (B, C, S, S) drawn landmarks; the last is the soft mask by geometry
    core: Tensor  # (B, 1, S, S) 0..1, around the lips
    references: Tensor  # (B, K, 3, S, S) warped to the wanted shape, colors matched
    shade: (
        Tensor  # (B, K, 1, S, S) 1 where a reference shows what is wanted, less where it does not
    )
    weights: Tensor  # (B, K) sum to 1


@dataclass(frozen=True, slots=True)
class ScOutput:
    """What the net says; to be applied at any resolution."""

    weights: Tensor  # (B, K, S, S) sum to 1
    residual: Tensor  # (B, 3, S, S) to be added: coarse everywhere, fine around the lips
    mask: Tensor  # (B, 1, S, S) 0..1, factor of the soft mask, 1 where that is 1 and at the lips


class _Block(nn.Module):
    """Two convolutions and a way past them; the identity at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(width, width, 3, padding=1)
        self.two = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.two.weight)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.two(_active(self.one(_active(x))))
        return x + made


def _active(x: Tensor) -> Tensor:
    return F.leaky_relu(x, _SLOPE)


class ScNet(nn.Module):
    """`ScInput` -> `ScOutput`; S is a multiple of 16."""

    def __init__(self, config: ScConfig) -> None:
        super().__init__()
        self.config = c = config
        self.see_reference = nn.Conv2d(4 * (4 + _LIPS), c.fine, 3, padding=1)
        self.down_reference = nn.Conv2d(c.fine, c.width - c.fine, 3, stride=2, padding=1)
        self.see_frame = nn.Conv2d(4 * (4 + c.sketches), c.fine, 3, padding=1)
        self.down_frame = nn.Conv2d(c.fine, c.width - c.fine, 3, stride=2, padding=1)
        self.join = nn.Conv2d(2 * (c.width - c.fine), c.width, 1)
        self.quarter = _Block(c.width)
        self.down_eighth = nn.Conv2d(c.width, c.deep, 3, stride=2, padding=1)
        self.eighth = _Block(c.deep)
        self.down_sixteenth = nn.Conv2d(c.deep, c.deepest, 3, stride=2, padding=1)
        self.sixteenth = _Block(c.deepest)
        self.up_eighth = nn.Conv2d(c.deepest, c.deep, 1)
        self.again_eighth = nn.Conv2d(c.deep, c.deep, 3, padding=1)
        self.up_quarter = nn.Conv2d(c.deep, c.width, 1)
        self.again_quarter = nn.Conv2d(c.width, c.width, 3, padding=1)
        self.up_half = nn.Conv2d(c.width, 8 * c.fine, 1)
        self.skip_half = nn.Conv2d(2 * c.fine, 2 * c.fine, 1)
        self.at_half = nn.Conv2d(2 * c.fine, 2 * c.fine, 3, padding=1)
        self.coarse = nn.Conv2d(c.width, 3, 3, padding=1)
        self.detail = nn.Conv2d(2 * c.fine, 13, 3, padding=1)  # 12 of the residual, 1 of the mask
        self.ask = nn.Conv2d(2 * c.fine, c.fine, 1)
        self.answer = nn.Conv2d(c.fine, c.fine, 1)
        self.vote = nn.Conv2d(c.fine, 1, 1, bias=False)
        for layer in (self.coarse, self.detail, self.vote):
            nn.init.normal_(layer.weight, std=3e-3)
        with torch.no_grad():
            for layer in (self.coarse, self.detail):
                if layer.bias is not None:
                    layer.bias.zero_()

    def forward(self, given: ScInput) -> ScOutput:
        count = given.references.shape[1]
        fine, rough = self._references(given)  # (B, K, fine, S/2, S/2), (B, K, _, S/4, S/4)
        weights = given.weights[:, :, None, None, None]
        frame = self._frame(given)
        mean = (weights * rough).sum(1)
        whole = self._body(torch.cat([_active(self.down_frame(frame)), mean], 1))
        skip = self.skip_half(torch.cat([frame, (weights * fine).sum(1)], 1))
        half = _active(F.pixel_shuffle(self.up_half(whole), 2) + skip)
        half = _active(self.at_half(half))
        asked = self.ask(half)[:, None] + _apart(self.answer(fine.flatten(0, 1)), count)
        votes = _apart(self.vote(_active(asked).flatten(0, 1)), count)[:, :, 0]
        size = given.filmed.shape[-2:]
        prior = (given.weights + _MIN_WEIGHT).log()[:, :, None, None]
        votes = _enlarged(votes, size) + prior
        coarse = _enlarged(self.coarse(whole), size)
        last = self.detail(half)
        detail = F.pixel_shuffle(last[:, :12], 2) * given.core
        shown = torch.sigmoid(_enlarged(last[:, 12:], size).float() + _SHOWN)
        edge = (_EDGE * (1 - given.sketch[:, -1:])).clamp(max=1) * (1 - given.core)
        return ScOutput(
            weights=votes.float().softmax(1),
            residual=_STEP * (coarse.float() + detail.float()),
            mask=1 - (1 - shown) * edge,
        )

    def _references(self, given: ScInput) -> tuple[Tensor, Tensor]:
        count = given.references.shape[1]
        lips = given.sketch[:, None, :_LIPS].expand(-1, count, -1, -1, -1)
        each = torch.cat([given.references, given.shade, lips], 2).flatten(0, 1)
        fine = _active(self.see_reference(F.pixel_unshuffle(each, 2)))
        rough = _active(self.down_reference(fine))
        return _apart(fine, count), _apart(rough, count)

    def _frame(self, given: ScInput) -> Tensor:
        hidden = torch.where(given.visible > 0, given.filmed, 0.0)
        seen = torch.cat([hidden, given.visible, given.sketch], 1)
        return _active(self.see_frame(F.pixel_unshuffle(seen, 2)))

    def _body(self, joined: Tensor) -> Tensor:
        quarter = self.quarter(self.join(joined))
        eighth = self.eighth(self.down_eighth(_active(quarter)))
        sixteenth = self.sixteenth(self.down_sixteenth(_active(eighth)))
        raised = _enlarged(self.up_eighth(_active(sixteenth)), eighth.shape[-2:])
        eighth = eighth + self.again_eighth(_active(eighth + raised))
        raised = _enlarged(self.up_quarter(_active(eighth)), quarter.shape[-2:])
        return _active(quarter + self.again_quarter(_active(quarter + raised)))


def _apart(x: Tensor, count: int) -> Tensor:
    """(B * K, ...) -> (B, K, ...)."""
    return x.view(-1, count, *x.shape[1:])


def _enlarged(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def fuse(references: Tensor, weights: Tensor) -> Tensor:
    """The references (B, K, 3, S, S) under their weights (B, K, S, S): light and color mix as the weights say,
    fine texture comes nearly whole from the strongest, because a mean of two textures is blurred.
    """
    single = weights**CHOICE
    single = (single / single.sum(1, keepdim=True))[:, :, None]
    change = ((weights[:, :, None] - single) * references).sum(1)
    for _ in range(_SOFTENED):
        change = F.avg_pool2d(change, 3, 1, 1, count_include_pad=False)
    return change + (single * references).sum(1)


def save_sc(path: Path, net: ScNet, step: int) -> None:
    """Write a checkpoint."""
    save_checkpoint(path, KIND, net, asdict(net.config), step)


def load_sc(path: Path) -> tuple[ScNet, Checkpoint]:
    """The net of a checkpoint file, ready to predict.

    Raises `ModelError` where the file is not one, or not of this net.
    """
    checkpoint = load_checkpoint(path, KIND)
    try:
        net = ScNet(ScConfig(**checkpoint.config))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"the configuration in {path} does not fit: {error}") from error
    restore(net, checkpoint)
    return net.eval().requires_grad_(False), checkpoint


def debug_sc() -> ScNet:
    """A minute net for tests, its outputs away from zero."""
    torch.manual_seed(0)
    net = ScNet(ScConfig(fine=4, width=8, deep=8, deepest=8))
    blocks = (net.quarter.two, net.eighth.two, net.sixteenth.two)
    for layer in (net.coarse, net.detail, net.vote, *blocks):
        nn.init.normal_(layer.weight, std=0.3)
    return net.eval()


_PICTURE = 3  # channels
_SKETCHED = 2  # leading sketch channels: the wanted lips and their inside
_DISCRIMINATOR_SLOPE = 0.2
_WINDOW = 5  # grid pixels: what is finer is detail
_DETAIL, _CHROMA, _VERDICT = 40.0, 10.0, 4.0  # gains: what is told apart is small


class MouthDiscriminator(nn.Module):
    """Pictures and the lips that were wanted -> a verdict a window.

    Of the light it sees detail alone: what is coarser, the other losses teach better.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (_PICTURE + _SKETCHED, width, 2 * width, 3 * width)
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
        found = torch.cat([_DETAIL * detail, _CHROMA * picture[:, 1:], sketch[:, :_SKETCHED]], 1)
        for layer in self.layers:
            found = F.leaky_relu(layer(found), _DISCRIMINATOR_SLOPE)
        verdict: Tensor = self.verdict(found)
        return _VERDICT * verdict
