"""An actor's profile: the last layer of the TC net as tuned on one person's own speech, in one small file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dubkit.errors import ModelError
from dubkit.models.checkpoint import load_checkpoint, restore, save_checkpoint

KIND = "actor"


@dataclass(frozen=True, slots=True)
class ActorFacts:
    """How a profile came about; written into the file."""

    net: str  # digest of the TC net that it is a part of
    width: int  # channels of that net's last layer
    coefficients: int
    seconds: float  # of speech that it was tuned on
    before: float  # correlation of the opening on held-out speech, without the profile
    after: float  # and with it


class ActorLayer(nn.Module):
    """What is tuned: hidden (..., C) -> mouth shape (..., K)."""

    def __init__(self, width: int, coefficients: int) -> None:
        super().__init__()
        self.last = nn.Linear(width, coefficients)

    def forward(self, hidden: Tensor) -> Tensor:  # (..., C) -> (..., K)
        answer: Tensor = self.last(hidden)
        return answer


@dataclass(frozen=True, slots=True)
class Actor:
    """A profile ready for use."""

    layer: ActorLayer
    facts: ActorFacts
    digest: str


def save_actor(path: Path, layer: ActorLayer, facts: ActorFacts) -> None:
    """Write a profile; equal ones give equal bytes."""
    save_checkpoint(path, KIND, layer, asdict(facts), 0)


def load_actor(path: Path, net: str | None = None) -> Actor:
    """Read a profile.

    Raises `ModelError` where the file is missing, damaged or no profile, or made for another net than that of
    the digest ``net``.
    """
    if not path.is_file():
        raise ModelError(
            f"the actor profile {path} is missing", hint="make one: dubkit adapt MOVIE --out FILE"
        )
    checkpoint = load_checkpoint(path, KIND)
    facts = _facts(path, checkpoint.config)
    if net is not None and facts.net != net:
        raise ModelError(
            f"the actor profile {path} was made for another version of dubkit's nets",
            hint="make it again: dubkit adapt MOVIE --out FILE",
        )
    layer = ActorLayer(facts.width, facts.coefficients)
    restore(layer, checkpoint)
    return Actor(layer.eval().requires_grad_(False), facts, checkpoint.digest)


def _facts(path: Path, config: dict[str, Any]) -> ActorFacts:
    try:
        facts = ActorFacts(**config)
        sane = 0 < int(facts.width) <= 4096 and 0 < int(facts.coefficients) <= 64
    except (TypeError, ValueError) as error:
        raise ModelError(f"the facts in the actor profile {path} do not fit: {error}") from error
    if not sane:
        raise ModelError(f"the actor profile {path} has impossible sizes")
    return facts
