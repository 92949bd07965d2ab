"""Records on disk."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dubkit.errors import WorkError
from dubkit.records import Color, PhonemeRun, Speech, StreamInfo, VideoInfo, Word
from dubkit.work.store import UNREADABLE, open_arrays, read_record, write_record


def video() -> VideoInfo:
    return VideoInfo(
        width=1280,
        height=720,
        rate=Fraction(24000, 1001),
        average_rate=Fraction(24000, 1001),
        frames=100,
        time_base=Fraction(1, 90000),
        pixel_format="yuv420p",
        codec="h264",
        color=Color(1, 1, 1, 1),
        rotation=0,
        pixel_aspect=Fraction(1),
        duration=4.17,
        video_stream=0,
        streams=(StreamInfo(0, "video", "h264"), StreamInfo(1, "audio", "aac", "de")),
        container="mp4",
    )


def test_a_record_comes_back_equal_with_its_exact_fractions(tmp_path: Path) -> None:
    write_record(tmp_path / "video.json", video())
    assert read_record(tmp_path / "video.json", VideoInfo) == video()


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    speech = Speech("en", 1.0, (Word("café", 0.1, 0.5),), (), "x", "script")
    write_record(tmp_path / "a", speech)
    write_record(tmp_path / "b", speech)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert "café" in (tmp_path / "a").read_text(encoding="utf-8")


def test_a_list_of_records_comes_back(tmp_path: Path) -> None:
    runs = [PhonemeRun("b", 0, 3, 0.0, 0.12), PhonemeRun("sil", 3, 9, 0.12, 0.36)]
    write_record(tmp_path / "runs.json", runs, list[PhonemeRun])
    assert read_record(tmp_path / "runs.json", list[PhonemeRun]) == runs


@pytest.mark.parametrize("content", [b"", b"{", b'{"width": 1}', b"\xff\xfe"])
def test_a_damaged_record_is_a_work_error_that_names_the_file(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "video.json").write_bytes(content)
    with pytest.raises(WorkError, match=r"video\.json") as caught:
        read_record(tmp_path / "video.json", VideoInfo)
    assert caught.value.hint


def test_a_missing_record_is_a_work_error(tmp_path: Path) -> None:
    with pytest.raises(WorkError):
        read_record(tmp_path / "nothing.json", VideoInfo)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "good.npz"
    np.savez_compressed(path, a=np.arange(20_000) ** 2 % 997, b=np.array("text"))
    return path


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_reading_damaged_arrays_raises_one_of_the_documented_errors(
    packed: Path, data: st.DataObject
) -> None:
    raw = bytearray(packed.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    path = packed.with_name("damaged.npz")
    path.write_bytes(raw)
    with suppress(*UNREADABLE), open_arrays(path) as stored:
        for name in ("a", "b"):
            stored[name]
