"""The TC net: speech encoder rows, articulation of phonemes and levels of the sound -> mouth shape, on the 20 ms grid.

Every cell also carries flags of what is known of it: a dub without a script, in any language, lacks the phonemes only.
A stack of dilated convolutions sees `TcNet.reach` cells to either side and nothing beyond, so a shot that is predicted
with that much context equals the same cells of the whole film. Several nets of different seeds answer by their mean.

Beside the mouth shape there are two logits a cell: the closure head (the lips meet) and the speech activity head
(somebody speaks). Closures and rest of a dub without a script come from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dubkit.errors import ModelError
from dubkit.models.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint

KIND = "tc"
# flags of a cell: whether its encoder row is known, then where its phonemes are from, one of `PATHS`
PATHS = ("script", "none")
FLAGS = 1 + len(PATHS)
_CLIP = 5.0  # deviations, beyond which a row says nothing more
_APART = 4  # cells
_MOST = 4096  # channels that a file may ask for
_MOST_NETS = 16


@dataclass(frozen=True, slots=True)
class TcConfig:
    """Constructor arguments of `TcNet`."""

    rows: int  # numbers of an encoder row
    features: int  # of the phonemes
    bands: int  # of the levels
    coefficients: int
    row_channels: int = 32  # that a row is reduced to
    width: int = 96
    dilations: tuple[int, ...] = (1, 2, 4)
    dropout: float = 0.3
    row_dropout: float = 0.7  # share of a row's numbers dropped in training
    nets: int = 1


class TcInput(NamedTuple):
    """B stretches of T cells."""

    rows: Tensor  # (B, T, rows) of the speech encoder
    phonemes: Tensor  # (B, T, features)
    levels: Tensor  # (B, T, bands + 1), the last 1 where the sound is known
    flags: Tensor  # (B, T, FLAGS)


class TcOutput(NamedTuple):
    """The same cells."""

    shapes: Tensor  # (B, T, K)
    closure: Tensor  # (B, T) logit: the lips meet
    speech: Tensor  # (B, T) logit: somebody speaks


class Described(NamedTuple):
    """A net's answer, and what it makes of the sound on the way there."""

    output: TcOutput
    sounds: Tensor  # (B, T, S) the reduced rows at a cell and `_APART` cells to either side
    hidden: Tensor  # (B, T, H) what the last layer is given


class _SingleNet(nn.Module):
    def __init__(self, config: TcConfig) -> None:
        super().__init__()
        width = config.width
        given = FLAGS + config.row_channels + config.features + config.bands + 1
        self.reduce = nn.Linear(config.rows, config.row_channels)
        self.first = nn.Conv1d(given, width, 1)
        self.mix = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=d, dilation=d) for d in config.dilations
        )
        self.back = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in config.dilations)
        self.dropout = nn.Dropout(config.dropout)
        self.row_dropout = nn.Dropout(config.row_dropout)
        self.last = nn.Conv1d(width, config.coefficients + 2, 1)

    def forward(self, given: TcInput) -> TcOutput:
        return self.describe(given).output

    def describe(self, given: TcInput) -> Described:
        """The answer with the reduced rows and the last hidden layer at each cell."""
        rows = given.rows.clamp(-_CLIP, _CLIP) * given.flags[..., :1]
        reduced = self.reduce(self.row_dropout(rows))
        x = torch.cat([given.flags, reduced, given.phonemes, given.levels], -1).transpose(1, 2)
        x = nn.functional.silu(self.first(x))
        for mix, back in zip(self.mix, self.back, strict=True):
            x = x + back(self.dropout(nn.functional.silu(mix(x))))
        y = self.last(self.dropout(x)).transpose(1, 2)
        output = TcOutput(y[..., :-2], y[..., -2], y[..., -1])
        return Described(output, reduced, x.transpose(1, 2))


class TcNet(nn.Module):
    """`TcInput` -> `TcOutput`, the mean of several nets."""

    def __init__(self, config: TcConfig) -> None:
        super().__init__()
        self.config = config
        self.nets = nn.ModuleList(_SingleNet(config) for _ in range(config.nets))

    @property
    def reach(self) -> int:
        """Cells seen to either side."""
        return sum(self.config.dilations)

    def forward(self, given: TcInput) -> TcOutput:
        return _mean([net(given) for net in self.nets])

    def describe(self, given: TcInput) -> Described:
        """The answer with what all nets make of the sound, side by side; it sees `reach` cells like the answer."""
        found = [net.describe(given) for net in self.nets]  # type: ignore[operator]
        reduced = torch.cat([one.sounds for one in found], -1)
        cells, apart = torch.arange(reduced.shape[1]), min(_APART, self.reach)
        places = [(cells + step).clamp(0, len(cells) - 1) for step in (-apart, 0, apart)]
        around = torch.cat([reduced[:, place] for place in places], -1)
        hidden = torch.cat([one.hidden for one in found], -1)
        return Described(_mean([one.output for one in found]), around, hidden)


def _mean(outputs: Sequence[TcOutput]) -> TcOutput:
    return TcOutput(*(torch.stack(part).mean(0) for part in zip(*outputs, strict=True)))


def scale_output(net: TcNet, factor: float) -> None:
    """Multiply the mouth shapes that ``net`` predicts by ``factor``, in place; the two heads stay."""
    with torch.no_grad():
        for single in net.nets:
            for parameter in single.get_submodule("last").parameters():
                parameter[: net.config.coefficients] *= factor


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
    if "features" in arguments and "rows" not in arguments:
        raise ModelError(
            f"{path} is a TC net of an older version, without the speech encoder",
            hint="prepare the clips and train again: dubkit train prepare, dubkit train tc",
        )
    sizes = ("rows", "features", "bands", "coefficients", "row_channels", "width")
    try:
        arguments["dilations"] = tuple(arguments["dilations"])
        sane = all(0 < int(arguments.get(name, 1)) <= _MOST for name in sizes)
        sane = sane and all(0 < int(dilation) <= _MOST for dilation in arguments["dilations"])
        if not sane or not 0 < int(arguments.get("nets", 1)) <= _MOST_NETS:
            raise ModelError(f"the configuration in {path} has impossible sizes")
        return TcNet(TcConfig(**arguments))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the configuration in {path} does not fit: {error}") from error


def debug_tc(features: int = 4, coefficients: int = 2, rows: int = 3, bands: int = 2) -> TcNet:
    """A minute net for tests."""
    torch.manual_seed(0)
    config = TcConfig(
        rows, features, bands, coefficients, row_channels=2, width=8, dilations=(1, 2),
        dropout=0.0, row_dropout=0.0, nets=2,
    )  # fmt: skip
    return TcNet(config).eval()


ACTOR_KIND = "actor"
KERNEL_WIDTH = (
    2.0  # of the kernel of `PersonTerm`: the larger, the less a sound says of one unlike it
)


@dataclass(frozen=True, slots=True)
class ActorFacts:
    """How a profile came about; written into the file."""

    net: str  # digest of the TC net that it goes with
    seconds: float  # of speech that it was learned from
    before: float  # correlation of the opening on held-out speech (`lips.adaptation`), without the profile
    after: float  # and with it


class PersonTerm(nn.Module):
    """What one person's mouth does otherwise: added to the shapes of a `TcNet`, by how like a sound is to known ones.

    A cell is compared with N moments of the person's own speech by two Gaussian kernels, one of the sound and one of
    the net's hidden layer; the sum over the moments, weighted, is the term (kernel ridge regression).
    """

    centers: Tensor  # (S + H,)
    scales: Tensor  # (2,) of sounds and hidden
    moments: Tensor  # (N, S + H) half precision, normalized
    weights: Tensor  # (N, K)
    offset: Tensor  # (K,)
    gain: Tensor  # () that gives the answer the net's range

    def __init__(self, moments: int, sounds: int, hidden: int, coefficients: int) -> None:
        super().__init__()
        self.sounds = sounds
        whole = sounds + hidden
        self.register_buffer("centers", torch.zeros(whole))
        self.register_buffer("scales", torch.ones(2))
        self.register_buffer("moments", torch.zeros(moments, whole, dtype=torch.float16))
        self.register_buffer("weights", torch.zeros(moments, coefficients))
        self.register_buffer("offset", torch.zeros(coefficients))
        self.register_buffer("gain", torch.ones(()))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Sounds, hidden, coefficients."""
        return self.sounds, self.moments.shape[1] - self.sounds, len(self.offset)

    @staticmethod
    def sizes_for(config: TcConfig) -> tuple[int, int, int]:
        """The `sizes` of the terms of a net."""
        return (
            3 * config.nets * config.row_channels,
            config.nets * config.width,
            config.coefficients,
        )

    def normalized(self, described: Described) -> Tensor:
        """(..., S + H) what cells or moments are compared by."""
        parts = torch.cat([described.sounds, described.hidden], -1) - self.centers
        sounds, hidden = parts[..., : self.sounds], parts[..., self.sounds :]
        return torch.cat([sounds * self.scales[0], hidden * self.scales[1]], -1)

    def alike(self, one: Tensor, other: Tensor) -> Tensor:
        """(A, B) likeness of normalized rows (A, S + H) and (B, S + H), 0 to 2."""
        split = self.sounds
        pairs = ((one[:, :split], other[:, :split]), (one[:, split:], other[:, split:]))
        return sum((_kernel(*pair) for pair in pairs), one.new_zeros(()))

    def forward(self, described: Described) -> TcOutput:
        """The net's answer as this person's; where nobody speaks, the net's own."""
        shapes, closure, speech = described.output
        rows = self.normalized(described)
        flat = self.alike(rows.flatten(0, -2), self.moments.float()) @ self.weights + self.offset
        spoken = torch.sigmoid(speech)[..., None]
        shapes = shapes + spoken * flat.view_as(shapes)
        return TcOutput(shapes * self.gain, closure, speech)


def _kernel(one: Tensor, other: Tensor) -> Tensor:
    apart = one.square().sum(1)[:, None] + other.square().sum(1) - 2 * one @ other.T
    return torch.exp(-0.5 * KERNEL_WIDTH * apart.clamp(min=0))


class PersonNet(nn.Module):
    """A `TcNet` with the term of one person; used like the net itself."""

    def __init__(self, net: TcNet, term: PersonTerm) -> None:
        """Raises `ModelError` where the term is of another net."""
        super().__init__()
        if term.sizes != PersonTerm.sizes_for(net.config):
            raise ModelError(
                "the actor profile does not fit this TC net",
                hint="create it again: dubkit adapt MOVIE --out FILE",
            )
        self.net, self.term = net, term

    @property
    def config(self) -> TcConfig:
        return self.net.config

    @property
    def reach(self) -> int:
        return self.net.reach

    def forward(self, given: TcInput) -> TcOutput:
        found: TcOutput = self.term(self.net.describe(given))
        return found


AnyNet = TcNet | PersonNet


@dataclass(frozen=True, slots=True)
class Actor:
    """A profile ready for use."""

    term: PersonTerm
    facts: ActorFacts
    digest: str


_SIZES = ("moments", "sounds", "hidden", "coefficients")  # arguments of `PersonTerm`


def save_actor(path: Path, term: PersonTerm, facts: ActorFacts) -> None:
    """Write a profile; equal ones give equal bytes."""
    sizes = (len(term.moments), *term.sizes)
    config = {**asdict(facts), **dict(zip(_SIZES, sizes, strict=True))}
    save_checkpoint(path, ACTOR_KIND, term, config, 0)


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
    if "moments" not in arguments:
        raise ModelError(
            f"the actor profile {path} was made by another version of dubkit", hint=again
        )
    try:
        sizes = [int(arguments.pop(name)) for name in _SIZES]
        facts = ActorFacts(**arguments)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"the metadata of the actor profile {path} does not fit: {error}"
        ) from error
    if net is not None and facts.net != net:
        raise ModelError(
            f"the actor profile {path} was made for another version of dubkit's nets", hint=again
        )
    if not all(0 < size <= _MOST for size in sizes):
        raise ModelError(f"the configuration in {path} has impossible sizes")
    term = PersonTerm(*sizes)
    restore(term, checkpoint)
    return Actor(term.eval(), facts, checkpoint.digest)
