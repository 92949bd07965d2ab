"""Closed captions and the active format survive in every codec that can hold them."""

from __future__ import annotations

import gc
import re
from dataclasses import replace
from pathlib import Path

import av
import pytest
from av.video.frame import VideoFrame

from dubkit.config.schema import GenerateSettings
from dubkit.media.captions import Extras, coded, with_hidden
from dubkit.media.codecs import encoding_for
from dubkit.media.frames import FrameReader
from dubkit.media.probe import head, probe
from dubkit.media.writer import FrameWriter
from tests.clips import facts, ffmpeg, film, noise

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


def test_hdr10_plus_is_named_as_lost_before_a_frame_is_read(tmp_path: Path) -> None:
    window = 3 * f"{50000:017b}" + f"{20000:017b}" + "0" * 14  # brightness, without percentiles
    bits = f"{1:08b}{1:02b}{4000:027b}0{window}" + "000"
    bits += "0" * (-len(bits) % 8)
    body = b"\xb5\x00\x3c\x00\x01\x04" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    escaped = re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", bytes([4, len(body)]) + body)
    message = b"\x00\x00\x00\x01\x4e\x01" + escaped + b"\x80"
    x265 = ("-c:v", "libx265", "-x265-params", "log-level=error", "-pix_fmt", "yuv420p10le")
    plain = film(tmp_path / "plain.hevc", seconds=0.2, sound=False, video=x265)
    with av.open(str(plain)) as media:
        packets = [p for p in media.demux(video=0) if p.size]
        marked = b"".join(bytes(with_hidden(p, message, "hevc")) for p in packets)
    (tmp_path / "marked.hevc").write_bytes(marked)
    ffmpeg("-r", "25", "-i", tmp_path / "marked.hevc", "-c", "copy", tmp_path / "film.mp4")
    info = head(tmp_path / "film.mp4")
    losses = encoding_for(info, GenerateSettings()).losses
    assert losses == ("HDR10+ in the pictures is left out",)


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
