"""Coded pictures of the film that go into the result as they are: which may, and how they meet those that were made.

Codecs in which every frame stands for itself are cut anywhere; others between groups of pictures that need nothing
from outside. H.264 keeps the parameter sets of the film and of the encoder side by side, under numbers of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from dubkit.config.schema import GenerateSettings
from dubkit.media.codecs import Encoding
from dubkit.media.container import film_stream, open_media
from dubkit.records import Integers, Mask, VideoInfo

# HEVC's encoder numbers its parameter sets as the film does; FFV1 and HuffYUV keep tables outside the pictures
_INTRA = ("prores", "dnxhd", "mjpeg", "v210", "v410", "r210", "png", "jpeg2000", "cfhd", "dvvideo")
_GROUPS = ("h264", "mpeg2video", "vp8", "vp9")
_START = b"\x00\x00\x01"
_SPS, _PPS, _IDR = 7, 8, 5


def clean_points(path: Path, info: VideoInfo) -> Integers:
    """Frames at which the coded film can be cut: what comes before and what comes after need nothing of each other.

    Counted as coded. Empty where the coded pictures are not just those that are shown, in packets of their own.
    """
    if not info.timed or info.codec not in (*_INTRA, *_GROUPS):
        return np.zeros(0, np.int64)
    shown: list[int] = []
    keys: list[bool] = []
    with open_media(path) as container:
        stream = container.streams[info.video_stream]
        assert isinstance(stream, VideoStream)
        lengths = has_lengths(header_of(stream))
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.pts is None or packet.is_discard:
                return np.zeros(0, np.int64)
            shown.append(packet.pts)
            keys.append(
                packet.is_keyframe
                and (info.codec != "h264" or _is_idr(bytes(packet), lengths=lengths))
            )
    pts = np.array(shown, np.int64)
    if len(pts) != info.frames // info.lines or len(set(shown)) != len(shown):
        return np.zeros(0, np.int64)
    ranks = np.empty(len(pts), np.int64)
    ranks[np.argsort(pts, kind="stable")] = np.arange(len(pts))
    before = np.concatenate([[-1], np.maximum.accumulate(ranks)[:-1]])
    clean = np.array(keys, np.bool_) & (before == np.arange(len(pts)) - 1) & (ranks == before + 1)
    return np.asarray(np.flatnonzero(clean), np.int64)


def can_meet(info: VideoInfo, encoding: Encoding, settings: GenerateSettings) -> bool:
    """Whether coded pictures of the film may stand beside those that this encoding makes."""
    if settings.copy_frames == "off" or encoding.codec != info.codec:
        return False
    same = encoding.exact or info.codec == "prores"
    return same and info.codec in (*_INTRA, *_GROUPS)


def stands_alone(codec: str) -> bool:
    """Whether every frame of a codec that can be copied stands for itself."""
    return codec in _INTRA


def copied_span(start: int, end: int, clean: Integers, frames: int) -> tuple[int, int]:
    """The largest span within ``start`` to ``end`` (excluded) between two places to cut; empty: ``(end, end)``."""
    inside = clean[(clean >= start) & (clean <= end)]
    last = end if end == frames else int(inside[-1]) if len(inside) else end
    if not len(inside) or int(inside[0]) >= last:
        return end, end
    return int(inside[0]), last


def unpainted_groups(
    start: int, painted: Mask, clean: Integers, frames: int
) -> list[tuple[int, int]]:
    """Spans from place to cut to place to cut of a shot that begins with frame ``start``; none is ``painted`` (N,)."""
    end = start + len(painted)
    borders = [int(at) for at in clean if start <= at <= end]
    if end == frames and end not in borders:
        borders.append(end)
    found: list[tuple[int, int]] = []
    for a, b in pairwise(borders):
        if painted[a - start : b - start].any():
            continue
        joins = bool(found) and found[-1][1] == a
        found[-1:] = [(found[-1][0], b)] if joins else [*found[-1:], (a, b)]
    return found


def packets_between(
    path: Path, info: VideoInfo, first: int, last: int
) -> Iterator[Packet[VideoStream]]:
    """The film's coded pictures with times from ``first`` to ``last`` (included), in order of decoding."""
    for back in (0, 2, 10, None):  # seconds: seeking is not exact everywhere
        with open_media(path) as container:
            stream = container.streams[info.video_stream]
            assert isinstance(stream, VideoStream)
            if back is not None and stream.time_base:
                goal = first - round(back / stream.time_base)
                container.seek(goal, stream=stream, backward=True, any_frame=False)
            found = _within(container.demux(stream), first, last)
            head = next(found, None)
            if head is not None and (head.pts == first or back is None):
                yield head
                yield from found
                return


def _within(
    packets: Iterator[Packet[VideoStream]], first: int, last: int
) -> Iterator[Packet[VideoStream]]:
    """Those from the clean point ``first`` on, which comes first in the order of decoding too."""
    for packet in packets:
        if packet.pts is None or not packet.size:
            continue
        if packet.is_keyframe and packet.pts > last:
            return
        if first <= packet.pts <= last:
            yield packet


def _is_idr(data: bytes, *, lengths: bool) -> bool:
    return any(unit[0] & 31 == _IDR for unit in units(data, lengths=lengths) if unit)


def has_lengths(header: bytes) -> bool:
    """Whether packets of H.264 under this header have lengths before their units, and no start codes."""
    return header.startswith(b"\x01")


def units(data: bytes, *, lengths: bool) -> list[bytes]:
    """The NAL units of an H.264 packet, with start codes or with lengths of four bytes before them."""
    if not lengths:
        return [part.rstrip(b"\x00") for part in data.split(_START) if part.strip(b"\x00")]
    found, at = [], 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def with_lengths(data: bytes) -> bytes:
    """An H.264 packet with start codes as MP4, MOV and Matroska keep it."""
    found = units(data, lengths=False)
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in found)


def with_sets(data: bytes, sets: Sequence[bytes]) -> bytes:
    """A packet of H.264, with lengths, with parameter sets before it."""
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in sets) + data


def parameter_sets(extradata: bytes) -> list[bytes]:
    """The parameter sets of H.264 in a stream's header, of either form; none where lengths are not of four bytes."""
    if not has_lengths(extradata):
        return [
            unit
            for unit in units(extradata, lengths=False)
            if unit and unit[0] & 31 in (_SPS, _PPS)
        ]
    if extradata[4] & 3 != 3:
        return []
    found, at = [], 5
    for mask in (31, 255):
        count = extradata[at] & mask
        at += 1
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2], "big")
            found.append(extradata[at + 2 : at + 2 + size])
            at += 2 + size
    return found


def joined_header(*headers: bytes) -> bytes:
    """One header for MP4 and its like with the parameter sets of all, each once."""
    sets = list(dict.fromkeys(unit for header in headers for unit in parameter_sets(header)))
    sequences = [unit for unit in sets if unit[0] & 31 == _SPS]
    pictures = [unit for unit in sets if unit[0] & 31 == _PPS]
    made = bytearray([1, *sequences[0][1:4], 0xFF, 0xE0 | len(sequences)])
    for group, counted in ((sequences, False), (pictures, True)):
        if counted:
            made.append(len(group))
        for unit in group:
            made += len(unit).to_bytes(2, "big") + unit
    return bytes(made)


def set_number(unit: bytes) -> int:
    """The number of a sequence parameter set of H.264: an exponential Golomb code after profile and level."""
    bits = "".join(f"{byte:08b}" for byte in unit[4:12])
    zeros = bits.index("1")
    return int(bits[zeros : 2 * zeros + 1], 2) - 1


def free_number(path: Path) -> int | None:
    """A number of parameter sets that a film of H.264 leaves free; None where its header cannot be told."""
    with open_media(path) as container:
        stream = film_stream(container)
        header = stream.codec_context.extradata if stream else None
    sets = parameter_sets(header or b"")
    used = {set_number(unit) for unit in sets if unit[0] & 31 == _SPS}
    return next(n for n in range(31) if n not in used) if used else None


def header_of(stream: VideoStream) -> bytes:
    """A stream's header."""
    return stream.codec_context.extradata or b""
