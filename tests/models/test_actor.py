"""Actor profiles on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dubkit.errors import ModelError
from dubkit.models.actor import ActorFacts, ActorLayer, load_actor, save_actor
from dubkit.models.checkpoint import save_checkpoint
from dubkit.models.tc import debug_tc, save_tc

FACTS = ActorFacts("0123", 8, 2, 30.0, 0.6, 0.7)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "anna.safetensors"
    save_actor(path, ActorLayer(8, 2), FACTS)
    return path


def test_a_profile_comes_back_as_it_was(profile: Path) -> None:
    torch.manual_seed(1)
    layer = ActorLayer(8, 2)
    save_actor(profile, layer, FACTS)
    found = load_actor(profile, "0123")
    assert found.facts == FACTS
    assert torch.equal(found.layer.last.weight, layer.last.weight)
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


@pytest.mark.parametrize("change", [{"width": 9}, {"coefficients": 3}])
def test_sizes_that_do_not_fit_the_tensors_are_refused(
    profile: Path, change: dict[str, int]
) -> None:
    save_actor(profile, ActorLayer(8, 2), replace(FACTS, **change))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="shape"):
        load_actor(profile)


@pytest.mark.parametrize("facts", [{}, {"width": 10**9, "coefficients": 2}, {"width": "many"}])
def test_facts_that_make_no_sense_are_refused(profile: Path, facts: dict[str, object]) -> None:
    rest = {"net": "0", "seconds": 1.0, "before": 0.0, "after": 0.0, "coefficients": 2}
    save_checkpoint(profile, "actor", ActorLayer(8, 2), {**rest, **facts} if facts else {}, 0)
    with pytest.raises(ModelError):
        load_actor(profile)
