"""Actor profiles on disk."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from dubkit.errors import ModelError
from dubkit.models.checkpoint import save_checkpoint
from dubkit.models.tc import ActorFacts, debug_tc, load_actor, save_actor, save_tc, scale_output

FACTS = ActorFacts("0123", 30.0, 0.6, 0.7)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "anna.safetensors"
    save_actor(path, debug_tc(), FACTS)
    return path


def test_a_profile_comes_back_as_it_was(profile: Path) -> None:
    net = debug_tc()
    scale_output(net, 2.0)
    save_actor(profile, net, FACTS)
    found = load_actor(profile, "0123")
    assert found.facts == FACTS
    assert found.net.config == net.config
    for name, tensor in net.state_dict().items():
        assert torch.equal(found.net.state_dict()[name], tensor)
    assert len(found.digest) == 16


def test_a_profile_for_another_net_is_refused(profile: Path) -> None:
    with pytest.raises(ModelError, match="another version") as caught:
        load_actor(profile, "4567")
    assert caught.value.hint is not None


def test_what_is_no_profile_is_refused(tmp_path: Path, profile: Path) -> None:
    with pytest.raises(ModelError, match="missing"):
        load_actor(tmp_path / "nobody.safetensors")
    save_tc(tmp_path / "tc.safetensors", debug_tc(), 1)
    with pytest.raises(ModelError, match="holds a tc"):
        load_actor(tmp_path / "tc.safetensors")
    profile.write_bytes(profile.read_bytes()[:-20])
    with pytest.raises(ModelError, match="damaged"):
        load_actor(profile)
    profile.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ModelError, match="damaged"):
        load_actor(profile)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 9},
        {"coefficients": 3},
        {"width": 10**9},
        {"coefficients": 0},
        {"width": "many"},
        {"dilations": 3},
        {"ears": 2},
        {"nets": 0},
        {"rows": 10**9},
    ],
)
def test_sizes_that_do_not_fit_the_tensors_or_make_no_sense_are_refused(
    profile: Path, change: dict[str, object]
) -> None:
    config = {**asdict(FACTS), "tc": {**asdict(debug_tc().config), **change}}
    save_checkpoint(profile, "actor", debug_tc(), config, 0)
    with pytest.raises(ModelError):
        load_actor(profile)


@pytest.mark.parametrize("facts", [{"seconds": 1.0}, {"mood": "good"}])
def test_facts_that_make_no_sense_are_refused(profile: Path, facts: dict[str, object]) -> None:
    known = {**asdict(FACTS), **facts} if "mood" in facts else facts
    save_checkpoint(profile, "actor", debug_tc(), {**known, "tc": asdict(debug_tc().config)}, 0)
    with pytest.raises(ModelError, match="does not fit"):
        load_actor(profile)


def test_a_profile_from_before_the_speech_encoder_is_refused(profile: Path) -> None:
    config = {**asdict(FACTS), "tc": {"features": 39, "coefficients": 12, "dilations": [1, 2]}}
    save_checkpoint(profile, "actor", debug_tc(), config, 0)
    with pytest.raises(ModelError, match="another version") as caught:
        load_actor(profile)
    assert "dubkit adapt" in str(caught.value.hint)


def test_a_profile_of_the_time_when_it_held_a_layer_only_is_refused(profile: Path) -> None:
    known = {**asdict(FACTS), "width": 8, "coefficients": 2}
    save_checkpoint(profile, "actor", debug_tc(), known, 0)
    with pytest.raises(ModelError, match="another version") as caught:
        load_actor(profile)
    assert "dubkit adapt" in str(caught.value.hint)
