"""RetinaFace's network and how its answers are read. Import this inside `engines.containment.contained`.

J. Deng et al., RetinaFace: Single-stage Dense Face Localisation in the Wild, 2019, as the published weights of
ternaus/retinaface and biubug6/Pytorch_Retinaface have it: the names of its parts are those of their files. It is
written out here because the package of the former brings an OpenCV that needs libGL, and a web server.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from dubkit.errors import ModelError
from dubkit.records import Detection, Floats, Picture

VARIANCE = (0.1, 0.2)  # of places and of sizes; both networks were trained with it
_STEPS = [8, 16, 32]
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_SPREAD = np.array([0.229, 0.224, 0.225], np.float32)
_MEAN_BGR = np.array([104.0, 117.0, 123.0], np.float32)
_AFTER_ACTIVATION = "body.stage1.1.1.running_var"
_DEAD = 1e-20  # variance of a channel that is always 0


@dataclass(frozen=True, slots=True)
class Backbone:
    """What differs between the two networks."""

    name: str
    widths: tuple[int, int]  # channels of the first level, and of the heads
    anchors: tuple[tuple[int, int], ...]  # pixels, at each stride

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> Backbone:
        """The one that a state dict belongs to. Raises ModelError for a later release of the small one."""
        if not any(key.startswith("body.stage1.") for key in weights):
            return RESNET
        spread = weights.get(_AFTER_ACTIVATION)
        if spread is not None and not bool((spread < _DEAD).any()):
            raise ModelError(
                "these are weights of a MobileNet with leaky rectifiers, which dubkit does not know",
                hint="use those of the first release of Pytorch_Retinaface, or a ResNet-50",
            )
        return MOBILENET

    def network(self) -> nn.Module:
        """The network, untrained."""
        first, heads = self.widths
        return RetinaFace(MobileBody() if self is MOBILENET else ResidualBody(), first, heads)

    def normalized(self, picture: Picture) -> Floats:
        """A picture (H, W, 3) RGB, normalized as the network was trained; 0 is the mean color."""
        pixels = picture.astype(np.float32)
        if self is MOBILENET:
            return np.asarray(pixels[..., ::-1] - _MEAN_BGR, np.float32)
        return np.asarray((pixels / 255 - _MEAN) / _SPREAD, np.float32)

    def priors(self, size: int) -> Tensor:
        """(priors, 4) Middle and size of the anchors of a square picture, as parts of it, level by level."""
        levels = []
        for step, sides in zip(_STEPS, self.anchors, strict=True):
            middles = (torch.arange(-(-size // step)) + 0.5) * step
            y, x, side = torch.meshgrid(
                middles, middles, torch.tensor(sides, dtype=torch.float32), indexing="ij"
            )
            levels.append(torch.stack([x, y, side, side], -1).reshape(-1, 4) / size)
        return torch.cat(levels)


RESNET = Backbone("ResNet-50", (256, 256), ((16, 32), (64, 128), (256, 512)))
MOBILENET = Backbone("MobileNet 0.25", (32, 64), ((10, 20), (32, 64), (128, 256)))


def _normed(
    taken: int, given: int, side: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution without bias, and its batch norm."""
    padding = side // 2
    convolution = nn.Conv2d(taken, given, side, stride, padding, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(given)]


def _rectified(taken: int, given: int, side: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*_normed(taken, given, side, stride), nn.ReLU(inplace=True))


def _separable(taken: int, given: int, stride: int) -> nn.Sequential:
    """A convolution channel by channel, then one across them."""
    depth = _normed(taken, taken, stride=stride, groups=taken)
    across = _normed(taken, given, side=1)
    return nn.Sequential(*depth, nn.ReLU(inplace=True), *across, nn.ReLU(inplace=True))


class MobileBody(nn.Module):
    """Depthwise convolutions (A. Howard et al., MobileNets, 2017) at a quarter of the width."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            _rectified(3, 8, stride=2), _separable(8, 16, 1), _separable(16, 32, 2), _separable(32, 32, 1),
            _separable(32, 64, 2), _separable(64, 64, 1),
        )  # fmt: skip
        self.stage2 = nn.Sequential(
            _separable(64, 128, 2), *(_separable(128, 128, 1) for _ in range(5))
        )
        self.stage3 = nn.Sequential(_separable(128, 256, 2), _separable(256, 256, 1))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> features at strides 8, 16 and 32."""
        first = self.stage1(pictures)
        second = self.stage2(first)
        return [first, second, self.stage3(second)]


class Bottleneck(nn.Module):
    """Three convolutions beside a way around them (K. He et al., Deep residual learning, 2015)."""

    def __init__(self, taken: int, width: int, stride: int) -> None:
        super().__init__()
        given = 4 * width
        self.conv1, self.bn1 = _normed(taken, width, side=1)
        self.conv2, self.bn2 = _normed(width, width, stride=stride)
        self.conv3, self.bn3 = _normed(width, given, side=1)
        straight = taken == given and stride == 1
        around = [] if straight else _normed(taken, given, side=1, stride=stride)
        self.downsample = nn.Sequential(*around)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def _blocks(taken: int, width: int, count: int, stride: int) -> nn.Sequential:
    rest = (Bottleneck(4 * width, width, 1) for _ in range(count - 1))
    return nn.Sequential(Bottleneck(taken, width, stride), *rest)


class ResidualBody(nn.Module):
    """A ResNet-50 without its classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = _normed(3, 64, side=7, stride=2)
        self.layer1 = _blocks(64, 64, 3, 1)
        self.layer2 = _blocks(256, 128, 4, 2)
        self.layer3 = _blocks(512, 256, 6, 2)
        self.layer4 = _blocks(1024, 512, 3, 2)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> features at strides 8, 16 and 32."""
        stem = functional.max_pool2d(functional.relu(self.bn1(self.conv1(pictures))), 3, 2, 1)
        first = self.layer2(self.layer1(stem))
        second = self.layer3(first)
        return [first, second, self.layer4(second)]


class Pyramid(nn.Module):
    """Features of three strides in one width, each with what the coarser ones know."""

    def __init__(self, first: int, width: int) -> None:
        super().__init__()
        self.output1 = _rectified(2 * first, width, side=1)
        self.output2 = _rectified(4 * first, width, side=1)
        self.output3 = _rectified(8 * first, width, side=1)
        self.merge1, self.merge2 = _rectified(width, width), _rectified(width, width)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = levels
        third = self.output3(coarse)
        second = self.output2(middle)
        second = self.merge2(second + functional.interpolate(third, second.shape[2:]))
        first = self.output1(fine)
        return [self.merge1(first + functional.interpolate(second, first.shape[2:])), second, third]


class Context(nn.Module):
    """Three fields of view side by side (M. Najibi et al., SSH, 2017)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        part = width // 4
        self.conv3X3 = nn.Sequential(*_normed(width, width // 2))
        self.conv5X5_1 = _rectified(width, part)
        self.conv5X5_2 = nn.Sequential(*_normed(part, part))
        self.conv7X7_2 = _rectified(part, part)
        self.conv7x7_3 = nn.Sequential(*_normed(part, part))

    def forward(self, features: Tensor) -> Tensor:
        near = self.conv5X5_1(features)
        wide = self.conv7x7_3(self.conv7X7_2(near))
        return functional.relu(torch.cat([self.conv3X3(features), self.conv5X5_2(near), wide], 1))


class Head(nn.Module):
    """``values`` for each of the two anchors of every cell."""

    def __init__(self, width: int, values: int) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(width, 2 * values, 1)
        self._values = values

    def forward(self, features: Tensor) -> Tensor:
        rows: Tensor = self.conv1x1(features).permute(0, 2, 3, 1)
        return rows.reshape(len(rows), -1, self._values)


class RetinaFace(nn.Module):
    """A body, the pyramid on it, and at each stride heads for scores, boxes and points."""

    def __init__(self, body: nn.Module, first: int, width: int) -> None:
        super().__init__()
        self.body = body
        self.fpn = Pyramid(first, width)
        self.ssh1, self.ssh2, self.ssh3 = Context(width), Context(width), Context(width)
        self.ClassHead = nn.ModuleList(Head(width, 2) for _ in _STEPS)
        self.BboxHead = nn.ModuleList(Head(width, 4) for _ in _STEPS)
        self.LandmarkHead = nn.ModuleList(Head(width, 10) for _ in _STEPS)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> boxes (B, priors, 4), scores (B, priors, 2), points (B, priors, 10)."""
        levels = self.fpn(self.body(pictures))
        seen = [
            look(level)
            for look, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)
        ]

        def told(heads: nn.ModuleList) -> Tensor:
            return torch.cat([head(level) for head, level in zip(heads, seen, strict=True)], 1)

        return told(self.BboxHead), told(self.ClassHead), told(self.LandmarkHead)


def boxes_of(told: Tensor, anchors: Tensor) -> Tensor:
    """(N, 4) corners of boxes that the net states as (N, 4) offsets from ``anchors`` (N, 4)."""
    middle = anchors[:, :2] + told[:, :2] * VARIANCE[0] * anchors[:, 2:]
    size = anchors[:, 2:] * torch.exp(told[:, 2:] * VARIANCE[1])
    return torch.cat([middle - size / 2, middle + size / 2], 1)


def points_of(told: Tensor, anchors: Tensor) -> Tensor:
    """(N, 5, 2) points that the net states as (N, 10) offsets from ``anchors`` (N, 4)."""
    offset = told.reshape(-1, 5, 2) * VARIANCE[0]
    return anchors[:, None, :2] + offset * anchors[:, None, 2:]


_OVERLAP = 0.4  # the package's own; of two boxes that share more, the better one stays
_MOST = 400  # faces of a picture
_SMALLEST = 4.0  # pixels of the scaled picture


def best_of(boxes: Floats, scores: Floats) -> list[int]:
    """The rows, best first, of boxes (N, 4) of which none overlaps a better one by more than `_OVERLAP`."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left) and len(kept) < _MOST:
        best, left = left[0], left[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.clip(high - low, 0, None).prod(1)
        left = left[shared <= _OVERLAP * (area[best] + area[left] - shared)]
    return kept


class RetinafaceNet:
    """The net at one picture size on one device."""

    def __init__(self, weights: Path, long_side: int, device: str) -> None:
        self._size = -(-long_side // 32) * 32  # the coarsest grid
        self._device = torch.device(device)
        state = load_weights(weights)
        self.backbone = Backbone.of(state)
        net = self.backbone.network()
        try:
            net.load_state_dict(state)
        except RuntimeError as error:
            raise ModelError(
                f"{weights} holds no weights of RetinaFace with a {self.backbone.name}",
                hint="see faces.weights",
            ) from error
        self._net = net.eval().to(self._device)
        self._priors = self.backbone.priors(self._size).to(self._device)

    def detect(self, pictures: Sequence[Picture], min_score: float) -> list[list[Detection]]:
        """Faces of pictures (H, W, 3) RGB, best first, in each picture's own pixels."""
        fitted = [self._fit(picture) for picture in pictures]
        batch = torch.from_numpy(np.stack([square for square, _ in fitted])).to(self._device)
        with torch.inference_mode():
            boxes, scores, points = self._net(batch.permute(0, 3, 1, 2).contiguous())
            scores = scores.softmax(-1)[..., 1]
        return [
            self._faces(box, score, five, scale, picture.shape, min_score)
            for box, score, five, (_, scale), picture in zip(
                boxes, scores, points, fitted, pictures, strict=True
            )
        ]

    def _fit(self, picture: Picture) -> tuple[np.ndarray, np.ndarray]:
        """The picture in the net's numbers at the left top of its square, and the scale (x, y) it got."""
        height, width = picture.shape[:2]
        part = self._size / max(height, width)
        size = (max(1, round(width * part)), max(1, round(height * part)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        square = np.zeros((self._size, self._size, 3), np.float32)  # 0: the mean color
        square[: size[1], : size[0]] = self.backbone.normalized(np.asarray(small, np.uint8))
        return square, np.array([size[0] / width, size[1] / height])

    def _faces(
        self,
        boxes: Tensor,
        scores: Tensor,
        points: Tensor,
        scale: np.ndarray,
        shape: tuple[int, ...],
        min_score: float,
    ) -> list[Detection]:
        good = torch.where(scores >= max(min_score, 1e-6))[0]
        anchors, score = self._priors[good], scores[good]
        box = boxes_of(boxes[good], anchors) * self._size
        five = points_of(points[good], anchors) * self._size
        kept = best_of(box.cpu().numpy(), score.cpu().numpy())
        edge = np.array([shape[1], shape[0]] * 2)
        corners = np.clip(box.cpu().numpy()[kept] / np.tile(scale, 2), 0, edge)
        # the net counts from the picture's corner, we from the middle of its first pixel
        eyes = five.cpu().numpy()[kept] / scale - 0.5
        return [
            Detection(
                (float(x0), float(y0), float(x1), float(y1)), value, points.astype(np.float32)
            )
            for (x0, y0, x1, y1), value, points in zip(
                corners, score.cpu().numpy()[kept].tolist(), eyes, strict=True
            )
            if min((x1 - x0) * scale[0], (y1 - y0) * scale[1]) >= _SMALLEST
        ]


def load_weights(path: Path) -> dict[str, Tensor]:
    """A state dict: safetensors, what torch saves, or that inside a zip as it is published.

    Names lose the ``module.`` that training on several GPUs puts before them.
    """
    return {key.removeprefix("module."): value for key, value in _state(path).items()}


def _state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                files = [name for name in archive.namelist() if not name.endswith("/")]
                if len(files) == 1:
                    with archive.open(files[0]) as file:
                        return dict(torch.load(file, map_location="cpu", weights_only=True))
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, UnpicklingError, SafetensorError, EOFError, ValueError) as error:
        raise ModelError(f"the weights {path} cannot be read", hint="pull them again") from error
