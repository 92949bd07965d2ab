"""The face engines that every installation carries: a small detector and a dense landmarker.

Both run in plain torch on the CPU or a GPU, with the weights inside the package, and process one picture or crop at a
time, so that a result never depends on what else is processed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np
import torch

from dubkit.config.schema import AppearanceSettings, FaceSettings
from dubkit.errors import ModelError
from dubkit.faces import landmark_layout
from dubkit.models import appearance_net, devices, face_nets
from dubkit.records import Detection, Floats, Picture

SMALLEST = 17.0  # pixels, longer side of a box in the downscaled picture; smaller detections are unreliable
SECOND_SCALE = 0.35  # long side of the second pass over that of the first
CLOSE_UP = 150.0  # pixels of the first pass, longer side; the second pass adds no smaller faces
OVERLAP = 0.4  # of two boxes with a larger intersection over union, the better one stays
LARGEST_STEP = face_nets.STRIDES[-1]


@dataclass(frozen=True, slots=True)
class _File:
    """A file with its size and time: a key for caches that a replaced file does not match."""

    path: Path
    state: tuple[int, int] | None


def _file(path: Path) -> _File:
    # a missing file is reported when it is loaded
    facts = path.stat() if path.is_file() else None
    return _File(path, (facts.st_size, facts.st_mtime_ns) if facts else None)


# a net is loaded once a process: each shot of a film builds its own engines
@lru_cache(maxsize=1)
def _detector(file: _File, device: torch.device) -> tuple[torch.nn.Module, str]:
    net, checkpoint = face_nets.load_detector(file.path)
    return face_nets.for_inference(net).to(device), checkpoint.digest


@lru_cache(maxsize=1)
def _landmarker(file: _File, device: torch.device) -> tuple[torch.nn.Module, int, str]:
    net, checkpoint = face_nets.load_landmarker(file.path)
    if checkpoint.config["count"] != landmark_layout.COUNT:
        raise ModelError("the landmarker's weights are for another landmark layout")
    return face_nets.for_inference(net).to(device), net.size, checkpoint.digest


@lru_cache(maxsize=1)
def _appearance(file: _File, device: torch.device) -> tuple[torch.nn.Module, str]:
    net, checkpoint = appearance_net.load_appearance_net(file.path)
    return face_nets.for_inference(net).to(device), checkpoint.digest


class EmbeddedDetector:
    """Detects faces of about 19 pixels and more in pictures downscaled to `FaceSettings.detect_size`.

    A second pass at `SECOND_SCALE` of that detects the close-ups that are too large for the first. It adds large faces
    only: those it places better than the first pass (.09 of the eye distance against .17), small ones worse.
    """

    name = "embedded"

    def __init__(self, settings: FaceSettings, device: str = "cpu") -> None:
        self.device = devices.place(device)
        with as_file(files("dubkit") / "weights" / "detector.safetensors") as path:
            self.net, self._digest = _detector(_file(path), self.device)
        self.long_side, self.min_score = settings.detect_size, settings.min_score

    @property
    def version(self) -> str:
        return f"2+{self._digest}"

    def detect(self, picture: Picture) -> list[Detection]:
        """Faces of one upright picture, best first, in its own pixels."""
        if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
            raise ModelError(f"the detector expects frames of shape (H, W, 3), not {picture.shape}")
        long_side = min(self.long_side, max(picture.shape[:2]))
        small, scale = shrink(picture, long_side)
        smaller, ratio = shrink(small, max(LARGEST_STEP, round(SECOND_SCALE * long_side)))
        least = max(SMALLEST, CLOSE_UP * float(ratio.max()))
        passes = self._pass(small, scale, SMALLEST), self._pass(smaller, scale * ratio, least)
        score, box, five = (np.concatenate(pair) for pair in zip(*passes, strict=True))
        height, width = picture.shape[:2]
        box = np.clip(box, 0, np.array([width, height, width, height], np.float32))
        return [
            Detection(box=_four(box[i]), score=float(score[i]), points=five[i])
            for i in suppress(box, score, self.min_score)
        ]

    def _pass(self, small: Picture, scale: Floats, least: float) -> tuple[Floats, Floats, Floats]:
        """Scores (N,), boxes (N, 4) and points (N, 5, 2) in ``small``, which is the frame times ``scale`` (x, y).

        Boxes and points are in pixels of the frame. Boxes whose longer side in ``small`` is under ``least`` score 0.
        """
        with torch.inference_mode():
            levels = self.net(_padded(small, self.device))
            parts = [
                face_nets.decode(level, stride)
                for level, stride in zip(levels, face_nets.STRIDES, strict=True)
            ]
        score, box, five = (torch.cat([p[i] for p in parts], 1)[0].cpu().numpy() for i in range(3))
        score[(box[:, 2:] - box[:, :2]).max(1) < least] = 0
        back = (0.5 / scale) - 0.5  # pixel centers are at integers on both planes
        box = box / np.tile(scale, 2) + np.tile(back, 2)
        return score, np.asarray(box, np.float32), np.asarray(five / scale + back, np.float32)


class EmbeddedLandmarker:
    """Places the dense landmarks on canonical crops.

    Pose: yaw is positive when the nose points to the right of the picture, pitch when it points up,
    roll when the head leans clockwise.
    """

    name = "embedded"

    def __init__(self, settings: FaceSettings, device: str = "cpu") -> None:
        self.device = devices.place(device)
        with as_file(files("dubkit") / "weights" / "landmarker.safetensors") as path:
            own = settings.landmarker_weights
            chosen = Path(own).expanduser() if own else path
            self.net, self.crop_size, self._digest = _landmarker(_file(chosen), self.device)

    @property
    def version(self) -> str:
        return f"1+{self._digest}"

    def locate(self, crops: Picture, *, together: bool = False) -> tuple[Floats, Floats, Floats]:
        """``crops`` (N, S, S, 3) RGB -> landmarks (N, L, 2) crop pixels, pose (N, 3), confidence
        (N,).

        ``together`` puts all of them through the net at once: faster, but the last bits of each depend on the others.
        """
        size = self.crop_size
        if crops.ndim != 4 or crops.shape[1:] != (size, size, 3):
            raise ModelError(
                f"the landmarker expects crops (N, {size}, {size}, 3), not {crops.shape}"
            )
        count = len(crops)
        landmarks = np.empty((count, landmark_layout.COUNT, 2), np.float32)
        pose, confidence = np.empty((count, 3), np.float32), np.empty(count, np.float32)
        step = max(1, count) if together else 1
        with torch.inference_mode():
            for i in range(0, count, step):
                part = slice(i, i + step)
                found = self.net(torch.cat([to_tensor(crop, self.device) for crop in crops[part]]))
                landmarks[part] = ((found.landmarks + 1) * (size / 2) - 0.5).cpu().numpy()
                pose[part] = found.pose.cpu().numpy()
                confidence[part] = found.confidence.sigmoid().flatten().cpu().numpy()
        return landmarks, pose, confidence


class EmbeddedAppearance:
    """Describes aligned faces (`faces.appearance`) by vectors that are alike for pictures of one person."""

    name = "embedded"
    crop_size = appearance_net.SIDE

    def __init__(self, settings: AppearanceSettings, device: str = "cpu") -> None:
        self.device = devices.place(device)
        with as_file(files("dubkit") / "weights" / "appearance.safetensors") as path:
            self.net, self._digest = _appearance(_file(path), self.device)

    @property
    def version(self) -> str:
        return f"1+{self._digest}"

    def describe(self, crops: Picture) -> Floats:
        """(N, S, S, 3) RGB -> (N, D) vectors, each of one crop alone; the longer, the clearer the face."""
        size = self.crop_size
        if crops.ndim != 4 or crops.shape[1:] != (size, size, 3):
            raise ModelError(f"appearance expects crops (N, {size}, {size}, 3), not {crops.shape}")
        with torch.inference_mode():
            found = [self.net(to_tensor(crop, self.device)).cpu().numpy() for crop in crops]
        return np.concatenate(found) if found else np.zeros((0, 0), np.float32)


def shrink(picture: Picture, long_side: int) -> tuple[Picture, Floats]:
    """The picture with its long side brought down to ``long_side``, and the scale (x, y) it got.

    A smaller picture is kept as it is.
    """
    height, width = picture.shape[:2]
    part = long_side / max(height, width)
    if part >= 1:
        return picture, np.ones(2, np.float32)
    size = (max(1, round(width * part)), max(1, round(height * part)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False), np.array(
        [size[0] / width, size[1] / height], np.float32
    )


def suppress(boxes: Floats, scores: Floats, least: float) -> list[int]:
    """Indices of the boxes (N, 4) worth keeping, best score first: one for each face.

    A box almost inside a kept one of a similar size goes too, and equal scores keep their order, so
    the result is always the same.
    """
    order = [int(i) for i in np.argsort(-scores, kind="stable") if scores[i] >= least][:400]
    kept: list[int] = []
    for i in order:
        if all(_overlap(boxes[i], boxes[k]) <= OVERLAP for k in kept):
            kept.append(i)
    return kept


def _overlap(a: Floats, b: Floats) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    inner = float(width * height)
    return inner / float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner)


def to_tensor(picture: Picture, device: torch.device) -> torch.Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) in -1..1, channels last in memory."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture)).to(device)
    return (pixels.float() / 127.5 - 1).permute(2, 0, 1)[None]


def _padded(picture: Picture, device: torch.device) -> torch.Tensor:
    """The same, padded with gray at the right and bottom to multiples of the coarsest stride."""
    height, width = picture.shape[:2]
    down, right = -height % LARGEST_STEP, -width % LARGEST_STEP
    pixels = to_tensor(picture, device)
    if down or right:
        pixels = torch.nn.functional.pad(pixels, (0, right, 0, down))
    return pixels.contiguous(memory_format=torch.channels_last)


def _four(box: Floats) -> tuple[float, float, float, float]:
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])
