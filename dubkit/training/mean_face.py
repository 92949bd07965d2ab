"""Make ``weights/mean_face.safetensors``: the canonical mean of teacher landmarks.

python -m dubkit.training.mean_face LABELS dubkit/weights/mean_face.safetensors
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from dubkit.faces import layout
from dubkit.faces.align import apply, eye_centres, similarity


def mean_of(faces: np.ndarray) -> np.ndarray:
    """Generalised Procrustes on the stable points, (N, L, 2) -> (L, 2), eyes at distance 1 around 0; symmetric."""
    mean = faces[0]
    for _ in range(5):
        moved = np.stack(
            [apply(similarity(f[layout.STABLE], mean[layout.STABLE]), f) for f in faces]
        )
        mean = np.median(moved, 0)
        mean = (
            mean + mean[layout.MIRROR] * (-1, 1) + (2 * mean[layout.NOSE_BRIDGE, 0].mean(), 0)
        ) / 2
        eyes = eye_centres(mean.astype(np.float32))
        mean = (mean - eyes.mean(0)) / np.linalg.norm(eyes[1] - eyes[0])
    return np.asarray(mean, np.float32)


def main() -> None:
    """Read all labels, one face a file, and write the template."""
    rows = []
    for path in sorted(Path(sys.argv[1]).rglob("*.npz")):
        points = np.load(path)["points"]
        points = points[np.isfinite(points).all((1, 2))]
        if len(points):
            rows.append(points[len(points) // 2, layout.MESH, :2])
    save_file({"mean_face": mean_of(np.stack(rows))}, sys.argv[2])


if __name__ == "__main__":
    main()
