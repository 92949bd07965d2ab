"""What an engine is, known without building it twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dubkit.config.schema import Config, FaceSettings, GenerateSettings, SpeechSettings
from dubkit.engines import versions as module
from dubkit.engines.registry import load_engine
from dubkit.engines.versions import identity

ENGINES = [
    ("shots", "adaptive", Config().shots),
    ("detector", "embedded", Config().faces),
    ("landmarker", "embedded", Config().faces),
    ("aligner", "even", Config().speech),
    ("synthesizer", "warp", Config().generate),
]


class Foreign:
    """An engine from elsewhere that counts how often it is built."""

    name, built = "foreign", 0

    def __init__(self, settings: object, device: str = "cpu") -> None:
        Foreign.built += 1
        self.version = str(Foreign.built)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUBKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines.json"


@pytest.fixture
def no_building(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an engine is built")

    monkeypatch.setattr(module, "load_engine", refuse)


@pytest.mark.parametrize(("kind", "name", "settings"), ENGINES)
def test_it_is_what_the_engine_itself_says(kind: str, name: str, settings: Config) -> None:
    engine = load_engine(kind, name, settings)
    for _ in range(2):
        assert identity(kind, name, settings) == f"{engine.name} {engine.version}"


def test_asked_again_nothing_is_built(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    first = identity("detector", "embedded", FaceSettings())
    request.getfixturevalue("no_building")
    assert identity("detector", "embedded", FaceSettings()) == first
    with pytest.raises(AssertionError):
        identity("detector", "embedded", FaceSettings(detect_size=256))
    monkeypatch.setattr(module, "_code", lambda: "another dubkit")
    with pytest.raises(AssertionError):
        identity("detector", "embedded", FaceSettings())


def test_a_file_that_a_setting_names_counts_with_its_time(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    weights = tmp_path / "own.safetensors"
    weights.write_bytes(b"one")
    settings = SpeechSettings(model=str(weights))
    identity("aligner", "even", settings)
    request.getfixturevalue("no_building")
    identity("aligner", "even", settings)
    os.utime(weights, ns=(1, 1))
    with pytest.raises(AssertionError):
        identity("aligner", "even", settings)


def test_an_engine_from_elsewhere_is_asked_every_time() -> None:
    name = f"{__name__}:Foreign"
    told = [identity("synthesizer", name, GenerateSettings()) for _ in range(2)]
    assert told == ["foreign 1", "foreign 2"]


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', "\x00"])
def test_a_damaged_cache_is_as_good_as_none(cache: Path, content: str) -> None:
    cache.parent.mkdir()
    cache.write_text(content)
    assert identity("aligner", "even", SpeechSettings()).startswith("even ")
    assert len(json.loads(cache.read_text())) == 1


def test_a_cache_that_cannot_be_written_is_done_without(cache: Path) -> None:
    cache.parent.write_bytes(b"a file where the folder should be")
    assert identity("aligner", "even", SpeechSettings()).startswith("even ")


def test_the_cache_does_not_grow_for_ever(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ENTRIES", 3)
    for size in range(1, 6):
        identity("aligner", "even", SpeechSettings(batch=size))
    assert len(json.loads(cache.read_text())) == 3


def test_the_pipeline_is_planned_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from dubkit.config.schema import Config; from dubkit.pipeline.job import STAGES\n"
        "for stage in STAGES: stage.identity(Config())\n"
        "sys.exit('torch' in sys.modules)"
    )
    for expected in (1, 0):  # the engines are built the first time
        done = subprocess.run([sys.executable, "-c", code], check=False)
        assert done.returncode == expected
