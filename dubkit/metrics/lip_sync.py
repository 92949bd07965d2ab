"""The lips of a face against the phonemes that it speaks; no reference is needed.

What is wanted is the opening that the TC net predicts: the nearest thing to a reference that a dub has. A face that
does what the net predicts cannot fail here, however wrong the net is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dubkit.config.schema import GenerateSettings
from dubkit.engines.registry import load_module
from dubkit.faces import landmark_layout
from dubkit.lips import mouth_shape
from dubkit.metrics.lips import Series, closures, silence
from dubkit.records import Floats, Indices, Mask, TimedPhoneme, Timing

REACH = 0.3  # seconds of offset looked for
STEP = 0.02  # seconds between moments of what is wanted
LEAST_ROWS = 12  # measured frames
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


def offset(times: Series, rows: Indices, seen: Floats, wanted: Floats) -> float | None:
    """Seconds by which the lips are late; 0 unless another offset explains them clearly better.

    ``seen`` (N, K) are mouth shapes (`lips.mouth_shape`) in ``rows`` (N,) of the frames at ``times`` (T,), ``wanted``
    (M, K) those that the phonemes call for at the `moments` of ``times``. None where it cannot be measured: too few
    frames, or lips that go well with the speech at no offset.
    """
    if len(rows) < LEAST_ROWS:
        return None
    lips, goal = _heights(seen), _heights(wanted)
    place = (times[rows] - times[0] + REACH) / STEP
    reach = round(REACH / _FINE)
    scores = {
        lag: _agreement(lips, _at(goal, place - lag * _FINE / STEP))
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
    """Correlation of two series (N, P), all points together."""
    x, y = x - x.mean(0), y - y.mean(0)
    power = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / power if power > 1e-9 else -1.0


SPEAKS = 0.012  # deviation of the wanted opening over which a shot has speech to be judged by
LEAST = 15  # frames of speech
LEAST_LABIALS = 3  # P, B and M in a shot, under which their share says nothing


@dataclass(frozen=True, slots=True)
class Lips:
    """The measured lips of a face; N rows of its T."""

    painted: Mask  # (T,) where the new mouth is shown wholly
    rows: Indices  # (N,) the measured ones, in order
    opened: Series  # (N,) opening over face width
    shapes: Floats  # (N, K) as in `lips.mouth_shape`, but for a constant

    def opening(self) -> Series:
        """(T,) interpolated between the measured rows; NaN where the new mouth is not shown wholly."""
        found = np.full(len(self.painted), np.nan)
        if len(self.rows):
            found[self.painted] = np.interp(np.flatnonzero(self.painted), self.rows, self.opened)
        return found


@dataclass(frozen=True, slots=True)
class Speech:
    """What a face of T frames says, and the mouths that it calls for."""

    times: Series  # (T,) seconds of the dub
    phonemes: Sequence[
        TimedPhoneme
    ]  # the script's; without one, detected speech and contacts of the lips in it
    wanted: Floats  # (M, K) mouth shapes at `moments` of ``times``

    def wanted_opening(self) -> Series:
        """(M,) the opening over face width at those moments, before and after the face too."""
        return np.asarray(self.wanted @ mouth_shape.gap_effect(), np.float64)

    def opening(self) -> Series:
        """(T,) the same in the face's frames."""
        return np.interp(self.times, moments(self.times), self.wanted_opening())


def speech_of(timing: Timing, row: int, count: int, settings: GenerateSettings) -> Speech:
    """What a face says that is in ``count`` frames of a shot from frame ``row`` on.

    ``settings`` name the net and the speaker's profile that predict the wanted mouths. Raises ModelError.
    """
    times = timing.times[row:][:count]
    generator = load_module("dubkit.lips.generator", what="measuring lips")
    wanted = generator.wanted(replace(timing, times=moments(times)), settings)
    return Speech(times, wanted.phonemes, wanted.coefficients)


def phonemes_of(timing: Timing, settings: GenerateSettings) -> Sequence[TimedPhoneme]:
    """A shot's phonemes; without a script, where the net that ``settings`` name hears speech and lips that meet in it.

    Raises ModelError.
    """
    if timing.scripted or timing.encoder is None:
        return timing.phonemes
    generator = load_module("dubkit.lips.generator", what="measuring lips")
    return tuple(generator.wanted(timing, settings).phonemes)


def measures(lips: Lips, speech: Speech, *, still: bool = True) -> dict[str, float]:
    """``silence``, ``closures``, ``movement`` and ``offset_ms`` of a face in a shot, as `metrics.definitions` has them.

    What could not be measured is missing; so is ``silence`` unless lips are to be ``still`` where nobody speaks.
    """
    found: dict[str, float] = {}
    opened, times, phonemes = lips.opening(), speech.times, speech.phonemes
    moved = silence(opened, times, phonemes) if still else None
    if moved is not None:
        found["silence"] = moved
    shut = closures(opened, times, phonemes)
    if shut.total >= LEAST_LABIALS:
        found["closures"] = shut.hits / shut.total
    good, wanted = np.isfinite(opened), speech.opening()
    if good.sum() >= LEAST and wanted[good].std() >= SPEAKS:
        found["movement"] = float(opened[good].std() / wanted[good].std())
    # a face may rest now whose lips, being late or early, speak
    if speech.wanted_opening().std() >= SPEAKS:
        late = offset(times, lips.rows, lips.shapes, speech.wanted)
        if late is not None:
            found["offset_ms"] = 1000 * late
    return found
