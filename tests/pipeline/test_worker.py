"""What a unit leaves behind in the process that did it."""

from __future__ import annotations

import platform
import resource
from pathlib import Path

import pytest

from dubkit.config.schema import Config
from dubkit.errors import WorkError
from dubkit.pipeline.worker import Task, execute
from dubkit.records import Job
from dubkit.stages.base import StageContext, StageReport

PIECE, PIECES = 64_000, 2_000  # bytes: too small for the C library to ask the system for each
left: list[bytes] = []


def untidy(context: StageContext) -> StageReport:
    """Use 128 MB, and leave a few bytes of it in use on top of all that is freed."""
    pieces = [bytes(PIECE) for _ in range(PIECES)]
    left.append(bytes(PIECE))
    del pieces
    raise WorkError("enough")


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_a_unit_freed_is_returned_to_the_system(tmp_path: Path) -> None:
    job = Job(tmp_path / "film.mp4", tmp_path / "dub.wav", tmp_path / "out.mp4", tmp_path / "work")
    (job.work / "scratch").mkdir(parents=True)
    task = Task("shots", "film", untidy, None, job, Config(), {}, tmp_path / "target", {})
    execute(task)  # loads what the process does not have yet
    before = resident()
    assert execute(task).error == "enough"
    assert resident() - before < PIECE * PIECES / 4
