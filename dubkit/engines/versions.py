"""Name and version of an engine, without loading it where they are known from before.

An engine states its version once it is built, and building one loads nets: seconds. The versions of this package's
engines are cached beside the weights, keyed by all that could change them: the package's own files and the folders of
installed libraries and programs (by size and time), the settings and the files that they name. Engines from elsewhere
are built every time.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from functools import cache
from hashlib import sha256
from pathlib import Path

from pydantic import BaseModel

import dubkit
from dubkit.engines.registry import ENGINES, choose, load_engine
from dubkit.weights.entries import cache_root
from dubkit.work.manifest import write_atomic

_MAX_ENTRIES = 64  # entries; the oldest go


def identity(kind: str, name: str, settings: BaseModel) -> str:
    """``NAME VERSION`` of the engine that a stage's ``settings`` select; errors as `load_engine`."""
    chosen, _ = choose(kind, name, settings)
    entry = ENGINES[kind].get(chosen)
    if entry is None or entry.weights is not None:
        return _build_and_state(kind, chosen, settings)
    parts = [_code(), kind, chosen, settings.model_dump_json(), *_named_files(settings)]
    key = sha256("\n".join(parts).encode()).hexdigest()[:32]
    known = _read()
    if key not in known:
        known[key] = _build_and_state(kind, chosen, settings)
        _write(known)
    return known[key]


def _build_and_state(kind: str, name: str, settings: BaseModel) -> str:
    engine = load_engine(kind, name, settings)
    return f"{engine.name} {engine.version}"


@cache
def _code() -> str:
    """Changes with the package's files, with Python and with what libraries and programs are installed."""
    package = Path(dubkit.__file__).parent
    own = [
        f"{path.relative_to(package)} {_state(path)}"
        for path in sorted(package.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]
    libraries = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    places = [Path(place) for place in (*sorted(libraries), *os.get_exec_path())]
    folders = [f"{place} {_state(place)}" for place in places if place.is_dir()]
    return sha256("\n".join([sys.version, *own, *folders]).encode()).hexdigest()


def _state(path: Path) -> str:
    facts = path.stat()
    return f"{facts.st_size} {facts.st_mtime_ns}"


def _named_files(settings: BaseModel) -> list[str]:
    """The state of every file that a setting names."""
    values = [value for value in settings.model_dump().values() if isinstance(value, str)]
    paths = [Path(v).expanduser() if v.startswith("~/") else Path(v) for v in values]
    return [f"{path} {_state(path)}" for path in paths if path.is_file()]


def _file() -> Path:
    return cache_root().parent / "engines.json"


def _read() -> dict[str, str]:
    """What is kept; nothing where there is no such file, or it is not ours."""
    try:
        known = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    valid = isinstance(known, dict) and all(isinstance(value, str) for value in known.values())
    return known if valid else {}


def _write(known: dict[str, str]) -> None:
    """Keep it, where that is possible: it only saves time."""
    newest = dict(list(known.items())[-_MAX_ENTRIES:])
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_atomic(_file(), json.dumps(newest, indent=1).encode())
    except OSError:
        return
