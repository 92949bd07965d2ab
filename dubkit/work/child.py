"""Worker processes and their parent: Ctrl-C is the parent's to answer, and no worker outlives it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

WATCH_SECONDS = 0.5  # how often a worker looks whether its parent lives


@contextmanager
def children_unheard() -> Iterator[None]:
    """Keep Ctrl-C from processes begun meanwhile until they leave it to their parent (`leave_to_parent`).

    A terminal sends it to them as well, and a Python that is still loading answers with a traceback. For this
    process it counts afterwards.
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
