"""Who speaks, on real people and on made sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubkit.faces.lips_from_sound import (
    SAMPLE_RATE,
    Series,
    mouth_motion,
    sound_features,
    speaker_score,
    without_slow,
)
from dubkit.records import Floats
from tests.painted import face

RATE = 25.0


def syllables(seconds: float, seed: int) -> tuple[Series, Floats]:
    """Mouth openings (T,) at 25 fps and a vowel-like sound that swells with them."""
    random = np.random.default_rng(seed)
    count = round(seconds * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    beats = np.cumsum(random.uniform(0.16, 0.34, round(seconds * 5)))
    swell = np.clip(sum(np.exp(-0.5 * ((time - b) / 0.05) ** 2) for b in beats), 0, 1)
    tone = sum(np.sin(2 * np.pi * f * time) / k for k, f in enumerate((120, 600, 800, 1200), 1))
    frames = ((np.arange(round(seconds * RATE)) + 0.5) / RATE * SAMPLE_RATE).astype(int)
    return swell[frames], (0.2 * swell * tone).astype(np.float32)


def talk(opening: Series) -> Floats:
    faces: Floats = np.stack([face(float(o)) for o in opening]) * 80 + 300
    return faces


def times(count: int) -> Series:
    return np.asarray((np.arange(count) + 0.5) / RATE, np.float64)


def test_a_mouth_that_moves_with_the_sound_speaks_and_another_does_not() -> None:
    mine, sound = syllables(5.0, 1)
    other, _ = syllables(5.0, 2)
    features = sound_features(sound, times(len(mine)))
    speaker = speaker_score(mouth_motion(talk(mine)), features, RATE)
    stranger = speaker_score(mouth_motion(talk(other)), features, RATE)
    assert speaker is not None
    assert stranger is not None
    assert speaker.speaks
    assert speaker.correlation > stranger.correlation + 0.15


def test_sound_two_frames_late_is_still_recognized() -> None:
    mine, sound = syllables(5.0, 1)
    late = np.concatenate([np.zeros(round(0.08 * SAMPLE_RATE), np.float32), sound])
    found = speaker_score(mouth_motion(talk(mine)), sound_features(late, times(len(mine))), RATE)
    assert found is not None
    assert found.speaks


def test_a_mouth_at_rest_never_speaks() -> None:
    _, sound = syllables(5.0, 1)
    still = speaker_score(
        mouth_motion(talk(np.zeros(125))), sound_features(sound, times(125)), RATE
    )
    assert still is not None
    assert not still.speaks


def test_silence_says_nothing() -> None:
    mine, sound = syllables(5.0, 1)
    assert (
        speaker_score(mouth_motion(talk(mine)), sound_features(sound * 0, times(125)), RATE) is None
    )


def test_too_little_says_nothing() -> None:
    mine, sound = syllables(0.4, 1)
    features = sound_features(sound, times(len(mine)))
    assert speaker_score(mouth_motion(talk(mine)), features, RATE) is None


def test_a_face_that_is_never_there_says_nothing() -> None:
    _, sound = syllables(5.0, 1)
    nobody = np.full_like(talk(np.zeros(125)), np.nan)
    assert speaker_score(mouth_motion(nobody), sound_features(sound, times(125)), RATE) is None


def test_gaps_are_filled_evenly() -> None:
    faces = talk(np.linspace(0, 1, 20))
    whole = mouth_motion(faces)
    faces[5:9] = np.nan
    assert np.allclose(mouth_motion(faces)[:, 0], whole[:, 0], atol=1e-3)


@pytest.mark.parametrize("rate", [24.0, 25.0, 60.0])
def test_what_is_slow_is_taken_away(rate: float) -> None:
    ramp = np.linspace(0, 1, 200)[:, None]
    assert np.abs(without_slow(ramp, rate)).max() < 1e-6


def test_the_map_from_sound_to_lips_is_in_the_package() -> None:
    path = (
        Path(__file__).resolve().parents[2] / "dubkit" / "weights" / "lips_from_sound.safetensors"
    )
    assert path.stat().st_size < 10_000
