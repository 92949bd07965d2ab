"""Fine-tune the landmarker on corrected landmarks of a prepared set: the lesson of ``dubkit train landmarks``.

What nobody corrected cannot be learned: a net that is taught its own answers stays as it is, so a set without
corrections is refused. Head pose and points that were not looked at keep the answers of the net begun from.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dubkit.config.schema import LandmarkTraining
from dubkit.errors import InputError, ModelError
from dubkit.faces import align, landmark_layout
from dubkit.models.checkpoint import Checkpoint, load_landmarker, save_checkpoint
from dubkit.models.landmarker import Landmarker
from dubkit.records import Floats
from dubkit.training.dataset import PreparedSet, labels_path
from dubkit.training.lab import augment
from dubkit.training.lab.corrected import LabeledCrops, read_crops
from dubkit.training.lab.faces_data import vary, wide_from_canonical
from dubkit.training.lab.train_landmarker import Batch, loss_of, point_weights, to_tensor, to_units
from dubkit.training.trainer import Modules, Optimizers, Pace, descend, follow

KIND = "landmarker"
LEAST_FRAMES = 20
_HELD_SHARE = 5  # without held-out people, the last fifth of each file is held out
_CHECKED = 400  # frames of a check at most
_SHOWN, _LONGEST = 12, 20.0  # faces of a preview; length of a gradient


@dataclass(frozen=True, slots=True)
class Rows:
    """Labeled faces; N of them."""

    crops: NDArray[np.uint8]  # (N, S, S, 3) wide
    landmarks: Floats  # (N, L, 2) their pixels, complete
    known: Floats  # (N, L) 1 where corrected
    pose: Floats  # (N, 3) degrees, by the net begun from


class LandmarkLesson:
    """See `training.trainer.Lesson`."""

    kind = KIND
    goal = "error"

    def __init__(
        self, rows: Rows, held: Rows, net: Landmarker, begun: Checkpoint, settings: LandmarkTraining
    ) -> None:
        self._rows, self._held, self._settings, self._begun = rows, held, settings, begun
        self._net = net
        self._average = copy.deepcopy(net).eval().requires_grad_(False)
        self._call = torch.compile(net) if settings.compile else net
        self._device = next(net.parameters()).device
        self._weights = point_weights().to(self._device)
        self._optimizer = torch.optim.AdamW(
            net.parameters(), settings.rate, weight_decay=settings.decay
        )

    def modules(self) -> Modules:
        """The net and the running average of its weights."""
        return {"net": self._net, "average": self._average}

    def optimizers(self) -> Optimizers:
        """The only one."""
        return {"net": self._optimizer}

    def draw(self, rng: np.random.Generator) -> Batch:
        """Corrected faces as trackers would cut them, and some drawn pictures without a face."""
        size, count = self._net.size, self._settings.batch
        crops = np.empty((count, size, size, 3), np.uint8)
        landmarks = np.zeros((count, landmark_layout.COUNT, 2), np.float32)
        pose, known = (
            np.zeros((count, 3), np.float32),
            np.ones((count, landmark_layout.COUNT), np.float32),
        )
        face = np.ones(count, np.float32)
        for i in range(count):
            if rng.random() < self._settings.background:
                crops[i], face[i] = augment.degrade(rng, augment.procedural(rng, size)), 0
                continue
            row = int(rng.integers(len(self._rows.crops)))
            wide = (self._rows.crops[row], self._rows.landmarks[row])
            drawn = vary(rng, wide, self._rows.pose[row], self._rows.known[row], size)
            crops[i], pose[i], known[i] = drawn.crop, drawn.pose, drawn.known
            landmarks[i] = to_units(drawn.landmarks, size)
        truth = (torch.from_numpy(a) for a in (landmarks, pose, face, known))
        return Batch(to_tensor(crops), *truth)

    def learn(self, batch: Batch, pace: Pace) -> Mapping[str, float]:
        """One step."""
        self._net.train()
        batch = batch.to(pace.device)
        with pace.autocast():
            found = self._call(batch.crops)
        loss = loss_of(found, batch, self._weights, self._net.size)
        value = descend(self._net, self._optimizer, loss, _LONGEST)
        follow(self._average, self._net, min(self._settings.average, pace.step / (pace.step + 10)))
        return {"loss": value}

    def examine(self) -> Mapping[str, float]:
        """Mean distance from the corrections, of all points and of the lips, in shares of the eye distance."""
        guess, truth = self._found()
        centers = align.eye_centers(truth)
        eyes = np.linalg.norm(centers[:, 1] - centers[:, 0], axis=1)[:, None]
        error = np.linalg.norm(guess - truth, axis=2) / eyes
        lips, known = landmark_layout.LIPS, self._held.known
        return {
            "error": float((error * known).sum() / known.sum()),
            "error_lips": float(
                (error * known)[:, lips].sum() / max(float(known[:, lips].sum()), 1.0)
            ),
        }

    def _found(self) -> tuple[Floats, Floats]:
        """(N, L, 2) landmarks found and true, pixels of the plain crops."""
        size = self._net.size
        guess, _ = locate(self._average, plain(self._held.crops, size), self._device)
        way = align.invert(_wide_from_plain(size))
        return guess, align.apply(way, self._held.landmarks)

    def preview(self) -> NDArray[np.uint8]:
        """Held-out faces; green what was corrected, red what the net finds."""
        size = self._net.size
        chosen = np.linspace(0, len(self._held.crops) - 1, _SHOWN).astype(int)
        guess, truth = self._found()
        tiles = []
        for row in chosen:
            tile = cv2.resize(plain(self._held.crops[row : row + 1], size)[0], (3 * size, 3 * size))
            for points, color in ((truth[row], (0, 220, 0)), (guess[row], (230, 30, 30))):
                for x, y in (points + 0.5) * 3 - 0.5:
                    cv2.circle(tile, (round(float(x)), round(float(y))), 1, color, -1, cv2.LINE_AA)
            tiles.append(tile)
        across = 4
        lines = [np.concatenate(tiles[i : i + across], 1) for i in range(0, _SHOWN, across)]
        return np.asarray(np.concatenate(lines), np.uint8)

    def save(self, path: Path, step: int) -> None:
        """Write the running average as the product's checkpoint."""
        begun = self._begun
        save_checkpoint(path, KIND, self._average, begun.config, begun.step + step)


def landmark_lesson(
    prepared: PreparedSet, settings: LandmarkTraining, device: torch.device, start: Path | None
) -> LandmarkLesson:
    """The lesson of a set. Raises `InputError` where it holds too few corrections, `ModelError`."""
    found = {name: read_crops(labels_path(prepared.root, name)) for name in sorted(prepared.labels)}
    total = sum(len(labeled.crops) for labeled in found.values())
    if total < LEAST_FRAMES:
        have = f"{total} corrected frames" if total else "no corrected landmarks"
        raise InputError(
            f"{prepared.root} holds {have}; at least {LEAST_FRAMES} are needed to learn from",
            hint="put NAME.landmarks.npz (frames, landmarks) beside the videos and prepare again",
        )
    with as_file(files("dubkit") / "weights" / "landmarker.safetensors") as shipped:
        net, begun = load_landmarker(start or shipped)
    if begun.config["count"] != landmark_layout.COUNT:
        raise ModelError(f"{start} is a landmarker of another landmark layout")
    net = net.to(device)
    ours, others = _parted(prepared, found)
    rows, held = (_rows(part, net, device) for part in (ours, others))
    return LandmarkLesson(rows, _thinned(held), net, begun, settings)


def _parted(
    prepared: PreparedSet, found: Mapping[str, LabeledCrops]
) -> tuple[list[LabeledCrops], list[LabeledCrops]]:
    """To learn and to hold out: by people, or where that leaves one side empty, the end of each file."""
    sides = [
        [found[n] for n, facts in sorted(prepared.labels.items()) if facts.split == split]
        for split in ("train", "val")
    ]
    if all(sides):
        return sides[0], sides[1]
    cuts = [(f, len(f.crops) - max(1, len(f.crops) // _HELD_SHARE)) for f in found.values()]
    ours = [LabeledCrops(f.crops[:at], f.landmarks[:at]) for f, at in cuts]
    return ours, [LabeledCrops(f.crops[at:], f.landmarks[at:]) for f, at in cuts]


def _rows(parts: list[LabeledCrops], net: Landmarker, device: torch.device) -> Rows:
    """Rows with what is unknown filled by the net's own answers."""
    crops = np.concatenate([part.crops for part in parts])
    landmarks = np.concatenate([part.landmarks for part in parts])
    guess, pose = locate(net.eval(), plain(crops, net.size), device)
    known = np.isfinite(landmarks).all(2)
    own = align.apply(_wide_from_plain(net.size), guess)
    filled = np.where(known[..., None], landmarks, own).astype(np.float32)
    return Rows(crops, filled, known.astype(np.float32), pose)


def _thinned(rows: Rows) -> Rows:
    chosen = np.unique(
        np.linspace(0, len(rows.crops) - 1, min(_CHECKED, len(rows.crops))).astype(int)
    )
    return Rows(rows.crops[chosen], rows.landmarks[chosen], rows.known[chosen], rows.pose[chosen])


def _wide_from_plain(size: int) -> align.Matrix:
    return align.compose(wide_from_canonical(), align.invert(align.crop_from_canonical(size)))


def plain(crops: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Wide crops (N, ...) as an ideal tracker would cut them, (N, size, size, 3)."""
    return np.stack([augment.sample(crop, _wide_from_plain(size), size, None) for crop in crops])


@torch.inference_mode()
def locate(
    net: Landmarker, crops: NDArray[np.uint8], device: torch.device
) -> tuple[Floats, Floats]:
    """Landmarks (N, L, 2) in crop pixels and pose (N, 3) of crops (N, S, S, 3)."""
    points, poses = [], []
    for part in np.array_split(crops, max(1, -(-len(crops) // 64))):
        found = net(to_tensor(part).to(device))
        points.append(((found.landmarks + 1) * (net.size / 2) - 0.5).float().cpu().numpy())
        poses.append(found.pose.float().cpu().numpy())
    return np.concatenate(points), np.concatenate(poses)
