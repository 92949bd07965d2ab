"""What the TC net hears of the dub."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubkit.records import GRID_STEP, Floats, Phoneme, Shot
from dubkit.speech import mel_levels
from dubkit.speech.timing import cut_timing, load_timing, save_timing

RATE = mel_levels.SAMPLE_RATE


def syllables(seconds: float = 8.0) -> Floats:
    """A voice: a buzz of harmonics that swells four times a second."""
    time = np.arange(int(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 40))
    swell = np.clip(np.sin(2 * np.pi * 4 * time), 0, 1)
    return np.asarray(0.1 * buzz * swell, np.float32)


def test_levels_rise_and_fall_with_the_voice() -> None:
    levels = mel_levels.mel_levels_of(syllables()).levels.mean(1)
    moments = np.arange(len(levels)) * GRID_STEP
    swell = np.clip(np.sin(2 * np.pi * 4 * moments), 0, 1)
    assert np.corrcoef(levels[100:-100], swell[100:-100])[0, 1] > 0.8


@pytest.mark.parametrize("decibel", [-12.0, 12.0])
def test_loudness_of_the_whole_says_nothing(decibel: float) -> None:
    voice = syllables()
    before, after = (
        mel_levels.mel_levels_of(v).levels for v in (voice, voice * 10 ** (decibel / 20))
    )
    loud = before > 1.0
    assert np.abs(after - before)[loud].max() < 0.25


def test_what_is_changed_far_away_changes_nothing_here() -> None:
    voice = syllables(12.0)
    other = voice.copy()
    other[: 4 * RATE] = 0.3 * np.random.default_rng(0).normal(size=4 * RATE)
    here = slice(int(6.2 / GRID_STEP), None)
    np.testing.assert_array_equal(
        mel_levels.mel_levels_of(voice).levels[here], mel_levels.mel_levels_of(other).levels[here]
    )


@pytest.mark.parametrize("samples", [np.zeros(RATE), np.zeros(0), np.zeros(100)])
def test_no_sound_is_silence(samples: np.ndarray) -> None:
    assert not mel_levels.mel_levels_of(samples.astype(np.float32)).levels.any()


def test_what_is_not_a_number_is_silence() -> None:
    broken = syllables()
    broken[1000:3000] = np.nan
    broken[4000] = np.inf
    assert np.isfinite(mel_levels.mel_levels_of(broken).levels).all()


def test_a_shot_is_given_its_part_and_gets_it_back_from_disk(tmp_path: Path) -> None:
    whole = mel_levels.mel_levels_of(syllables())
    times = 3.0 + np.arange(25) / 25
    timing = cut_timing([Phoneme("a", 0, 8)], Shot(0, 25), times, 0.8, whole)
    assert timing.sound is not None
    assert len(timing.sound.levels) * GRID_STEP < 3.0
    save_timing(tmp_path, timing)
    stored = load_timing(tmp_path).sound
    assert stored is not None
    numbers = np.arange(120, 230)
    np.testing.assert_allclose(stored.rows(numbers), whole.rows(numbers), atol=2e-3)
    assert not stored.rows(np.array([0, 1000])).any()
