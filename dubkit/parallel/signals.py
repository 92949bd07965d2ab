"""Ctrl-C and SIGTERM: both stop a run in order, at a moment when its manifest can be written."""

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

    `held` defers that: work that others depend on is finished first. In another thread than the main one it does
    nothing, since signals do not arrive there.
    """

    def __init__(self) -> None:
        self.requested = False
        self._held = 0

    @contextmanager
    def installed(self) -> Iterator[Stop]:
        """Handle both signals; the previous handlers are restored at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        numbers = [n for n in signals if signal.getsignal(n) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Defer interruption; a stop that was requested meanwhile counts at the next `check`."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def check(self) -> None:
        """Raise KeyboardInterrupt where a stop was requested."""
        if self.requested:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if not self._held:
            raise KeyboardInterrupt


WATCH_SECONDS = 0.5  # how often a worker checks that its parent lives


@contextmanager
def shield_children() -> Iterator[None]:
    """Block Ctrl-C in processes that are started meanwhile, until they call `follow_parent`.

    A terminal sends it to them as well, and a Python that is still loading answers with a traceback. In this process
    it takes effect afterward.
    """
    resource_tracker.ensure_running()  # else it is started with the first of them, and unblocks at its end
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_parent(parent: int) -> None:
    """In a worker: ignore Ctrl-C, and end soon after process ``parent`` does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)
