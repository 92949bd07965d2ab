"""One process at a time in a work folder, and no straggler of the one before it.

Two advisory locks that the system drops when their holder dies, however it dies: ``lock`` belongs
to the process that runs the job; ``attend.lock`` is shared by its workers while they hold a unit,
so that a run after ``kill -9`` waits for the last of them.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dubkit.errors import WorkError

LOCK = "lock"
ATTEND = "attend.lock"
PATIENCE = 15.0  # seconds that a new run waits for the workers of a killed one


@contextmanager
def hold(root: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Own a work folder. Raises WorkError that names the process which has it already."""
    with (root / LOCK).open("a+") as stream:
        if not _take(stream.fileno(), fcntl.LOCK_EX):
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            raise WorkError(
                f"the work folder {root} is in use by {holder}",
                hint="wait for it, stop it, or choose a folder of its own",
            )
        _wait_for_workers(root, patience)
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        stream.flush()
        yield


def holder(root: Path) -> str | None:
    """The process that owns a work folder now, as it introduced itself."""
    path = root / LOCK
    if not path.is_file():
        return None
    with path.open() as stream:
        if _take(stream.fileno(), fcntl.LOCK_SH):
            return None
        return stream.read().strip() or "another process"


@contextmanager
def attend(root: Path) -> Iterator[None]:
    """A worker's presence in a work folder."""
    with (root / ATTEND).open("a") as stream:
        fcntl.flock(stream.fileno(), fcntl.LOCK_SH)
        yield


def _wait_for_workers(root: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    with (root / ATTEND).open("a") as stream:
        while not _take(stream.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise WorkError(
                    f"workers of an earlier run are still busy in {root}",
                    hint="wait until they have ended, or end them, and start again",
                )
            time.sleep(0.05)


def _take(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
