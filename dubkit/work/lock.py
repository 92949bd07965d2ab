"""One process at a time in a work folder, and no straggler of the one before it.

Two advisory locks that the system drops when their holder dies, however it dies: ``lock`` belongs
to the process that runs the job; ``attend.lock`` is shared by its workers while they hold a unit,
so that a run after ``kill -9`` waits for the last of them. A holder writes its name into ``lock`` and takes
it out at its end: a name that is still there tells of a crash or a power cut.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO

from dubkit.errors import MissingDependency, WorkError

SHARED, EXCLUSIVE = 1, 2  # as flock counts them on Linux and macOS
SYSTEMS = "use Linux or macOS; on Windows, WSL 2 or Docker"

LOCK = "lock"
ATTEND = "attend.lock"
WAIT_SECONDS = 0.2
PATIENCE = 15.0  # seconds that a new run waits for the workers of a killed one


@dataclass(slots=True)
class Held:
    """How a work folder was found."""

    waited: bool  # another process had it first
    crashed: bool  # the one before did not come to its end; set to False once its work is checked


@contextmanager
def hold(
    root: Path, patience: float = PATIENCE, wait: Callable[[str], None] | None = None
) -> Iterator[Held]:
    """Own a work folder. Where another process has it, raises WorkError that names it, or waits.

    ``wait`` is called once with a sentence when the waiting begins.
    """
    with (root / LOCK).open("a+") as stream:
        waited = _enter(stream, root, wait)
        _wait_for_workers(root, patience)
        stream.seek(0)
        held = Held(waited, bool(stream.read().strip()))
        _sign(stream, signature())
        try:
            yield held
        finally:
            _sign(stream, "did not come to its end\n" if held.crashed else "")


def _enter(stream: IO[str], root: Path, wait: Callable[[str], None] | None) -> bool:
    """Take the lock; says whether another had it."""
    waited = False
    while not take(stream.fileno(), EXCLUSIVE):
        stream.seek(0)
        holder = stream.read().strip() or "another process"
        if wait is None:
            raise WorkError(
                f"the work folder {root} is in use by {holder}",
                hint="wait for it (--wait does), stop it, or choose another folder with --work",
            )
        if not waited:
            wait(f"the work folder {root} is in use by {holder}; waiting for it")
            waited = True
        time.sleep(WAIT_SECONDS)
    return waited


def _sign(stream: IO[str], text: str) -> None:
    stream.truncate(0)
    stream.write(text)
    stream.flush()
    os.fsync(stream.fileno())


def holder(root: Path) -> str | None:
    """The process that owns a work folder now, as it introduced itself."""
    path = root / LOCK
    if not path.is_file():
        return None
    with path.open() as stream:
        if take(stream.fileno(), SHARED):
            return None
        return stream.read().strip() or "another process"


@contextmanager
def attend(root: Path, owner: str | None = None) -> Iterator[None]:
    """A worker's presence in a work folder.

    Raises WorkError where the folder is not the one that the ``owner`` (a `signature`) holds: on a machine that
    does not share it, or after its owner is gone.
    """
    if owner is not None and _signed(root) != owner:
        raise WorkError(
            f"{socket.gethostname()} does not see the work folder {root} as {owner.strip()} has it",
            hint="all workers need the same folders under the same paths",
        )
    with (root / ATTEND).open("a") as stream:
        take(stream.fileno(), SHARED, wait=True)
        yield


def signature() -> str:
    """How this process names itself in a lock."""
    return f"process {os.getpid()} on {socket.gethostname()}\n"


def _signed(root: Path) -> str | None:
    try:
        return (root / LOCK).read_text()
    except OSError:
        return None


def _wait_for_workers(root: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    with (root / ATTEND).open("a") as stream:
        while not take(stream.fileno(), EXCLUSIVE):
            if time.monotonic() > deadline:
                raise WorkError(
                    f"workers of an earlier run are still busy in {root}",
                    hint="wait until they have ended, or stop them, and run again",
                )
            time.sleep(0.05)


def take(descriptor: int, kind: int, *, wait: bool = False) -> bool:
    """Take an advisory lock; False where another has it and it is not waited for.

    Raises MissingDependency on a system without such locks.
    """
    try:
        fcntl = import_module("fcntl")
    except ImportError:
        raise MissingDependency(
            "this system has no advisory locks for files", hint=SYSTEMS
        ) from None
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
