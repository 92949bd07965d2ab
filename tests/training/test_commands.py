"""The public calls of training: each real objective goes on exactly where it was stopped."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dubkit.errors import Interrupted, WorkError
from dubkit.models.checkpoint import load_checkpoint
from dubkit.progress import NoProgress
from dubkit.training.commands import KINDS, train
from dubkit.training.prepare import prepare
from tests.training.talking import config, write_film

SMALL = {"tc": ("width=16",), "sc": ("frames=30",)}


class StopAt(NoProgress):
    """Presses Ctrl-C when a step is told."""

    def __init__(self, step: int | None = None) -> None:
        self.step = step

    def note(self, message: str) -> None:
        if message.startswith(f"step {self.step}:"):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people."""
    folder = tmp_path_factory.mktemp("training")
    for name, seconds in (("ann", 2.0), ("bob", 2.4)):
        write_film(folder / "in" / f"{name}.mkv", seconds)
    prepare(folder / "in", folder / "set", config(), NoProgress())
    return folder / "set"


def learn(kind: str, prepared: Path, out: Path, stop: int | None = None, batch: int = 2) -> None:
    small = ("steps=4", "check_every=2", f"batch={batch}", *SMALL[kind])
    settings = [f"train.{kind}.{setting}" for setting in small]
    train(kind, prepared, out, settings=settings, device="cpu", progress=StopAt(stop))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_stopped_training_ends_as_if_it_had_never_stopped(
    kind: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dubkit.training.train_sc._CHECKED", 8)  # samples of a check
    learn(kind, prepared, tmp_path / "whole")
    with pytest.raises(Interrupted, match="stopped after step 2 of 4"):
        learn(kind, prepared, tmp_path / "parts", stop=2)
    with pytest.raises(WorkError, match="batch was 2, is 3"):
        learn(kind, prepared, tmp_path / "parts", batch=3)
    learn(kind, prepared, tmp_path / "parts")
    logs = []
    for name in ("whole", "parts"):
        lines = (tmp_path / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        logs.append([{**json.loads(line), "seconds": 0} for line in lines])
    assert logs[0] == logs[1]
    assert [line["step"] for line in logs[0]] == [0, 2, 4]
    paths = [tmp_path / name / f"{kind}.safetensors" for name in ("whole", "parts")]
    assert paths[0].is_file() == paths[1].is_file()
    if paths[0].is_file():
        whole, parts = (load_checkpoint(path, kind).tensors for path in paths)
        assert all(torch.equal(whole[name], parts[name]) for name in whole)
    previews = [sorted((tmp_path / name / "previews").iterdir()) for name in ("whole", "parts")]
    for mine, other in zip(*previews, strict=True):
        assert mine.read_bytes() == other.read_bytes()
