"""Music, noise and breath are no speech."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dubkit.media.audio import load_samples
from dubkit.records import Floats, Phoneme
from dubkit.speech.activity import silence_unspoken, unspoken
from tests.portrait import ASSETS

RATE = 16000
VOICE = ASSETS / "dub.flac"


def music(seconds: float = 5.0, seed: int = 0) -> Floats:
    """A chord, plucked notes four times a second and a drum."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    chord = [np.sin(2 * np.pi * pitch * time) for pitch in (110.0, 138.6, 164.8)]
    sound = np.asarray(0.5 * np.sum(chord, 0), np.float64)
    note = np.arange(RATE // 2) / RATE
    for beat in range(int(seconds * 4) - 2):
        pitch = 220 * 2 ** (random.integers(0, 13) / 12)
        pluck = sum(np.sin(2 * np.pi * pitch * k * note) / k for k in range(1, 6))
        at = beat * RATE // 4
        sound[at : at + len(note)] += pluck * np.exp(-5 * note)
        sound[at : at + RATE // 10] += random.normal(size=RATE // 10) * np.exp(
            -60 * note[: RATE // 10]
        )
    return np.asarray(0.15 * sound / np.abs(sound).max(), np.float32)


def breath(seconds: float = 1.0, level: float = 0.03) -> Floats:
    """Air: noise around 1.2 kHz that swells and fades."""
    noise = np.random.default_rng(2).normal(size=int(seconds * RATE))
    spectrum = np.fft.rfft(noise)
    frequency = np.fft.rfftfreq(len(noise), 1 / RATE)
    air = np.fft.irfft(spectrum * np.exp(-(((frequency - 1200) / 900) ** 2)), len(noise))
    swell = np.sin(np.pi * np.arange(len(air)) / len(air)) ** 2
    return np.asarray(level * air / air.std() * swell, np.float32)


@pytest.fixture(scope="module")
def voice() -> Floats:
    return load_samples(VOICE)[: 8 * RATE]


def test_a_voice_is_speech(voice: Floats) -> None:
    assert unspoken(voice).mean() < 0.02


@pytest.mark.parametrize("decibel", [-20.0, 0.0])
@pytest.mark.parametrize("seed", [0, 5])
def test_music_is_not(decibel: float, seed: int) -> None:
    assert unspoken(music(seed=seed) * 10 ** (decibel / 20)).mean() > 0.85


def test_noise_is_not() -> None:
    noise = 0.05 * np.random.default_rng(1).normal(size=4 * RATE)
    assert unspoken(noise.astype(np.float32)).mean() > 0.95


def test_breath_before_a_sentence_is_not_and_the_sentence_is(voice: Floats) -> None:
    sound = np.concatenate(
        [np.zeros(RATE, np.float32), breath(), np.zeros(RATE, np.float32), voice]
    )
    found = unspoken(sound)
    assert found[60:90].mean() > 0.9
    assert found[150:].mean() < 0.02


def test_silence_and_nothing_are_no_sound_at_all() -> None:
    assert not unspoken(np.zeros(RATE, np.float32)).any()
    assert len(unspoken(np.zeros(0, np.float32))) == 0
    assert not unspoken(np.full(RATE, np.nan, np.float32)).any()


def test_what_follows_far_away_changes_nothing_here(voice: Floats) -> None:
    one = np.concatenate([voice, music()])
    two = np.concatenate([voice, np.zeros_like(music())])
    here = slice(0, int((len(voice) / RATE - 1.6) / 0.02))
    np.testing.assert_array_equal(unspoken(one)[here], unspoken(two)[here])


def test_phonemes_over_music_become_silence_and_keep_their_times(voice: Floats) -> None:
    samples = np.concatenate([music(), voice])
    edges = np.arange(0, 12.01, 0.2)
    phonemes = [Phoneme("ɑ", float(a), float(b)) for a, b in pairwise(edges)]
    heard = silence_unspoken(phonemes, unspoken(samples))
    assert [(p.start, p.end) for p in heard] == [(p.start, p.end) for p in phonemes]
    assert all(p.symbol == "sil" for p in heard if 0.2 < p.start < 4.0)
    assert sum(p.symbol == "ɑ" for p in heard if p.start > 6.0) > 28
