"""The SC net."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dubkit.errors import ModelError
from dubkit.models.checkpoint import save_checkpoint
from dubkit.models.sc import ScConfig, ScInput, ScNet, ScOutput, debug_sc, fuse, load_sc, save_sc

SIZE = 64


def given(count: int = 3, batch: int = 1, seed: int = 0) -> ScInput:
    torch.manual_seed(seed)
    plane = (SIZE, SIZE)
    visible = torch.ones(batch, 1, *plane)
    visible[..., SIZE // 2 :, 8:-8] = 0
    return ScInput(
        filmed=torch.rand(batch, 3, *plane) - 0.5,
        visible=visible,
        sketch=torch.rand(batch, 6, *plane),
        core=torch.rand(batch, 1, *plane),
        references=torch.rand(batch, count, 3, *plane) - 0.5,
        shade=torch.rand(batch, count, 1, *plane),
        weights=torch.rand(batch, count).softmax(1),
    )


def parts(said: ScOutput) -> tuple[Tensor, Tensor, Tensor]:
    return said.weights, said.residual, said.mask


def test_what_is_said_has_the_size_of_the_grid_and_weights_that_sum_to_one() -> None:
    weights, residual, mask = parts(debug_sc()(given(3, 2)))
    assert weights.shape == (2, 3, SIZE, SIZE)
    assert residual.shape == (2, 3, SIZE, SIZE)
    assert mask.shape == (2, 1, SIZE, SIZE)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, SIZE, SIZE))
    assert mask.min() >= 0
    assert mask.max() <= 1


def test_nothing_hidden_reaches_the_output() -> None:
    net, first = debug_sc(), given()
    hidden = first.visible.expand_as(first.filmed) == 0
    other = replace(first, filmed=torch.where(hidden, torch.randn_like(first.filmed), first.filmed))
    assert all(torch.equal(a, b) for a, b in zip(parts(net(first)), parts(net(other)), strict=True))
    seen = replace(first, filmed=torch.where(hidden, first.filmed, first.filmed + 0.3))
    assert not torch.equal(net(first).residual, net(seen).residual)


def test_a_reference_without_weight_changes_nothing() -> None:
    net, three = debug_sc(), given(3)
    weights = torch.tensor([[0.7, 0.3, 0.0]])
    whole = net(replace(three, weights=weights))
    part = net(
        replace(
            three,
            references=three.references[:, :2],
            shade=three.shade[:, :2],
            weights=weights[:, :2],
        )
    )
    torch.testing.assert_close(whole.residual, part.residual)
    torch.testing.assert_close(whole.weights[:, :2], part.weights, atol=1e-4, rtol=1e-3)
    assert whole.weights[:, 2].max() < 1e-4


def test_the_order_of_references_does_not_matter() -> None:
    net, one = debug_sc(), given(3)
    turned = replace(
        one,
        references=one.references.flip(1),
        shade=one.shade.flip(1),
        weights=one.weights.flip(1),
    )
    first, second = net(one), net(turned)
    torch.testing.assert_close(first.weights, second.weights.flip(1))
    torch.testing.assert_close(first.residual, second.residual)


def test_an_untrained_net_leaves_the_warp_nearly_alone() -> None:
    torch.manual_seed(0)
    one = replace(given(2), weights=torch.tensor([[0.85, 0.15]]))
    said = ScNet(ScConfig())(one)
    assert (said.weights[:, 0] - 0.85).abs().max() < 0.05
    assert said.residual.abs().max() < 0.05


def test_every_parameter_gets_a_gradient() -> None:
    net = debug_sc().train()
    total = torch.stack([p.square().mean() for p in parts(net(given(2)))]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_a_saved_net_comes_back_equal(tmp_path: Path) -> None:
    net = debug_sc()
    save_sc(tmp_path / "sc.safetensors", net, 7)
    loaded, checkpoint = load_sc(tmp_path / "sc.safetensors")
    assert checkpoint.step == 7
    both = zip(parts(net(given())), parts(loaded(given())), strict=True)
    assert all(torch.equal(a, b) for a, b in both)


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path, net = tmp_path / "sc.safetensors", debug_sc()
    facts = asdict(net.config)
    for wrong in ({**facts, "depth": 3}, {**facts, "width": 12}, {**facts, "fine": "4"}):
        save_checkpoint(path, "sc", net, wrong, 1)
        with pytest.raises(ModelError):
            load_sc(path)
    save_checkpoint(path, "tc", net, facts, 1)
    with pytest.raises(ModelError, match="not a sc"):
        load_sc(path)


@pytest.mark.parametrize("kept", [0, 5, 1000, -1])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "sc.safetensors"
    save_sc(path, debug_sc(), 1)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError):
        load_sc(path)


def test_mixing_two_textures_keeps_how_fine_they_are() -> None:
    torch.manual_seed(0)
    textures = torch.randn(1, 2, 3, SIZE, SIZE)
    weights = torch.full((1, 2, SIZE, SIZE), 0.35)
    weights[:, 0] = 0.65
    mixed = fuse(textures, weights)
    assert mixed.std() > 0.85 * textures.std()
    assert (textures[:, 0] * 0.65 + textures[:, 1] * 0.35).std() < 0.8 * textures.std()


def test_what_all_references_agree_on_comes_out_of_the_mix() -> None:
    one = torch.rand(1, 1, 3, SIZE, SIZE)
    weights = torch.rand(1, 3, SIZE, SIZE).softmax(1)
    torch.testing.assert_close(fuse(one.expand(-1, 3, -1, -1, -1), weights), one[:, 0])
    light = torch.tensor([0.2, 0.6])[None, :, None, None, None].expand(1, 2, 3, SIZE, SIZE)
    weights = torch.tensor([0.75, 0.25])[None, :, None, None].expand(1, 2, SIZE, SIZE)
    torch.testing.assert_close(fuse(light, weights), torch.full((1, 3, SIZE, SIZE), 0.3))
