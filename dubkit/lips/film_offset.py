"""How far a film's picture is behind its own sound, from lips that speak in it.

What the TC net predicts from the sound is compared with the filmed lips at every lag, in stretches of some seconds from
all over the film. The correlations of all stretches are added up; drawing the stretches again at random says how sure
their best lag is. Where there is too little speech, or lips that go with the sound at no lag (a film that is dubbed
already), there is no answer. The lips of a dub are placed by the dub's own time: this offset never moves them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dubkit.records import GRID_STEP, Doubles, Mask

LAGS = np.arange(-50, 51) * 0.01  # seconds
STRETCH_SECONDS = 4.0
LEAST_SECONDS = 6.0  # of speech
LEAST_AGREEMENT = 0.4  # speech of others reaches .28 by chance
MOST_DEVIATION = 0.04  # seconds
NOTICED = 0.045  # seconds from which viewers notice that sound and picture are apart
_LEAST_FRAMES = 20
_DRAWS = 200


@dataclass(frozen=True, slots=True)
class FilmOffset:
    """Seconds by which the picture is late against the film's own sound; early if negative."""

    seconds: float | None  # None: not known, see ``reason``
    deviation: float  # seconds, by drawing the stretches again
    agreement: float  # correlation of lips and sound at that lag
    speech: float  # seconds that it was found in
    reason: str = ""

    def __str__(self) -> str:
        if self.seconds is None:
            return f"not known: {self.reason}"
        sure = f"± {1000 * self.deviation:.0f} ms, from {self.speech:.0f} s of speech"
        if abs(self.seconds) < NOTICED:
            return f"in sync ({1000 * self.seconds:+.0f} ms {sure})"
        side = "late" if self.seconds > 0 else "early"
        return f"the picture is {1000 * abs(self.seconds):.0f} ms {side} against the film's own sound ({sure})"


@dataclass(frozen=True, slots=True)
class Lips:
    """The lips of a face with what its sound asks of them; T frames, N cells of the grid."""

    times: Doubles  # (T,) seconds of the sound
    opening: Doubles  # (T,) as filmed
    speech: Mask  # (T,) usable frames in which somebody speaks
    first: int  # number of cell 0
    wanted: Doubles  # (N,) the opening that the net predicts; at least `LAGS` beyond the frames


def estimate(faces: Sequence[Lips]) -> FilmOffset:
    """The offset of a film, from faces that are seen anywhere in it."""
    found = [row for face in faces for row in _curves(face)]
    seconds = float(sum(weight for weight, _ in found))
    if seconds < LEAST_SECONDS:
        return FilmOffset(
            None, 0.0, 0.0, seconds, f"{seconds:.1f} s of speech, {LEAST_SECONDS:g} s are needed"
        )
    weights = np.array([weight for weight, _ in found])
    curves = np.stack([curve for _, curve in found])
    whole = weights @ curves / weights.sum()
    at, agreement = _peak(whole), float(whole.max())
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(found), (_DRAWS, len(found)))
    deviation = float(np.std([_peak(weights[d] @ curves[d]) for d in drawn]))
    reason = ""
    if agreement < LEAST_AGREEMENT:
        reason = f"lips go with the film's own sound by {agreement:.2f} at most"
    elif deviation > MOST_DEVIATION or abs(at) > LAGS[-2]:
        reason = "the shots do not agree on it"
    known = None if reason else round(at, 3)
    return FilmOffset(known, round(deviation, 4), round(agreement, 3), round(seconds, 2), reason)


def _curves(face: Lips) -> Iterator[tuple[float, Doubles]]:
    """Seconds of speech, and the correlation at each lag, of the stretches of a face."""
    if len(face.times) < _LEAST_FRAMES:
        return
    interval = float(np.median(np.diff(face.times)))
    length = max(_LEAST_FRAMES, round(STRETCH_SECONDS / max(interval, 1e-3)))
    numbers = face.first + np.arange(len(face.wanted))
    for rows in np.array_split(np.flatnonzero(face.speech), max(1, face.speech.sum() // length)):
        if len(rows) < _LEAST_FRAMES:
            continue
        place = (face.times[rows][:, None] - LAGS) / GRID_STEP
        made = np.interp(place, numbers, face.wanted)
        made -= made.mean(0)
        true = face.opening[rows] - face.opening[rows].mean()
        power = np.sqrt((made * made).sum(0) * float(true @ true))
        alike = np.where(power > 1e-9, (true @ made) / np.maximum(power, 1e-9), 0.0)
        yield len(rows) * interval, np.asarray(alike, np.float64)


def _peak(curve: Doubles) -> float:
    """Seconds at which a curve over `LAGS` is highest, between the lags by a parabola."""
    top = int(curve.argmax())
    if not 0 < top < len(curve) - 1:
        return float(LAGS[top])
    before, here, after = (float(v) for v in curve[top - 1 : top + 2])
    bend = before - 2 * here + after
    part = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(LAGS[top] + np.clip(part, -0.5, 0.5) * (LAGS[1] - LAGS[0]))
