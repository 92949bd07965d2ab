from __future__ import annotations

from pathlib import Path

import pytest

from dubkit.api import RunRequest, dry_run, make_job
from dubkit.planning import FilmPlan, Level, plan_film
from dubkit.progress import NoProgress
from tests.clips import shots_film, tone
from tests.fakes import make_config
from tests.portrait import build_portrait_film


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRequest, FilmPlan]:
    folder = tmp_path_factory.mktemp("plan")
    files = build_portrait_film(folder)
    config = make_config(jobs=1)
    request = RunRequest(make_job(files.film, files.dub, config, script=files.script), config)
    return request, plan_film(request, progress=NoProgress(), picture=folder / "shots.png")


def test_each_shot_is_described(planned: tuple[RunRequest, FilmPlan]) -> None:
    shots = planned[1].shots
    assert [shot.faces for shot in shots] == [1, 0, 1]
    assert [shot.risk for shot in shots] == [Level.LOW, Level.NONE, Level.LOW]
    assert [shot.frames for shot in shots] == [90, 40, 125]
    last = shots[2]
    assert last.face is not None
    assert last.face.width > 150
    assert abs(last.face.yaw) < 30
    assert last.focus is not None
    assert last.speech.seconds > 1
    assert (last.speech.phonemes or 0) > (last.speech.labials or 0) > 0
    assert last.to_paint == 125
    assert "the largest face" in last.who
    assert shots[1].face is None
    assert shots[1].to_paint == 0


def test_the_time_is_measured_and_says_on_what(planned: tuple[RunRequest, FilmPlan]) -> None:
    found = planned[1]
    assert found.speed is not None
    assert found.speed.basis.startswith("48 frames of shot ")
    assert found.speed.painted >= found.speed.plain > 0
    assert found.left is not None
    all_shots = sum(minutes or 0 for minutes in found.minutes)
    assert found.left == pytest.approx(all_shots + found.speed.start / 60)
    assert found.pictures[0].stat().st_size > 10_000


def test_a_run_goes_on_where_the_plan_ended(planned: tuple[RunRequest, FilmPlan]) -> None:
    request, found = planned
    lines = dry_run(request)
    analysis = {line.stage for line in lines if line.current}
    assert {"probe", "shots", "faces", "speech", "timing"} <= analysis
    assert not any(line.current for line in lines if line.stage in ("generate", "stitch"))
    assert not request.job.output.exists()
    assert not any(found.rendered)


def test_a_film_without_faces_is_planned_like_any_other(tmp_path: Path) -> None:
    film = shots_film(tmp_path / "film.mp4", [30, 30])
    config = make_config(jobs=1)
    job = make_job(film, tone(tmp_path / "dub.wav", 2), config)
    found = plan_film(RunRequest(job, config), progress=NoProgress())
    assert [shot.risk for shot in found.shots] == [Level.NONE] * len(found.shots)
    assert found.speed is not None
    assert found.speed.plain == found.speed.painted
    assert found.pictures == ()
