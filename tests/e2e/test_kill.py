"""Real processes over fake stages, killed at random moments, then the same command again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes import Bench

TESTS = Path(__file__).resolve().parents[1]
SHOTS = 12
FILM = "".join(f"{10 * i} {10 * i + 10}\n" for i in range(SHOTS))
DUB = "".join(f"{10 * i}:word {i}\n" for i in range(SHOTS))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path / "film", film=FILM, dub=DUB)
    bench.trouble(faces="0.05", timing="0.02", generate="0.15", stitch="0.2")
    return bench


@contextmanager
def started(bench: Bench, jobs: int = 2) -> Iterator[subprocess.Popen[bytes]]:
    """The fake pipeline as a process of its own; it and its workers are one group."""
    with (bench.folder / "stderr.txt").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, str(TESTS / "fakes.py"), str(bench.folder), str(jobs)],
            env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
            stderr=errors,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if not group_is_gone(process.pid):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(event: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not event():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def published(bench: Bench) -> dict[Path, int]:
    found = bench.job.work.glob("*-*/*/*/receipt.json")
    return {path: path.stat().st_mtime_ns for path in found}


def inside_generate(bench: Bench) -> bool:
    timing = list(bench.job.work.glob("dub-*/timing/*/receipt.json"))
    return len(timing) == SHOTS and len(bench.scratch()) == 2


def kill_at_random(bench: Bench, chance: random.Random) -> bool:
    """Start, kill -9 the parent alone at some moment; says whether it was too late."""
    with started(bench) as process:
        wait_for(lambda: (bench.job.work / "lock").exists() or process.poll() is not None)
        try:
            process.wait(chance.uniform(0.0, 4.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            wait_for(lambda: group_is_gone(process.pid), 15)  # no worker lingers
            return False
        return process.returncode == 0


@pytest.mark.slow
def test_killed_at_any_moment_a_run_goes_on_to_the_same_film(bench: Bench, tmp_path: Path) -> None:
    plain = Bench(tmp_path / "plain", film=FILM, dub=DUB)
    plain.run()
    chance, kills, finished = random.Random(7), 0, False
    while not finished and kills < 6:
        before = published(bench)
        finished = kill_at_random(bench, chance)
        kills += not finished
        after = published(bench)
        assert {path: after.get(path) for path in before} == before  # nothing was done twice
        manifest = bench.job.work / "manifest.json"
        assert not manifest.exists() or json.loads(manifest.read_text())["version"] == 1
    bench.run()
    after = published(bench)
    assert {path: after[path] for path in before} == before
    assert kills > 0
    assert bench.job.output.read_bytes() == plain.job.output.read_bytes()
    assert bench.scratch() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_130_and_leaves_nothing_behind(
    bench: Bench, number: signal.Signals
) -> None:
    bench.trouble(generate="60")
    with started(bench) as process:
        wait_for(lambda: inside_generate(bench))
        began = time.monotonic()
        if number is signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does: parent and workers
        else:
            process.send_signal(number)
        process.wait(30)
        assert process.returncode == 130
        assert time.monotonic() - began < 15
        wait_for(lambda: group_is_gone(process.pid), 15)
    errors = (bench.folder / "stderr.txt").read_text()
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    assert bench.scratch() == []


def test_a_second_process_in_the_same_folder_is_refused(bench: Bench) -> None:
    bench.trouble(generate="60")
    with started(bench) as first:
        wait_for(lambda: inside_generate(bench))
        with started(bench) as second:
            second.wait(60)
        assert second.returncode == 6
        assert f"in use by process {first.pid}" in (bench.folder / "stderr.txt").read_text()
        assert first.poll() is None
