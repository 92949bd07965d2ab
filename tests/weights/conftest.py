"""A site, a cache of its own, and toy weights in the catalog."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dubkit.weights.entries import WEIGHTS, File, Weight
from tests.web import Site, serve

CONTENT = np.random.default_rng(0).bytes(3_000_000)
REPOSITORY = {
    "config.json": b'{"a": 1}',
    "vocab.json": b'{"b": 2}',
    "pytorch_model.bin": CONTENT[:500_000],
    "README.md": b"not wanted",
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUBKIT_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "models"


@pytest.fixture
def site(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with serve() as running:
        running.files["/toy.pth"] = CONTENT
        running.repository("owner/toy", "main", REPOSITORY)
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        add(
            monkeypatch,
            "toy",
            File("toy.pth", len(CONTENT), digest(CONTENT), f"{running.url}/toy.pth"),
        )
        add(monkeypatch, "loose", File("loose.pth", None, None, f"{running.url}/toy.pth"))
        hub = Weight(
            "hub-toy", "a test", "MIT", True, "https://example.org", hub="owner/toy",
            wanted=("*.json", "model.safetensors", "pytorch_model.bin"),
            needed=(("config.json",), ("model.safetensors", "pytorch_model.bin")),
        )  # fmt: skip
        monkeypatch.setitem(WEIGHTS, "hub-toy", hub)
        yield running


def add(monkeypatch: pytest.MonkeyPatch, name: str, file: File) -> None:
    entry = Weight(name, "a test", "MIT", True, "https://example.org", (file,), folder=False)
    monkeypatch.setitem(WEIGHTS, name, entry)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
