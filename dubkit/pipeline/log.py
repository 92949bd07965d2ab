"""``run.log`` in a work folder: what was reported of a job, and every program that was started for it, with times.

For people who look for what went wrong. It is appended to by the parent and by its workers, never read by
dubkit, and changes no result; where it cannot be written, the run goes on. At a run's start an old one of more than
`MOST_BYTES` moves to ``run.log.1``; one run adds at most that much again for each process.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dubkit.work.folder import LOG

if TYPE_CHECKING:
    from dubkit.progress import Progress, ShotNames

MOST_BYTES = 2_000_000


def rotate(work: Path) -> None:
    """Move a log that has grown large out of the way."""
    with suppress(OSError):
        if (work / LOG).stat().st_size > MOST_BYTES:
            (work / LOG).replace(work / f"{LOG}.1")


def write(work: Path, text: str) -> None:
    """Append a line; a log that is full, or cannot be written, takes none."""
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} [{os.getpid()}] {text}\n"
    with suppress(OSError), (work / LOG).open("a", encoding="utf-8", errors="replace") as stream:
        if stream.tell() < 2 * MOST_BYTES:
            stream.write(line)


class Logged:
    """A progress that also keeps what it passes on; warnings ``told`` before are not shown again."""

    def __init__(self, work: Path, progress: Progress, told: Collection[str] = ()) -> None:
        self._work = work
        self._progress = progress
        self._told = told

    def plan(self, stage: str, units: int, current: int, frames: int) -> None:
        write(self._work, f"{stage}: {units} units, {current} done earlier, {frames} frames to do")
        self._progress.plan(stage, units, current, frames)

    def advance(
        self, stage: str, unit: str, frames: int, seconds: float, error: str | None
    ) -> None:
        ended = f"failed: {error}" if error else f"{frames} frames in {seconds:.3f} s"
        write(self._work, f"{stage} {unit}: {ended}")
        self._progress.advance(stage, unit, frames, seconds, error)

    def watch(self, frames: Callable[[], Mapping[str, int]]) -> None:
        self._progress.watch(frames)

    def name_shots(self, names: ShotNames) -> None:
        self._progress.name_shots(names)

    def note(self, message: str) -> None:
        write(self._work, f"note: {message}")
        if message not in self._told:
            self._progress.note(message)

    def warn(self, message: str) -> None:
        write(self._work, f"warning: {message}")
        if message not in self._told:
            self._progress.warn(message)


@contextmanager
def programs(work: Path, unit: str) -> Iterator[None]:
    """Keep the arguments of every program that this thread starts meanwhile."""
    logger = logging.getLogger("dubkit.media.process")
    handler = _ToFile(work, unit, threading.get_ident())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _ToFile(logging.Handler):
    def __init__(self, work: Path, unit: str, thread: int) -> None:
        super().__init__(logging.DEBUG)
        self._work, self._unit, self._thread = work, unit, thread

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            write(self._work, f"{self._unit}: {record.getMessage()}")
