"""Faces through one shot: found now and then, followed by their landmarks between, each kept apart.

One pass over the frames, none of which is kept. Detection runs every so often, when a face is lost and,
more often, while one is missing; between, each face's landmarks say where to look in the next frame. A face
that a detection finds in mid-shot was there before: `dubkit.faces.tracker` follows it back to where it came in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from dubkit.engines.base import Locator
from dubkit.faces import association, landmark_layout
from dubkit.faces.align import (
    Matrix,
    canonical_from_face,
    canonical_from_points,
    compose,
    crop_from_canonical,
)
from dubkit.faces.occlusion import strangeness
from dubkit.faces.smooth import local_mean, segments, smooth_run
from dubkit.faces.tracklet import (
    NEW_SCORE,
    SAME_LOOK,
    Region,
    Rules,
    Sighting,
    Trail,
    View,
    locate,
    plausible,
)
from dubkit.records import Detection, FaceState, FaceTrack, Floats, Shot

Views = Callable[[int, int], Iterable[tuple[int, View]]]

# of `Trail.credit`: on held-out films faces have .73 and more; paintings, hands and folds mostly under .6
MIN_CREDIT = 0.64
LOST_PAUSE = 3  # frames between detections that are made because a face was lost
MAX_MISSES = 3  # detections in a row that may overlook a face its landmarks still see
SURE_MISSES = 8  # the same for a face whose landmarks are sure
SURE_SCORE = 0.9
DETECTION_REACH = 1.0  # farthest a detection is from the face it means, in face sizes


def track_shot(shot: Shot, views: Views, locator: Locator, rules: Rules) -> list[FaceTrack]:
    """Every face of a shot, largest first. ``views(start, end)`` reads frames, in order, as often as asked."""
    tracker = Tracker(locator, rules)
    for index, view in views(shot.start, shot.end):
        tracker.step(index, view)
    trails = tracker.believed()
    rewind(trails, shot, views, locator, rules)
    return finish(trails, rules)


class Tracker:
    """The forward pass."""

    def __init__(self, locator: Locator, rules: Rules) -> None:
        self.trails: list[Trail] = []
        self._locator = locator
        self._rules = rules
        self._detected: int | None = None  # frame of the last detection

    def step(self, index: int, view: View) -> None:
        """Take in the next frame."""
        lost = self._follow(index, view)
        if self._due(index, lost):
            self._detected = index
            self._detect(index, view)

    def believed(self) -> list[Trail]:
        """The trails that are faces, as far as the forward pass can tell."""
        return [t for t in self.trails if t.sightings and t.credit >= MIN_CREDIT]

    def _due(self, index: int, lost: bool) -> bool:
        """Regularly, twice as often while a face is missing, and soon after one was lost."""
        if self._detected is None:
            return True
        since, regular = index - self._detected, self._rules.detect_every
        if lost:
            return since >= min(LOST_PAUSE, regular)
        missing = any(t.last < index for t in self._waiting(index))
        return since >= (max(1, regular // 2) if missing else regular)

    def _waiting(self, index: int) -> list[Trail]:
        """The trails that a face of this frame could go on."""
        return [t for t in self.trails if not t.ended and index - t.last <= self._rules.link]

    def _follow(self, index: int, view: View) -> bool:
        """Look where each face should be; true if one that was there a frame ago is gone."""
        near = [t for t in self._waiting(index) if index - t.last <= self._rules.bridge + 1]
        expected = [t.predict(index) for t in near]
        found = locate(view, self._locator, [canonical_from_face(face) for face in expected])
        candidates = [
            (trail, sighting, face)
            for trail, sighting, face in zip(near, found, expected, strict=True)
            if trail.fits(sighting, face, index - trail.last)
        ]
        kept = _without_doubles(candidates, index)
        for trail, sighting, alone in kept:
            trail.add(index, sighting, learn=alone)
        return any(index - t.last == 1 for t in near)

    def _detect(self, index: int, view: View) -> None:
        detections = [d for d in view.detect() if d.score >= self._rules.min_score]
        here = [t for t in self.trails if not t.ended and t.last == index]
        costs = association.cost_table(
            [t.sightings[index].points for t in here], [d.points for d in detections]
        )
        pairs = association.pair(costs, DETECTION_REACH)
        for row, column in pairs:
            here[row].confirm(index, detections[column].score)
        agreed = {row for row, _ in pairs}
        for row, trail in enumerate(here):
            if row not in agreed:
                self._doubt(trail, index)
        taken = {column for _, column in pairs}
        self._admit(index, view, [d for i, d in enumerate(detections) if i not in taken])

    def _doubt(self, trail: Trail, index: int) -> None:
        if index - trail.judged < self._rules.detect_every:
            return
        trail.doubt(index)
        scores = [s.score for i, s in trail.sightings.items() if i > trail.confirmed]
        sure = bool(scores) and float(np.median(scores)) >= SURE_SCORE
        if trail.misses >= (SURE_MISSES if sure else MAX_MISSES):
            trail.end()

    def _admit(self, index: int, view: View, detections: list[Detection]) -> None:
        """Detections that no followed face explains: faces that come back, or new ones."""
        settled = _settle(view, self._locator, detections)
        found = [(s, d.score) for s, d in settled if not self._taken(s, index)]
        waiting = [t for t in self._waiting(index) if t.last < index]
        costs = _return_costs(waiting, [s for s, _ in found], index)
        for row, column in association.pair(costs, 1.0):
            sighting, score = found[column]
            waiting[row].add(index, sighting)
            waiting[row].confirm(index, score)
        for sighting, score in found:
            if self._taken(sighting, index):
                continue
            trail = Trail(sighting.look)
            trail.add(index, sighting)
            trail.confirm(index, score)
            self.trails.append(trail)

    def _taken(self, sighting: Sighting, index: int) -> bool:
        return any(
            t.sightings[index].is_where(sighting) for t in self.trails if index in t.sightings
        )


def _settle(
    view: View, locator: Locator, detections: list[Detection]
) -> list[tuple[Sighting, Detection]]:
    """Landmarks of detections: from the five points first, then from the landmarks found there."""
    found = list(detections)
    ways = [canonical_from_points(d.points) for d in found]
    for least in (NEW_SCORE / 2, NEW_SCORE):
        seen = zip(locate(view, locator, ways), found, strict=True)
        good = [(s, d) for s, d in seen if s.score >= least and plausible(s.landmarks)]
        found = [d for _, d in good]
        ways = [canonical_from_face(s.landmarks) for s, _ in good]
    return good


def _return_costs(trails: list[Trail], faces: list[Sighting], index: int) -> NDArray[np.float64]:
    """Cost of a face being one that was lost: 0 at its expected place with its look, 1 at the limit."""
    costs = np.full((len(trails), len(faces)), np.inf)
    for row, trail in enumerate(trails):
        gap = index - trail.last
        resting = trail.sightings[trail.last].points
        moving = association.five_points(trail.predict(index))
        reach = min(1.5 + 0.3 * gap, 5.0)
        for column, face in enumerate(faces):
            alike = trail.likeness(face)
            far = min(
                association.distance(resting, face.points),
                association.distance(moving, face.points),
            )
            if alike >= SAME_LOOK and far <= reach:
                costs[row, column] = 0.5 * far / reach + (1 - alike)
    return costs


def _without_doubles(
    candidates: list[tuple[Trail, Sighting, Floats]], index: int
) -> list[tuple[Trail, Sighting, bool]]:
    """Where two trails see one face, the one whose motion and look it fits keeps it.

    The flag says that no other face is near, so that the look may be learned.
    """

    def cost(candidate: tuple[Trail, Sighting, Floats]) -> float:
        trail, sighting, expected = candidate
        away = association.distance(association.five_points(expected), sighting.points)
        return away + 2 * (1 - trail.likeness(sighting)) + (index - trail.last - 1)

    kept: list[tuple[Trail, Sighting, bool]] = []
    for trail, sighting, _ in sorted(candidates, key=cost):
        if any(sighting.is_where(other) for _, other, _ in kept):
            continue
        nearest = min(
            (association.distance(sighting.points, s.points) for _, s, _ in kept), default=9.0
        )
        kept.append((trail, sighting, nearest > 3.0))
    return kept


POSE_SECONDS = 0.08  # standard deviation of the smoothing of the head pose, at full strength


def finish(trails: Iterable[Trail], rules: Rules) -> list[FaceTrack]:
    """Tracks of a shot, numbered from the largest face on."""
    tracks = [_track(t, rules) for t in trails if _worthy(t, rules)]
    tracks.sort(key=lambda t: (-median_width(t), t.start, float(t.boxes[0, 0])))
    return [
        FaceTrack(n, t.start, t.boxes, t.landmarks, t.pose, t.scores, t.state, t.strange)
        for n, t in enumerate(tracks)
    ]


def median_width(track: FaceTrack) -> float:
    """Width of a face in pixels, as it mostly is."""
    return float(np.nanmedian(track.boxes[:, 2] - track.boxes[:, 0]))


def _worthy(trail: Trail, rules: Rules) -> bool:
    return len(trail.sightings) >= rules.shortest


def _track(trail: Trail, rules: Rules) -> FaceTrack:
    start, end = min(trail.sightings), max(trail.sightings) + 1
    count = end - start
    landmarks = np.full((count, landmark_layout.COUNT, 2), np.nan, np.float32)
    pose = np.full((count, 3), np.nan, np.float32)
    scores = np.zeros(count, np.float32)
    state = np.full(count, FaceState.ABSENT, np.int8)
    for index, sighting in trail.sightings.items():
        row = index - start
        landmarks[row], pose[row], scores[row] = sighting.landmarks, sighting.pose, sighting.score
        state[row] = FaceState.SEEN
    _bridge(landmarks, pose, state, rules.bridge)
    for run in segments(state != FaceState.ABSENT):
        landmarks[run] = smooth_run(landmarks[run], rules.rate, rules.smoothing)
        sigma = POSE_SECONDS * rules.smoothing * rules.rate
        pose[run] = local_mean(pose[run].astype(np.float64), sigma)
    strange = _strange(trail, start, count, rules)
    return FaceTrack(
        0, start, association.bounds(landmarks), landmarks, pose, scores, state, strange
    )


def _strange(trail: Trail, start: int, count: int, rules: Rules) -> Floats:
    """(T,) `cover.strangeness`; between sightings as at the next ones."""
    frames = sorted(trail.sightings)
    seen = [trail.sightings[frame] for frame in frames]
    at = np.array(frames) - start
    skin, pose = (np.stack([getattr(s, name) for s in seen]) for name in ("skin", "pose"))
    scores = np.array([s.score for s in seen], np.float32)
    found = strangeness(skin, pose, scores, at / rules.rate)
    return np.interp(np.arange(count), at, found).astype(np.float32)


def _bridge(landmarks: Floats, pose: Floats, state: NDArray[np.int8], longest: int) -> None:
    """Fill short gaps in place, evenly from the last sighting to the next."""
    for gap in segments(state == FaceState.ABSENT):
        length = gap.stop - gap.start
        if length > longest:
            continue
        before, after = gap.start - 1, gap.stop
        for row in range(gap.start, gap.stop):
            part = (row - before) / (length + 1)
            landmarks[row] = (1 - part) * landmarks[before] + part * landmarks[after]
            pose[row] = (1 - part) * pose[before] + part * pose[after]
            state[row] = FaceState.BRIDGED


REGION = 3  # side of the kept square, in canonical crops
CHUNKS = 4  # how many times ``detect_every`` a face is followed back at most


def rewind(
    trails: list[Trail],
    shot: Shot,
    views: Callable[[int, int], Iterable[tuple[int, View]]],
    locator: Locator,
    rules: Rules,
) -> None:
    """Extend every trail backward from each frame where it was picked up."""
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
