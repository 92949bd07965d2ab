"""Landmarks that a person corrected, and the crops to learn them from.

Beside a video NAME may lie ``NAME.landmarks.npz`` with ``frames`` (N,), numbers of its pictures, and ``landmarks``
(N, 189, 2), pixels of the upright picture in the order of `faces.landmark_layout`;
NaN marks a point that was not looked at.
The third unit of preparing cuts a wide canonical crop of each such frame and writes ``labels/NAME.npz``.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.errors import InputError, WorkError
from dubkit.faces import align, landmark_layout
from dubkit.media.frames import FrameReader
from dubkit.media.planes import rgb_crop
from dubkit.records import Floats
from dubkit.training.analyze import film
from dubkit.training.lab.faces_data import CROP, wide_from_canonical
from dubkit.work.store import open_arrays

MOST = 1500  # frames of one file that are kept, spread evenly


@dataclass(frozen=True, slots=True)
class LabelTask:
    """One file with corrected landmarks."""

    video: Path
    labels: Path
    name: str
    out: Path  # a scratch folder


@dataclass(frozen=True, slots=True)
class Gathered:
    """What became of a file's labels."""

    count: int = 0
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class LabeledCrops:
    """Corrected frames of one file; N of them."""

    crops: NDArray[np.uint8]  # (N, S, S, 3) wide canonical crops
    landmarks: Floats  # (N, L, 2) their pixels; NaN where unknown


def gather(task: LabelTask) -> Gathered:
    """Write the labeled crops of one file; what cannot be used is a result with the reason."""
    cv2.setNumThreads(1)
    try:
        frames, landmarks = read_labels(task.labels)
        info, pts = film(task.video)
        inside = (frames >= 0) & (frames < info.frames)
        if not inside.all():
            raise InputError(
                f"{task.labels.name} speaks of frame {int(frames[~inside][0])}, "
                f"the video has {info.frames}"
            )
        chosen = np.unique(np.linspace(0, len(frames) - 1, min(MOST, len(frames))).astype(int))
        frames, landmarks = frames[chosen], landmarks[chosen]
        crops = np.empty((len(frames), CROP, CROP, 3), np.uint8)
        moved = np.empty_like(landmarks)
        reader = FrameReader(task.video, info, pts, threads=1)
        wanted = {int(frame): row for row, frame in enumerate(frames)}
        for frame in reader.read(int(frames[0]), int(frames[-1]) + 1):
            row = wanted.get(frame.index)
            if row is not None:
                face = align.canonical_from_face(landmarks[row])
                matrix = align.compose(wide_from_canonical(), face)
                crops[row] = rgb_crop(frame, matrix, CROP)
                moved[row] = align.apply(matrix, landmarks[row])
    except InputError as error:
        return Gathered(refused=error.message.replace(str(task.video), "it"))
    task.out.mkdir(parents=True, exist_ok=True)
    with (task.out / f"{task.name}.npz").open("wb") as file:
        np.savez(file, crops=crops, landmarks=moved)
    return Gathered(len(frames))


def read_labels(path: Path) -> tuple[NDArray[np.int64], Floats]:
    """Frames (N,), rising, and landmarks (N, L, 2) of a file of corrections. Raises `InputError`."""
    try:
        with open_arrays(path) as stored:
            frames, landmarks = stored["frames"], stored["landmarks"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"the landmarks {path.name} cannot be read: wanted are arrays frames and landmarks"
        ) from error
    if (
        frames.ndim != 1
        or landmarks.shape != (len(frames), landmark_layout.COUNT, 2)
        or not len(frames)
    ):
        raise InputError(
            f"the landmarks {path.name} have shape {landmarks.shape}, not (N, {landmark_layout.COUNT}, 2) "
            "for N frames"
        )
    order = np.argsort(frames, kind="stable")
    numbers = np.asarray(frames[order], np.int64)
    points = np.asarray(landmarks[order], np.float32)
    stable = np.isfinite(points[:, landmark_layout.STABLE]).all((1, 2))
    first = np.concatenate([[True], np.diff(numbers) > 0])
    if not (stable & first).any():
        raise InputError(f"the landmarks {path.name} hold no frame with both eyes and the nose")
    return numbers[stable & first], points[stable & first]


def read_crops(path: Path) -> LabeledCrops:
    """What `gather` wrote. Raises `WorkError` where it is damaged."""
    try:
        with open_arrays(path) as stored:
            return LabeledCrops(stored["crops"], stored["landmarks"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WorkError(f"{path} is damaged: {error}", hint="prepare the set again") from error
