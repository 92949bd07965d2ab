"""A rendered face beside the source, both in the source's canonical crop: seam, flicker, likeness, all else untouched.

Nothing is kept of a picture but sums. On luma, 0 to 1; `D` is the result less the source.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.metrics.picture import Luma, lower_face
from dubkit.records import Floats

REACH = 0.35  # face widths around the lower face that a dub may change
_MARK = 85  # percentile of the skin that is told
_NEAR, _PLAIN = (
    9,
    0.02,
)  # pixels within which the source's detail counts; detail that plain skin is given
_LIPS = 1 / 16  # of the crop's side around the lips: what moves there lasts by chance
_WORST = 95  # percentile of the frames
_FINE = 1 / 16  # of the crop's side: coarser than this is light, not looks


@dataclass(frozen=True, slots=True)
class Zones:
    """Parts of the crop, (S, S) each."""

    skin: NDArray[np.bool_]  # of the face, its lips left out
    lower: NDArray[np.bool_]  # of the skin: what a dub paints
    far: NDArray[np.bool_]  # what a dub may not touch


def zones(points: Floats, side: int) -> Zones:
    """From landmarks (L, 2) in crop pixels."""
    shape = (side, side)
    face = _hull(points[landmark_layout.OVAL], side)
    reach = 2 * round(_LIPS * side) + 1
    lips = (
        cv2.dilate(_hull(points[landmark_layout.LIPS], side), np.ones((reach, reach), np.uint8)) > 0
    )
    skin = (cv2.erode(face, np.ones((5, 5), np.uint8)) > 0) & ~lips
    far = ~lower_face(points, shape, REACH)
    edge = np.zeros(shape, np.bool_)
    edge[3:-3, 3:-3] = True
    return Zones(skin, skin & lower_face(points, shape, 0.0), far & edge)


def _hull(points: Floats, side: int) -> NDArray[np.uint8]:
    drawn = np.zeros((side, side), np.uint8)
    hull = cv2.convexHull(points.astype(np.float32))
    cv2.fillConvexPoly(drawn, np.round(hull).astype(np.int32), 1)
    return drawn


@dataclass(slots=True)
class CropSums:
    """What is added up over the frames of one face."""

    _zones: Zones | None = None
    _source: list[Luma] = field(default_factory=list)  # one sum
    _made: list[Luma] = field(default_factory=list)
    _rows: list[int] = field(default_factory=list)
    _light: list[float] = field(default_factory=list)  # mean of D on the lower skin
    _outside: list[float] = field(default_factory=list)  # mean of abs D far away

    def add(self, row: int, source: Luma, made: Luma, points: Floats) -> None:
        """One frame: crops (S, S) and the source's landmarks (L, 2) in them."""
        if self._zones is None:
            self._zones = zones(points, len(source))
            blank = np.zeros(source.shape, np.float32)
            self._source, self._made = [blank], [blank.copy()]
        self._source[0] += source
        self._made[0] += made
        difference = made - source
        self._rows.append(row)
        self._light.append(_mean(difference, self._zones.lower))
        self._outside.append(_mean(np.abs(difference), self._zones.far))

    def measures(self) -> dict[str, float]:
        """``seam``, ``flicker``, ``outside``, ``likeness``, as `checks.LIMITS` names them."""
        if self._zones is None:
            return {}
        share = np.float32(1 / len(self._rows))
        a, b = self._source[0] * share, self._made[0] * share
        found = {
            "seam": _marks(a, b, self._zones.skin),
            "outside": float(np.percentile(self._outside, _WORST)),
        }
        if self._zones.lower.any():
            found["likeness"] = _alike(a, b, self._zones.lower)
            changes = self._changes()
            if len(changes) >= 3:
                found["flicker"] = float(np.abs(changes).mean())
        return found

    def _changes(self) -> NDArray[np.float64]:
        """Second differences in time, of frames that follow one another."""
        light, rows = np.array(self._light), np.array(self._rows)
        return np.asarray(np.diff(light, 2)[(rows[2:] - rows[:-2]) == 2], np.float64)


def _mean(values: Luma, where: NDArray[np.bool_]) -> float:
    return float(values[where].mean()) if where.any() else 0.0


def _marks(source: Luma, made: Luma, where: NDArray[np.bool_]) -> float:
    """How much detail the lasting difference has, beside what the source has nearby.

    A border that stands still adds up over the frames, texture does not; jaw, beard and folds that move have their
    own detail beside them.
    """
    if not where.any():
        return 0.0
    reach = np.ones((_NEAR, _NEAR), np.uint8)
    near = cv2.dilate(np.abs(_detail(source)), reach)
    return float(np.percentile((np.abs(_detail(made - source)) / (near + _PLAIN))[where], _MARK))


def _detail(picture: Luma) -> Luma:
    """A pass band: neither noise nor light."""
    smooth, light = (cv2.GaussianBlur(picture, (0, 0), len(picture) / part) for part in (85, 30))
    return np.asarray(smooth - light, np.float32)


def _alike(a: Luma, b: Luma, where: NDArray[np.bool_]) -> float:
    """Correlation of the mean pictures' detail, -1 to 1; light and colour do not count."""
    sigma = _FINE * len(a)
    x, y = ((p - cv2.GaussianBlur(p, (0, 0), sigma))[where] for p in (a, b))
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / max(float(np.sqrt((x * x).sum() * (y * y).sum())), 1e-9))
