"""What was first pulled of a weight that the catalog does not pin: every later pull has to bring the same.

One small file a weight, ``<root>/locked/<name>.json``; copied to another machine it holds there too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from dubkit.errors import ModelError, OutputError
from dubkit.weights.entries import cache_root
from dubkit.work.manifest import write_atomic

_KIND: Literal["dubkit-locked-weight"] = "dubkit-locked-weight"


@dataclass(frozen=True, slots=True)
class PulledFile:
    """One file as it was."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class FirstPull:
    """A weight as it was."""

    name: str
    revision: str  # the commit of its repository; empty where it has none
    files: Mapping[str, PulledFile]
    kind: Literal["dubkit-locked-weight"] = _KIND
    version: Literal[1] = 1


_RECORD: TypeAdapter[FirstPull] = TypeAdapter(FirstPull)


def read_first_pull(name: str) -> FirstPull | None:
    """What was taken first; None before that. Raises ModelError where it cannot be read any more."""
    path = _path(name)
    try:
        return _RECORD.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ModelError(
            f"{path}, which records what was first pulled for {name}, cannot be read",
            hint=f"put it back; or dubkit models pull {name} --trust-new, to start over",
        ) from error


def write_first_pull(first: FirstPull) -> None:
    """Keep what was taken. Raises OutputError."""
    path = _path(first.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _RECORD.dump_json(first, indent=1) + b"\n")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def forget(name: str) -> None:
    """Trust whatever comes next. Raises OutputError."""
    try:
        _path(name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{_path(name)} cannot be removed: {error.strerror}") from error


def check_first_pull(known: FirstPull | None, file: str, sha256: str, url: str) -> None:
    """Raise ModelError where a file is not what was taken for it first."""
    first = known.files.get(file) if known else None
    if known is None or (first is not None and first.sha256 == sha256):
        return
    was = f"the one that was pulled first ({first.sha256})" if first else "among those pulled first"
    raise ModelError(
        f"{url} (sha256 {sha256}) is not {was}: it was discarded",
        hint=f"ask its owner why; dubkit models pull {known.name} --trust-new accepts it anyway",
    )


def _path(name: str) -> Path:
    return cache_root() / "locked" / f"{name}.json"
