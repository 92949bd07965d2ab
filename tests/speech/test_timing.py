"""What a shot is told of the speech."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from dubkit.errors import WorkError
from dubkit.records import Phoneme, Shot, SpokenLine
from dubkit.speech.timing import cut_timing, load_timing, off_screen, save_timing, without

SPEECH = [
    Phoneme("sil", 0.0, 2.0),
    Phoneme("b", 2.0, 2.1, 0),
    Phoneme("aɪ", 2.1, 2.4, 0),
    Phoneme("sil", 2.4, 9.0),
]


def times(start: int, end: int, rate: float = 25) -> NDArray[np.float64]:
    return np.arange(start, end, dtype=np.float64) / rate


def test_runs_tile_the_frames_of_the_shot() -> None:
    timing = cut_timing(SPEECH, Shot(45, 70), times(45, 70), 0.8)
    assert [run.symbol for run in timing.runs] == ["sil", "b", "aɪ", "sil"]
    assert [(r.start, r.end) for r in timing.runs] == [(45, 50), (50, 53), (53, 60), (60, 70)]


def test_a_far_phoneme_and_the_far_end_of_a_silence_change_nothing() -> None:
    shot, moments = Shot(45, 70), times(45, 70)
    changed = [Phoneme("a", 0.0, 0.5), Phoneme("sil", 0.5, 2.0), *SPEECH[1:3]]
    changed += [Phoneme("sil", 2.4, 5.0), Phoneme("m", 5.0, 9.0)]
    one, other = (cut_timing(s, shot, moments, 0.8) for s in (SPEECH, changed))
    assert (one.phonemes, one.runs) == (other.phonemes, other.runs)


def test_frames_after_the_end_of_the_dub_are_silent() -> None:
    timing = cut_timing(SPEECH, Shot(0, 10), np.linspace(8.5, 17.5, 10), 0.8)
    assert {run.symbol for run in timing.runs} == {"sil"}
    assert timing.runs[-1].end == 10


@given(
    steps=st.lists(st.floats(0.005, 0.2), min_size=1, max_size=80),
    start=st.floats(-1, 4),
    ends=st.lists(st.floats(0.02, 0.6), max_size=12),
)
def test_runs_tile_any_shot_with_any_frame_times(
    steps: list[float], start: float, ends: list[float]
) -> None:
    edges = np.concatenate([[0.0], np.cumsum(ends)]).tolist()
    speech = [Phoneme("a", a, b) for a, b in pairwise(edges)]
    moments = np.asarray(start + np.cumsum(steps), np.float64)
    timing = cut_timing(speech, Shot(7, 7 + len(steps)), moments, 0.8)
    assert timing.runs[0].start == 7
    assert timing.runs[-1].end == 7 + len(steps)
    assert all(a.end == b.start for a, b in pairwise(timing.runs))


def test_a_timing_comes_back_equal_and_writes_equal_bytes(tmp_path: Path) -> None:
    timing = cut_timing(SPEECH, Shot(45, 70), times(45, 70, 24000 / 1001), 0.8)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_timing(tmp_path / name, timing)
    loaded = load_timing(tmp_path / "one")
    assert (loaded.phonemes, loaded.runs) == (timing.phonemes, timing.runs)
    np.testing.assert_array_equal(loaded.times, timing.times)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_damaged_timing_is_a_work_error(tmp_path: Path) -> None:
    save_timing(tmp_path, cut_timing(SPEECH, Shot(0, 5), times(0, 5), 0.8))
    (tmp_path / "times.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(WorkError, match=r"times\.npy"):
        load_timing(tmp_path)


def line(start: float | None, end: float | None, on_screen: bool | None) -> SpokenLine:
    return SpokenLine("hi", 1, start, end, 1.0, on_screen=on_screen)


def test_who_is_out_of_the_picture_moves_lips_only_while_others_speak() -> None:
    lines = [
        line(1.0, 4.0, False),
        line(2.0, 3.0, None),
        line(5.0, 6.0, True),
        line(None, None, False),
    ]
    assert off_screen(lines) == [(1.0, 2.0), (3.0, 4.0)]
    phonemes = tuple(Phoneme("a", i / 2, i / 2 + 0.5) for i in range(12))
    symbols = [p.symbol for p in without(phonemes, off_screen(lines))]
    assert symbols == ["a", "a", "sil", "sil", "a", "a", "sil", "sil", "a", "a", "a", "a"]
