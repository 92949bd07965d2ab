"""Courses in one queue: who begins when, what ends alone, what a dead worker costs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dubkit.parallel.scheduler import Answer, Call, Ended, JobSteps, Schedule
from dubkit.parallel.workers import LocalWorkers, Processes, Stop, WorkerLost, open_workers


def _say(word: str) -> tuple[str, int]:
    return word, os.getpid()


def _slow(word: str) -> str:
    time.sleep(0.5)
    return word


def _fail(word: str) -> str:
    raise ValueError(word)


def _die(path: str) -> str:
    """Die as often as the file says, then answer with how often that was."""
    file = Path(path)
    left = int(file.read_text())
    if left:
        file.write_text(str(left - 1))
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def call(word: str, function: Callable[[Any], Any] = _say, **options: Any) -> Call:
    return Call(function, lambda place, cores: word, **options)


def in_rounds(*rounds: Sequence[Call]) -> JobSteps[list[Any]]:
    """A job that waits for the end of each round before the next."""
    results = []
    for calls in rounds:
        fresh: Sequence[Call] = calls
        for _ in calls:
            answer = yield fresh
            fresh = ()
            assert answer is not None
            results.append(answer.result)
    return results


class Inside(LocalWorkers):
    """Workers whose calls end only when the schedule waits, in the order in which they began."""

    is_local = False

    def __init__(self, jobs: int) -> None:
        super().__init__(jobs)
        self.begun: list[tuple[str, str, int]] = []

    def start(
        self, key: Hashable, place: str, function: Callable[[Any], Any], argument: Any
    ) -> None:
        self.begun.append((argument[0], place, argument[1]))
        future: Future[Any] = Future()
        future.set_result(argument[0])
        self._record(key, place, future)

    def wait(self, seconds: float | None) -> list[tuple[Hashable, Future[Any]]]:
        first = next(iter(self._held), None)
        return [] if first is None else [(self._release(first), first)]

    def close(self, *, kill: bool) -> None: ...


def plain(word: str, size: int = 0, **options: Any) -> Call:
    return Call(_say, lambda place, cores: (word, cores), size=size, **options)


def finish(
    workers: Any, jobs: Iterable[JobSteps[Any]], **options: Any
) -> dict[int, Ended[int, Any]]:
    schedule: Schedule[int, Any] = Schedule(workers, **options)
    return {ended.key: ended for ended in schedule.run(enumerate(jobs))}


def test_the_longest_call_of_all_jobs_begins_first_and_what_a_whole_job_waits_for_before() -> None:
    workers = Inside(1)
    first = in_rounds([plain("a5", 5), plain("a9", 9)])
    second = in_rounds([plain("b", whole=True), plain("b7", 7)])
    # one place: the second job is opened only once nothing of the first waits, so give two at once
    workers.cores = 2
    finish(workers, [first, second])
    assert [word for word, _, _ in workers.begun] == ["a9", "a5", "b", "b7"]
    workers = Inside(3)
    finish(
        workers, [in_rounds([plain("a5", 5)]), in_rounds([plain("b", whole=True), plain("b7", 7)])]
    )
    assert {word for word, _, _ in workers.begun} == {"a5", "b", "b7"}


def test_jobs_are_opened_only_as_workers_run_dry() -> None:
    opened: list[int] = []

    def jobs() -> Generator[JobSteps[Any], None, None]:
        for number in range(40):
            opened.append(number)
            yield in_rounds([plain(f"{number}", 5)])
            most.append(len(opened))

    most: list[int] = []
    ended: list[int] = []
    schedule: Schedule[int, Any] = Schedule(Inside(2))
    for entry in schedule.run(enumerate(jobs())):
        ended.append(entry.key)
        assert len(opened) - len(ended) <= 5
    assert ended == list(range(40))


def test_a_job_that_fails_ends_alone_and_nothing_of_it_is_begun_any_more() -> None:
    workers = Inside(1)

    def broken() -> JobSteps[None]:
        yield [plain("x1", 9), plain("x2", 8), plain("x3", 7)]
        raise RuntimeError("the book cannot be kept")

    ended = finish(workers, [broken(), in_rounds([plain("y", 1)])])
    with pytest.raises(RuntimeError, match="book"):
        _ = ended[0].result
    assert ended[1].result == ["y"]
    assert [word for word, _, _ in workers.begun] == ["x1", "y"]


def test_an_error_of_a_call_is_raised_inside_its_job_which_cleans_up() -> None:
    swept: list[str] = []

    def tidy() -> JobSteps[None]:
        try:
            yield [call("bad", _fail)]
        finally:
            swept.append("swept")

    ended = finish(open_workers(2), [tidy(), in_rounds([call("good")])])
    with pytest.raises(ValueError, match="bad"):
        _ = ended[0].result
    assert swept == ["swept"]
    assert ended[1].result[0][0] == "good"


def test_a_job_that_waits_for_something_outside_is_asked_again_and_blocks_no_other() -> None:
    open_door: list[bool] = []

    def waiting() -> JobSteps[str]:
        while not open_door:
            assert (yield ()) is None
        return "in"

    def opening() -> JobSteps[str]:
        yield [plain("key", 1)]
        open_door.append(True)
        return "open"

    ended = finish(Inside(1), [waiting(), opening()])
    assert [entry.result for entry in ended.values()] == ["open", "in"]


def test_each_device_has_one_worker_of_its_own_and_cpu_work_goes_on_beside(tmp_path: Path) -> None:
    places = ("cuda:0", "cuda:1")

    def on_gpu(number: int) -> Call:
        return Call(_where, lambda place, cores: (place, str(tmp_path)), size=number, places=places)

    def on_cpu() -> Call:
        return Call(_where, lambda place, cores: (place, str(tmp_path)), size=1)

    steps = in_rounds([*(on_gpu(n) for n in range(1, 7)), on_cpu(), on_cpu()])
    results = finish(Processes(2), [steps])[0].result
    by_place: dict[str, set[int]] = {}
    for place, process in results:
        by_place.setdefault(place, set()).add(process)
    assert {*by_place} == {"cuda:0", "cuda:1", "cpu"}
    assert len(by_place["cuda:0"]) == len(by_place["cuda:1"]) == 1
    assert not by_place["cuda:0"] & by_place["cuda:1"]


def _where(argument: tuple[str, str]) -> tuple[str, int]:
    place, folder = argument
    lock = Path(folder) / place.replace(":", "-")
    if place != "cpu":
        lock.mkdir()  # fails where two are on one device at once
    time.sleep(0.2)
    if place != "cpu":
        lock.rmdir()
    return place, os.getpid()


@pytest.mark.parametrize(("deaths", "result"), [(1, "alive"), (2, "alive"), (3, None)])
def test_a_worker_that_dies_is_forgiven_twice_and_costs_nobody_else(
    tmp_path: Path, deaths: int, result: str | None
) -> None:
    file = tmp_path / "left"
    file.write_text(str(deaths))
    others = [call(f"{n}", size=1) for n in range(6)]
    found = finish(open_workers(2), [in_rounds([call(str(file), _die)]), in_rounds(others)])
    (answer,) = found[0].result
    assert answer == result if result else isinstance(answer, WorkerLost)
    assert sorted(word for word, _ in found[1].result) == [f"{n}" for n in range(6)]
    assert file.read_text() == "0"


def test_a_worker_killed_at_rest_is_replaced() -> None:
    workers = open_workers(2)

    def killing() -> JobSteps[str]:
        answer = yield [call("first", size=1)]
        assert isinstance(answer, Answer)
        os.kill(answer.result[1], signal.SIGKILL)
        time.sleep(0.3)
        again = yield [call("second", size=1)]
        assert again is not None
        return str(again.result[0])

    assert finish(workers, [killing()])[0].result == "second"


def test_a_stop_while_calls_are_under_way_comes_after_the_answer_is_in_the_book() -> None:
    booked: list[str] = []
    closed: list[str] = []

    def keeping() -> JobSteps[None]:
        try:
            answer = yield [call("one", _slow, size=1), call("two", _slow, size=1)]
            signal.raise_signal(signal.SIGINT)
            assert answer is not None
            booked.append(answer.result)
            yield ()
        finally:
            closed.append("closed")

    with Stop().installed() as stop:
        schedule: Schedule[int, None] = Schedule(open_workers(2), stop)
        with pytest.raises(KeyboardInterrupt), closing(schedule.run([(0, keeping())])) as ended:
            list(ended)
    assert len(booked) == 1
    assert closed == ["closed"]


def test_no_worker_is_left_when_a_schedule_ends() -> None:
    (ended,) = Schedule[int, Any](open_workers(2)).run([(0, in_rounds([call("a"), call("b")]))])
    for _, process in ended.result:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
