"""What the lips of a rendered face do against the phonemes that it speaks: no reference is needed.

What is wanted is the opening that the TC net asks for: the nearest thing to a reference that a dub has. A face that
does what the net asks cannot fail here, however wrong the net is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.lips import mouth_shape
from dubkit.metrics.lips import LABIALS, MARKS, Series
from dubkit.records import SILENCE, Floats, TimedPhoneme

REACH = 0.3  # seconds of offset looked for
STEP = 0.02  # seconds between moments of what is wanted
LEAST_ROWS = 12  # frames looked at
# another offset is believed where the lips go with the speech there, and clearly better than at none
SURE = 0.65  # correlation there
BETTER = 0.15  # of correlation that it wins
LESS = 0.4  # or: of what is missing from 1 at none, at most so much is missing there
_FINE = 0.01
_LIPS = np.isin(landmark_layout.MOVING, landmark_layout.LIPS)


def moments(times: Series) -> Series:
    """(M,) evenly spaced moments that `offset` needs to know the wanted mouth of; ``times`` (T,) of the frames."""
    count = int(np.ceil((times[-1] - times[0] + 2 * REACH) / STEP)) + 1
    return np.asarray(times[0] - REACH + STEP * np.arange(count), np.float64)


def offset(times: Series, rows: NDArray[np.intp], seen: Floats, asked: Floats) -> float | None:
    """Seconds by which the lips are late; 0 unless another offset explains them clearly better.

    ``seen`` (N, K) mouth shapes (`lips.mouth_shape`) in ``rows`` (N,) of the frames at ``times`` (T,), ``asked`` (M, K)
    those wanted at the `moments` of ``times``. None where it cannot be told: too few frames, or
    lips that go well with the speech at no offset.
    """
    if len(rows) < LEAST_ROWS:
        return None
    lips, wanted = _heights(seen), _heights(asked)
    place = (times[rows] - times[0] + REACH) / STEP
    reach = round(REACH / _FINE)
    scores = {
        lag: _agreement(lips, _at(wanted, place - lag * _FINE / STEP))
        for lag in range(-reach, reach + 1)
    }
    best = max(scores, key=lambda lag: (scores[lag], -abs(lag)))
    here, there = scores[0], scores[best]
    if there < SURE:
        return None
    return best * _FINE if there >= here + BETTER or 1 - there <= LESS * (1 - here) else 0.0


def _heights(shapes: Floats) -> Series:
    """(T, K) -> (T, P) how low each point of the lips is."""
    return mouth_shape.decode(shapes)[:, _LIPS, 1].astype(np.float64)


def _at(values: Series, place: Series) -> Series:
    """Rows of (M, P) at fractional places (N,)."""
    low = np.clip(np.floor(place).astype(np.intp), 0, len(values) - 2)
    part = np.clip(place - low, 0, 1)[:, None]
    return np.asarray(values[low] * (1 - part) + values[low + 1] * part)


def _agreement(x: Series, y: Series) -> float:
    """Correlation of two courses (N, P), all points together."""
    x, y = x - x.mean(0), y - y.mean(0)
    power = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / power if power > 1e-9 else -1.0


MET = 0.03  # opening over face width under which lips nearly meet
LEAST_LABIALS = 3  # P B M in a shot, under which their share says nothing
SPEAKS = 0.012  # deviation of the wanted opening over which a shot has speech to be judged by
LEAST = 15  # frames of speech, or of silence
AFTER, BEFORE = 0.35, 0.6  # seconds of a silence in which a mouth comes to rest, and draws breath


@dataclass(frozen=True, slots=True)
class Lips:
    """The lips of a face that was looked at; N rows of its T."""

    painted: NDArray[np.bool_]  # (T,) where the new mouth is shown wholly
    rows: NDArray[np.intp]  # (N,) where it was looked at, in order
    opened: Series  # (N,) opening over face width
    shapes: Floats  # (N, K) as in `lips.mouth_shape`, but for a constant

    def opening(self) -> Series:
        """(T,) interpolated between the rows looked at; NaN where the new mouth is not shown wholly."""
        found = np.full(len(self.painted), np.nan)
        if len(self.rows):
            found[self.painted] = np.interp(np.flatnonzero(self.painted), self.rows, self.opened)
        return found


@dataclass(frozen=True, slots=True)
class Speech:
    """What a face of T frames says."""

    times: Series  # (T,) seconds of the dub
    phonemes: Sequence[TimedPhoneme]
    asked: Floats  # (M, K) mouth shapes that the phonemes ask for at `sync.moments` of ``times``

    def course(self) -> Series:
        """(M,) the opening over face width that is asked for at those moments, before and after the face too."""
        return np.asarray(self.asked @ mouth_shape.gap_effect(), np.float64)

    def opening(self) -> Series:
        """(T,) the same in the face's frames."""
        return np.interp(self.times, moments(self.times), self.course())


def measures(lips: Lips, speech: Speech, still: bool) -> dict[str, float]:
    """Only what could be measured is in the answer. ``still``: whether lips are to rest in silence."""
    found: dict[str, float] = {}
    opened, times, phonemes = lips.opening(), speech.times, speech.phonemes
    quiet = opened[_settled(times, phonemes)]
    quiet = quiet[np.isfinite(quiet)]
    if still and len(quiet) >= LEAST:
        found["silence"] = float(quiet.std())
    share = _met(opened, times, phonemes)
    if share is not None:
        found["closures"] = share
    good, wanted = np.isfinite(opened), speech.opening()
    if good.sum() >= LEAST and wanted[good].std() >= SPEAKS:
        found["movement"] = float(opened[good].std() / wanted[good].std())
    # a face may rest now whose lips, being late or early, speak
    if speech.course().std() >= SPEAKS:
        late = offset(times, lips.rows, lips.shapes, speech.asked)
        if late is not None:
            found["offset_ms"] = abs(1000 * late)
    return found


def _settled(times: Series, phonemes: Sequence[TimedPhoneme]) -> np.ndarray:
    """(T,) frames in which a mouth is at rest: well after speech and well before it."""
    rest = np.ones(len(times), np.bool_)
    for symbol, start, end in phonemes:
        if symbol != SILENCE:
            rest &= (times >= end + AFTER) | (times < start - BEFORE)
    return rest


def _met(opened: Series, times: Series, phonemes: Sequence[TimedPhoneme]) -> float | None:
    """Share of P B M in which the lips come nearer than `MET`, a frame's slack at either side."""
    least = []
    for where in _labials(times, phonemes):
        near = opened[where]
        near = near[np.isfinite(near)]
        if len(near):
            least.append(float(near.min()))
    if len(least) < LEAST_LABIALS:
        return None
    return float(np.mean([gap < MET for gap in least]))


def labial_rows(times: Series, phonemes: Sequence[TimedPhoneme]) -> np.ndarray:
    """(T,) frames in which the lips are to meet, with the slack that the measure gives."""
    found = np.zeros(len(times), np.bool_)
    for where in _labials(times, phonemes):
        found |= where
    return found


def _labials(times: Series, phonemes: Sequence[TimedPhoneme]) -> Iterator[np.ndarray]:
    slack = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    for symbol, start, end in phonemes:
        if symbol.rstrip(MARKS) in LABIALS:
            yield (times >= start - slack) & (times < end + slack)
