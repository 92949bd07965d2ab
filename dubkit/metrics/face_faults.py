"""Faults that an editor sees at once in a dubbed face: stains, second chin edges, teeth that switch, pieces beyond it.

Each frame's picture is held against the filmed one in the canonical crop, where neither moves with the head. All are
measured where result and source are compared; what depends on where the mouth and the jaw of the *result* are waits
until its landmarks are found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout
from dubkit.records import Floats

Luma = NDArray[np.float32]
Mask = NDArray[np.bool_]

STAIN_SIDE = 48  # pixels of the crop in which color is compared: coarse, a stain is broad
_OFTEN, _LASTING = 90, 75  # percentiles of the frames that are reported
# canonical units (distances of the eyes)
_BROAD = 0.15  # of a stain
_LIPS = 0.08  # around both mouths: no skin that must agree
_PIECE = 99  # percentile of the pixels of a frame
_CLEAR = 0.12  # around both outlines, beyond which a dub has nothing to paint
_THROAT = 0.7  # to either side of the chin: the throat below it is repainted with the chin
_FINE = 0.06  # of a piece
_LEAST = 4  # times that four frames in a row show the inner mouth


@dataclass(frozen=True, slots=True)
class Look:
    """One frame as filmed and as made."""

    row: int
    source: Luma  # (S, S) canonical crop, 0 to 1
    made: Luma
    # (STAIN_SIDE, STAIN_SIDE, 2) color differences, the result's less the source's, 0 to 1; None: only its mouth counts
    color: Floats | None
    face: Floats  # (L, 2) the source's landmarks, canonical


@dataclass(frozen=True, slots=True)
class _Mouth:
    """The inner mouth of one frame."""

    row: int
    picture: Luma
    inside: NDArray[np.uint8]  # 0 or 1


@dataclass(slots=True)
class FaultSums:
    """The faults of one face, frame by frame; frames come in order."""

    _waiting: list[Look] = field(default_factory=list)
    _before: _Mouth | None = None  # the last one that was measured
    _changes: list[float | None] = field(default_factory=list)  # up to it, without a gap
    _stain: list[float] = field(default_factory=list)
    _edge: list[float] = field(default_factory=list)
    _pieces: list[float] = field(default_factory=list)
    _switch: list[float] = field(default_factory=list)

    def add(self, look: Look) -> None:
        """Take in a frame."""
        self._waiting.append(look)

    def settle(self, until: int, landmarks_at: Callable[[int], Floats]) -> None:
        """Measure what waits, up to the row ``until``; ``landmarks_at``: the result's canonical landmarks (L, 2)."""
        ready = [look for look in self._waiting if look.row <= until]
        self._waiting = self._waiting[len(ready) :]
        for look in ready:
            made = landmarks_at(look.row)
            self._follow(look, made)
            if look.color is None:
                continue
            self._stain.append(_stain(look.color, look.face, made))
            self._pieces.append(_pieces(look, made))
            edge = _chin_edge(look, made)
            self._edge += [] if edge is None else [edge]

    def _follow(self, look: Look, made: Floats) -> None:
        """Compare the inner mouth of four frames that follow one another."""
        mouth, before = _Mouth(look.row, look.made, _inner(made, len(look.made))), self._before
        self._before = mouth
        if before is None or mouth.row != before.row + 1:
            self._changes.clear()
            return
        self._changes = [*self._changes[-2:], _inner_change(before, mouth)]
        if len(self._changes) == 3:
            first, middle, last = self._changes
            if first is not None and middle is not None and last is not None:
                self._switch.append(max(0.0, middle - max(first, last)))

    def measures(self) -> dict[str, float]:
        """``stain``, ``chin_edge``, ``pieces``, ``switching``, as `metrics.definitions` has them; what was not seen is
        missing.
        """
        enough = self._switch if len(self._switch) >= _LEAST else []
        found = {
            "stain": (self._stain, _OFTEN),
            "chin_edge": (self._edge, _LASTING),
            "pieces": (self._pieces, _OFTEN),
            "switching": (enough, _OFTEN),
        }
        return {name: float(np.percentile(v, share)) for name, (v, share) in found.items() if v}


def _filled(shape: Sequence[Floats], matrix: align.Matrix, side: int) -> NDArray[np.uint8]:
    drawn = np.zeros((side, side), np.uint8)
    for points in shape:
        laid = np.round(align.apply(matrix, points) * 16).astype(np.int32)
        cv2.fillPoly(drawn, [laid], 1, cv2.LINE_8, 4)
    return drawn


def _square(units: float, matrix: align.Matrix) -> NDArray[np.uint8]:
    side = 2 * max(1, round(units * float(matrix[0, 0]))) + 1
    return np.ones((side, side), np.uint8)


def _hull(points: Floats) -> Floats:
    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], np.float32)


def _stain(color: Floats, source: Floats, made: Floats) -> float:
    """The largest change of the skin's color, low-passed, in 255ths."""
    matrix = align.crop_from_canonical(STAIN_SIDE)
    lips = [_hull(face[landmark_layout.LIPS_OUTER]) for face in (source, made)]
    skin = np.ones((STAIN_SIDE, STAIN_SIDE), np.uint8)
    for face in (source, made):
        skin &= _filled([face[landmark_layout.OVAL]], matrix, STAIN_SIDE)
    skin[cv2.dilate(_filled(lips, matrix, STAIN_SIDE), _square(_LIPS, matrix)) > 0] = 0
    if skin.sum() < 20:
        return 0.0
    sigma = _BROAD * float(matrix[0, 0])
    weight = cv2.GaussianBlur(skin.astype(np.float32), (0, 0), sigma)[..., None] + 1e-3
    low = cv2.GaussianBlur(color * skin[..., None], (0, 0), sigma) / weight
    return float(255 * np.abs(low)[skin > 0].max())


def _pieces(look: Look, made: Floats) -> float:
    """How much changed beyond the outlines of both faces, the throat left out; 0 to 1."""
    side = len(look.source)
    matrix = align.crop_from_canonical(side)
    faces = [_hull(face[landmark_layout.OVAL]) for face in (look.face, made)]
    reach = _square(_CLEAR, matrix)
    beyond = cv2.dilate(_filled(faces, matrix, side), reach) == 0
    chin = np.concatenate([face[landmark_layout.JAW[9:10]] for face in (look.face, made)])
    left, top = align.apply(matrix, chin.min(0) - np.array([_THROAT, 0.3]))
    right = align.apply(matrix, chin.max(0) + np.array([_THROAT, 0]))[0]
    beyond[
        max(0, round(float(top))) :, max(0, round(float(left))) : max(0, round(float(right)))
    ] = False
    beyond[:2], beyond[-2:], beyond[:, :2], beyond[:, -2:] = False, False, False, False
    if not beyond.any():
        return 0.0
    change = look.made - look.source
    low = cv2.GaussianBlur(change, (0, 0), _FINE * float(matrix[0, 0]))
    return float(np.percentile(np.abs(low)[beyond], _PIECE))


# along the jaw: points of it, how far in and out it is looked at, in canonical units
_ALONG, _IN, _OUT, _ACROSS = 24, 0.3, 0.45, 48
_AT_JAW = round(_ACROSS * _IN / (_IN + _OUT))
_SLACK = 5  # samples by which an edge may lie elsewhere
_PLAIN = 0.005  # steepness that a picture without edges is given


def _chin_edge(look: Look, made: Floats) -> float | None:
    """The strongest edge along the chin that is neither the filmed picture's there nor that of its jaw moved, over the
    strongest filmed one; None where the chin is not in the crop.
    """
    side = len(look.source)
    matrix = align.crop_from_canonical(side)
    there, own = (_rays(face, matrix) for face in (made, look.face))
    if max(ray[:, _AT_JAW, 1].max() for ray in (there, own)) > side - 1:
        return None
    shown, filmed = (_profiles(picture, there) for picture in (look.made, look.source))
    moved = _profiles(look.source, own)
    known = np.maximum(_near(filmed), _near(moved))
    return float(np.clip(shown - known, 0, None).max() / (known.max() + _PLAIN))


def _rays(face: Floats, matrix: align.Matrix) -> Floats:
    """(_ALONG, _ACROSS, 2) crop pixels: straight down through the chin, from inside of it."""
    jaw = face[landmark_layout.JAW[6:13]]
    at = np.linspace(0, len(jaw) - 1, _ALONG)
    points = np.stack([np.interp(at, np.arange(len(jaw)), jaw[:, k]) for k in (0, 1)], 1)
    steps = np.stack([np.zeros(_ACROSS), np.linspace(-_IN, _OUT, _ACROSS)], 1)
    return align.apply(matrix, points[:, None] + steps[None])


def _profiles(picture: Luma, rays: Floats) -> Floats:
    """(_ACROSS,) how steep the picture is across the jaw, in the mean along it."""
    values = cv2.remap(
        picture, rays[..., 0], rays[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(
        np.abs(np.diff(cv2.GaussianBlur(values, (3, 9), 0), axis=1).mean(0)), np.float32
    )


def _near(profile: Floats) -> Floats:
    """The highest within `_SLACK`."""
    return np.asarray(
        cv2.dilate(profile[None], np.ones((1, 2 * _SLACK + 1), np.uint8))[0], np.float32
    )


_SHIFT = (2, 1)  # pixels by which what is in the mouth moves from frame to frame, down and across
_SEEN = 12  # pixels of the inner mouth that both frames show


def _inner(face: Floats, side: int) -> NDArray[np.uint8]:
    """(S, S) 1 between the inner lips; nowhere in a shut mouth, which is a line."""
    drawn = _filled([face[landmark_layout.LIPS_INNER]], align.crop_from_canonical(side), side)
    return np.asarray(cv2.erode(drawn, np.ones((3, 1), np.uint8)), np.uint8)


def _inner_change(before: _Mouth, after: _Mouth) -> float | None:
    """How much the inner mouth differs between two frames, where it fits best; None where it is shut in either."""
    both = before.inside & after.inside
    side = len(both)
    if both.sum() < _SEEN:
        return None
    rows, columns = (np.flatnonzero(both.any(axis)) for axis in (1, 0))
    down, across = _SHIFT
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    if top < down or left < across or bottom > side - down or right > side - across:
        return None
    inside = both[top:bottom, left:right] > 0
    mouth = before.picture[top:bottom, left:right]
    least = np.inf
    for dy in range(-down, down + 1):
        for dx in range(-across, across + 1):
            other = after.picture[top + dy : bottom + dy, left + dx : right + dx]
            difference = (other - mouth)[inside]
            least = min(least, float((difference * difference).mean()))
    return float(np.sqrt(least))
