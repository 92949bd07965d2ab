"""Ctrl-C and SIGTERM: both stop a run in order, at a moment when its book can be kept."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
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


WATCH_SECONDS = 0.5  # how often a worker looks whether its parent lives


@contextmanager
def children_unheard() -> Iterator[None]:
    """Keep Ctrl-C from processes begun meanwhile until they leave it to their parent (`leave_to_parent`).

    A terminal sends it to them as well, and a Python that is still loading answers with a traceback. For this
    process it counts afterward.
    """
    resource_tracker.ensure_running()  # else it is begun with the first of them, and unblocks at its end
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_to_parent(parent: int) -> None:
    """In a worker: ignore Ctrl-C, and end soon after process ``parent`` has."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)
