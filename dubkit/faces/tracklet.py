"""One face of a shot while it is being followed, and how it is located in a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from dubkit.faces import align, association, lip_outline, occlusion

if TYPE_CHECKING:
    from dubkit.config.schema import FaceSettings
    from dubkit.engines.base import Locator
    from dubkit.records import Detection, Floats, Picture

KEEP_SCORE = 0.4  # a face that is followed stays while its confidence is above this
NEW_SCORE = 0.6  # a face that is new, or comes back, needs this
# likeness: two pictures of one person within a shot have .76 and more in 99 of 100 cases; two people have .44 in the
# median and .79 and more in 5 of 100
KEEP_LOOK = 0.4  # under this, a followed face has become someone else
SAME_LOOK = 0.7  # from this on, a face that comes back is the same one
SAME_PLACE = 0.5  # two faces nearer than this, in face sizes, are one
COVERED = 0.5  # and so are two of which one lies in the other to this part
MAX_STEP = 0.7  # farthest a face is from where it was expected, in face sizes
MAX_DEVIATION = 0.6  # farthest, on average, that landmarks are from the mean face, canonical units
USUAL_DEVIATION = 0.05  # canonical units, of `shape_deviation` of a face that looks at the camera
# more of it for a turned one: medians of the training crops are .06 at 20 degrees of yaw, .10 at 35, .15 at 45
TURNED_DEVIATION = 0.35  # times 1 - cos(yaw)
DEVIATION_COST = 2.5  # confidence lost with each canonical unit of deviation beyond the usual
MAX_ZOOM = 1.5  # largest change of size from one frame to the next
LINK_SECONDS = 2.0  # a face that comes back to its place within this time is the same face

_NO_LOOK = np.zeros(0, np.float32)


class View(Protocol):
    """One frame as the tracker uses it; display coordinates."""

    def detect(self) -> Sequence[Detection]: ...

    def crop(self, crop_from_display: align.Matrix, size: int) -> Picture: ...


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """`FaceSettings` with their times in frames, at ``rate`` frames a second."""

    detect_every: int
    bridge: int
    link: int
    shortest: int
    min_score: float
    smoothing: float
    rate: float

    @classmethod
    def of(cls, settings: FaceSettings, rate: float) -> TrackerSettings:
        return cls(
            detect_every=max(1, round(settings.detect_every * rate)),
            bridge=round(settings.bridge_seconds * rate),
            link=round(LINK_SECONDS * rate),
            shortest=max(1, round(settings.min_track_seconds * rate)),
            min_score=settings.min_score,
            smoothing=settings.smoothing,
            rate=rate,
        )


@dataclass(frozen=True, slots=True)
class Sighting:
    """A face in one frame."""

    landmarks: Floats  # (L, 2) display coordinates
    pose: Floats  # (3,) yaw pitch roll, degrees, relative to the display
    score: float
    look: Floats  # `association.look`; dropped once the tracklet has taken it in, to keep long shots small
    skin: occlusion.Skin  # `occlusion.skin_of`
    lips: lip_outline.Profile | None  # `lip_outline.profile`

    @property
    def points(self) -> Floats:
        return association.five_points(self.landmarks)

    def is_where(self, other: Sighting) -> bool:
        """Whether two sightings of one frame can only be one face."""
        return (
            association.distance(self.points, other.points) < SAME_PLACE
            or association.overlap(
                association.bounds(self.landmarks), association.bounds(other.landmarks)
            )
            > COVERED
        )


def locate(view: View, locator: Locator, ways: Sequence[align.Matrix]) -> list[Sighting]:
    """Locate a face at each place; ``ways`` are ``canonical_from_display`` estimates, one sighting comes back for
    each.
    """
    if not ways:
        return []
    size = locator.crop_size
    plane = align.crop_from_canonical(size)
    matrices = [align.compose(plane, way) for way in ways]
    crops = np.stack([view.crop(m, size) for m in matrices])
    landmarks, poses, scores = locator.locate(crops)
    seen = []
    for i, matrix in enumerate(matrices):
        back = align.invert(matrix)
        roll = np.degrees(np.arctan2(back[1, 0], back[0, 0]))
        pose = (poses[i] + (0.0, 0.0, roll)).astype(np.float32)
        face = align.apply(back, landmarks[i])
        skin = occlusion.skin_of(crops[i], landmarks[i])
        lips = lip_outline.profile(view, face)
        seen.append(Sighting(face, pose, float(scores[i]), association.look(crops[i]), skin, lips))
    return seen


def shape_deviation(face: Floats, pose: Sequence[float] | Floats = (0.0, 0.0, 0.0)) -> float:
    """Mean distance of landmarks (L, 2) from the mean face turned by ``pose`` (degrees), canonical units.

    About .05 for most people who look at the camera.
    """
    mean = align.turned_mean_face(float(pose[0]), float(pose[1]))
    shape = align.apply(align.canonical_from_face(face), face)
    expected = align.apply(align.canonical_from_face(mean), mean)
    return float(np.linalg.norm(shape - expected, axis=1).mean())


def unusual_shape(sighting: Sighting) -> float:
    """How far a face's shape is from what faces of its pose have, canonical units; 0 for the usual."""
    usual = USUAL_DEVIATION + TURNED_DEVIATION * (1 - np.cos(np.radians(sighting.pose[0])))
    return max(0.0, shape_deviation(sighting.landmarks, sighting.pose) - float(usual))


def plausible(face: Floats, expected: align.Matrix | None = None) -> bool:
    """Whether landmarks (L, 2) have the shape of a face, and the ``expected`` size and place."""
    if not np.isfinite(face).all():
        return False
    if shape_deviation(face) > MAX_DEVIATION:
        return False
    if expected is None:
        return True
    way = align.canonical_from_face(face)
    zoom = align.scale_of(way) / max(align.scale_of(expected), 1e-9)
    step = float(np.linalg.norm(align.apply(expected, align.invert(way)[:, 2])))
    return 1 / MAX_ZOOM < zoom < MAX_ZOOM and step < MAX_STEP


@dataclass(slots=True, eq=False)
class Tracklet:
    """A face that is being followed: its sightings by frame index."""

    look: Floats
    sightings: dict[int, Sighting] = field(default_factory=dict)
    last: int = -1  # latest frame it was seen in
    checks: int = 0  # detections that confirmed or missed it
    score_sum: float = 0.0  # of the detections, 0 for each that missed it
    confirmed: int = -1  # latest frame in which a detection confirmed it
    checked: int = -1  # latest frame in which a detection confirmed or missed it
    misses: int = 0  # detections that missed it since it was confirmed
    ended: bool = False

    def add(self, index: int, sighting: Sighting, learn: bool = True) -> None:
        """Record a sighting; with ``learn`` its look is taken in."""
        self.sightings[index] = replace(sighting, look=_NO_LOOK)
        self.last = max(self.last, index)
        if learn:
            self.look = (0.9 * self.look + 0.1 * sighting.look).astype(np.float32)

    @property
    def detection_score(self) -> float:
        """Mean score of the detections, 0..1."""
        return self.score_sum / max(self.checks, 1)

    @property
    def confidence(self) -> float:
        """That this is a face, at most 1: mean score of both nets, less a cost for an unusual shape."""
        seen = list(self.sightings.values())
        some = seen[:: max(1, len(seen) // 50)]
        unusual = float(np.mean([unusual_shape(s) for s in some]))
        score = float(np.mean([s.score for s in seen]))
        return (self.detection_score + score) / 2 - DEVIATION_COST * unusual

    def confirm(self, index: int, score: float) -> None:
        """Record a detection that confirms it."""
        self.checks += 1
        self.score_sum += score
        self.confirmed = self.checked = index
        self.misses = 0

    def miss(self, index: int) -> None:
        """Record a detection that missed it."""
        self.checks += 1
        self.misses += 1
        self.checked = index

    def end(self) -> None:
        """Stop following it, and drop the sightings after the last confirmation."""
        self.ended = True
        self.sightings = {i: s for i, s in self.sightings.items() if i <= self.confirmed}
        self.last = self.confirmed

    def predict(self, index: int, step: int = 1) -> Floats:
        """(L, 2) expected landmarks in a frame, at the constant speed of the last sightings; ``step`` -1 goes
        backward.
        """
        last = index - step
        while last not in self.sightings:
            last -= step
        face = self.sightings[last].landmarks
        recent = [i for i in range(last - 5 * step, last + step, step) if i in self.sightings]
        if len(recent) < 2:
            return face
        centers = np.stack([self.sightings[i].landmarks.mean(0) for i in recent])
        speed = np.median(np.diff(centers, axis=0) / np.diff(recent)[:, None], axis=0)
        return np.asarray(face + speed * (index - last), np.float32)

    def likeness(self, sighting: Sighting) -> float:
        return association.likeness(self.look, sighting.look)

    def fits(self, sighting: Sighting, expected: Floats, gap: int) -> bool:
        """Whether a sighting may be this face ``gap`` frames after it was last seen."""
        returns = gap > 1
        return (
            sighting.score >= (NEW_SCORE if returns else KEEP_SCORE)
            and self.likeness(sighting) >= (SAME_LOOK if returns else KEEP_LOOK)
            and plausible(sighting.landmarks, align.canonical_from_face(expected))
        )


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a frame that is kept for the backward pass; a `View` without detections."""

    picture: Picture
    picture_from_display: align.Matrix

    def detect(self) -> Sequence[Detection]:
        return ()

    def crop(self, crop_from_display: align.Matrix, size: int) -> Picture:
        matrix = align.compose(crop_from_display, align.invert(self.picture_from_display))
        return np.asarray(
            cv2.warpAffine(
                self.picture,
                matrix,
                (size, size),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            ),
            np.uint8,
        )
