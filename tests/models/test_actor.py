"""Actor profiles on disk."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from dubkit.errors import ModelError
from dubkit.models.checkpoint import save_checkpoint
from dubkit.models.tc import (
    FLAGS,
    ActorFacts,
    PersonNet,
    PersonTerm,
    TcInput,
    debug_tc,
    load_actor,
    save_actor,
    save_tc,
)

FACTS = ActorFacts("0123", 30.0, 0.6, 0.7)


def term(seed: int = 0) -> PersonTerm:
    """Of a person with five moments, for `debug_tc`."""
    random = torch.Generator().manual_seed(seed)
    found = PersonTerm(5, *PersonTerm.sizes_for(debug_tc().config))
    for name, tensor in found.state_dict().items():
        if name != "scales":
            tensor.copy_(torch.randn(tensor.shape, generator=random))
    return found


def cells(count: int) -> TcInput:
    """Random sound, as `debug_tc` takes it."""
    random = torch.Generator().manual_seed(1)
    sizes = (3, 4, 3, FLAGS)
    rows, phonemes, levels, flags = (torch.randn(1, count, n, generator=random) for n in sizes)
    flags[..., 0] = 1
    return TcInput(rows, phonemes, levels, flags)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "anna.safetensors"
    save_actor(path, term(), FACTS)
    return path


def test_a_profile_comes_back_as_it_was(profile: Path) -> None:
    save_actor(profile, term(3), FACTS)
    found = load_actor(profile, "0123")
    assert found.facts == FACTS
    for name, tensor in term(3).state_dict().items():
        assert torch.equal(found.term.state_dict()[name], tensor)
    assert len(found.digest) == 16


def test_a_person_moves_the_mouth_otherwise_where_somebody_speaks() -> None:
    net, given = debug_tc(), cells(40)
    person = PersonNet(net, term())
    plain, own = net(given), person(given)
    change = (own.shapes / person.term.gain - plain.shapes).abs().amax(-1)[0]
    assert change.max() > 0.1
    assert torch.equal(own.closure, plain.closure)
    assert torch.equal(own.speech, plain.speech)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("last.bias"):
                parameter[-1] = -60.0
    quiet = person(given)
    assert torch.allclose(quiet.shapes, net(given).shapes * person.term.gain, atol=1e-6)


def test_a_part_of_the_sound_with_its_context_gives_the_same_mouths() -> None:
    net, given = debug_tc(), cells(40)
    person = PersonNet(net, term())
    part = TcInput(*(x[:, 10 - net.reach : 30 + net.reach] for x in given))
    inner = person(part).shapes[:, net.reach : -net.reach]
    assert torch.allclose(inner, person(given).shapes[:, 10:30], atol=1e-6)


def test_a_moment_of_a_persons_speech_is_most_like_itself() -> None:
    net, found = debug_tc(), term()
    answer = net.describe(cells(5))
    rows = found.normalized(answer)[0]
    alike = found.alike(rows, rows)
    assert torch.allclose(alike.diagonal(), torch.full((5,), 2.0))
    assert (alike - 2 * torch.eye(5)).max() < 2


def test_a_term_of_a_net_of_other_sizes_is_refused() -> None:
    with pytest.raises(ModelError, match="does not fit"):
        PersonNet(debug_tc(rows=3, features=4, coefficients=3), term())


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


SIZES = {"moments": 5, "sounds": 12, "hidden": 16, "coefficients": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"moments": 9},
        {"coefficients": 3},
        {"hidden": 10**9},
        {"sounds": 0},
        {"moments": "many"},
        {"hidden": [3]},
        {"ears": 2},
    ],
)
def test_sizes_that_do_not_fit_the_tensors_or_make_no_sense_are_refused(
    profile: Path, change: dict[str, object]
) -> None:
    save_checkpoint(profile, "actor", term(), {**asdict(FACTS), **SIZES, **change}, 0)
    with pytest.raises(ModelError):
        load_actor(profile)


@pytest.mark.parametrize("facts", [{"seconds": 1.0}, {"mood": "good"}])
def test_facts_that_make_no_sense_are_refused(profile: Path, facts: dict[str, object]) -> None:
    known = {**asdict(FACTS), **facts} if "mood" in facts else facts
    save_checkpoint(profile, "actor", term(), {**known, **SIZES}, 0)
    with pytest.raises(ModelError, match="does not fit"):
        load_actor(profile)


def test_a_profile_that_held_a_whole_net_is_refused(profile: Path) -> None:
    config = {**asdict(FACTS), "tc": asdict(debug_tc().config)}
    save_checkpoint(profile, "actor", debug_tc(), config, 0)
    with pytest.raises(ModelError, match="another version") as caught:
        load_actor(profile)
    assert "dubkit adapt" in str(caught.value.hint)
