"""How a dub lies on a film, on made-up sound; tests/benchmarks/conform_trials.py measures it on speech."""

from __future__ import annotations

import numpy as np
import pytest

from dubkit.media.audio import SPEECH_RATE
from dubkit.records import Floats
from dubkit.speech.sound_offset import BANDS, RATIOS, ROWS, Finding, band_levels, find

SECONDS = 90


def scene(seed: int, seconds: float = SECONDS) -> Floats:
    """Noises of all lengths and colors, one after another."""
    random = np.random.default_rng(seed)
    track = random.normal(size=round(seconds * SPEECH_RATE)).astype(np.float32) * 1e-3
    at = 0.0
    while at < seconds - 1:
        length = float(random.uniform(0.05, 0.8))
        part = track[round(at * SPEECH_RATE) : round((at + length) * SPEECH_RATE)]
        color = np.sin(np.arange(len(part)) * float(random.uniform(0.05, 1.5)))
        part += (color * random.uniform(0.02, 0.2)).astype(np.float32)
        at += length + float(random.exponential(0.4))
    return track


def moved(track: Floats, offset: float, stretch: float) -> Floats:
    """The sound of which second u is second ``offset + stretch * u`` of ``track``."""
    count = int((len(track) / SPEECH_RATE - offset) / stretch * SPEECH_RATE)
    at = (offset + stretch * np.arange(count) / SPEECH_RATE) * SPEECH_RATE
    return np.interp(at, np.arange(len(track)), track, left=0, right=0).astype(np.float32)


def levels(samples: Floats) -> Floats:
    return band_levels(samples[at : at + 50_000] for at in range(0, len(samples), 50_000))


@pytest.fixture(scope="module")
def film() -> Floats:
    return levels(scene(1))


def test_levels_come_a_hundred_a_second_whatever_the_blocks() -> None:
    samples = scene(3, 4)
    found = levels(samples)
    assert found.shape[1] == BANDS
    assert len(found) == pytest.approx(4 * ROWS, abs=3)
    np.testing.assert_allclose(band_levels([samples]), found, atol=1e-4)


@pytest.mark.parametrize(
    ("offset", "stretch"),
    [(0.0, 1.0), (0.5, 1.0), (-1.7, 1.0), (0.3, 1.001), (-0.8, 25 / 24), (1.2, 23.976 / 25)],
)
def test_offset_and_drift_are_found_under_other_voices(
    film: Floats, offset: float, stretch: float
) -> None:
    dub = levels(moved(scene(1) + 0.7 * scene(2), offset, stretch))
    found = find(film, dub)
    assert found.basis == "common sound"
    assert found.confidence > 0.9
    for u in (0.0, SECONDS / stretch):
        assert found.offset + found.stretch * u == pytest.approx(offset + stretch * u, abs=0.03)
    assert found.ppm == pytest.approx(1e6 * (stretch - 1), abs=300)


def test_sounds_that_share_nothing_say_nothing(film: Floats) -> None:
    for seed in (5, 6, 7):
        assert find(film, levels(scene(seed))).confidence < 0.5


@pytest.mark.parametrize("seconds", [2, 20])
def test_a_single_event_or_steady_sound_is_no_evidence(seconds: int) -> None:
    tone = 0.3 * np.sin(np.arange(seconds * SPEECH_RATE) * 0.17).astype(np.float32)
    late = np.concatenate([np.zeros(8000, np.float32), tone])
    assert find(levels(tone), levels(late)).confidence < 0.5
    silence = np.zeros_like(tone)
    assert find(levels(tone), levels(silence)).confidence < 0.5
    assert find(levels(silence), levels(silence)).confidence < 0.5


def test_ratios_are_those_of_film_rates() -> None:
    assert RATIOS[1.0] == ""
    assert sum(abs(ratio - 1.001) < 1e-9 for ratio in RATIOS) == 1
    assert len(RATIOS) == 7
    assert Finding("speech", stretch=1.001).ppm == pytest.approx(1000)


@pytest.mark.parametrize("seconds", [3.5, 4.0, 5.0, 6.0])
def test_short_sound_of_something_else_is_laid_nowhere(seconds: float) -> None:
    """Most of a film is beside so short a dub at most offsets: what is little there made the rest stand out."""
    for seed in range(8):
        found = find(levels(scene(seed, 12)), levels(scene(100 + seed, seconds)))
        assert found.confidence < 0.3
