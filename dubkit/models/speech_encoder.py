"""The speech encoder: the first blocks of Whisper's encoder (tiny.en, frozen) -> rows of numbers every 20 ms.

Whisper (Radford et al., 2022; MIT, the notice is in the model card) was trained on 680,000 hours of speech; its early
blocks describe the sound of every moment in any language, and hardly the voice. Row ``i`` of a window is centered on
``i`` times 20 ms, like the cells of the TC net.

A row also depends on its place in the window, more than on the sound. The mean row of each place, over much speech,
is therefore subtracted (``place_mean``): equal moments then give similar rows wherever the window begins.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dubkit.errors import ModelError
from dubkit.models.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint

KIND = "speech_encoder"
CELLS = 600  # of a window: 12 s
MEL_BANDS = 80
_MOST = 4096  # of anything that a file may ask for


@dataclass(frozen=True, slots=True)
class SpeechEncoderConfig:
    """Constructor arguments of `SpeechEncoder`."""

    blocks: int = 2
    width: int = 384
    heads: int = 6

    @property
    def rows(self) -> int:
        """Numbers of a row: the outputs of the blocks, one after the other."""
        return self.blocks * self.width


class Block(nn.Module):
    """One block of the transformer, normalized before each part; (B, T, C) -> (B, T, C)."""

    def __init__(self, config: SpeechEncoderConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        q, k, v = (
            self.qkv(self.attention_norm(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        )
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(attended.transpose(1, 2).reshape(b, t, c))
        raised: Tensor = self.down(nn.functional.gelu(self.up(self.mlp_norm(x))))
        return x + raised


class SpeechEncoder(nn.Module):
    """Log-mel bands (B, 2 CELLS, MEL_BANDS) of a window -> rows (B, CELLS, R), of deviation 1 in speech."""

    position: Tensor
    place_mean: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, config: SpeechEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv1d(MEL_BANDS, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.register_buffer("position", torch.zeros(CELLS, config.width))
        self.register_buffer("place_mean", torch.zeros(CELLS, config.rows))
        self.register_buffer("mean", torch.zeros(config.rows))
        self.register_buffer("deviation", torch.ones(config.rows))

    def forward(self, bands: Tensor) -> Tensor:
        x = nn.functional.gelu(self.conv1(bands.transpose(1, 2)))
        x = nn.functional.gelu(self.conv2(x)).transpose(1, 2) + self.position
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return (torch.cat(outputs, -1) - self.place_mean - self.mean) / self.deviation


def save_speech_encoder(path: Path, net: SpeechEncoder) -> None:
    """Write a checkpoint in float16, but for ``mean`` and ``deviation``."""
    stored = SpeechEncoder(net.config)
    stored.load_state_dict(net.state_dict())
    stored.half()
    stored.mean, stored.deviation = net.mean, net.deviation
    save_checkpoint(path, KIND, stored, asdict(net.config), 0)


def load_speech_encoder(path: Path) -> tuple[SpeechEncoder, Checkpoint]:
    """The encoder of a checkpoint file, in float32. Raises `ModelError` where the file does not hold one."""
    checkpoint = load_checkpoint(path, KIND)
    try:
        config = SpeechEncoderConfig(**checkpoint.config)
        sizes = (config.blocks, config.width, config.heads)
        if not all(0 < int(size) <= _MOST for size in sizes) or config.width % config.heads:
            raise ModelError(f"the configuration in {path} has impossible sizes")
        net = SpeechEncoder(config)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the configuration in {path} does not fit: {error}") from error
    restore(net, checkpoint)
    return net.eval().requires_grad_(False), checkpoint
