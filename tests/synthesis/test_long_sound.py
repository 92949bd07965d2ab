"""A film's sound is long: it is held once, and never copied whole."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from dubkit.engines.track import Track
from dubkit.records import Floats
from dubkit.synthesis.sound import SAMPLE_RATE, listen
from dubkit.synthesis.unspoken import unspoken


def _peak(work: Callable[[Floats], object], minutes: int) -> int:
    """Bytes that it takes beside the sound itself."""
    samples = np.zeros(minutes * 60 * SAMPLE_RATE, np.float32)
    samples[::50] = 0.1
    tracemalloc.start()
    try:
        work(samples)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("work", [Track.of, listen, unspoken])
def test_more_sound_takes_no_second_copy_of_it(work: Callable[[Floats], object]) -> None:
    more = 4 * 60 * SAMPLE_RATE * 4  # bytes of four minutes
    assert _peak(work, 5) - _peak(work, 1) < more
