"""The TC net."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dubkit.errors import ModelError
from dubkit.models.checkpoint import save_checkpoint
from dubkit.models.tc import (
    FLAGS,
    TcConfig,
    TcInput,
    TcNet,
    debug_tc,
    load_tc,
    save_tc,
    scale_output,
)


def given(batch: int, cells: int) -> TcInput:
    """Random cells for `debug_tc`, all known."""
    random = torch.Generator().manual_seed(1)
    sizes = (3, 4, 3)  # rows, features, bands + 1
    rows, phonemes, levels = (torch.randn(batch, cells, size, generator=random) for size in sizes)
    return TcInput(rows, phonemes, levels, torch.ones(batch, cells, FLAGS))


def part(cells: TcInput, which: slice) -> TcInput:
    return TcInput(*(value[which] for value in cells))


def test_every_parameter_gets_a_gradient() -> None:
    net = debug_tc().train()
    sum(output.square().sum() for output in net(given(2, 9))).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_a_batch_of_two_equals_two_of_one() -> None:
    net, x = debug_tc(), given(2, 12)
    both = net(x)
    assert both.shapes.shape == (2, 12, 2)
    assert both.closure.shape == both.speech.shape == (2, 12)
    alone = [net(part(x, slice(0, 1))), net(part(x, slice(1, 2)))]
    for whole, one, two in zip(both, *alone, strict=True):
        torch.testing.assert_close(whole, torch.cat([one, two]))


def test_a_cell_sees_its_reach_and_nothing_beyond() -> None:
    net = debug_tc()
    x = given(1, 40)
    far, near = (TcInput(*(value.clone() for value in x)) for _ in range(2))
    for value in far:
        value[:, 20 + net.reach + 1 :] += 5
    for value in near:
        value[:, 20 + net.reach] += 5
    for whole, unseen, seen in zip(net(x), net(far), net(near), strict=True):
        assert torch.equal(whole[:, 20], unseen[:, 20])
        assert not torch.equal(whole[:, 20], seen[:, 20])


def test_an_unknown_row_says_nothing() -> None:
    net, x = debug_tc(), given(1, 12)
    unknown = x._replace(flags=x.flags * torch.tensor([0.0] + [1.0] * (FLAGS - 1)))
    other = unknown._replace(rows=unknown.rows + 3)
    assert torch.equal(net(unknown).shapes, net(other).shapes)


def test_scaling_widens_the_shapes_and_leaves_the_heads() -> None:
    net, x = debug_tc(), given(1, 12)
    before = net(x)
    scale_output(net, 1.5)
    torch.testing.assert_close(net(x).shapes, 1.5 * before.shapes)
    assert torch.equal(net(x).closure, before.closure)
    assert torch.equal(net(x).speech, before.speech)


def test_a_saved_net_comes_back_equal(tmp_path: Path) -> None:
    net, x = debug_tc(), given(1, 9)
    save_tc(tmp_path / "tc.safetensors", net, 7)
    loaded, checkpoint = load_tc(tmp_path / "tc.safetensors")
    assert checkpoint.step == 7
    assert all(torch.equal(one, two) for one, two in zip(net(x), loaded(x), strict=True))


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tc.safetensors"
    net = TcNet(TcConfig(3, 4, 2, 2, width=8, dilations=(1, 2)))
    sizes = {"rows": 3, "features": 4, "bands": 2, "coefficients": 2}
    save_checkpoint(path, "tc", net, {**sizes, "depth": 3}, 1)
    with pytest.raises(ModelError):
        load_tc(path)
    with pytest.raises(ModelError):
        load_tc(tmp_path / "missing.safetensors")


def test_a_net_from_before_the_speech_encoder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tc.safetensors"
    save_checkpoint(path, "tc", debug_tc(), {"features": 39, "coefficients": 12, "bands": 16}, 1)
    with pytest.raises(ModelError, match="older version") as caught:
        load_tc(path)
    assert "dubkit train tc" in str(caught.value.hint)
