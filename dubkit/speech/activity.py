"""Where a track is loud enough to hold speech: the ground for windows, silence and even timing.

Frames are 10 ms, like those of the acoustic model. All times are seconds.

What is said of a moment follows from the sound near it: a corrected line must not move the words of others. Of
the whole track only its loudness is used, in coarse steps.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dubkit.media.audio import parts
from dubkit.records import Floats

RATE = 16000
FRAME = 160
FRAMES_A_SECOND = 100
SILENT = -66.0  # dB of full scale: a track whose loudest frames stay under this says nothing
COARSE = 6.0  # dB: steps in which a track's loudness is taken
DEAD = -50.0  # dB under the track's own speech level: nothing audible, whatever an aligner believes

_BLOCK = 2**20

Span = tuple[float, float]
Levels = NDArray[np.float64]


def clean(samples: Floats) -> Floats:
    """Samples that any engine can take: one finite row."""
    flat = np.asarray(samples, np.float32).reshape(-1)
    # a film's track must not be copied whole without need
    if all(bool(np.isfinite(part).all()) for part in parts(flat, _BLOCK)):
        return flat
    return np.nan_to_num(flat, posinf=0.0, neginf=0.0)


def ordinary(piece: Floats) -> Floats:
    """A piece of sound at an ordinary level, without offset; silence stays silence."""
    centred = piece - piece.mean(dtype=np.float64) if len(piece) else piece
    peak = float(np.abs(centred).max(initial=0.0))
    if peak < 10 ** (SILENT / 20):
        return np.zeros_like(piece, np.float32)
    return np.asarray(centred * (0.7 / peak), np.float32)


def levels(samples: Floats) -> Levels:
    """Level of every 10 ms frame in dB of full scale without its offset, a last part of a frame included."""
    count = -(-len(samples) // FRAME)
    power = np.empty(count)
    at = 0
    # a minute at a time: a film's track must not be copied whole
    for minute in parts(samples, 60 * RATE):
        part = minute.astype(np.float64)
        part = np.pad(part, (0, -len(part) % FRAME)).reshape(-1, FRAME)
        power[at : at + len(part)] = part.var(1)
        at += len(part)
    return np.asarray(10 * np.log10(power + 1e-12))


def speech_level(level: Levels) -> float:
    """The level of the loud part of a track, dB, in steps of `COARSE`."""
    return _coarse(level, 95) if len(level) else -np.inf


def _coarse(level: Levels, percent: float) -> float:
    return COARSE * round(float(np.percentile(level, percent)) / COARSE)


def voiced_spans(level: Levels, gap: float = 0.2) -> list[Span]:
    """Spans that may hold speech, merged over pauses shorter than ``gap`` seconds."""
    loud = speech_level(level)
    if loud < SILENT:
        return []
    floor = _coarse(level, 5)
    threshold = max(loud - 35.0, min(floor + 0.3 * (loud - floor), loud - 12.0))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], level > threshold, [0]]).astype(int)))
    spans: list[Span] = []
    for start, end in (edges.reshape(-1, 2) / FRAMES_A_SECOND).tolist():
        if spans and start - spans[-1][1] < gap:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return [span for span in spans if span[1] - span[0] >= 0.05]


def windows(
    spans: list[Span], duration: float, longest: float = 20.0, pad: float = 0.25
) -> list[Span]:
    """Cut a track into windows at its pauses, none longer than ``longest``, without its long silences.

    A stretch between two long pauses is cut at its longest inner pause until all parts are short enough, so
    where it is cut depends on that stretch alone.
    """
    pieces: list[Span] = []
    stretch: list[Span] = []
    for span in spans:
        if stretch and span[0] - stretch[-1][1] > 0.7:
            pieces += _cut(stretch, longest - 2 * pad)
            stretch = []
        stretch.append(span)
    return _padded(pieces + (_cut(stretch, longest - 2 * pad) if stretch else []), duration, pad)


def _cut(stretch: list[Span], longest: float) -> list[Span]:
    start, end = stretch[0][0], stretch[-1][1]
    if end - start <= longest:
        return [(start, end)]
    if len(stretch) == 1:  # one breathless span: no pause to cut at, so equal parts
        parts = int(np.ceil((end - start) / longest))
        return list(pairwise(np.linspace(start, end, parts + 1).tolist()))
    # of pauses alike, the one nearest the middle
    middle = (start + end) / 2
    best = max(
        range(1, len(stretch)),
        key=lambda i: (
            round(stretch[i][0] - stretch[i - 1][1], 2),
            -abs(stretch[i][0] - middle),
        ),
    )
    return _cut(stretch[:best], longest) + _cut(stretch[best:], longest)


def _padded(pieces: list[Span], duration: float, pad: float) -> list[Span]:
    padded: list[Span] = []
    for i, (start, end) in enumerate(pieces):
        before = pieces[i - 1][1] if i else 0.0
        after = pieces[i + 1][0] if i + 1 < len(pieces) else duration
        # on a coarse grid, so that a slightly other threshold rarely moves a window
        low = max(_snapped(start - pad), _snapped((before + start) / 2))
        high = min(_snapped(end + pad), _snapped((end + after) / 2))
        padded.append((max(min(low, start), 0.0), min(max(high, end), duration)))
    return padded


def _snapped(time: float) -> float:
    return round(time * 10) / 10


def dead_spans(level: Levels, shortest: float = 0.25) -> list[Span]:
    """Spans so quiet that nobody speaks in them."""
    quiet = level < max(speech_level(level) + DEAD, -90.0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]]).astype(int)))
    spans = (edges.reshape(-1, 2) / FRAMES_A_SECOND).tolist()
    return [(start, end) for start, end in spans if end - start >= shortest]
