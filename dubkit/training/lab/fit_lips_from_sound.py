"""Make ``weights/lips_from_sound.safetensors``: ridge regression from sound to lip motion.

    python -m dubkit.training.lab.fit_lips_from_sound DATA LABELS dubkit/weights/lips_from_sound.safetensors

Only clips with ``split=train`` and ``ship=yes`` are used; clips of one man who fills a set count less.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from dubkit.faces import landmark_layout, lips_from_sound
from dubkit.media.audio import load_samples

RIDGE = 300.0
WEIGHT = {"grid_s1": 0.3, "usgov": 1.0}
OTHERS = 2.0


def pairs(
    data: Path, labels: Path, split: str
) -> Iterator[tuple[str, lips_from_sound.Series, lips_from_sound.Series, float]]:
    """Set, sound features, mouth motion and frame rate of every clip that may be used."""
    with (data / "clips.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["ship"] == "yes" and r["split"] == split]
    for row in rows:
        path = labels / Path(row["file"]).with_suffix(".npz")
        if not path.is_file():
            continue
        label = np.load(path)
        points = label["points"][:, landmark_layout.MESH, :2].astype(np.float32)
        if np.isfinite(points[:, 0, 0]).mean() < 0.98:
            continue
        times = label["pts"] - label["pts"][0]
        rate = float(1 / np.median(np.diff(times)))
        sound = lips_from_sound.sound_features(load_samples(data / row["file"]), times)
        yield row["set"], sound, lips_from_sound.mouth_motion(points), rate


def fit(data: Path, labels: Path) -> lips_from_sound.Series:
    """The ridge regression, (features, 3)."""
    gram: lips_from_sound.Series | None = None
    cross: lips_from_sound.Series | None = None
    for group, sound, motion, rate in pairs(data, labels, "train"):
        x = lips_from_sound.without_slow(sound, rate)
        y = lips_from_sound.without_slow(motion, rate)
        y /= y.std(0) + 1e-6
        weight = WEIGHT.get(group, OTHERS)
        gram = weight * x.T @ x + (0.0 if gram is None else gram)
        cross = weight * x.T @ y + (0.0 if cross is None else cross)
    if gram is None or cross is None:
        raise SystemExit("no clip with labels was found")
    return np.asarray(np.linalg.solve(gram + RIDGE * np.eye(len(gram)), cross))


def main() -> None:
    """Fit and write the map."""
    weights = fit(Path(sys.argv[1]), Path(sys.argv[2])).astype(np.float32)
    save_file({"lips_from_sound": np.ascontiguousarray(weights)}, sys.argv[3])


if __name__ == "__main__":
    main()
