"""One queue for the work of many jobs.

A job is a generator, its *steps*: it yields calls when they are ready, is sent each answer as it arrives, and returns
its result::

    def steps():
        answer = yield [call, another]   # both are queued; the first answer of either
        answer = yield []                # the other's
        return "done"

A job is written as if it had the machine for itself. Where it has no call under way and yields none, it waits for
something outside and is polled. The schedule starts jobs one after another while workers could run out of calls, and
gives an idle worker the most urgent call of all jobs: one that a whole job waits for, then the longest. A job that
fails ends alone.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Generic, TypeVar

from dubkit.parallel import workers as pool

Key = TypeVar("Key")
Task = TypeVar("Task")
Result = TypeVar("Result")

POLL_SECONDS = 0.2  # how often a job that waits for something outside is polled
MOST_OPEN = 16  # jobs at once, beyond one for each worker: bounds memory


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call for a worker: ``function(make(place, cores))`` in any of the places."""

    function: Callable[[Any], Any]
    make: Callable[[str, int], Any]
    size: int = 0  # frames of picture
    whole: bool = False  # its whole job waits for it
    places: tuple[str, ...] = (pool.CPU,)
    warm_up: Callable[[], object] | None = None  # readies a worker for what the job will call next


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a call, or `WorkerLost`."""

    call: Call
    result: Any


JobSteps = Generator[Sequence[Call], Answer | None, Result]


@dataclass(frozen=True, slots=True)
class Ended(Generic[Key, Result]):
    """A job that ended, with the value it returned or with an error; `result` raises the error."""

    key: Key
    value: Result | None
    error: Exception | None = None

    @property
    def result(self) -> Result:
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


@dataclass(slots=True, eq=False)
class _Open(Generic[Key]):
    key: Key
    steps: JobSteps[Any]
    under_way: int = 0


@dataclass(slots=True)
class _Queue:
    """Calls for the same places, the most urgent first."""

    heap: list[tuple[bool, int, int, Call]] = field(default_factory=list)
    left: int = 0  # sum of the sizes

    def push(self, call: Call, number: int) -> None:
        heapq.heappush(self.heap, (not call.whole, -call.size, number, call))
        self.left += call.size

    def pop(self) -> tuple[Call, int]:
        """The next call, and the sum of the sizes with it."""
        call, left = heapq.heappop(self.heap)[-1], self.left
        self.left -= call.size
        return call, left

    def drop(self, gone: Callable[[Call], bool]) -> None:
        self.heap = [entry for entry in self.heap if not gone(entry[-1])]
        heapq.heapify(self.heap)
        self.left = sum(entry[-1].size for entry in self.heap)


class Schedule(Generic[Key, Result]):
    """Runs jobs on workers, which are closed at its end."""

    def __init__(
        self, workers: pool.Workers, stop: pool.Stop | None = None, most_open: int = MOST_OPEN
    ):
        self._workers = workers
        self._stop = stop or pool.Stop()
        self._most_open = most_open
        self._queues: dict[tuple[str, ...], _Queue] = {}
        self._open: list[_Open[Key]] = []
        self._polled: list[_Open[Key]] = []
        self._owners: dict[Call, _Open[Key]] = {}
        self._deaths: dict[Call, int] = {}
        self._undisturbed: list[Call] = []  # whose workers died twice beside others
        self._ended: deque[Ended[Key, Result]] = deque()
        self._numbers = count()
        self._more = True

    def run(
        self, jobs: Iterable[tuple[Key, JobSteps[Result]]]
    ) -> Generator[Ended[Key, Result], None, None]:
        """Run all jobs; yields each when it ends. Closing the generator stops the work where it is."""
        source = iter(jobs)
        whole = False
        try:
            while self._more or self._open:
                self._start()
                if self._more and self._wants_more():
                    self._open_next(source)
                elif not self._ended:
                    self._collect()
                while self._ended:
                    yield self._ended.popleft()
            whole = True
        finally:
            with self._stop.held():
                self._workers.close(kill=not whole)
                for entry in self._open:
                    entry.steps.close()

    def _ready(self) -> int:
        return sum(len(queue.heap) for queue in self._queues.values())

    def _wants_more(self) -> bool:
        room = self._workers.room(pool.CPU)
        return self._ready() < room and len(self._open) < self._most_open + room

    def _open_next(self, source: Iterator[tuple[Key, JobSteps[Result]]]) -> None:
        entry = next(source, None)
        if entry is None:
            self._more = False
            return
        opened = _Open(*entry)
        self._open.append(opened)
        self._step(opened, lambda: next(opened.steps))

    def _start(self) -> None:
        """Give idle workers what is ready."""
        for places, queue in self._queues.items():
            while queue.heap and (place := self._workers.idle(places)):
                only = self._is_only(queue.heap[0][-1])
                if only and self._more and self._wants_more():
                    return  # first see whether another job adds calls
                call, left = queue.pop()
                if only and not self._more and not self._workers.is_warm:
                    if call.warm_up is not None:
                        self._workers.warm_up(call.warm_up)
                    argument = call.make(place, self._workers.cores)
                    self._settle(call, pool.run_here(call.function, argument))
                    return
                self._start_call(call, place, left, alone=only and not self._more)
        if self._undisturbed and not self._workers.running:
            call = self._undisturbed.pop()
            place = self._workers.idle(call.places)
            if place:
                self._start_call(call, place, call.size)

    def _is_only(self, call: Call) -> bool:
        """Whether nothing can be done beside it: the one call there is, and a whole job waits for it."""
        alone = self._workers.is_local and not self._workers.running and self._ready() == 1
        return alone and call.whole

    def _start_call(self, call: Call, place: str, left: int, *, alone: bool = False) -> None:
        cores, jobs = self._workers.cores, sum(self._workers.room(p) for p in call.places)
        share = cores if alone else pool.share_of_cores(call.size, left, cores, jobs)
        self._workers.start(call, place, call.function, call.make(place, share))

    def _collect(self) -> None:
        """Wait until a call ends, or until waiting jobs are to be polled."""
        patient = not (self._polled or self._stop.is_polled)
        ended = self._workers.wait(None if patient else POLL_SECONDS)
        if not ended:
            self._stop.check()
        for call, future in ended:
            assert isinstance(call, Call)
            self._settle(call, future)
        polled, self._polled = self._polled, []
        for entry in polled:
            self._step(entry, partial(entry.steps.send, None))

    def _settle(self, call: Call, future: Future[Any]) -> None:
        entry = self._owners.get(call)
        if entry is None:  # its job failed meanwhile
            return
        if pool.is_lost(future) and self._retry(call):
            return
        del self._owners[call]
        entry.under_way -= 1
        error = None if pool.is_lost(future) else future.exception()
        if error is not None:
            self._step(entry, lambda: entry.steps.throw(error))
            return
        answer = Answer(call, pool.WorkerLost() if pool.is_lost(future) else future.result())
        self._step(entry, lambda: entry.steps.send(answer))

    def _retry(self, call: Call) -> bool:
        """Queue a call whose worker died again: at once, then while nothing else runs; false after the third death."""
        deaths = self._deaths[call] = self._deaths.get(call, 0) + 1
        if deaths == 1:
            self._queue(call).push(call, next(self._numbers))
        elif deaths == 2:
            self._undisturbed.append(call)
        return deaths < 3

    def _step(self, entry: _Open[Key], move: Callable[[], Sequence[Call]]) -> None:
        """Resume a job until it yields its next calls, or ends."""
        try:
            # while its workers run, a stop must not come between an answer and the manifest
            with self._stop.held() if entry.under_way else nullcontext():
                calls = move()
        except StopIteration as end:
            self._end(entry, Ended(entry.key, end.value))
        except Exception as error:
            self._stop.check()
            self._end(entry, Ended(entry.key, None, error))
        else:
            self._stop.check()
            for call in calls:
                self._owners[call] = entry
                self._queue(call).push(call, next(self._numbers))
            entry.under_way += len(calls)
            if not entry.under_way:
                self._polled.append(entry)

    def _end(self, entry: _Open[Key], ended: Ended[Key, Result]) -> None:
        self._open.remove(entry)
        if entry.under_way:
            for call in [call for call, owner in self._owners.items() if owner is entry]:
                del self._owners[call]
            for queue in self._queues.values():
                queue.drop(lambda call: call not in self._owners)
            self._undisturbed = [call for call in self._undisturbed if call in self._owners]
        self._ended.append(ended)

    def _queue(self, call: Call) -> _Queue:
        return self._queues.setdefault(call.places, _Queue())


def stream(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    backend: str = pool.LOKY,
) -> Iterator[tuple[int, Result | pool.WorkerLost]]:
    """``function(task)`` for all tasks; yields (index of the task, result) as they finish.

    Tasks start in their order. With one job all happens in this process; with more, never, not even
    a single task. Exceptions of ``function`` pass through.
    """

    def alone(task: Task) -> JobSteps[Result | pool.WorkerLost]:
        answer = yield [Call(function, lambda place, cores: task)]
        assert answer is not None
        result: Result | pool.WorkerLost = answer.result
        return result

    if not tasks:
        return
    schedule: Schedule[int, Result | pool.WorkerLost] = Schedule(pool.open_workers(jobs, backend))
    with closing(schedule.run((i, alone(task)) for i, task in enumerate(tasks))) as ended:
        for job in ended:
            yield job.key, job.result
