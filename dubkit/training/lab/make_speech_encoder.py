"""Make the speech encoder's weights of Whisper's own: its first blocks, and how their rows are distributed in speech.

    python -m dubkit.training.lab.make_speech_encoder WHISPER DATA OUT

``WHISPER`` is the encoder of Whisper tiny.en as a safetensors file of CTranslate2's names, ``DATA`` the folder of clips
with its ``clips.csv``. Nothing is trained: ``place_mean``, ``mean`` and ``deviation`` are measured over the sound of
the training clips.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from dubkit.media.audio import SPEECH_RATE, load_samples
from dubkit.models.speech_encoder import (
    CELLS,
    SpeechEncoder,
    SpeechEncoderConfig,
    save_speech_encoder,
)
from dubkit.records import GRID_STEP, Floats
from dubkit.speech.encoder_rows import FRAME, log_mel, scaled

_NAMES = {
    "self_attention.layer_norm": "attention_norm", "self_attention.linear_0": "qkv", "self_attention.linear_1": "out",
    "ffn.layer_norm": "mlp_norm", "ffn.linear_0": "up", "ffn.linear_1": "down",
}  # fmt: skip
_MOST_CLIPS, _MOST_SECONDS = 24, 30.0  # of a person, of a clip
_HOP = 53  # cells between two windows: no multiple of what repeats


def from_whisper(path: Path, config: SpeechEncoderConfig) -> SpeechEncoder:
    """An encoder of Whisper's own weights, its statistics still unmeasured."""
    stored = load_file(str(path))
    net = SpeechEncoder(config)
    state = net.state_dict()
    state["position"] = stored["position_encodings.encodings"][:CELLS]
    for part in ("weight", "bias"):
        for conv in ("conv1", "conv2"):
            state[f"{conv}.{part}"] = stored[f"{conv}.{part}"]
        for block in range(config.blocks):
            for theirs, ours in _NAMES.items():
                state[f"blocks.{block}.{ours}.{part}"] = stored[f"layer_{block}.{theirs}.{part}"]
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def measure(net: SpeechEncoder, sound: Floats) -> None:
    """Set the statistics of ``net`` by windows of ``sound`` (mono, 16 kHz), which is to hold much speech."""
    cell = round(GRID_STEP * SPEECH_RATE)
    length = CELLS * cell + 2 * FRAME
    total = torch.zeros(CELLS, net.config.rows, dtype=torch.float64)
    every: list[torch.Tensor] = []
    for start in range(0, len(sound) - length, _HOP * cell):
        bands = scaled(log_mel(sound[start : start + length], FRAME, 2 * CELLS))
        with torch.inference_mode():
            rows = net(torch.from_numpy(bands)[None])[0]
        total += rows
        every.append(rows[::7])
    if not every:
        raise ValueError("the sound is shorter than a window")
    net.place_mean.copy_(total / len(every))
    places = torch.arange(0, CELLS, 7)
    centered = torch.stack(every) - net.place_mean[places]
    net.mean.copy_(centered.mean((0, 1)))
    net.deviation.copy_(centered.std((0, 1)) + 1e-3)


def sounds(data: Path) -> Iterator[Floats]:
    """The sound of the training clips that may be shipped with, each at an ordinary level."""
    files: dict[str, list[str]] = defaultdict(list)
    with (data / "clips.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["ship"] == "yes" and row["split"] == "train" and row["language"] != "none":
                files[row["person"]].append(row["file"])
    for names in files.values():
        for name in names[:_MOST_CLIPS]:
            samples = load_samples(data / name)[: round(_MOST_SECONDS * SPEECH_RATE)]
            yield np.asarray(samples * (0.7 / (np.abs(samples).max() + 1e-6)), np.float32)


def main() -> None:
    """Make the file."""
    whisper, data, out = (Path(argument) for argument in sys.argv[1:4])
    net = from_whisper(whisper, SpeechEncoderConfig())
    measure(net, np.concatenate(list(sounds(data))))
    save_speech_encoder(out, net)


if __name__ == "__main__":
    main()
