"""Versions of a sound for training: as recorded, and as other microphones, rooms and speeds would give it.

Encoder rows cannot be varied as levels can: each version is made as sound and encoded, with another place in the
encoder's windows. Beside them `nonspeech` makes sounds in which nobody speaks, for which lips rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dubkit.media.audio import SPEECH_RATE
from dubkit.records import GRID_STEP, Floats
from dubkit.speech import encoder_rows, mel_levels
from dubkit.training.dataset import SoundVersion

SPEEDS = (0.9, 0.95, 1.0, 1.0, 1.05, 1.1)
_BREAKS = (
    0,
    200,
    500,
    1000,
    2000,
    4000,
    8000,
)  # Hz, between which the spectrum is tilted at random
_LATEST = 8.0  # seconds by which a version is shifted in the encoder's windows
_NONSPEECH_SECONDS = 6.0
KINDS = 9  # of sounds in which nobody speaks
_NOTES = (110.0, 130.8, 146.8, 164.8, 196.0, 220.0, 261.6)  # Hz
_SCALE = (1, 9 / 8, 5 / 4, 4 / 3, 3 / 2, 5 / 3, 15 / 8, 2)

Sound = NDArray[np.float64]
Random = np.random.Generator


def sound_versions(samples: Floats, count: int, seed: int) -> tuple[SoundVersion, ...]:
    """The sound as recorded and ``count`` varied versions of it; equal seeds give equal versions."""
    random = np.random.default_rng(seed)
    versions = [_version(samples, 0.0, 1.0)]
    for _ in range(count):
        varied, stretch = vary(samples, random)
        versions.append(_version(varied, float(random.uniform(0, _LATEST)), stretch))
    return tuple(versions)


def _version(samples: Floats, shift: float, stretch: float) -> SoundVersion:
    cells = round(shift / GRID_STEP)
    silence: Floats = np.zeros(round(cells * GRID_STEP * SPEECH_RATE), np.float32)
    rows = encoder_rows.encode(np.concatenate([silence, samples])).rows[cells:]
    levels = mel_levels.mel_levels_of(samples).levels
    count = min(len(rows), len(levels))
    return SoundVersion(rows[:count], levels[:count], stretch)


def vary(samples: Floats, random: Random) -> tuple[Floats, float]:
    """The sound at another speed, through another microphone, in another room, with noise; and its stretch."""
    speed = float(random.choice(SPEEDS))
    count = max(round(len(samples) / speed), 1)
    spectrum = np.fft.rfft(samples)
    wanted = np.zeros(count // 2 + 1, np.complex128)
    kept = min(len(spectrum), len(wanted))
    wanted[:kept] = spectrum[:kept] * (count / max(len(samples), 1))
    frequencies = np.fft.rfftfreq(count, 1 / SPEECH_RATE)
    sound = np.fft.irfft(wanted * _microphone(frequencies, random), count)
    if random.random() < 0.4:
        sound = _convolved(sound, _room(random))
    if random.random() < 0.6:
        noise = colored_noise(count, random.uniform(0, 0.6), random)
        ratio = 10 ** (-random.uniform(5, 30) / 10)
        sound = sound + noise * np.sqrt(
            np.mean(sound**2) * ratio / max(float(np.mean(noise**2)), 1e-12)
        )
    return np.asarray(sound, np.float32), count / max(len(samples), 1)


def _microphone(frequencies: NDArray[np.floating], random: Random) -> Sound:
    decibels = np.cumsum(random.normal(0, 3, len(_BREAKS))) * 0.7
    decibels -= decibels.mean()
    if random.random() < 0.25:  # a telephone
        decibels[-1] -= 30
        decibels[-2] -= 10 * random.random()
    return np.asarray(10 ** (np.interp(frequencies, _BREAKS, decibels) / 20))


def _room(random: Random) -> Sound:
    times = np.arange(round(0.4 * SPEECH_RATE)) / SPEECH_RATE
    echo = random.normal(size=len(times)) * np.exp(-times / random.uniform(0.03, 0.12))
    echo[:40] *= 0.2
    echo *= random.uniform(0.1, 0.5) / np.sqrt((echo**2).sum())
    echo[0] += 1
    return np.asarray(echo)


def _convolved(sound: Sound, kernel: Sound) -> Sound:
    size = len(sound) + len(kernel)
    product = np.fft.rfft(sound, size) * np.fft.rfft(kernel, size)
    return np.asarray(np.fft.irfft(product, size)[: len(sound)])


def colored_noise(count: int, tilt: float, random: Random) -> Sound:
    """(count,) noise whose amplitude falls with the frequency to the power ``tilt``; its peak is 1."""
    spectrum = np.fft.rfft(random.normal(size=count))
    spectrum[1:] /= np.fft.rfftfreq(count, 1 / SPEECH_RATE)[1:] ** tilt
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / max(np.abs(noise).max(), 1e-12))


@cache
def nonspeech(count: int = 27) -> tuple[SoundVersion, ...]:
    """Sounds in which nobody speaks: noise, hum, clicks, applause, chords, melodies, drums, sweeps and bands."""
    random = np.random.default_rng(5)
    return tuple(
        _version(nonspeech_sound(kind % KINDS, random), float(random.uniform(0, _LATEST)), 1.0)
        for kind in range(count)
    )


def nonspeech_sound(kind: int, random: Random, seconds: float = _NONSPEECH_SECONDS) -> Floats:
    """One of the `KINDS` kinds of sound in the order of `nonspeech`, at a random level."""
    makers: tuple[Callable[[Random, float], Sound], ...] = (
        _noise, _hum, _clicks, _applause, _chords, _melody, _drums, _sweep, _band,
    )  # fmt: skip
    sound = makers[kind](random, seconds)
    loudness = random.uniform(0.05, 0.9) / max(float(np.abs(sound).max()), 1e-9)
    return np.asarray(sound * loudness, np.float32)


def _clock(seconds: float) -> Sound:
    return np.arange(round(seconds * SPEECH_RATE)) / SPEECH_RATE


def _noise(random: Random, seconds: float) -> Sound:
    times = _clock(seconds)
    swell = 1 + 0.5 * np.sin(2 * np.pi * random.uniform(0.1, 2) * times)
    return np.asarray(colored_noise(len(times), random.uniform(0, 1.2), random) * swell)


def _hum(random: Random, seconds: float) -> Sound:
    times = _clock(seconds)
    phases = random.uniform(0, 6, 11)
    waves = (np.sin(2 * np.pi * 50 * k * times + phases[k - 1]) / k for k in range(1, 12))
    return np.asarray(sum(waves))


def _bursts(
    random: Random, seconds: float, count: int, length: int, decay: tuple[float, float]
) -> Sound:
    sound = np.zeros(len(_clock(seconds)))
    for at in random.integers(0, len(sound) - length, count):
        fading = np.exp(-np.arange(length) / random.uniform(*decay))
        sound[at : at + length] += random.uniform(0.2, 1) * random.normal(size=length) * fading
    return sound


def _clicks(random: Random, seconds: float) -> Sound:
    return _bursts(random, seconds, int(random.integers(1, 12)), 400, (10, 150))


def _applause(random: Random, seconds: float) -> Sound:
    return _bursts(random, seconds, round(150 * seconds), 800, (60, 200))


def _note(sound: Sound, hertz: float, start: float, length: float, random: Random) -> None:
    """Add a plucked note to ``sound``."""
    first = round(start * SPEECH_RATE)
    times = _clock(length)[: max(len(sound) - first, 0)]
    decay = length * random.uniform(0.3, 1)
    envelope = np.exp(-times / decay) * np.minimum(1, times / 0.01)
    for harmonic in range(1, 8):
        wave = np.sin(2 * np.pi * hertz * harmonic * times + random.uniform(0, 6))
        sound[first : first + len(times)] += envelope * wave / harmonic ** random.uniform(1, 2)


def _beats(
    random: Random, seconds: float, length: tuple[float, float]
) -> Iterator[tuple[float, float]]:
    start = 0.0
    while start < seconds:
        lasting = float(random.uniform(*length))
        yield start, lasting
        start += lasting * random.uniform(0.6, 1)


def _chords(random: Random, seconds: float) -> Sound:
    sound = np.zeros(len(_clock(seconds)))
    for start, length in _beats(random, seconds, (0.4, 1.5)):
        root = float(random.choice(_NOTES))
        for ratio in (1, 5 / 4, 3 / 2, 2):
            _note(sound, root * ratio, start, length, random)
    return sound


def _melody(random: Random, seconds: float) -> Sound:
    sound = np.zeros(len(_clock(seconds)))
    for start, length in _beats(random, seconds, (0.12, 0.6)):
        hertz = float(random.choice((220, 330, 440)) * random.choice(_SCALE))
        _note(sound, hertz, start, length, random)
    return sound


def _drums(random: Random, seconds: float) -> Sound:
    sound = np.zeros(len(_clock(seconds)))
    for start in np.arange(0, seconds, random.uniform(0.25, 0.5)):
        first = round(float(start) * SPEECH_RATE)
        times = _clock(0.25)[: len(sound) - first]
        if random.random() < 0.5:
            beat = np.sin(2 * np.pi * 60 * times) * np.exp(-times / 0.08)
        else:
            beat = random.normal(size=len(times)) * np.exp(-times / 0.04)
        sound[first : first + len(times)] += beat
    return sound


def _sweep(random: Random, seconds: float) -> Sound:
    count = len(_clock(seconds))
    hertz = np.linspace(random.uniform(80, 300), random.uniform(500, 4000), count)
    return np.asarray(np.sin(2 * np.pi * np.cumsum(hertz) / SPEECH_RATE))


def _band(random: Random, seconds: float) -> Sound:
    parts = (_chords(random, seconds), _drums(random, seconds), _melody(random, seconds))
    return np.asarray(
        sum(w * p / np.abs(p).max() for w, p in zip((1, 0.7, 0.5), parts, strict=True))
    )
