"""What was seen of a shot's dubbed faces, on disk: ``seen.json`` for the pictures, ``lips.npz`` for the lips."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from dubkit.errors import WorkError
from dubkit.measures.speech import Lips
from dubkit.metrics.shot_meter import Seen
from dubkit.work.arrays import open_arrays
from dubkit.work.store import read_record, write_record

SEEN, LIPS = "seen.json", "lips.npz"


@dataclass(frozen=True, slots=True)
class _Face:
    track: int
    frames: int
    pictures: Mapping[str, float]


def save_seen(folder: Path, seen: Sequence[Seen]) -> None:
    """Write both files; equal sights give equal bytes."""
    faces = [_Face(face.track, face.frames, face.pictures) for face in seen]
    write_record(folder / SEEN, faces, list[_Face])
    arrays = {
        f"{face.track}.{name}": getattr(face.lips, name)
        for face in seen
        for name in ("painted", "rows", "opened", "shapes")
    }
    np.savez(folder / LIPS, **arrays)


def load_seen(folder: Path) -> list[Seen]:
    """What `save_seen` wrote. Raises WorkError where a file is missing or damaged."""
    path = folder / LIPS
    faces = read_record(folder / SEEN, list[_Face])
    try:
        with open_arrays(path) as stored:
            return list(_seen(faces, stored))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WorkError(
            f"the work file {path} cannot be read", hint="run again with --force generate"
        ) from error


def _seen(faces: Sequence[_Face], stored: NpzFile) -> Iterator[Seen]:
    for face in faces:
        part = [stored[f"{face.track}.{name}"] for name in ("painted", "rows", "opened", "shapes")]
        yield Seen(face.track, face.frames, face.pictures, Lips(*part))
