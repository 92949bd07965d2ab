"""Weights of one's own: taken where they fit, refused in one sentence where they do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import nn

from dubkit.config.presets import load_config
from dubkit.config.schema import Config, FaceSettings, GenerateSettings
from dubkit.engines.registry import load_engine
from dubkit.errors import ModelError
from dubkit.models.checkpoint import load_checkpoint, save_checkpoint
from dubkit.models.face_nets import debug_landmarker

SHIPPED = Path(str(files("dubkit") / "weights"))
Load = Callable[[str], object]


def landmarker(path: str) -> object:
    return load_engine("landmarker", "embedded", FaceSettings(landmarker_weights=path)).version


def tc(path: str) -> object:
    return load_engine("synthesizer", "warp", GenerateSettings(tc=path)).version


def sc(path: str) -> object:
    return load_engine("synthesizer", "tcsc", GenerateSettings(sc=path)).version


KINDS = {"landmarker": landmarker, "tc": tc, "sc": sc}


def test_the_settings_reach_a_run() -> None:
    settings = ["generate.tc=a.safetensors", "faces.landmarker_weights=b.safetensors"]
    config: Config = load_config([], settings)
    assert config.generate.tc == "a.safetensors"
    assert config.faces.landmarker_weights == "b.safetensors"
    assert config.generate.sc is None


@pytest.mark.parametrize("kind", ["landmarker", "tc"])
def test_other_weights_are_taken_and_named_in_the_version(kind: str, tmp_path: Path) -> None:
    """So that results made with them are never mistaken for others."""
    shipped = load_checkpoint(SHIPPED / f"{kind}.safetensors", kind)
    copy = tmp_path / "mine.safetensors"
    extra = {f"extra.{name}": tensor for name, tensor in shipped.extra.items()}
    facts = {"format": 1, "kind": kind, "config": shipped.config, "step": shipped.step + 1}
    save_file({**shipped.tensors, **extra}, copy, {"dubkit": json.dumps(facts)})
    mine = KINDS[kind](str(copy))
    assert mine != KINDS[kind](str(SHIPPED / f"{kind}.safetensors"))
    assert load_checkpoint(copy, kind).digest in str(mine)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_weights_that_do_not_fit_are_refused(kind: str, tmp_path: Path) -> None:
    load, path = KINDS[kind], tmp_path / "mine.safetensors"
    with pytest.raises(ModelError, match="are missing"):
        load(str(path))
    path.write_bytes((SHIPPED / "detector.safetensors").read_bytes())
    with pytest.raises(ModelError, match=f"holds a detector, not a {kind}"):
        load(str(path))
    path.write_bytes((SHIPPED / "detector.safetensors").read_bytes()[:5000])
    with pytest.raises(ModelError, match="damaged"):
        load(str(path))
    path.write_bytes((SHIPPED / "mean_face.safetensors").read_bytes())
    with pytest.raises(ModelError, match="is not a dubkit checkpoint"):
        load(str(path))
    save_checkpoint(path, kind, nn.Linear(2, 3), {"nonsense": 1}, 1)
    with pytest.raises(ModelError, match="does not fit"):
        load(str(path))


def test_a_landmarker_of_another_layout_is_refused(tmp_path: Path) -> None:
    net, path = debug_landmarker(), tmp_path / "mine.safetensors"
    groups = {"lips": [8, 9, 10, 11], "eye_left": [0, 1], "eye_right": [2, 3]}
    sizes = {"size": 32, "count": 12, "width": 8, "hidden": 16, "window": 8}
    save_checkpoint(path, "landmarker", net, {**groups, **sizes}, 1)
    with pytest.raises(ModelError, match="another landmark layout"):
        landmarker(str(path))
