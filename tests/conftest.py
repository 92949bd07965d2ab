"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

if (
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN
):  # in the background of a script, or under nohup
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker a core for the whole suite; a chosen part of it runs in one process, without waiting for workers."""
    whole = config.args == config.getini("testpaths")
    return len(os.sched_getaffinity(0)) if whole else 0


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real clips; tests that need it are skipped where it is missing."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not (folder / "clips.csv").is_file():
        pytest.skip(f"real clips are not here: {folder}")
    return folder
