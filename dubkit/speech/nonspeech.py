"""What is loud and yet no speech: music, noise, breath.

An aligner that knows the words puts phonemes where they are said. One that only follows sounds takes every sound for
speech, and the lips would sing with the band. Two things tell: pitches of instruments stand still and their sound
never pauses, while those of a voice glide and pause; and nobody speaks for long without the voice, but breath and
noise have none. (Who whispers is therefore taken for breath, where no words are known.)

All is said of a moment from the sound within `REACH` of it, so far-away corrections change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dubkit.records import Floats, Phoneme
from dubkit.speech.mel_levels import SAMPLE_RATE, STEP, stretch
from dubkit.speech.timing import SILENCE

REACH = 0.75  # seconds to either side
LOW, HIGH = 70, 400  # Hz, of voices
VOICED = 0.6  # correlation with itself a pitch period later
BREATHY = 0.4  # less, and there is no voice at all
ACTIVE_DB = 25.0  # under the loudest near sound by more is no sound
STILL = 0.004  # octaves between cells: a pitch that stands
STANDS = 0.55  # share of standing pitch in music; of a hundred windows of speech two have .5
PAUSES = 0.2  # share of cells under half the mean power; speech has .3 and more
EVEN_DB = 2.0  # deviation of the level; clear speech has 5 and more, speech over a bad radio 2.5
HOARSE = 0.35  # seconds without voice; of a hundred windows of clear speech two have .26
FAINT_DB = -60.0  # no sound at all
_WINDOW, _HOP = 640, round(STEP * SAMPLE_RATE)  # samples
_SPAN = np.arange(2 * _WINDOW)
_CHUNK = 512  # cells at once
_EVERY = 5  # cells between two looks for music

Cells = NDArray[np.float64]
Mask = NDArray[np.bool_]


def silence_unspoken(phonemes: Sequence[Phoneme], samples: Floats) -> tuple[Phoneme, ...]:
    """Phonemes that lie mostly where nothing is spoken become silence."""
    nothing = unspoken(samples)
    heard: list[Phoneme] = []
    for phoneme in phonemes:
        low, high = (round(t / STEP) for t in (phoneme.start, phoneme.end))
        here = nothing[low : max(high, low + 1)]
        mute = len(here) > 0 and here.mean() > 0.5
        heard.append(Phoneme(SILENCE, phoneme.start, phoneme.end) if mute else phoneme)
    return tuple(heard)


def unspoken(samples: Floats) -> Mask:
    """(N,) cells of `STEP` seconds that are loud without being speech."""
    voicing, pitch, level = _voice(samples)
    found = np.zeros(len(level), np.bool_)
    reach = round(REACH / STEP)
    for at in range(0, len(level), _EVERY):
        near = slice(max(0, at - reach), at + reach + 1)
        if _is_music(voicing[near], pitch[near], level[near]):
            found[max(0, at - _EVERY // 2) : at + _EVERY // 2 + 1] = True
    return np.logical_or(found, _is_breath(voicing, level, reach))


def _is_music(voicing: Cells, pitch: Cells, level: Cells) -> bool:
    if level.max() < FAINT_DB or len(level) < 20:
        return False
    power = 10 ** (level / 10)
    if (power < 0.5 * power.mean()).mean() > PAUSES:
        return False
    if level.std() < EVEN_DB:
        return True
    tone = (voicing > VOICED) & (level > level.max() - ACTIVE_DB)
    both = tone[1:] & tone[:-1]
    return bool(both.sum() > 3 and (np.abs(np.diff(pitch))[both] < STILL).mean() > STANDS)


def _is_breath(voicing: Cells, level: Cells, reach: int) -> Mask:
    """(N,) long runs of sound without voice."""
    if not len(level):
        return np.zeros(0, np.bool_)
    padded = np.pad(level, reach, constant_values=-np.inf)
    loudest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(1)
    hoarse: Mask = (level > np.maximum(loudest - ACTIVE_DB, FAINT_DB)) & (voicing <= BREATHY)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], hoarse, [False]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        hoarse[begin:end] = (end - begin) * STEP >= HOARSE
    return hoarse


def _voice(samples: Floats) -> tuple[Cells, Cells, Cells]:
    """Per cell: how periodic the sound is (-1..1), its pitch in octaves over 1 Hz, its level in dB of full scale."""
    count = -(-len(samples) // _HOP)
    parts = [
        _periodicity(_windows(samples, at, min(at + _CHUNK, count)))
        for at in range(0, count, _CHUNK)
    ]
    if not parts:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    voicing, pitch, level = (np.concatenate(column) for column in zip(*parts, strict=True))
    return voicing, pitch, level


def _windows(samples: Floats, first: int, last: int) -> Cells:
    """(last - first, 2 W) the sound from each of these cells on."""
    near: Cells = stretch(samples, first * _HOP, last * _HOP + 2 * _WINDOW).astype(np.float64)
    pieces: Cells = near[np.arange(last - first)[:, None] * _HOP + _SPAN]
    return pieces


def _periodicity(pieces: Cells) -> tuple[Cells, Cells, Cells]:
    """Normalised cross-correlation of a window (n, 2 W) with itself a period later."""
    pieces = pieces - pieces.mean(1, keepdims=True)
    first, size = pieces[:, :_WINDOW], 4 * _WINDOW
    spectra = np.conj(np.fft.rfft(first, size)) * np.fft.rfft(pieces, size)
    agreed = np.fft.irfft(spectra)[:, :_WINDOW]
    energy = (first**2).sum(1)
    running = np.cumsum(np.pad(pieces**2, ((0, 0), (1, 0))), 1)
    later = running[:, _WINDOW : 2 * _WINDOW] - running[:, :_WINDOW]
    relative = agreed / np.sqrt(np.maximum(energy[:, None] * later, 1e-9))
    lags = np.arange(SAMPLE_RATE // HIGH, SAMPLE_RATE // LOW)
    best = relative[:, lags].argmax(1)
    pitch = np.log2(SAMPLE_RATE / lags[best])
    return relative[:, lags].max(1), pitch, 10 * np.log10(energy / _WINDOW + 1e-10)
