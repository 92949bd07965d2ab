"""Mel-frequency cepstra as SyncNet hears them: those of python_speech_features 0.6 with its defaults.

Windows of 25 ms every 10 ms without a window function, pre-emphasis 0.97, 512-point power spectrum, 26 mel
filters from 0 Hz to half the rate, 13 liftered cepstra of which the first is the log energy.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SAMPLE_RATE = 16000
WINDOW, STEP, FFT, FILTERS, COUNT, LIFTER = 400, 160, 512, 26, 13, 22
_TINY = float(np.finfo(float).eps)


def cepstra(samples: NDArray[np.int16]) -> Array:
    """(N,) samples at 16 kHz as 16-bit numbers -> (T, 13), a row every 10 ms."""
    signal = samples.astype(np.float64)
    signal = np.append(signal[:1], signal[1:] - 0.97 * signal[:-1])
    count = 1 + max(0, -(-(len(signal) - WINDOW) // STEP))
    padded = np.pad(signal, (0, max(0, (count - 1) * STEP + WINDOW - len(signal))))
    rows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP][:count]
    found = np.empty((count, COUNT))
    for at in range(0, count, 6000):  # a minute at a time
        power = np.abs(np.fft.rfft(rows[at : at + 6000], FFT)) ** 2 / FFT
        mel = np.log(np.maximum(power @ _filters().T, _TINY))
        part = mel @ _cosine().T
        part[:, 0] = np.log(np.maximum(power.sum(1), _TINY))
        found[at : at + 6000] = part
    return found


@cache
def _filters() -> Array:
    """(26, 257) triangles, evenly spaced in mel."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    edges = np.floor((FFT + 1) * hertz / SAMPLE_RATE).astype(int)
    bank = np.zeros((FILTERS, FFT // 2 + 1))
    for i, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        bank[i, low:middle] = (np.arange(low, middle) - low) / max(middle - low, 1)
        bank[i, middle:high] = (high - np.arange(middle, high)) / max(high - middle, 1)
    return bank


@cache
def _cosine() -> Array:
    """(13, 26): orthonormal DCT-II, then the sine lifter."""
    n, k = np.arange(FILTERS), np.arange(COUNT)[:, None]
    dct = np.cos(np.pi * k * (2 * n + 1) / (2 * FILTERS)) * np.sqrt(2 / FILTERS)
    dct[0] /= np.sqrt(2)
    lift = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COUNT) / LIFTER)
    return np.asarray(dct * lift[:, None])
