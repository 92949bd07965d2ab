"""How far a film's picture is behind its own sound: found where it can be, else not claimed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from dubkit.lips import film_offset
from dubkit.lips.film_offset import Lips
from dubkit.records import GRID_STEP


def smooth(count: int, rng: np.random.Generator) -> np.ndarray:
    """An opening as speech makes it, every 20 ms: nothing faster than some 8 Hz."""
    return np.asarray(np.convolve(rng.normal(size=count + 6), np.hanning(9)[1:-1], "valid"))


def face(
    late: float, seconds: float = 5.0, noise: float = 0.7, seed: int = 0, rate: float = 25.0
) -> Lips:
    """A face whose lips are ``late`` seconds; half of what they do the sound does not say."""
    rng = np.random.default_rng(seed)
    first, begin = 100 - 60, 100 * GRID_STEP
    wanted = smooth(round(seconds / GRID_STEP) + 120, rng)
    times = begin + np.arange(round(seconds * rate)) / rate
    said = np.interp((times - late) / GRID_STEP, first + np.arange(len(wanted)), wanted)
    opening = said + noise * said.std() * rng.normal(size=len(said))
    return Lips(times, opening, np.ones(len(times), np.bool_), first, wanted)


@pytest.mark.parametrize("late", [0.08, -0.08, 0.2, 0.0])
@pytest.mark.parametrize("rate", [24000 / 1001, 50.0])
def test_an_offset_is_found_within_20_ms_over_all_shots(late: float, rate: float) -> None:
    found = film_offset.estimate([face(late, seed=k, rate=rate) for k in range(6)])
    assert found.seconds == pytest.approx(late, abs=0.02)
    assert found.deviation < 0.02
    assert found.speech == pytest.approx(30, abs=0.5)
    side = "late" if late > 0 else "early"
    assert (f"{side} against the film's own sound" if late else "in sync") in str(found)


def test_a_shot_that_is_something_else_does_not_carry_the_film() -> None:
    others = [face(0.0, seed=k) for k in range(6)]
    found = film_offset.estimate([*others, face(0.4, seed=9)])
    assert found.seconds == pytest.approx(0.0, abs=0.02)


def strangers() -> list[Lips]:
    """Lips that say something else than the sound."""
    both = zip(
        [face(0, seed=k) for k in range(8)], [face(0, seed=k + 50) for k in range(8)], strict=True
    )
    return [Lips(a.times, a.opening, a.speech, a.first, b.wanted) for a, b in both]


@pytest.mark.parametrize(
    ("faces", "reason"),
    [
        ([], "0.0 s of speech, 6 s are needed"),
        ([face(0.1, seconds=3)], "3.0 s of speech"),
        (strangers(), "go with the film's own sound by"),
        ([face(0.3 * (-1) ** k, seed=k, noise=0.1) for k in range(6)], "do not agree"),
    ],
    ids=["nobody", "little", "another sound", "torn"],
)
def test_nothing_is_claimed_where_it_cannot_be_known(faces: Sequence[Lips], reason: str) -> None:
    found = film_offset.estimate(faces)
    assert found.seconds is None
    assert reason in found.reason
    assert str(found).startswith("not known: ")


def test_flat_lips_and_frames_without_speech_count_nothing() -> None:
    quiet = face(0.1, seconds=10)
    mute = Lips(quiet.times, quiet.opening, np.zeros_like(quiet.speech), quiet.first, quiet.wanted)
    flat = Lips(quiet.times, 0 * quiet.opening, quiet.speech, quiet.first, quiet.wanted)
    assert film_offset.estimate([mute]).speech == 0
    assert film_offset.estimate([flat, flat]).seconds is None
