"""Train the dense landmarker.

    python -m dubkit.training.lab.train_landmarker SET OUT [--steps N] [--start FILE]

SET is what `dubkit.training.lab.faces_data` wrote. OUT is a folder of `training.trainer`: an average of the weights
in ``landmarker.safetensors``, and a line of measures on the validation rows every ``--check_every`` steps.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from numpy.typing import NDArray
from torch import Tensor

from dubkit.config.schema import LoopSettings
from dubkit.faces import align, landmark_layout
from dubkit.models.checkpoint import save_checkpoint
from dubkit.models.face_nets import Landmarker, Located, build_landmarker, load_landmarker
from dubkit.training import trainer
from dubkit.training.lab import face_training, faces_data

LIPS_WEIGHT, EYES_WEIGHT, OVAL_WEIGHT = 3.0, 2.0, 0.7
OPENING_WEIGHT, SPREAD_WEIGHT = (
    5.0,
    0.5,
)  # of the gap between the lips, of the distance of their corners
BACKGROUND_SHARE = 0.15


def configuration(size: int, width: int, hidden: int) -> dict[str, Any]:
    """What the checkpoint says of the net."""
    return {
        "size": size,
        "width": width,
        "hidden": hidden,
        "window": 32,
        "count": landmark_layout.COUNT,
        "lips": landmark_layout.LIPS.tolist(),
        "eye_left": landmark_layout.EYE_LEFT.tolist(),
        "eye_right": landmark_layout.EYE_RIGHT.tolist(),
    }


def fresh(config: dict[str, Any]) -> Landmarker:
    """A new net that starts from the mean face."""
    net = build_landmarker(config)
    mean = align.apply(align.crop_from_canonical(config["size"]), align.mean_face())
    net.register_buffer("mean", torch.from_numpy(to_units(mean, config["size"])))
    return net


def to_units(pixels: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Crop pixels -> crop units (0 the middle, +-1 the edges)."""
    return np.asarray((pixels - (size - 1) / 2) / (size / 2), np.float32)


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops with what the teacher says of them; rows without a face carry ``face`` 0."""

    crops: Tensor  # (B, 3, S, S) -1..1
    landmarks: Tensor  # (B, L, 2) crop units
    pose: Tensor  # (B, 3) degrees
    face: Tensor  # (B,) 0 or 1
    known: Tensor  # (B, L) 0 or 1, which landmarks are to be learned


def to_tensor(crops: NDArray[np.uint8]) -> Tensor:
    """(B, S, S, 3) uint8 -> (B, 3, S, S) float, -1..1, channels last in memory."""
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1


def draw(
    rng: np.random.Generator,
    faces: faces_data.CropSource,
    others: faces_data.PictureSource,
    count: int,
    size: int,
) -> Batch:
    """A random training batch."""
    crops = np.empty((count, size, size, 3), np.uint8)
    landmarks = np.zeros((count, landmark_layout.COUNT, 2), np.float32)
    pose, face = np.zeros((count, 3), np.float32), np.ones(count, np.float32)
    known = np.ones((count, landmark_layout.COUNT), np.float32)
    for i in range(count):
        if rng.random() < BACKGROUND_SHARE:
            crops[i], face[i] = others.background(rng, size), 0
        else:
            drawn = faces.face(rng, size)
            crops[i], pose[i], known[i] = drawn.crop, drawn.pose, drawn.known
            landmarks[i] = to_units(drawn.landmarks, size)
    truth = (torch.from_numpy(a) for a in (landmarks, pose, face, known))
    return Batch(to_tensor(crops), *truth)


def point_weights() -> Tensor:
    """(L,) how much each landmark counts; mean 1."""
    weights = np.ones(landmark_layout.COUNT, np.float32)
    weights[landmark_layout.OVAL] = OVAL_WEIGHT
    weights[np.concatenate([landmark_layout.EYE_LEFT, landmark_layout.EYE_RIGHT])] = EYES_WEIGHT
    weights[landmark_layout.LIPS] = LIPS_WEIGHT
    return torch.from_numpy(weights / weights.mean())


def gaps(landmarks: Tensor) -> Tensor:
    """(B, 9): heights of the mouth opening between facing points of the inner lip ring."""
    lower = torch.as_tensor(landmark_layout.LIPS_INNER[1:10], device=landmarks.device)
    upper = torch.as_tensor(landmark_layout.LIPS_INNER[:10:-1].copy(), device=landmarks.device)
    return landmarks[:, lower, 1] - landmarks[:, upper, 1]


def spread(landmarks: Tensor) -> Tensor:
    """(B,): distance of the corners of the mouth."""
    ends = landmarks[:, landmark_layout.MOUTH_RIGHT] - landmarks[:, landmark_layout.MOUTH_LEFT]
    length: Tensor = ends.norm(dim=1)
    return length


def loss_of(found: Located, batch: Batch, weights: Tensor, size: int) -> Tensor:
    """Points in pixels (robust), mouth opening and width, pose, confidence."""
    pixels, real = size / 2, batch.face
    faces = real.sum().clamp(min=1)

    def points(guess: Tensor) -> Tensor:
        error = F.smooth_l1_loss(
            guess * pixels, batch.landmarks * pixels, reduction="none", beta=0.7
        )
        per_face: Tensor = (error.sum(2) * batch.known * weights).mean(1)
        return (per_face * real).sum() / faces

    opening = F.smooth_l1_loss(
        gaps(found.landmarks) * pixels, gaps(batch.landmarks) * pixels, reduction="none", beta=0.3
    ).mean(1)
    wide = F.smooth_l1_loss(
        spread(found.landmarks) * pixels,
        spread(batch.landmarks) * pixels,
        reduction="none",
        beta=0.7,
    )
    pose = F.smooth_l1_loss(found.pose, batch.pose, reduction="none", beta=3.0).mean(1)
    sure = F.binary_cross_entropy_with_logits(found.confidence, real)
    return (
        points(found.landmarks)
        + 0.5 * points(found.coarse)
        + OPENING_WEIGHT * (opening * real).sum() / faces
        + SPREAD_WEIGHT * (wide * real).sum() / faces
        + 0.05 * (pose * real).sum() / faces
        + sure
    )


@torch.inference_mode()
def validate(net: Landmarker, held: faces_data.CropSet, size: int) -> dict[str, float]:
    """Distance from the teacher's landmarks on plain crops of unseen people, as a share of the eye distance.

    ``error``, which decides, is of all points; ``GROUP``, ``GROUP_lips``, ``GROUP_opening`` (a correlation) and
    ``GROUP_range`` (of the opening, over the teacher's) are of each data set.
    """
    found, rows = [], held.plain(size)
    for crops in np.array_split(rows.crops, max(1, len(rows.crops) // 32)):
        out = net(to_tensor(crops))
        found.append(((out.landmarks + 1) * (size / 2) - 0.5).numpy())
    guess = np.concatenate(found)
    error = np.linalg.norm(guess - rows.landmarks, axis=2) / rows.eyes[:, None]
    measures = {"error": float(error.mean())}
    for group in np.unique(rows.group):
        mine = rows.group == group
        gap = [
            (p[:, landmark_layout.INNER_BOTTOM] - p[:, landmark_layout.INNER_TOP])[mine, 1]
            for p in (guess, rows.landmarks)
        ]
        measures[str(group)] = float(error[mine].mean())
        measures[f"{group}_lips"] = float(error[mine][:, landmark_layout.LIPS].mean())
        moved = all(np.ptp(side) > 0 for side in gap)
        measures[f"{group}_opening"] = float(np.corrcoef(*gap)[0, 1]) if moved else 0.0
        measures[f"{group}_range"] = float(gap[0].std() / max(gap[1].std(), 1e-6))
    return measures


class LandmarkerObjective:
    """See `training.trainer.Objective`."""

    kind = "landmarker"
    goal = "error"

    def __init__(
        self,
        sources: tuple[faces_data.CropSource, faces_data.PictureSource],
        held: faces_data.CropSet,
        settings: LoopSettings,
        config: dict[str, Any],
        start: Path | None,
    ) -> None:
        self._sources, self._held, self._settings = sources, held, settings
        self._begun = 0
        if start:
            net, checkpoint = load_landmarker(start)
            config, self._begun = checkpoint.config, checkpoint.step
        else:
            net = fresh(config)
        self._config, self._weights = config, point_weights()
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net)
        self._optimizer = torch.optim.AdamW(self.net.parameters(), settings.rate, weight_decay=1e-4)

    def modules(self) -> trainer.Modules:
        return {"net": self.net, "average": self.average}

    def optimizers(self) -> trainer.Optimizers:
        return {"net": self._optimizer}

    def draw(self, rng: np.random.Generator) -> Batch:
        return draw(rng, *self._sources, self._settings.batch, self._config["size"])

    def train_step(self, batch: Batch, context: trainer.StepContext) -> Mapping[str, float]:
        self.net.train()
        with context.autocast():
            found = self.net(batch.crops)
        loss = loss_of(found, batch, self._weights, self._config["size"])
        value = trainer.gradient_step(self.net, self._optimizer, loss, 20.0)
        trainer.update_average(
            self.average, self.net, min(0.998, context.step / (context.step + 20))
        )
        return {"loss": value}

    def evaluate(self) -> Mapping[str, float]:
        return validate(self.average.eval(), self._held, self._config["size"])

    def preview(self) -> None:
        return None

    def save(self, path: Path, step: int) -> None:
        save_checkpoint(path, self.kind, self.average, self._config, self._begun + step)


def objective(args: argparse.Namespace, settings: LoopSettings) -> LandmarkerObjective:
    """The training that a command line describes."""
    held = faces_data.CropSet(args.set, validation=True)
    sources = (
        faces_data.CropSource(faces_data.CropSet(args.set, validation=False)),
        faces_data.PictureSource(args.set),
    )
    config = configuration(args.size, args.width, args.hidden)
    return LandmarkerObjective(sources, held, settings, config, args.start)


if __name__ == "__main__":
    face_training.main(
        __doc__ or "",
        objective,
        LoopSettings(steps=8000, batch=64, check_every=400, rate=1e-3, seed=1),
        size=128,
        width=32,
        hidden=256,
    )
