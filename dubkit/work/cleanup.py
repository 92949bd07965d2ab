"""What a work folder holds beyond its last job, and how it goes away; nothing that dubkit did not make.

Only names that dubkit gives are looked at (`folder.py`, `library.py`), and of a unit only what its receipt lists;
links are neither followed nor deleted.
"""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from dubkit.errors import UsageError, WorkError
from dubkit.work.folder import CONFIG, LOG, SCRATCH, explain, is_inside
from dubkit.work.lock import ATTEND, EXCLUSIVE, LOCK, hold, take
from dubkit.work.manifest import MANIFEST, RECEIPT, read_manifest, read_receipt

What = Literal["stale", "all"]
Names = Counter[tuple[int, int]]  # how many names of each file (device, inode) go
DEEPEST = 6  # folders below the one that was named
_SOURCE = re.compile(r"(video|dub)-[0-9a-f]{12}")
_FILM_LOCK = re.compile(r"video-[0-9a-f]{12}\.lock")
_JOB_FILES = re.compile(rf"{MANIFEST}|{CONFIG}|{LOG}(\.1)?|{_FILM_LOCK.pattern}")
_STAGE = re.compile(r"[a-z_]+")
_UNIT = re.compile(r"job|\d{7,}-\d{7,}")
_UNDER_WAY = re.compile(rf"tmp[a-z0-9_]{{8}}(\.old)?|{_SOURCE.pattern}")
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that may go."""

    path: Path
    work: Path  # the work folder that it lies in
    what: str  # finished unit, unfinished work, job files
    files: tuple[Path, ...]  # of it that dubkit made
    size: int  # bytes that no other name still holds
    age: float  # seconds since it was written


def parse_age(text: str) -> float:
    """``30d``, ``12h``, ``2w`` as seconds. Raises UsageError."""
    found = _AGE.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text!r} is not an age", hint="write 30d, 12h or 2w")
    return float(found[1]) * _SECONDS[found[2]]


def find_work(folder: Path) -> list[Path]:
    """The work folders and analysis libraries at and below a folder. Raises WorkError for none."""
    try:
        found = list(_work_below(folder, 0)) if folder.is_dir() else []
    except OSError as error:
        raise explain(error, folder) from error
    if not found:
        raise WorkError(f"there is no dubkit work folder in {folder}", hint="they end in .dubkit")
    return found


def _work_below(folder: Path, depth: int) -> Iterator[Path]:
    if is_work(folder):
        yield folder
    elif depth < DEEPEST:
        for entry in _folders(folder):
            yield from _work_below(entry, depth + 1)


def is_work(folder: Path) -> bool:
    """Whether dubkit made this folder: by its manifest, or by a library's lock beside its film."""
    if any((folder / name).is_symlink() for name in (MANIFEST, LOCK, ATTEND, SCRATCH)):
        return False
    try:
        if read_manifest(folder) is not None:
            return True
    except WorkError:
        return False
    return any(_film_locks(folder)) and (folder / SCRATCH).is_dir()


def survey(
    work: Path, what: What, older_than: float = 0.0, names: Names | None = None
) -> list[Leftover]:
    """What may go from a work folder: with ``stale`` only what its last job does not use, with ``all`` everything.

    ``names`` counts the names that go, for what is surveyed together: a file takes room until its last one does.
    """
    names = Counter() if names is None else names
    used = _used(work) if what == "stale" else set()
    now = time.time()
    found: list[Leftover] = []
    for path, kind in _contents(work, job_files=what == "all"):
        files = tuple(_files(path, kind))
        if path in used or not files:
            continue
        age = now - max(file.lstat().st_mtime for file in files)
        if age >= older_than:
            size = sum(_room(file, names) for file in files)
            found.append(Leftover(path, work, kind, files, size, age))
    return found


def remove(work: Path, what: What, older_than: float = 0.0) -> list[Leftover]:
    """Delete what `survey` finds, and folders that are empty then. Raises WorkError where the folder is in use."""
    try:
        if not survey(work, what, older_than):
            return []
        with _alone(work):
            leftovers = survey(work, what, older_than)  # nobody changes it from here on
            for leftover in leftovers:
                _delete(leftover)
            _drop_empty(work / SCRATCH, work)
            if {path.name for path in work.iterdir()} <= {LOCK, ATTEND}:
                for name in (LOCK, ATTEND):
                    (work / name).unlink(missing_ok=True)
                work.rmdir()
            return leftovers
    except OSError as error:
        raise explain(error, work) from error


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """No run uses the folder: the job's own, or of a library any of its films."""
    with ExitStack() as held:
        if read_manifest(work) is not None:
            held.enter_context(hold(work))
        for path in _film_locks(work):
            stream = held.enter_context(path.open("a+"))
            if not take(stream.fileno(), EXCLUSIVE):
                raise WorkError(
                    f"the analysis folder {work} is in use: a run is analyzing a film in it",
                    hint="wait for it, or stop it",
                )
        yield


def _delete(leftover: Leftover) -> None:
    if leftover.what == "unfinished work":
        shutil.rmtree(leftover.path)
        return
    for file in leftover.files:
        file.unlink(missing_ok=True)
    for folder in sorted({file.parent for file in leftover.files}, reverse=True):
        _drop_empty(folder, leftover.work)


def _drop_empty(folder: Path, work: Path) -> None:
    """Remove a folder, and those above it, as far as they are empty."""
    with suppress(OSError):
        while folder != work:
            folder.rmdir()
            folder = folder.parent


def _used(work: Path) -> set[Path]:
    """The units of the last job. Of a library, and where the manifest is lost, all are in use."""
    manifest = read_manifest(work)
    if manifest is None:
        return {path for path, kind in _contents(work, job_files=False) if kind == "finished unit"}
    finished = {(key, result.fingerprint) for key, result in manifest.results.items()}
    used: set[Path] = set()
    for path, kind in _contents(work, job_files=False):
        receipt = read_receipt(path) if kind == "finished unit" else None
        if receipt and (f"{path.parent.name}/{path.name}", receipt.fingerprint) in finished:
            used.add(path)
    return used


def _contents(work: Path, *, job_files: bool) -> Iterator[tuple[Path, str]]:
    for source in _folders(work, _SOURCE):
        for stage in _folders(source, _STAGE):
            yield from ((unit, "finished unit") for unit in _folders(stage, _UNIT))
    for scratch in _folders(work, re.compile(SCRATCH)):
        yield from ((path, "unfinished work") for path in _folders(scratch, _UNDER_WAY))
    for entry in sorted(work.iterdir()) if job_files else ():
        if _JOB_FILES.fullmatch(entry.name) and _is_plain(entry):
            yield entry, "job files"


def _folders(folder: Path, named: re.Pattern[str] | None = None) -> list[Path]:
    """The folders in a folder, links left out."""
    return [
        entry
        for entry in sorted(folder.iterdir())
        if (named is None or named.fullmatch(entry.name))
        and entry.is_dir()
        and not entry.is_symlink()
    ]


def _film_locks(work: Path) -> list[Path]:
    return [p for p in sorted(work.iterdir()) if _FILM_LOCK.fullmatch(p.name) and _is_plain(p)]


def _files(path: Path, kind: str) -> Iterator[Path]:
    """The files of something that are dubkit's own; of unfinished work also the folder itself."""
    if kind == "job files":
        yield path
    elif kind == "unfinished work":
        yield path
        yield from (p for p in path.rglob("*") if not p.is_dir() or p.is_symlink())
    elif receipt := read_receipt(path):
        for name in filter(is_inside, (RECEIPT, *receipt.outputs)):
            above = [path / folder for folder in PurePosixPath(name).parents]
            if _is_plain(path / name) and not any(folder.is_symlink() for folder in above):
                yield path / name


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _room(file: Path, names: Names) -> int:
    """Bytes that are free once this name is gone too."""
    facts = file.lstat()
    if file.is_dir() and not file.is_symlink():
        return 0
    inode = (facts.st_dev, facts.st_ino)
    names[inode] += 1
    return facts.st_size if names[inode] == facts.st_nlink else 0
