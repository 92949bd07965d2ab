"""RetinaFace and the embedded face engine side by side, on clips and against labels from outside.

    python tests/benchmarks/compare_detectors.py WEIGHTS CLIPS LABELS [--every 5] [--resnet]

LABELS are what ``dubkit/training/lab/teacher.py CLIPS LABELS`` (mediapipe) made of the clips; pictures in which it
finds no face are left out. Reported for each engine: the share of those pictures in which the face is found (a
detection over 0.5 that shares 0.35 of the box around the labels), detections beside it, the mean distance of the five
points to the labels' as a part of the eyes' distance, and processor time a picture on one core. The points have other
places by definition in part (an iris is no eye center of a turned face), so the distance between the engines is
reported as well.
``--resnet`` adds the time of the ResNet-50 with random weights.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dubkit.config.schema import FaceSettings
from dubkit.engines.base import FaceDetector
from dubkit.engines.registry import load_engine
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from dubkit.records import Detection, Picture

# mediapipe: irises, tip of the nose, corners of the mouth; left to right in the picture
FIVE = (468, 473, 1, 61, 291)
SAME = 0.35  # intersection over union of a face's box with the labels', which end at the brows
Points = NDArray[np.float64]


def pictures(clips: Path, labels: Path, every: int) -> Iterator[tuple[Picture, Points]]:
    """Every ``every``-th picture that has a labeled face, and its 478 points."""
    for path in sorted(labels.rglob("*.npz")):
        clip = (clips / path.relative_to(labels)).with_suffix(".mp4").resolve()
        with np.load(path) as stored:
            points = stored["points"][..., :2]
        info, pts = probe(clip)
        for number, frame in enumerate(FrameReader(clip, info, pts).read(0, info.frames)):
            if number % every == 0 and number < len(points) and np.isfinite(points[number]).all():
                yield frame.picture(max(info.width, info.height)), points[number].astype(np.float64)


def share(box: tuple[float, float, float, float], points: Points) -> float:
    """Intersection over union with the box around the labels."""
    low, high = points.min(0), points.max(0)
    width, height = np.minimum(box[2:], high) - np.maximum(box[:2], low)
    if min(width, height) <= 0:
        return 0.0
    area = (box[2] - box[0]) * (box[3] - box[1]) + float(np.prod(high - low))
    return float(width * height / (area - width * height))


def look(engine: FaceDetector, seen: list[tuple[Picture, Points]]) -> list[Detection | None]:
    """What an engine makes of the pictures, told on stdout; the labeled face of each."""
    found: list[Detection | None] = []
    beside, spent, distances = 0, [], []
    engine.detect(seen[0][0])
    for picture, points in seen:
        began = time.process_time()
        faces = engine.detect(picture)
        spent.append(time.process_time() - began)
        best = max(faces, key=lambda face: share(face.box, points), default=None)
        if best is not None and share(best.box, points) < SAME:
            best = None
        found.append(best)
        beside += len(faces) - (best is not None)
        if best is not None:
            true = points[list(FIVE)]
            eyes = float(np.linalg.norm(true[1] - true[0]))
            distances.append(float(np.linalg.norm(best.points - true, axis=1).mean()) / eyes)
    there = sum(face is not None for face in found)
    sys.stdout.write(
        f"{engine.name}: {there} of {len(seen)} faces ({there / len(seen):.2%}), {beside} beside them, "
        f"five points {np.mean(distances):.1%} of the eyes' distance from the labels "
        f"(median {np.median(distances):.1%}), {1e3 * np.median(spent):.0f} ms a picture\n"
    )
    sys.stdout.flush()
    return found


def between(a: list[Detection | None], b: list[Detection | None]) -> float:
    """The mean distance of the five points of two engines, as a part of the eyes' distance."""
    pairs = [(x.points, y.points) for x, y in zip(a, b, strict=True) if x and y]
    return float(
        np.mean(
            [np.linalg.norm(x - y, axis=1).mean() / np.linalg.norm(x[1] - x[0]) for x, y in pairs]
        )
    )


def random_resnet(folder: Path) -> Path:
    """Weights of the large network that know nothing: as fast as others."""
    from dubkit.faces.retinaface_net import RESNET

    path = folder / "random.pth"
    torch.save(RESNET.network().state_dict(), path)
    return path


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("weights", "clips", "labels"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--resnet", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    seen = list(pictures(args.clips, args.labels, args.every))
    settings = FaceSettings(weights=str(args.weights))
    engines: list[Any] = [
        load_engine("detector", name, settings) for name in ("embedded", "retinaface")
    ]
    found = [look(engine, seen) for engine in engines]
    sys.stdout.write(f"between the two: {between(*found):.1%} of the eyes' distance\n")
    if args.resnet:
        with TemporaryDirectory() as folder:
            path = random_resnet(Path(folder))
            large = load_engine("detector", "retinaface", FaceSettings(weights=str(path)))
            spent = []
            for picture, _ in seen[:8]:
                began = time.process_time()
                large.detect(picture)
                spent.append(time.process_time() - began)
        sys.stdout.write(f"ResNet-50, random weights: {1e3 * np.median(spent):.0f} ms a picture\n")


if __name__ == "__main__":
    main()
