"""Records on disk: one readable JSON file a record."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

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
