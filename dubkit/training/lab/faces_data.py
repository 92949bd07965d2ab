"""Gather the teacher's labels into two compact sets that training reads from memory.

    python -m dubkit.training.lab.faces_data DATA LABELS OUT [--backgrounds FOLDER]

DATA holds the clips with ``clips.csv`` (file, set, person, split, ship), LABELS what
`dubkit.training.lab.teacher` wrote. Only ``ship=yes`` clips are read. OUT gets

- ``crops.npy`` (N, 224, 224, 3) uint8, wide canonical crops, and ``crops.npz`` with their landmarks
  (in crop pixels), pose, person and split: for the landmarker,
- ``pictures.npy`` (bytes) and ``pictures.npz``, whole pictures with the landmarks of their one
  face, and pictures that hold none: for the detector.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.errors import InputError
from dubkit.faces import align, landmark_layout
from dubkit.records import Floats
from dubkit.training.lab.pose import Template, fit_template, rotation_angles

Picture = NDArray[np.uint8]

CROP = 224
MARGIN = 1.6  # side of the prepared crop over the side of the canonical one
PER_CLIP = {"grid_s1": 4, "grid_other": 60, "usgov": 350, "hdtf": 200, "webcam": 250}
PER_CLIP_PICTURES = {"grid_s1": 1, "grid_other": 8, "usgov": 40, "hdtf": 30, "webcam": 40}
LONG_SIDE = 480


@dataclass(frozen=True, slots=True)
class Labelled:
    """One picture with one labelled face."""

    picture: Picture  # (H, W, 3) RGB
    points: Floats  # (478, 3) FaceMesh, pixels
    group: str  # data set
    person: str
    validation: bool


def labelled_clips(data: Path, labels: Path) -> Iterator[Labelled]:
    """Frames of the clips that may be used, spread evenly over each clip; val clips too."""
    with (data / "clips.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["ship"] == "yes"]
    for row in rows:
        path = labels / Path(row["file"]).with_suffix(".npz")
        if row["set"] == "portraits" or row["split"] == "test" or not path.is_file():
            continue
        points = np.load(path)["points"]
        wanted = PER_CLIP[row["set"]] if row["split"] == "train" else min(PER_CLIP[row["set"]], 40)
        keep = set(np.linspace(0, len(points) - 1, min(wanted, len(points))).astype(int).tolist())
        with av.open(str(data / row["file"])) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index in keep and np.isfinite(points[index]).all():
                    picture = frame.to_ndarray(format="rgb24")
                    validation = row["split"] == "val"
                    yield Labelled(picture, points[index], row["set"], row["person"], validation)


def labelled_portraits(data: Path, labels: Path) -> Iterator[Labelled]:
    """All portraits that the teacher accepts; every tenth is for validation."""
    for number, path in enumerate(sorted((data / "portraits").glob("*.jpg"))):
        label = labels / "portraits" / f"{path.stem}.npz"
        if not label.is_file():
            continue
        points = np.load(label)["points"][0]
        if np.isfinite(points).all():
            yield Labelled(read_still(path), points, "portraits", path.stem, number % 10 == 9)


def read_still(path: Path) -> Picture:
    """A picture file as RGB."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"{path} is not a picture that can be read")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def wide_crop(item: Labelled) -> tuple[Picture, Floats]:
    """The wide canonical crop and the landmarks in it."""
    flat = item.points[landmark_layout.MESH, :2]
    canonical = align.canonical_from_face(flat)
    matrix = align.compose(wide_from_canonical(), canonical)
    flags = cv2.INTER_AREA if align.scale_of(matrix) < 0.6 else cv2.INTER_LINEAR
    crop = cv2.warpAffine(item.picture, matrix, (CROP, CROP), flags=flags)
    return crop.astype(np.uint8), align.apply(matrix, flat)


def wide_from_canonical() -> align.Matrix:
    """As `align.crop_from_canonical`, with the margin that augmentation needs."""
    matrix = align.crop_from_canonical(CROP)
    middle = CROP / 2 - 0.5
    return np.hstack([matrix[:, :2] / MARGIN, (matrix[:, 2:] - middle) / MARGIN + middle])


def angles_in_crop(item: Labelled, template: Template) -> Floats:
    """Yaw, pitch and roll against the axes of the canonical crop."""
    canonical = align.canonical_from_face(item.points[landmark_layout.MESH, :2])
    turn = np.degrees(np.arctan2(canonical[1, 0], canonical[0, 0]))
    yaw, pitch, roll = rotation_angles(item.points[landmark_layout.MESH], template)
    return np.array([yaw, pitch, roll + turn], np.float32)


class PictureStore:
    """Pictures of different sizes in one flat byte array."""

    def __init__(self) -> None:
        self.blobs: list[NDArray[np.uint8]] = []
        self.shapes: list[tuple[int, int]] = []
        self.landmarks: list[Floats] = []
        self.validation: list[bool] = []

    def add(self, picture: Picture, landmarks: Floats | None, validation: bool) -> None:
        """Keep a picture, scaled down to the long side; ``landmarks`` None: it holds no face."""
        scale = min(1.0, LONG_SIDE / max(picture.shape[:2]))
        if scale < 1:
            size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        nothing = np.full((landmark_layout.COUNT, 2), np.nan, np.float32)
        self.blobs.append(np.ascontiguousarray(picture).ravel())
        self.shapes.append((picture.shape[0], picture.shape[1]))
        self.landmarks.append(nothing if landmarks is None else landmarks * scale)
        self.validation.append(validation)

    def save(self, out: Path) -> None:
        """Write ``pictures.npy`` and its index."""
        offsets = np.cumsum([0] + [len(b) for b in self.blobs])
        np.save(out / "pictures.npy", np.concatenate(self.blobs))
        np.savez(
            out / "pictures.npz",
            offsets=offsets,
            shapes=np.array(self.shapes),
            landmarks=np.stack(self.landmarks).astype(np.float32),
            validation=np.array(self.validation),
        )


def add_backgrounds(store: PictureStore, folder: Path) -> None:
    """Pictures without faces; every eighth is for validation."""
    kinds = {".jpg", ".jpeg", ".png", ".webp"}
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in kinds)
    for number, path in enumerate(paths):
        picture = read_still(path)
        if min(picture.shape[:2]) >= 64:
            store.add(picture, None, number % 8 == 7)


def main() -> None:
    """Read everything once and write both sets."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("data", "labels", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--backgrounds", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    portraits = list(labelled_portraits(args.data, args.labels))
    template = fit_template(np.stack([p.points[landmark_layout.MESH] for p in portraits]))
    store, crops, rows = PictureStore(), [], []
    counts: dict[str, int] = {}
    clips = labelled_clips(args.data, args.labels)
    for item in (entry for source in (portraits, clips) for entry in source):
        crop, landmarks = wide_crop(item)
        crops.append(crop)
        rows.append((landmarks, angles_in_crop(item, template), item))
        seen = counts[item.person] = counts.get(item.person, 0) + 1
        step = PER_CLIP.get(item.group, 1) // PER_CLIP_PICTURES.get(item.group, 1)
        if seen % max(step, 1) == 0:
            store.add(item.picture, item.points[landmark_layout.MESH, :2], item.validation)
    if args.backgrounds:
        add_backgrounds(store, args.backgrounds)
    store.save(args.out)
    np.save(args.out / "crops.npy", np.stack(crops))
    np.savez(
        args.out / "crops.npz",
        landmarks=np.stack([r[0] for r in rows]),
        pose=np.stack([r[1] for r in rows]),
        group=np.array([r[2].group for r in rows]),
        person=np.array([r[2].person for r in rows]),
        validation=np.array([r[2].validation for r in rows]),
    )


if __name__ == "__main__":
    main()
