"""Make ``weights/mean_face.safetensors``: the canonical mean of teacher landmarks.

    python -m dubkit.training.lab.fit_mean_face LABELS CLIPS_CSV dubkit/weights/mean_face.safetensors

Labels of clips that CLIPS_CSV does not give for training and shipping are passed over; stills count.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from dubkit.faces import align, landmark_layout


def mean_of(faces: np.ndarray) -> np.ndarray:
    """Generalized Procrustes on the stable points, (N, L, 2) -> (L, 2), eyes at distance 1 around 0; symmetric."""
    mean = faces[0]
    for _ in range(5):
        moved = np.stack(
            [
                align.apply(
                    align.similarity(f[landmark_layout.STABLE], mean[landmark_layout.STABLE]), f
                )
                for f in faces
            ]
        )
        mean = np.median(moved, 0)
        mean = (
            mean
            + mean[landmark_layout.MIRROR] * (-1, 1)
            + (2 * mean[landmark_layout.NOSE_BRIDGE, 0].mean(), 0)
        ) / 2
        eyes = align.eye_centers(mean.astype(np.float32))
        mean = (mean - eyes.mean(0)) / np.linalg.norm(eyes[1] - eyes[0])
    return np.asarray(mean, np.float32)


def main() -> None:
    """Read all labels, one face a file, and write the template."""
    labels, table, target = (Path(a) for a in sys.argv[1:4])
    with table.open(encoding="utf-8", newline="") as file:
        kept_out = {
            r["file"].rsplit(".", 1)[0]
            for r in csv.DictReader(file)
            if (r["split"], r["ship"]) != ("train", "yes")
        }
    rows = []
    for path in sorted(labels.rglob("*.npz")):
        if path.relative_to(labels).with_suffix("").as_posix() in kept_out:
            continue
        points = np.load(path)["points"]
        points = points[np.isfinite(points).all((1, 2))]
        if len(points):
            rows.append(points[len(points) // 2, landmark_layout.MESH, :2])
    save_file({"mean_face": mean_of(np.stack(rows))}, target)


if __name__ == "__main__":
    main()
