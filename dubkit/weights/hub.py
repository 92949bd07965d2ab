"""What the Hugging Face hub says of a repository's files: which there are, and their checksums.

``HF_ENDPOINT`` names a mirror, as it does for Hugging Face's own library.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from dubkit.errors import ModelError, OutputError
from dubkit.weights.download import read_json
from dubkit.weights.entries import Weight, cache_root
from dubkit.work.manifest import write_atomic

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository; ``check`` is ``sha256:...``, or ``git:...`` for small ones."""

    name: str
    size: int
    check: str
    url: str


def commit(weight: Weight, folder: Path) -> str:
    """The commit that a weight's revision is now; a commit is itself. Raises as `listing`."""
    if _COMMIT.fullmatch(weight.revision):
        return weight.revision
    url = f"{_base()}/api/models/{weight.hub}/revision/{quote(weight.revision, safe='')}"
    told = read_json(url, _hint(weight, folder))
    found = told.get("sha") if isinstance(told, dict) else None
    if not isinstance(found, str) or not _COMMIT.fullmatch(found):
        raise _odd(url, weight, folder)
    return found


def listing(weight: Weight, folder: Path, revision: str) -> list[HubFile]:
    """The files of a weight's repository at a commit that engines want, smallest first.

    Raises ModelError; its hint says that ``folder`` is where files brought by hand belong.
    """
    base, hint = _base(), _hint(weight, folder)
    url = f"{base}/api/models/{weight.hub}/tree/{revision}"
    told = read_json(url, hint)
    try:
        files = [_file(item, f"{base}/{weight.hub}/resolve/{revision}") for item in told]
    except (TypeError, KeyError, AttributeError):
        raise _odd(url, weight, folder) from None
    found = [f for f in files if f and any(fnmatch(f.name, want) for want in weight.wanted)]
    names = {file.name for file in found}
    if {"model.safetensors", "pytorch_model.bin"} <= names:  # the same weights twice
        found = [file for file in found if file.name != "pytorch_model.bin"]
    missing = [group for group in weight.needed if not names & set(group)]
    if missing:
        wanted = ", ".join(" or ".join(group) for group in missing)
        raise ModelError(f"the repository {weight.hub} lacks {wanted}", hint=hint)
    return sorted(found, key=lambda file: file.size)


def _base() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _hint(weight: Weight, folder: Path) -> str:
    return f"check network and proxy, or bring the files of {weight.hub} yourself to {folder}"


def _odd(url: str, weight: Weight, folder: Path) -> ModelError:
    hint = _hint(weight, folder)
    return ModelError(f"{url} does not answer as the Hugging Face hub does", hint=hint)


def _file(item: dict[str, object], base: str) -> HubFile | None:
    name, large = str(item["path"]), item.get("lfs")
    if item["type"] != "file" or "/" in name or name.startswith("."):
        return None
    check = f"sha256:{large['oid']}" if isinstance(large, dict) else f"git:{item['oid']}"
    return HubFile(name, int(str(item["size"])), check, f"{base}/{quote(name)}")


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
