"""How tracked faces look: which of their frames are described, how those are aligned, and what is kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubkit.errors import WorkError
from dubkit.faces import align, association
from dubkit.records import FaceState, FaceTrack, Floats, Indices, Integers, Mask
from dubkit.work.store import UNREADABLE, open_arrays

# where eye centers, nose tip and mouth corners lie in an aligned face of 112 pixels
_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)  # fmt: skip
_SIDE = 112
_PORTRAIT = 0.6  # size of the face in a portrait against that in the aligned crop
PORTRAIT_SIDE = 192  # pixels
# lengths of vectors: of faces blurred to 10 pixels across, and what most clear faces have
_BLURRED, _CLEAR = 6.5, 9.5
# pixels of a face's width, between which it says less or more of who it is
_SMALL, _LARGE = 12.0, 64.0
_TURNED = 60.0  # degrees of yaw at which a face says nothing of who it is
_APART = 12  # frames that give one more to describe: short faces are described less
LOOKS = "looks.npz"


@dataclass(frozen=True, slots=True)
class TrackLook:
    """What a face of a shot looks like."""

    track: int
    start: int  # frames of the film in which it is there, half-open
    end: int
    frames: Integers  # (N,) those that were described, clearest first
    vectors: Floats  # (N, D) of length 1
    weights: Floats  # (N,) 0 .. 1, how clear each is

    @property
    def mean(self) -> tuple[Floats, float]:
        """(D,) mean vector of length 1, and how clear the face is at its best; zeros where nothing was described."""
        total = (self.weights[:, None] * self.vectors).sum(0)
        length = float(np.linalg.norm(total))
        best = float(self.weights.max(initial=0.0))
        return (np.asarray(total / length, np.float32), best) if length > 0 else (total, 0.0)


def aligned_from_display(landmarks: Floats, side: int = _SIDE) -> align.Matrix:
    """Display coordinates -> pixels of the aligned crop of one face, (L, 2)."""
    goal = (_POINTS + 0.5) * (side / _SIDE) - 0.5
    return align.similarity(association.five_points(landmarks), goal)


def portrait_from_display(landmarks: Floats) -> align.Matrix:
    """Display coordinates -> pixels of a face's portrait: upright, with hair and shoulders."""
    middle = _SIDE / 2 - 0.5
    goal = (_POINTS - middle) * _PORTRAIT + middle + np.array([0, -0.04 * _SIDE])
    goal = (goal + 0.5) * (PORTRAIT_SIDE / _SIDE) - 0.5
    return align.similarity(association.five_points(landmarks), np.asarray(goal, np.float32))


def choose_rows(track: FaceTrack, count: int) -> Indices:
    """The rows of a track to describe, in order: the clearest of each of ``count`` equal parts of it."""
    clear = clearness(track)
    parts = np.array_split(np.arange(len(track)), min(count, 1 + len(track) // _APART))
    best = [int(part[clear[part].argmax()]) for part in parts]
    return np.array([row for row in best if clear[row] > 0], np.intp)


def clearness(track: FaceTrack) -> Floats:
    """(T,) 0 .. 1, how well each frame shows who a face is: seen, large, frontal, uncovered; 0 where it is not seen."""
    width = np.nan_to_num(track.boxes[:, 2] - track.boxes[:, 0])
    yaw = np.abs(np.nan_to_num(track.pose[:, 0]))
    size = np.clip(width / _LARGE, 0, 1)
    frontal = np.clip(1 - yaw / _TURNED, 0, 1)
    open_ = np.clip(1 - track.occlusion, 0.1, 1)
    seen: Mask = track.state == FaceState.SEEN
    return np.asarray(seen * size * frontal * open_ * track.scores, np.float32)


def described(track: FaceTrack, rows: Indices, vectors: Floats) -> TrackLook:
    """The look of a track by the vectors (N, D) of its ``rows`` (N,), as the appearance engine made them."""
    length = np.linalg.norm(vectors, axis=1)
    width = np.nan_to_num(track.boxes[rows, 2] - track.boxes[rows, 0])
    yaw = np.abs(np.nan_to_num(track.pose[rows, 0]))
    weights = (
        np.clip((length - _BLURRED) / (_CLEAR - _BLURRED), 0, 1)
        * np.clip((width - _SMALL) / (_LARGE - _SMALL), 0, 1)
        * np.clip(1 - yaw / _TURNED, 0, 1)
        * track.scores[rows]
    ).astype(np.float32)
    unit = (vectors / np.maximum(length[:, None], 1e-6)).astype(np.float32)
    order = np.argsort(-weights, kind="stable")
    frames = (track.start + rows[order]).astype(np.int64)
    end = track.start + len(track)
    return TrackLook(track.track, track.start, end, frames, unit[order], weights[order])


def save_looks(folder: Path, looks: Sequence[TrackLook]) -> None:
    """Write ``looks.npz``; equal looks give equal bytes."""
    arrays: dict[str, np.ndarray] = {
        "spans": np.array([[x.track, x.start, x.end] for x in looks], np.int64).reshape(-1, 3)
    }
    for x in looks:
        arrays[f"{x.track}_frames"] = x.frames
        arrays[f"{x.track}_vectors"] = x.vectors.astype(np.float16)
        arrays[f"{x.track}_weights"] = x.weights
    with (folder / LOOKS).open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_looks(folder: Path) -> list[TrackLook]:
    """The looks of a shot's faces, in the order of its tracks. Raises WorkError where they cannot be read."""
    path = folder / LOOKS
    try:
        with open_arrays(path) as stored:
            return [
                TrackLook(
                    int(track),
                    int(start),
                    int(end),
                    stored[f"{track}_frames"],
                    stored[f"{track}_vectors"].astype(np.float32),
                    stored[f"{track}_weights"],
                )
                for track, start, end in stored["spans"]
            ]
    except UNREADABLE as error:
        raise WorkError(
            f"the work file {path} cannot be read: {error}",
            hint="run again with --force appearance",
        ) from error
