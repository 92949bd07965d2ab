"""RetinaFace at work, with the decoding of retinaface-pytorch. Import this inside `engines.containment.contained`.

The package's own ``predict_jsons`` cuts coordinates to whole pixels of a square picture and takes one picture
at a time; the same steps are taken here in floats and in batches.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import cv2
import numpy as np
import torch
from retinaface.box_utils import decode, decode_landm
from retinaface.net import conv_bn, conv_dw
from retinaface.network import RetinaFace
from retinaface.prior_box import priorbox
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torchvision.ops import nms

from dubkit.errors import ModelError
from dubkit.records import Detection, Floats, Picture

VARIANCE = [0.1, 0.2]  # of the decoding; both networks were trained with it
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
    def of(cls, weights: Mapping[str, torch.Tensor]) -> Backbone:
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
        levels = {"layer2": 1, "layer3": 2, "layer4": 3}
        net = cast(nn.Module, RetinaFace("Resnet50", False, first, levels, heads))
        if self is MOBILENET:
            net.body = MobileBody()
            for module in net.modules():
                if isinstance(module, nn.LeakyReLU):
                    module.negative_slope = 0.0
        return net

    def normalized(self, picture: Picture) -> Floats:
        """A picture (H, W, 3) RGB, normalized as the network was trained; 0 is the mean color."""
        pixels = picture.astype(np.float32)
        if self is MOBILENET:
            return np.asarray(pixels[..., ::-1] - _MEAN_BGR, np.float32)
        return np.asarray((pixels / 255 - _MEAN) / _SPREAD, np.float32)

    def priors(self, size: int) -> torch.Tensor:
        """(priors, 4) The anchors of a square picture."""
        sizes = [list(pair) for pair in self.anchors]
        return cast(torch.Tensor, priorbox(sizes, _STEPS, False, (size, size)))


RESNET = Backbone("ResNet-50", (256, 256), ((16, 32), (64, 128), (256, 512)))
MOBILENET = Backbone("MobileNet 0.25", (32, 64), ((10, 20), (32, 64), (128, 256)))


class MobileBody(nn.Module):
    """Depthwise convolutions (A. Howard et al., MobileNets, 2017) at a quarter of the width."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            conv_bn(3, 8, 2), conv_dw(8, 16, 1), conv_dw(16, 32, 2), conv_dw(32, 32, 1),
            conv_dw(32, 64, 2), conv_dw(64, 64, 1),
        )  # fmt: skip
        self.stage2 = nn.Sequential(conv_dw(64, 128, 2), *(conv_dw(128, 128, 1) for _ in range(5)))
        self.stage3 = nn.Sequential(conv_dw(128, 256, 2), conv_dw(256, 256, 1))

    def forward(self, pictures: torch.Tensor) -> dict[int, torch.Tensor]:
        """(B, 3, H, W) -> features at strides 8, 16 and 32."""
        first = self.stage1(pictures)
        second = self.stage2(first)
        return {1: first, 2: second, 3: self.stage3(second)}


_OVERLAP = 0.4  # the package's own; of two boxes that share more, the better one stays
_MOST = 400  # faces of a picture
_SMALLEST = 4.0  # pixels of the scaled picture


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
        boxes: torch.Tensor,
        scores: torch.Tensor,
        points: torch.Tensor,
        scale: np.ndarray,
        shape: tuple[int, ...],
        min_score: float,
    ) -> list[Detection]:
        good = torch.where(scores >= max(min_score, 1e-6))[0]
        anchors, score = self._priors[good], scores[good]
        box = decode(boxes[good], anchors, VARIANCE) * self._size
        five = decode_landm(points[good], anchors, VARIANCE) * self._size
        kept = nms(box, score, _OVERLAP)[:_MOST]
        edge = np.array([shape[1], shape[0]] * 2)
        corners = np.clip(box[kept].cpu().numpy() / np.tile(scale, 2), 0, edge)
        # the net counts from the picture's corner, we from the middle of its first pixel
        eyes = five[kept].cpu().numpy().reshape(-1, 5, 2) / scale - 0.5
        return [
            Detection(
                (float(x0), float(y0), float(x1), float(y1)), value, points.astype(np.float32)
            )
            for (x0, y0, x1, y1), value, points in zip(
                corners, score[kept].tolist(), eyes, strict=True
            )
            if min((x1 - x0) * scale[0], (y1 - y0) * scale[1]) >= _SMALLEST
        ]


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """A state dict: safetensors, what torch saves, or that inside a zip as it is published.

    Names lose the ``module.`` that training on several GPUs puts before them.
    """
    return {key.removeprefix("module."): value for key, value in _state(path).items()}


def _state(path: Path) -> dict[str, torch.Tensor]:
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
