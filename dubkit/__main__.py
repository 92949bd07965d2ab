"""Entry point of the ``dubkit`` command, also as ``python -m dubkit``: an interruption ends it with exit code 130.

Ctrl-C and SIGTERM mean the same. While libraries are loaded, and after the command has ended, they end the process at
once; in between they raise KeyboardInterrupt, which commands handle in order. In the last moments, when Python has
removed its handlers, they are ignored. Imports nothing heavy before its handlers are installed.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from threading import Timer, get_ident
from types import FrameType

from dubkit.errors import STOPPED

_NUMBERS = (signal.SIGINT, signal.SIGTERM)
_LATER = (
    0.02  # seconds after which a signal is raised again that came where Python drops what it raises
)


def main() -> None:
    """Entry point of the console script."""
    _handle_signals(_exit_with_message)
    stopped: list[int] = []
    atexit.register(_at_exit, stopped)  # the first to be registered is the last to be called
    command = import_module("dubkit.cli.app").command()
    try:
        try:
            _handle_signals(_raise_interrupt)
            command()
        finally:
            _handle_signals(_exit)
    except KeyboardInterrupt:  # a second one, before the first was handled
        stopped.append(STOPPED.exit_code)
    except SystemExit as end:
        if end.code == STOPPED.exit_code:
            stopped.append(STOPPED.exit_code)
        raise


def _at_exit(stopped: Sequence[int]) -> None:
    """Called last: from here on Python removes its handlers.

    An interrupted process ends here: after a Ctrl-C inside ``exec``, ``python -m`` would finally kill itself by
    SIGINT, although the interruption was handled.
    """
    _handle_signals(signal.SIG_IGN)
    if stopped:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(stopped[0])


def _handle_signals(handler: object) -> None:
    for number in _NUMBERS:
        if signal.getsignal(number) != signal.SIG_IGN:  # a job in the background of a shell
            signal.signal(number, handler)  # type: ignore[arg-type]


def _raise_interrupt(number: int, frame: FrameType | None) -> None:
    if _would_be_dropped(frame):
        Timer(_LATER, _signal_again, (get_ident(), number)).start()
    else:
        raise KeyboardInterrupt


def _signal_again(thread: int, number: int) -> None:
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:  # the thread may be waiting
        signal.pthread_kill(thread, number)


def _would_be_dropped(frame: FrameType | None) -> bool:
    """Whether Python prints what is raised here and goes on: in a finalizer, or where an import lets go of its lock."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_qualname == "_get_module_lock.<locals>.cb":
            return True
        frame = frame.f_back
    return False


def _exit(number: int, frame: FrameType | None) -> None:
    os._exit(STOPPED.exit_code)


def _exit_with_message(number: int, frame: FrameType | None) -> None:
    os.write(2, f"error: {STOPPED.message}\nhint: {STOPPED.hint}\n".encode())
    os._exit(STOPPED.exit_code)


if __name__ == "__main__":
    main()
