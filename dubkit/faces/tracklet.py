"""One face on its way through a shot, while it is being followed, and how it is seen in a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import FaceSettings
from dubkit.engines.base import Locator
from dubkit.faces import association
from dubkit.faces.align import (
    Matrix,
    apply,
    canonical_from_face,
    compose,
    crop_from_canonical,
    invert,
    mean_face,
    scale_of,
)
from dubkit.faces.occlusion import Skin, skin_of
from dubkit.records import Detection, Floats

KEEP_SCORE = 0.4  # a face that is being followed stays while its confidence is above this
NEW_SCORE = 0.6  # a face that is new, or comes back, needs this
# likeness: two pictures of one person within a shot have .76 and more in 99 of 100 cases, two people .44 in the
# middle and .79 and more in 5 of 100
KEEP_LOOK = 0.4  # under this, a followed face has become someone else
SAME_LOOK = 0.7  # from this on, a face that comes back is the same one
SAME_PLACE = 0.5  # two faces nearer than this, in face sizes, are one
COVERED = 0.5  # and so are two of which one lies in the other to this part
MAX_STEP = 0.7  # farthest a face is from where it was expected, in face sizes
MAX_SHAPE = 0.6  # farthest, on average, that landmarks are from the mean face, canonical units
USUAL_SHAPE, ODD_COST = (
    0.05,
    2.5,
)  # credit lost with each canonical unit of oddness beyond the usual
MAX_ZOOM = 1.5  # largest change of size from one frame to the next
LINK_SECONDS = 2.0  # a face that comes back to its place within this time is the same face

_FORGOTTEN = np.zeros(0, np.float32)


class View(Protocol):
    """One frame as the tracker sees it; display coordinates."""

    def detect(self) -> Sequence[Detection]: ...

    def crop(self, crop_from_display: Matrix, size: int) -> NDArray[np.uint8]: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings in frames."""

    detect_every: int
    bridge: int
    link: int
    shortest: int
    min_score: float
    smoothing: float
    rate: float

    @classmethod
    def of(cls, settings: FaceSettings, rate: float) -> Rules:
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
    look: Floats  # `link.look`; forgotten once it has been learned, to keep long shots small
    skin: Skin  # `cover.skin_of`

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


def locate(view: View, locator: Locator, ways: Sequence[Matrix]) -> list[Sighting]:
    """Look for a face at each place; ``ways`` are ``canonical_from_display`` guesses."""
    if not ways:
        return []
    size = locator.crop_size
    plane = crop_from_canonical(size)
    matrices = [compose(plane, way) for way in ways]
    crops = np.stack([view.crop(m, size) for m in matrices])
    landmarks, poses, scores = locator.locate(crops)
    seen = []
    for i, matrix in enumerate(matrices):
        back = invert(matrix)
        roll = np.degrees(np.arctan2(back[1, 0], back[0, 0]))
        pose = (poses[i] + (0.0, 0.0, roll)).astype(np.float32)
        face = apply(back, landmarks[i])
        skin = skin_of(crops[i], landmarks[i])
        seen.append(Sighting(face, pose, float(scores[i]), association.look(crops[i]), skin))
    return seen


def oddness(face: Floats) -> float:
    """Mean distance of landmarks (L, 2) from the mean face, canonical units; about .04 for most people."""
    shape = apply(canonical_from_face(face), face) - mean_face()
    return float(np.linalg.norm(shape, axis=1).mean())


def plausible(face: Floats, expected: Matrix | None = None) -> bool:
    """Whether landmarks look like a face at all, and of the expected size and place."""
    if not np.isfinite(face).all():
        return False
    if oddness(face) > MAX_SHAPE:
        return False
    if expected is None:
        return True
    way = canonical_from_face(face)
    zoom = scale_of(way) / max(scale_of(expected), 1e-9)
    step = float(np.linalg.norm(apply(expected, invert(way)[:, 2])))
    return 1 / MAX_ZOOM < zoom < MAX_ZOOM and step < MAX_STEP


@dataclass(slots=True, eq=False)
class Trail:
    """A face being followed: its sightings by frame index."""

    look: Floats
    sightings: dict[int, Sighting] = field(default_factory=dict)
    last: int = -1  # latest frame it was seen in
    verdicts: int = 0  # detections that spoke for or against it
    trust: float = 0.0  # sum of their scores, 0 for each against
    confirmed: int = -1  # latest frame in which a detection agreed
    judged: int = -1  # latest frame in which a detection spoke for or against it
    misses: int = 0  # verdicts against it since it was confirmed
    ended: bool = False

    def add(self, index: int, sighting: Sighting, learn: bool = True) -> None:
        """Record a sighting; ``learn`` its look unless another face is in the way."""
        self.sightings[index] = replace(sighting, look=_FORGOTTEN)
        self.last = max(self.last, index)
        if learn:
            self.look = (0.9 * self.look + 0.1 * sighting.look).astype(np.float32)

    @property
    def support(self) -> float:
        """Mean score of the detections, 0..1."""
        return self.trust / max(self.verdicts, 1)

    @property
    def credit(self) -> float:
        """How much speaks for a face, at most 1: what both nets say of it, less what is odd about its shape."""
        seen = list(self.sightings.values())
        some = seen[:: max(1, len(seen) // 50)]
        odd = float(np.mean([oddness(s.landmarks) for s in some]))
        score = float(np.mean([s.score for s in seen]))
        return (self.support + score) / 2 - ODD_COST * max(0.0, odd - USUAL_SHAPE)

    def confirm(self, index: int, score: float) -> None:
        """A detection agrees."""
        self.verdicts += 1
        self.trust += score
        self.confirmed = self.judged = index
        self.misses = 0

    def doubt(self, index: int) -> None:
        """A detection does not see it."""
        self.verdicts += 1
        self.misses += 1
        self.judged = index

    def end(self) -> None:
        """No detection believes in it any more: forget what came after the last that did."""
        self.ended = True
        self.sightings = {i: s for i, s in self.sightings.items() if i <= self.confirmed}
        self.last = self.confirmed

    def predict(self, index: int, step: int = 1) -> Floats:
        """(L, 2) where the face should be in a frame, from its own even motion; ``step`` -1 looks backward."""
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
        back = gap > 1
        return (
            sighting.score >= (NEW_SCORE if back else KEEP_SCORE)
            and self.likeness(sighting) >= (SAME_LOOK if back else KEEP_LOOK)
            and plausible(sighting.landmarks, canonical_from_face(expected))
        )


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a frame kept for a second look; crops are taken out of it."""

    picture: NDArray[np.uint8]
    picture_from_display: Matrix

    def detect(self) -> Sequence[Detection]:
        return ()

    def crop(self, crop_from_display: Matrix, size: int) -> NDArray[np.uint8]:
        matrix = compose(crop_from_display, invert(self.picture_from_display))
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
