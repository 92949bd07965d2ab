"""What the tracked faces of a film look like, and which of them are one person in one set-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align
from dubkit.faces.align import Matrix
from dubkit.lips import references
from dubkit.media.frames import FrameReader
from dubkit.media.planes import rgb_crop
from dubkit.records import FaceTrack, Floats

PLACES = (0.2, 0.5, 0.8)  # where in a track its look is taken


def looks(
    reader: FrameReader, track: FaceTrack, rows: np.ndarray, places: Sequence[float] = PLACES
) -> Floats:
    """(N, D) descriptors of a track (`faces.appearance`), from some of its ``rows``, one at least."""
    chosen = sorted({int(rows[int(part * (len(rows) - 1))]) for part in places})
    found = []
    for row in chosen:
        frame = next(iter(reader.read(track.start + row, track.start + row + 1)))
        way = align.canonical_from_face(track.landmarks[row])
        matrix = align.compose(square_from_canonical(), way)
        found.append(descriptor(rgb_crop(frame, matrix, SIDE)))
    return np.stack(found)


def persons(descriptors: Sequence[Floats], least: float) -> list[list[int]]:
    """Tracks by person: each is at least ``least`` alike to another of its group, where it has company.

    ``descriptors`` holds each track's (N, D). Groups and their members come in the order of the tracks,
    and do not depend on it otherwise.
    """
    group = list(range(len(descriptors)))
    for a in range(len(descriptors)):
        for b in range(a):
            if group[a] != group[b] and likeness(descriptors[a], descriptors[b]) >= least:
                joined, gone = sorted((group[a], group[b]))
                group = [joined if g == gone else g for g in group]
    return [[k for k, g in enumerate(group) if g == first] for first in sorted(set(group))]


WIDTH, HEIGHT = 32, 24  # pixels of the aligned upper face
_LEFT, _RIGHT, _TOP, _BOTTOM = -0.95, 0.95, -0.6, 0.8  # canonical units
SIDE = max(WIDTH, HEIGHT)  # pixels of the square crop that holds it
FOREIGN = 0.1  # how much nearer a frame of another shot must be, in the unit of `mouth_features`
MOST = 16  # frames that other shots lend a face
_WORTH = 0.004  # mean nearness that a lent frame must add


def square_from_canonical() -> Matrix:
    """Canonical coordinates -> pixels of the (SIDE, SIDE) crop whose top left holds the upper face."""
    across, down = WIDTH / (_RIGHT - _LEFT), HEIGHT / (_BOTTOM - _TOP)
    return np.array([[across, 0, -_LEFT * across - 0.5], [0, down, -_TOP * down - 0.5]])


def descriptor(crop: NDArray[np.uint8]) -> Floats:
    """(SIDE, SIDE, 3) RGB crop -> unit vector; a product of two of them is their likeness, -1 to 1."""
    gray = cv2.cvtColor(crop[:HEIGHT, :WIDTH], cv2.COLOR_RGB2GRAY).astype(np.float32)
    parts = []
    for across, down in ((1, 0), (0, 1)):
        edges = np.asarray(cv2.Sobel(gray, cv2.CV_32F, across, down), np.float32).ravel()
        edges -= edges.mean()
        parts.append(edges / max(float(np.linalg.norm(edges)), 1e-6))
    return np.asarray(np.concatenate(parts) / np.sqrt(2), np.float32)


def likeness(a: Floats, b: Floats) -> float:
    """Of two tracks, by their descriptors (N, D) and (M, D): that of the most alike pair."""
    return float((a @ b.T).max(initial=-1.0))


@dataclass(frozen=True, slots=True)
class Lender:
    """Frames of other shots that show the same person; N frames, display coordinates."""

    frames: NDArray[np.int64]  # (N,) of the film
    landmarks: Floats  # (N, L, 2)
    pose: Floats  # (N, 3)


@dataclass(frozen=True, slots=True)
class Pool:
    """All rows that a face may borrow from: its own T first, then those of a lender."""

    frames: NDArray[np.int64]  # (R,) of the film
    matrices: list[Matrix]  # canonical_from_display
    current: Floats  # (R, L, 2) canonical
    features: Floats  # (R, F)
    goal: Floats  # (T, F) what is wanted, in the same features


def join(own: Pool, seconds: NDArray[np.floating], lender: Lender | None) -> Pool:
    """A face's own rows with a lender's; ``seconds`` (T,) are those of its own."""
    if lender is None or not len(lender.frames):
        return own
    matrices = [align.canonical_from_face(face) for face in lender.landmarks]
    pairs = zip(matrices, lender.landmarks, strict=True)
    current = np.stack([align.apply(matrix, face) for matrix, face in pairs])
    moment = np.full(
        len(current), float(np.mean(seconds))
    )  # how far away in time says nothing here
    poses = references.pose_features(lender.pose, moment)
    lent = np.concatenate([references.mouth_features(current), poses], 1)
    return Pool(
        frames=np.concatenate([own.frames, lender.frames]),
        matrices=[*own.matrices, *matrices],
        current=np.concatenate([own.current, current]),
        features=np.concatenate([_marked(own.features, 0.0), _marked(lent, FOREIGN)]),
        goal=_marked(own.goal, 0.0),
    )


def _marked(features: Floats, mark: float) -> Floats:
    return np.concatenate([features, np.full((len(features), 1), mark, np.float32)], 1)


def enlarge(bank: NDArray[np.intp], pool: Pool) -> NDArray[np.intp]:
    """The bank of own rows with those lent rows that bring it nearest to what is wanted (greedy)."""
    own = len(pool.goal)
    if len(pool.frames) == own or not len(bank):
        return bank
    cost = _distances(pool.goal, pool.features[bank]).min(1)
    lent = _distances(pool.goal, pool.features[own:])
    chosen: list[int] = []
    while len(chosen) < MOST:
        gains = np.clip(cost[:, None] - lent, 0, None).mean(0)
        best = int(gains.argmax())
        if gains[best] < _WORTH:
            break
        chosen.append(own + best)
        cost = np.minimum(cost, lent[:, best])
    return np.concatenate([bank, np.sort(np.array(chosen, np.intp))])


def _distances(goal: Floats, rows: Floats) -> Floats:
    """(T, F) and (N, F) -> (T, N)."""
    return np.asarray(np.sqrt(((goal[:, None] - rows[None]) ** 2).sum(-1)), np.float32)


def spread(features: Floats, usable: NDArray[np.bool_], count: int) -> NDArray[np.intp]:
    """Rows of a track that cover its mouths and poses: what it lends."""
    return references.choose_bank(features, usable, count)


def linked(looks: Sequence[Floats], least: float, most: int) -> list[list[int]]:
    """For every track its lenders: the ``most`` likest ones among those at least ``least`` alike.

    ``looks`` holds each track's descriptors (N, D). Links are direct, never by way of a third track.
    """
    found = []
    for number, look in enumerate(looks):
        scores = [(-likeness(look, other), k) for k, other in enumerate(looks) if k != number]
        found.append([k for score, k in sorted(scores) if -score >= least][:most])
    return found
