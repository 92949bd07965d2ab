"""A few of the trials of ``tests/benchmarks/torture.py``, with the real engines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture import kills, places, power
from tests.torture.films import small_inputs
from tests.torture.work_folders import Case, undisturbed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]
ROOT = Path(__file__).resolve().parents[2]
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


@pytest.mark.parametrize("number", [33, 34])
def test_what_is_stopped_says_so_sweeps_and_goes_on(
    case: Case, tmp_path: Path, number: int
) -> None:
    outcome = kills.stop(case, tmp_path / "trial", number, SEED)
    assert outcome.faults == []


@pytest.mark.parametrize("number", [1, 12])
def test_a_power_cut_costs_the_last_unit_at_most(case: Case, tmp_path: Path, number: int) -> None:
    outcome = power.cut_power(case, tmp_path / "trial", number, SEED)
    assert outcome.faults == []


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted, which only root may")
def test_a_full_disk_is_told_and_loses_nothing(case: Case, tmp_path: Path) -> None:
    try:
        outcome = places.fill_disk(case, tmp_path / "disk", "generate")
    except subprocess.CalledProcessError:
        pytest.skip("this machine mounts nothing")
    assert outcome.hit
    assert outcome.faults == []


def test_damaged_inputs_end_in_one_sentence_within_bounds(tmp_path: Path) -> None:
    """In a process of its own, which forks before it has threads."""
    program = ROOT / "tests" / "benchmarks" / "torture.py"
    words = [sys.executable, str(program), "damaged", str(tmp_path), "--count", "10"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
