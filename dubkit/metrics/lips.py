"""What lips do in a picture: opening, closures, silence, agreement with other lips.

The opening is the gap between the midpoints of the inner lips over the width of the face; NaN where there is no
face. It is read with dubkit's own landmarks, which the generator uses too: an outside judge
(``tests/benchmarks/judge_lips.py``) has the last word.

`SHUT` is the one opening under which lips count as closed, in the gate, ``evaluate``, the report and training. The
landmarks read lips that meet as .002 to .029, depending on the face (a beard, a soft picture), so that a limit of .02
calls half of the closures open that the judge sees shut. ``docs/measures.md`` has the figures.
"""

# ruff: noqa: RUF001 - IPA letters are meant

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubkit.faces import landmark_layout
from dubkit.records import SILENCE, Floats, TimedPhoneme

Series = NDArray[np.float64]

SHUT = 0.03  # opening under which lips are closed
AFTER, BEFORE = 0.35, 0.6  # seconds of a silence in which a mouth comes to rest, and draws breath
ENOUGH = 15  # frames of silence under which their deviation says nothing
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


def closures(opened: Series, times: Series, phonemes: Sequence[TimedPhoneme]) -> Tally:
    """Of the P, B and M that show a face, those in which the lips come nearer than `SHUT`.

    ``opened`` (T,) openings at the seconds ``times`` (T,) of the dub. One frame is enough, and so is one frame
    before or after the phoneme.
    """
    least = [near.min() for near in _in_labials(opened, times, phonemes)]
    return Tally(sum(bool(gap < SHUT) for gap in least), len(least))


def _in_labials(
    opened: Series, times: Series, phonemes: Sequence[TimedPhoneme]
) -> Iterator[Series]:
    """The known openings in each P, B and M that has any."""
    for where in labials(times, phonemes):
        near = opened[where & np.isfinite(opened)]
        if len(near):
            yield near


def labials(times: Series, phonemes: Sequence[TimedPhoneme]) -> Iterator[NDArray[np.bool_]]:
    """(T,) the frames of each P, B and M, a frame's slack at either side."""
    slack = _step(times)
    for symbol, start, end in phonemes:
        if symbol.rstrip(MARKS) in LABIALS:
            yield (times >= start - slack) & (times < end + slack)


def labial_frames(times: Series, phonemes: Sequence[TimedPhoneme]) -> NDArray[np.bool_]:
    """(T,) all frames in which `closures` looks for lips that meet."""
    found = np.zeros(len(times), np.bool_)
    for where in labials(times, phonemes):
        found |= where
    return found


def settled(times: Series, phonemes: Sequence[TimedPhoneme]) -> NDArray[np.bool_]:
    """(T,) the frames in which a mouth is at rest: `AFTER` seconds after speech and `BEFORE` seconds before it."""
    rest = np.ones(len(times), np.bool_)
    for symbol, start, end in phonemes:
        if symbol != SILENCE:
            rest &= (times >= end + AFTER) | (times < start - BEFORE)
    return rest


def silence(opened: Series, times: Series, phonemes: Sequence[TimedPhoneme]) -> float | None:
    """Standard deviation of the opening in the `settled` frames: 0 for a mouth that rests, shut or ajar.

    None where fewer than `ENOUGH` of them show a face.
    """
    quiet = opened[settled(times, phonemes) & np.isfinite(opened)]
    return float(quiet.std()) if len(quiet) >= ENOUGH else None


def open_in_silence(opened: Series, times: Series, phonemes: Sequence[TimedPhoneme]) -> Tally:
    """Of the `settled` frames that show a face, those with lips at least `SHUT` apart.

    Some people rest like that: only next to the filmed mouth's own share does it say that something is wrong.
    """
    quiet = opened[settled(times, phonemes) & np.isfinite(opened)]
    return Tally(int((quiet >= SHUT).sum()), len(quiet))


def vowels_and_labials(
    opened: Series, times: Series, phonemes: Sequence[TimedPhoneme]
) -> tuple[list[float], list[float]]:
    """Mean opening of each open vowel, least opening of each P, B and M; without slack at their sides."""
    step = _step(times)
    vowels: list[float] = []
    shut: list[float] = []
    for symbol, start, end in phonemes:
        inside = (times >= start - step / 2) & (times < max(end, start + step) - step / 2)
        values = opened[inside & np.isfinite(opened)]
        bare = symbol.rstrip(MARKS)
        if len(values) and bare in LABIALS:
            shut.append(float(values.min()))
        elif len(values) and bare in OPEN_VOWELS:
            vowels.append(float(values.mean()))
    return vowels, shut


def vowel_closure_ratio(vowels: Sequence[float], labials: Sequence[float]) -> float:
    """Mean opening of the vowels over that of the labials, as `vowels_and_labials` finds them; neither may be empty."""
    return float(np.mean(vowels) / max(float(np.mean(labials)), 1e-3))


def correlation(a: Series, b: Series) -> float | None:
    """Pearson correlation where both are known; None where there is too little or nothing moves."""
    good = np.isfinite(a) & np.isfinite(b)
    if good.sum() < 10 or a[good].std() < 1e-6 or b[good].std() < 1e-6:
        return None
    return float(np.corrcoef(a[good], b[good])[0, 1])


def reference_offset(a: Series, b: Series, times: Series) -> float | None:
    """Seconds, at most `REACH`, by which the openings ``a`` are later than ``b`` where both agree best.

    None where too few frames know both, or nothing moves.
    """
    good = np.isfinite(a) & np.isfinite(b)
    if good.sum() < 10:
        return None
    fine = np.arange(times[0], times[-1], _FINE)
    x, y = (np.interp(fine, times[good], values[good]) for values in (a, b))
    best: tuple[float, float] | None = None
    reach = round(REACH / _FINE)
    for lag in sorted(range(-reach, reach + 1), key=abs):
        u, v = (x[lag:], y[: len(y) - lag]) if lag >= 0 else (x[:lag], y[-lag:])
        if len(u) > 50 and u.std() > 1e-6 and v.std() > 1e-6:
            found = float(np.corrcoef(u, v)[0, 1])
            if best is None or found > best[1] + 1e-9:
                best = (lag * _FINE, found)
    return None if best is None else best[0]


def jitter(landmarks: Floats) -> float | None:
    """Mean second difference of the lip points against the stable ones, in eye distances: trembling and speech."""
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
