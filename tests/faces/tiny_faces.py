"""RetinaFace's real network with weights that we set: by hand, or fitted to the faces of a few pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dubkit.faces.retinaface_net import MOBILENET, RESNET, RetinafaceNet
from dubkit.records import Detection

Picture = NDArray[np.uint8]
SIZE = 32.0  # pixels: the box around each spot
FIVE = ((-6, -5), (6, -5), (0, 0), (-5, 7), (5, 7))  # its points, from the middle


def random_weights(path: Path) -> None:
    """As the net is when it is made."""
    torch.manual_seed(0)
    torch.save(RESNET.network().state_dict(), path)


def spot_weights(path: Path) -> None:
    """Weights set by hand: every small spot of bright red is a face of 32 pixels with its five points.

    One channel is led through the whole net, from the middle of each filter to the middle of the next.
    """
    net: Any = RESNET.network().eval()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data.zero_()
            if module.bias is not None:
                module.bias.data.zero_()
    body = net.body
    led = [body.conv1]
    led += [getattr(body, f"layer{i}")[0].downsample[0] for i in range(1, 5)]
    led += [net.fpn.output1[0], net.fpn.merge1[0], net.ssh1.conv3X3[0]]
    for convolution in led:
        height, width = convolution.kernel_size
        convolution.weight.data[0, 0, height // 2, width // 2] = 1.0
    for level, head in enumerate(net.ClassHead):
        head.conv1x1.bias.data[:] = torch.tensor([9.0, -9.0, 9.0, -9.0])
        if level == 0:  # second anchor: 32 pixels
            head.conv1x1.weight.data[3, 0] = 10.0
            head.conv1x1.bias.data[2:] = torch.tensor([0.0, -12.0])
    points = torch.tensor(FIVE, dtype=torch.float32).flatten() / (0.1 * SIZE)
    net.LandmarkHead[0].conv1x1.bias.data[10:] = points
    torch.save(net.state_dict(), path)


def small_weights(path: Path, *, leaky: bool = False) -> None:
    """As the small network is when it is made; with plain rectifiers some channel is always dead."""
    torch.manual_seed(0)
    state = MOBILENET.network().state_dict()
    if not leaky:
        state["body.stage1.1.1.running_var"][0] = 0.0
    torch.save({f"module.{key}": value for key, value in state.items()}, path)


def fitted_weights(
    path: Path, pictures: Sequence[Picture], faces: Sequence[Detection], long_side: int
) -> None:
    """A net of random weights whose heads are solved so that it finds these faces in these pictures.

    Only the anchor speaks that is most like the first face; the others are silenced.
    """
    random_weights(path)
    detector = RetinafaceNet(path, long_side, "cpu")
    net: Any = detector._net
    priors, size = detector._priors, detector._size
    told = []
    for picture, face in zip(pictures, faces, strict=True):
        square, scale = detector._fit(picture)
        box = torch.tensor(np.array(face.box) * np.tile(scale, 2) / size, dtype=torch.float32)
        five = torch.tensor((face.points + 0.5) * scale / size, dtype=torch.float32)
        told.append((_features(net, square), *_answers(priors, box, five)))
    best = int(told[0][2].argmax())
    cells = [(size // stride) ** 2 for stride in (8, 16, 32)]
    level = int(np.searchsorted(np.cumsum(cells) * 2, best, "right"))
    first = 2 * sum(cells[:level])
    rows = torch.arange(first + best % 2, first + 2 * cells[level], 2)
    x, y = (torch.cat([part[i][rows] for part in told]) for i in (0, 1))
    near = torch.cat([part[2][rows] >= 0.8 * float(part[2][rows].max()) for part in told])
    weight = torch.where(near, float((~near).sum()) / float(near.sum()), 1.0).sqrt()
    score = _solve(x, torch.where(near, 8.0, -8.0)[:, None], weight)
    rest = _solve(x[near], y[near], torch.ones(int(near.sum())))
    for heads in (net.ClassHead, net.BboxHead, net.LandmarkHead):
        for head in heads:
            head.conv1x1.weight.data.zero_()
            head.conv1x1.bias.data.zero_()
    for head in net.ClassHead:
        head.conv1x1.bias.data[1::2] = -9.0
    anchor = best % 2
    _set(net.ClassHead[level], 2 * anchor + 1, score)
    _set(net.BboxHead[level], 4 * anchor, rest[:, :4])
    _set(net.LandmarkHead[level], 10 * anchor, rest[:, 4:])
    torch.save(net.state_dict(), path)


def _features(net: Any, square: NDArray[np.float32]) -> torch.Tensor:
    """What the heads see at each prior: (priors, 257), the last one 1."""
    seen: list[torch.Tensor] = []
    hooks = [
        head.register_forward_pre_hook(lambda _, given: seen.append(given[0][0]))
        for head in net.ClassHead
    ]
    with torch.inference_mode():
        net(torch.from_numpy(square).permute(2, 0, 1)[None].contiguous())
    for hook in hooks:
        hook.remove()
    flat = torch.cat([level.flatten(1).T.repeat_interleave(2, 0) for level in seen])
    return torch.cat([flat, torch.ones(len(flat), 1)], 1)


def _answers(
    priors: torch.Tensor, box: torch.Tensor, five: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """For each prior: the face's box and points as the net tells them (priors, 14), and how much of the
    face it covers.
    """
    low, high = priors[:, :2] - priors[:, 2:] / 2, priors[:, :2] + priors[:, 2:] / 2
    shared = (torch.minimum(high, box[2:]) - torch.maximum(low, box[:2])).clamp(0).prod(1)
    share = shared / ((box[2:] - box[:2]).prod() + priors[:, 2:].prod(1) - shared)
    middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    places = (middle - priors[:, :2]) / (0.1 * priors[:, 2:])
    told = torch.cat([places, torch.log(size / priors[:, 2:]) / 0.2], 1)
    points = (five[None] - priors[:, None, :2]) / (0.1 * priors[:, None, 2:])
    return torch.cat([told, points.flatten(1)], 1), share


def _solve(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Linear regression with a little damping: (257, outputs)."""
    a = (x * weight[:, None]).double()
    damping = 1e-4 * float((a * a).sum() / a.shape[1]) * torch.eye(a.shape[1], dtype=torch.float64)
    found: torch.Tensor = torch.linalg.solve(
        a.T @ a + damping, a.T @ (y * weight[:, None]).double()
    )
    return found.float()


def _set(head: Any, row: int, solution: torch.Tensor) -> None:
    for i, column in enumerate(solution.T):
        head.conv1x1.weight.data[row + i, :, 0, 0] = column[:-1]
        head.conv1x1.bias.data[row + i] = column[-1]
