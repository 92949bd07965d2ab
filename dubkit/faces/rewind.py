"""The backward pass: from the frame in which a face was detected back to where it came in.

Only the frames before such a detection are read again, and of them only a generous square around the face is
kept: memory is bounded by ``detect_every`` whatever the picture's size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from dubkit.faces.align import Matrix, canonical_from_face, compose, crop_from_canonical
from dubkit.faces.tracklet import Locator, Region, Rules, Sighting, Trail, View, locate
from dubkit.records import Shot

REGION = 3  # side of the kept square, in canonical crops
CHUNKS = 4  # how many times ``detect_every`` a face is followed back at most


def rewind(
    trails: list[Trail],
    shot: Shot,
    views: Callable[[int, int], Iterable[tuple[int, View]]],
    locator: Locator,
    rules: Rules,
) -> None:
    """Extend every trail backwards from each frame where it was picked up."""
    starts: dict[int, list[Trail]] = {}
    for trail in trails:
        for start in _pickups(trail, shot):
            starts.setdefault(start, []).append(trail)
    for start in sorted(starts):
        alive = starts[start]
        for _ in range(CHUNKS):
            first = max(shot.start, start - rules.detect_every)
            alive = _back(alive, trails, (first, start), views, locator)
            start = first
            if not alive or start <= shot.start:
                break


def _pickups(trail: Trail, shot: Shot) -> list[int]:
    """The frames that a trail has without the one before."""
    return [i for i in sorted(trail.sightings) if i > shot.start and i - 1 not in trail.sightings]


def _back(
    alive: list[Trail],
    trails: list[Trail],
    span: tuple[int, int],
    views: Callable[[int, int], Iterable[tuple[int, View]]],
    locator: Locator,
) -> list[Trail]:
    """Follow trails from ``span``'s end to its start; the ones that are still there at the start."""
    size = locator.crop_size * REGION
    squares = [_square(trail.sightings[span[1]], size) for trail in alive]
    frames = [
        (index, [Region(view.crop(square, size), square) for square in squares])
        for index, view in views(*span)
    ]
    open_ends = dict(enumerate(alive))
    for index, regions in reversed(frames):
        for number, trail in list(open_ends.items()):
            if not _step_back(trail, trails, index, regions[number], locator):
                del open_ends[number]
    return list(open_ends.values())


def _square(sighting: Sighting, size: int) -> Matrix:
    """``region_from_display`` of the square around a face, ``size`` pixels wide."""
    crop = size // REGION
    matrix = compose(crop_from_canonical(crop), canonical_from_face(sighting.landmarks))
    shift = crop * (REGION - 1) / 2
    return np.asarray(matrix + np.array([[0, 0, shift], [0, 0, shift]]), np.float64)


def _step_back(
    trail: Trail, trails: list[Trail], index: int, region: Region, locator: Locator
) -> bool:
    if index in trail.sightings:
        return False
    expected = trail.predict(index, -1)
    (sighting,) = locate(region, locator, [canonical_from_face(expected)])
    if not trail.fits(sighting, expected, gap=1) or any(
        other.sightings[index].is_where(sighting) for other in trails if index in other.sightings
    ):
        return False
    trail.add(index, sighting, learn=False)
    return True
