"""What a batch says of its jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubkit.batches.jobs import Outcome
from dubkit.batches.run_batch import BatchResult
from dubkit.cli.batch_cmd import _show


def test_a_partial_job_says_how_many_shots_were_refused(capsys: pytest.CaptureFixture[str]) -> None:
    kept = ("shot 0000000-0000200: the mouth is blurred", "shot 0000200-0000300: rejected")
    film = Path("/out/one.mp4")
    outcomes = (
        Outcome("one.de", "partial", 10, film, "a", seconds=1.0, kept=kept),
        Outcome("one.fr", "partial", 10, film, "b", seconds=1.0, kept=kept[:1]),
        Outcome("two.de", "done", 0, film, "c", seconds=1.0),
    )
    _show(BatchResult(outcomes, (), 10), (), quiet=False)
    said = capsys.readouterr().out
    assert "partial: 2 shots kept as filmed" in said
    assert "partial: 1 shot kept as filmed" in said
    assert "two.de  done " in said
