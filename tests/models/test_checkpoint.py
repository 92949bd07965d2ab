"""Checkpoints come back equal, and everything else is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dubkit.errors import ModelError
from dubkit.models.checkpoint import digest, load_checkpoint, restore, save_checkpoint


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, nn.Linear]:
    net = nn.Linear(3, 2)
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, "tiny", net, {"inputs": 3}, 7, {"mean": torch.arange(4.0)})
    return path, net


def test_a_saved_net_comes_back_equal_with_config_step_and_extras(
    saved: tuple[Path, nn.Linear],
) -> None:
    path, net = saved
    loaded = load_checkpoint(path, "tiny")
    again = nn.Linear(3, 2)
    restore(again, loaded)
    assert torch.equal(again.weight, net.weight)
    assert torch.equal(again.bias, net.bias)
    assert (loaded.config, loaded.step) == ({"inputs": 3}, 7)
    assert torch.equal(loaded.extra["mean"], torch.arange(4.0))
    assert loaded.digest == digest(path)


def test_equal_nets_give_equal_files(saved: tuple[Path, nn.Linear], tmp_path: Path) -> None:
    path, net = saved
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, "tiny", net, {"inputs": 3}, 7, {"mean": torch.arange(4.0)})
    assert digest(other) == digest(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.safetensors are missing"):
        load_checkpoint(tmp_path / "nowhere.safetensors", "tiny")


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(saved: tuple[Path, nn.Linear], keep: int) -> None:
    path, _ = saved
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match="damaged"):
        load_checkpoint(path, "tiny")


def test_another_kind_is_refused(saved: tuple[Path, nn.Linear]) -> None:
    with pytest.raises(ModelError, match="holds a tiny, not a detector"):
        load_checkpoint(saved[0], "detector")


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match="not a dubkit checkpoint"):
        load_checkpoint(path, "tiny")


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "later.safetensors"
    facts = json.dumps({"format": 99, "kind": "tiny", "config": {}, "step": 0})
    save_file({"weight": torch.zeros(2)}, path, {"dubkit": facts})
    with pytest.raises(ModelError, match="format 99"):
        load_checkpoint(path, "tiny")


@pytest.mark.parametrize("facts", ["{", "[1]", '{"format": 1, "kind": "tiny", "config": 3}'])
def test_damaged_metadata_are_refused(tmp_path: Path, facts: str) -> None:
    path = tmp_path / "bad.safetensors"
    save_file({"weight": torch.zeros(2)}, path, {"dubkit": facts})
    with pytest.raises(ModelError, match="metadata"):
        load_checkpoint(path, "tiny")


def test_tensors_that_do_not_fit_the_net_are_named(saved: tuple[Path, nn.Linear]) -> None:
    loaded = load_checkpoint(saved[0], "tiny")
    with pytest.raises(ModelError, match=r"tensor weight .* shape \(2, 3\), not \(2, 4\)"):
        restore(nn.Linear(4, 2), loaded)
    with pytest.raises(ModelError, match="unknown tensor bias"):
        restore(nn.Linear(3, 2, bias=False), loaded)
    with pytest.raises(ModelError, match="lacks tensor"):
        restore(nn.Sequential(nn.Linear(3, 2)), loaded)
