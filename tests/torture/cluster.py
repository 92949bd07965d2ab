"""A Dask scheduler with workers on this machine, and one of them killed amid a film."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.torture.kills import PATIENCE, Outcome, await_stage, strike
from tests.torture.processes import MARK, ROOT, command_line, marked
from tests.torture.work_folders import Case, faults, finished

STAGES = ("faces", "timing", "generate", "gate")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where it is reached, and the mark of its processes."""

    address: str
    mark: str

    def workers(self) -> list[int]:
        """The processes that do the work; each has a nanny that starts another in its place."""
        return [pid for pid in marked(self.mark) if "spawn_main" in command_line(pid)]


@contextmanager
def cluster(folder: Path, workers: int = 2, prefix: str = "") -> Iterator[Cluster]:
    """A scheduler with workers; a ``prefix`` is what their shell does first, in mounts of its own."""
    file = folder / "scheduler.json"
    mark = uuid.uuid4().hex
    local = ("--no-dashboard", "--host", "127.0.0.1")
    places = ("--local-directory", str(folder), "--nthreads", "1", "--nworkers", str(workers))
    started = [
        _dask(mark, "", "scheduler", "--port", "0", "--scheduler-file", str(file), *local),
        _dask(mark, prefix, "worker", "--scheduler-file", str(file), *places, *local),
    ]
    try:
        deadline = time.monotonic() + 120
        while not file.is_file():
            assert time.monotonic() < deadline, "no scheduler came up"
            time.sleep(0.1)
        yield Cluster(json.loads(file.read_text())["address"], mark)
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(60)


def _dask(mark: str, prefix: str, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", f"distributed.cli.dask_{program}", *arguments]
    if prefix:
        argv = ["unshare", "--mount", "sh", "-c", prefix + shlex.join(argv)]
    return subprocess.Popen(
        argv,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'parallel'}", MARK: mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )


def kill_worker(case: Case, folder: Path, number: int, seed: int) -> Outcome:
    """Trial ``number``: a worker of a cluster is killed in a stage; the run itself is to go on to its end."""
    chance = random.Random(seed * 100_003 + number)
    stage = STAGES[number % len(STAGES)]
    case.lay(folder, stage)
    before = finished(folder / "work")
    (folder / "log").mkdir(parents=True, exist_ok=True)
    with cluster(folder / "log") as there:
        trial = case.start(folder, "--scheduler", there.address)
        await_stage(trial, stage)
        time.sleep(chance.uniform(0, case.seconds[stage]))
        hit = trial.process.poll() is None and strike([chance.choice(there.workers())])
        code = trial.wait(PATIENCE)
    outcome = Outcome("kill -9 dask worker", stage, hit, code, len(before))
    outcome.faults += faults(case, folder, before, trial)
    outcome.faults += [f"still alive: {line}" for line in trial.left_over()]
    if not outcome.faults:
        shutil.rmtree(folder)
    return outcome
