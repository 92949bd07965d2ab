"""One process at a time in a work folder."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from dubkit.errors import WorkError
from dubkit.work.lock import attend, hold, holder, signature

SPAWN = multiprocessing.get_context("spawn")


def _hold(root: Path, ready: Event) -> None:
    with hold(root):
        ready.set()
        time.sleep(60)


def _attend(root: Path, ready: Event, seconds: float) -> None:
    with attend(root):
        ready.set()
        time.sleep(seconds)


def test_a_second_process_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    ready = SPAWN.Event()
    other = SPAWN.Process(target=_hold, args=(tmp_path, ready))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(WorkError, match=f"in use by process {other.pid} on ") as caught:
            hold(tmp_path).__enter__()
        assert "choose another folder" in str(caught.value.hint)
        assert str(other.pid) in str(holder(tmp_path))
        assert other.pid is not None
        os.kill(other.pid, signal.SIGKILL)
        other.join()
        with hold(tmp_path):
            assert str(os.getpid()) in str(holder(tmp_path))
    finally:
        other.kill()
        other.join()
    assert holder(tmp_path) is None


def test_a_run_waits_for_the_workers_of_a_killed_one(tmp_path: Path) -> None:
    ready = SPAWN.Event()
    worker = SPAWN.Process(target=_attend, args=(tmp_path, ready, 1.0))
    worker.start()
    try:
        assert ready.wait(30)
        with pytest.raises(WorkError, match="still busy"), hold(tmp_path, patience=0.1):
            pass
        with hold(tmp_path, patience=30):
            pass
    finally:
        worker.kill()
        worker.join()


def test_workers_share_a_folder(tmp_path: Path) -> None:
    with hold(tmp_path), attend(tmp_path), attend(tmp_path):
        assert holder(tmp_path) is not None


def test_a_folder_without_a_lock_is_free(tmp_path: Path) -> None:
    assert holder(tmp_path) is None


def test_a_worker_that_sees_another_folder_than_its_owner_does_nothing(tmp_path: Path) -> None:
    with hold(tmp_path):
        with attend(tmp_path, signature()):
            pass
        with pytest.raises(WorkError, match="does not see the work folder") as caught:
            attend(tmp_path, "process 1 on another machine\n").__enter__()
        assert "same folders under the same paths" in str(caught.value.hint)
    with pytest.raises(WorkError, match="does not see"):
        attend(tmp_path / "not mounted here", signature()).__enter__()


def test_without_advisory_locks_the_package_loads_and_a_sentence_says_so() -> None:
    """As on Windows, where there is no fcntl."""
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "import dubkit.pipeline.job, dubkit.batches, dubkit.cli.app, dubkit.weights.pull\n"
        "from dubkit.errors import MissingDependency\n"
        "from dubkit.work.lock import EXCLUSIVE, take\n"
        "try: take(0, EXCLUSIVE)\n"
        "except MissingDependency as error: print(error.message, error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "no advisory locks" in done.stdout
    assert "WSL" in done.stdout
