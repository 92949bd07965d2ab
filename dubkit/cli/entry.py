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
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import FrameType

from dubkit.errors import STOPPED

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    """Entry point of the console script."""
    _listen(_leave_with_a_word)
    stopped: list[int] = []
    atexit.register(_end, stopped)  # the first to be registered is the last to be called
    command = import_module("dubkit.cli.app").command()
    try:
        try:
            _listen(_interrupt)
            command()
        finally:
            _listen(_leave)
    except KeyboardInterrupt:  # a second one, before the first was answered in full
        stopped.append(STOPPED.exit_code)
    except SystemExit as end:
        if end.code == STOPPED.exit_code:
            stopped.append(STOPPED.exit_code)
        raise


def _end(stopped: Sequence[int]) -> None:
    """The last that is called: from here on Python takes handlers down.

    A stopped process ends here: where Ctrl-C came inside ``exec``, ``python -m`` would kill itself by SIGINT in
    the end, although that was answered.
    """
    _listen(signal.SIG_IGN)
    if stopped:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(stopped[0])


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
