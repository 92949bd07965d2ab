"""An actor's profile: the TC net as tuned on one person's own speech, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dubkit.errors import ModelError
from dubkit.models.checkpoint import load_checkpoint, restore, save_checkpoint
from dubkit.models.tc import TcNet, tc_of

ACTOR_KIND = "actor"
_NET = "tc"  # key of the net's own arguments


@dataclass(frozen=True, slots=True)
class ActorFacts:
    """How a profile came about; written into the file."""

    net: str  # digest of the TC net that it was tuned from
    seconds: float  # of speech that it was tuned on
    before: float  # error on held-out speech (`synthesis.lesson`), without the profile
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
    again = "make it again: dubkit adapt MOVIE --out FILE"
    if not path.is_file():
        raise ModelError(
            f"the actor profile {path} is missing", hint="make one: dubkit adapt MOVIE --out FILE"
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
        raise ModelError(f"the facts in the actor profile {path} do not fit: {error}") from error
