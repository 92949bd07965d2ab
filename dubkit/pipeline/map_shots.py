"""One function over all shots of a film in workers: what ``plan``, ``report`` and ``evaluate`` have in common."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from dubkit.errors import WorkError
from dubkit.parallel import scheduler, workers
from dubkit.records import Shot

if TYPE_CHECKING:
    from dubkit.progress import Progress


class ShotTask(Protocol):
    """What the function is given: a record that names its shot. Pickles."""

    @property
    def shot(self) -> Shot: ...


Task = TypeVar("Task", bound=ShotTask)
Result = TypeVar("Result")


def map_shots(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    name: str,
    progress: Progress,
    jobs: int,
    backend: str = workers.LOKY,
    frames: bool = False,
    lost: Callable[[Task], Result] | None = None,
) -> Generator[Result, None, None]:
    """``function(task)`` for every task, done side by side and yielded in the order of the tasks.

    Progress goes by ``name``, with the ``frames`` of the shots where the function reads them all. ``lost`` makes the
    result of a shot whose worker died each time; without it, WorkError is raised. Exceptions of ``function`` pass
    through. Work under way is stopped when the iterator is closed.
    """
    sizes = [task.shot.frames if frames else 0 for task in tasks]
    progress.plan(name, len(tasks), 0, sum(sizes))
    early: dict[int, Result] = {}
    following = 0
    for index, result in scheduler.stream(function, tasks, jobs=jobs, backend=backend):
        shot = tasks[index].shot
        if not isinstance(result, workers.WorkerLost):
            early[index] = result
        elif lost is not None:
            early[index] = lost(tasks[index])
        else:
            raise worker_died(shot)
        progress.advance(name, shot.name, sizes[index], 0.0, None)
        while following in early:
            yield early.pop(following)
            following += 1


def worker_died(shot: Shot) -> WorkError:
    """What to raise for a shot whose worker died each time."""
    return WorkError(
        f"the process that worked on shot {shot.name} died three times: out of memory, or a crash "
        "in a library",
        hint="use fewer workers with --jobs, or close other programs",
    )
