"""Where calls run: in this process, in threads, or in processes of their own. The only user of joblib.

Every worker process is a pool of one, so that one that dies takes nothing with it but its own task, and it is known
which that was. Workers ignore Ctrl-C (the parent decides) and end soon after their parent. Libraries use one thread in
them: a task that may use more cores starts threads itself, and results do not depend on any of it.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any, Protocol, TypeVar

import joblib
from joblib.externals.loky import ProcessPoolExecutor, process_executor

from dubkit.errors import MissingDependency


class Stop:
    """While it is open, either signal raises KeyboardInterrupt in the main thread, and so does ``cancel`` once set.

    `held` defers that: work that others depend on is finished first. Signals arrive in the main thread only;
    ``cancel`` is looked at by `check`, in any.
    """

    def __init__(self, cancel: threading.Event | None = None) -> None:
        self.requested = False
        self.is_polled = cancel is not None
        self._cancel = cancel or threading.Event()
        self._held = 0

    @contextmanager
    def installed(self) -> Iterator[Stop]:
        """Handle both signals; the previous handlers are restored at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        numbers = [n for n in signals if signal.getsignal(n) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Defer interruption; a stop that was requested meanwhile counts at the next `check`."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def check(self) -> None:
        """Raise KeyboardInterrupt where a stop was requested."""
        if self.requested or self._cancel.is_set():
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if not self._held:
            raise KeyboardInterrupt


WATCH_SECONDS = 0.5  # how often a worker checks that its parent lives


@contextmanager
def shield_children() -> Iterator[None]:
    """Block Ctrl-C in processes that are started meanwhile, until they call `follow_parent`.

    A terminal sends it to them as well, and a Python that is still loading answers with a traceback. In this process
    it takes effect afterward.
    """
    resource_tracker.ensure_running()  # else it is started with the first of them, and unblocks at its end
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_parent(parent: int) -> None:
    """In a worker: ignore Ctrl-C, and end soon after process ``parent`` does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


Argument = TypeVar("Argument")
Result = TypeVar("Result")

LOKY = "loky"
CPU = "cpu"
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
    ),
    "1",
)


_WARM = (
    2  # workers that are started before there is work for them: even little work keeps so many busy
)
DISPATCH_SECONDS = 5.0  # a call is passed on in milliseconds, unless the worker is broken
# loky's tracker removes the semaphores of a killed process, and would list each by name on stderr
_TRACKER_WARNING = "ignore:resource_tracker:UserWarning"


class WorkerLost(Exception):  # noqa: N818 - a value that takes the place of a result
    """A worker died each time it held a task: killed, or crashed in native code."""


def cores() -> int:
    """Cores that this process may use (affinity and container limits counted)."""
    return int(joblib.cpu_count())


def share_of_cores(size: int, left: int, wide: int, jobs: int) -> int:
    """The number of cores, of ``wide``, for a task of this size; ``left`` is the size of it and all that wait.

    In proportion to its size, so that the last task, or one that outweighs all the others, does not leave cores
    idle; a task of size 0 gets one.
    """
    return max(1, wide // jobs, math.ceil(wide * size / left)) if size else 1


class Workers(Protocol):
    """Places where functions run, each with room for so many at once."""

    cores: int  # that all tasks of this machine share
    is_local: bool  # whether this process may run a task itself when there is only one

    def room(self, place: str) -> int:
        """The number of tasks that run at once in a place."""

    def idle(self, places: Sequence[str]) -> str | None:
        """The first of the places that could start something now."""

    def start(
        self, key: Hashable, place: str, function: Callable[[Argument], Result], argument: Argument
    ) -> None:
        """Begin ``function(argument)`` in an idle place."""

    def warm_up(self, function: Callable[[], object]) -> None:
        """Let workers get ready for what comes, beside what this process does meanwhile."""

    @property
    def is_warm(self) -> bool:
        """Whether a worker waits that has loaded libraries, which this process would have to load for a task."""

    @property
    def running(self) -> int:
        """The number of tasks started and not yet returned by `wait`."""

    def wait(self, seconds: float | None) -> list[tuple[Hashable, futures.Future[Any]]]:
        """The tasks that ended, after at most ``seconds``; a worker that died raises `WorkerLost` from its future."""

    def close(self, *, kill: bool) -> None:
        """End all workers; with ``kill`` without waiting for their tasks."""


class LocalWorkers:
    """The bookkeeping that workers of this machine share: which task runs where.

    The CPU has room for as many as there are jobs, every other device for one.
    """

    is_local = True

    def __init__(self, jobs: int) -> None:
        self.cores = jobs
        self._busy: Counter[str] = Counter()
        self._held: dict[futures.Future[Any], tuple[Hashable, str, futures.Executor | None]] = {}

    @property
    def running(self) -> int:
        return len(self._held)

    def room(self, place: str) -> int:
        return self.cores if place == CPU else 1

    def idle(self, places: Sequence[str]) -> str | None:
        return next((p for p in places if self._busy[p] < self.room(p)), None)

    def warm_up(self, function: Callable[[], object]) -> None:
        """Nothing has to be loaded where work is done in this process."""

    @property
    def is_warm(self) -> bool:
        return False

    def wait(self, seconds: float | None) -> list[tuple[Hashable, futures.Future[Any]]]:
        if not self._held:
            time.sleep(seconds or 0.0)
        ended, _ = futures.wait(self._held, seconds, futures.FIRST_COMPLETED)
        return [(self._release(future), future) for future in ended]

    def _record(
        self,
        key: Hashable,
        place: str,
        future: futures.Future[Any],
        worker: futures.Executor | None = None,
    ) -> None:
        self._busy[place] += 1
        self._held[future] = (key, place, worker)

    def _release(self, future: futures.Future[Any]) -> Hashable:
        key, place, worker = self._held.pop(future)
        self._busy[place] -= 1
        if worker is not None:
            self._give_back(place, worker, dead=is_lost(future))
        return key

    def _give_back(self, place: str, worker: futures.Executor, *, dead: bool) -> None:
        """Keep a worker for the next task."""


class InProcess(LocalWorkers):
    """No workers: this process runs one task at a time."""

    def __init__(self) -> None:
        super().__init__(1)

    def idle(self, places: Sequence[str]) -> str | None:
        return None if self._held else places[0]

    def start(
        self, key: Hashable, place: str, function: Callable[[Argument], Result], argument: Argument
    ) -> None:
        self._record(key, place, run_here(function, argument))

    def close(self, *, kill: bool) -> None:
        """Nothing is open."""


class Threads(LocalWorkers):
    """Threads of this process, for work that releases Python's lock."""

    def __init__(self, jobs: int) -> None:
        super().__init__(jobs)
        self._pools: dict[str, futures.ThreadPoolExecutor] = {}

    def start(
        self, key: Hashable, place: str, function: Callable[[Argument], Result], argument: Argument
    ) -> None:
        if place not in self._pools:
            self._pools[place] = futures.ThreadPoolExecutor(self.room(place))
        self._record(key, place, self._pools[place].submit(function, argument))

    def close(self, *, kill: bool) -> None:
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)


class Processes(LocalWorkers):
    """Processes of their own: as many as ``jobs`` for the CPU, and one for each device.

    They are started when there is work for them and kept; each device belongs to one of them.
    """

    def __init__(self, jobs: int) -> None:
        super().__init__(jobs)
        if _TRACKER_WARNING not in sys.warnoptions:  # handed on to Pythons that are started
            sys.warnoptions.append(_TRACKER_WARNING)
        self._resting: dict[str, list[ProcessPoolExecutor]] = defaultdict(list)
        self._all: list[ProcessPoolExecutor] = []
        self._warming: dict[ProcessPoolExecutor, futures.Future[object]] = {}

    def warm_up(self, function: Callable[[], object]) -> None:
        """Start the first workers, unless there are some: what they load takes longer than little work does."""
        if self._all:
            return
        for _ in range(min(self.cores, _WARM)):
            worker = self._new()
            with shield_children():
                self._warming[worker] = worker.submit(function)
            self._resting[CPU].append(worker)

    @property
    def is_warm(self) -> bool:
        return any(
            worker not in self._warming or self._warming[worker].done()
            for worker in self._resting[CPU]
        )

    def start(
        self, key: Hashable, place: str, function: Callable[[Argument], Result], argument: Argument
    ) -> None:
        while self._resting[place]:
            worker = self._resting[place].pop()
            with suppress(futures.BrokenExecutor):  # it died at rest: nothing is lost
                self._record(key, place, worker.submit(function, argument), worker)
                return
            self._discard(worker)
        worker = self._new()
        with shield_children():
            future = worker.submit(function, argument)
        self._record(key, place, future, worker)

    def close(self, *, kill: bool) -> None:
        if not self._all:
            return
        with futures.ThreadPoolExecutor(len(self._all)) as side_by_side:
            for worker in self._all:
                warming = worker in self._warming and not self._warming[worker].done()
                side_by_side.submit(_shut_down, worker, kill=kill or warming)

    def _new(self) -> ProcessPoolExecutor:
        threads = {} if "OMP_NUM_THREADS" in os.environ else _ONE_THREAD
        worker = ProcessPoolExecutor(
            1,
            initializer=_prepare_worker,
            initargs=(os.getpid(),),
            env={name: os.environ.get(name, one) for name, one in threads.items()},
        )
        self._all.append(worker)
        return worker

    def _give_back(self, place: str, worker: futures.Executor, *, dead: bool) -> None:
        assert isinstance(worker, ProcessPoolExecutor)
        if dead:
            self._discard(worker)
        else:
            self._resting[place].append(worker)

    def _discard(self, worker: ProcessPoolExecutor) -> None:
        worker.shutdown(wait=False)
        self._all.remove(worker)


def _shut_down(worker: ProcessPoolExecutor, *, kill: bool) -> None:
    """End a worker; loky's thread fails on a call that it has not passed on when the worker is killed."""
    patience = time.monotonic() + DISPATCH_SECONDS
    while kill and not worker._work_ids.empty() and time.monotonic() < patience:
        time.sleep(0.001)
    worker.shutdown(wait=True, kill_workers=kill)


def open_workers(jobs: int, backend: str = LOKY, scheduler: str | None = None) -> Workers:
    """Workers of the kind that a backend names; with one job, this process.

    Raises MissingDependency for Dask where it is not installed, WorkError where its scheduler is not reached.
    """
    if backend == "dask":
        return _open_cluster(jobs, scheduler)
    if jobs == 1:
        return InProcess()
    return Threads(jobs) if backend == "threading" else Processes(jobs)


def _open_cluster(jobs: int, scheduler: str | None) -> Workers:
    try:
        cluster = import_module("dubkit.parallel.dask")
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"the dask backend needs {error.name}, which is not installed",
            hint="pip install 'dubkit[dask]'",
        ) from None
    workers: Workers = cluster.Cluster(jobs, scheduler)
    return workers


def run_here(function: Callable[[Argument], Result], argument: Argument) -> futures.Future[Result]:
    """The future of a function called in this process; it holds the error too, except for a stop."""
    future: futures.Future[Result] = futures.Future()
    try:
        future.set_result(function(argument))
    except Exception as error:
        future.set_exception(error)
    return future


def is_lost(future: futures.Future[Any]) -> bool:
    """Whether the worker died rather than the task failed."""
    return isinstance(future.exception(), (futures.BrokenExecutor, WorkerLost))


def _prepare_worker(parent: int) -> None:
    """Initialize a worker: ignore Ctrl-C, end with the parent, and do not end early.

    Loky takes the first use of torch for a leak and would end the worker, with a warning.
    """
    process_executor._MAX_MEMORY_LEAK_SIZE = sys.maxsize
    follow_parent(parent)


Item = TypeVar("Item")

AHEAD = 2  # items taken beyond one a thread, so that none waits for the next


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """``function(item)`` for every item, in order; with one thread, in this one.

    An error of ``function`` is raised where its result would be; items are taken by this thread only.
    """
    if threads < 2:
        yield from map(function, items)
        return
    waiting: deque[futures.Future[Result]] = deque()
    with futures.ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= threads + AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
