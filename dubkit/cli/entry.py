"""Where the ``dubkit`` command begins: from here on a stop ends it with one code, whenever it comes.

Ctrl-C and SIGTERM mean the same. While libraries are loaded, and once all is said, they end the process at once;
in between they raise KeyboardInterrupt, which commands answer in order. In its last moments, when Python has taken
handlers down, the process hears nothing any more. Loads nothing before it listens.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from importlib import import_module
from types import FrameType

from dubkit.errors import Interrupted

STOPPED = Interrupted(
    "Stopped; finished work is kept.", hint="run the same command again to go on where it stopped"
)
_NUMBERS = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    """Entry point of the console script."""
    _listen(_leave_with_a_word)
    atexit.register(_listen, signal.SIG_IGN)  # the first to be registered is the last to be called
    app = import_module("dubkit.cli.app").app
    try:
        try:
            _listen(_interrupt)
            app()
        finally:
            _listen(_leave)
    except KeyboardInterrupt:  # a second one, before the first was answered in full
        sys.exit(STOPPED.exit_code)


def _listen(handler: object) -> None:
    for number in _NUMBERS:
        if signal.getsignal(number) != signal.SIG_IGN:  # a job in the background of a shell
            signal.signal(number, handler)  # type: ignore[arg-type]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(STOPPED.exit_code)


def _leave_with_a_word(number: int, frame: FrameType | None) -> None:
    os.write(2, f"error: {STOPPED.message}\nhint: {STOPPED.hint}\n".encode())
    os._exit(STOPPED.exit_code)
