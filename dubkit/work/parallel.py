"""Many calls of one function on as many cores, results as they come. The only user of joblib.

Workers ignore Ctrl-C (the parent decides) and die soon after their parent. Libraries use one thread in
them: a task that may use more cores starts threads itself, and results depend on none of it. A worker that
dies hard takes nothing with it but its own tasks.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from dubkit.errors import ConfigError, MissingDependency

Task = TypeVar("Task")
Result = TypeVar("Result")

LOKY = "loky"
WATCH_SECONDS = 0.5  # how often a worker looks whether its parent lives


class WorkerLost(Exception):  # noqa: N818 - a value that takes the place of a result
    """A worker died while it held a task, twice: killed, or crashed in native code."""


def cores() -> int:
    """Cores that this process may use (affinity and container limits counted)."""
    return int(joblib.cpu_count())


def share_cores(sizes: Sequence[int], wide: int, jobs: int) -> list[int]:
    """How many of ``wide`` cores each task may keep busy, in the order in which they start.

    As many as its size is of what is left, so that the last task, or one that outweighs all the others,
    does not leave cores idle; tasks of size 0 get one.
    """
    left, shares = sum(sizes), []
    for size in sizes:
        shares.append(max(1, wide // jobs, math.ceil(wide * size / left)) if size else 1)
        left -= size
    return shares


def stream(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    backend: str = LOKY,
) -> Iterator[tuple[int, Result | WorkerLost]]:
    """``function(task)`` for all tasks; yields (index of the task, result) as they finish.

    Tasks start in their order. With one job all happens in this process; with more, never, not even
    a single task. Exceptions of ``function`` pass through; after a worker's death its tasks are
    tried once more, each alone.
    """
    left = dict(enumerate(tasks))
    while left:
        try:
            for index, result in _pool(function, left, jobs, backend):
                del left[index]
                yield index, result
        except TerminatedWorkerError:
            for index in list(left)[:jobs]:  # tasks start in order: these were in their hands
                yield index, _alone(function, index, left.pop(index))


def _alone(function: Callable[[Task], Result], index: int, task: Task) -> Result | WorkerLost:
    try:
        return next(result for _, result in _pool(function, {index: task}, 2, LOKY))
    except TerminatedWorkerError:
        return WorkerLost("its worker died, twice")


def _pool(
    function: Callable[[Task], Result], tasks: dict[int, Task], jobs: int, backend: str
) -> Iterator[tuple[int, Result]]:
    calls = [joblib.delayed(_call)(function, index, task) for index, task in tasks.items()]
    busy = min(jobs, len(calls))
    with _backend(backend), _opencv_threads(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(worker stopped|tasks which were still).*")
        width = min(jobs, busy + 1)  # one task alone still gets a process of its own
        pool = joblib.Parallel(n_jobs=width, return_as="generator_unordered", batch_size=1)
        results = pool(calls)
        try:
            yield from results
        finally:
            results.close()


@contextmanager
def _backend(name: str) -> Iterator[None]:
    options: dict[str, Any] = {}
    if name == LOKY:
        options = {"initializer": _prepare_worker, "initargs": (os.getpid(),)}
        if "OMP_NUM_THREADS" not in os.environ:
            options["inner_max_num_threads"] = 1
    try:
        context = joblib.parallel_config(backend=name, **options)
    except ImportError:
        raise MissingDependency(
            f"the {name} backend is not installed", hint=f"pip install 'dubkit[{name}]'"
        ) from None
    except ValueError as error:
        raise ConfigError(
            f"the {name} backend cannot be used: {error}", hint="start its cluster first"
        ) from error
    with context:
        yield


@contextmanager
def _opencv_threads() -> Iterator[None]:
    """New workers see one thread in OpenCV's variable, which joblib leaves out."""
    name = "OPENCV_FOR_THREADS_NUM"
    if name in os.environ:
        yield
        return
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name, None)


def _call(function: Callable[[Task], Result], index: int, task: Task) -> tuple[int, Result]:
    return index, function(task)


def _prepare_worker(parent: int) -> None:
    """What a worker does first: leave Ctrl-C to its parent, and watch that it lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)
