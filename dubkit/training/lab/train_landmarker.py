"""Train the dense landmarker.

    python -m dubkit.training.lab.train_landmarker SET OUT.safetensors [--steps N] [--seconds S] [--start FILE]

SET is what `dubkit.training.lab.faces_data` wrote. OUT holds an exponential average of the weights and
is replaced every ``--every`` steps; a line of measures on the validation rows goes to stderr each
time.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from numpy.typing import NDArray
from torch import Tensor

from dubkit.faces import align, landmark_layout
from dubkit.models.checkpoint import save_checkpoint
from dubkit.models.face_nets import Landmarker, Located, build_landmarker, load_landmarker
from dubkit.training.lab.faces_data import CropSet, CropSource, PictureSource
from dubkit.training.trainer import gradient_step, set_rate, update_average

LIPS_WEIGHT, EYES_WEIGHT, OVAL_WEIGHT = 3.0, 2.0, 0.7
OPENING_WEIGHT = 3.0
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

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        parts = (self.crops, self.landmarks, self.pose, self.face, self.known)
        return Batch(*(part.to(device) for part in parts))


def to_tensor(crops: NDArray[np.uint8]) -> Tensor:
    """(B, S, S, 3) uint8 -> (B, 3, S, S) float, -1..1, channels last in memory."""
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1


def draw(
    rng: np.random.Generator, faces: CropSource, others: PictureSource, count: int, size: int
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


def loss_of(found: Located, batch: Batch, weights: Tensor, size: int) -> Tensor:
    """Points in pixels (robust), mouth opening, pose, confidence."""
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
    pose = F.smooth_l1_loss(found.pose, batch.pose, reduction="none", beta=3.0).mean(1)
    sure = F.binary_cross_entropy_with_logits(found.confidence, real)
    return (
        points(found.landmarks)
        + 0.5 * points(found.coarse)
        + OPENING_WEIGHT * (opening * real).sum() / faces
        + 0.05 * (pose * real).sum() / faces
        + sure
    )


@torch.inference_mode()
def validate(net: Landmarker, held: CropSet, size: int) -> str:
    """Errors against the teacher on plain crops of unseen people, per data set."""
    found, rows = [], held.plain(size)
    for crops in np.array_split(rows.crops, max(1, len(rows.crops) // 32)):
        out = net(to_tensor(crops))
        found.append(((out.landmarks + 1) * (size / 2) - 0.5).numpy())
    guess = np.concatenate(found)
    error = np.linalg.norm(guess - rows.landmarks, axis=2) / rows.eyes[:, None]
    parts = []
    for group in np.unique(rows.group):
        mine = rows.group == group
        gap = [
            (p[:, landmark_layout.INNER_BOTTOM] - p[:, landmark_layout.INNER_TOP])[mine, 1]
            for p in (guess, rows.landmarks)
        ]
        lips, same = error[mine][:, landmark_layout.LIPS].mean(), np.corrcoef(*gap)[0, 1]
        parts.append(f"{group} {error[mine].mean():.2%} lips {lips:.2%} r {same:.3f}")
    return " | ".join(parts)


def train(args: argparse.Namespace) -> None:
    """The loop."""
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    held, faces = (
        CropSet(args.set, validation=True),
        CropSource(CropSet(args.set, validation=False)),
    )
    others, weights = PictureSource(args.set), point_weights()
    config = configuration(args.size, args.width, args.hidden)
    net, begun = fresh(config), 0
    if args.start:
        net, checkpoint = load_landmarker(args.start)
        config, begun = checkpoint.config, checkpoint.step
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=args.rate, weight_decay=1e-4)
    started, total = time.monotonic(), 0.0
    for step in range(1, args.steps + 1):
        done = max(step / args.steps, (time.monotonic() - started) / args.seconds)
        set_rate(optimizer, args.rate, step, done)
        net.train()
        batch = draw(rng, faces, others, args.batch, config["size"])
        with torch.autocast("cpu", torch.bfloat16):
            found = net(batch.crops)
        loss = loss_of(found, batch, weights, config["size"])
        total += gradient_step(net, optimizer, loss, 20.0)
        update_average(average, net, min(0.998, step / (step + 20)))
        if step % args.every == 0 or done >= 1:
            save_checkpoint(args.out, "landmarker", average, config, begun + step)
            spent, mean = (time.monotonic() - started) / 60, total / args.every
            report = validate(average.eval(), held, config["size"])
            sys.stderr.write(f"step {step} {spent:.1f} min loss {mean:.3f} {report}\n")
            total = 0.0
        if done >= 1:
            break


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path, help="go on from these weights")
    for name, value in (("steps", 8000), ("batch", 64), ("every", 400), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, value in (("size", 128), ("width", 32), ("hidden", 256)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--seconds", type=float, default=1e9, help="end after this time")
    parser.add_argument("--rate", type=float, default=1e-3)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
