"""Shots as people name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubkit.errors import UsageError
from dubkit.pipeline.inspect import find_work, job_status, of_shot
from dubkit.pipeline.shot_names import find_shot
from dubkit.progress import ShotName, in_words
from tests.fakes import Bench, Recorder

NAMES = {
    "0000000-0000050": ShotName(1, "01:00:00:00"),
    "0000050-0000390": ShotName(2, "01:00:02:00"),
    "0000390-0000400": ShotName(3, "01:00:15:15"),
}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", 2),
        ("#3", 3),
        ("01:00:02:00", 2),
        ("01:00:14:24", 2),
        ("01:00:15;15", 3),
        ("0000000-0000050", 1),
    ],
)
def test_a_shot_is_found_by_number_time_code_or_frames(text: str, number: int) -> None:
    assert NAMES[find_shot(text, NAMES)].number == number


@pytest.mark.parametrize("text", ["0", "4", "00:59:59:24", "0000000-0000040", "anna", ""])
def test_what_names_no_shot_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="there is no shot"):
        find_shot(text, NAMES)


def test_messages_name_shots_by_number_and_time_code() -> None:
    text = "generate of shot 0000050-0000390 failed; face 0000050-0000390/1, 0000777-0000778"
    words = "generate of shot 2, 01:00:02:00 failed; face 0000050-0000390/1, 0000777-0000778"
    assert in_words(text, NAMES) == words


def test_a_status_of_one_shot_and_by_film_or_result(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(progress=Recorder())
    assert find_work(bench.job.video) == find_work(bench.job.output) == bench.job.work
    state = job_status(bench.job.work, stages=bench.stages)
    one = of_shot(state, "3")
    assert {unit.unit for unit in one.units} == {"0000090-0000200"}
    assert one.warnings == ("shot 0000090-0000200: a small face",)
