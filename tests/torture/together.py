"""Two runs in one folder at once, and locks that take their time, as those of file systems over a network do."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from tests.torture.kills import PATIENCE, Outcome, await_stage
from tests.torture.processes import ROOT, Trial, start
from tests.torture.work_folders import Case, faults, finished

_IN_USE = 6
# what Python runs first in every process of a trial: each lock is waited for
_SLOW = """
import fcntl, random, time
for name in ("flock", "lockf"):
    def slow(*words, _real=getattr(fcntl, name)):
        time.sleep(random.uniform(0, 0.8))
        return _real(*words)
    setattr(fcntl, name, slow)
"""


def two_at_once(case: Case, folder: Path, number: int, seed: int) -> Outcome:
    """The same command twice: one makes the film, the other says in a sentence that the folder is in use."""
    chance = random.Random(seed * 100_003 + number)
    stage = ["start", *case.stages][number % (1 + len(case.stages))]
    case.lay(folder, stage)
    slow = number % 2 == 1
    surroundings = _slow_locks(folder) if slow else {}
    words = case.words(folder, jobs=2)
    first = start(words, folder / "log", surroundings)
    time.sleep(chance.choice((0.0, 0.05, chance.uniform(0, 3))))
    second = start(words, folder / "log" / "second", surroundings)
    await_stage(first, stage)
    codes = [trial.wait(PATIENCE) for trial in (first, second)]
    outcome = Outcome(f"two runs{', slow locks' if slow else ''}", stage, True, codes[0])
    for trial, code in zip((first, second), codes, strict=True):
        outcome.faults += _said(trial, code, case.code)
        outcome.faults += [f"still alive: {line}" for line in trial.left_over()]
    if not any(code == case.code for code in codes):
        outcome.faults.append(f"neither made the film: {codes}")
    elif (folder / "film.mp4").read_bytes() != case.film:
        outcome.faults.append("the film is another one")
    shutil.rmtree(folder / "early", ignore_errors=True)
    before = finished(folder / "work")
    outcome.finished = len(before)
    outcome.faults += faults(case, folder, before, case.run(folder))
    if not outcome.faults:
        shutil.rmtree(folder)
    return outcome


def _slow_locks(folder: Path) -> dict[str, str]:
    early = folder / "early"
    early.mkdir(parents=True)
    (early / "sitecustomize.py").write_text(_SLOW, encoding="utf-8")
    return {"PYTHONPATH": f"{early}:{ROOT}"}


def _said(trial: Trial, code: int | None, good: int) -> list[str]:
    if code is None:
        return [f"no end: {trial.tell_stacks()}"]
    found = ["a traceback was shown"] if "Traceback" in trial.err() else []
    if code not in (good, _IN_USE):
        found.append(f"it ended with {code}: {trial.err()[-500:]}")
    if code == _IN_USE and trial.err().count("error: ") != 1:
        found.append(f"not one sentence: {trial.err()[-500:]}")
    return found
