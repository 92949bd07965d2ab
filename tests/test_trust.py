"""What a run believes: of its inputs while it works, of its folder after a crash, of a folder in use."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from dubkit.errors import InputError, OutputError
from dubkit.work.lock import LOCK, hold
from tests.fakes import Bench, Recorder

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "film")


def cut_off(bench: Bench) -> None:
    """Leave the folder as a killed run or a power cut does: with its name in the lock."""
    (bench.job.work / LOCK).write_text("process 1 on somewhere\n")


def part(bench: Bench) -> Path:
    return sorted(bench.job.work.glob("dub-*/generate/*/part.txt"))[1]


def test_a_film_that_is_replaced_during_a_run_is_noticed_and_nothing_of_it_is_kept(
    bench: Bench,
) -> None:
    bench.trouble(faces="replace")
    with pytest.raises(InputError, match="changed during the run"):
        bench.run()
    assert not list(bench.job.work.glob("*/faces/*/receipt.json"))
    assert bench.scratch() == []
    bench.trouble()
    assert bench.run().exit_code == 0


def test_a_film_that_is_replaced_between_runs_is_noticed_although_size_and_time_are_the_same(
    bench: Bench,
) -> None:
    bench.run()
    bench.counts()
    facts = bench.job.audio.stat()
    bench.job.audio.write_text(bench.job.audio.read_text().replace("e", "a"))
    os.utime(bench.job.audio, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    bench.run()
    assert "speech/job" in bench.counts()
    assert bench.job.audio.read_text() in bench.job.output.read_text()


@pytest.mark.parametrize("content", [None, b""], ids=["zeroed", "truncated"])
def test_after_a_crash_a_damaged_file_costs_its_unit_and_no_other(
    bench: Bench, content: bytes | None
) -> None:
    bench.run()
    bench.counts()
    before = bench.job.output.read_bytes()
    bench.job.output.unlink()
    path = part(bench)
    path.write_bytes(bytes(path.stat().st_size) if content is None else content)
    cut_off(bench)
    told = Recorder()
    bench.run(progress=told)
    assert bench.counts() == [f"generate/{path.parent.name}"]
    assert bench.job.output.read_bytes() == before
    assert any("ended abruptly" in note and path.parent.name in note for note in told.notes)


def test_a_run_that_came_to_its_end_is_believed_without_reading_its_work_again(
    bench: Bench,
) -> None:
    bench.run()
    told = Recorder()
    bench.run(progress=told)
    assert (bench.job.work / LOCK).read_text() == ""
    assert not any("ended abruptly" in note for note in told.notes)


def test_another_command_in_a_folder_does_not_hide_that_its_last_run_was_cut_off(
    bench: Bench,
) -> None:
    bench.run()
    cut_off(bench)
    with hold(bench.job.work):
        pass
    told = Recorder()
    bench.run(progress=told)
    assert any("ended abruptly" in note for note in told.notes)


@pytest.mark.parametrize("years", [-30, 30])
def test_a_clock_that_jumps_makes_no_finished_work_old(bench: Bench, years: int) -> None:
    bench.run(until="timing")
    bench.counts()
    then = time.time() + years * 365.25 * 86400
    for path in [bench.job.work, *bench.job.work.rglob("*")]:
        os.utime(path, (then, then))
    assert bench.run().exit_code == 0
    assert {line.split("/")[0] for line in bench.counts()} == {"generate", "stitch"}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A folder as a disk that may not be written: for root, only a mount says no."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounts need root")
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("until", ["probe", "faces", "generate"])
def test_a_folder_that_became_read_only_is_one_sentence_and_goes_on_later(
    bench: Bench, until: str
) -> None:
    bench.run(until=until)
    with locked(bench.job.work), pytest.raises(OutputError, match="Read-only file system"):
        bench.run()
    done = bench.counts()
    bench.run()
    assert not {line.split("/")[0] for line in done} & {
        line.split("/")[0] for line in bench.counts()
    }
    with locked(bench.folder), pytest.raises(OutputError, match="Read-only file system"):
        bench.run(force=("stitch",))


def _hold(root: Path, ready: Event, seconds: float) -> None:
    with hold(root):
        ready.set()
        time.sleep(seconds)


def test_a_run_that_is_to_wait_goes_on_when_the_folder_is_free(bench: Bench) -> None:
    bench.run()
    ready = SPAWN.Event()
    other = SPAWN.Process(target=_hold, args=(bench.job.work, ready, 1.0))
    other.start()
    try:
        assert ready.wait(60)
        told = Recorder()
        assert bench.run(progress=told, wait=True).exit_code == 0
        assert [note for note in told.notes if "in use by process" in note and "waiting" in note]
    finally:
        other.kill()
        other.join()
