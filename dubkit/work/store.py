"""Files of a work folder: SHA-256 digests, and records as one readable JSON file each."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
import zlib
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.lib.npyio import NpzFile
from pydantic import TypeAdapter, ValidationError

from dubkit.errors import WorkError
from dubkit.work.manifest import read_small

Record = TypeVar("Record")


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return _made(kind)


@cache  # making one takes longer than reading a small record
def _made(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def write_record(path: Path, value: object, kind: Any = None) -> None:
    """Write a dataclass, or a list of them with ``kind=list[X]``, as indented JSON."""
    adapter = _adapter(kind if kind is not None else type(value))
    path.write_bytes(adapter.dump_json(value, indent=1) + b"\n")


def read_record(path: Path, kind: type[Record]) -> Record:
    """Read what `write_record` wrote. Raises WorkError where the file is missing or damaged."""
    try:
        record: Record = _adapter(kind).validate_json(read_small(path))
    except (OSError, ValidationError) as error:
        raise WorkError(
            f"the work file {path} cannot be read: {str(error).splitlines()[0]}",
            hint=f"run again with --force {path.parent.parent.name}, or with another work folder",
        ) from error
    return record


# what a damaged ``.npz`` raises when it is opened, or when one of its arrays is read
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
_LARGEST = 4 * 2**30  # bytes of a file, unpacked
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def load_array(path: Path) -> Any:
    """The array of a ``.npy`` file. Raises OSError or ValueError where it is missing or damaged."""
    with path.open("rb") as stream:
        _check_header(stream, path.stat().st_size)
    return np.load(path, allow_pickle=False)


def map_array(path: Path) -> Any:
    """The same, left on disk: what is read of it comes into memory. Not to be written to."""
    with path.open("rb") as stream:
        _check_header(stream, path.stat().st_size)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def open_arrays(path: Path) -> NpzFile:
    """The arrays of an ``.npz`` file, to be closed. Raises one of `UNREADABLE`, and so does reading an array."""
    try:
        with zipfile.ZipFile(path) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > _LARGEST:
                raise ValueError(f"it unpacks to more than {_LARGEST >> 30} GiB")
            for entry in packed.infolist():
                with packed.open(entry) as stream:
                    _check_header(stream, entry.file_size)
    except (RuntimeError, zlib.error) as error:
        raise ValueError(str(error)) from error
    opened: NpzFile = np.load(path, allow_pickle=False)
    return opened


def _check_header(stream: IO[bytes], size: int) -> None:
    """Raise ValueError where an array says that it is larger than its file."""
    reader = _READERS.get(np.lib.format.read_magic(stream))
    if reader is None:
        raise ValueError("it is of an unknown version")
    try:
        shape, _, kind = reader(stream)
    except (
        Exception
    ) as error:  # numpy reads a header as Python, whose tokenizer has errors of its own
        first, _, _ = str(error).partition("\n")
        raise ValueError(f"its header cannot be read: {first}") from error
    if kind.hasobject or math.prod(shape) * kind.itemsize > size:
        raise ValueError(f"it claims {shape} values, which is more than it contains")


_CHUNK = 1 << 20


def digest_file(path: Path) -> str:
    """Digest of a file's bytes, read once in pieces."""
    state = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            state.update(piece)
    return state.hexdigest()


def digest_value(value: Any) -> str:
    """Digest of anything JSON can say; the order of keys does not matter, that of lists does."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def short(digest: str) -> str:
    """The twelve characters that name a folder."""
    return digest[:12]
