"""One function over all shots: the order, the progress, and a worker that dies."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from dataclasses import dataclass

import pytest

from dubkit.errors import WorkError
from dubkit.pipeline.map_shots import map_shots
from dubkit.records import Shot
from tests.fakes import Recorder

SHOTS = (Shot(0, 30), Shot(30, 50), Shot(50, 90))


@dataclass(frozen=True)
class Trial:
    shot: Shot
    dies: bool = False


def work(trial: Trial) -> str:
    if trial.dies:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2 if trial.shot.start == 0 else 0.0)
    return trial.shot.name


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_film_order_whoever_is_done_first(jobs: int) -> None:
    recorder = Recorder()
    tasks = [Trial(shot) for shot in SHOTS]
    found = map_shots(work, tasks, name="look", progress=recorder, jobs=jobs, frames=True)
    assert list(found) == [shot.name for shot in SHOTS]
    assert recorder.plans == [("look", 3, 0, 90)]
    assert sorted(unit[1:3] for unit in recorder.units) == [(s.name, s.frames) for s in SHOTS]


def test_a_shot_whose_worker_dies_each_time_is_an_error_or_has_a_stand_in() -> None:
    tasks = [Trial(SHOTS[0]), Trial(SHOTS[1], dies=True)]
    with pytest.raises(WorkError, match=f"shot {SHOTS[1].name} died three times"):
        list(map_shots(work, tasks, name="look", progress=Recorder(), jobs=2))
    stand_in = map_shots(
        work, tasks, name="look", progress=Recorder(), jobs=2, lost=lambda task: "lost"
    )
    assert list(stand_in) == [SHOTS[0].name, "lost"]


def test_the_rest_is_not_begun_where_the_iterator_is_closed() -> None:
    recorder = Recorder()
    tasks = [Trial(shot) for shot in SHOTS]
    with closing(map_shots(work, tasks, name="look", progress=recorder, jobs=1)) as found:
        assert next(found) == SHOTS[0].name
    assert len(recorder.units) == 1
