"""The checks of ``dubkit doctor``: programs, packages, engines, weights, device, disk.

Apart from the command, because a check loads what it checks and ``--help`` must not.
"""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import av

import dubkit
from dubkit.config.schema import Config
from dubkit.engines.registry import ENGINES, Entry, load_engine, load_module
from dubkit.errors import DubkitError, MissingDependency, ModelError
from dubkit.media import codecs
from dubkit.media.process import find_program, program_version
from dubkit.models import checkpoint, devices
from dubkit.parallel.workers import cores

MIN_FREE = 2 * 2**30  # bytes; short films need less, a feature film more
DEVELOPER_EXTRAS = ("test", "lint", "full")


class State(Enum):
    """How a check ended."""

    OK = "ok"
    OPTIONAL = "not installed"  # dubkit run works without it
    NO_WEIGHTS = "no weights"  # likewise
    MISSING = "missing"  # the engines show whether dubkit run works all the same
    LOW = "low"
    FAILED = "failed"  # dubkit run cannot work


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table."""

    group: str
    name: str
    state: State
    detail: str
    hint: str | None = None


def all_checks(folder: Path) -> Iterator[Check]:
    """Yield every check in the order of the table; ``folder`` is where results would be written."""
    yield _system()
    yield from _programs()
    yield from _encoders()
    yield from _packages()
    yield from _engines()
    yield from _weights()
    yield from _machine(folder)


def _system() -> Check:
    """Whether the operating system has what work folders need: locks that end with their process."""
    name, way = (
        f"{platform.system()} {platform.machine()}",
        "use Linux or macOS; on Windows, WSL 2 or Docker",
    )
    if find_spec("fcntl") is None:
        return Check("system", name, State.FAILED, "no locks for work folders", way)
    return Check("system", name, State.OK, platform.release())


def _programs() -> Iterator[Check]:
    yield Check("program", "python", State.OK, f"{platform.python_version()}, {sys.executable}")
    try:
        detail = f"{program_version('ffmpeg')}, {find_program('ffmpeg')}"
        yield Check("program", "ffmpeg", State.OK, detail)
    except DubkitError as error:
        yield Check("program", "ffmpeg", State.FAILED, error.message, error.hint)


def _encoders() -> Iterator[Check]:
    """Pictures are encoded by PyAV's own FFmpeg, so the system's makes no difference to what can be written."""
    found = codecs.encoders()
    there = ", ".join(name for name, missing in found.items() if not missing)
    yield Check("program", "picture codecs", State.OK, f"PyAV {av.__version__}: {there}")
    for name, missing in found.items():
        if missing:
            detail = f"films of {name} cannot be written: PyAV has no {', '.join(missing)}"
            hint = "pip install --force-reinstall av"
            yield Check("program", f"picture codec {name}", State.MISSING, detail, hint)


def _packages() -> Iterator[Check]:
    try:
        requirements = metadata.requires("dubkit") or []
    except metadata.PackageNotFoundError:
        hint = "pip install ."
        yield Check("package", "dubkit", State.MISSING, "runs from source, not installed", hint)
        return
    listed: set[str] = set()  # an extra may hold another
    for requirement in requirements:
        text, _, marker = requirement.partition(";")
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        name = re.split(r"[^\w.-]", text.strip())[0]
        if name not in listed and (extra is None or extra[1] not in DEVELOPER_EXTRAS):
            listed.add(name)
            yield _package(name, extra[1] if extra else None)


def _package(name: str, extra: str | None) -> Check:
    try:
        return Check("package", name, State.OK, metadata.version(name))
    except metadata.PackageNotFoundError:
        wanted = f"dubkit[{extra}]" if extra else name
        state = State.OPTIONAL if extra else State.MISSING
        detail = f"part of the extra {extra}" if extra else "required"
        return Check("package", name, state, detail, f"pip install '{wanted}'")


def _engines() -> Iterator[Check]:
    """The stages and every engine that they can take."""
    yield _stages()
    config = Config()
    sections: dict[str, object] = {
        "features": None,  # those of the weights cache
        "shots": config.shots,
        "detector": config.faces,
        "landmarker": config.faces,
        "aligner": config.speech,
        "synthesizer": config.generate,
        "appearance": config.appearance,
    }
    for kind, known in ENGINES.items():
        for name, entry in known.items():
            yield _engine(kind, name, entry, sections[kind])


def _stages() -> Check:
    try:
        stages = load_module("dubkit.pipeline.job", what="the pipeline").STAGES
    except DubkitError as error:
        return Check("engine", "stages", State.FAILED, error.message, error.hint)
    return Check("engine", "stages", State.OK, ", ".join(stage.name for stage in stages))


def _engine(kind: str, name: str, entry: Entry, settings: object) -> Check:
    """Engines are built, which loads the weights of those of the plain install and finds those of others."""
    label = f"{kind}: {name}"
    if entry.extra is not None and entry.library is None:
        hint = f"pip install 'dubkit[{entry.extra}]'"
        return Check("engine", label, State.OPTIONAL, f"part of the extra {entry.extra}", hint)
    try:
        return Check("engine", label, State.OK, str(load_engine(kind, name, settings).version))
    except ModelError as error:
        state = State.FAILED if entry.weights is None else State.NO_WEIGHTS
        return Check("engine", label, state, error.message, error.hint)
    except DubkitError as error:
        return Check("engine", label, State.FAILED, error.message, error.hint)


def _weights() -> Iterator[Check]:
    for path in sorted((Path(dubkit.__path__[0]) / "weights").glob("*.safetensors")):
        size = path.stat().st_size / 2**10
        yield Check(
            "weights", path.stem, State.OK, f"{size:,.0f} KiB, sha256 {checkpoint.digest(path)}"
        )


def _machine(folder: Path) -> Iterator[Check]:
    yield Check("machine", "device", State.OK, ", ".join(devices.list_devices("auto")))
    yield Check("machine", "cores", State.OK, str(cores()))
    free = shutil.disk_usage(folder).free
    low = free < MIN_FREE
    hint = "free some space, or choose another disk with --work" if low else None
    detail = f"{free / 2**30:.1f} GiB free in {folder}"
    yield Check("machine", "disk", State.LOW if low else State.OK, detail, hint)


def main_job_error(checks: list[Check]) -> MissingDependency | None:
    """Return the error that keeps ``dubkit run`` from working here, or None."""
    failed = [check for check in checks if check.state is State.FAILED]
    if not failed:
        return None
    names = ", ".join(f"{check.group} {check.name}" for check in failed)
    hint = next((check.hint for check in failed if check.hint), None)
    return MissingDependency(f"dubkit run cannot work here: {names}", hint=hint)
