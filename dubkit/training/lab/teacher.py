"""Label talking-face clips and portraits with an outside teacher (mediapipe FaceMesh).

A stand-alone script for a venv of its own, because mediapipe needs numpy < 2 and must never become a
dependency of dubkit:

    python -m venv teacher && teacher/bin/pip install mediapipe==0.10.21 av
    teacher/bin/python dubkit/training/lab/teacher.py DATA LABELS

For every video or picture ``DATA/a/b.mp4`` it writes ``LABELS/a/b.npz`` with

- ``points`` (T, 478, 3) float32, x and y in pixels of the upright decoded frame, z in the same unit;
  NaN in frames where the teacher finds no face,
- ``size`` (2,) int32, width and height, ``pts`` (T,) float64, seconds.

Files already labeled are left alone, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import av
import mediapipe as mp
import numpy as np

VIDEO = {".mp4", ".mpg", ".mov", ".mkv", ".avi", ".webm"}
STILL = {".jpg", ".jpeg", ".png"}


def label(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Teacher landmarks of every frame of one file (one face), times, and picture size."""
    still = path.suffix.lower() in STILL
    mesh = mp.solutions.face_mesh.FaceMesh(
        static_image_mode=still,
        max_num_faces=1,
        refine_landmarks=True,
        min_detection_confidence=0.5,
        min_tracking_confidence=0.5,
    )
    points, times, size = [], [], (0, 0)
    with mesh, av.open(str(path)) as container:
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="rgb24")
            size = (frame.width, frame.height)
            found = mesh.process(image).multi_face_landmarks
            row = np.full((478, 3), np.nan, np.float32)
            if found:
                row[:] = [(p.x, p.y, p.z) for p in found[0].landmark]
                row *= (frame.width, frame.height, frame.width)
            points.append(row)
            times.append(float(frame.time or 0.0))
    return np.stack(points), np.asarray(times), np.asarray(size, np.int32)


def main() -> None:
    """Label every file under DATA whose label is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("labels", type=Path)
    args = parser.parse_args()
    files = sorted(p for p in args.data.rglob("*") if p.suffix.lower() in VIDEO | STILL)
    for number, path in enumerate(files, 1):
        target = (args.labels / path.relative_to(args.data)).with_suffix(".npz")
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(".part")
        with scratch.open("wb") as file:
            points, pts, size = label(path)
            np.savez(file, points=points, pts=pts, size=size)
        scratch.replace(target)
        if number % 50 == 0:
            sys.stderr.write(f"{number}/{len(files)}\n")


if __name__ == "__main__":
    main()
