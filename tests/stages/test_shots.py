"""The shots stage: detection, lists, short shots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubkit.config.schema import Config
from dubkit.errors import WorkError
from dubkit.media.shotlist import read_shots
from dubkit.records import Job, Shot, Transition
from dubkit.stages import probe, shots
from dubkit.stages.base import StageContext, StageReport
from tests.clips import facts, shots_film


def found(
    tmp_path: Path, source: Path, listed: Path | None = None, **settings: Any
) -> tuple[Path, StageReport]:
    folders = [tmp_path / name for name in ("probe", "shots")]
    for folder in folders:
        folder.mkdir()
    job = Job(source, source, tmp_path / "film.mp4", tmp_path, shots=listed)
    config = Config.model_validate({"shots": settings})
    probe.run(StageContext(job, config, folders[0], {}))
    report = shots.run(StageContext(job, config, folders[1], {"probe": (folders[0],)}))
    return folders[1], report


def test_shots_are_published_as_a_record_and_as_a_list_to_correct(tmp_path: Path) -> None:
    out, report = found(tmp_path, shots_film(tmp_path / "source.mp4", (20, 30, 25)))
    wanted = [Shot(0, 20), Shot(20, 50), Shot(50, 75)]
    assert shots.load_shots(out) == wanted
    assert read_shots(out / shots.LIST, 75) == wanted
    assert report.facts["shots"] == 3
    assert report.engine is not None
    assert "scenedetect" in report.engine


def test_a_list_is_taken_as_it_is(tmp_path: Path) -> None:
    listed = tmp_path / "mine.txt"
    listed.write_text("0\n1\n44\n")
    source = shots_film(tmp_path / "source.mp4", (20, 30))
    out, report = found(tmp_path, source, listed)
    assert shots.load_shots(out) == [Shot(0, 1), Shot(1, 44), Shot(44, 50)]
    assert report.engine is not None
    assert report.engine.startswith("list")


def test_a_list_keeps_its_cuts_and_learns_of_transitions(tmp_path: Path) -> None:
    shots_list = [Shot(0, 40), Shot(40, 90)]
    spans = [Transition(30, 45, "dissolve"), Transition(60, 62, "flash")]
    first, second = (shots.with_transitions(shot, spans) for shot in shots_list)
    assert first == Shot(0, 40, (Transition(30, 40, "dissolve"),))
    assert second == Shot(40, 90, (Transition(40, 45, "dissolve"), Transition(60, 62, "flash")))


def test_no_shot_is_shorter_than_the_least(tmp_path: Path) -> None:
    source = shots_film(tmp_path / "source.mp4", (4, 30, 3, 30, 5))
    out, _ = found(tmp_path, source, min_seconds=0.4)
    found_shots = shots.load_shots(out)
    assert len(found_shots) == 2
    assert all(shot.frames >= 10 for shot in found_shots)
    inserts = [t for shot in found_shots for t in shot.transitions if t.kind == "insert"]
    assert [(t.start, t.end) for t in inserts] == [(34, 37)]


def test_short_shots_are_judged_by_time_and_not_by_frames() -> None:
    info = facts(frames=6)
    pts = np.array([0, 1, 2, 50, 51, 100])
    given = [Shot(0, 2), Shot(2, 3), Shot(3, 5), Shot(5, 6)]
    assert shots.without_short(given, pts, info, 1.0) == [Shot(0, 3), Shot(3, 6)]
    assert shots.without_short(given, pts, info, 0.0) == given


@pytest.mark.parametrize(
    "wrong",
    [[Shot(0, 5)], [Shot(0, 5), Shot(6, 10)], [Shot(0, 6), Shot(5, 10)], [Shot(1, 10)], []],
)
def test_an_engine_whose_shots_do_not_tile_is_found_out(wrong: list[Shot]) -> None:
    with pytest.raises(WorkError, match="do not cover"):
        shots.check_tiling(wrong, 10)
