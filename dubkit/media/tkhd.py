"""Turn the film in an ISO container (mp4, mov): write the track's display matrix.

ffmpeg's own switch for it differs between versions; the 36 bytes of the matrix do not. Layout: ISO/IEC
14496-12, boxes ``moov/trak/tkhd``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dubkit.errors import OutputError

_ONE, _W = 1 << 16, 1 << 30
_TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def set_rotation(path: Path, degrees: int) -> None:
    """Make players turn the first video track clockwise by 0, 90, 180 or 270 degrees."""
    with path.open("r+b") as file:
        at = _video_header(file)
        if at is None:
            raise OutputError(f"{path} has no video track to turn")
        file.seek(at)
        version = file.read(1)[0]
        file.seek(at + (52 if version else 40))
        a, b, c, d = _TURNS[degrees]
        file.write(struct.pack(">9i", a * _ONE, b * _ONE, 0, c * _ONE, d * _ONE, 0, 0, 0, _W))


def _video_header(file: BinaryIO) -> int | None:
    """Where the body of the first video track's ``tkhd`` begins."""
    file.seek(0, 2)
    for kind, start, end in _boxes(file, 0, file.tell()):
        if kind != b"moov":
            continue
        for inner, first, last in _boxes(file, start, end):
            if inner == b"trak" and _handler(file, first, last) == b"vide":
                for box, body, _ in _boxes(file, first, last):
                    if box == b"tkhd":
                        return body
    return None


def _handler(file: BinaryIO, start: int, end: int) -> bytes | None:
    for kind, first, last in _boxes(file, start, end):
        if kind == b"mdia":
            for inner, body, _ in _boxes(file, first, last):
                if inner == b"hdlr":
                    file.seek(body + 8)
                    return file.read(4)
    return None


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of body and end of each box between two places."""
    at = start
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        body = at + 8
        if size == 1:
            size, body = struct.unpack(">Q", file.read(8))[0], at + 16
        size = size or end - at
        if size < 8:
            return
        yield kind, body, at + size
        at += size
