"""The clips that the SC net learns from, in memory, as the product sees film."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.errors import InputError
from dubkit.faces import align, borrow, unfold
from dubkit.lips import mesh_warp, references
from dubkit.records import Floats
from dubkit.training.dataset import CROP, PreparedSet


@dataclass(frozen=True, slots=True)
class Footage:
    """One clip in memory; T frames."""

    name: str
    person: str
    luma: NDArray[np.uint8]  # (T, CROP, CROP)
    chroma: NDArray[np.uint8]  # (T, 2, CROP / 2, CROP / 2)
    canonical: Floats  # (T, L, 2)
    features: Floats  # (T, F) mouth shape and pose, see `lips.references`
    times: NDArray[np.float64]

    def reference(self, row: int) -> borrow.Reference:
        """A frame as the product keeps it."""
        planes = (self.luma[row], self.chroma[row, 0], self.chroma[row, 1])
        return borrow.Reference(unfold.vertices(self.canonical[row]), planes, matrices())


def matrices() -> tuple[align.Matrix, ...]:
    """``plane_from_canonical`` of a prepared crop's luma and chroma."""
    luma = mesh_warp.grid_from_canonical(CROP)
    half = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
    return luma, align.compose(half, luma), align.compose(half, luma)


def load_footage(prepared: PreparedSet, split: str, most: int) -> list[Footage]:
    """The clips of a split, of each at most ``most`` frames, spread evenly."""
    found = [_load(prepared, name, most) for name in prepared.names(split)]
    if not found:
        raise InputError(f"{prepared.root} holds no clip of the split {split}")
    return found


def _load(prepared: PreparedSet, name: str, most: int) -> Footage:
    clip = prepared.load(name)
    step = -(-len(clip.times) // most)
    luma, chroma = [], []
    for row, picture in enumerate(prepared.pictures(name)):
        if row % step == 0:
            coded = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
            luma.append(coded[:CROP])
            chroma.append(coded[CROP:].reshape(2, CROP // 2, CROP // 2))
    to_canonical = align.invert(mesh_warp.grid_from_canonical(CROP))
    canonical = [
        align.apply(align.compose(to_canonical, matrix), face)
        for matrix, face in zip(clip.crop_from_display[::step], clip.landmarks[::step], strict=True)
    ]
    if len(luma) != len(canonical):
        raise InputError(f"{name} has {len(luma)} pictures for {len(canonical)} rows")
    points, times = np.stack(canonical), clip.times[::step]
    pose = references.pose_features(clip.pose[::step], np.zeros(len(times)))
    return Footage(
        name=name,
        person=prepared.clips[name].person,
        luma=np.stack(luma),
        chroma=np.stack(chroma),
        canonical=points,
        features=np.concatenate([references.mouth_features(points), pose], 1),
        times=times,
    )
