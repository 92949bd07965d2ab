"""The work folder: where published units lie, and how a scratch folder becomes one.

::

    manifest.json  config.json  lock  attend.lock
    run.log                          what was said and started, for people
    video-<digest>/<stage>/<unit>/   depends on the picture only: shared by all dubs of a film
    dub-<digest>/<stage>/<unit>/     depends on picture, sound and script
    scratch/<random>/                work in progress; swept at start and end

Runs may share the analysis of films, so that one is looked at once for all its dubs: in a folder with the same
``video-<digest>/`` folders, a lock ``video-<digest>.lock`` held by the run that analyses this film now, and
``scratch/video-<digest>/`` for what is on its way in, swept by the holder. Runs link what they find there into their
own work folder and put in what they had to do themselves, so a work folder never depends on it. Machines may share it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

from dubkit.errors import DubkitError, OutputError, WorkError
from dubkit.records import FileDigest, StageResult
from dubkit.work import lock, manifest as manifests, store

_Item = TypeVar("_Item")
CONFIG = "config.json"
SCRATCH = "scratch"
LOG = "run.log"
_OWN_NAMES = re.compile(
    rf"{manifests.MANIFEST}|{CONFIG}|{lock.LOCK}|{lock.ATTEND}|{SCRATCH}|{LOG}(\.1)?|(video|dub)-[0-9a-f]{{12}}|\..*"
)


_SHOTWISE = (
    "shots",
    "verdicts",
    "cast",
    "me",
    "consent",
    "reuse",
)  # inputs that make no other dub of a film


def picture_name(inputs: Mapping[str, FileDigest]) -> str:
    """The folder of units that depend on the picture only."""
    return f"video-{store.short(inputs['video'].sha256)}"


def dub_name(inputs: Mapping[str, FileDigest]) -> str:
    """The folder of units that depend on picture, sound and script."""
    read = {name: entry.sha256 for name, entry in inputs.items() if name not in _SHOTWISE}
    return f"dub-{store.short(store.digest_value(read))}"


class EarlierJob:
    """The work folder of another job, to be read only. Raises WorkError where it is none."""

    def __init__(self, root: Path) -> None:
        manifest = manifests.read_manifest(root) if root.is_dir() else None
        if manifest is None:
            raise WorkError(
                f"{root} holds no readable manifest of dubkit",
                hint="name the work folder of a finished run: it ends in .dubkit",
            )
        self.root, self.job, self.inputs = root, manifest.job, manifest.inputs

    def picture(self, stage: str, unit: str = "job") -> Path:
        """Where a unit lies that depends on the picture only."""
        return self.root / picture_name(self.inputs) / stage / unit

    def dub(self, stage: str, unit: str = "job") -> Path:
        """Where a unit lies that depends on the dub too."""
        return self.root / dub_name(self.inputs) / stage / unit


def open_work(root: Path) -> None:
    """Make a work folder or accept one that dubkit made. Raises WorkError for anything else."""
    check_work(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / SCRATCH).mkdir(exist_ok=True)
    except OSError as error:
        raise explain(error, root) from error


def check_work(root: Path) -> None:
    """Raise WorkError where a path cannot become, or is not, a work folder of this version."""
    if not root.exists():
        return
    if not root.is_dir():
        raise WorkError(f"the work folder {root} is a file", hint=manifests.ANOTHER)
    refuse_links(root, ("*-*", "*-*/*"))
    manifest = manifests.read_manifest(root)
    names = {entry.name for entry in root.iterdir()}
    foreign = sorted(name for name in names if not _OWN_NAMES.fullmatch(name))
    if foreign and manifest is None and not names & {lock.LOCK, SCRATCH}:
        raise WorkError(
            f"{root} is not a dubkit work folder: it contains {foreign[0]}", hint=manifests.ANOTHER
        )


def refuse_links(root: Path, folders: Sequence[str]) -> None:
    """Raise WorkError for a link in ``root``, or in the ``folders`` (patterns) below it."""
    for folder in (root, *(found for pattern in folders for found in root.glob(pattern))):
        if not folder.is_dir():
            continue
        with os.scandir(folder) as entries:
            link = next((entry.path for entry in entries if entry.is_symlink()), None)
        if link is not None:
            raise WorkError(
                f"{link} is a link, which dubkit does not follow in its own folders",
                hint="delete it, or choose another folder",
            )


def new_scratch(root: Path) -> Path:
    """An empty folder for one unit, on the same file system as its destination."""
    return Path(tempfile.mkdtemp(dir=root / SCRATCH))


_COUNT = ".frames"  # of a unit under way: a file beside its scratch folder, SCRATCH.STAGE.frames
_COUNT_EVERY = 0.5  # seconds


def counted(scratch: Path, stage: str, items: Iterable[_Item]) -> Iterator[_Item]:
    """The items, one for each frame; how many were taken can be read meanwhile with `frames_under_way`."""
    path, due = scratch.with_name(f"{scratch.name}.{stage}{_COUNT}"), 0.0
    try:
        for count, item in enumerate(items, 1):
            yield item
            if time.monotonic() >= due:
                due = time.monotonic() + _COUNT_EVERY
                with suppress(OSError):  # a run does not fail for what it says of itself
                    path.write_text(str(count))
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def frames_under_way(root: Path) -> dict[str, int]:
    """Of each stage, the frames that are done of its unfinished units."""
    found: Counter[str] = Counter()
    for path in (root / SCRATCH).glob(f"*{_COUNT}"):
        with suppress(OSError, ValueError):  # gone, or being written
            found[path.name.split(".")[-2]] += int(path.read_text())
    return dict(found)


def sweep(root: Path) -> None:
    """Remove what interrupted work left behind. Only the holder of the lock may."""
    for entry in (root / SCRATCH).glob("*"):
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    for name in (manifests.MANIFEST, CONFIG):
        for beside in root.glob(f".{name}.*"):
            beside.unlink(missing_ok=True)


def publish(scratch: Path, target: Path) -> None:
    """Move a finished unit, receipt included, to its place by rename; an older one gives way."""
    for path in (scratch, *scratch.rglob("*")):
        manifests.sync(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        old = scratch.with_name(f"{scratch.name}.old")
        target.rename(old)
        scratch.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        scratch.rename(target)
    manifests.sync(target.parent)


def adopt(root: Path, twin: Path, target: Path) -> None:
    """Publish a unit that another folder holds already, by links where the file system can."""
    scratch = new_scratch(root)
    shutil.copytree(twin, scratch, copy_function=link_or_copy, dirs_exist_ok=True)
    publish(scratch, target)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """A second name for a finished file, or a copy on file systems without links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def describe(folder: Path) -> tuple[dict[str, str], dict[str, int]]:
    """Digests and sizes of the files in a unit's folder, by their names relative to it."""
    names = _files(folder)
    digests = {name: store.digest_file(folder / name) for name in names}
    return digests, {name: (folder / name).stat().st_size for name in names}


def intact(folder: Path, *, thorough: bool = False) -> StageResult | None:
    """The receipt of a unit whose files are all there in full; ``thorough`` hashes them too."""
    receipt = manifests.read_receipt(folder)
    if receipt is None:
        return None
    for name, size in receipt.sizes.items():
        path = folder / name
        if not is_inside(name) or path.is_symlink() or not path.is_file():
            return None
        if path.stat().st_size != size:
            return None
        if thorough and store.digest_file(path) != receipt.outputs.get(name):
            return None
    return receipt


def is_inside(name: str) -> bool:
    """Whether a file name in a receipt stays inside the folder of that receipt."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def drop_damaged(root: Path) -> list[str]:
    """Hash every published file. Damaged units lose their receipt, so that they are done again, and they alone."""
    damaged = []
    for folder in sorted(root.glob("video-*/*/*")) + sorted(root.glob("dub-*/*/*")):
        if intact(folder, thorough=True) is None:
            (folder / manifests.RECEIPT).unlink(missing_ok=True)
            damaged.append(str(folder.relative_to(root)))
    return damaged


def explain(error: OSError, path: Path) -> DubkitError:
    """An error of the system as a DubkitError: disk full, not permitted, or the system's own message."""
    where = error.filename if isinstance(error.filename, str) else str(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            f"the disk is full: {where} cannot be written",
            hint="free some space and run the same command again: finished work is kept",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(
            f"{where} cannot be written or read: {error.strerror}", hint="check its permissions"
        )
    return WorkError(
        f"{where}: {error.strerror or error}",
        hint="check the folder, or choose another with --work",
    )


def _files(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(
        name for path in paths if (name := path.relative_to(folder).as_posix()) != manifests.RECEIPT
    )


def find_shared(library: Path, folder: Path, fingerprint: str) -> Path | None:
    """The copy of a unit in a folder of shared analysis; None unless the fingerprint is the same."""
    path = library.joinpath(*folder.parts[-3:])
    receipt = intact(path)
    same = receipt is not None and receipt.error is None and receipt.fingerprint == fingerprint
    return path if same else None


def contribute(library: Path, folder: Path, result: StageResult) -> None:
    """Put a finished unit into a folder of shared analysis. Raises DubkitError where that cannot be."""
    if find_shared(library, folder, result.fingerprint):
        return
    film = folder.parts[-3]
    scratch = library / SCRATCH / film / f"{os.getpid()}-{folder.parts[-2]}-{folder.name}"
    try:
        shutil.copytree(folder, scratch, copy_function=link_or_copy)
        publish(scratch, library.joinpath(*folder.parts[-3:]))
    except OSError as error:
        raise explain(error, library) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        with suppress(OSError):  # not empty: something else is on its way
            scratch.parent.rmdir()


def take_film(library: Path, film: str) -> IO[str] | None:
    """Be the one run that analyses a film, until what is returned is closed; None while another is.

    Raises WorkError where the library cannot be used.
    """
    refuse_links(library, (SCRATCH, film, f"{film}/*"))
    try:
        (library / SCRATCH).mkdir(parents=True, exist_ok=True)
        stream = (library / f"{film}.lock").open("a+")
    except (FileExistsError, NotADirectoryError) as error:
        raise WorkError(
            f"the analysis folder {library} is a file", hint="choose another with --analysis"
        ) from error
    except OSError as error:
        raise explain(error, library) from error
    if not lock.take(stream.fileno(), lock.EXCLUSIVE):
        stream.close()
        return None
    stream.truncate(0)
    stream.write(lock.signature())
    stream.flush()
    shutil.rmtree(library / SCRATCH / film, ignore_errors=True)
    return stream
