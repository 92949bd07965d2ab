"""Learn the mouth-shape basis from teacher labels.

    python -m dubkit.training.lab.fit_mouth_shape LABELS CLIPS_CSV dubkit/weights/mouth_shape.safetensors

Moving landmarks of each training clip, centered on the clip, are explained by head pose (a cubic), by mouth
opening and by mouth width; what the pose explains is the pose correction. A PCA of the rest, lips weighing
more, is the basis. Clips weigh by the root of their length; 25 clips of the one GRID speaker are enough.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from dubkit.faces import align, landmark_layout
from dubkit.lips.mouth_shape import pose_features
from dubkit.training.lab.pose import Template, fit_template, rotation_angles

COEFFICIENTS = 12
LIP_WEIGHT, INNER_WEIGHT = 2.0, 3.0
GRID_CLIPS = 25
PORTRAITS = 600


def faces_of(label: Path) -> np.ndarray:
    """(T, L, 3) teacher landmarks of the frames that have a face."""
    points = np.load(label)["points"][:, landmark_layout.MESH]
    return np.asarray(points[np.isfinite(points).all((1, 2))])


def train_clips(table: Path) -> list[str]:
    """Names of the clips that may be trained on and shipped, few of the one GRID speaker."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "train" and r["ship"] == "yes"]
    names = [r["file"].rsplit(".", 1)[0] for r in rows]
    grid = [n for n in names if n.startswith("grid_s1/")]
    return [n for n in names if not n.startswith("grid_s1/")] + grid[
        :: max(1, len(grid) // GRID_CLIPS)
    ]


def clip_rows(label: Path, template: Template) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centered explanatory rows (T, F + 2) and moving points (T, 2M) of a clip, both weighted; weights (T,)."""
    faces = faces_of(label)
    canonical = np.stack(
        [align.apply(align.canonical_from_face(f[:, :2]), f[:, :2]) for f in faces]
    )
    pose = np.stack([rotation_angles(f, template) for f in faces]).astype(np.float32)
    opening = (
        canonical[:, landmark_layout.INNER_BOTTOM, 1] - canonical[:, landmark_layout.INNER_TOP, 1]
    )
    width = (
        canonical[:, landmark_layout.MOUTH_RIGHT, 0] - canonical[:, landmark_layout.MOUTH_LEFT, 0]
    )
    causes = np.concatenate([pose_features(pose), opening[:, None], width[:, None]], 1)
    moving = canonical[:, landmark_layout.MOVING].reshape(len(faces), -1)
    weight = len(faces) ** -0.25
    weights = np.full(len(faces), weight)
    return (causes - causes.mean(0)) * weight, (moving - moving.mean(0)) * weight, weights


def learn(causes: np.ndarray, moving: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The three matrices of `lips.mouth_shape.Basis`."""
    ridge = 1e-3 * np.eye(causes.shape[1])
    effect = np.linalg.solve(causes.T @ causes + ridge, causes.T @ moving)[:7]
    rest = moving - causes[:, :7] @ effect
    importance = np.ones(len(landmark_layout.MOVING))
    importance[np.isin(landmark_layout.MOVING, landmark_layout.LIPS)] = LIP_WEIGHT
    importance[np.isin(landmark_layout.MOVING, landmark_layout.LIPS_INNER)] = INNER_WEIGHT
    metric = np.repeat(importance, 2)
    _, values, vectors = np.linalg.svd(rest * metric, full_matrices=False)
    spread = values[:COEFFICIENTS] / np.sqrt((weights**2).sum())
    kept = (values[:COEFFICIENTS] ** 2).sum() / (values**2).sum()
    sys.stderr.write(f"variance kept by {COEFFICIENTS} coefficients: {kept:.4f}\n")
    vectors = vectors[:COEFFICIENTS]
    return {
        "decode": np.asarray(spread[:, None] * vectors / metric, np.float32),
        "encode": np.ascontiguousarray(np.float32((vectors * metric / spread[:, None]).T)),
        "pose": np.asarray(effect, np.float32),
    }


def main() -> None:
    """Learn and save."""
    labels, table, target = (Path(a) for a in sys.argv[1:4])
    portraits = sorted((labels / "portraits").glob("*.npz"))[:PORTRAITS]
    template = fit_template(np.concatenate([faces_of(p) for p in portraits]))
    pairs = [clip_rows(labels / f"{name}.npz", template) for name in train_clips(table)]
    save_file(learn(*(np.concatenate(part) for part in zip(*pairs, strict=True))), target)


if __name__ == "__main__":
    main()
