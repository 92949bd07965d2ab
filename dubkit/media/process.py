"""Start programs: the one place that imports ``subprocess``.

Arguments are always lists, never a shell's. A program gets no terminal to read from, sits in a process
group of its own and is ended when the run is interrupted; on Linux the kernel ends it when its parent
is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import imageio_ffmpeg

from dubkit.errors import DubkitError, MissingDependency, OutputError, ToolError

log = logging.getLogger(__name__)

TAIL_LINES = 12
_PR_SET_PDEATHSIG = 1


@cache
def find_program(name: str) -> Path:
    """Path of a program: the system's own, else (for ffmpeg) the one that imageio-ffmpeg carries.

    Raises `MissingDependency` where there is none.
    """
    found = shutil.which(name)
    if found is None and name == "ffmpeg":
        try:
            found = imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError:
            log.debug("imageio-ffmpeg has no binary for this machine")
    if found is None:
        raise MissingDependency(
            f"the program {name} is not installed",
            hint=f"install {name} with the system's package manager, or: pip install imageio-ffmpeg",
        )
    return Path(found)


@cache
def program_version(name: str) -> str:
    """First line of ``name -version``; for ffmpeg its version word alone."""
    words = (
        run([str(find_program(name)), "-version"]).decode(errors="replace").splitlines()[0].split()
    )
    return words[2] if words[1:2] == ["version"] else " ".join(words)


def run(argv: Sequence[str], *, stdin: bytes | None = None, messages: bool = False) -> bytes:
    """Run a program to its end and return its standard output, or its ``messages`` (stderr).

    Raises `ToolError` with the command, its code and the end of its stderr; `OutputError` where the
    disk is full; `MissingDependency` where the program is gone. An interruption ends the program.
    """
    log.debug("run %s", list(argv))
    with contextlib.ExitStack() as start:
        start.enter_context(_signals_deferred())
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=_dies_with_parent(),
            )
        except FileNotFoundError as error:
            raise MissingDependency(f"the program {argv[0]} is not installed") from error
        except OSError as error:
            raise ToolError(f"{argv[0]} cannot be started: {error.strerror}") from error
        try:
            start.close()
            stdout, stderr = process.communicate(stdin)
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        raise _failure(argv, process.returncode, stderr.decode(errors="replace"))
    return stderr if messages else stdout


@contextlib.contextmanager
def _signals_deferred() -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM at its end only, where this is the main thread, which handles them.

    What a handler raises during a fork is lost: it may be called inside a hook of `os.register_at_fork`, whose
    exceptions Python prints and ignores, or before the program is known and can be ended. A signal mask is not enough,
    since any other thread may receive the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, lambda number, _: received.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def _failure(argv: Sequence[str], code: int, stderr: str) -> DubkitError:
    name = Path(argv[0]).name
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    tail = "; ".join(lines[-TAIL_LINES:])
    if os.strerror(errno.ENOSPC) in stderr:
        return OutputError(
            f"the disk is full: {name} could not write its output",
            hint="free some space and run the same command again",
        )
    return ToolError(
        f"{name} failed with code {code}: {tail}", hint="the command was: " + " ".join(argv)
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _dies_with_parent() -> Callable[[], None] | None:
    """What the child does before it becomes the program: ask Linux to end it with its parent."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask
