"""The TC net."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dubkit.errors import ModelError
from dubkit.models.checkpoint import save_checkpoint
from dubkit.models.tc import TcConfig, TcNet, debug_tc, load_tc, save_tc


def test_every_parameter_gets_a_gradient() -> None:
    net = debug_tc().train()
    net(torch.randn(2, 9, 4)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_a_batch_of_two_equals_two_of_one() -> None:
    net, x = debug_tc(), torch.randn(2, 12, 4)
    both = net(x)
    assert both.shape == (2, 12, 2)
    torch.testing.assert_close(both, torch.cat([net(x[:1]), net(x[1:])]))


def test_a_cell_sees_its_reach_and_nothing_beyond() -> None:
    net = debug_tc()
    x = torch.randn(1, 40, 4)
    far, near = x.clone(), x.clone()
    far[:, 20 + net.reach + 1 :] += 5
    near[:, 20 + net.reach] += 5
    assert torch.equal(net(x)[:, 20], net(far)[:, 20])
    assert not torch.equal(net(x)[:, 20], net(near)[:, 20])


def test_a_saved_net_comes_back_equal(tmp_path: Path) -> None:
    net, x = debug_tc(), torch.randn(1, 9, 4)
    save_tc(tmp_path / "tc.safetensors", net, 7)
    loaded, checkpoint = load_tc(tmp_path / "tc.safetensors")
    assert checkpoint.step == 7
    assert torch.equal(net(x), loaded(x))


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tc.safetensors"
    net = TcNet(TcConfig(4, 2, width=8, dilations=(1, 2)))
    save_checkpoint(path, "tc", net, {"features": 4, "coefficients": 2, "depth": 3}, 1)
    with pytest.raises(ModelError):
        load_tc(path)
    with pytest.raises(ModelError):
        load_tc(tmp_path / "missing.safetensors")
