"""Shot lists: PySceneDetect's CSV, or plain numbers, one first frame a line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from dubkit.errors import InputError
from dubkit.records import Shot

_START, _END = "Start Frame", "End Frame"
_LARGEST = 16 * 2**20  # bytes of a list
_HINT = (
    "write one first frame per line (from 0), or use the scene list of `scenedetect list-scenes`"
)


def read_shots(path: Path, frames: int) -> list[Shot]:
    """Shots that tile ``0 .. frames`` from a list.

    Plain lists hold the first frame of each shot, counted from 0; blank lines and what follows ``#``
    are ignored. PySceneDetect's CSV counts from 1, with the last frame of a scene included. Raises
    `InputError` with the line at fault.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(
                f"the shot list {path} is larger than {_LARGEST >> 20} MiB", hint=_HINT
            )
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the shot list {path} is not text", hint=_HINT) from error
    except OSError as error:
        raise InputError(f"the shot list {path} cannot be read: {error.strerror}") from error
    lines = text.splitlines()
    header = next((i for i, line in enumerate(lines) if _START in line), None)
    starts = _plain(path, lines) if header is None else _scenes(path, lines, header)
    return _tile(path, starts, frames)


def write_shots(path: Path, shots: Sequence[Shot]) -> None:
    """Write a list that `read_shots` and PySceneDetect's tools read."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["Scene Number", _START, _END, "Length (frames)"])
        for number, shot in enumerate(shots, 1):
            rows.writerow([number, shot.start + 1, shot.end, shot.frames])


def _plain(path: Path, lines: Sequence[str]) -> list[tuple[int, int]]:
    starts: list[tuple[int, int]] = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].replace(",", " ").split()
        if words:
            starts.append((number, _whole(path, number, words[0])))
    return starts


def _scenes(path: Path, lines: Sequence[str], header: int) -> list[tuple[int, int]]:
    rows = csv.reader(lines[header:])
    starts: list[tuple[int, int]] = []
    try:
        names = [name.strip() for name in next(rows)]
        if _START not in names:
            raise InputError(f"the shot list {path} has no column {_START!r}", hint=_HINT)
        column = names.index(_START)
        for number, row in enumerate(rows, header + 2):
            if len(row) > column:
                starts.append((number, _whole(path, number, row[column]) - 1))
    except csv.Error as error:
        raise InputError(f"the shot list {path} is not valid CSV: {error}", hint=_HINT) from error
    return starts


def _whole(path: Path, number: int, word: str) -> int:
    try:
        return int(word)
    except ValueError as error:
        raise InputError(
            f"line {number} of the shot list {path} has no frame number: {word[:40]!r}", hint=_HINT
        ) from error


def _tile(path: Path, starts: Sequence[tuple[int, int]], frames: int) -> list[Shot]:
    if not starts:
        raise InputError(f"the shot list {path} holds no shots", hint=_HINT)
    edges = [0]
    for number, start in starts:
        if not 0 <= start < frames:
            raise InputError(
                f"line {number} of the shot list {path} is outside the film, "
                f"which has {frames} frames"
            )
        if start < edges[-1] or (start == edges[-1] and start):
            raise InputError(
                f"line {number} of the shot list {path} is not later than the one before"
            )
        if start:
            edges.append(start)
    return [Shot(a, b) for a, b in zip(edges, [*edges[1:], frames], strict=True)]
