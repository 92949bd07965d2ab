"""Power cuts: a run is killed, what it wrote last is damaged, the same command is given again."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from tests.torture.kills import PATIENCE, Outcome, await_stage
from tests.torture.work_folders import Case, faults, finished, without

FILES = ("manifest.json", "receipt", "output", "config.json", "everything of the last unit")
HARMS = ("cut in half", "emptied", "zeroed")


def cut_power(case: Case, folder: Path, number: int, seed: int) -> Outcome:
    """Trial ``number``: kill all at some moment from ``generate`` on, then harm what was written last."""
    chance = random.Random(seed * 100_003 + number)
    what, harm = FILES[number % len(FILES)], HARMS[number // len(FILES) % len(HARMS)]
    stage = ("generate", "stitch", "timing")[number % 3]
    case.lay(folder, stage)
    trial = case.start(folder)
    await_stage(trial, stage)
    time.sleep(chance.uniform(0, case.seconds[stage]))
    hit = trial.process.poll() is None
    trial.end()
    trial.wait(PATIENCE)
    outcome = Outcome(f"{what} {harm}", stage, hit, trial.process.returncode)
    outcome.faults += [f"still alive: {line}" for line in trial.left_over()]
    before = finished(folder / "work")
    outcome.finished = len(before)
    lost = _harm(folder / "work", before, what, harm)
    (folder / "film.mp4").unlink(missing_ok=True)
    outcome.faults += faults(case, folder, without(before, lost), case.run(folder))
    if not outcome.faults:
        shutil.rmtree(folder)
    return outcome


def _harm(work: Path, units: dict[str, tuple[int, int]], what: str, harm: str) -> list[str]:
    """Do it; returns the units that are to be done again: the last one, or none."""
    last = max(units, key=lambda name: units[name][1]) if units else None
    if what in ("manifest.json", "config.json"):
        _spoil(work / what, harm)
        return []
    if last is None:
        return []
    folder = next(work.glob(f"*-*/{last}"))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if what == "receipt":
        files = [folder / "receipt.json"]
    elif what == "output":
        files = [path for path in files if path.name != "receipt.json"][:1]
    for path in files:
        _spoil(path, harm)
    return [last]


def _spoil(path: Path, harm: str) -> None:
    if not path.is_file():
        return
    data = path.read_bytes()
    path.write_bytes(
        {"cut in half": data[: len(data) // 2], "emptied": b""}.get(harm, bytes(len(data)))
    )
