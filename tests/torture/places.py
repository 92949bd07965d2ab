"""Bad places: full disks and folders that may not be written (mounts of our own; needs root), jumping clocks."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.torture.kills import Outcome
from tests.torture.processes import run
from tests.torture.work_folders import Case, faults, finished, strangers


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system in memory of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill_disk(case: Case, folder: Path, stage: str) -> Outcome:
    """A disk that is full when ``stage`` begins; room is made, and the same command goes on."""
    with small_disk(folder, 64) as disk:
        case.lay(disk, stage)
        ballast = disk / "log" / "ballast"
        ballast.parent.mkdir()
        room = 4096 * (6 if stage in case.stages[1:] else 2)
        free = shutil.disk_usage(disk).free
        with ballast.open("wb") as file:
            file.write(bytes(max(0, free - room)))
        # what it says is kept elsewhere: on this disk there is no room for it
        trial = run(case.words(disk), folder.with_name(f"{folder.name}-log"))
        code = trial.process.returncode
        outcome = Outcome("disk full", stage, code not in (0, 10), code)
        outcome.faults += _refusal(code, trial.err(), (8, 6, 5), "full")
        outcome.faults += [f"still alive: {line}" for line in trial.left_over()]
        outcome.faults += [f"left behind: {n}" for n in strangers(disk) if n.startswith("scratch/")]
        before = finished(disk / "work")
        outcome.finished = len(before)
        ballast.unlink()
        outcome.faults += faults(case, disk, before, case.run(disk))
    return outcome


def forbid_writing(case: Case, folder: Path, stage: str) -> Outcome:
    """A work folder that became read-only; it is writable again for the second run."""
    with small_disk(folder, 64) as disk:
        case.lay(disk, stage)
        (disk / "log").mkdir()
        log = folder.with_name(f"{folder.name}-log")
        log.mkdir()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        code, said = _outside(case, disk, log)
        outcome = Outcome("read-only", stage, code not in (0, 10), code)
        outcome.faults += _refusal(code, said, (6, 8), "")
        before = finished(disk / "work")
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        outcome.faults += faults(case, disk, before, case.run(disk))
        shutil.rmtree(log)
    return outcome


def _outside(case: Case, disk: Path, log: Path) -> tuple[int, str]:
    """Run with the log elsewhere, since nothing can be written to the disk."""
    trial = run(case.words(disk), log)
    return trial.process.returncode, trial.err()


def _refusal(code: int | None, said: str, codes: tuple[int, ...], word: str) -> list[str]:
    found = []
    if code not in (0, 10, *codes):
        found.append(f"it ended with {code}: {said[-500:]}")
    if code not in (0, 10) and (
        "Traceback" in said or said.count("error: ") != 1 or word not in said
    ):
        found.append(f"not one sentence: {said[-800:]}")
    return found


def move_clock(case: Case, folder: Path, years: float) -> Outcome:
    """All that is half done seems to have been written ``years`` from now (or before)."""
    case.lay(folder, "generate")
    then = time.time() + years * 365.25 * 86400
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (then, then))
    before = finished(folder / "work")
    outcome = Outcome(f"clock {years:+g} years", "generate", True, None, len(before))
    outcome.faults += faults(case, folder, before, case.run(folder))
    if not outcome.faults:
        shutil.rmtree(folder)
    return outcome


TRIALS: dict[str, Callable[[Case, Path, str], Outcome]] = {
    "full": fill_disk,
    "read-only": forbid_writing,
}
