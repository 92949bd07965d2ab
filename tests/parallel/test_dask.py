"""Dask, with a scheduler and workers that are processes of their own."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from dubkit.config.schema import Config
from dubkit.errors import WorkError
from dubkit.parallel import dask
from dubkit.parallel.scheduler import Call, JobSteps, Schedule
from dubkit.parallel.workers import open_workers
from tests.fakes import Bench
from tests.torture.cluster import cluster as running_cluster

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler with two workers on this machine."""
    with running_cluster(tmp_path_factory.mktemp("dask")) as found:
        yield found.address


def _config(scheduler: str | None) -> Config:
    backend = "dask" if scheduler else "loky"
    wanted = {"device": "cpu", "jobs": 2, "backend": backend, "scheduler": scheduler}
    return Config.model_validate({"parallel": wanted})


def _pid(_: object) -> int:
    return os.getpid()


def _die_once(marker: str) -> int:
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def _all(*calls: Call) -> JobSteps[list[Any]]:
    results = []
    fresh: tuple[Call, ...] = calls
    for _ in calls:
        answer = yield fresh
        fresh = ()
        assert answer is not None
        results.append(answer.result)
    return results


def _call(function: Any, argument: object) -> Call:
    return Call(function, lambda place, cores: argument, size=1)


def test_a_film_made_by_a_cluster_is_the_film_made_here(address: str, tmp_path: Path) -> None:
    here = Bench(tmp_path / "here", config=_config(None))
    there = Bench(tmp_path / "there", config=_config(address))
    assert here.run().exit_code == there.run().exit_code == 0
    assert here.job.output.read_bytes() == there.job.output.read_bytes()
    assert sorted(here.counts()) == sorted(there.counts())
    assert there.scratch() == []


def test_a_worker_that_is_killed_costs_only_what_it_had_in_hand(
    address: str, tmp_path: Path
) -> None:
    schedule: Schedule[int, list[Any]] = Schedule(open_workers(2, "dask", address))
    calls = [_call(_die_once, str(tmp_path / "died")), *(_call(_pid, n) for n in range(6))]
    (ended,) = schedule.run([(0, _all(*calls))])
    assert len(ended.result) == 7
    assert all(isinstance(pid, int) and pid != os.getpid() for pid in ended.result)


@contextmanager
def _sharing(address: str, bench: Bench) -> Iterator[set[int]]:
    """The two workers' processes; the first that is inside ``generate`` with the other is killed."""
    with Client(address) as client:
        pids = set(client.run(os.getpid).values())
    assert len(pids) == 2
    killed: set[int] = set()

    def kill_one() -> None:
        while len(list(bench.job.work.glob("scratch/*"))) < 2 or not _all_timed(bench):
            time.sleep(0.01)
        killed.add(min(pids))
        os.kill(min(pids), signal.SIGKILL)

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    yield killed
    thread.join(60)


def _all_timed(bench: Bench) -> bool:
    return len(list(bench.job.work.glob("dub-*/timing/*/receipt.json"))) == 4


def test_a_worker_killed_amid_a_film_costs_its_own_shots_and_no_other(
    address: str, tmp_path: Path
) -> None:
    here = Bench(tmp_path / "here", config=_config(None))
    here.run()
    there = Bench(tmp_path / "there", config=_config(address))
    there.trouble(generate="1.0")
    with _sharing(address, there) as killed:
        assert there.run().exit_code == 0
    assert killed
    assert here.job.output.read_bytes() == there.job.output.read_bytes()
    assert sorted(there.counts()) == sorted(here.counts())  # a shot counts when it is finished
    assert there.scratch() == []


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts need root")
def test_a_worker_that_does_not_see_the_folder_says_so_and_leaves_the_work_whole(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path / "film")
    masked = f"mount -t tmpfs tmpfs {shlex.quote(str(bench.folder))} && exec "
    with running_cluster(tmp_path, workers=1, prefix=masked) as blind:
        bench.config = _config(blind.address)
        with pytest.raises(WorkError, match="does not see the work folder") as caught:
            bench.run()
    assert "same folders under the same paths" in str(caught.value.hint)
    assert bench.counts() == []
    bench.config = _config(None)
    assert bench.run().exit_code == 0


def test_a_failed_shot_fails_as_it_does_here(address: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "film", config=_config(address))
    bench.trouble(**{"generate/0000050-0000090": "fail"})
    with pytest.raises(Exception, match="does not like this picture"):
        bench.run()


def test_workers_with_other_versions_are_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dict(dask.equipment())
    monkeypatch.setattr(dask, "equipment", lambda: {**known, "torch": "1.0"})
    with pytest.raises(WorkError, match=r"worker tcp.* has torch .* this process 1\.0") as caught:
        open_workers(2, "dask", address)
    assert "same versions" in str(caught.value.hint)


def test_a_scheduler_that_does_not_answer_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "ANSWER_SECONDS", 1.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    bench = Bench(tmp_path / "film", config=_config(nobody))
    with pytest.raises(WorkError, match=f"no Dask scheduler answers at {nobody}") as caught:
        bench.run()
    assert "dask scheduler" in str(caught.value.hint)
    assert not bench.job.work.exists()


def test_without_a_scheduler_a_cluster_of_its_own_is_started(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "film", config=_config("x"))
    parallel = bench.config.parallel.model_copy(update={"scheduler": None})
    bench.config = bench.config.model_copy(update={"parallel": parallel})
    assert bench.run().exit_code == 0


def test_workers_that_all_vanish_are_waited_for_and_then_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dask, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(dask, "RETURN_SECONDS", 1.0)
    with LocalCluster(1, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1") as own:
        workers = open_workers(1, "dask", own.scheduler_address)
        own.scale(0)
        own.sync(own._correct_state)
        schedule: Schedule[int, list[Any]] = Schedule(workers)
        with pytest.raises(WorkError, match="are gone, and none came back in 1 s") as caught:
            list(schedule.run([(0, _all(_call(_pid, 0)))]))
    assert "dask worker" in str(caught.value.hint)
    assert [r.message for r in caplog.records if "waiting for one to join" in r.message]


def test_a_worker_that_joins_after_all_have_vanished_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dask, "CHECK_SECONDS", 0.2)
    with LocalCluster(1, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1") as own:
        workers = open_workers(1, "dask", own.scheduler_address)
        own.scale(0)
        own.sync(own._correct_state)
        workers.start("call", "cpu", _pid, 0)
        assert workers.wait(1.0) == []
        own.scale(1)
        ((key, future),) = workers.wait(None)
        assert key == "call"
        assert isinstance(future.result(), int)
        workers.close(kill=False)
