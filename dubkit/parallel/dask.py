"""Workers on other machines, through Dask. The only user of distributed.

Dask hands calls to its workers and repeats elsewhere what a dead worker was doing. What it does not know is that a
result must not depend on who made it: so every worker must have the same dubkit and the same libraries as this process,
and see the same folders (`lock.attend`).
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from distributed import Client, KilledWorker, LocalCluster

import dubkit
from dubkit.errors import ConfigError, WorkError
from dubkit.parallel.workers import WorkerLost
from dubkit.version import __version__
from dubkit.work.store import digest_file, digest_value

Argument = TypeVar("Argument")
Result = TypeVar("Result")

ANSWER_SECONDS = 10.0  # wait for a scheduler to answer
WORKER_SECONDS = 30.0  # wait for the first worker
CHECK_SECONDS = 2.0  # between two counts of the workers
RETURN_SECONDS = 300.0  # wait for a worker when all are gone
log = logging.getLogger(__name__)

START = "start one with: dask scheduler; and on each machine: dask worker tcp://HOST:8786 --nthreads 1 --nworkers N"
_DECIDING = ("torch", "numpy", "av", "opencv-python-headless", "safetensors", "pocketsphinx")


class Cluster:
    """The workers of a Dask scheduler: that of ``address``, or one of its own with ``jobs`` processes."""

    cores = 1  # Dask counts threads; a task of ours takes one
    is_local = False
    is_warm = False

    def warm_up(self, function: Callable[[], object]) -> None:
        """Workers of a cluster are there before the run."""

    def __init__(self, jobs: int, address: str | None) -> None:
        logging.getLogger("distributed").setLevel(logging.ERROR)
        self._where = address or "this machine"
        self._own = None if address else _start_own(jobs)
        self._client = _connect(address if address else self._own)
        self._held: dict[Future[Any], Hashable] = {}
        self._counted = (0, 0.0)  # threads, when
        self._empty_since: float | None = None  # since when there is no worker
        self._pool = self._client.get_executor(pure=False)
        try:
            self._check_workers()
        except BaseException:
            self.close(kill=True)
            raise

    @property
    def running(self) -> int:
        return len(self._held)

    def room(self, place: str) -> int:
        return max(1, self._count())

    def idle(self, places: Sequence[str]) -> str | None:
        # one ahead for each worker, so that none waits for this process
        return places[0] if self.running < 2 * self.room(places[0]) else None

    def start(
        self, key: Hashable, place: str, function: Callable[[Argument], Result], argument: Argument
    ) -> None:
        self._held[self._pool.submit(_run_task, equipment(), function, argument)] = key

    def wait(self, seconds: float | None) -> list[tuple[Hashable, Future[Any]]]:
        if not self._held:
            time.sleep(seconds or 0.0)
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            left = CHECK_SECONDS if until is None else max(0.0, until - time.monotonic())
            ended, _ = wait(self._held, min(left, CHECK_SECONDS), FIRST_COMPLETED)
            if not ended and self._held:
                self._check_scheduler()
            if ended or not self._held or (until is not None and time.monotonic() >= until):
                return [(self._held.pop(future), _with_worker_lost(future)) for future in ended]

    def close(self, *, kill: bool) -> None:
        for future in self._held:
            future.cancel()
        self._client.close(timeout=ANSWER_SECONDS)
        if self._own is not None:
            self._own.close(timeout=ANSWER_SECONDS)

    def _count(self) -> int:
        """The number of threads of all workers, at most `CHECK_SECONDS` old."""
        threads, when = self._counted
        if time.monotonic() - when > CHECK_SECONDS:
            threads = sum(self._client.nthreads().values())
            self._counted = (threads, time.monotonic())
        return threads

    def _check_scheduler(self) -> None:
        """Raise WorkError where the scheduler is gone, or all workers are and none returns."""
        if self._client.status not in ("running", "connecting"):
            raise self._scheduler_lost()
        if self._count():
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = time.monotonic()
            log.warning(
                "no worker of the Dask scheduler at %s is left; waiting for one to join",
                self._where,
            )
        elif time.monotonic() - self._empty_since > RETURN_SECONDS:
            raise WorkError(
                f"all workers of the Dask scheduler at {self._where} are gone, and none came back "
                f"in {RETURN_SECONDS:.0f} s",
                hint=f"run the same command again to resume; {START}",
            )

    def _scheduler_lost(self) -> WorkError:
        return WorkError(
            f"the Dask scheduler at {self._where} is gone",
            hint="run the same command again to resume",
        )

    def _check_workers(self) -> None:
        """Raise WorkError unless there are workers, all with the equipment of this process."""
        try:
            self._client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except TimeoutError:
            raise WorkError(
                f"the Dask scheduler at {self._where} has no workers", hint=START
            ) from None
        for worker, found in self._client.run(_equipment_here, on_error="return").items():
            if isinstance(found, BaseException):
                raise WorkError(
                    f"the Dask worker {worker} cannot run dubkit: {type(found).__name__}: {found}",
                    hint="install the same dubkit on every machine",
                )
            _compare(found, equipment(), str(worker))


@cache
def equipment() -> Mapping[str, str]:
    """All that may change a result beside the task itself: versions, and the code of dubkit."""
    root = Path(dubkit.__file__).parent
    code = [[str(p.relative_to(root)), digest_file(p)] for p in sorted(root.rglob("*.py"))]
    versions = {name: metadata.version(name) for name in _DECIDING if _is_there(name)}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {
        "dubkit": __version__,
        "Python": python,
        **versions,
        "the code of dubkit": digest_value(code),
    }


def _equipment_here() -> Mapping[str, str]:
    return equipment()


def _is_there(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _compare(found: Mapping[str, str], expected: Mapping[str, str], worker: str) -> None:
    for name in expected:
        if found.get(name) != expected[name]:
            raise WorkError(
                f"the Dask worker {worker} has {name} {found.get(name, 'not at all')[:12]}, "
                f"this process {expected[name][:12]}: results would depend on the worker",
                hint="install the same versions on every machine, and start the workers again",
            )


def _run_task(
    expected: Mapping[str, str], function: Callable[[Argument], Result], argument: Argument
) -> Result:
    """Run a task in a worker; one that joined later is compared here."""
    _compare(equipment(), expected, socket.gethostname())
    return function(argument)


def _with_worker_lost(future: Future[Any]) -> Future[Any]:
    """The future; where a worker died under its task, one that raises `WorkerLost`."""
    try:
        error = future.exception()
    except CancelledError:
        error = WorkError(
            "the Dask scheduler lost a task", hint="run the same command again to resume"
        )
    if isinstance(error, RuntimeError) and "deserialization" in str(error):
        error = WorkError(
            "the Dask scheduler cannot read dubkit's tasks",
            hint="install the same dubkit where the scheduler runs",
        )
    if isinstance(error, KilledWorker):
        error = WorkerLost(str(error))
    if error is None:
        return future
    known: Future[Any] = Future()
    known.set_exception(error)
    return known


def _start_own(jobs: int) -> LocalCluster:
    return LocalCluster(
        n_workers=jobs,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.ERROR,
    )


def _connect(address: Any) -> Client:
    try:
        return Client(address, timeout=ANSWER_SECONDS, set_as_default=False)
    except (OSError, TimeoutError):
        raise WorkError(f"no Dask scheduler answers at {address}", hint=START) from None
    except ValueError as error:
        raise ConfigError(
            f"{address} is not the address of a Dask scheduler: {error}",
            hint="write tcp://HOST:8786",
        ) from None
