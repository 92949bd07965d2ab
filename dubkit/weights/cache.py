"""The one folder where weights lie: find them, check them, pull them.

``<root>/<name>/<files>``, beside them the receipt (`receipts`), so that gigabytes are not hashed again for every
run. Files brought by hand are taken once they have passed the same check.
"""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from dubkit.errors import ModelError, OutputError, UsageError
from dubkit.weights.download import Report, download, silent
from dubkit.weights.entries import WEIGHTS, File, Weight
from dubkit.weights.entries import cache_root as cache_root
from dubkit.weights.hub import (
    Locked,
    LockedFile,
    check_locked,
    commit,
    forget,
    listing,
    read_locked,
    write_locked,
)

LOCK = ".lock"


class State(Enum):
    """What is known of a weight on this machine."""

    ABSENT = "not here"
    PARTIAL = "incomplete"
    DAMAGED = "wrong checksum"
    UNPINNED = "here, not pinned"  # nothing to check it against
    LOCKED = "as first pulled"  # nobody said what is right, but it has not changed since
    OK = "verified"


@dataclass(frozen=True, slots=True)
class Finding:
    """A weight on this machine; ``detail`` names files and their checksums where they matter."""

    state: State
    path: Path
    detail: str = ""

    @property
    def good(self) -> bool:
        """Whether an engine may use it."""
        return self.state in (State.OK, State.LOCKED, State.UNPINNED)


def weight(name: str) -> Weight:
    """The catalog's entry. Raises UsageError for a name that it does not hold."""
    if name in WEIGHTS:
        return WEIGHTS[name]
    near = difflib.get_close_matches(name, WEIGHTS, 3)
    known = f"did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(
        f"there is no weight named {name!r}", hint=f"{known}dubkit models list shows all"
    )


def everything() -> tuple[Weight, ...]:
    """Every entry of the catalog."""
    return tuple(WEIGHTS.values())


def place(name: str) -> Path:
    """Where a weight lies, or would: its file, or its folder."""
    entry = weight(name)
    folder = cache_root() / entry.name
    return folder if entry.folder else folder / entry.files[0].name


def hint(name: str) -> str:
    """The command that brings a weight."""
    return f"dubkit models pull {name}"


def find(name: str) -> Path | None:
    """A complete, checked weight: its file, or its folder. None where it is not here.

    Touches no network, and hashes only what changed since its last check. Raises ModelError where a
    file is not the one that the catalog means.
    """
    entry = weight(name)
    receipt = _receipt(entry)
    if not receipt or not _current(entry, receipt):
        found = inspect(name)
        if found.state is State.DAMAGED:
            raise ModelError(
                f"the weight {name} in {found.path} is damaged or another file ({found.detail})",
                hint=f"remove it, then {hint(name)}",
            )
        if found.state in (State.ABSENT, State.PARTIAL):
            return None
    return place(name)


def glance(name: str) -> State:
    """A weight's state without hashing: files that no receipt covers count as incomplete."""
    entry = weight(name)
    receipt = _receipt(entry)
    if receipt and _current(entry, receipt):
        return _known(any(line.get("check") for line in receipt.values()), name)
    folder = place(name) if entry.folder else place(name).parent
    here = folder.is_dir() and any(p.name not in (RECEIPT, LOCK) for p in folder.iterdir())
    return State.PARTIAL if here else State.ABSENT


def size(name: str) -> int | None:
    """Bytes of a weight: as it was received here, else as the catalog knows it."""
    sizes = [int(line.get("size", 0)) for line in _receipt(weight(name)).values()]
    return sum(sizes) or weight(name).size


def present() -> list[str]:
    """The weights of which something is here."""
    return [name for name in WEIGHTS if glance(name) is not State.ABSENT]


def unfinished() -> list[str]:
    """The weights that are here in part."""
    return [name for name in WEIGHTS if glance(name) is State.PARTIAL]


def first_pulled(name: str) -> dict[str, str]:
    """The sha256 of each file that was first pulled, of a weight that the catalog does not pin."""
    first = _first(weight(name))
    return {file: told.sha256 for file, told in first.files.items()} if first else {}


def weight_path(
    name: str, offline: bool = False, report: Report = silent, *, trust_new: bool = False
) -> Path:
    """A complete weight, pulled where it is not here and ``offline`` allows. Raises ModelError."""
    path = find(name)
    if path is None and offline:
        raise ModelError(
            f"the weight {name} is not here, and --offline forbids to download it", hint=hint(name)
        )
    return path or pull(name, report, trust_new=trust_new)


def inspect(name: str) -> Finding:
    """Hash every file of a weight and compare; good ones get a receipt."""
    entry = weight(name)
    folder, checks = cache_root() / name, _checks(entry)
    here = [file for file in checks if (folder / file).is_file()]
    if not here:
        partial = folder.is_dir() and any(folder.glob("*.part"))
        return Finding(State.PARTIAL if partial else State.ABSENT, folder)
    lacking = _lacking(entry, set(here))
    if lacking:
        return Finding(State.PARTIAL, folder, f"lacks {', '.join(lacking)}")
    locked, unsure = _first(entry), []
    for file in here:
        told, check = checksum(folder / file, checks[file]), checks[file]
        first = locked.files.get(file) if locked else None
        if first and not is_first(folder / file, first, told):
            return Finding(State.DAMAGED, folder, f"{file} is not what was first pulled")
        if check and not told.startswith(check):
            return Finding(State.DAMAGED, folder, f"{file} is {told}, not {check}")
        if not _same_size(entry, folder / file):
            return Finding(State.DAMAGED, folder, f"{file} has another size")
        unsure += [f"{file} {told}"] if not check else []
    write_receipt(folder, entry, {file: checks[file] for file in here})
    return Finding(_known(any(checks.values()), name), place(name), "; ".join(unsure))


def _known(checked: bool, name: str) -> State:
    if checked:
        return State.OK
    return State.LOCKED if _first(weight(name)) else State.UNPINNED


def pull(name: str, report: Report = silent, *, trust_new: bool = False) -> Path:
    """Bring a weight here, or go on bringing it, and check it: against the catalog, against what its hub says,
    and against what was brought first (`locked`), unless ``trust_new`` forgets that.

    Raises ModelError where the net refuses or a checksum is wrong, OutputError where the disk does.
    """
    entry = weight(name)
    folder = cache_root() / name
    with _alone(folder):
        if trust_new:
            forget(name)
        path = find(name)
        if path is not None:
            return path
        first, checks, files = _first(entry), {}, {}
        revision = _revision(entry, first)
        for file, url, check in _remote(entry, revision):
            target = folder / file
            if not target.is_file():
                download(url, target, report)
            told = checksum(target, check)
            if check and not told.startswith(check):
                target.unlink()
                raise ModelError(
                    f"{url} is {told}, not {check}: it was thrown away",
                    hint="try again; if that fails, a proxy or the owner has changed the file",
                )
            sha256 = (told if told.startswith("sha256:") else checksum(target))[len("sha256:") :]
            try:
                check_locked(first, file, sha256, url)
            except ModelError:
                target.unlink()
                raise
            checks[file], files[file] = check, LockedFile(sha256, target.stat().st_size)
        write_receipt(folder, entry, checks)
        if not entry.pinned:
            write_locked(Locked(name, revision, files))
    return place(name)


def _first(entry: Weight) -> Locked | None:
    """What was brought first of a weight of which the catalog does not say what it is."""
    return None if entry.pinned else read_locked(entry.name)


def _revision(entry: Weight, first: Locked | None) -> str:
    """The commit of a repository that is taken: the catalog's, the one of the first pull, or what is newest."""
    if entry.hub is None:
        return ""
    return (first.revision if first else "") or commit(entry, cache_root() / entry.name)


def _remote(entry: Weight, revision: str) -> Iterator[tuple[str, str, str]]:
    """Name, address and check of each file to bring."""
    pins = {file.name: _pin(file) for file in entry.files}
    if entry.hub is None:
        yield from ((file.name, file.url or "", pins[file.name]) for file in entry.files)
        return
    for file in listing(entry, cache_root() / entry.name, revision):
        yield file.name, file.url, pins.get(file.name) or file.check


def _pin(file: File) -> str:
    return f"sha256:{file.sha256}" if file.sha256 else ""


def _checks(entry: Weight) -> dict[str, str]:
    """What each file of a weight is to be compared with; "" where nothing is known."""
    wanted = {name: "" for group in entry.needed for name in group}
    told = {name: str(line.get("check", "")) for name, line in _receipt(entry).items()}
    pins = {file.name: _pin(file) for file in entry.files}
    names = [*pins, *told, *wanted]
    return {name: pins.get(name) or told.get(name) or "" for name in names}


def _lacking(entry: Weight, here: set[str]) -> list[str]:
    groups = entry.needed or tuple((file.name,) for file in entry.files)
    received = [(name,) for name in _receipt(entry)]
    return [" or ".join(group) for group in (*groups, *received) if not here & set(group)]


def _same_size(entry: Weight, path: Path) -> bool:
    sizes = {file.name: file.size for file in entry.files}
    wanted = sizes.get(path.name)
    return wanted is None or path.stat().st_size == wanted


def _receipt(entry: Weight) -> Receipt:
    return read_receipt(cache_root() / entry.name)


def _current(entry: Weight, receipt: Receipt) -> bool:
    return is_current(cache_root() / entry.name, receipt) and not _lacking(entry, set(receipt))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time brings one weight."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / LOCK).open("a")
    except OSError as error:
        raise OutputError(
            f"the cache folder {folder} cannot be written: {error.strerror}",
            hint="set DUBKIT_CACHE to a folder of your own",
        ) from None
    with stream:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX)
        yield


def checksum(path: Path, check: str = "") -> str:
    """The file's own ``sha256:...``, or ``git:...`` where the check is one."""
    size = path.stat().st_size
    digest = hashlib.sha1(b"blob %d\0" % size) if check.startswith("git:") else hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"{'git' if check.startswith('git:') else 'sha256'}:{digest.hexdigest()}"


def is_first(path: Path, first: LockedFile, told: str) -> bool:
    """Whether a file, of which `checksum` said something, is the one that was first pulled."""
    if path.stat().st_size != first.size:
        return False
    sha256 = told if told.startswith("sha256:") else checksum(path)
    return sha256 == f"sha256:{first.sha256}"


RECEIPT = ".dubkit.json"
Receipt = dict[str, dict[str, Any]]  # by file


def read_receipt(folder: Path) -> Receipt:
    """The receipt in a weight's folder; empty where there is none."""
    try:
        return dict(json.loads((folder / RECEIPT).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def is_current(folder: Path, receipt: Receipt) -> bool:
    """Whether no file changed since it was checked."""
    for name, line in receipt.items():
        path = folder / name
        if not path.is_file():
            return False
        now = path.stat()
        if (now.st_size, now.st_mtime_ns) != (line.get("size"), line.get("mtime_ns")):
            return False
    return True


def write_receipt(folder: Path, entry: Weight, checks: Mapping[str, str]) -> None:
    """Keep what the files were compared with, as far as the folder can be written."""
    files = {}
    for name, check in checks.items():
        now = (folder / name).stat()
        files[name] = {"check": check, "size": now.st_size, "mtime_ns": now.st_mtime_ns}
    scratch = folder / f"{RECEIPT}.{os.getpid()}"
    try:
        text = json.dumps({"weight": entry.name, "source": entry.source, "files": files}, indent=1)
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(folder / RECEIPT)
    except OSError:
        return  # a cache that is shared and read-only works without; it is hashed each time
