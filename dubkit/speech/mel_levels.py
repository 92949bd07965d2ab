"""The sound that the TC net is given beside phonemes: levels in 16 mel bands on the 20 ms grid.

Phonemes say which mouth, the sound how loud, how long and how clearly. Each band is measured against its own mean power
within `NEAR` seconds, so microphone, loudness and room matter little, and nothing farther away matters at all: a line
corrected elsewhere leaves the levels of this one unchanged.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from dubkit.media.audio import release_pages
from dubkit.records import GRID_STEP, Doubles, Floats, Indices, MelLevels

SAMPLE_RATE = 16000
BANDS = 16
WINDOW = 512  # samples
LOW, HIGH = 80.0, 7600.0  # Hz
NEAR = 2.0  # seconds to either side that a level is measured against
RANGE_DB = 40.0  # so far under the mean is silence
SCALE_DB = 20.0  # one unit
_FAINT_DB = -35.0  # mean at least: where there is no sound, its noise is not loud
_CHUNK = 4096  # cells worked on at once


def mel_levels_of(samples: Floats) -> MelLevels:
    """Levels of ``samples`` (mono, 16 kHz, -1..1): 0 in silence, 2 at the mean of the speech around."""
    if not len(samples):
        return MelLevels(0, np.zeros((0, BANDS), np.float32))
    numbers = np.arange(int(np.ceil(len(samples) / SAMPLE_RATE / GRID_STEP)) + 1)
    starts = np.round(numbers * GRID_STEP * SAMPLE_RATE).astype(np.intp) - WINDOW // 2
    starts = np.minimum(starts, len(samples))
    pieces = [starts[at : at + _CHUNK] for at in range(0, len(starts), _CHUNK)]
    power = np.concatenate([_power(samples, piece) for piece in pieces])
    reach = round(NEAR / GRID_STEP)
    window = np.hanning(2 * reach + 1) / reach
    mean = np.stack([np.convolve(band, window, "full")[reach:-reach] for band in power.T], 1)
    above = _decibels(power) - np.maximum(_decibels(mean), _FAINT_DB) + RANGE_DB
    # two decimals: enough, and equal on every processor
    return MelLevels(0, np.round(np.maximum(above, 0.0) / SCALE_DB, 2).astype(np.float32))


def _decibels(power: Doubles) -> Doubles:
    return np.asarray(10 * np.log10(power + 1e-8))


def stretch(samples: Floats, start: int, end: int) -> Floats:
    """A copy of samples ``start`` to ``end``, finite, with silence where there are none."""
    first, last = min(max(start, 0), len(samples)), min(max(end, 0), len(samples))
    part = np.asarray(samples[first:last], np.float32)
    clean = np.nan_to_num(part, posinf=0.0, neginf=0.0)
    release_pages(samples)
    return np.pad(clean, (first - start, end - last))


def _power(samples: Floats, starts: Indices) -> Doubles:
    """Of windows whose starts rise."""
    near = stretch(samples, int(starts[0]), int(starts[-1]) + WINDOW)
    pieces = near[(starts - starts[0])[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    return np.asarray(np.abs(np.fft.rfft(pieces, axis=1)) ** 2 @ _filters())


@cache
def _filters() -> Doubles:
    """(WINDOW // 2 + 1, BANDS) triangles, evenly spaced in mel, each of sum 1."""
    edges = np.linspace(_mel(LOW), _mel(HIGH), BANDS + 2)
    mel = np.array([_mel(f) for f in np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)])[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rise, fall = (mel - low) / (middle - low), (high - mel) / (high - middle)
    shape = np.clip(np.minimum(rise, fall), 0.0, 1.0)
    return np.asarray(shape / (shape.sum(0) + 1e-9))


def _mel(frequency: float) -> float:
    return float(2595 * np.log10(1 + frequency / 700))
