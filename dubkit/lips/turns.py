"""Who says what of the dub: speech of the dub is laid over who speaks in the original.

The original says *who* speaks and roughly when; the dub says *what* and exactly when. Both differ by parts of a second,
and a dub may run on. So the dub is cut into phrases at its pauses, and each phrase goes to whoever speaks nearest to it
in the original, a voice from elsewhere included. A face is painted where it speaks in the original, since its lips move
there, and where it says a phrase; everywhere else it stays as filmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from dubkit.faces import smooth
from dubkit.records import (
    SILENCE,
    Doubles,
    Mask,
    Shot,
    TimedPhoneme,
    Timing,
    TrackChoice,
    Untouched,
    Voices,
)

NOT_SPEAKING = "not speaking"
TOLERANCE = 1.0  # seconds by which a phrase may miss its speaker
_PAUSE = 0.15  # seconds of silence that part two phrases
_PIECE = 0.6  # seconds: longer phrases are cut, and each piece goes its own way
_NEAR = 0.25  # seconds over which being near someone's speech loses its weight
_RUNS_ON = 0.5  # seconds after a phrase within which another that fits nobody continues it
_BOTH = 0.7  # share of a piece in which two speak at once, if both say it
_BESIDE = 0.24  # seconds around speech in which a mouth changes over
_REST = 1.2  # seconds of pause in which a face stays painted, if nobody else speaks
_STEP = 0.04

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Part:
    """One face's part in a shot: where it is painted, and the timing with all other speech made silent."""

    choice: TrackChoice
    timing: Timing


def parts(
    shot: Shot,
    choices: Sequence[TrackChoice],
    voices: Voices,
    timing: Timing,
    phonemes: Sequence[TimedPhoneme],
) -> dict[int, Part]:
    """For each track of ``choices`` its part; ``phonemes`` are the speech of the dub as it is known best."""
    everywhere = {c.track: ((c.start, c.end),) for c in choices}
    spans = {c.track: c.speaks or everywhere[c.track] for c in choices if c.dubbed}
    speaks = {track: _mask(found, shot) for track, found in spans.items()}
    whole = [track for track, found in spans.items() if found == everywhere[track]]
    elsewhere = _mask(voices.spans, shot)
    for mask in speaks.values():
        elsewhere &= ~_widened(mask, _frames(TOLERANCE / 2, timing.times))
    alone = not elsewhere.any() and set(whole) == set(speaks)
    found: dict[int, Part] = {}
    said = {track: list[Span]() for track in speaks}
    off: list[Span] = []
    if not alone:
        said, off = _share_out(_pieces(phonemes), timing.times, speaks, elsewhere)
    for choice in choices:
        if not choice.dubbed or alone:
            found[choice.track] = Part(choice, timing)
        else:
            others = off + [s for t, spans in said.items() if t != choice.track for s in spans]
            own = said[choice.track]
            others = [span for span in others if span not in own]
            painted = _painted(speaks[choice.track], own, others, timing.times)
            silenced = only(timing, own)
            found[choice.track] = Part(_narrowed(choice, painted, shot, own), silenced)
    return found


def only(timing: Timing, says: Sequence[Span] | None) -> Timing:
    """The timing with all speech made silent that is not within ``says`` (seconds); None: as it is."""
    if says is None:
        return timing
    joined = _joined(says)
    edges = [-np.inf, *(t for span in joined for t in span), np.inf]
    silent = list(zip(edges[::2], edges[1::2], strict=True))
    phonemes: list[TimedPhoneme] = []
    for symbol, begin, end in timing.phonemes:
        middle = (begin + end) / 2
        mine = any(low <= middle <= high for low, high in joined)
        phonemes.append((symbol if mine else SILENCE, begin, end))
    runs = tuple(
        run
        if any(a <= (run.begin + run.finish) / 2 <= b for a, b in joined)
        else replace(run, symbol=SILENCE)
        for run in timing.runs
    )
    bounded = tuple((max(a, -1e9), min(b, 1e9)) for a, b in silent)
    noise = tuple(sorted({*timing.noise, *bounded}))
    return replace(timing, phonemes=tuple(phonemes), runs=runs, noise=noise)


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Spans in order, those that touch made one."""
    out: list[Span] = []
    for low, high in sorted(spans):
        if out and low <= out[-1][1] + _PAUSE:
            out[-1] = (out[-1][0], max(high, out[-1][1]))
        else:
            out.append((low, high))
    return out


def _mask(spans: Sequence[tuple[int, int]], shot: Shot) -> Mask:
    mask = np.zeros(shot.frames, np.bool_)
    for low, high in spans:
        mask[max(low - shot.start, 0) : max(high - shot.start, 0)] = True
    return mask


def _frames(seconds: float, times: Doubles) -> int:
    step = float(np.median(np.diff(times))) if len(times) > 1 else _STEP
    return round(seconds / max(step, 1e-3))


def _widened(mask: Mask, reach: int) -> Mask:
    near = np.convolve(mask, np.ones(2 * reach + 1), "full")[reach : reach + len(mask)]
    return np.asarray(near > 0.5, np.bool_)


def _pieces(phonemes: Sequence[TimedPhoneme]) -> list[Span]:
    """The speech of the dub in pieces: cut at its pauses, and long stretches evenly."""
    spoken = [(begin, end) for symbol, begin, end in phonemes if symbol != SILENCE]
    pieces: list[Span] = []
    for low, high in _joined(spoken):
        count = max(1, round((high - low) / _PIECE))
        edges = np.linspace(low, high, count + 1).tolist()
        pieces += list(pairwise(edges))
    return pieces


def _share_out(
    pieces: Sequence[Span], times: Doubles, speaks: dict[int, Mask], elsewhere: Mask
) -> tuple[dict[int, list[Span]], list[Span]]:
    """The pieces of each face, and those of nobody on screen."""
    said: dict[int, list[Span]] = {track: [] for track in speaks}
    off: list[Span] = []
    moments = {track: times[mask] for track, mask in speaks.items()} | {None: times[elsewhere]}
    last: tuple[list[int], float] = ([], -np.inf)
    for low, high in pieces:
        at = np.arange(low + _STEP / 2, max(high, low + _STEP), _STEP)
        away = {who: _distance(at, near) for who, near in moments.items()}
        best = min((float(d.min()) for d in away.values()), default=np.inf)
        if best > TOLERANCE:
            owners = last[0] if low - last[1] <= _RUNS_ON else []
        else:
            weight = {who: float(np.exp(-d / _NEAR).sum()) for who, d in away.items()}
            first = max(weight, key=lambda who: weight[who])
            within = {who: float((d < 1.5 * _STEP).mean()) for who, d in away.items()}
            both = [w for w in speaks if within[w] >= _BOTH]
            owners = [] if first is None else both if first in both else [first]
        for owner in owners:
            said[owner].append((low, high))
        if owners:
            last = (owners, high)
        else:
            off.append((low, high))
    return said, off


def _distance(at: Doubles, moments: Doubles) -> Doubles:
    """(N,) seconds from each of ``at`` to the nearest of ``moments``, which are in order."""
    if not len(moments):
        return np.full(len(at), np.inf)
    after = np.clip(np.searchsorted(moments, at), 0, len(moments) - 1)
    before = np.clip(after - 1, 0, None)
    return np.asarray(np.minimum(np.abs(moments[after] - at), np.abs(moments[before] - at)))


def _painted(speaks: Mask, own: Sequence[Span], others: Sequence[Span], times: Doubles) -> Mask:
    """(T,) frames in which a face is painted."""

    def rows(spans: Sequence[Span], beside: float) -> Mask:
        mask = np.zeros(len(times), np.bool_)
        for low, high in spans:
            mask |= (times >= low - beside) & (times <= high + beside)
        return mask

    painted = speaks | rows(own, _BESIDE)
    painted = _widened(speaks, _frames(_BESIDE, times)) | painted
    taken = rows(others, 0.0)
    for before, after in pairwise(list(smooth.segments(painted))):
        gap = slice(before.stop, after.start)
        if times[after.start] - times[before.stop - 1] <= _REST and not taken[gap].any():
            painted[gap] = True
    return painted


def _narrowed(choice: TrackChoice, painted: Mask, shot: Shot, says: Sequence[Span]) -> TrackChoice:
    """The choice with the frames that are not ``painted`` (of the shot) left as filmed."""
    first = choice.start - shot.start
    silent = choice.usable & ~painted[first : first + (choice.end - choice.start)]
    spans = [
        Untouched(choice.start + s.start, choice.start + s.stop, NOT_SPEAKING)
        for s in smooth.segments(silent)
    ]
    ordered = sorted((*choice.untouched, *spans), key=lambda span: span.start)
    return replace(choice, untouched=tuple(ordered), says=tuple(_joined(says)))
