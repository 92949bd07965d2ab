"""Writing segments and joining them: nothing lost, nothing left behind, equal bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from dubkit.config.schema import GenerateSettings
from dubkit.errors import OutputError
from dubkit.media.codecs import encoding_for
from dubkit.media.concat import closed_end, join_segments
from dubkit.media.frames import FrameReader
from dubkit.media.planes import Plane
from dubkit.media.probe import probe
from dubkit.media.writer import FrameWriter
from dubkit.records import Color, VideoInfo
from tests.clips import facts, film, noise

EXACT = [
    ("ffv1", pixels)
    for pixels in (
        *("yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv420p10le", "yuv422p10le"),
        *("yuv444p12le", "gray", "gray10le", "gbrp", "gbrp10le", "yuvj420p"),
    )
]
EXACT += [
    ("h264", pixels)
    for pixels in (
        *("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"),
        *("gbrp", "yuvj420p"),
    )
]
EXACT += [("h265", pixels) for pixels in ("yuv420p", "yuv420p10le", "yuv422p12le", "gbrp")]


def written(
    path: Path, info: VideoInfo, pictures: Sequence[tuple[Plane, ...]], settings: GenerateSettings
) -> Path:
    with FrameWriter(path, info, settings) as writer:
        for pts, planes in enumerate(pictures):
            writer.write(planes, pts)
    return path


@pytest.mark.parametrize(("codec", "pixels"), EXACT)
@pytest.mark.parametrize("size", [(64, 48), (50, 38)])
def test_lossless_codecs_give_every_sample_back(
    tmp_path: Path, codec: str, pixels: str, size: tuple[int, int]
) -> None:
    info = facts(pixels, width=size[0], height=size[1], frames=6)
    pictures = noise(info, 6)
    settings = GenerateSettings.model_validate({"codec": codec, "quality": 0})
    assert encoding_for(info, settings).exact
    path = written(tmp_path / "segment.nut", info, pictures, settings)
    back, pts = probe(path)
    assert back.frames == 6
    for frame, planes in zip(FrameReader(path, back, pts).read(0, 6), pictures, strict=True):
        for mine, wanted in zip(frame.planes, planes, strict=True):
            assert np.array_equal(mine, wanted)


@pytest.mark.parametrize("pixels", ["gray", "gray10le"])
def test_gray_samples_survive_in_h264(tmp_path: Path, pixels: str) -> None:
    info = facts(pixels, frames=4)
    pictures = noise(info, 4)
    path = written(tmp_path / "segment", info, pictures, GenerateSettings(quality=0))
    back, pts = probe(path)
    for frame, planes in zip(FrameReader(path, back, pts).read(0, 4), pictures, strict=True):
        assert np.array_equal(frame.planes[0], planes[0])


@pytest.mark.parametrize("codec", ["ffv1", "h264"])
def test_odd_sizes_are_kept_where_the_codec_can(tmp_path: Path, codec: str) -> None:
    pixels = "yuv444p" if codec == "h264" else "yuv420p"
    info = facts(pixels, width=51, height=37, frames=3)
    settings = GenerateSettings.model_validate({"codec": codec, "quality": 0})
    path = written(tmp_path / "segment", info, noise(info, 3), settings)
    assert probe(path)[0].display_size == (51, 37)


@pytest.mark.parametrize("codec", ["h264", "h265", "ffv1", "prores"])
def test_equal_pictures_give_equal_bytes(tmp_path: Path, codec: str) -> None:
    info = facts(width=160, height=96, frames=30)
    pictures = [tuple(plane // 8 + 60 for plane in planes) for planes in noise(info, 30)]
    settings = GenerateSettings.model_validate({"codec": codec})
    made = [written(tmp_path / name, info, pictures, settings).read_bytes() for name in "abc"]
    assert made[0] == made[1] == made[2]


def test_the_h264_of_a_real_shot_does_not_depend_on_chance(data: Path, tmp_path: Path) -> None:
    path = data / "film" / "five_shots_two_women.mp4"
    info, pts = probe(path)
    made = []
    for name in "ab":
        with FrameWriter(tmp_path / name, info, GenerateSettings()) as writer:
            for frame in FrameReader(path, info, pts, threads=2).read(10, 60):
                writer.write(frame.planes, frame.pts)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]


def test_ten_bits_stay_ten_bits_and_twelve_become_ten_in_h264() -> None:
    settings = GenerateSettings()
    assert encoding_for(facts("yuv422p10le"), settings).pixel_format == "yuv422p10le"
    twelve = encoding_for(facts("yuv422p12le"), settings)
    assert (twelve.pixel_format, twelve.exact) == ("yuv422p10le", False)


def _write_and_stop(writer: FrameWriter, info: VideoInfo) -> None:
    writer.write(noise(info, 1)[0], 0)
    raise RuntimeError("stop")


def test_an_error_inside_the_block_leaves_no_file(tmp_path: Path) -> None:
    info = facts()
    writer = FrameWriter(tmp_path / "segment.nut", info, GenerateSettings())
    with pytest.raises(RuntimeError, match="stop"), writer:
        _write_and_stop(writer, info)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_so() -> None:
    info = facts(frames=60)
    settings = GenerateSettings(codec="h264", quality=0)
    with pytest.raises(OutputError, match="disk is full"):
        written(Path("/dev/full"), info, noise(info, 60), settings)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_may_not_be_written_is_said_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="is not writable"):
        written(tmp_path / "segment.nut", facts(), noise(facts(), 1), GenerateSettings())


def test_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        written(tmp_path / "no" / "segment", facts(), noise(facts(), 1), GenerateSettings())


@pytest.mark.parametrize("codec", ["h264", "h265", "ffv1"])
def test_joined_segments_decode_to_the_same_frames_at_their_times(
    tmp_path: Path, codec: str
) -> None:
    source = film(tmp_path / "source.mp4", rate="30000/1001", seconds=2, sound=False)
    info, pts = probe(source)
    settings = GenerateSettings.model_validate({"codec": codec, "quality": 0})
    edges = [0, 1, 3, 20, 21, 40, info.frames]
    segments = []
    for start, end in pairwise(edges):
        segments.append(tmp_path / f"{start}.nut")
        with FrameWriter(segments[-1], info, settings) as writer:
            for frame in FrameReader(source, info, pts).read(start, end):
                writer.write(frame.planes, frame.pts)
    joined = tmp_path / "joined"
    assert join_segments(segments, pts, info.time_base, joined) == info.frames
    back, times = probe(joined)
    assert back.frames == info.frames
    if codec != "ffv1":
        wanted = [(p - pts[0]) * info.time_base for p in pts]
        assert [(t - times[0]) * back.time_base for t in times] == wanted
    pairs = zip(
        FrameReader(source, info, pts).read(0, info.frames),
        FrameReader(joined, back, times).read(0, back.frames),
        strict=True,
    )
    for mine, other in pairs:
        assert all(np.array_equal(a, b) for a, b in zip(mine.planes, other.planes, strict=True))


def test_too_few_pictures_are_an_error(tmp_path: Path) -> None:
    info = facts(frames=5)
    path = written(tmp_path / "a.nut", info, noise(info, 5), GenerateSettings())
    with pytest.raises(OutputError, match="5 pictures of 6"):
        join_segments([path], np.arange(6), info.time_base, tmp_path / "out")


@given(st.permutations(range(12)), st.integers(1, 12))
def test_a_cut_is_never_before_the_wish_and_keeps_whole_groups(
    order: list[int], wanted: int
) -> None:
    kept = closed_end(np.array(order), wanted)
    assert kept >= wanted
    assert sorted(order[:kept]) == list(range(kept))


def test_times_of_any_base_survive(tmp_path: Path) -> None:
    for base in (Fraction(1, 1000), Fraction(1, 90000), Fraction(1001, 24000), Fraction(1, 600)):
        info = facts(time_base=base, rate=1 / (base * 40), color=Color(1, 1, 1, 1))
        times = [7000 + 40 * n for n in range(10)]
        path = tmp_path / "segment"
        with FrameWriter(path, info, GenerateSettings()) as writer:
            for planes, pts in zip(noise(info, 10), times, strict=True):
                writer.write(planes, pts)
        assert join_segments([path], np.array(times), base, tmp_path / "joined") == 10
        back, pts_back = probe(tmp_path / "joined")
        assert [p * back.time_base for p in pts_back] == [n * 40 * base for n in range(10)]
        assert back.color == info.color
