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
from dubkit.training.lab import augment
from dubkit.training.lab.augment import BLENDED, transplant
from dubkit.training.lab.other_mouths import Speaker, reshape
from dubkit.training.lab.pose import Template, fit_template, rotation_angles

Picture = NDArray[np.uint8]

CROP = 224
MARGIN = 1.6  # side of the prepared crop over the side of the canonical one
PER_CLIP = {
    "grid_s1": 12, "grid_other": 60, "grid_more": 40, "usgov": 350, "hdtf": 200, "hdtf_more": 50,
    "webcam": 250, "actors_mit": 60, "silent_gov": 250,
}  # fmt: skip
PER_CLIP_PICTURES = {
    "grid_s1": 1, "grid_other": 8, "grid_more": 4, "usgov": 40, "hdtf": 30, "hdtf_more": 8,
    "webcam": 40, "actors_mit": 8, "silent_gov": 40,
}  # fmt: skip
LONG_SIDE = 480


@dataclass(frozen=True, slots=True)
class Labeled:
    """One picture with one labeled face."""

    picture: Picture  # (H, W, 3) RGB
    points: Floats  # (478, 3) FaceMesh, pixels
    group: str  # data set
    person: str
    validation: bool


def labeled_clips(data: Path, labels: Path) -> Iterator[Labeled]:
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
                    picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                    validation = row["split"] == "val"
                    yield Labeled(picture, points[index], row["set"], row["person"], validation)


def labeled_portraits(data: Path, labels: Path) -> Iterator[Labeled]:
    """All portraits that the teacher accepts; every tenth is for validation."""
    for number, path in enumerate(sorted((data / "portraits").glob("*.jpg"))):
        label = labels / "portraits" / f"{path.stem}.npz"
        if not label.is_file():
            continue
        points = np.load(label)["points"][0]
        if np.isfinite(points).all():
            yield Labeled(read_still(path), points, "portraits", path.stem, number % 10 == 9)


def read_still(path: Path) -> Picture:
    """A picture file as RGB."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"{path} is not a picture that can be read")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def wide_crop(item: Labeled) -> tuple[Picture, Floats]:
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


def angles_in_crop(item: Labeled, template: Template) -> Floats:
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
    portraits = list(labeled_portraits(args.data, args.labels))
    template = fit_template(np.stack([p.points[landmark_layout.MESH] for p in portraits]))
    store, crops, rows = PictureStore(), [], []
    counts: dict[str, int] = {}
    clips = labeled_clips(args.data, args.labels)
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


# share of each data set in a training batch
SHARE = {
    "portraits": 0.45, "hdtf": 0.17, "usgov": 0.08, "grid_s1": 0.05, "grid_other": 0.03, "grid_more": 0.05,
    "webcam": 0.06, "actors_mit": 0.05, "silent_gov": 0.05, "hdtf_more": 0.01,
}  # fmt: skip


_OTHER_MOUTH, _OTHER_SHAPE = 0.25, 0.4  # shares of crops
_TALKS = 20  # crops of a person from which on their mouth is seen to move


@dataclass(frozen=True, slots=True)
class PlainCrops:
    """Crops exactly as an ideal tracker would cut them."""

    crops: NDArray[np.uint8]  # (N, S, S, 3)
    landmarks: Floats  # (N, L, 2) crop pixels
    pose: Floats  # (N, 3)
    group: NDArray[np.str_]
    eyes: Floats  # (N,) distance of the eye centers, pixels


@dataclass(frozen=True, slots=True)
class Drawn:
    """One random crop with a face and what is known of it."""

    crop: Picture  # (S, S, 3)
    landmarks: Floats  # (L, 2) crop pixels
    pose: Floats  # (3,)
    known: Floats  # (L,) 1 where the landmark is true, else 0


class CropSet:
    """The training or the validation rows of ``crops.npy``."""

    def __init__(self, folder: Path, validation: bool) -> None:
        table = np.load(folder / "crops.npz")
        rows = np.flatnonzero(table["validation"] == validation)
        self.crops = np.load(folder / "crops.npy", mmap_mode="r")[rows]
        self.landmarks, self.pose = table["landmarks"][rows], table["pose"][rows]
        self.group, self.person = table["group"][rows], table["person"][rows]

    def __len__(self) -> int:
        return len(self.crops)

    def plain(self, size: int) -> PlainCrops:
        """Every row without augmentation."""
        wide = wide_from_canonical()
        matrix = align.compose(wide, align.invert(align.crop_from_canonical(size)))
        crops = np.stack([augment.sample(crop, matrix, size, None) for crop in self.crops])
        landmarks = align.apply(align.invert(matrix), self.landmarks)
        centers = align.eye_centers(landmarks)
        eyes = np.linalg.norm(centers[:, 1] - centers[:, 0], axis=1)
        return PlainCrops(crops, landmarks, self.pose, self.group, eyes)


class CropSource:
    """Draws augmented crops that hold a face."""

    def __init__(self, rows: CropSet) -> None:
        self.rows = rows
        weights = np.array([SHARE[group] for group in rows.group])
        for group in SHARE:
            weights[rows.group == group] /= max(1, int((rows.group == group).sum()))
        top, bottom = (
            rows.landmarks[:, landmark_layout.INNER_TOP],
            rows.landmarks[:, landmark_layout.INNER_BOTTOM],
        )
        opening = (bottom - top)[:, 1] / np.ptp(rows.landmarks[..., 0], axis=1)
        # turned heads and open mouths are rare and matter
        weights *= (1 + np.abs(rows.pose[:, 0]) / 15) * (1 + 25 * np.clip(opening, 0, 0.2))
        self.cumulative = np.cumsum(weights / weights.sum())
        donors = (0.02 + np.clip(opening, 0, 0.2)) * np.where(rows.group == "portraits", 0.15, 1)
        for person in np.unique(rows.person[rows.group != "portraits"]):
            donors[rows.person == person] /= float((rows.person == person).sum())
        donors[rows.group == "portraits"] /= float((rows.group == "portraits").sum()) / 15
        self.donors = np.cumsum(donors / donors.sum())
        talking = [p for p in np.unique(rows.person) if (rows.person == p).sum() >= _TALKS]
        self.speakers = [
            Speaker(np.flatnonzero(rows.person == person), opening[rows.person == person])
            for person in talking
        ]

    def other_mouth(self, rng: augment.Random, row: int) -> tuple[Picture, Floats]:
        """The wide crop of a row with the mouth of a face that looks about the same way."""
        picture, points = self.rows.crops[row], self.rows.landmarks[row]
        for _ in range(6):
            donor = min(int(np.searchsorted(self.donors, rng.random())), len(self.rows) - 1)
            if np.abs(self.rows.pose[donor, :2] - self.rows.pose[row, :2]).max() < 9:
                scale = float(np.exp(rng.normal(0, 0.08)))
                mouth = (self.rows.crops[donor], self.rows.landmarks[donor])
                return transplant(picture, points, *mouth, scale)
        return picture, points

    def other_shape(self, rng: augment.Random, row: int) -> tuple[Picture, Floats]:
        """The wide crop of a row whose own mouth is opened, shut or spread as somebody's was between two frames."""
        speaker = self.speakers[int(rng.integers(len(self.speakers)))]
        pose = self.rows.pose[row]
        for _ in range(6):
            start, end = speaker.draw(rng)
            if np.abs(self.rows.pose[end, :2] - pose[:2]).max() < 15:
                faces = [(self.rows.landmarks[k], self.rows.pose[k]) for k in (start, end)]
                own = (self.rows.crops[row], self.rows.landmarks[row], pose)
                return reshape(
                    rng, own, faces[0], faces[1], self.rows.crops[end], wide_from_canonical()
                )
        return self.rows.crops[row], self.rows.landmarks[row]

    def face(self, rng: augment.Random, size: int) -> Drawn:
        """A random crop that holds a face."""
        row = min(int(np.searchsorted(self.cumulative, rng.random())), len(self.rows) - 1)
        picture, points = self.rows.crops[row], self.rows.landmarks[row]
        pose, known = self.rows.pose[row], np.ones(landmark_layout.COUNT, np.float32)
        chance = rng.random()
        if chance < _OTHER_MOUTH:
            picture, points = self.other_mouth(rng, row)
            known[BLENDED] = 0
        elif chance < _OTHER_MOUTH + _OTHER_SHAPE and self.speakers:
            picture, points = self.other_shape(rng, row)
        return vary(rng, (picture, points), pose, known, size)


def vary(
    rng: augment.Random, wide: tuple[Picture, Floats], pose: Floats, known: Floats, size: int
) -> Drawn:
    """A crop of ``size`` pixels as a tracker that is a little off would cut it, in other light and quality.

    ``wide`` is a wide crop with its landmarks, ``pose`` (3,) and ``known`` (L,) are what is true of it.
    """
    picture, points = wide
    pose = pose.copy()
    if rng.random() < 0.5:
        picture = cv2.flip(picture, 1).astype(np.uint8, copy=False)
        known = known[landmark_layout.MIRROR]
        points = points[landmark_layout.MIRROR] * (-1, 1) + (picture.shape[1] - 1, 0)
        pose *= (-1, 1, -1)
    placed, turn = placement(rng, size)
    matrix = align.compose(wide_from_canonical(), align.invert(placed))
    points = align.apply(align.invert(matrix), points)
    ripple, unit = None, size / align.CROP_SIDE
    if rng.random() < 0.5:
        anchors = points[landmark_layout.MOVING] if rng.random() < 0.8 else points
        ripple = augment.random_ripple(rng, anchors, unit, 0.2)
        points = ripple.undo(points)
    crop = augment.relight(rng, augment.sample(picture, matrix, size, ripple))
    if rng.random() < 0.3:
        crop = augment.shade(rng, crop)
    if rng.random() < 0.12:
        middle, low, high = points.mean(0), points.min(0), points.max(0)
        if np.isfinite(middle).all():
            crop = augment.occlude(rng, crop, (low[0], low[1], high[0], high[1]))
    pose[2] += turn
    return Drawn(augment.degrade(rng, crop), points, pose.astype(np.float32), known)


def placement(rng: augment.Random, size: int) -> tuple[align.Matrix, float]:
    """``crop_from_canonical`` as a tracker that is a little off would have it, and its turn in
    degrees.
    """
    wild = rng.random() < 0.4
    spread = 2.0 if wild else 1.0
    turn = float(np.clip(rng.normal(0, 6 * spread), -28, 28))
    scale = float(np.exp(np.clip(rng.normal(0, 0.05 * spread), -0.22, 0.22)))
    shift = np.clip(rng.normal(0, 0.025 * spread, 2), -0.12, 0.12) * size
    angle, middle = np.radians(turn), size / 2 - 0.5
    spin = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    move = np.hstack([spin, (middle + shift - spin @ (middle, middle))[:, None]])
    return align.compose(move, align.crop_from_canonical(size)), turn


class PictureSource:
    """Draws crops that hold no face, or one so misplaced that a tracker must let go."""

    def __init__(self, folder: Path, validation: bool = False) -> None:
        table = np.load(folder / "pictures.npz")
        self.bytes = np.load(folder / "pictures.npy", mmap_mode="r")
        self.rows = np.flatnonzero(table["validation"] == validation)
        self.offsets, self.shapes = table["offsets"], table["shapes"]
        self.landmarks = table["landmarks"]
        hard = folder / "hard.npy"  # what an earlier detector took for faces, see `mine`
        nothing = np.empty((0, 128, 128, 3), np.uint8)
        self.hard: NDArray[np.uint8] = np.load(hard) if hard.is_file() else nothing
        self.empty = np.array([r for r in self.rows if np.isnan(self.landmarks[r, 0, 0])])

    def picture(self, row: int) -> Picture:
        """One whole picture."""
        height, width = self.shapes[row]
        flat = self.bytes[self.offsets[row] : self.offsets[row + 1]]
        return np.asarray(flat).reshape(height, width, 3)

    def mistaken(self, rng: augment.Random, size: int) -> Picture:
        """What a detector once took for a face, placed about as it then would be."""
        patch = self.hard[int(rng.integers(len(self.hard)))]
        placed, _ = placement(rng, size)
        wide = align.crop_from_canonical(patch.shape[0])
        crop = augment.sample(patch, align.compose(wide, align.invert(placed)), size, None)
        return augment.degrade(rng, augment.relight(rng, crop))

    def background(self, rng: augment.Random, size: int) -> Picture:
        """A crop without a rightly placed face."""
        share = rng.random()
        if len(self.hard) and share > 0.6:
            return self.mistaken(rng, size)
        row = int(rng.choice(self.empty if share < 0.3 else self.rows))
        picture, points = self.picture(row), self.landmarks[row]
        height, width = picture.shape[:2]
        while True:
            side = float(np.exp(rng.uniform(np.log(24), np.log(max(height, width)))))
            center = rng.uniform((0, 0), (width, height))
            if np.isnan(points[0, 0]) or _misplaced(points, center, side):
                break
        scale, angle = side / size, rng.normal(0, 0.3)
        spin = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = size / 2 - 0.5
        matrix = np.hstack([spin, (center - spin @ (middle, middle))[:, None]])
        if scale > 2:
            blur = cv2.GaussianBlur(picture, (0, 0), scale / 3)
            picture = blur.astype(np.uint8, copy=False)
        crop = augment.sample(picture, matrix, size, None)
        return augment.degrade(rng, augment.relight(rng, crop))


def _misplaced(points: Floats, center: NDArray[np.floating], side: float) -> bool:
    """Whether a window is too far from the face's canonical crop, or of another size altogether."""
    face = align.invert(align.canonical_from_face(points))
    right = align.CROP_SIDE * align.scale_of(face)
    middle = align.apply(face, np.array(align.CROP_CENTER))
    far = float(np.hypot(*(center - middle))) / max(right, side)
    return far > 0.38 or not 0.48 < side / right < 2.1


if __name__ == "__main__":
    main()
