"""What the lips of a rendered face do against the phonemes that it speaks: no reference is needed.

What is wanted is the opening that the TC net asks for: the nearest thing to a reference that a dub has. A face that
does what the net asks cannot fail here, however wrong the net is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubkit.lips import mouth_shape
from dubkit.measures import sync
from dubkit.metrics.lips import LABIALS, MARKS, Series
from dubkit.records import Floats
from dubkit.speech.timing import SILENCE, Timed

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
    phonemes: Sequence[Timed]
    asked: Floats  # (M, K) mouth shapes that the phonemes ask for at `sync.moments` of ``times``

    def course(self) -> Series:
        """(M,) the opening over face width that is asked for at those moments, before and after the face too."""
        return np.asarray(self.asked @ mouth_shape.gap_effect(), np.float64)

    def opening(self) -> Series:
        """(T,) the same in the face's frames."""
        return np.interp(self.times, sync.moments(self.times), self.course())


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
        late = sync.offset(times, lips.rows, lips.shapes, speech.asked)
        if late is not None:
            found["offset_ms"] = abs(1000 * late)
    return found


def _settled(times: Series, phonemes: Sequence[Timed]) -> np.ndarray:
    """(T,) frames in which a mouth is at rest: well after speech and well before it."""
    rest = np.ones(len(times), np.bool_)
    for symbol, start, end in phonemes:
        if symbol != SILENCE:
            rest &= (times >= end + AFTER) | (times < start - BEFORE)
    return rest


def _met(opened: Series, times: Series, phonemes: Sequence[Timed]) -> float | None:
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


def labial_rows(times: Series, phonemes: Sequence[Timed]) -> np.ndarray:
    """(T,) frames in which the lips are to meet, with the slack that the measure gives."""
    found = np.zeros(len(times), np.bool_)
    for where in _labials(times, phonemes):
        found |= where
    return found


def _labials(times: Series, phonemes: Sequence[Timed]) -> Iterator[np.ndarray]:
    slack = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    for symbol, start, end in phonemes:
        if symbol.rstrip(MARKS) in LABIALS:
            yield (times >= start - slack) & (times < end + slack)
