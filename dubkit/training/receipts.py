"""What preparing has done already: one small file a unit, named by the digest of all that decides its result.

A unit is current if its receipt is there, with every file that it names; nothing is ever compared.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from dubkit.work.digest import digest_file
from dubkit.work.manifest import sync, write_atomic

Record = TypeVar("Record")
DONE, SCRATCH, DIGESTS = "done", "scratch", "digests.json"
Known = dict[str, tuple[int, int, str]]  # path -> size, time of change, sha256

_KNOWN: TypeAdapter[Known] = TypeAdapter(Known)


def receipt_path(root: Path, key: str) -> Path:
    """Where the receipt of a unit lies."""
    return root / DONE / f"{key}.json"


def read_receipt(root: Path, key: str, kind: type[Record]) -> Record | None:
    """The result of a unit; None where it is not done."""
    try:
        record: Record = TypeAdapter(kind).validate_json(receipt_path(root, key).read_bytes())
    except (OSError, ValidationError):
        return None
    return record


def write_receipt(root: Path, key: str, record: object) -> None:
    """Note a unit as done; its files are in their places already."""
    content: bytes = TypeAdapter(type(record)).dump_json(record)
    write_atomic(receipt_path(root, key), content)


def move_files(scratch: Path, folder: Path) -> None:
    """Publish the files of a unit by rename, safe against a power cut, and drop its scratch folder."""
    for path in sorted(scratch.glob("*")):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(folder / path.name)
    sync(folder)
    shutil.rmtree(scratch, ignore_errors=True)


def sweep(root: Path) -> None:
    """Drop what an interruption left behind. Only the holder of the lock may."""
    shutil.rmtree(root / SCRATCH, ignore_errors=True)
    for folder in (root / DONE, root / SCRATCH):
        folder.mkdir(parents=True, exist_ok=True)


def prune(root: Path, keys: Iterable[str], names: Mapping[str, Collection[str]]) -> None:
    """Drop receipts and files that nothing speaks of any more; ``names`` are kept in each folder."""
    kept = {f"{key}.json" for key in keys}
    stale = [p for p in (root / DONE).glob("*.json") if p.name not in kept]
    for folder, stems in names.items():
        stale += [p for p in (root / folder).glob("*") if p.stem not in stems]
    for path in stale:
        path.unlink(missing_ok=True)


def digests(folder: Path, root: Path, files: Sequence[str]) -> dict[str, str]:
    """Sha256 of files; those that look unchanged since last time are not read again."""
    path = root / DIGESTS
    try:
        known = _KNOWN.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        known = {}
    found: Known = {}
    for file in files:
        facts = (folder / file).stat()
        old = known.get(file)
        same = old is not None and old[:2] == (facts.st_size, facts.st_mtime_ns)
        digest = old[2] if old is not None and same else digest_file(folder / file)
        found[file] = (facts.st_size, facts.st_mtime_ns, digest)
    write_atomic(path, _KNOWN.dump_json(found, indent=1))
    return {file: digest for file, (_, _, digest) in found.items()}
