"""Make ``weights/mean_face.safetensors``: the canonical mean of teacher landmarks, and its depth.

    python -m dubkit.training.lab.fit_mean_face LABELS CLIPS_CSV dubkit/weights/mean_face.safetensors [--points FILE]

Labels of clips that CLIPS_CSV does not give for training and shipping are passed over; stills count. ``--points``
takes the points from an earlier file and fits the depth alone.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from dubkit.faces import align, landmark_layout
from dubkit.training.lab import pose


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


def depth_of(faces: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Median depth (L,) of (N, L, 3) faces brought to face the camera, in units of ``mean`` (L, 2); 0 in the mean of
    the stable points, negative toward the camera; symmetric.
    """
    template = pose.fit_template(faces)
    found = []
    for face in faces.astype(np.float64):
        front = pose.faced(face, template)
        scale = align.scale_of(
            align.similarity(front[landmark_layout.STABLE, :2], mean[landmark_layout.STABLE])
        )
        found.append((front[:, 2] - front[landmark_layout.STABLE, 2].mean()) * scale)
    depth = np.median(np.stack(found), 0)
    return np.asarray((depth + depth[landmark_layout.MIRROR]) / 2, np.float32)


def main() -> None:
    """Read all labels, one face a file, and write the template."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labels", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--points", type=Path)
    args = parser.parse_args()
    with args.table.open(encoding="utf-8", newline="") as file:
        kept_out = {
            r["file"].rsplit(".", 1)[0]
            for r in csv.DictReader(file)
            if (r["split"], r["ship"]) != ("train", "yes")
        }
    rows = []
    for path in sorted(args.labels.rglob("*.npz")):
        if path.relative_to(args.labels).with_suffix("").as_posix() in kept_out:
            continue
        points = np.load(path)["points"]
        points = points[np.isfinite(points).all((1, 2))]
        if len(points):
            rows.append(points[len(points) // 2, landmark_layout.MESH])
    faces = np.stack(rows)
    mean = load_file(args.points)["mean_face"] if args.points else mean_of(faces[..., :2])
    save_file({"mean_face": mean, "depth": depth_of(faces, mean)}, args.out)


if __name__ == "__main__":
    main()
