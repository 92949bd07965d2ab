"""Ctrl-C and SIGTERM: both stop a run in order, at a moment when its book can be kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """While it is open, either signal raises KeyboardInterrupt in the main thread.

    `held` puts that off: work that others depend on is ended first. In another thread than the main one it
    does nothing, since signals do not arrive there.
    """

    def __init__(self) -> None:
        self.asked = False
        self._held = 0

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Hear both signals; the handlers before it are put back at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        wanted = (signal.SIGINT, signal.SIGTERM)
        numbers = [n for n in wanted if signal.getsignal(n) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._hear) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing be interrupted; what was asked meanwhile counts at the next `check`."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def check(self) -> None:
        """Raise KeyboardInterrupt where a stop was asked for."""
        if self.asked:
            raise KeyboardInterrupt

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if not self._held:
            raise KeyboardInterrupt
