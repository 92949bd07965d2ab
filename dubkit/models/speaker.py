"""The speaker net: is this the mouth that makes the speech that is heard now? Does this mouth speak at all? Do several
voices speak at once?

Three small stacks of dilated convolutions over beats of 40 ms. One is given how the seen mouth goes with the mouth that
the sound asks for, one the seen mouth alone, for films without original sound, and one the speech encoder's rows of the
sound alone. Made by `dubkit.training.lab.train_speaker`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dubkit.errors import ModelError
from dubkit.models.checkpoint import load_checkpoint, restore, save_checkpoint

KIND = "speaker"
_MOST = 1024  # of anything that a file may ask for


@dataclass(frozen=True, slots=True)
class SpeakerConfig:
    """Constructor arguments of `SpeakerNet`."""

    seen: int  # features of a beat of the seen mouth
    matched: int  # features of how it goes with the sound
    rows: int  # of the speech encoder, numbers in one of them
    width: int = 32
    voices: int = 16  # width of the stack that only listens
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    dropout: float = 0.2


class SpeakerOutput(NamedTuple):
    """Logits of B stretches of T beats."""

    matched: Tensor  # (B, T) this mouth makes the speech that is heard
    seen: Tensor  # (B, T) this mouth speaks, by the picture alone


class _Stack(nn.Module):
    """(B, T, F) -> (B, T)."""

    def __init__(self, features: int, config: SpeakerConfig, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(features, width, 1)
        self.mix = nn.ModuleList(
            nn.Conv1d(width, width, 5, padding=2 * d, dilation=d) for d in config.dilations
        )
        self.dropout = nn.Dropout(config.dropout)
        self.last = nn.Conv1d(width, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        x = nn.functional.silu(self.first(features.transpose(1, 2)))
        for mix in self.mix:
            x = x + self.dropout(nn.functional.silu(mix(x)))
        logits: Tensor = self.last(x)[:, 0]
        return logits


class SpeakerNet(nn.Module):
    """Features of the seen mouth (B, T, seen) and of its match (B, T, matched) -> `SpeakerOutput`."""

    def __init__(self, config: SpeakerConfig) -> None:
        super().__init__()
        self.config = config
        self.matched = _Stack(config.seen + config.matched, config, config.width)
        self.seen = _Stack(config.seen, config, config.width)
        # (B, T, rows) -> (B, T) logits that several voices speak at once
        self.voices = _Stack(config.rows, config, config.voices)

    def forward(self, seen: Tensor, matched: Tensor) -> SpeakerOutput:
        return SpeakerOutput(self.matched(torch.cat([seen, matched], -1)), self.seen(seen))


def save_speaker(path: Path, net: SpeakerNet, step: int) -> None:
    """Write a checkpoint."""
    save_checkpoint(path, KIND, net, asdict(net.config), step)


def load_speaker(path: Path) -> SpeakerNet:
    """The net of a checkpoint file, ready to predict. Raises `ModelError` where the file does not hold one."""
    checkpoint = load_checkpoint(path, KIND)
    arguments = dict(checkpoint.config)
    try:
        arguments["dilations"] = tuple(int(dilation) for dilation in arguments["dilations"])
        config = SpeakerConfig(**arguments)
        sizes = (
            config.seen,
            config.matched,
            config.rows,
            config.width,
            config.voices,
            *config.dilations,
        )
        if not all(0 < size <= _MOST for size in sizes):
            raise ModelError(f"the configuration in {path} has impossible sizes")
        net = SpeakerNet(config)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the configuration in {path} does not fit: {error}") from error
    restore(net, checkpoint)
    return net.eval().requires_grad_(False)
