"""The record of a job: ``manifest.json``, and the receipt that lies in each published folder.

The receipts are the truth about finished units; the manifest also knows what failed and the digests
of the inputs. A lost manifest costs one hashing of the inputs.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dubkit.errors import WorkError
from dubkit.records import Manifest, StageResult

VERSION = 1
KIND = "dubkit work folder"
MANIFEST = "manifest.json"
RECEIPT = "receipt.json"
LARGEST = 512 * 2**20  # bytes of a manifest or receipt that is read

_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)
_RESULT: TypeAdapter[StageResult] = TypeAdapter(StageResult)


def key(stage: str, unit: str) -> str:
    """The name of a unit in the manifest."""
    return f"{stage}/{unit}"


def read_manifest(root: Path) -> Manifest | None:
    """The manifest of a work folder; None where there is none or it is damaged.

    Raises WorkError where it belongs to something else or to another version of dubkit.
    """
    path = root / MANIFEST
    try:
        raw = read_small(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorkError(f"{path} cannot be read: {error.strerror}", hint=ANOTHER) from error
    try:
        table = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(table, dict) or table.get("kind") != KIND:
        raise WorkError(
            f"{root} is not a dubkit work folder: its {MANIFEST} is something else", hint=ANOTHER
        )
    if table.get("version") != VERSION:
        raise WorkError(
            f"the work folder {root} was made by another version of dubkit "
            f"(its layout is {table.get('version')}, this one's is {VERSION})",
            hint=ANOTHER,
        )
    try:
        return _MANIFEST.validate_json(raw)
    except ValidationError:
        return None


ANOTHER = "choose another folder with --work, or delete this one"


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Replace the manifest so that a crash at any moment leaves the old one or the new one."""
    write_atomic(root / MANIFEST, _MANIFEST.dump_json(manifest, indent=1) + b"\n")


def read_receipt(folder: Path) -> StageResult | None:
    """The receipt of a published folder; None where it is missing or damaged."""
    try:
        return _RESULT.validate_json(read_small(folder / RECEIPT))
    except (OSError, ValidationError):
        return None


def read_small(path: Path) -> bytes:
    """A record's bytes. Raises OSError for what is no plain file, or larger than any record gets."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if facts.st_size > LARGEST:
        raise OSError(errno.EFBIG, f"it is larger than {LARGEST >> 20} MiB", str(path))
    return path.read_bytes()


def write_receipt(folder: Path, result: StageResult) -> None:
    """Write a unit's own line of the manifest beside its outputs."""
    (folder / RECEIPT).write_bytes(_RESULT.dump_json(result, indent=1) + b"\n")


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside, fsync, rename, fsync the folder."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
