"""Prepare footage for training: from a folder of videos to a set that trainings read.

Two kinds of units run side by side in workers: a *look* at every file (`training.analyse`), then a *cut* of every
piece of it (`training.clips`). The parent publishes their files, then notes the unit as done, so a run that is
killed at any moment goes on where it was. Only the parent writes ``set.json``.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from dubkit.config.schema import Config
from dubkit.errors import InputError, Interrupted, WorkError
from dubkit.progress import Progress
from dubkit.training.dataset import BOOK, CLIPS, LABELS, Book, read_book
from dubkit.training.footage import find_sources
from dubkit.training.prepare_units import Preparation
from dubkit.training.receipts import (
    DIGESTS,
    DONE,
    SCRATCH,
    prune,
)
from dubkit.work.folder import explain
from dubkit.work.lock import ATTEND, LOCK, hold

_OURS = {BOOK, CLIPS, LABELS, DONE, SCRATCH, DIGESTS, LOCK, ATTEND}


@dataclass(frozen=True, slots=True)
class PrepareResult:
    """What a set holds now."""

    root: Path
    book: Book
    seconds: float  # of footage in its clips
    held_out: str | None  # a sentence where nobody, or nobody else, is held out
    done: int  # units done by this run
    units: int
    frames: int  # looked at in this run
    spent: float  # seconds


def prepare(folder: Path, out: Path, config: Config, progress: Progress) -> PrepareResult:
    """Prepare a folder of videos; the same call goes on where an earlier one stopped.

    Raises `DubkitError`: nothing to prepare, a folder that is not ours or in use, a full disk; `Interrupted`
    after Ctrl-C.
    """
    began = time.monotonic()
    _check_out(out)
    wanted = config.train.prepare
    sources, forbidden = find_sources(folder, out, research=wanted.research, stills=wanted.stills)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with hold(out):
            run = Preparation(folder, out, config, progress, sources, forbidden)
            try:
                run.do_all()
            finally:
                run.save()
            return _finish(run, time.monotonic() - began)
    except OSError as error:
        raise explain(error, out) from error
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped; finished clips are kept", hint="the same command goes on from there"
        ) from None


def _check_out(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise WorkError(f"{out} is a file, not a folder", hint="give another folder as OUT")
    strangers = sorted(p.name for p in out.iterdir() if p.name not in _OURS and p.name[0] != ".")
    if read_book(out) is None and strangers and not (out / DONE).is_dir():
        raise WorkError(
            f"{out} is no prepared set: it holds {strangers[0]}", hint="give an empty or new folder"
        )


def _finish(run: Preparation, spent: float) -> PrepareResult:
    """Clear away what nothing speaks of, and sum up. Raises `InputError` where no clip was kept."""
    book, held_out = run.book()
    prune(run.out, run.keys, {CLIPS: book.clips, LABELS: book.labels})
    if not book.clips and not book.labels:
        common = Counter(book.refused.values()).most_common(1)[0][0]
        raise InputError(
            f"none of the {len(book.refused)} videos can be learnt from; mostly: {common}",
            hint=f"{run.out / BOOK} holds the reason for each",
        )
    seconds = sum(facts.frames / facts.rate for facts in book.clips.values() if facts.frames > 1)
    return PrepareResult(
        run.out, book, seconds, held_out, run.done, len(run.keys), run.frames, spent
    )
