"""What lips do, from our own landmarks: closures, silence, agreement with other lips and with the sound.

Openings are gaps between the inner lip midpoints over the face's width; NaN where there is no face. These
measures share the landmarker with the generator: an outside judge is the last word.
"""

# ruff: noqa: RUF001 - IPA letters are meant

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.records import SILENCE, Floats, TimedPhoneme

Series = NDArray[np.float64]

CLOSED = 0.02  # opening under which lips are shut
SETTLED = 0.12  # seconds beside speech in which a silent mouth may still move
LABIALS = frozenset("pbm")
OPEN_VOWELS = frozenset(["ɑ", "æ", "a", "aʊ", "aɪ", "ɔ", "ʌ", "ɛ", "eɪ", "oʊ", "ɔɪ"])
MARKS = "ːˑ012ˈˌ"
REACH = 0.2  # seconds of offset looked for
_FINE = 0.005
_SIDES = (landmark_layout.OVAL[23], landmark_layout.OVAL[7])  # FaceMesh 234 and 454


@dataclass(frozen=True, slots=True)
class Tally:
    """So many of so many, so that shots can be added up."""

    hits: int = 0
    total: int = 0

    @property
    def share(self) -> float | None:
        """Hits over total; None where there was nothing to count."""
        return self.hits / self.total if self.total else None

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.hits + other.hits, self.total + other.total)


def opening(landmarks: Floats) -> Series:
    """(T, L, 2) -> (T,) inner-lip opening over face width."""
    points = landmarks.astype(np.float64)
    gap = np.linalg.norm(
        points[:, landmark_layout.INNER_TOP] - points[:, landmark_layout.INNER_BOTTOM], axis=1
    )
    width = np.linalg.norm(points[:, _SIDES[0]] - points[:, _SIDES[1]], axis=1)
    return np.asarray(gap / np.maximum(width, 1e-6))


def closures(open_: Series, times: Series, phonemes: Sequence[TimedPhoneme]) -> Tally:
    """P B M whose smallest opening is under `CLOSED`, a frame's slack at either side."""
    step = _step(times)
    shut = 0
    total = 0
    for symbol, start, end in phonemes:
        if symbol.rstrip(MARKS) in LABIALS:
            near = open_[(times >= start - step) & (times < end + step)]
            near = near[np.isfinite(near)]
            if len(near):
                total += 1
                shut += bool(near.min() < CLOSED)
    return Tally(shut, total)


def open_in_silence(open_: Series, times: Series, phonemes: Sequence[TimedPhoneme]) -> Tally:
    """Frames over `CLOSED` where nobody has spoken for `SETTLED` seconds, nor will for as long."""
    count = Tally()
    for symbol, start, end in phonemes:
        if symbol == SILENCE:
            inside = (times >= start + SETTLED) & (times < end - SETTLED) & np.isfinite(open_)
            count += Tally(int((open_[inside] > CLOSED).sum()), int(inside.sum()))
    return count


def vowels_and_closures(
    open_: Series, times: Series, phonemes: Sequence[TimedPhoneme]
) -> tuple[list[float], list[float]]:
    """Mean opening of each open vowel, least opening of each P B M."""
    step = _step(times)
    vowels: list[float] = []
    shut: list[float] = []
    for symbol, start, end in phonemes:
        inside = (times >= start - step / 2) & (times < max(end, start + step) - step / 2)
        values = open_[inside & np.isfinite(open_)]
        bare = symbol.rstrip(MARKS)
        if len(values) and bare in LABIALS:
            shut.append(float(values.min()))
        elif len(values) and bare in OPEN_VOWELS:
            vowels.append(float(values.mean()))
    return vowels, shut


def correlation(a: Series, b: Series) -> float | None:
    """Pearson correlation where both are known; None where there is too little or nothing moves."""
    good = np.isfinite(a) & np.isfinite(b)
    if good.sum() < 10 or a[good].std() < 1e-6 or b[good].std() < 1e-6:
        return None
    return float(np.corrcoef(a[good], b[good])[0, 1])


def offset(a: Series, b: Series, times: Series, most: float = REACH) -> tuple[float, float] | None:
    """Seconds by which ``a`` is later than ``b`` at the best agreement within ``most``, and the correlation there."""
    good = np.isfinite(a) & np.isfinite(b)
    if good.sum() < 10:
        return None
    fine = np.arange(times[0], times[-1], _FINE)
    x, y = (np.interp(fine, times[good], values[good]) for values in (a, b))
    best: tuple[float, float] | None = None
    reach = round(most / _FINE)
    for lag in sorted(range(-reach, reach + 1), key=abs):
        u, v = (x[lag:], y[: len(y) - lag]) if lag >= 0 else (x[:lag], y[-lag:])
        if len(u) > 50 and u.std() > 1e-6 and v.std() > 1e-6:
            found = float(np.corrcoef(u, v)[0, 1])
            if best is None or found > best[1] + 1e-9:
                best = (lag * _FINE, found)
    return best


def motion(landmarks: Floats) -> float | None:
    """Mean second difference of the lip points against the stable ones, in eye distances: jitter and speech."""
    points = landmarks.astype(np.float64)
    stable = points[:, landmark_layout.STABLE].mean(1, keepdims=True)
    left, right = (
        points[:, ring].mean(1) for ring in (landmark_layout.EYE_LEFT, landmark_layout.EYE_RIGHT)
    )
    apart = np.linalg.norm(left - right, axis=1)[:, None, None]
    lips = (points[:, landmark_layout.LIPS] - stable) / np.maximum(apart, 1e-6)
    second = np.linalg.norm(np.diff(lips, 2, axis=0), axis=-1)
    return float(np.nanmean(second)) if np.isfinite(second).any() else None


def _step(times: Series) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.04
