"""Engines by name."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from dubkit.config.schema import Config
from dubkit.engines.registry import (
    ENGINES,
    Entry,
    choose,
    chosen_line,
    engine_class,
    load_engine,
    released,
)
from dubkit.errors import ConfigError, MissingDependency, ModelError

THIRD_PARTY = """
class Fast:
    name = "fast"
    version = "1"

    def __init__(self, settings, device):
        self.settings, self.device = settings, device
"""


@pytest.fixture
def own_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_engines.py").write_text(THIRD_PARTY)
    (tmp_path / "broken_engines.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_engines", raising=False)


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights anywhere, and libraries that say they are installed."""
    for name in ("DUBKIT_CACHE", "HF_HOME", "HF_HUB_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(metadata, "version", lambda package: "9")


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, known in ENGINES.items() for n in known])
def test_every_engine_of_the_table_is_there_or_says_how_to_get_it(kind: str, name: str) -> None:
    entry = ENGINES[kind][name]
    if entry.extra and entry.library is None:
        with pytest.raises(MissingDependency, match=f"needs {entry.package}") as caught:
            engine_class(kind, name)
        assert caught.value.hint == f"pip install 'dubkit[{entry.extra}]'"
    else:
        assert engine_class(kind, name).__name__


def test_engines_are_built_with_settings_and_device() -> None:
    engine = load_engine("aligner", "even", Config().speech, device="cpu")
    assert engine.name == "even"
    assert engine.version


def test_auto_takes_the_best_one_and_says_why() -> None:
    assert choose("shots", "auto") == ("adaptive", "auto: the best available")


@pytest.mark.usefixtures("empty_machine")
@pytest.mark.parametrize(
    ("kind", "best", "next_best", "lacks", "way"),
    [
        (
            *("aligner", "whisperx", "pocketsphinx", "no recognizer is here"),
            "dubkit models pull whisper-small",
        ),
        (
            *("detector", "retinaface", "embedded", "the engine retinaface has no weights here"),
            "dubkit models pull retinaface-resnet50",
        ),
    ],
)
def test_auto_passes_over_an_engine_without_weights_and_a_named_one_asks_for_them(
    kind: str, best: str, next_best: str, lacks: str, way: str
) -> None:
    settings = Config().speech if kind == "aligner" else Config().faces
    line = f"{kind}: {next_best} (auto: {lacks} ({way}))"
    assert chosen_line(kind, "auto", settings) == line
    assert load_engine(kind, "auto", settings).name == next_best
    assert chosen_line(kind, best, settings) is None
    with pytest.raises(ModelError) as caught:
        load_engine(kind, best, settings)
    assert way in str(caught.value.hint)
    assert caught.value.exit_code == 7


@pytest.mark.usefixtures("empty_machine")
def test_auto_takes_an_engine_whose_library_and_weights_are_there(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"anything")
    settings = Config.model_validate({"faces": {"weights": str(path)}}).faces
    assert choose("detector", "auto", settings)[0] == "retinaface"


def test_an_engine_is_closed_when_its_work_is_done_or_failed() -> None:
    class Heavy:
        def __init__(self) -> None:
            self.closed: list[bool] = []

        def close(self) -> None:
            self.closed.append(True)

    heavy = Heavy()
    with released(heavy):
        assert not heavy.closed
    with pytest.raises(ZeroDivisionError), released(heavy):
        raise ZeroDivisionError
    assert len(heavy.closed) == 2
    with released("an engine that holds nothing"):
        pass


def test_auto_passes_over_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"best": Entry("no_such_library.x:Y", "no_such_library"), "plain": Entry("x:Y")}
    monkeypatch.setitem(ENGINES, "aligner", table)
    assert choose("aligner", "auto") == ("plain", "auto: best is not installed")
    del table["plain"]
    with pytest.raises(MissingDependency, match="no aligner engine can run"):
        choose("aligner", "auto")


def test_a_named_engine_is_never_replaced() -> None:
    assert choose("aligner", "even") == ("even", "set explicitly")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no aligner engine named 'sphinx'") as caught:
        choose("aligner", "sphinx")
    assert "auto, whisperx, whisper, pocketsphinx, even" in str(caught.value.hint)


@pytest.mark.usefixtures("own_engine")
def test_an_engine_from_elsewhere_is_loaded_by_module_and_class() -> None:
    engine = load_engine("detector", "my_engines:Fast", Config().faces, device="cuda:1")
    assert (engine.name, engine.device) == ("fast", "cuda:1")


@pytest.mark.usefixtures("own_engine")
def test_what_is_wrong_with_an_engine_from_elsewhere_is_said() -> None:
    with pytest.raises(ConfigError, match="my_engines has no Slow"):
        engine_class("detector", "my_engines:Slow")
    with pytest.raises(MissingDependency, match="needs no_such_module") as caught:
        engine_class("detector", "no_such_module:Fast")
    assert caught.value.hint == "pip install no_such_module"
    with pytest.raises(MissingDependency, match="needs no_such_library"):
        engine_class("detector", "broken_engines:Fast")
    with pytest.raises(ConfigError, match="no detector engine named"):
        engine_class("detector", "my_engines:not a class")


def test_a_missing_extra_is_named_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry("no_such_library.engine:X", "no_such_library", extra="retinaface")
    monkeypatch.setitem(ENGINES["detector"], "heavy", entry)
    with pytest.raises(MissingDependency) as caught:
        load_engine("detector", "heavy", None)
    assert caught.value.hint == "pip install 'dubkit[retinaface]'"
    assert caught.value.exit_code == 4
