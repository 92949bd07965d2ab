"""RetinaFace's net and its decoding, from the package retinaface-pytorch. Import this inside `quiet.quiet`.

The package's own ``predict_jsons`` cuts coordinates to whole pixels of a square picture and takes one picture
at a time; the same steps are taken here in floats and in batches.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError

import cv2
import numpy as np
import torch
from retinaface.box_utils import decode, decode_landm
from retinaface.predict_single import Model
from safetensors import SafetensorError
from safetensors.torch import load_file
from torchvision.ops import nms

from dubkit.engines.base import Picture
from dubkit.errors import ModelError
from dubkit.records import Detection

_OVERLAP = 0.4  # the package's own; of two boxes that share more, the better one stays
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_SPREAD = np.array([0.229, 0.224, 0.225], np.float32)
_MOST = 400  # faces of a picture
_SMALLEST = 4.0  # pixels of the picture looked at


class RetinafaceNet:
    """The net at one picture size on one device."""

    def __init__(self, weights: Path, long_side: int, device: str) -> None:
        self._size = -(-long_side // 32) * 32  # the coarsest grid
        self._device = torch.device(device)
        self._model = Model(max_size=self._size, device=device)
        try:
            self._model.load_state_dict(load_weights(weights))
        except RuntimeError as error:
            if "out of memory" in str(error).lower():
                raise
            raise ModelError(
                f"{weights} holds no weights of RetinaFace's ResNet-50", hint="see faces.weights"
            ) from error
        self._model.eval()

    def detect(self, pictures: Sequence[Picture], min_score: float) -> list[list[Detection]]:
        """Faces of pictures (H, W, 3) RGB, best first, in each picture's own pixels."""
        fitted = [self._fit(picture) for picture in pictures]
        batch = torch.from_numpy(np.stack([square for square, _ in fitted])).to(self._device)
        with torch.inference_mode():
            boxes, scores, points = self._model.model(batch.permute(0, 3, 1, 2).contiguous())
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
        square = np.zeros((self._size, self._size, 3), np.float32)  # 0: the mean colour
        square[: size[1], : size[0]] = (small.astype(np.float32) / 255 - _MEAN) / _SPREAD
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
        model = self._model
        good = torch.where(scores >= max(min_score, 1e-6))[0]
        priors, score = model.prior_box[good], scores[good]
        box = decode(boxes[good], priors, model.variance) * self._size
        five = decode_landm(points[good], priors, model.variance) * self._size
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
    """A state dict: safetensors, what torch saves, or that inside a zip as it is published."""
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
