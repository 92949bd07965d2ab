"""The one folder where weights lie: find them and check them; `pull` brings them.

``<root>/<name>/<files>``, beside them a receipt, so that gigabytes are not hashed again for every run. Files
brought by hand, and those that an installed Python package holds, are taken once they have passed the same check.
Every process that looks for an engine loads this: it knows nothing of the network.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from dubkit.errors import ModelError, OutputError, UsageError
from dubkit.weights.entries import WEIGHTS, File, Weight, cache_root as cache_root
from dubkit.work.manifest import write_atomic

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
    folder = _home(entry)
    return folder if entry.folder else folder / entry.files[0].name


def _home(entry: Weight) -> Path:
    """The folder of a weight's files: in the cache, or in an installed package that holds them."""
    folder = cache_root() / entry.name
    if not entry.package or any((folder / file.name).is_file() for file in entry.files):
        return folder
    module, _, inner = entry.package.partition("/")
    spec = importlib.util.find_spec(module)  # nothing of the package is run
    places = spec.submodule_search_locations if spec else None
    packaged = [place for place in map(Path, places or ()) if (place / inner).is_dir()]
    return packaged[0] / inner if packaged else folder


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
    folder = _home(entry)
    if folder != cache_root() / name:  # of a package: nobody is still bringing it
        return inspect(name).state
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
    first = first_pull(weight(name))
    return {file: told.sha256 for file, told in first.files.items()} if first else {}


def inspect(name: str) -> Finding:
    """Hash every file of a weight and compare; good ones get a receipt."""
    entry = weight(name)
    folder, checks = _home(entry), _checks(entry)
    here = [file for file in checks if (folder / file).is_file()]
    if not here:
        partial = folder.is_dir() and any(folder.glob("*.part"))
        return Finding(State.PARTIAL if partial else State.ABSENT, folder)
    lacking = _lacking(entry, set(here))
    if lacking:
        return Finding(State.PARTIAL, folder, f"lacks {', '.join(lacking)}")
    locked, unsure = first_pull(entry), []
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
    return State.LOCKED if first_pull(weight(name)) else State.UNPINNED


def first_pull(entry: Weight) -> FirstPull | None:
    """What was brought first of a weight of which the catalog does not say what it is."""
    return None if entry.pinned else read_first_pull(entry.name)


def pin(file: File) -> str:
    """What a file of the catalog is compared with; "" where the catalog does not pin it."""
    return f"sha256:{file.sha256}" if file.sha256 else ""


def _checks(entry: Weight) -> dict[str, str]:
    """What each file of a weight is to be compared with; "" where nothing is known."""
    wanted = {name: "" for group in entry.needed for name in group}
    told = {name: str(line.get("check", "")) for name, line in _receipt(entry).items()}
    pins = {file.name: pin(file) for file in entry.files}
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
    return is_current(_home(entry), receipt) and not _lacking(entry, set(receipt))


def checksum(path: Path, check: str = "") -> str:
    """The file's own ``sha256:...``, or ``git:...`` where the check is one."""
    size = path.stat().st_size
    digest = hashlib.sha1(b"blob %d\0" % size) if check.startswith("git:") else hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"{'git' if check.startswith('git:') else 'sha256'}:{digest.hexdigest()}"


def is_first(path: Path, first: PulledFile, told: str) -> bool:
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
    """Keep in the cache what the files in ``folder`` were compared with, as far as it can be written."""
    files = {}
    for name, check in checks.items():
        now = (folder / name).stat()
        files[name] = {"check": check, "size": now.st_size, "mtime_ns": now.st_mtime_ns}
    kept = cache_root() / entry.name
    scratch = kept / f"{RECEIPT}.{os.getpid()}"
    try:
        kept.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"weight": entry.name, "source": entry.source, "files": files}, indent=1)
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(kept / RECEIPT)
    except OSError:
        return  # a cache that is shared and read-only works without; it is hashed each time


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
