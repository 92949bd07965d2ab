"""Train the face detector on synthetic scenes.

    python -m dubkit.training.lab.train_detector SET OUT [--steps N] [--start FILE]

SET is what `dubkit.training.lab.faces_data` wrote. OUT is a folder of `training.trainer`: an average of the weights
in ``detector.safetensors``, and a line of measures on scenes of unseen people every ``--check_every`` steps.
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
from torch import Tensor

from dubkit.config.schema import LoopSettings
from dubkit.faces.embedded import suppress
from dubkit.models import face_nets
from dubkit.models.checkpoint import save_checkpoint
from dubkit.records import Floats, Mask
from dubkit.training import trainer
from dubkit.training.lab import face_training, faces_data, train_landmarker
from dubkit.training.lab.scenes import Scene, SceneMaker

# longer side of the faces that each grid answers for, pixels; both answer where they overlap
SCALES = ((0.0, 64.0), (44.0, 144.0), (100.0, 1e9))
DOUBT = 1.3  # faces up to this factor outside a grid's scales are neither right nor wrong there
SIZES = ((256, 10), (320, 8), (320, 8), (448, 4))  # side of the scenes, batch


@dataclass(frozen=True, slots=True)
class Target:
    """What one grid should say of a batch."""

    heat: Tensor  # (B, H, W) 1 in the middle of a face, falling off around it
    care: Tensor  # (B, H, W) 0 where nothing is asked
    weight: Tensor  # (B, H, W) how much the box and the points count
    box: Tensor  # (B, H, W, 4) xyxy pixels
    points: Tensor  # (B, H, W, 5, 2) pixels


def target_of(scenes: list[Scene], size: int, index: int) -> Target:
    """Targets of grid ``index``."""
    stride, cells = face_nets.STRIDES[index], size // face_nets.STRIDES[index]
    shape = (len(scenes), cells, cells)
    heat, care = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    weight = np.zeros(shape, np.float32)
    box, points = np.zeros((*shape, 4), np.float32), np.zeros((*shape, 5, 2), np.float32)
    middle = face_nets.cell_middles(cells, cells, stride, torch.device("cpu")).numpy()
    low, high = SCALES[index]
    for b, scene in enumerate(scenes):
        for ignored in scene.ignored:
            care[b][_inside(middle, ignored)] = 0
        # large faces first, so that a small one before a large one keeps its cells
        order = sorted(range(len(scene.boxes)), key=lambda i: -_side(scene.boxes[i]))
        for i in order:
            side = _side(scene.boxes[i])
            if not low < side < high:
                if low / DOUBT < side < high * DOUBT:
                    care[b][_inside(middle, scene.boxes[i])] = 0
                continue
            bump = _bump(middle, scene.boxes[i], stride)
            near = bump > 0.4
            heat[b] = np.maximum(heat[b], bump)
            weight[b][near] = bump[near]
            box[b][near], points[b][near] = scene.boxes[i], scene.points[i]
    return Target(*(torch.from_numpy(a) for a in (heat, care, weight, box, points)))


def _side(box: Floats) -> float:
    return float(max(box[2] - box[0], box[3] - box[1]))


def _inside(middle: Floats, box: Floats) -> Mask:
    return np.asarray(((middle > box[:2]) & (middle < box[2:])).all(2))


def _bump(middle: Floats, box: Floats, stride: int) -> Floats:
    """A Gaussian on the face's middle whose top is exactly 1, on the nearest cell."""
    spread = np.maximum(0.11 * (box[2:] - box[:2]), 0.55 * stride)
    bump = np.exp(-0.5 * (((middle - (box[:2] + box[2:]) / 2) / spread) ** 2).sum(2))
    # a face at the edge may have its middle outside: then the nearest cell stands for it
    return np.asarray(np.maximum(bump / max(float(bump.max()), 1e-3), 0), np.float32)


def loss_of(levels: tuple[face_nets.Level, ...], targets: list[Target]) -> Tensor:
    """Focal loss on the heat, generalized IoU on boxes, distance of points in face sizes."""
    heat = box = points = torch.zeros(())
    peaks, mass = torch.tensor(1.0), torch.tensor(1e-3)
    for level, target, stride in zip(levels, targets, face_nets.STRIDES, strict=True):
        heat = heat + _focal(level.score, target)
        peaks = peaks + (target.heat == 1).sum()
        _, boxes, five = face_nets.decode(level, stride)
        weight = target.weight.flatten(1)
        chosen = weight > 0
        if not bool(chosen.any()):
            continue
        real, amount = target.box.flatten(1, 2)[chosen], weight[chosen]
        side = (real[:, 2:] - real[:, :2]).amax(1)
        mass = mass + amount.sum()
        box = box + (_giou_loss(boxes[chosen], real) * amount).sum()
        gap = (five[chosen] - target.points.flatten(1, 2)[chosen]) / side[:, None, None]
        robust = F.smooth_l1_loss(gap, torch.zeros_like(gap), reduction="none", beta=0.03)
        points = points + (robust.sum((1, 2)) * amount).sum()
    return heat / peaks + (2.0 * box + 2.0 * points) / mass


def _focal(score: Tensor, target: Target) -> Tensor:
    """Penalty-reduced focal loss (Law and Deng 2018)."""
    chance = score.sigmoid().clamp(1e-4, 1 - 1e-4)
    peak = target.heat == 1
    hit = -((1 - chance) ** 2) * chance.log()
    miss = -((1 - target.heat) ** 4) * chance**2 * (1 - chance).log()
    return (torch.where(peak, hit, miss * target.care)).sum()


def _giou_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 - generalized IoU of boxes (N, 4), in 0..2."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    inner = (high - low).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - inner
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1)
    loss: Tensor = 1 - inner / union + (hull - union) / hull
    return loss


@torch.inference_mode()
def validate(net: face_nets.Detector, scenes: list[Scene]) -> dict[str, float]:
    """Measures on scenes; ``error``, which decides, adds the shares missed and false and the points' distance.

    ``missed`` and ``missed_small`` (under 22 pixels) are shares of the faces, ``false`` alarms a scene, ``points`` the
    distance of the five points as a share of the face's side.
    """
    found, total, false, small_found, small = 0, 0, 0, 0, 0
    gaps: list[float] = []
    for scene in scenes:
        levels = net(train_landmarker.to_tensor(scene.picture[None]))
        parts = [
            face_nets.decode(level, stride)
            for level, stride in zip(levels, face_nets.STRIDES, strict=True)
        ]
        score, box, five = (torch.cat([p[i] for p in parts], 1)[0].numpy() for i in range(3))
        keep = suppress(box, score, 0.5)
        used: set[int] = set()
        for real, points in zip(scene.boxes, scene.points, strict=True):
            overlap = [_overlap(box[k], real) for k in keep]
            best = int(np.argmax(overlap)) if overlap else -1
            hit, tiny = best >= 0 and overlap[best] > 0.4, _side(real) < 22
            total, found = total + 1, found + hit
            small, small_found = small + tiny, small_found + (hit and tiny)
            if hit:
                used.add(best)
                gap = np.linalg.norm(five[keep[best]] - points, axis=1).mean() / _side(real)
                gaps.append(float(gap))
        spare = [box[k] for i, k in enumerate(keep) if i not in used]
        false += sum(all(_overlap(s, g) < 0.2 for g in scene.ignored + scene.boxes) for s in spare)
    measures = {
        "missed": 1 - found / max(total, 1),
        "false": false / max(len(scenes), 1),
        "points": float(np.mean(gaps or [1.0])),
    }
    tiny_ones = {"missed_small": 1 - small_found / max(small, 1)}
    return {"error": sum(measures.values()), **measures, **tiny_ones}


def _overlap(a: Floats, b: Floats) -> float:
    """Intersection over union."""
    inner = float(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod())
    return inner / float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inner)


@dataclass(frozen=True, slots=True)
class Batch:
    """Scenes of one size with the targets of each grid."""

    pictures: Tensor  # (B, 3, S, S) -1..1
    targets: list[Target]


class DetectorObjective:
    """See `training.trainer.Objective`."""

    kind = "detector"
    goal = "error"

    def __init__(
        self, maker: SceneMaker, held: list[Scene], settings: LoopSettings, start: Path | None
    ) -> None:
        self._maker, self._held = maker, held
        self._config: dict[str, Any] = {"widths": [16, 24, 48, 96, 128], "head": 48}
        self._begun, net = 0, face_nets.build_detector(self._config)
        if start:
            net, checkpoint = face_nets.load_detector(start)
            self._config, self._begun = checkpoint.config, checkpoint.step
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net)
        self._optimizer = torch.optim.AdamW(self.net.parameters(), settings.rate, weight_decay=1e-4)

    def modules(self) -> trainer.Modules:
        return {"net": self.net, "average": self.average}

    def optimizers(self) -> trainer.Optimizers:
        return {"net": self._optimizer}

    def draw(self, rng: np.random.Generator) -> Batch:
        size, count = SIZES[int(rng.integers(len(SIZES)))]
        scenes = [self._maker.scene(rng, size) for _ in range(count)]
        targets = [target_of(scenes, size, index) for index in range(len(face_nets.STRIDES))]
        return Batch(train_landmarker.to_tensor(np.stack([s.picture for s in scenes])), targets)

    def train_step(self, batch: Batch, context: trainer.StepContext) -> Mapping[str, float]:
        self.net.train()
        with context.autocast():
            levels = self.net(batch.pictures)
        value = trainer.gradient_step(
            self.net, self._optimizer, loss_of(levels, batch.targets), 10.0
        )
        trainer.update_average(
            self.average, self.net, min(0.998, context.step / (context.step + 20))
        )
        return {"loss": value}

    def evaluate(self) -> Mapping[str, float]:
        return validate(self.average.eval(), self._held)

    def preview(self) -> None:
        return None

    def save(self, path: Path, step: int) -> None:
        save_checkpoint(path, self.kind, self.average, self._config, self._begun + step)


def objective(args: argparse.Namespace, settings: LoopSettings) -> DetectorObjective:
    """The training that a command line describes."""
    unseen, fixed = (
        SceneMaker(faces_data.PictureSource(args.set, validation=True)),
        np.random.default_rng(0),
    )
    held = [unseen.scene(fixed, 320) for _ in range(args.held)]
    return DetectorObjective(
        SceneMaker(faces_data.PictureSource(args.set)), held, settings, args.start
    )


if __name__ == "__main__":
    face_training.main(
        __doc__ or "",
        objective,
        LoopSettings(steps=8000, check_every=250, rate=1.5e-3, seed=1),
        held=100,
    )
