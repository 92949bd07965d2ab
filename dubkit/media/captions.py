"""What lies in coded pictures beside samples: captions (CEA-608 and 708), the active format, HDR10+, the shape stated.

PyAV reads them but gives encoders none, so they are put into the coded pictures here: as a supplemental message of
H.264 and HEVC, as user data of MPEG-2. HDR10+ is taken from the film's coded pictures as it is, from HEVC to HEVC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from av.packet import Packet
from av.sidedata.sidedata import SideDataContainer, Type as SideType
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from dubkit.media.planes import Plane

_COUNTRY = b"\xb5\x00\x31"  # USA, ATSC
_MOST = 31  # triplets of a picture, and the bits of their count
_PREFIX = b"\x00\x00\x00\x01"
_USER_DATA = b"\x00\x00\x01\xb2"
_LIKE_A_START = re.compile(rb"\x00\x00(?=[\x00-\x03])")
_A53 = re.compile(rb"GA94\x03(.)", re.DOTALL)  # and how many triplets follow
_HDR10_PLUS = b"\xb5\x00\x3c\x00\x01\x04"  # USA, Samsung, ST 2094-40
_SEI_OF_HEVC = 39  # before the slices
START = b"\x00\x00\x01"  # before NAL units
_SPS, _SPS_OF_HEVC = 7, 33
# where a coded key frame states size and samples of its pictures; of VP9 but for the last bits of the height
_SHAPE_AT = {
    **{"prores": slice(16, 26), "dnxhd": slice(24, 44), "vp8": slice(6, 10), "vp9": slice(8)},
    "png": slice(16, 26),
}
_SHAPE_AFTER = {
    "mpeg1video": re.compile(rb"\x00\x00\x01\xb3(.{3})", re.DOTALL),
    "mpeg2video": re.compile(
        rb"\x00\x00\x01\xb3(.{3}.*?\x00\x00\x01\xb5[\x10-\x1f].{2})", re.DOTALL
    ),
    "mjpeg": re.compile(rb"\xff[\xc0-\xc2].{2}(.{15})", re.DOTALL),
    "jpeg2000": re.compile(rb"\xff\x4f\xff\x51.{2}(.{45})", re.DOTALL),
    "av1": re.compile(rb"^(?:\x12\x00)?\x0a(.{1,64})", re.DOTALL),  # its length first
}
_HEAD = 1 << 16  # bytes of a coded picture that are searched
_REGISTERED = 4  # payload type: user data registered by ITU-T T.35


@dataclass(frozen=True, slots=True)
class Extras:
    """What a picture carries beside its colors, and what a result is to carry again."""

    alpha: Plane | None = None
    captions: bytes = b""  # A53: triplets of CEA-608 and 708
    active_format: int | None = None
    dynamic: bytes = b""  # HDR10+: what `dynamic_metadata` found


def side_data(frame: VideoFrame) -> dict[SideType, bytes]:
    """All that a decoded frame carries beside samples."""
    try:
        # not `frame.side_data`, which the frame keeps and which keeps the frame: its pixels then wait for Python's
        # collector of cycles, which does not know how large they are
        container: Any = SideDataContainer  # PyAV's annotations know no argument
        data = container(frame)
    except ValueError:  # a kind that PyAV does not know, like Exif
        return {}
    return {entry.type: bytes(entry) for entry in list(data)}


def extras_of(frame: VideoFrame, alpha: Plane | None, dynamic: bytes = b"") -> Extras:
    """What a decoded frame carries that a result is to carry again."""
    data = side_data(frame)
    shape = data.get(SideType.AFD)
    return Extras(alpha, data.get(SideType.A53_CC, b""), shape[0] if shape else None, dynamic)


def coded(extras: Extras, codec: str) -> bytes:
    """The bytes that go into a coded picture; nothing where there is none, or the codec takes none."""
    if codec not in ("h264", "hevc", "mpeg2video"):
        return b""
    parts = []
    if extras.captions:
        triplets = extras.captions[: 3 * _MOST]
        parts.append(b"GA94\x03" + bytes([0x40 | len(triplets) // 3, 0xFF]) + triplets + b"\xff")
    if extras.active_format is not None:
        parts.append(b"DTG1" + bytes([0x41, 0xF0 | extras.active_format]))
    if codec == "mpeg2video":
        return b"".join(_USER_DATA + part for part in parts)
    messages = [_message(_COUNTRY + part, codec) for part in parts]
    if extras.dynamic and codec == "hevc":
        messages.append(_message(extras.dynamic, codec))
    return b"".join(messages)


def dynamic_metadata(data: bytes, *, lengths: bool) -> bytes:
    """The HDR10+ message of a coded picture of HEVC; nothing where there is none."""
    if _HDR10_PLUS not in data:
        return b""
    for unit in units(data, lengths=lengths):
        if len(unit) > 2 and unit[0] >> 1 & 63 == _SEI_OF_HEVC:
            for kind, body in _messages(re.sub(rb"\x00\x00\x03", b"\x00\x00", unit[2:])):
                if kind == _REGISTERED and body.startswith(_HDR10_PLUS):
                    return body
    return b""


def _messages(plain: bytes) -> Iterable[tuple[int, bytes]]:
    """The supplemental messages of a unit, each with its kind."""
    at = 0
    while at + 2 < len(plain):  # behind the last one a byte ends the unit
        values = []
        for _ in range(2):
            value = 0
            while at < len(plain) and plain[at] == 0xFF:
                value, at = value + 255, at + 1
            values.append(value + (plain[at] if at < len(plain) else 0))
            at += 1
        kind, size = values
        yield kind, plain[at : at + size]
        at += size


def described(packets: Iterable[bytes]) -> tuple[int, int]:
    """How many coded pictures there are, and how many of them carry HDR10+; nothing is decoded."""
    found = [_HDR10_PLUS in data for data in packets]
    return len(found), sum(found)


def captioned(packets: Iterable[bytes]) -> tuple[int, int]:
    """How many coded pictures there are, and how many of them carry closed captions; nothing is decoded."""
    count = found = 0
    for data in packets:
        count += 1
        found += any(match[1][0] & _MOST for match in _A53.finditer(data))
    return count, found


def _message(payload: bytes, codec: str) -> bytes:
    """A supplemental message with its start code."""
    body = bytes([_REGISTERED]) + b"\xff" * (len(payload) // 255) + bytes([len(payload) % 255])
    return (
        _PREFIX + (b"\x06" if codec == "h264" else b"\x4e\x01") + escaped(body + payload) + b"\x80"
    )


def escaped(data: bytes) -> bytes:
    """The bytes of a NAL unit without anything that looks like a start code."""
    return _LIKE_A_START.sub(b"\x00\x00\x03", data)


def with_hidden(packet: Packet[VideoStream], hidden: bytes, codec: str) -> Packet[VideoStream]:
    """The packet with `coded` bytes before its first slice; packets are of Annex B, as encoders make them."""
    data = bytes(packet)
    at = _first_slice(data, codec)
    made: Any = Packet(data[:at] + hidden + data[at:])
    made.stream, made.time_base = packet.stream, packet.time_base
    made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
    made.is_keyframe = packet.is_keyframe
    whole: Packet[VideoStream] = made
    return whole


def _first_slice(data: bytes, codec: str) -> int:
    """Where the start code of the first slice begins."""
    at = data.find(b"\x00\x00\x01")
    while at >= 0:
        kind = data[at + 3] if at + 3 < len(data) else 0
        if codec == "mpeg2video":
            found = 1 <= kind <= 0xAF
        elif codec == "h264":
            found = kind & 0x1F in (1, 5)
        else:
            found = kind >> 1 & 0x3F <= 31
        if found:
            return at - 1 if at and data[at - 1] == 0 and codec != "mpeg2video" else at
        at = data.find(b"\x00\x00\x01", at + 3)
    return 0


def stated_shape(packet: Packet[VideoStream], codec: str | None, *, lengths: bool) -> bytes:
    """The part of a coded key frame that tells size and format of its pictures; equal ones mean equal pictures.

    Empty where it is stated elsewhere, or not known of this codec.
    """
    header = new_header(packet)
    if codec in _SHAPE_AT:
        return header + bytes(memoryview(packet)[_SHAPE_AT[codec]])
    if codec in ("h264", "hevc"):
        kind = _SPS if codec == "h264" else _SPS_OF_HEVC << 1
        mask = 31 if codec == "h264" else 126
        sets = units(bytes(packet), lengths=lengths)
        return header + b"".join(unit for unit in sets if unit and unit[0] & mask == kind)
    if codec in _SHAPE_AFTER:
        found = _SHAPE_AFTER[codec].search(bytes(memoryview(packet)[:_HEAD]))
        stated = found[1] if found else b""
        return header + (stated[: stated[0] + 1] if codec == "av1" and stated else stated)
    return header


def new_header(packet: Packet[VideoStream]) -> bytes:
    """The header that holds from a packet on, where a container brings another one; else nothing."""
    if not packet.has_sidedata("new_extradata"):
        return b""
    return bytes(packet.get_sidedata("new_extradata"))


def has_lengths(header: bytes) -> bool:
    """Whether packets of H.264 under this header have lengths before their units, and no start codes."""
    return header.startswith(b"\x01")


def units(data: bytes, *, lengths: bool) -> list[bytes]:
    """The NAL units of an H.264 packet, with start codes or with lengths of four bytes before them."""
    if not lengths:
        return [part.rstrip(b"\x00") for part in data.split(START) if part.strip(b"\x00")]
    found, at = [], 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found
