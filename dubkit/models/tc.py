"""The TC net: articulation of phonemes and levels of the sound on a 20 ms grid -> mouth shape on the same grid.

A stack of dilated convolutions. A cell sees `reach` cells to either side and nothing beyond, so a shot that
is predicted with that much context equals the same cells of the whole film.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dubkit.errors import ModelError
from dubkit.models.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint

KIND = "tc"
_MOST = 4096  # channels that a file may ask for


@dataclass(frozen=True, slots=True)
class TcConfig:
    """Constructor arguments of `TcNet`."""

    features: int
    coefficients: int
    width: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8, 14)
    dropout: float = 0.1
    bands: int = 0  # of the sound among the features; 0: it takes no sound


class TcNet(nn.Module):
    """Features (B, T, F) -> mouth shape (B, T, K)."""

    def __init__(self, config: TcConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.first = nn.Conv1d(config.features, width, 1)
        self.mix = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=d, dilation=d) for d in config.dilations
        )
        self.back = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in config.dilations)
        self.dropout = nn.Dropout(config.dropout)
        self.last = nn.Conv1d(width, config.coefficients, 1)

    @property
    def reach(self) -> int:
        """Cells seen to either side."""
        return sum(self.config.dilations)

    def hidden(self, features: Tensor) -> Tensor:  # (B, T, F) -> (B, C, T)
        """What the last layer, which is linear, makes mouth shapes of."""
        x = nn.functional.silu(self.first(features.transpose(1, 2)))
        for mix, back in zip(self.mix, self.back, strict=True):
            x = x + back(self.dropout(nn.functional.silu(mix(x))))
        return x

    def forward(self, features: Tensor) -> Tensor:  # (B, T, F) -> (B, T, K)
        y: Tensor = self.last(self.dropout(self.hidden(features))).transpose(1, 2)
        return y


def save_tc(path: Path, net: TcNet, step: int) -> None:
    """Write a checkpoint."""
    save_checkpoint(path, KIND, net, asdict(net.config), step)


def load_tc(path: Path) -> tuple[TcNet, Checkpoint]:
    """The net of a checkpoint file, ready to predict."""
    checkpoint = load_checkpoint(path, KIND)
    net = tc_of(path, checkpoint.config)
    restore(net, checkpoint)
    return net.eval().requires_grad_(False), checkpoint


def tc_of(path: Path, config: Mapping[str, Any]) -> TcNet:
    """A net of the arguments in the file ``path``, without its weights. Raises `ModelError` where they do not fit."""
    arguments = dict(config)
    try:
        arguments["dilations"] = tuple(arguments["dilations"])
        sane = all(0 < int(arguments[name]) <= _MOST for name in ("features", "coefficients"))
        if not sane or not 0 < int(arguments.get("width", 1)) <= _MOST:
            raise ModelError(f"the configuration in {path} has impossible sizes")
        return TcNet(TcConfig(**arguments))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the configuration in {path} does not fit: {error}") from error


def debug_tc(features: int = 4, coefficients: int = 2) -> TcNet:
    """A minute net for tests."""
    torch.manual_seed(0)
    return TcNet(TcConfig(features, coefficients, width=8, dilations=(1, 2), dropout=0.0)).eval()


ACTOR_KIND = "actor"
_NET = "tc"  # key of the net's own arguments


@dataclass(frozen=True, slots=True)
class ActorFacts:
    """How a profile came about; written into the file."""

    net: str  # digest of the TC net that it was tuned from
    seconds: float  # of speech that it was tuned on
    before: float  # error on held-out speech (`lips.adaptation`), without the profile
    after: float  # and with it


@dataclass(frozen=True, slots=True)
class Actor:
    """A profile ready for use."""

    net: TcNet
    facts: ActorFacts
    digest: str


def save_actor(path: Path, net: TcNet, facts: ActorFacts) -> None:
    """Write a profile; equal ones give equal bytes."""
    save_checkpoint(path, ACTOR_KIND, net, {**asdict(facts), _NET: asdict(net.config)}, 0)


def load_actor(path: Path, net: str | None = None) -> Actor:
    """Read a profile.

    Raises `ModelError` where the file is missing, damaged or no profile, or made for another net than that of
    the digest ``net``.
    """
    again = "create it again: dubkit adapt MOVIE --out FILE"
    if not path.is_file():
        raise ModelError(
            f"the actor profile {path} is missing", hint="create one: dubkit adapt MOVIE --out FILE"
        )
    checkpoint = load_checkpoint(path, ACTOR_KIND)
    arguments = dict(checkpoint.config)
    shape = arguments.pop(_NET, None)
    if not isinstance(shape, Mapping):
        raise ModelError(
            f"the actor profile {path} was made by another version of dubkit", hint=again
        )
    facts = _facts(path, arguments)
    if net is not None and facts.net != net:
        raise ModelError(
            f"the actor profile {path} was made for another version of dubkit's nets", hint=again
        )
    tuned = tc_of(path, shape)
    restore(tuned, checkpoint)
    return Actor(tuned.eval().requires_grad_(False), facts, checkpoint.digest)


def _facts(path: Path, config: dict[str, Any]) -> ActorFacts:
    try:
        return ActorFacts(**config)
    except TypeError as error:
        raise ModelError(
            f"the metadata of the actor profile {path} does not fit: {error}"
        ) from error
