"""Interlaced films: fields are frames of their own, and are woven into the frames that they came from."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubkit.config.schema import GenerateSettings
from dubkit.errors import InputError
from dubkit.media.concat import join_segments
from dubkit.media.fields import frame_times, woven
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from dubkit.media.writer import FrameWriter
from tests.clips import film

CODED = ("-c:v", "ffv1", "-pix_fmt", "yuv420p", "-field_order")


def interlaced(path: Path, order: str, size: str = "96x64") -> Path:
    first = {"tt": "tff", "bb": "bff"}[order]
    scan = f"interlace=scan={first}:lowpass=0,setfield={first}"
    return film(
        path, rate="50", size=size, seconds=0.32, video=(*CODED, order), extra=("-vf", scan)
    )


@pytest.mark.parametrize(("order", "first"), [("tt", "top"), ("bb", "bottom")])
def test_fields_come_in_their_order_of_time_at_twice_the_rate(
    tmp_path: Path, order: str, first: str
) -> None:
    path = interlaced(tmp_path / "film.mkv", order)
    info, pts = probe(path)
    whole, times = probe(path, wanted="none")
    assert (info.fields, info.marked, info.lines) == (first, first, 2)
    assert (info.height, info.frames, info.rate) == (32, 2 * whole.frames, Fraction(50))
    assert info.display_size == whole.display_size == (96, 64)
    assert abs(float(pts[1] * info.time_base) - float(times[0] * whole.time_base) - 0.02) < 1e-6
    frames = list(FrameReader(path, whole, times).read(0, 3))
    parts = list(FrameReader(path, info, pts).read(1, 5))
    assert [part.index for part in parts] == [1, 2, 3, 4]
    early = 0 if first == "top" else 1
    assert np.array_equal(parts[1].planes[0], frames[1].planes[0][early::2])
    assert np.array_equal(parts[2].planes[1], frames[1].planes[1][1 - early :: 2])


def test_fields_are_woven_into_the_same_frames_with_the_same_mark(tmp_path: Path) -> None:
    path = interlaced(tmp_path / "film.mkv", "bb")
    info, pts = probe(path)
    segment, joined = tmp_path / "segment", tmp_path / "joined"
    with FrameWriter(segment, info, GenerateSettings()) as writer:
        for frame in FrameReader(path, info, pts).read(0, info.frames):
            writer.write(frame.planes, frame.pts, frame.extras)
    join_segments([segment], frame_times(pts, info), woven(info).time_base, joined)
    back, times = probe(joined)
    assert (back.fields, back.frames, back.height) == ("bottom", info.frames, info.height)
    pairs = zip(
        FrameReader(path, info, pts).read(0, info.frames),
        FrameReader(joined, back, times).read(0, back.frames),
        strict=True,
    )
    assert all(np.array_equal(a.planes[0], b.planes[0]) for a, b in pairs)


def test_a_moving_line_is_at_its_own_place_in_each_field(tmp_path: Path) -> None:
    """What every layer above relies on: display coordinates hit the same spot in both fields."""
    from dubkit.media.planes import plane_from_display

    path = interlaced(tmp_path / "film.mkv", "tt")
    info, pts = probe(path)
    top, bottom = FrameReader(path, info, pts).read(0, 2)
    for frame, line in ((top, 20), (bottom, 21)):
        matrix = plane_from_display(info, frame.format, 0)
        assert matrix[1, 1] * line + matrix[1, 2] == pytest.approx(10)


def test_fields_that_cannot_be_told_apart_are_refused_with_a_way_out(tmp_path: Path) -> None:
    path = interlaced(tmp_path / "film.mkv", "tt", size="96x66")
    with pytest.raises(InputError, match="cannot be separated") as caught:
        probe(path)
    assert "probe.fields=none" in (caught.value.hint or "")
    assert probe(path, wanted="none")[0].fields == ""


def test_a_film_without_the_mark_can_be_worked_on_by_fields(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4")
    info, _ = probe(path, wanted="top")
    assert (info.fields, info.marked, info.frames) == ("top", "", 50)
