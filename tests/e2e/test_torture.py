"""A few of the trials of ``tests/benchmarks/torture.py``, with the real engines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.torture import kills, power
from tests.torture.films import small_inputs
from tests.torture.work_folders import Case, undisturbed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]
SEED = 11


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("case")
    return undisturbed(small_inputs(folder / "inputs", shots=3), folder / "undisturbed")


# by number: the parent in generate, a worker in generate, ffmpeg in stitch, everything in timing
@pytest.mark.parametrize("number", [32, 21, 2, 31])
def test_what_is_killed_goes_on_to_the_same_film(case: Case, tmp_path: Path, number: int) -> None:
    outcome = kills.kill(case, tmp_path / "trial", number, SEED)
    assert outcome.faults == []


# by number: Ctrl-C twice in generate, SIGTERM once while it starts
@pytest.mark.parametrize("number", [33, 2])
def test_what_is_stopped_ends_with_130_and_goes_on_to_the_same_film(
    case: Case, tmp_path: Path, number: int
) -> None:
    outcome = kills.stop(case, tmp_path / "trial", number, SEED)
    assert outcome.faults == []


# by number: a receipt cut in half in stitch, all files of a unit zeroed in timing
@pytest.mark.parametrize("number", [1, 14])
def test_a_power_cut_costs_the_unit_that_it_damaged(
    case: Case, tmp_path: Path, number: int
) -> None:
    outcome = power.cut_power(case, tmp_path / "trial", number, SEED)
    assert outcome.faults == []
