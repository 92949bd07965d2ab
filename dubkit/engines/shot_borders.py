"""Which cuts are cuts, and where one picture turns into another: dissolves, wipes, fades, flashes.

PySceneDetect compares colors, which noise, fast pans and fades spoil. Here small gray pictures are compared by their
structure: each block is sought in the other picture, near its place and where the camera's motion would bring it.
Noise averages out in so small a picture, light cancels in a normalized correlation, motion is followed. Over a cut less
than .56 of the picture is found again (40 of 42 random cuts), within a shot .6 and more, with flashes and shake.

- A cut that PySceneDetect proposes over a picture that goes on, or comes back after a flash, is none.
- A dissolve is found by its middle, which is a mixture of both ends; a wipe by places that show either end.
- A fade is a picture whose contrast goes away gradually.
- A flash is a picture between two that are one, or light that jumps and comes back.

Only the last seconds of small pictures are kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import cv2
import numpy as np

from dubkit.records import Floats, Picture, Shot, Transition

VERSION = "borders 2"  # changes whenever results may change
_LONG_SIDE, _BLOCK, _STRIDE = 64, 16, 12  # pixels of the small picture
_REACH = 6  # how far a block is sought
_FLAT = 2.0  # deviation of a block under which it shows nothing
_SURE = 0.9  # correlation at which a block counts as found without a search
_BLANK = 4.0  # deviation of a picture that shows nothing

_OTHER, _ELSE = (
    0.56,
    0.86,
)  # similarity under which it is another picture: alone, and with PySceneDetect's vote
_CALM, _CALM_OTHER = 0.93, 0.66  # alone, between neighbors that are as similar as this
_DROP = 0.15  # by how much it falls below that of its neighbors
# similarity of the ends of a dissolve and of a wipe: a head that turns before a wall is a wipe, place by place, but .58
# and more of the picture is found again
_DISSOLVED, _WIPED = 0.65, 0.52
_SAME = 0.8  # from which a picture after a flash is the one before it
_FLASH_SECONDS, _CALM_SECONDS = (
    0.4,
    0.5,
)  # longest flash; light that jumps again within this time flickers
_HALVES = (0.2, 0.36, 0.64, 1.2)  # seconds: half of the spans in which transitions are sought
_FADE_SECONDS = 1.2  # longest half of a fade
_KINDS = ("fade", "dissolve", "wipe", "insert", "flash")  # the surest first
_JUMP = 0.15  # of the logarithm of the light


@dataclass(slots=True)
class _Seen:
    """What is kept of a picture for the whole film."""

    contrast: float
    likeness: float  # share of it that the picture before shows
    jump: float  # of the light, over nearly all of the picture; 0: none


@dataclass(slots=True)
class BorderFinder:
    """Takes a film's pictures in order; `shots` tells what was found. ``rate`` in frames a second."""

    rate: float
    proposed: set[int] = field(
        default_factory=set
    )  # cuts of another detector, up to the look ahead late
    _small: dict[int, Floats] = field(default_factory=dict)
    _soft: dict[int, Floats] = field(default_factory=dict)
    _seen: list[_Seen] = field(default_factory=list)
    _cuts: dict[int, float] = field(default_factory=dict)  # first frame -> similarity over it
    _spans: list[Transition] = field(default_factory=list)

    def add(self, picture: Picture) -> None:
        """The next picture, (H, W, 3) RGB of any size."""
        small = shrink(picture)
        index = len(self._seen)
        before = self._small.get(index - 1)
        likeness = 1.0 if before is None else _similarity(before, small)
        jump = 0.0 if before is None else _light_jump(before, small)
        self._small[index] = small
        self._soft[index] = np.asarray(cv2.GaussianBlur(small, (0, 0), 1.5), np.float32)
        self._seen.append(_Seen(float(small.std()), likeness, jump))
        self._look_back(index - self._ahead)
        for old in [i for i in self._small if i < index - self._kept]:
            del self._small[old], self._soft[old]

    def shots(self, min_seconds: float) -> list[Shot]:
        """The film's shots with their transitions; none is shorter than ``min_seconds``."""
        count = len(self._seen)
        for index in range(count - self._ahead, count):
            self._look_back(index)
        spans = _united([*self._spans, *self._fades(), *self._flicker()])
        borders = dict(self._cuts)
        for span in spans:
            if span.kind != "flash":
                self._set_border(borders, span)
        return tiled(borders, spans, count, self._frames(min_seconds))

    @property
    def _ahead(self) -> int:
        return self._frames(_FLASH_SECONDS) + 1

    @property
    def _kept(self) -> int:
        return 2 * self._frames(_HALVES[-1]) + 2 * self._ahead + 2

    def _frames(self, seconds: float) -> int:
        return max(1, round(seconds * self.rate))

    def _look_back(self, index: int) -> None:
        """Judge frame ``index``, now that what follows it is known."""
        if index < 1:
            return
        if index in self.proposed or self._seen[index].likeness < _ELSE:
            self._judge_cut(index)
        for half in map(self._frames, _HALVES):
            if index % max(1, half // 3) == 0 and index >= 2 * half:
                self._judge_span(index - 2 * half, index)

    def _judge_cut(self, index: int) -> None:
        voted = index in self.proposed
        blank = [self._seen[i].contrast < _BLANK for i in (index - 1, index)]
        if all(blank):  # colors are all there is to see
            self._cuts |= {index: 0.0} if voted else {}
            return
        likeness = _moved(self._small[index - 1], self._small[index])
        around = [self._moved_at(i) for i in (index - 1, index + 1) if 0 < i < len(self._seen)]
        steady = min(around, default=1.0)
        other = _CALM_OTHER if steady >= _CALM else _OTHER
        if likeness >= (_ELSE if voted else other):
            return
        if likeness > steady - _DROP and not any(blank):
            return
        end = self._flash_end(index)
        if end is not None:
            self._spans.append(Transition(index, end, "flash"))
        elif not any(s.kind == "flash" and s.start < index <= s.end for s in self._spans):
            self._cuts[index] = likeness

    def _moved_at(self, index: int) -> float:
        """Similarity of a frame to the one before it, motion followed."""
        known = self._seen[index].likeness
        return known if known >= _SURE else _moved(self._small[index - 1], self._small[index])

    def _flash_end(self, index: int) -> int | None:
        """The frame in which the picture from before ``index`` is back; None where it does not come back."""
        before = self._small[index - 1]
        for back in range(index + 1, min(index + self._ahead, len(self._seen))):
            if self._seen[back].contrast >= _BLANK and _moved(before, self._small[back]) >= _SAME:
                return back
        return None

    def _judge_span(self, start: int, end: int) -> None:
        """Whether one picture turns into another gradually between two frames."""
        a, b = self._soft[start], self._soft[end]
        if min(self._seen[start].contrast, self._seen[end].contrast) < _BLANK:
            return
        if _correlation(a, b) > 0.9 or any(start < cut <= end for cut in self._cuts):
            return
        quarter = (end - start) // 4
        inner = [self._soft[start + quarter * i] for i in (1, 2, 3)]
        mixture = _is_mixture(a, b, inner)
        first, last = self._small[start], self._small[end]
        if _moved(first, last) >= (_DISSOLVED if mixture else _WIPED):
            return
        between = [self._small[start + quarter * i] for i in (1, 2, 3)]
        if mixture or _is_wipe(first, last, between):
            kind = "dissolve" if mixture else "wipe"
            self._spans.append(Transition(*self._extent(start, end), kind))

    def _extent(self, start: int, end: int) -> tuple[int, int]:
        """The frames of a span that are like neither end."""
        a, b = self._soft[start], self._soft[end]
        way = (b - a).ravel()
        length = float(way @ way) + 1e-6
        part = [float((self._soft[i] - a).ravel() @ way) / length for i in range(start, end + 1)]
        fifth = max((i for i, p in enumerate(part) if p < 0.2), default=0)
        most = next((i for i, p in enumerate(part) if i > fifth and p > 0.8), len(part) - 1)
        first = next((i for i, p in enumerate(part) if p > 0.2), 0)
        fifth = min(fifth, first)
        rest = (most - fifth) / 3  # of a steady change, before a fifth of it and after four
        low, high = start + int(fifth - rest), start + int(np.ceil(most + rest)) + 1
        return max(low, 1), min(high, len(self._seen))

    def _fades(self) -> Iterator[Transition]:
        """Pictures that go away in light or dark, or come out of it."""
        contrast = np.array([seen.contrast for seen in self._seen])
        reach = self._frames(_FADE_SECONDS)
        steps = 3  # frames at least
        for first, end in _runs(_dips(contrast, reach)):
            low = max((cut for cut in self._cuts if cut < first), default=0)
            high = min((cut for cut in self._cuts if cut > end), default=len(contrast))
            before = contrast[max(low, first - reach) : first]
            after = contrast[end : min(high, end + reach)]
            start = first - _gradual(before[::-1]) if len(before) else first
            stop = end + _gradual(after) if len(after) else end
            if first - start >= steps or stop - end >= steps:
                yield Transition(max(start, 0), min(stop, len(contrast)), "fade")

    def _flicker(self) -> Iterator[Transition]:
        """Light that jumps and soon jumps again."""
        jumps = [i for i, seen in enumerate(self._seen) if seen.jump and i not in self._cuts]
        near = self._frames(_CALM_SECONDS)
        group: list[int] = []
        for jump in [*jumps, len(self._seen) + 2 * near]:
            if group and jump - group[-1] > near:
                if len(group) > 1:
                    yield Transition(group[0], group[-1], "flash")
                group = []
            group.append(jump)

    def _set_border(self, borders: dict[int, float], span: Transition) -> None:
        """One border in a transition: a cut that lies in it, or its middle."""
        inside = [cut for cut in borders if span.start <= cut <= span.end]
        likeness = min((borders[cut] for cut in inside), default=0.0)
        strongest = min(inside, key=lambda cut: borders[cut], default=None)
        if span.kind == "fade":
            place = self._blank_border(span) if strongest is None else strongest
        else:
            place = (span.start + span.end) // 2
        for cut in inside:
            del borders[cut]
        if 0 < place < len(self._seen):
            borders[place] = likeness

    def _blank_border(self, span: Transition) -> int:
        """The darkest frame of a fade; none where the film begins or ends with it."""
        contrast = [seen.contrast for seen in self._seen[span.start : span.end]]
        if span.start == 0 or span.end == len(self._seen):
            return 0
        return span.start + int(np.argmin(contrast))


def shrink(picture: Picture) -> Floats:
    """(h, w) gray, the longer side `_LONG_SIDE`."""
    height, width = picture.shape[:2]
    scale = _LONG_SIDE / max(height, width)
    size = (max(_BLOCK, round(width * scale)), max(_BLOCK, round(height * scale)))
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.float32)


def tiled(
    borders: dict[int, float], spans: Sequence[Transition], frames: int, shortest: int
) -> list[Shot]:
    """Shots between ``borders`` (first frame -> similarity over it), each with the transitions that lie in it.

    One shorter than ``shortest`` frames is joined over the border whose sides are more alike, and its frames are a
    transition too: they continue no picture.
    """
    starts = sorted(borders)
    marks = list(spans)
    while True:
        edges = [0, *starts, frames]
        lengths = np.diff(edges)
        short = int(lengths.argmin())
        if lengths[short] >= shortest or not starts:
            break
        sides = [edge for edge in edges[short : short + 2] if 0 < edge < frames]
        if len(sides) == 2:
            marks.append(Transition(edges[short], edges[short + 1], "insert"))
        starts.remove(max(sides, key=lambda edge: borders[edge]))
    kept = _united(marks)
    return [
        Shot(start, end, tuple(within(kept, start, end)))
        for start, end in itertools.pairwise(edges)
        if end > start
    ]


def within(spans: Sequence[Transition], start: int, end: int) -> Iterator[Transition]:
    """The parts of ``spans`` that lie in ``start`` to ``end``."""
    for span in spans:
        if span.end > start and span.start < end:
            yield Transition(max(span.start, start), min(span.end, end), span.kind)


def _united(spans: Sequence[Transition]) -> list[Transition]:
    """Spans without overlap; the surest kind names what several make up."""
    found: list[list[Transition]] = []
    for span in sorted(spans):
        if found and span.start < max(s.end for s in found[-1]):
            found[-1].append(span)
        else:
            found.append([span])
    return [
        Transition(
            group[0].start,
            max(s.end for s in group),
            min((s.kind for s in group), key=_KINDS.index),
        )
        for group in found
    ]


def _similarity(before: Floats, after: Floats, shift: tuple[int, int] = (0, 0)) -> float:
    """0..1: how much of ``after`` is found in ``before``, moved by ``shift`` and a little more."""
    height, width = after.shape
    y, x = _blocks(height, width)
    row, column = y + shift[0], x + shift[1]
    # what came in from outside counts neither way
    inside = (row >= -4) & (row <= height - _BLOCK + 4) & (column >= -4)
    inside &= column <= width - _BLOCK + 4
    row, column = np.clip(row, 0, height - _BLOCK), np.clip(column, 0, width - _BLOCK)
    centered = after - after.mean()
    mean = _box(centered)[y, x]
    deviation = np.sqrt(np.maximum(_box(centered * centered)[y, x] - mean * mean, 0))
    weight = np.where(deviation < _FLAT, 0, np.minimum(deviation, 20))
    total, known = float(weight.sum()), float(weight[inside].sum())
    if not total:  # nothing to be found: the same, if nothing was there
        return float(before.std() < _BLANK)
    if known < 0.3 * total:
        return 0.0
    match = np.zeros(len(y))
    if shift == (0, 0):
        other = before - before.mean()
        there = _box(other)[y, x]
        spread = np.sqrt(np.maximum(_box(other * other)[y, x] - there * there, 0))
        match = (_box(centered * other)[y, x] - mean * there) / (spread * deviation + 1e-3)
        still = float((weight * np.maximum(match, 0)).sum()) / total
        if still >= _SURE:
            return still
    for i in np.flatnonzero((match < _SURE) & (weight > 0) & inside):
        block = after[y[i] : y[i] + _BLOCK, x[i] : x[i] + _BLOCK]
        match[i] = _best_match(before, block, int(row[i]), int(column[i]))
    return float((weight * np.maximum(match, 0))[inside].sum() / known)


def _box(values: Floats) -> Floats:
    """(h, w) means of the blocks that begin at each place."""
    whole = cv2.boxFilter(values, -1, (_BLOCK, _BLOCK), anchor=(0, 0))
    return np.asarray(whole, np.float32)


def _best_match(picture: Floats, block: Floats, row: int, column: int) -> float:
    height, width = picture.shape
    part = picture[
        max(0, row - _REACH) : min(height, row + _BLOCK + _REACH),
        max(0, column - _REACH) : min(width, column + _BLOCK + _REACH),
    ]
    if part.max() - part.min() < 2 * _FLAT:
        return 0.0
    matches: Any = cv2.matchTemplate(part, block, cv2.TM_CCOEFF_NORMED)
    best = float(matches.max())
    return best if np.isfinite(best) else 0.0


@cache
def _blocks(height: int, width: int) -> tuple[Any, Any]:
    """Rows and columns at which the blocks of a picture begin."""
    rows, columns = np.meshgrid(_places(height), _places(width), indexing="ij")
    return rows.ravel(), columns.ravel()


def _places(side: int) -> Any:
    """Where blocks begin along a side."""
    count = max(1, round((side - _BLOCK) / _STRIDE) + 1)
    return np.linspace(0, side - _BLOCK, count).round().astype(np.intp)


def _moved(before: Floats, after: Floats) -> float:
    """`_similarity`, with the motion of the camera taken out where that finds more."""
    height, width = after.shape
    top, left = height // 4, width // 4
    middle = after[top : height - top, left : width - left]
    still = _similarity(before, after)
    if still >= _SURE or middle.std() < _FLAT or before.std() < _FLAT:
        return still
    matches: Any = cv2.matchTemplate(before, middle, cv2.TM_CCOEFF_NORMED)
    _, _, _, (x, y) = cv2.minMaxLoc(matches)
    return max(still, _similarity(before, after, (y - top, x - left)))


def _light_jump(before: Floats, after: Floats) -> float:
    """By how much the logarithm of the light changes where nearly all of the picture changes alike; else 0."""
    size = (6, 6)
    a, b = (cv2.resize(p, size, interpolation=cv2.INTER_AREA) + 8 for p in (before, after))
    change = np.log(b / a)
    middle = float(np.median(change))
    alike = float((np.sign(middle) * change > 0.4 * abs(middle)).mean())
    return middle if abs(middle) > _JUMP and alike > 0.85 else 0.0


def _correlation(a: Floats, b: Floats) -> float:
    x, y = (a - a.mean()).ravel(), (b - b.mean()).ravel()
    return float(x @ y / (np.sqrt((x @ x) * (y @ y)) + 1e-6))


def _is_mixture(a: Floats, b: Floats, inner: Sequence[Floats]) -> bool:
    """Whether pictures between ``a`` and ``b`` are mixtures of them, more and more of ``b``."""
    first, last = ((v - v.mean()).ravel() for v in (a, b))
    gram = np.array([[first @ first, first @ last], [first @ last, last @ last]])
    shares = []
    rest = 1.0
    for place, picture in enumerate(inner):
        x = (picture - picture.mean()).ravel()
        share = np.linalg.solve(gram + 1e-3 * np.eye(2), np.array([first @ x, last @ x]))
        shares.append(share)
        if place == len(inner) // 2:
            mixed = x - share[0] * first - share[1] * last
            alone = [x - (v @ x) / (v @ v + 1e-6) * v for v in (first, last)]
            rest = float(mixed @ mixed) / (min(float(v @ v) for v in alone) + 1e-6)
    steps = np.diff([(0.0, *(s[1] for s in shares), 1.0), (-1.0, *(-s[0] for s in shares), 0.0)])
    middle = shares[len(shares) // 2]
    return bool(rest < 0.45 and (steps > -0.06).all() and 0.15 < middle.min() <= middle.max() < 0.9)


def _is_wipe(a: Floats, b: Floats, inner: Sequence[Floats]) -> bool:
    """Whether places between ``a`` and ``b`` show one or the other, more and more of them ``b``."""
    differ = _local_match(a, b) < 0.6
    if differ.mean() < 0.3:
        return False
    shares = []
    for picture in inner:
        old, new = (_nearby_match(end, picture)[differ] for end in (a, b))
        if (np.maximum(old, new) > 0.8).mean() < 0.42:
            return False
        shares.append(float((new > old).mean()))
    return bool((np.diff(shares) > 0).all() and shares[-1] - shares[0] > 0.3)


def _local_match(a: Floats, b: Floats) -> Floats:
    """(h, w) -1..1: correlation of windows around each place, less where their light differs."""
    noise = 16.0
    means = [cv2.blur(v, (9, 9)) for v in (a, b)]
    spread = [
        np.maximum(cv2.blur(v * v, (9, 9)) - m * m, 0) + noise
        for v, m in zip((a, b), means, strict=True)
    ]
    both = cv2.blur(a * b, (9, 9)) - means[0] * means[1] + noise
    light = np.exp(-np.square((means[0] - means[1]) / 40))
    return np.asarray(both / np.sqrt(spread[0] * spread[1]) * light, np.float32)


def _nearby_match(a: Floats, b: Floats) -> Floats:
    """`_local_match`, with ``a`` a pixel to either side where that fits better."""
    moves = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    found = [_local_match(np.roll(a, move, (0, 1)), b) for move in moves]
    return np.asarray(np.maximum.reduce(found), np.float32)


def _dips(contrast: Any, reach: int) -> Any:
    """(T,) frames that show nothing, or hardly anything of what is shown before and after."""
    padded = np.pad(contrast, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach + 1).max(1)
    before, after = windows[: len(contrast)], windows[reach:]
    return (contrast < _BLANK) | (contrast < 0.2 * np.minimum(before, after))


def _gradual(contrast: Any) -> int:
    """How many frames a picture takes to come to its contrast, from a blank one on; 0 for at once."""
    falls = np.flatnonzero(np.diff(contrast) < -0.02 * contrast.max())
    rising = contrast[: falls[0] + 1] if len(falls) else contrast
    full = float(rising.max())
    if rising[0] > 0.6 * full:
        return 0
    return int(np.argmax(rising >= 0.92 * full))


def _runs(mask: Any) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
