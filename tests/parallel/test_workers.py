"""Many calls on many cores: streaming, order, crashes, stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from dubkit.errors import MissingDependency
from dubkit.parallel.scheduler import Call, JobSteps, Schedule, stream
from dubkit.parallel.workers import CPU, WorkerLost, open_workers, share_of_cores


def _square(number: int) -> int:
    return number * number


def _sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def _identify(_: int) -> int:
    return os.getpid()


def _threads(_: int) -> tuple[str | None, str | None]:
    return os.environ.get("OMP_NUM_THREADS"), os.environ.get("OPENCV_FOR_THREADS_NUM")


def _die_on_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _die_once(path: str) -> str:
    marker = Path(path)
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "second time"


def _divide(number: int) -> float:
    return 1 / number


@pytest.mark.parametrize(("jobs", "backend"), [(1, "loky"), (2, "loky"), (2, "threading")])
def test_all_results_come_with_the_index_of_their_task(jobs: int, backend: str) -> None:
    found = dict(stream(_square, range(6), jobs=jobs, backend=backend))
    assert found == {index: index * index for index in range(6)}


def test_of_a_killed_parent_nothing_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(
        "import math, os, signal\n"
        "from dubkit.parallel.workers import open_workers\n"
        "if __name__ == '__main__':\n"
        "    workers = open_workers(2)\n"
        "    for key in range(2):\n"
        "        workers.start(key, 'cpu', math.sqrt, 4.0)\n"
        "    while workers.running:\n"
        "        workers.wait(1)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, str(script)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, _ = parent.communicate(timeout=120)  # ends when workers and trackers have ended too
    assert parent.returncode == -signal.SIGKILL
    assert said == ""
    assert not list(Path("/dev/shm").glob(f"sem.loky-{parent.pid}-*"))


def test_no_tasks_no_results() -> None:
    assert list(stream(_square, [], jobs=2)) == []


def test_results_stream_as_they_finish() -> None:
    order = [index for index, _ in stream(_sleep, [1.5, 0.01], jobs=2)]
    assert order == [1, 0]


def test_one_job_stays_in_this_process_and_more_never_do() -> None:
    assert [result for _, result in stream(_identify, [0, 0], jobs=1)] == [os.getpid()] * 2
    assert os.getpid() not in [result for _, result in stream(_identify, [0], jobs=2)]


_kept: list[bytearray] = []


def _grow(megabytes: int) -> int:
    _kept.append(bytearray(b"x") * (megabytes << 20))
    return os.getpid()


def _in_turn(*megabytes: int) -> JobSteps[list[int]]:
    found = []
    for wanted in megabytes:
        answer = yield [Call(_grow, lambda _place, _cores, wanted=wanted: wanted)]  # type: ignore[misc]
        assert answer is not None
        found.append(answer.result)
        time.sleep(1.1)  # as often as loky looks at its workers' memory
    return found


def test_a_worker_that_loads_large_libraries_is_not_taken_for_leaking() -> None:
    schedule: Schedule[int, list[int]] = Schedule(open_workers(2))
    (ended,) = schedule.run([(0, _in_turn(1, 400, 1, 1))])
    assert len(set(ended.result)) == 1


def test_libraries_use_one_thread_in_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("OPENCV_FOR_THREADS_NUM", raising=False)
    assert dict(stream(_threads, [0, 0], jobs=2)) == {0: ("1", "1"), 1: ("1", "1")}
    assert "OPENCV_FOR_THREADS_NUM" not in os.environ


@pytest.mark.parametrize(
    ("sizes", "wide", "jobs", "shares"),
    [
        ([1500], 2, 2, [2]),  # one shot alone has all cores
        ([1500, 100, 50], 2, 2, [2, 2, 2]),  # so has one that outweighs the others
        ([50, 50, 50, 50], 2, 2, [1, 1, 1, 2]),  # the last one would leave a core idle
        ([0, 1500], 2, 2, [1, 2]),  # sound has no frames
        ([50, 50, 50], 16, 1, [16, 16, 16]),  # one device, many cores to feed it
    ],
)
def test_idle_cores_go_to_the_tasks_that_need_them(
    sizes: list[int], wide: int, jobs: int, shares: list[int]
) -> None:
    left = [sum(sizes[i:]) for i in range(len(sizes))]
    found = [share_of_cores(size, rest, wide, jobs) for size, rest in zip(sizes, left, strict=True)]
    assert found == shares


def test_a_worker_that_dies_costs_only_its_own_task() -> None:
    found = dict(stream(_die_on_three, range(5), jobs=2))
    assert isinstance(found.pop(3), WorkerLost)
    assert found == {0: 0, 1: 1, 2: 2, 4: 4}


def test_a_worker_that_died_once_is_forgiven(tmp_path: Path) -> None:
    marker = str(tmp_path / "died")
    assert dict(stream(_die_once, [marker], jobs=2)) == {0: "second time"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bug_passes_through(jobs: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(stream(_divide, [1, 0, 2], jobs=jobs))


def test_stopping_early_ends_the_workers_soon() -> None:
    results = stream(_sleep, [0.01, 60.0, 60.0], jobs=2)
    assert next(results) == (0, 0.01)
    began = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("used", [False, True])
def test_a_worker_that_is_killed_before_its_call_begins_leaves_no_error(used: bool) -> None:
    for _ in range(4):
        workers = open_workers(2)
        if used:
            workers.start("first", CPU, _square, 2)
            assert workers.wait(None)
        workers.start("second", CPU, _square, 3)
        workers.close(kill=True)


def _warm(folder: str, seconds: float) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(seconds)


def _fail() -> None:
    raise ValueError


@pytest.mark.parametrize("jobs", [2, 3])
def test_workers_that_were_warmed_up_do_the_first_tasks(jobs: int, tmp_path: Path) -> None:
    workers = open_workers(jobs)
    for _ in range(2):  # the second time there are some
        workers.warm_up(partial(_warm, str(tmp_path), 0.0))
    for key in range(2):
        workers.start(key, CPU, _identify, key)
    found: list[int] = []
    while workers.running:
        found += [future.result() for _, future in workers.wait(None)]
    workers.close(kill=False)
    assert {str(number) for number in found} == {path.name for path in tmp_path.iterdir()}
    assert len(set(found)) == 2


def _close_while_warming(folder: Path, *, kill: bool) -> None:
    """Workers end soon that would warm up for a minute; each leaves its number in ``folder``."""
    workers = open_workers(2)
    workers.warm_up(partial(_warm, str(folder), 60.0))
    while not list(folder.iterdir()):
        time.sleep(0.05)
    began = time.monotonic()
    workers.close(kill=kill)
    assert time.monotonic() - began < 20


def test_workers_end_where_the_system_has_no_tool_that_lists_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as in slim images: no pgrep
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    _close_while_warming(tmp_path, kill=True)
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)


def test_a_warming_up_that_fails_or_goes_on_harms_nothing(tmp_path: Path) -> None:
    workers = open_workers(2)
    workers.warm_up(_fail)
    workers.start("key", CPU, _square, 3)
    ((key, future),) = workers.wait(None)
    assert (key, future.result()) == ("key", 9)
    workers.close(kill=False)
    _close_while_warming(tmp_path, kill=False)


def test_a_backend_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "dubkit.parallel.dask", raising=False)
    with pytest.raises(MissingDependency, match="dask backend needs distributed") as caught:
        list(stream(_square, [1], jobs=2, backend="dask"))
    assert caught.value.hint == "pip install 'dubkit[dask]'"
