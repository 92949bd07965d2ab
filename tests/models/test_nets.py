"""The face nets: shapes, gradients, and results that do not depend on company."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dubkit.errors import ModelError
from dubkit.models.checkpoint import restore, save_checkpoint
from dubkit.models.face_nets import (
    STRIDES,
    Detector,
    Landmarker,
    build_detector,
    debug_detector,
    debug_landmarker,
    decode,
    for_inference,
    load_detector,
    load_landmarker,
)

DETECTOR = {"widths": [4, 6, 8, 10, 12], "head": 8}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def landmarker() -> Landmarker:
    return debug_landmarker()


@pytest.fixture
def detector() -> Detector:
    return debug_detector()


def everything(net: nn.Module, x: Tensor) -> list[Tensor]:
    found = net(x)
    if isinstance(found, tuple):
        return [t for level in found for t in (level.score, level.box, level.points)]
    return [found.landmarks, found.coarse, found.pose, found.confidence]


def test_the_landmarker_answers_with_points_pose_and_confidence(landmarker: Landmarker) -> None:
    found = landmarker(torch.zeros(2, 3, 32, 32))
    assert found.landmarks.shape == found.coarse.shape == (2, 12, 2)
    assert found.pose.shape == (2, 3)
    assert found.confidence.shape == (2,)


def test_the_second_look_moves_only_the_lips(landmarker: Landmarker) -> None:
    found = landmarker(torch.rand(2, 3, 32, 32))
    assert torch.equal(found.landmarks[:, :8], found.coarse[:, :8])
    assert not torch.equal(found.landmarks[:, 8:], found.coarse[:, 8:])


def test_the_detector_has_one_grid_for_each_stride(detector: Detector) -> None:
    levels = detector(torch.zeros(1, 3, 64, 96))
    for level, stride in zip(levels, STRIDES, strict=True):
        assert level.score.shape == (1, 64 // stride, 96 // stride)
        assert level.box.shape == (1, 4, 64 // stride, 96 // stride)
        scores, boxes, points = decode(level, stride)
        cells = (64 // stride) * (96 // stride)
        assert scores.shape == (1, cells)
        assert boxes.shape == (1, cells, 4)
        assert points.shape == (1, cells, 5, 2)
        assert bool((boxes[..., 2:] >= boxes[..., :2]).all())


@pytest.mark.parametrize("make", [debug_landmarker, debug_detector])
def test_the_gradient_reaches_every_parameter(make: type[nn.Module]) -> None:
    net = make()
    loss = sum(t.square().sum() for t in everything(net, torch.rand(2, 3, 32, 32)))
    assert isinstance(loss, Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("make", [debug_landmarker, debug_detector])
def test_folding_the_norms_changes_nothing_that_matters(make: type[nn.Module]) -> None:
    net = make()
    everything(net.train(), torch.rand(4, 3, 32, 32))
    x = torch.rand(2, 3, 32, 32)
    plain = everything(net.eval(), x)
    folded = everything(for_inference(net), x)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    for a, b in zip(plain, folded, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [debug_landmarker, debug_detector])
def test_a_batch_of_two_equals_two_of_one(make: type[nn.Module]) -> None:
    net = for_inference(make())
    x = torch.rand(2, 3, 32, 32)
    together = everything(net, x)
    apart = [everything(net, x[i : i + 1]) for i in range(2)]
    for a, *b in zip(together, *apart, strict=True):
        torch.testing.assert_close(a, torch.cat(b), rtol=1e-5, atol=1e-5)


def test_a_detector_comes_back_from_its_file(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "detector.safetensors"
    save_checkpoint(path, "detector", detector, DETECTOR, 3)
    again, checkpoint = load_detector(path)
    assert checkpoint.step == 3
    x = torch.rand(1, 3, 32, 32)
    for a, b in zip(everything(detector.eval(), x), everything(again.eval(), x), strict=True):
        assert torch.equal(a, b)


def test_weights_of_another_shape_are_refused(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "detector.safetensors"
    save_checkpoint(path, "detector", detector, {"widths": [4, 6, 8, 10, 14], "head": 8}, 3)
    with pytest.raises(ModelError, match="has shape"):
        load_detector(path)


def test_a_configuration_that_lacks_a_key_is_refused(detector: Detector, tmp_path: Path) -> None:
    for kind, load in (("detector", load_detector), ("landmarker", load_landmarker)):
        path = tmp_path / f"{kind}.safetensors"
        save_checkpoint(path, kind, detector, {}, 3)
        with pytest.raises(ModelError, match="configuration"):
            load(path)


def test_restoring_is_exact_for_buffers_too(tmp_path: Path, detector: Detector) -> None:
    everything(detector.train(), torch.rand(2, 3, 32, 32))
    path = tmp_path / "detector.safetensors"
    save_checkpoint(path, "detector", detector, DETECTOR, 1)
    _, checkpoint = load_detector(path)
    again = build_detector(DETECTOR)
    restore(again, checkpoint)
    for name, tensor in detector.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
