"""Where a track is loud enough to hold speech: the ground for windows, silence and even timing.

Frames are 10 ms, like those of the acoustic model. All times are seconds.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dubkit.records import Floats

RATE = 16000
FRAME = 160
FRAMES_A_SECOND = 100
SILENT = -60.0  # dB of full scale: a track whose loudest frames stay under this says nothing
DEAD = -50.0  # dB under the track's own speech level: nothing audible, whatever an aligner believes

Span = tuple[float, float]
Levels = NDArray[np.float64]


def clean(samples: Floats) -> Floats:
    """Samples that any engine can take: finite, at an ordinary level (silence stays silence)."""
    finite = np.nan_to_num(np.asarray(samples, np.float32).reshape(-1), posinf=0.0, neginf=0.0)
    finite = finite - finite.mean(dtype=np.float64) if len(finite) else finite
    peak = float(np.abs(finite).max(initial=0.0))
    if peak < 10 ** (SILENT / 20):
        return np.zeros_like(finite, np.float32)
    return np.asarray(finite * (0.7 / peak), np.float32)


def levels(samples: Floats) -> Levels:
    """Level of every 10 ms frame in dB of full scale, a last part of a frame included."""
    count = -(-len(samples) // FRAME)
    power = np.empty(count)
    step = 60 * FRAMES_A_SECOND  # a minute at a time: a film's track must not be copied whole
    for at in range(0, count, step):
        part = samples[at * FRAME : (at + step) * FRAME].astype(np.float64)
        part = np.pad(part, (0, -len(part) % FRAME)).reshape(-1, FRAME)
        power[at : at + len(part)] = (part**2).mean(1)
    return np.asarray(10 * np.log10(power + 1e-12))


def speech_level(level: Levels) -> float:
    """The level of the loud part of a track, dB."""
    return float(np.percentile(level, 95)) if len(level) else -np.inf


def voiced_spans(level: Levels, gap: float = 0.2) -> list[Span]:
    """Spans that may hold speech, merged over pauses shorter than ``gap`` seconds."""
    loud = speech_level(level)
    if loud < SILENT:
        return []
    floor = float(np.percentile(level, 5))
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
    """Cut a track into windows at its pauses, none longer than ``longest``, without its long silences."""
    found: list[Span] = []
    for start, end in spans:
        lone = not found or start - found[-1][1] > 2.0 or end - found[-1][0] > longest - 2 * pad
        if lone:
            found.append((start, end))
        else:
            found[-1] = (found[-1][0], end)
    pieces: list[Span] = []
    for start, end in found:
        # one breathless span: no pause to cut at, so equal parts
        parts = max(1, int(np.ceil((end - start) / longest)))
        cuts = np.linspace(start, end, parts + 1).tolist()
        pieces += list(pairwise(cuts))
    return _padded(pieces, duration, pad)


def _padded(pieces: list[Span], duration: float, pad: float) -> list[Span]:
    padded: list[Span] = []
    for i, (start, end) in enumerate(pieces):
        before = pieces[i - 1][1] if i else 0.0
        after = pieces[i + 1][0] if i + 1 < len(pieces) else duration
        low = max(start - pad, (before + start) / 2)
        high = min(end + pad, (end + after) / 2)
        padded.append((max(low, 0.0), min(high, duration)))
    return padded


def dead_spans(level: Levels, shortest: float = 0.25) -> list[Span]:
    """Spans so quiet that nobody speaks in them."""
    quiet = level < max(speech_level(level) + DEAD, -90.0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]]).astype(int)))
    spans = (edges.reshape(-1, 2) / FRAMES_A_SECOND).tolist()
    return [(start, end) for start, end in spans if end - start >= shortest]
