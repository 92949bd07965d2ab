"""Closed captions and the active format survive in every codec that can hold them."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import pytest
from av.video.frame import VideoFrame

from dubkit.config.schema import GenerateSettings
from dubkit.media.captions import Extras, coded, dynamic_metadata
from dubkit.media.codecs import encoding_for
from dubkit.media.frames import FrameReader
from dubkit.media.probe import head, probe
from dubkit.media.writer import FrameWriter
from dubkit.records import VideoInfo
from tests.clips import facts, ffmpeg, hdr10_plus, noise

TRIPLETS = bytes([0xFC, 0x94, 0x20, 0xFD, 0x80, 0x80, 0xFF, 0, 0])


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg2video"])
def test_captions_and_active_format_come_back(tmp_path: Path, codec: str) -> None:
    info = replace(facts(frames=6), codec=codec)
    path = tmp_path / "segment"
    with FrameWriter(path, info, GenerateSettings()) as writer:
        for pts, planes in enumerate(noise(info, 6)):
            writer.write(planes, pts, Extras(None, TRIPLETS if pts != 3 else b"", 10))
    back, times = probe(path)
    assert "closed captions" in back.hidden
    found = [frame.extras for frame in FrameReader(path, back, times).read(0, 6)]
    assert [entry.captions for entry in found] == [TRIPLETS] * 3 + [b""] + [TRIPLETS] * 2
    assert {entry.active_format for entry in found} == {10}


def described(path: Path, codec: str = "hevc") -> VideoInfo:
    """A film of six frames whose HDR10+ differs from frame to frame, but is missing in the fourth."""
    info = replace(facts(frames=6), codec=codec)
    with FrameWriter(path, info, GenerateSettings()) as writer:
        for pts, planes in enumerate(noise(info, 6)):
            dynamic = b"" if pts == 3 else hdr10_plus(40000 + pts)
            writer.write(planes, pts, Extras(dynamic=dynamic))
    return info


def test_hdr10_plus_goes_from_hevc_to_hevc_as_it_is(tmp_path: Path) -> None:
    described(tmp_path / "segment")
    ffmpeg("-i", tmp_path / "segment", "-c", "copy", tmp_path / "film.mp4")
    for path in (tmp_path / "segment", tmp_path / "film.mp4"):
        info, times = probe(path)
        assert "HDR10+" in info.hidden
        found = [frame.extras.dynamic for frame in FrameReader(path, info, times).read(0, 6)]
        expected = [hdr10_plus(40000 + n) for n in range(6)]
        assert found == [*expected[:3], b"", *expected[4:]]
    assert encoding_for(info, GenerateSettings()).losses == ()


def test_hdr10_plus_is_named_where_it_is_lost(tmp_path: Path) -> None:
    described(tmp_path / "segment")
    losses = encoding_for(head(tmp_path / "segment"), GenerateSettings(codec="h264")).losses
    assert losses == ("HDR10+ in the pictures is left out",)


@pytest.mark.parametrize("end", range(0, 30, 3))
def test_a_torn_message_is_none(end: int) -> None:
    whole = b"\x00\x00\x01\x4e\x01\x04\xff" + hdr10_plus()
    assert dynamic_metadata(whole[:end], lengths=False) in (b"", hdr10_plus(), whole[7:end])
    assert dynamic_metadata(bytes(end) + whole, lengths=True) == b""


def test_other_codecs_get_no_bytes() -> None:
    assert coded(Extras(None, TRIPLETS, 10), "prores") == b""
    assert coded(Extras(), "h264") == b""


def test_pictures_whose_extras_were_read_go_at_once(tmp_path: Path) -> None:
    """A cycle would keep their pixels until Python looks for cycles: hundreds of megabytes of a shot."""
    info = facts(frames=8)
    with FrameWriter(tmp_path / "segment", info, GenerateSettings()) as writer:
        for pts, planes in enumerate(noise(info, 8)):
            writer.write(planes, pts, Extras(None, TRIPLETS))
    back, times = probe(tmp_path / "segment")
    gc.collect()
    gc.disable()
    try:
        before = sum(type(o) is VideoFrame for o in gc.get_objects())
        assert all(
            f.extras.captions for f in FrameReader(tmp_path / "segment", back, times).read(0, 8)
        )
        after = sum(type(o) is VideoFrame for o in gc.get_objects())
    finally:
        gc.enable()
    assert after == before
