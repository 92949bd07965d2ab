"""What the lips of a rendered face do against the phonemes that it speaks: no reference is needed.

What is wanted is the opening that the TC net asks for: the nearest thing to a reference that a dub has. A face that
does what the net asks cannot fail here, however wrong the net is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dubkit.measures.lips import LABIALS, MARKS, Series, opening
from dubkit.synthesis.timing import SILENCE, Timed

__all__ = ["Series", "measures", "opening"]

MET = 0.03  # opening over face width under which lips nearly meet
LEAST_LABIALS = 3  # P B M in a shot, under which their share says nothing
SPEAKS = 0.012  # deviation of the wanted opening over which a shot has speech to be judged by
LEAST = 15  # frames of speech, or of silence
AFTER, BEFORE = 0.35, 0.6  # seconds of a silence in which a mouth comes to rest, and draws breath
REACH, PART = 0.3, 0.3  # seconds, and share of what was looked at, of offset looked for
# another offset is believed where the lips go with the speech there, and clearly better than at none
SURE = 0.85  # correlation there
BETTER = 0.15  # of correlation that it wins
LESS = 0.4  # or: of what is missing from 1 at none, at most so much is missing there
_FINE = 0.01


def measures(
    opened: Series, times: Series, phonemes: Sequence[Timed], wanted: Series, still: bool
) -> dict[str, float]:
    """``opened``, ``wanted`` (T,) openings over face width, NaN where not looked at; ``times`` (T,) seconds.

    ``still``: whether lips are to rest in silence. Only what could be measured is in the answer.
    """
    found: dict[str, float] = {}
    quiet = opened[_settled(times, phonemes)]
    quiet = quiet[np.isfinite(quiet)]
    if still and len(quiet) >= LEAST:
        found["silence"] = float(quiet.std())
    share = _met(opened, times, phonemes)
    if share is not None:
        found["closures"] = share
    good = np.isfinite(opened)
    if good.sum() >= LEAST and wanted[good].std() >= SPEAKS:
        found["movement"] = float(opened[good].std() / wanted[good].std())
        late = offset(opened, wanted, times)
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
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    for symbol, start, end in phonemes:
        if symbol.rstrip(MARKS) in LABIALS:
            yield (times >= start - step) & (times < end + step)


def offset(opened: Series, wanted: Series, times: Series) -> float | None:
    """Seconds by which the lips are late; 0 unless another offset explains them clearly better.

    None where it cannot be told: too few frames, or lips that go well with the speech at no offset.
    """
    good = np.isfinite(opened)
    if good.sum() < LEAST or opened[good].std() < 1e-4:
        return None
    fine = np.arange(times[good][0], times[good][-1], _FINE)
    x = np.interp(fine, times[good], opened[good])
    y = np.interp(fine, times, wanted)
    reach = min(round(REACH / _FINE), int(PART * len(fine)))
    scores = {lag: _agreement(x, y, lag) for lag in range(-reach, reach + 1)}
    best = max(scores, key=lambda lag: (scores[lag], -abs(lag)))
    here, there = scores[0], scores[best]
    if there < SURE:
        return None
    return best * _FINE if there >= here + BETTER or 1 - there <= LESS * (1 - here) else 0.0


def _agreement(x: Series, y: Series, lag: int) -> float:
    u, v = (x[lag:], y[: len(y) - lag]) if lag >= 0 else (x[:lag], y[-lag:])
    if u.std() < 1e-6 or v.std() < 1e-6:
        return -1.0
    return float(np.corrcoef(u, v)[0, 1])
