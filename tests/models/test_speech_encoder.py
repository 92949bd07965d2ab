"""The speech encoder."""

from __future__ import annotations

from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from dubkit.errors import ModelError
from dubkit.models.checkpoint import save_checkpoint
from dubkit.models.speech_encoder import (
    CELLS,
    MEL_BANDS,
    SpeechEncoder,
    SpeechEncoderConfig,
    load_speech_encoder,
    save_speech_encoder,
)
from dubkit.speech.encoder_rows import log_mel, scaled
from dubkit.training.lab.make_speech_encoder import from_whisper, measure

SMALL = SpeechEncoderConfig(blocks=2, width=12, heads=3)
SHIPPED = Path(str(files("dubkit") / "weights" / "speech_encoder.safetensors"))


@pytest.fixture
def net() -> SpeechEncoder:
    torch.manual_seed(0)
    return SpeechEncoder(SMALL).eval()


def test_a_window_gives_a_row_a_cell_with_the_outputs_of_every_block(net: SpeechEncoder) -> None:
    assert net(torch.randn(2, 2 * CELLS, MEL_BANDS)).shape == (2, CELLS, 24)


def test_a_saved_encoder_comes_back_in_half_precision(net: SpeechEncoder, tmp_path: Path) -> None:
    net.deviation.fill_(1.2345678)
    save_speech_encoder(tmp_path / "encoder.safetensors", net)
    loaded, checkpoint = load_speech_encoder(tmp_path / "encoder.safetensors")
    assert checkpoint.config == asdict(SMALL)
    for name, tensor in net.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == torch.float32
        exact = name in ("mean", "deviation")
        torch.testing.assert_close(found, tensor if exact else tensor.half().float())


@pytest.mark.parametrize("change", [{"heads": 5}, {"width": 0}, {"blocks": 10**9}, {"ears": 1}])
def test_sizes_that_make_no_sense_are_refused(
    net: SpeechEncoder, tmp_path: Path, change: dict[str, int]
) -> None:
    path = tmp_path / "encoder.safetensors"
    save_checkpoint(path, "speech_encoder", net, {**asdict(SMALL), **change}, 0)
    with pytest.raises(ModelError):
        load_speech_encoder(path)


def test_the_weights_in_the_package_are_whispers(data: Path) -> None:
    theirs = from_whisper(
        data / "teacher" / "whisper_tiny_en_encoder.safetensors", SpeechEncoderConfig()
    )
    ours = load_speech_encoder(SHIPPED)[0].state_dict()
    measured = {"place_mean", "mean", "deviation"}
    for name, tensor in theirs.state_dict().items():
        if name not in measured:
            torch.testing.assert_close(ours[name], tensor.half().float())


def test_measured_rows_have_mean_0_and_deviation_1(net: SpeechEncoder) -> None:
    random = np.random.default_rng(0)
    sound = np.asarray(0.1 * random.normal(size=20 * 16000), np.float32)
    measure(net, sound)
    bands = scaled(log_mel(sound, 400, 2 * CELLS))
    with torch.inference_mode():
        rows = net(torch.from_numpy(bands)[None])[0]
    assert float(rows.mean(0).abs().mean()) < 0.2
    assert float(rows.std(0).mean()) == pytest.approx(1.0, abs=0.2)
    with pytest.raises(ValueError, match="shorter"):
        measure(net, np.zeros(16000, np.float32))
