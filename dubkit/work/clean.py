"""What a work folder holds beyond its last job, and how it goes away; nothing that dubkit did not make.

Only names that dubkit gives are looked at (`folder.py`, `library.py`); links are never followed.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dubkit.errors import UsageError, WorkError
from dubkit.work.folder import CONFIG, LOG, SCRATCH, explain
from dubkit.work.lock import ATTEND, LOCK, hold
from dubkit.work.manifest import MANIFEST, read_manifest, read_receipt

What = Literal["stale", "all"]
DEEPEST = 6  # folders below the one that was named
_SOURCE = re.compile(r"(video|dub)-[0-9a-f]{12}")
_FILM_LOCK = re.compile(r"video-[0-9a-f]{12}\.lock")
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that may go."""

    path: Path
    work: Path  # the work folder that it lies in
    what: str  # finished unit, unfinished work, book
    size: int  # bytes that no other name still holds
    age: float  # seconds since it was written


def parse_age(text: str) -> float:
    """``30d``, ``12h``, ``2w`` as seconds. Raises UsageError."""
    found = _AGE.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text!r} is no age", hint="write 30d, 12h or 2w")
    return float(found[1]) * _SECONDS[found[2]]


def find_work(folder: Path) -> list[Path]:
    """The work folders and analysis libraries at and below a folder. Raises WorkError for none."""
    found = list(_work_below(folder, 0)) if folder.is_dir() else []
    if not found:
        raise WorkError(
            f"there is no work folder of dubkit in {folder}", hint="they end in .dubkit"
        )
    return found


def _work_below(folder: Path, depth: int) -> Iterator[Path]:
    if is_work(folder):
        yield folder
    elif depth < DEEPEST:
        for entry in sorted(folder.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                yield from _work_below(entry, depth + 1)


def is_work(folder: Path) -> bool:
    """Whether dubkit made this folder: by its book, or by a library's lock beside its film."""
    try:
        if read_manifest(folder) is not None:
            return True
    except WorkError:
        return False
    names = {entry.name for entry in folder.iterdir()}
    films = {name.removesuffix(".lock") for name in names if _FILM_LOCK.fullmatch(name)}
    return bool(films) and SCRATCH in names


def survey(work: Path, what: What, older_than: float = 0.0) -> list[Leftover]:
    """What may go from a work folder: with ``stale`` only what its last job does not use, with ``all`` everything."""
    used = _used(work) if what == "stale" else set()
    now = time.time()
    found: list[Leftover] = []
    for path, kind in _contents(work, books=what == "all"):
        if path in used:
            continue
        newest = max((p.lstat().st_mtime for p in _files(path)), default=path.lstat().st_mtime)
        size = sum(s.st_size for s in map(Path.lstat, _files(path)) if s.st_nlink == 1)
        if now - newest >= older_than:
            found.append(Leftover(path, work, kind, size, now - newest))
    return found


def remove(work: Path, leftovers: Sequence[Leftover]) -> None:
    """Delete them, and folders that are empty then. Raises WorkError where the folder is in use."""
    with ExitStack() as held:
        if read_manifest(work) is not None:
            held.enter_context(hold(work))
        try:
            for leftover in leftovers:
                if leftover.path.is_dir() and not leftover.path.is_symlink():
                    shutil.rmtree(leftover.path)
                else:
                    leftover.path.unlink(missing_ok=True)
            _drop_empty(work)
        except OSError as error:
            raise explain(error, work) from error
    if not any(path.name not in (LOCK, ATTEND) for path in work.iterdir()):
        shutil.rmtree(work)


def _used(work: Path) -> set[Path]:
    """The units of the last job. Of a library, and where the book is lost, all are in use."""
    manifest = read_manifest(work)
    if manifest is None:
        return {path for path, kind in _contents(work, books=False) if kind == "finished unit"}
    finished = {(key, result.fingerprint) for key, result in manifest.results.items()}
    used: set[Path] = set()
    for path, kind in _contents(work, books=False):
        receipt = read_receipt(path) if kind == "finished unit" else None
        if receipt and (f"{path.parent.name}/{path.name}", receipt.fingerprint) in finished:
            used.add(path)
    return used


def _contents(work: Path, *, books: bool) -> Iterator[tuple[Path, str]]:
    for entry in sorted(work.iterdir()):
        if entry.is_symlink():
            continue
        if _SOURCE.fullmatch(entry.name) and entry.is_dir():
            yield from ((unit, "finished unit") for unit in sorted(entry.glob("*/*")))
        elif entry.name == SCRATCH and entry.is_dir():
            yield from ((path, "unfinished work") for path in sorted(entry.iterdir()))
        elif books and (
            entry.name in (MANIFEST, CONFIG, LOG, f"{LOG}.1") or _FILM_LOCK.fullmatch(entry.name)
        ):
            yield entry, "book"


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        yield from (p for p in path.rglob("*") if not p.is_dir() or p.is_symlink())
    else:
        yield path


def _drop_empty(work: Path) -> None:
    for source in [p for p in work.iterdir() if _SOURCE.fullmatch(p.name) or p.name == SCRATCH]:
        for folder in sorted(source.rglob("*"), reverse=True):
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()
        if not any(source.iterdir()):
            source.rmdir()
