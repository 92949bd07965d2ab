"""What was laid over the picture after it was filmed: subtitles, credits, watermarks, logos.

Such a thing has hard edges that stand still in the picture, or all move by one step, while the face under them moves
otherwise. Edges of each frame are kept while the frames are read (`OverlayFinder.see`). Then runs of frames in
which an edge stays where it was are followed forward: one that the face moved away under, across the edge, belongs to
an overlay, and so does its whole run, which the way back marks. A face that does not move at all needs no mask either,
for its texture comes from where it goes.

In a frame, the strokes between such edges, and colors near them that the face never shows, are the overlay
(`Edges.matte`). Where the ground of a text is another than what surrounds it, the text has a box, which belongs to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.faces import align, landmark_layout
from dubkit.records import Floats, Indices, Mask

Plane = NDArray[np.uint8] | NDArray[np.uint16]
Bits = NDArray[np.uint8]

_UNIT = 90.0  # pixels of a canonical unit at most, at which edges are found
_AROUND = 0.5  # canonical units around the lower face that are looked at
# of 255, between two pixels that lie two apart: an edge that begins, and one that goes on
_STRONG, _WEAK = 30, 20
_SECONDS = 0.35  # that an edge must stay
_HARD = 0.95  # of these frames, in which it must be strong
_HARD_IN_A_ROW = 10  # frames: with no more than one in 20 weak, so many in a row are strong
_GAP = 2  # rows from one frame to the next, at most, over which an edge goes on
_MOVED, _LEAST_MOVED = 0.04, 3.0  # canonical units and pixels that the face must move meanwhile
_CELL = 8  # pixels across which the face's motion is taken as one
_MOVING = 4  # frames over which the step of a moving overlay is measured
_FASTEST = 0.15  # canonical units a frame that an overlay moves at most
_AGREED = 3  # measurements in a row that must agree
_FOUND_AGAIN = 0.3  # of all edges, at least, in a frame some steps later
_CLEARLY = 2.0  # times as many as at most other steps
# canonical units across and down by which edges of one overlay are apart at most
_LINE, _HIGH = 0.16, 0.08
LEAST = 60  # pixels of proven edge in an overlay
_LEAST_INSIDE = 8  # and of these over the face
_SURE_GROUND = 45.0  # and from which on it is a box for sure, which hides the face
_STROKE = 0.045  # canonical units: strokes as thin as this are known by their edges
_WIDER = 0.18  # canonical units: what is as wide as this is no stroke
_BEYOND = 14.0  # of 255, by which a color must lie outside all that the face shows
_GROUND = 20.0  # of 255, by which the ground of a text must differ from what surrounds it
_IN_MOUTH = 0.6  # share of a line of edges, above which they are lips
_RIM = 4  # pixels around a text that are compared with its ground
_SPREAD = 2  # pixels around the overlay that belong to it: outlines, and what coding smeared
_SKULL = np.concatenate([landmark_layout.STABLE, landmark_layout.NOSE_BRIDGE])
_FACE = np.concatenate(
    [
        landmark_layout.LIPS,
        landmark_layout.JAW,
        landmark_layout.CHIN,
        landmark_layout.CHEEKS,
        landmark_layout.NOSE_TIP,
        landmark_layout.NOSTRILS,
    ]
)
# bits of an edge map: weak ones by axis and sign, then strong ones by axis
_AXES = ((1, 2, 16), (4, 8, 32))  # of x and y: rising, falling, strong
_WEAKLY, _STRONGLY = 15, 48
_PROVEN = 0x44  # marks of an edge that the face moved away under, on either axis
# edges over a face, in canonical units of length, that make an overlay certain: real faces without any had up to 4 in
# ten clips (coding blocks, stripes behind a head), text and logos 14 and more
_SURELY = 8.0
_WITHIN = 0.85  # of the lower face around the mouth: without its outline


@dataclass(frozen=True, slots=True)
class _Seen:
    """The edges of one frame."""

    row: int
    x: int  # of the map's first column, in working pixels
    y: int
    shape: tuple[int, int]
    places: Bits  # where there are edges, 8 pixels in a byte
    values: Bits  # their bits, in order

    def bits(self) -> Bits:
        height, width = self.shape
        found = np.zeros(height * width, np.uint8)
        found[np.unpackbits(self.places, count=height * width).view(np.bool_)] = self.values
        return found.reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Edges:
    """The edges of an overlay in one frame."""

    factor: int  # pixels of the luma plane in a working pixel
    x: int
    y: int
    proven: Mask  # (H, W) working pixels: edges that the face moved away under
    lasting: Mask  # (H, W) edges that stay, these among them

    def plane_from_working(self) -> align.Matrix:
        """Working pixels of this map -> pixels of the luma plane."""
        shift = (self.factor - 1) / 2
        return np.array(
            [
                [self.factor, 0, self.factor * self.x + shift],
                [0, self.factor, self.factor * self.y + shift],
            ]
        )

    def covers(self, points: Floats) -> bool:
        """Whether an overlay lies over ``points`` (N, 2), in working pixels of the luma plane."""
        low, high = points.min(0) - (self.x, self.y), points.max(0) - (self.x, self.y)
        (x0, y0), (x1, y1) = (np.maximum(np.round(end), 0).astype(int) for end in (low, high))
        return int(self.proven[y0 : y1 + 1, x0 : x1 + 1].sum()) >= LEAST // 2

    def blocks(self, unit: float) -> tuple[NDArray[np.int32], list[int]]:
        """(H, W) the number of the text that each pixel lies in, 0 for none, and the numbers in use; ``unit`` working
        pixels of a canonical unit.
        """
        across, down = (2 * round(reach * unit / 2) + 1 for reach in (_LINE, _HIGH))
        reach = cv2.dilate(self.lasting.astype(np.uint8), np.ones((3, 3), np.uint8))
        block = cv2.morphologyEx(reach, cv2.MORPH_CLOSE, np.ones((down, across), np.uint8))
        count, labels = cv2.connectedComponents(block)
        edges = np.bincount(labels[self.proven], minlength=count)
        large = edges >= LEAST
        large[0] = False
        return np.where(large, np.arange(count, dtype=np.int32), 0)[labels], np.flatnonzero(
            large
        ).tolist()

    def around(self, unit: float) -> Mask:
        """(H, W) the rectangles in which texts lie."""
        labels, numbers = self.blocks(unit)
        found = np.zeros(labels.shape, np.bool_)
        for number in numbers:
            y, x = np.nonzero(labels == number)
            found[y.min() : y.max() + 1, x.min() : x.max() + 1] = True
        return found

    def within(self, part: Mask, unit: float) -> Edges:
        """The same without the texts that do not lie over ``part`` (H, W): background beside a head that moves."""
        labels, numbers = self.blocks(unit)
        count = np.bincount(labels[self.proven & part], minlength=max(numbers, default=0) + 1)
        over = (count >= _LEAST_INSIDE)[labels] & (labels > 0)
        return replace(self, proven=self.proven & over, lasting=self.lasting & over)

    def beside(self, mouth: Mask, unit: float) -> Edges:
        """The same without what lies over the ``mouth`` (H, W) alone: lips, whose landmarks were uncertain."""
        line = np.ones((3, 2 * round(_LINE * unit / 2) + 1), np.uint8)
        lines = cv2.morphologyEx(self.proven.astype(np.uint8), cv2.MORPH_CLOSE, line)
        count, labels = cv2.connectedComponents(lines)
        whole, inside = (
            np.bincount(labels[there], minlength=count)
            for there in (self.proven, self.proven & mouth)
        )
        gone = (inside > _IN_MOUTH * whole)[labels] & self.proven
        return replace(self, proven=self.proven & ~gone, lasting=self.lasting & ~gone)

    def matte(
        self, colors: Floats, unit: float, mouth: Mask, usual: Usual
    ) -> tuple[Floats, Floats]:
        """(H, W) 0..1 where the overlay is, and (H, W) 0 or 1 where it is a box or as wide as one.

        ``colors`` (H, W, planes) in 255ths, ``mouth`` (H, W) where the lips are, ``usual`` the colors of the face.
        """
        labels, numbers = self.blocks(unit)
        block = labels > 0
        if not numbers:
            return np.zeros(block.shape, np.float32), np.zeros(block.shape, np.float32)
        stroke = 2 * round(_STROKE * unit / 2) + 1
        near = cv2.dilate(self.proven.astype(np.uint8), np.ones((stroke, stroke), np.uint8)) > 0
        lasting = (self.lasting & near & block).astype(np.uint8)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (stroke, stroke))
        found = cv2.morphologyEx(lasting, cv2.MORPH_CLOSE, kernel) > 0
        found |= _touching(usual.foreign(colors, mouth), found, block)
        strokes, boxes = found.copy(), np.zeros(block.shape, np.float32)
        for number in numbers:
            inside = labels == number
            apart = _ground(found, inside, colors)
            boxes[inside] = apart > _SURE_GROUND
            if apart > _GROUND:
                found |= inside
        wide = 2 * round(_WIDER * unit / 2) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
        opened = cv2.morphologyEx(strokes.astype(np.uint8), cv2.MORPH_OPEN, kernel)
        boxes = np.maximum(boxes, opened.astype(np.float32))
        spread = np.ones((2 * _SPREAD + 1, 2 * _SPREAD + 1), np.uint8)
        whole = cv2.dilate(found.astype(np.uint8), spread).astype(np.float32)
        soft = np.maximum(whole, cv2.GaussianBlur(whole, (0, 0), 1.0))
        return np.asarray(soft, np.float32), boxes


@dataclass(frozen=True, slots=True)
class Usual:
    """The range of the colors that a face shows; (planes,) in 255ths each."""

    low: Floats
    high: Floats

    @classmethod
    def of(cls, colors: Floats) -> Usual:
        """Of (N, planes) colors that are seen of it."""
        low, high = np.percentile(colors, [0.5, 99.5], axis=0).astype(np.float32)
        return cls(low - _BEYOND, high + _BEYOND)

    def foreign(self, colors: Floats, mouth: Mask) -> Mask:
        """(H, W) which of ``colors`` (H, W, planes) the face never shows. In a ``mouth`` (H, W), which may be hidden
        whenever it is open, only what is brighter counts.
        """
        above, below = colors > self.high, colors < self.low
        return np.where(mouth, above[..., 0], (above | below).any(-1))


def _touching(there: Mask, found: Mask, block: Mask) -> Mask:
    """What is ``there`` in one piece with what was ``found``, or in the ``block``; (H, W) all."""
    _, labels = cv2.connectedComponents((there | found).astype(np.uint8))
    return there & (block | np.isin(labels, np.unique(labels[found])))


def _ground(found: Mask, block: Mask, colors: Floats) -> float:
    """How far in a ``block`` the ground of what was ``found`` is from what surrounds it, in 255ths; (H, W) all."""
    y0, x0 = np.maximum(np.argwhere(block).min(0) - _RIM, 0)
    y1, x1 = np.argwhere(block).max(0) + _RIM + 1
    part = (slice(y0, y1), slice(x0, x1))
    inside = block[part].astype(np.uint8)
    ground = (inside > 0) & (cv2.dilate(found[part].astype(np.uint8), np.ones((3, 3))) == 0)
    near = cv2.dilate(inside, np.ones((2 * _RIM + 1, 2 * _RIM + 1))) > 0
    near &= cv2.dilate(inside, np.ones((_RIM + 1, _RIM + 1))) == 0
    if ground.sum() < LEAST or not near.any():
        return 0.0
    seen = colors[part]
    apart = np.abs(np.median(seen[ground], 0) - np.median(seen[near], 0)).max()
    return float(apart)


class OverlayFinder:
    """Finds what lies over one face of a shot. ``faces`` (T, L, 2) are its landmarks in the luma plane, ``scale`` (T,)
    pixels of a canonical unit there.
    """

    def __init__(self, faces: Floats, scale: Floats, rate: float, depth: int) -> None:
        self._unit = float(np.median(scale))
        self.factor = max(1, round(self._unit / _UNIT))
        self._faces = (faces + 0.5) / self.factor - 0.5
        self._least = max(3, round(_SECONDS * rate))
        self._shift = depth - 8
        self._seen: list[_Seen] = []

    @property
    def unit(self) -> float:
        """Working pixels of a canonical unit."""
        return self._unit / self.factor

    def nothing(self, row: int) -> Edges:
        """A map of edges of a row in which there are none."""
        seen = next((s for s in self._seen if s.row == row), None)
        x, y, shape = (seen.x, seen.y, seen.shape) if seen else (0, 0, (1, 1))
        empty = np.zeros(shape, np.bool_)
        return Edges(self.factor, x, y, empty, empty)

    def lips(self, row: int) -> Floats:
        """(N, 2) the lips of a row, in working pixels of the luma plane."""
        return np.asarray(self._faces[row][landmark_layout.LIPS], np.float32)

    def see(self, luma: Plane, row: int) -> None:
        """Keep the edges of a frame; frames come in order."""
        factor, around = self.factor, _AROUND * self.unit
        points = self._faces[row][_FACE]
        height, width = (side // factor for side in luma.shape)
        x0, y0 = np.clip(np.floor(points.min(0) - around), 0, (width, height)).astype(int)
        x1, y1 = np.clip(np.ceil(points.max(0) + around), (x0, y0), (width, height)).astype(int)
        if x1 - x0 < _CELL or y1 - y0 < _CELL:
            return
        part: NDArray[Any] = luma[y0 * factor : y1 * factor, x0 * factor : x1 * factor]
        if factor > 1:
            part = cv2.resize(part, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        eight = (part >> self._shift).astype(np.uint8)
        bits = np.zeros(eight.shape, np.uint8)
        for axis, (up, down, strong) in enumerate(_AXES):
            ahead, behind = (eight[:, 2:], eight[:, :-2]) if axis == 0 else (eight[2:], eight[:-2])
            inside = bits[:, 1:-1] if axis == 0 else bits[1:-1]
            for bit, rise in (
                (up, cv2.subtract(ahead, behind)),
                (down, cv2.subtract(behind, ahead)),
            ):
                for least, value in ((_WEAK, bit), (_STRONG, strong)):
                    there = cv2.threshold(rise, least - 1, value, cv2.THRESH_BINARY)[1]
                    inside |= there.astype(np.uint8, copy=False)
        edges = bits.ravel() > 0
        values = bits.ravel()[edges]
        self._seen.append(
            _Seen(row, int(x0), int(y0), (y1 - y0, x1 - x0), np.packbits(edges), values)
        )

    def found(self) -> dict[int, Edges]:
        """What lies over the face in each row; rows without anything are left out."""
        edges: dict[int, Edges] = {}
        for steps in [np.zeros((len(self._seen), 2), np.float32), *self._moving()]:
            for row, new in self._followed(steps).items():
                old = edges.get(row)
                if old is not None:
                    proven, lasting = old.proven | new.proven, old.lasting | new.lasting
                    new = Edges(new.factor, new.x, new.y, proven, lasting)
                edges[row] = new
        return edges

    def _moving(self) -> list[Floats]:
        """For each moving overlay (N, 2) where it is in each frame that was seen, in working pixels."""
        measured: list[Floats | None] = [None] * len(self._seen)
        before: tuple[_Seen, Floats] | None = None
        for number, seen in list(enumerate(self._seen))[::_MOVING]:
            strong = np.asarray((seen.bits() & _STRONGLY) > 0, np.float32)
            if before is not None and seen.row - before[0].row == _MOVING:
                reach = _MOVING * _FASTEST * self.unit
                measured[number] = _shift_between(before, (seen, strong), reach)
            before = (seen, strong)
        steps = measured[::_MOVING]
        found: list[Floats] = []
        for k in range(len(steps) - _AGREED + 1):
            some = steps[k : k + _AGREED]
            if any(s is None for s in some):
                continue
            same = np.array(some, np.float64)
            mean = same.mean(0) / _MOVING
            if np.ptp(same, axis=0).max() > 2 or np.abs(mean).max() * _MOVING < 3:
                continue
            if all(np.abs(mean - f[1] + f[0]).max() > 0.5 for f in found):
                found.append(np.arange(len(self._seen))[:, None] * mean[None].astype(np.float32))
        return found

    def _followed(self, places: Floats) -> dict[int, Edges]:
        """The edges of what lies over the face and moves as ``places`` (N, 2) say."""
        if len(self._seen) < self._least:
            return {}
        at = np.round(places).astype(int)
        corners = np.array([[s.x, s.y] for s in self._seen]) - at
        sizes = np.array([s.shape[::-1] for s in self._seen])
        low = corners.min(0)
        corners -= low
        width, height = (corners + sizes).max(0)
        loose = bool(at.any())  # a step of part of a pixel
        points = self._candidates(corners, (height, width), loose)
        if len(points) < LEAST:
            return {}
        share = 0.0 if loose else 0.5  # of the frames: what scrolls lies over a face for moments
        size = (height, width)
        over = points[self._over_faces(points, corners, size, share)]
        if len(over) >= _SURELY * self.unit:
            over = over[self._lasts_hard(over, corners, size, loose)]
        if len(over) < _SURELY * self.unit:
            return {}
        proven = [
            np.count_nonzero(marks.bits & _PROVEN)
            for marks in self._marks(over, corners, at, size, loose)
        ]
        sure = np.array(proven) >= _SURELY * self.unit
        if sure.sum() < self._least:  # coding blocks, and what lies behind a face, stand still too
            return {}
        marks = list(self._marks(points, corners, at, size, loose))
        return self._marked(marks, points, corners)

    def _over_faces(
        self, points: Indices, corners: Indices, size: tuple[int, int], share: float
    ) -> Mask:
        """(K,) which of ``points`` (K, 2) lie in the lower face and off its outline, in a ``share`` of the frames."""
        count = np.zeros(size, np.uint16)
        for number, seen in list(enumerate(self._seen))[:: self._least]:
            face = self._faces[seen.row]
            outline = np.concatenate([face[landmark_layout.JAW], face[landmark_layout.NOSE_TIP]])
            middle = face[landmark_layout.LIPS].mean(0)
            place = corners[number] - np.array([seen.x, seen.y])
            within = cv2.convexHull(
                (middle + _WITHIN * (outline - middle) + place).astype(np.float32)
            )
            drawn = np.zeros(size, np.uint8)
            cv2.fillPoly(drawn, [np.round(within).astype(np.int32)], 1)
            count += drawn
        most = len(range(0, len(self._seen), self._least))
        return np.asarray(count[points[:, 1], points[:, 0]] >= max(1.0, share * most))

    def _lasts_hard(
        self, points: Indices, corners: Indices, size: tuple[int, int], loose: bool
    ) -> Mask:
        """(K,) at which of ``points`` (K, 2) an edge is strong in as many frames in a row as any that can be proven."""
        kinds = np.array([[axis[s] | axis[2]] for axis in _AXES for s in (0, 1)], np.uint8)
        length = np.zeros((len(kinds), len(points)), np.uint8)
        most = np.zeros(len(points), np.uint8)
        last = -1
        for seen, here in zip(self._seen, self._bits_at(points, corners, size, loose), strict=True):
            there = (here & kinds) == kinds
            length = (np.minimum(length, 254) * (seen.row - last <= _GAP) + 1) * there
            most, last = np.maximum(most, length.max(0)), seen.row
        return np.asarray(most >= min(self._least, _HARD_IN_A_ROW), np.bool_)

    def _bits_at(
        self, points: Indices, corners: Indices, size: tuple[int, int], loose: bool
    ) -> Iterator[Bits]:
        """(K,) the bits of the edges at ``points`` (K, 2), frame by frame; ``loose``: also of those beside them."""
        sheet = np.zeros((size[0] + 2, size[1] + 2), np.uint8)
        places = (points[:, 1] + 1) * sheet.shape[1] + points[:, 0] + 1
        for (x, y), seen in zip(corners + 1, self._seen, strict=True):
            sheet[:] = 0
            sheet[y : y + seen.shape[0], x : x + seen.shape[1]] = seen.bits()
            flat = sheet.ravel()
            here = flat.take(places)
            for step in (1, -1, sheet.shape[1], -sheet.shape[1]) if loose else ():
                here |= flat.take(places + step)
            yield here

    def _marks(
        self, points: Indices, corners: Indices, at: Indices, size: tuple[int, int], loose: bool
    ) -> Iterator[_Marks]:
        """What is known of the edges at ``points`` (K, 2) in each frame: bits of `_Runs.step`, four an axis.

        Only points where an edge is or goes on are worked on: in a frame few of them are.
        """
        runs = [_Runs(len(points), self.unit, self._least) for _ in range(2)]
        last: int | None = None
        for number, here in enumerate(self._bits_at(points, corners, size, loose)):
            seen = self._seen[number]
            some = np.flatnonzero(here & _STRONGLY | runs[0].sign | runs[1].sign)
            here = here[some]
            goes_on = last is not None and seen.row - self._seen[last].row <= _GAP
            moved = np.zeros((len(some), 2), np.float32)
            if last is not None and len(some):
                place = points[some] - corners[number] + np.array([seen.x, seen.y])
                moved = self._motion(last, number, place) - (at[number] - at[last])
            found = np.zeros(len(some), np.uint8)
            for axis, names in enumerate(_AXES):
                found |= runs[axis].step(some, here, names, moved[:, axis], goes_on) << (4 * axis)
            yield _Marks(some.astype(np.int32), found)
            last = number

    def _candidates(self, corners: Indices, size: tuple[int, int], loose: bool) -> Indices:
        """(K, 2) x and y of the pixels in which an edge stays long enough to be looked at."""
        found = np.zeros(size, np.bool_)
        third = max(1, self._least // 3)
        recent: list[tuple[int, Bits]] = []
        for number, seen in list(enumerate(self._seen))[::third]:
            bits: Bits = seen.bits() & np.uint8(_WEAKLY)
            if loose:
                bits = cv2.dilate((bits > 0).astype(np.uint8), _CROSS).astype(np.uint8, copy=False)
            recent = [*recent[-2:], (number, bits)]
            if len(recent) < 3:
                continue
            starts = np.array([corners[n] for n, _ in recent])
            ends = np.array([corners[n] + b.shape[::-1] for n, b in recent])
            (x0, y0), (x1, y1) = starts.max(0), ends.min(0)
            if x1 <= x0 or y1 <= y0:
                continue
            parts = [
                b[y0 - y : y1 - y, x0 - x : x1 - x]
                for (x, y), (_, b) in zip(starts, recent, strict=True)
            ]
            found[y0:y1, x0:x1] |= (parts[0] & parts[1] & parts[2]) > 0
        return np.argwhere(found)[:, ::-1]

    def _motion(self, last: int, number: int, points: Indices) -> Floats:
        """(K, 2) how far the face moved at ``points`` (K, 2), working pixels, between two frames that were seen."""
        now, before = (self._faces[self._seen[n].row] for n in (number, last))
        cells = np.maximum(points, 0) // _CELL
        across = int(cells[:, 0].max()) + 1
        names = cells[:, 1] * across + cells[:, 0]
        place = np.zeros(int(names.max()) + 1, np.intp)
        place[names] = 1
        used = np.flatnonzero(place)
        place[used] = np.arange(len(used))
        middles = (
            np.stack([used % across, used // across], 1).astype(np.float32) * _CELL + _CELL / 2
        )
        face = now[_FACE]
        # the square of the distance, but for the square of the middle itself
        apart = (face * face).sum(1) - 2 * (middles @ face.T)
        nearest = apart.argmin(1)
        moved = (now - before)[_FACE][nearest]
        # teeth hang on the skull, whatever lips do
        inner, reach = now[landmark_layout.LIPS_INNER], self.unit * _MOVED
        teeth = ((middles > inner.min(0) - reach) & (middles < inner.max(0) + reach)).all(1)
        skull = align.similarity(now[_SKULL], before[_SKULL])
        head = middles - align.apply(skull, middles)
        moved = np.where(teeth[..., None], head, moved)
        # a jaw that moves under a head at rest moves no cheek: both must
        least = np.where(np.abs(head) < np.abs(moved), head, moved)
        moved = np.where(np.sign(head) == np.sign(moved), least, 0).astype(np.float32)
        return np.asarray(moved[place[names]], np.float32)

    def _marked(
        self, marks: Sequence[_Marks], points: Indices, corners: Indices
    ) -> dict[int, Edges]:
        """The way back: what is true at the end of a run is true of all of it."""
        found: dict[int, Edges] = {}
        after = np.zeros(len(points), np.uint8)  # of the run that goes on
        for number in reversed(range(len(marks))):
            seen = self._seen[number]
            marked = np.zeros(len(points), np.uint8)
            marked[marks[number].some] = marks[number].bits
            goes_on = (after >> 1) & 0x11  # the next frame's edge continues this one's
            truth = (marked & 0xCC) | (after & (goes_on * np.uint8(12)))
            truth &= (marked & 0x11) * np.uint8(12)
            after = np.asarray((marked & 0x33) | truth, np.uint8)
            if np.count_nonzero(after & _PROVEN) < LEAST:
                continue
            maps = []
            for bit in (_PROVEN, 0xCC):
                local = points[(after & bit) > 0] - corners[number]
                x, y = local[((local >= 0) & (local < seen.shape[::-1])).all(1)].T
                there = np.zeros(seen.shape, np.bool_)
                there[y, x] = True
                maps.append(there)
            found[seen.row] = Edges(self.factor, seen.x, seen.y, *maps)
        return found


@dataclass(frozen=True, slots=True)
class _Marks:
    """What is known of the edges of one frame."""

    some: Indices  # (M,) which of the points
    bits: Bits  # (M,)


class _Runs:
    """K edges along one axis that stay where they are, frame by frame."""

    def __init__(self, count: int, unit: float, least: int) -> None:
        self._least, self._far = least, max(_MOVED * unit, _LEAST_MOVED)
        self.sign = np.zeros(count, np.int8)  # of the edges that go on; 0 where none does
        self._missed = np.zeros(count, np.bool_)
        self._count = np.zeros(count, np.int16)
        self._length, self._hard = (np.zeros(count, np.int32) for _ in range(2))  # of a whole shot
        self._at, self._low, self._high = (np.zeros(count, np.float32) for _ in range(3))

    def step(
        self, some: Indices, bits: Bits, names: tuple[int, int, int], moved: Floats, goes_on: bool
    ) -> Bits:
        """The next frame, all (M,), of the points ``some``: those that go on, and those with a strong edge.

        Bits: 1 an edge, 2 it was there before, 4 the face moved away under it, 8 it stayed long.
        """
        up, down, hard = names
        rises, falls, strong = ((bits & bit) > 0 for bit in (up, down, hard))
        sign = self.sign[some]
        same = np.where(sign > 0, rises, falls & (sign < 0))
        # one frame may miss it
        held = (sign != 0) & ~same & ~self._missed[some] & ~strong
        if not goes_on:
            same, held = np.zeros_like(same), np.zeros_like(held)
        new = ~same & ~held & strong
        on = same | held | new
        at = np.where(new, np.float32(0), self._at[some] + moved)
        count = np.where(new, 1, np.minimum(self._count[some] + 1, self._least)) * on
        length = np.where(new, 1, self._length[some] + 1) * on
        hard = (np.where(new, 0, self._hard[some]) + strong) * on
        low = np.where(new, at, np.minimum(self._low[some], at))
        high = np.where(new, at, np.maximum(self._high[some], at))
        self.sign[some] = np.where(new, np.where(rises, 1, -1), sign).astype(np.int8) * on
        self._missed[some], self._count[some] = held, count
        self._length[some], self._hard[some] = length, hard
        self._at[some], self._low[some], self._high[some] = at, low, high
        long = on & (count >= self._least)
        # one edge after another passes a pixel of hair and lips; what was laid over the picture is as hard all the time
        proven = long & (high - low >= self._far) & (hard >= _HARD * length)
        flags = (on, same | held, proven, long)
        return np.asarray(sum(flag.astype(np.uint8) << k for k, flag in enumerate(flags)), np.uint8)


_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def _shift_between(
    before: tuple[_Seen, Floats], after: tuple[_Seen, Floats], reach: float
) -> Floats | None:
    """(2,) the step in working pixels by which most edges move that do not stay; None where none clearly is."""
    (a, first), (b, second) = before, after
    height, width = (max(a.shape[k], b.shape[k]) for k in range(2))
    size = (cv2.getOptimalDFTSize(height), cv2.getOptimalDFTSize(width))
    padded = np.zeros((2, *size), np.float32)
    for sheet, edges in zip(padded, (first, second), strict=True):
        sheet[: edges.shape[0], : edges.shape[1]] = edges
    # OpenCV takes a third of the time that numpy does; the matches are counts
    product = cv2.mulSpectrums(cv2.dft(padded[1]), cv2.dft(padded[0]), 0, conjB=True)
    match = np.rint(cv2.dft(product, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE))
    shift = np.array([b.x - a.x, b.y - a.y])
    limit = int(reach)
    y, x = np.mgrid[-limit : limit + 1, -limit : limit + 1]
    table = match[(y - shift[1]) % size[0], (x - shift[0]) % size[1]]
    straight = (np.abs(x) <= 1) | (np.abs(y) <= 1)  # credits and crawls
    far = np.maximum(np.abs(x), np.abs(y)) >= 3
    ahead = np.where(straight & far, table, 0)
    best = int(ahead.argmax())
    level = float(np.median(table[straight & far]))
    total = float(first.sum())
    if total < LEAST or ahead.flat[best] < max(_FOUND_AGAIN * total, _CLEARLY * level):
        return None
    return np.array([x.flat[best], y.flat[best]], np.float64)
