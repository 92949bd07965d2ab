"""Kills and stops at random moments of all stages, then the same command again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.processes import Trial, catches, is_ffmpeg, is_worker
from tests.torture.work_folders import Case, faults, finished, strangers

VICTIMS = ("parent", "worker", "ffmpeg", "all")
STOPS = ("SIGINT once", "SIGINT twice", "SIGTERM once", "SIGTERM twice")
_WITH_WORKERS = ("faces", "timing", "generate")
PATIENCE = 600.0  # seconds for a run to its end, on a machine that others use as well
STOPPED = 120.0  # seconds for a run that was asked to stop, likewise


@dataclass
class Outcome:
    """One trial: what was done to a run, at which moment, and what was wrong afterward."""

    what: str
    moment: str
    hit: bool  # False: the run was over before it could be hit
    code: int | None  # of the run that was hit
    finished: int = 0  # units that were finished then
    faults: list[str] = field(default_factory=list)


def kill(case: Case, folder: Path, number: int, seed: int) -> Outcome:
    """Trial ``number``: another victim each time, another stage every fourth time."""
    chance = random.Random(seed * 100_003 + number)
    victim = VICTIMS[number % len(VICTIMS)]
    if victim == "ffmpeg":
        stage = "stitch"
    elif victim == "worker":
        stage = _WITH_WORKERS[number // len(VICTIMS) % len(_WITH_WORKERS)]
    else:
        stage = ["start", *case.stages][number // len(VICTIMS) % (1 + len(case.stages))]
    case.lay(folder, stage)
    trial = case.start(folder)
    await_stage(trial, stage)
    delay = chance.uniform(0, case.seconds.get(stage, 1.0))
    if victim != "ffmpeg":
        time.sleep(delay)
    hit = _hit(trial, victim, chance)
    code = trial.wait(PATIENCE)
    outcome = Outcome(f"kill -9 {victim}", stage, hit, code)
    outcome.faults += _endless(trial, code, PATIENCE)
    return _go_on(case, folder, trial, outcome)


def stop(case: Case, folder: Path, number: int, seed: int) -> Outcome:
    """The same with Ctrl-C (parent and workers get it, as from a terminal) and SIGTERM (the parent alone)."""
    chance = random.Random(seed * 100_003 + number)
    what = STOPS[number % len(STOPS)]
    stage = ["start", *case.stages][number // len(STOPS) % (1 + len(case.stages))]
    case.lay(folder, stage)
    trial = case.start(folder)
    await_stage(trial, stage)
    await_listening(trial)  # before that it is not dubkit yet that is stopped
    time.sleep(chance.uniform(0, case.seconds.get(stage, 1.0)))
    hit = trial.process.poll() is None
    send = os.killpg if what.startswith("SIGINT") else os.kill
    number_sent = signal.SIGINT if what.startswith("SIGINT") else signal.SIGTERM
    for pause in (0.0, chance.uniform(0, 0.3)) if what.endswith("twice") else (0.0,):
        time.sleep(pause)
        if trial.process.poll() is None:
            send(trial.process.pid, number_sent)
    code = trial.wait(STOPPED)
    outcome = Outcome(what, stage, hit, code)
    outcome.faults += _endless(trial, code, STOPPED)
    outcome.faults += _rudeness(trial, code, folder)
    return _go_on(case, folder, trial, outcome)


def _endless(trial: Trial, code: int | None, limit: float) -> list[str]:
    """A run that has not ended is a fault; what it is at lies in the file that is named."""
    return [] if code is not None else [f"no end within {limit:.0f} s: {trial.tell_stacks()}"]


def _rudeness(trial: Trial, code: int | None, folder: Path) -> list[str]:
    """A stopped run says so, ends with 130 and sweeps, unless it had made the film already."""
    found = []
    if code not in (0, 10, 130):
        found.append(f"the stopped run ended with {code}: {trial.err()[-600:]}")
    if "Traceback" in trial.err():
        found.append(f"a traceback: {trial.err()[-600:]}")
    if code == 130 and "error: " not in trial.err():
        found.append(f"it did not say that it was stopped: {trial.err()[-600:]}")
    return found + [f"left behind at once: {name}" for name in strangers(folder)]


def _go_on(case: Case, folder: Path, trial: Trial, outcome: Outcome) -> Outcome:
    outcome.faults += [f"still alive: {line}" for line in trial.left_over()]
    shared = [path.name for path in Path("/dev/shm").glob(f"*_{trial.process.pid}_*")]
    outcome.faults += [f"left in /dev/shm: {name}" for name in shared]
    before = finished(folder / "work")
    outcome.finished = len(before)
    went_on = trial.process.returncode in (0, 10)
    if went_on and (folder / "film.mp4").read_bytes() != case.film:
        outcome.faults.append("the film is another one")
    outcome.faults += faults(case, folder, before, case.run(folder))
    if not outcome.faults:
        shutil.rmtree(folder)
    return outcome


def await_stage(trial: Trial, stage: str) -> None:
    """Wait until a stage begins; "start" is the moment of the start."""
    deadline = time.monotonic() + PATIENCE
    while stage != "start" and trial.process.poll() is None and time.monotonic() < deadline:
        if f'"stage": "{stage}"' in trial.out():
            return
        time.sleep(0.005)


def await_listening(trial: Trial) -> None:
    """Wait until a run answers to SIGTERM."""
    deadline = time.monotonic() + PATIENCE
    while trial.process.poll() is None and time.monotonic() < deadline:
        if catches(trial.process.pid, signal.SIGTERM):
            return
        time.sleep(0.002)


def _hit(trial: Trial, victim: str, chance: random.Random) -> bool:
    if victim == "parent":
        return strike([trial.process.pid] if trial.process.poll() is None else [])
    if victim == "all":
        return strike(trial.family())
    wanted = is_worker if victim == "worker" else is_ffmpeg
    while trial.process.poll() is None:
        found = [pid for pid in trial.family() if wanted(pid)]
        if found:
            if victim == "ffmpeg":
                time.sleep(chance.uniform(0, 0.03))
            return strike([chance.choice(found)])
    return False


def strike(pids: Sequence[int]) -> bool:
    hit = False
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            hit = True
        except ProcessLookupError:
            continue
    return hit
