"""How tracked faces look, as descriptors, and which tracks are one person.

Alone because it tells persons apart, which tracking and selection do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dubkit.faces import align
from dubkit.faces.align import Matrix
from dubkit.media import frames, planes
from dubkit.records import FaceTrack, Floats, Picture

PLACES = (0.2, 0.5, 0.8)  # where in a track its look is taken


def looks(
    reader: frames.FrameReader, track: FaceTrack, rows: np.ndarray, places: Sequence[float] = PLACES
) -> Floats:
    """(N, D) descriptors of a track (`faces.appearance`), from some of its ``rows``, one at least."""
    chosen = sorted({int(rows[int(part * (len(rows) - 1))]) for part in places})
    found = []
    for row in chosen:
        frame = next(iter(reader.read(track.start + row, track.start + row + 1)))
        way = align.canonical_from_face(track.landmarks[row])
        matrix = align.compose(square_from_canonical(), way)
        found.append(descriptor(planes.rgb_crop(frame, matrix, SIDE)))
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


def square_from_canonical() -> Matrix:
    """Canonical coordinates -> pixels of the (SIDE, SIDE) crop whose top left holds the upper face."""
    across, down = WIDTH / (_RIGHT - _LEFT), HEIGHT / (_BOTTOM - _TOP)
    return np.array([[across, 0, -_LEFT * across - 0.5], [0, down, -_TOP * down - 0.5]])


def descriptor(crop: Picture) -> Floats:
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
