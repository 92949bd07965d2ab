"""A film's sound is long: it is never copied whole, and where it lies in a file, never in memory whole."""

from __future__ import annotations

import re
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dubkit.media import audio
from dubkit.media.audio import map_samples
from dubkit.records import Floats
from dubkit.speech import activity, mel_levels
from dubkit.speech.activity import Track, unspoken
from dubkit.speech.mel_levels import SAMPLE_RATE, mel_levels_of
from tests.clips import save_wav


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


@pytest.mark.parametrize("work", [Track.of, mel_levels_of, unspoken])
def test_more_sound_takes_no_second_copy_of_it(work: Callable[[Floats], object]) -> None:
    more = 4 * 60 * SAMPLE_RATE * 4  # bytes of four minutes
    assert _peak(work, 5) - _peak(work, 1) < more


def _resident(folder: Path) -> int:
    """Bytes of files in a folder that this process has in memory by mapping them."""
    maps = Path("/proc/self/smaps").read_text()
    found = re.findall(rf" {re.escape(str(folder))}/.*\n(?:\w+: .*\n)*?Rss: +(\d+) kB", maps)
    return 1024 * sum(map(int, found))


@pytest.mark.skipif(sys.platform != "linux", reason="what is in memory is asked of /proc")
@pytest.mark.parametrize("work", [Track.of, mel_levels_of, unspoken])
def test_sound_in_a_file_is_never_in_memory_whole(
    work: Callable[[Floats], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_wav(
        tmp_path / "a.wav",
        np.tile(np.array([0.1] + [0] * 49, np.float32), 8 * 60 * SAMPLE_RATE // 50),
    )
    samples = map_samples(tmp_path / "a.wav", tmp_path)
    assert samples.sum() > 0
    assert _resident(tmp_path) >= samples.nbytes  # it can be told
    audio.release_pages(samples)
    seen: list[int] = []

    def watched(sound: Floats) -> None:
        seen.append(_resident(tmp_path))
        release_pages(sound)

    release_pages = audio.release_pages
    for module in (audio, activity, mel_levels):
        monkeypatch.setattr(module, "release_pages", watched)
    work(samples)
    assert len(seen) > 3
    assert max(*seen, _resident(tmp_path)) < samples.nbytes / 3
