"""Faces through one shot: detected now and then, followed by their landmarks between, each kept apart.

One pass over the frames, none of which is kept. Detection runs every so often, when a face is lost and, more often,
while one is missing; between, each face's landmarks predict where to look in the next frame. A face that is first
detected in mid-shot was there before: a second pass follows it backward to where it came in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, association, landmark_layout, lip_outline, smooth
from dubkit.faces.occlusion import occlusion_scores
from dubkit.faces.tracklet import (
    NEW_SCORE,
    SAME_LOOK,
    Region,
    Sighting,
    TrackerSettings,
    Tracklet,
    View,
    locate,
    plausible,
)
from dubkit.records import Detection, FaceState, FaceTrack, Floats, Shot

if TYPE_CHECKING:
    from dubkit.engines.base import Locator

Views = Callable[[int, int], Iterable[tuple[int, View]]]

# of a tracklet: on held-out films faces have .73 and more, turned ones too; paintings, hands and folds mostly under .6
MIN_CONFIDENCE = 0.66
LOST_PAUSE = 3  # frames between detections that are made because a face was lost
MAX_MISSES = 3  # detections in a row that may miss a face while its landmarks are still found
SURE_MISSES = 8  # the same for a face whose landmarks are sure
SURE_SCORE = 0.9
DETECTION_REACH = 1.0  # largest distance of a detection from its face, in face sizes


def track_shot(
    shot: Shot, views: Views, locator: Locator, settings: TrackerSettings
) -> list[FaceTrack]:
    """Every face of a shot, largest first. ``views(start, end)`` reads frames in order and may be called repeatedly."""
    tracker = Tracker(locator, settings)
    for index, view in views(shot.start, shot.end):
        tracker.step(index, view)
    tracklets = tracker.accepted()
    track_backward(tracklets, shot, views, locator, settings)
    return finished_tracks(tracklets, settings)


class Tracker:
    """The forward pass."""

    def __init__(self, locator: Locator, settings: TrackerSettings) -> None:
        self.tracklets: list[Tracklet] = []
        self._locator = locator
        self._settings = settings
        self._detected: int | None = None  # frame of the last detection

    def step(self, index: int, view: View) -> None:
        """Process the next frame."""
        lost = self._follow(index, view)
        if self._due(index, lost):
            self._detected = index
            self._detect(index, view)

    def accepted(self) -> list[Tracklet]:
        """The tracklets that are faces, as far as the forward pass shows."""
        return [t for t in self.tracklets if t.sightings and t.confidence >= MIN_CONFIDENCE]

    def _due(self, index: int, lost: bool) -> bool:
        """Whether to detect: regularly, twice as often while a face is missing, and soon after one was lost."""
        if self._detected is None:
            return True
        since, regular = index - self._detected, self._settings.detect_every
        if lost:
            return since >= min(LOST_PAUSE, regular)
        missing = any(t.last < index for t in self._waiting(index))
        return since >= (max(1, regular // 2) if missing else regular)

    def _waiting(self, index: int) -> list[Tracklet]:
        """The tracklets that a face of this frame could continue."""
        return [t for t in self.tracklets if not t.ended and index - t.last <= self._settings.link]

    def _follow(self, index: int, view: View) -> bool:
        """Locate each face where it is expected; true if one that was there a frame ago is gone."""
        near = [t for t in self._waiting(index) if index - t.last <= self._settings.bridge + 1]
        expected = [t.predict(index) for t in near]
        found = locate(view, self._locator, [align.canonical_from_face(face) for face in expected])
        candidates = [
            (tracklet, sighting, face)
            for tracklet, sighting, face in zip(near, found, expected, strict=True)
            if tracklet.fits(sighting, face, index - tracklet.last)
        ]
        kept = _without_duplicates(candidates, index)
        for tracklet, sighting, alone in kept:
            tracklet.add(index, sighting, learn=alone)
        return any(index - t.last == 1 for t in near)

    def _detect(self, index: int, view: View) -> None:
        detections = [d for d in view.detect() if d.score >= self._settings.min_score]
        here = [t for t in self.tracklets if not t.ended and t.last == index]
        costs = association.cost_table(
            [t.sightings[index].points for t in here], [d.points for d in detections]
        )
        pairs = association.pair(costs, DETECTION_REACH)
        for row, column in pairs:
            here[row].confirm(index, detections[column].score)
        confirmed = {row for row, _ in pairs}
        for row, tracklet in enumerate(here):
            if row not in confirmed:
                self._record_miss(tracklet, index)
        explained = {column for _, column in pairs}
        self._admit(index, view, [d for i, d in enumerate(detections) if i not in explained])

    def _record_miss(self, tracklet: Tracklet, index: int) -> None:
        if index - tracklet.checked < self._settings.detect_every:
            return
        tracklet.miss(index)
        scores = [s.score for i, s in tracklet.sightings.items() if i > tracklet.confirmed]
        sure = bool(scores) and float(np.median(scores)) >= SURE_SCORE
        if tracklet.misses >= (SURE_MISSES if sure else MAX_MISSES):
            tracklet.end()

    def _admit(self, index: int, view: View, detections: list[Detection]) -> None:
        """Add detections that no followed face explains: faces that come back, or new ones."""
        refined = _refined(view, self._locator, detections)
        found = [(s, d.score) for s, d in refined if not self._is_known(s, index)]
        waiting = [t for t in self._waiting(index) if t.last < index]
        costs = _return_costs(waiting, [s for s, _ in found], index)
        for row, column in association.pair(costs, 1.0):
            sighting, score = found[column]
            waiting[row].add(index, sighting)
            waiting[row].confirm(index, score)
        for sighting, score in found:
            if self._is_known(sighting, index):
                continue
            tracklet = Tracklet(sighting.look)
            tracklet.add(index, sighting)
            tracklet.confirm(index, score)
            self.tracklets.append(tracklet)

    def _is_known(self, sighting: Sighting, index: int) -> bool:
        return any(
            t.sightings[index].is_where(sighting) for t in self.tracklets if index in t.sightings
        )


def _refined(
    view: View, locator: Locator, detections: list[Detection]
) -> list[tuple[Sighting, Detection]]:
    """Landmarks of detections: located from the five points first, then from the landmarks found there."""
    found = list(detections)
    ways = [align.canonical_from_points(d.points) for d in found]
    for least in (NEW_SCORE / 2, NEW_SCORE):
        seen = zip(locate(view, locator, ways), found, strict=True)
        good = [(s, d) for s, d in seen if s.score >= least and plausible(s.landmarks)]
        found = [d for _, d in good]
        ways = [align.canonical_from_face(s.landmarks) for s, _ in good]
    return good


def _return_costs(
    tracklets: list[Tracklet], faces: list[Sighting], index: int
) -> NDArray[np.float64]:
    """(tracklets, faces) cost that a face is one that was lost: 0 at its expected place with its look, 1 at the
    limit.
    """
    costs = np.full((len(tracklets), len(faces)), np.inf)
    for row, tracklet in enumerate(tracklets):
        gap = index - tracklet.last
        resting = tracklet.sightings[tracklet.last].points
        moving = association.five_points(tracklet.predict(index))
        reach = min(1.5 + 0.3 * gap, 5.0)
        for column, face in enumerate(faces):
            alike = tracklet.likeness(face)
            far = min(
                association.distance(resting, face.points),
                association.distance(moving, face.points),
            )
            if alike >= SAME_LOOK and far <= reach:
                costs[row, column] = 0.5 * far / reach + (1 - alike)
    return costs


def _without_duplicates(
    candidates: list[tuple[Tracklet, Sighting, Floats]], index: int
) -> list[tuple[Tracklet, Sighting, bool]]:
    """Where two tracklets claim one face, the one whose motion and look it fits keeps it.

    The flag says that no other face is near, so that the look may be updated.
    """

    def cost(candidate: tuple[Tracklet, Sighting, Floats]) -> float:
        tracklet, sighting, expected = candidate
        away = association.distance(association.five_points(expected), sighting.points)
        return away + 2 * (1 - tracklet.likeness(sighting)) + (index - tracklet.last - 1)

    kept: list[tuple[Tracklet, Sighting, bool]] = []
    for tracklet, sighting, _ in sorted(candidates, key=cost):
        if any(sighting.is_where(other) for _, other, _ in kept):
            continue
        nearest = min(
            (association.distance(sighting.points, s.points) for _, s, _ in kept), default=9.0
        )
        kept.append((tracklet, sighting, nearest > 3.0))
    return kept


OUTLINED = 0.8  # of a face's sightings that must show its lips' outline, for it to be used
POSE_SECONDS = 0.08  # standard deviation of the smoothing of the head pose, at full strength


def finished_tracks(tracklets: Iterable[Tracklet], settings: TrackerSettings) -> list[FaceTrack]:
    """Tracks of a shot that are long enough, smoothed, numbered from the largest face on."""
    tracks = [
        _finished_track(t, settings) for t in tracklets if len(t.sightings) >= settings.shortest
    ]
    tracks.sort(key=lambda t: (-t.median_width, t.start, float(t.boxes[0, 0])))
    return [
        FaceTrack(n, t.start, t.boxes, t.landmarks, t.pose, t.scores, t.state, t.occlusion)
        for n, t in enumerate(tracks)
    ]


def _finished_track(tracklet: Tracklet, settings: TrackerSettings) -> FaceTrack:
    start, end = min(tracklet.sightings), max(tracklet.sightings) + 1
    count = end - start
    landmarks = np.full((count, landmark_layout.COUNT, 2), np.nan, np.float32)
    pose = np.full((count, 3), np.nan, np.float32)
    scores = np.zeros(count, np.float32)
    state = np.full(count, FaceState.ABSENT, np.int8)
    for index, sighting in tracklet.sightings.items():
        row = index - start
        landmarks[row], pose[row], scores[row] = sighting.landmarks, sighting.pose, sighting.score
        state[row] = FaceState.SEEN
    _outline_lips(tracklet, start, landmarks)
    _bridge(landmarks, pose, state, settings.bridge)
    for run in smooth.segments(state != FaceState.ABSENT):
        landmarks[run] = smooth.smooth_run(landmarks[run], settings.rate, settings.smoothing)
        sigma = POSE_SECONDS * settings.smoothing * settings.rate
        pose[run] = smooth.local_mean(pose[run].astype(np.float64), sigma)
    occlusion = _occlusion(tracklet, start, count, settings)
    return FaceTrack(
        0, start, association.bounds(landmarks), landmarks, pose, scores, state, occlusion
    )


def _outline_lips(tracklet: Tracklet, start: int, landmarks: Floats) -> None:
    """Move the lips' outline to where the picture shows it, in place; a face that is mostly too small stays."""
    shown = {i - start: s.lips for i, s in tracklet.sightings.items() if s.lips is not None}
    if len(shown) < OUTLINED * len(tracklet.sightings):
        return
    rows = sorted(shown)
    landmarks[rows] = lip_outline.outlined(landmarks[rows], np.stack([shown[row] for row in rows]))


def _occlusion(tracklet: Tracklet, start: int, count: int, settings: TrackerSettings) -> Floats:
    """(T,) `faces.occlusion.occlusion_scores`, interpolated between sightings."""
    frames = sorted(tracklet.sightings)
    seen = [tracklet.sightings[frame] for frame in frames]
    at = np.array(frames) - start
    skin, pose = (np.stack([getattr(s, name) for s in seen]) for name in ("skin", "pose"))
    scores = np.array([s.score for s in seen], np.float32)
    found = occlusion_scores(skin, pose, scores, at / settings.rate)
    return np.interp(np.arange(count), at, found).astype(np.float32)


def _bridge(landmarks: Floats, pose: Floats, state: NDArray[np.int8], longest: int) -> None:
    """Fill gaps of at most ``longest`` frames in place, linearly between sightings."""
    for gap in smooth.segments(state == FaceState.ABSENT):
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


def track_backward(
    tracklets: list[Tracklet],
    shot: Shot,
    views: Callable[[int, int], Iterable[tuple[int, View]]],
    locator: Locator,
    settings: TrackerSettings,
) -> None:
    """Extend every tracklet backward from each frame where it starts or comes back."""
    starts: dict[int, list[Tracklet]] = {}
    for tracklet in tracklets:
        for start in _starts(tracklet, shot):
            starts.setdefault(start, []).append(tracklet)
    for start in sorted(starts):
        alive = starts[start]
        for _ in range(CHUNKS):
            first = max(shot.start, start - settings.detect_every)
            alive = _follow_back(alive, tracklets, (first, start), views, locator)
            start = first
            if not alive or start <= shot.start:
                break


def _starts(tracklet: Tracklet, shot: Shot) -> list[int]:
    """Frames in which a tracklet was seen, but not in the frame before."""
    return [
        i for i in sorted(tracklet.sightings) if i > shot.start and i - 1 not in tracklet.sightings
    ]


def _follow_back(
    alive: list[Tracklet],
    tracklets: list[Tracklet],
    span: tuple[int, int],
    views: Callable[[int, int], Iterable[tuple[int, View]]],
    locator: Locator,
) -> list[Tracklet]:
    """Follow tracklets from ``span``'s end to its start; returns those that are still there at the start."""
    size = locator.crop_size * REGION
    squares = [_square(tracklet.sightings[span[1]], size) for tracklet in alive]
    frames = [
        (index, [Region(view.crop(square, size), square) for square in squares])
        for index, view in views(*span)
    ]
    open_ends = dict(enumerate(alive))
    for index, regions in reversed(frames):
        for number, tracklet in list(open_ends.items()):
            if not _step_back(tracklet, tracklets, index, regions[number], locator):
                del open_ends[number]
    # frames may be left out of the shot: then nothing is followed over them
    return [tracklet for tracklet in open_ends.values() if span[0] in tracklet.sightings]


def _square(sighting: Sighting, size: int) -> align.Matrix:
    """``region_from_display`` of the square around a face, ``size`` pixels wide."""
    crop = size // REGION
    matrix = align.compose(
        align.crop_from_canonical(crop), align.canonical_from_face(sighting.landmarks)
    )
    shift = crop * (REGION - 1) / 2
    return np.asarray(matrix + np.array([[0, 0, shift], [0, 0, shift]]), np.float64)


def _step_back(
    tracklet: Tracklet, tracklets: list[Tracklet], index: int, region: Region, locator: Locator
) -> bool:
    if index in tracklet.sightings:
        return False
    expected = tracklet.predict(index, -1)
    (sighting,) = locate(region, locator, [align.canonical_from_face(expected)])
    if not tracklet.fits(sighting, expected, gap=1) or any(
        other.sightings[index].is_where(sighting) for other in tracklets if index in other.sightings
    ):
        return False
    tracklet.add(index, sighting, learn=False)
    return True
