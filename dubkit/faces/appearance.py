"""What the tracked faces of a film look like, and which of them are one person in one set-up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dubkit.faces import align, title
from dubkit.media.frames import FrameReader
from dubkit.media.planes import rgb_crop
from dubkit.records import FaceTrack, Floats

PLACES = (0.2, 0.5, 0.8)  # where in a track its look is taken


def looks(
    reader: FrameReader, track: FaceTrack, rows: np.ndarray, places: Sequence[float] = PLACES
) -> Floats:
    """(N, D) descriptors of a track (`faces.title`), from some of its ``rows``, one at least."""
    chosen = sorted({int(rows[int(part * (len(rows) - 1))]) for part in places})
    found = []
    for row in chosen:
        frame = next(iter(reader.read(track.start + row, track.start + row + 1)))
        way = align.canonical_from_face(track.landmarks[row])
        matrix = align.compose(title.square_from_canonical(), way)
        found.append(title.descriptor(rgb_crop(frame, matrix, title.SIDE)))
    return np.stack(found)


def persons(descriptors: Sequence[Floats], least: float) -> list[list[int]]:
    """Tracks by person: each is at least ``least`` alike to another of its group, where it has company.

    ``descriptors`` holds each track's (N, D). Groups and their members come in the order of the tracks,
    and do not depend on it otherwise.
    """
    group = list(range(len(descriptors)))
    for a in range(len(descriptors)):
        for b in range(a):
            if group[a] != group[b] and title.likeness(descriptors[a], descriptors[b]) >= least:
                joined, gone = sorted((group[a], group[b]))
                group = [joined if g == gone else g for g in group]
    return [[k for k, g in enumerate(group) if g == first] for first in sorted(set(group))]
