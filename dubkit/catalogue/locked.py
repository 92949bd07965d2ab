"""What a first pull brought, so that a later one is refused where it is something else: trust on first use.

Most weights are pinned by checksums in the catalogue. Of the others nobody here knows what is right; but what was
taken once, on a day when its owner was believed, must be the same the next time, on whichever day that is.
``<root>/locked/<name>.json`` holds commit, sizes and checksums; it outlives the weight's folder, and may be copied to
other machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from dubkit.catalogue.place import cache_root
from dubkit.errors import ModelError, OutputError
from dubkit.work.manifest import write_atomic

_KIND: Literal["dubkit-locked-weight"] = "dubkit-locked-weight"


@dataclass(frozen=True, slots=True)
class LockedFile:
    """One file as it was."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Locked:
    """A weight as it was."""

    name: str
    revision: str  # the commit of its repository; empty where it has none
    files: Mapping[str, LockedFile]
    kind: Literal["dubkit-locked-weight"] = _KIND
    version: Literal[1] = 1


_LOCKED: TypeAdapter[Locked] = TypeAdapter(Locked)


def read_locked(name: str) -> Locked | None:
    """What was taken first; None before that. Raises ModelError where it cannot be read any more."""
    path = _path(name)
    try:
        return _LOCKED.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ModelError(
            f"{path}, which tells what was first taken for {name}, cannot be read",
            hint=f"put it back; or dubkit models pull {name} --trust-new, to begin anew",
        ) from error


def write_locked(locked: Locked) -> None:
    """Keep what was taken. Raises OutputError."""
    path = _path(locked.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _LOCKED.dump_json(locked, indent=1) + b"\n")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def forget(name: str) -> None:
    """Trust whatever comes next. Raises OutputError."""
    try:
        _path(name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{_path(name)} cannot be removed: {error.strerror}") from error


def check_locked(locked: Locked | None, file: str, sha256: str, url: str) -> None:
    """Raise ModelError where a file is not what was taken for it first."""
    first = locked.files.get(file) if locked else None
    if locked is None or (first is not None and first.sha256 == sha256):
        return
    was = f"the one that was taken first ({first.sha256})" if first else "among those taken first"
    raise ModelError(
        f"{url} (sha256 {sha256}) is not {was}: it was thrown away",
        hint=f"ask its owner why; dubkit models pull {locked.name} --trust-new takes it all the same",
    )


def _path(name: str) -> Path:
    return cache_root() / "locked" / f"{name}.json"
