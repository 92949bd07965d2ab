"""Coded pictures of the film that go into the result as they are: which may, and how they meet those that were made.

Codecs in which every frame stands for itself are cut anywhere; others between groups of pictures that need nothing
from outside. H.264 and HEVC keep the parameter sets of the film and of the encoder side by side, under numbers of
their own. An open group of HEVC is cut as the standard splices it: pictures before its first one (RASL) are encoded
again, and that one is called a broken link, where it comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from dubkit.config.schema import GenerateSettings
from dubkit.media import captions
from dubkit.media.captions import has_lengths as has_lengths, units as units
from dubkit.media.codecs import Encoding, encoding_for
from dubkit.media.container import film_stream, open_media, packets
from dubkit.records import Integers, Mask, VideoInfo

# FFV1 and HuffYUV keep tables outside the pictures, AV1 and HEVC of several layers are not cut here
_INTRA = ("prores", "dnxhd", "mjpeg", "v210", "v410", "r210", "png", "jpeg2000", "cfhd", "dvvideo")
_GROUPS = ("h264", "hevc", "mpeg2video", "vp8", "vp9")
_START = captions.START
_SPS, _PPS, _IDR = 7, 8, 5
_VIDEO, _SEQUENCE, _PICTURE = 32, 33, 34  # parameter sets of HEVC
_RANDOM, _BROKEN, _CLEAN = range(16, 24), 18, 21  # HEVC: random access, BLA_N_LP, CRA
_NONE = np.zeros((0, 2), np.int64)


def places_to_cut(path: Path, info: VideoInfo) -> Integers:
    """(N, 2) frames at which the coded film can be cut, counted as coded: an end before it, and the start after it.

    What comes before the end, and what comes from the start on, need nothing of each other; frames between them (in
    open groups of HEVC only) need both. Empty where the coded pictures are not just those that are shown, in packets
    of their own.
    """
    if not info.timed or info.codec not in (*_INTRA, *_GROUPS):
        return _NONE
    shown: list[int] = []
    keys: list[bool] = []
    with open_media(path) as container:
        stream = container.streams[info.video_stream]
        assert isinstance(stream, VideoStream)
        lengths = has_lengths(header_of(stream))
        for packet in packets(container, stream):
            if not packet.size:
                continue
            if packet.pts is None or packet.is_discard:
                return _NONE
            shown.append(packet.pts)
            keys.append(
                packet.is_keyframe
                and (info.codec != "h264" or _is_idr(bytes(packet), lengths=lengths))
            )
    pts = np.array(shown, np.int64)
    if len(pts) != info.frames // info.lines or len(set(shown)) != len(shown):
        return _NONE
    ranks = np.empty(len(pts), np.int64)
    ranks[np.argsort(pts, kind="stable")] = np.arange(len(pts))
    before = np.concatenate([[-1], np.maximum.accumulate(ranks)[:-1]])
    places = np.array(keys, np.bool_) & (before == np.arange(len(pts)) - 1)
    if (
        info.codec != "hevc"
    ):  # only there nothing after a key frame may need what is shown before it
        places &= ranks == before + 1
    ends = np.flatnonzero(places)
    return np.stack([ends, ranks[ends]], 1).astype(np.int64)


def can_meet(info: VideoInfo, encoding: Encoding, settings: GenerateSettings) -> bool:
    """Whether coded pictures of the film may stand beside those that this encoding makes."""
    if settings.copy_frames == "off" or encoding.codec != info.codec:
        return False
    same = encoding.exact or info.codec == "prores"
    return same and info.codec in (*_INTRA, *_GROUPS)


def stands_alone(codec: str) -> bool:
    """Whether every frame of a codec that can be copied stands for itself."""
    return codec in _INTRA


def copied_span(start: int, end: int, places: Integers, frames: int) -> tuple[int, int]:
    """The largest span within ``start`` to ``end`` (excluded) between two `places_to_cut`; empty: ``(end, end)``."""
    starts = places[(places[:, 1] >= start) & (places[:, 1] <= end), 1]
    ends = places[(places[:, 0] >= start) & (places[:, 0] <= end), 0]
    last = end if end == frames else int(ends[-1]) if len(ends) else end
    if not len(starts) or int(starts[0]) >= last:
        return end, end
    return int(starts[0]), last


def unpainted_groups(
    start: int, painted: Mask, places: Integers, frames: int
) -> list[tuple[int, int]]:
    """Spans between two `places_to_cut` of a shot that begins with frame ``start``; none is ``painted`` (N,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], painted, [True]]).astype(np.int8)))
    found = (copied_span(start + a, start + b, places, frames) for a, b in edges.reshape(-1, 2))
    return [span for span in found if span[0] < span[1]]


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
            found = _within(packets(container, stream), first, last)
            head = next(found, None)
            if head is not None and (head.pts == first or back is None):
                yield head
                yield from found
                return


def _within(
    coming: Iterator[Packet[VideoStream]], first: int, last: int
) -> Iterator[Packet[VideoStream]]:
    """Those from the clean point ``first`` on, which comes first in the order of decoding too."""
    for packet in coming:
        if packet.pts is None or not packet.size:
            continue
        if packet.is_keyframe and packet.pts > last:
            return
        if first <= packet.pts <= last:
            yield packet


def _is_idr(data: bytes, *, lengths: bool) -> bool:
    return any(unit[0] & 31 == _IDR for unit in units(data, lengths=lengths) if unit)


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
    """The number of a parameter set of H.264: an exponential Golomb code, of sequences after profile and level."""
    start = 4 if unit[0] & 31 == _SPS else 1
    return _golomb("".join(f"{byte:08b}" for byte in unit[start : start + 8]), 0)[0]


def free_number(header: bytes) -> int | None:
    """A number that the parameter sets of H.264 in a header leave free; None where there is none, or no set."""
    used = {set_number(unit) for unit in parameter_sets(header)}
    return next((n for n in range(31) if n not in used), None) if used else None


def obstacles(path: Path, info: VideoInfo, settings: GenerateSettings) -> tuple[str, ...]:
    """Why coded pictures of a film cannot stand beside an encoder's though its codec allows it, a sentence if so."""
    if info.codec not in ("h264", "hevc"):
        return ()
    if not can_meet(info, encoding_for(info, settings), settings):
        return ()
    header = film_header(path)
    deep = info.codec == "hevc"
    if (free_numbers(header) if deep else free_number(header)) is not None:
        return ()
    found = hevc_sets(header) if deep else parameter_sets(header)
    why = "leave no number free for the encoder's" if found else "are not in its header"
    told = "no frame is copied, those without a new mouth are encoded again too"
    return (f"{told}: the parameter sets of the film {why}",)


def film_header(path: Path) -> bytes:
    """The header of a film's pictures."""
    with open_media(path) as container:
        stream = film_stream(container)
        return header_of(stream) if stream else b""


def header_of(stream: VideoStream) -> bytes:
    """A stream's header."""
    return stream.codec_context.extradata or b""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of parameter sets of HEVC: those that an encoder's get beside a film's."""

    sequence: int  # of the video and the sequence parameter set
    picture: (
        int  # 15 to 30, whose codes are one byte longer than that of 0: slices keep their alignment
    )


def free_numbers(header: bytes) -> Numbers | None:
    """Numbers that a film of HEVC leaves free; None where its header holds no parameter sets."""
    sets = hevc_sets(header)
    sequences = {_sequence_number(unit)[0] for unit in sets if _kind(unit) == _SEQUENCE}
    videos = {unit[2] >> 4 for unit in sets if _kind(unit) == _VIDEO}
    pictures = {_golomb(_bits(unit), 0)[0] for unit in sets if _kind(unit) == _PICTURE}
    if not (sequences and videos and pictures):
        return None
    sequence = next((n for n in range(1, 16) if n not in sequences | videos), None)
    picture = next((n for n in range(30, 14, -1) if n not in pictures), None)
    return None if sequence is None or picture is None else Numbers(sequence, picture)


def hevc_sets(header: bytes) -> list[bytes]:
    """The parameter sets of HEVC in a stream's header, with start codes or as MP4 keeps it."""
    if not has_lengths(header):
        return [unit for unit in units(header, lengths=False) if _kind(unit) in range(32, 35)]
    found, at = [], 23
    for _ in range(header[22] if len(header) > at and header[21] & 3 == 3 else 0):
        kind, count = header[at] & 63, int.from_bytes(header[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(header[at : at + 2], "big")
            if kind in range(32, 35):
                found.append(header[at + 2 : at + 2 + size])
            at += 2 + size
    return found


def with_start_codes(found: Sequence[bytes]) -> bytes:
    """NAL units as streams without a container have them."""
    return b"".join(b"\x00" + _START + unit for unit in found)


def renumbered(found: Sequence[bytes], numbers: Numbers) -> list[bytes]:
    """NAL units of HEVC whose parameter sets all have the number 0, with other ``numbers``. Raises ValueError."""
    return [_renumbered(unit, numbers) for unit in found]


def _renumbered(unit: bytes, numbers: Numbers) -> bytes:
    kind, code = _kind(unit), f"{numbers.picture + 1:09b}"
    if kind < _VIDEO:
        at = (
            2 if kind in _RANDOM else 1
        )  # first slice of the picture; of random access one flag more
        first = f"{unit[2]:08b}"
        if first[at] != "1":
            raise ValueError("a slice of another parameter set")
        changed = int(first[:at] + code + first[at + 1 :], 2).to_bytes(2, "big")
        return unit[:2] + changed + unit[3:]
    if kind not in (_VIDEO, _SEQUENCE, _PICTURE):
        return unit
    bits, own = _bits(unit), f"{numbers.sequence:04b}"
    sequence = f"{numbers.sequence + 1:b}"
    sequence = "0" * (len(sequence) - 1) + sequence
    if kind == _VIDEO:
        bits = own + bits[4:]
    elif kind == _SEQUENCE:
        number, at, after = _sequence_number(unit)
        if number:
            raise ValueError("a sequence parameter set of another number")
        bits = own + bits[4:at] + sequence + bits[after:]
    else:
        if not bits.startswith("11"):
            raise ValueError("a picture parameter set of another number")
        bits = code + sequence + bits[2:]
    bits = bits.rstrip("0")  # up to the bit that ends them
    bits += "0" * (-len(bits) % 8)
    plain = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return unit[:2] + captions.escaped(plain)


def as_broken_link(found: Sequence[bytes]) -> list[bytes]:
    """The units of a picture of clean random access, said to follow upon another film (BLA); others as they are."""
    return [
        bytes([unit[0] & 0x81 | _BROKEN << 1]) + unit[1:] if _kind(unit) == _CLEAN else unit
        for unit in found
    ]


def _kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _bits(unit: bytes) -> str:
    """What a unit of HEVC holds after its header, without what keeps start codes out."""
    plain = re.sub(rb"\x00\x00\x03", b"\x00\x00", unit[2:])
    return "".join(f"{byte:08b}" for byte in plain)


def _golomb(bits: str, at: int) -> tuple[int, int]:
    """A number coded at ``at``, and where the next one begins."""
    zeros = bits.index("1", at) - at
    after = at + 2 * zeros + 1
    return int(bits[at + zeros : after], 2) - 1, after


def _sequence_number(unit: bytes) -> tuple[int, int, int]:
    """The number of a sequence parameter set of HEVC, and where its code begins and ends."""
    bits = _bits(unit)
    layers = int(bits[4:7], 2)
    at = 8 + 96  # the profile, and the level
    flags = bits[at : at + 2 * layers]
    at += 16 if layers else 0
    at += sum(88 * (flags[k] == "1") + 8 * (flags[k + 1] == "1") for k in range(0, 2 * layers, 2))
    number, after = _golomb(bits, at)
    return number, at, after
