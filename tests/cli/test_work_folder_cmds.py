from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubkit.cli import lazy
from dubkit.cli.app import app
from dubkit.pipeline.dry_run import UnitState
from dubkit.pipeline.inspect import JobStatus, StageStatus
from dubkit.records import Job, StageResult

runner = CliRunner()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobStatus:
    job = Job(tmp_path / "a [b].mp4", tmp_path / "dub.wav", tmp_path / "out.mp4", tmp_path / "work")
    failed = StageResult("generate", "0000000-0000050", "", error="no room", hint="make some")
    found = JobStatus(
        job=job,
        stages=(StageStatus("faces", 2, 1, 0, 61.0), StageStatus("generate", None, 0, 1, 0.0)),
        units=(
            UnitState("faces", "0000000-0000050", True, "current"),
            UnitState("faces", "0000050-0000100", False, "faces.which was all, is largest"),
        ),
        failures=(failed,),
        warnings=(),
        in_use_by=None,
    )
    monkeypatch.setattr(lazy.inspect, "job_status", lambda work: found)
    monkeypatch.setattr(lazy.inspect, "find_work", lambda path: path)
    monkeypatch.setattr(lazy.inspect, "verify_work", lambda work: ())
    return found


def test_it_shows_each_stage_and_each_failure(state: JobStatus) -> None:
    result = runner.invoke(app, ["status", "work"])
    assert result.exit_code == 0
    assert "a [b].mp4" in result.stdout
    assert "not finished" in result.stdout
    assert "1:01" in result.stdout
    assert "no room" in result.stdout
    assert "was all" not in result.stdout


def test_why_names_the_reason_of_every_unit(state: JobStatus) -> None:
    result = runner.invoke(app, ["status", "work", "--why"])
    assert "0000050-0000100" in result.stdout
    assert "faces.which was all, is largest" in result.stdout


def test_json_is_one_object(state: JobStatus) -> None:
    facts = json.loads(runner.invoke(app, ["status", "work", "--json"]).stdout)
    assert facts["finished"] is False
    assert facts["job"]["video"] == str(state.job.video)
    assert facts["stages"][1] == {
        "stage": "generate",
        "units": None,
        "current": 0,
        "failed": 1,
        "seconds": 0.0,
    }
    assert facts["damaged"] is None


def test_verify_says_that_all_is_well(state: JobStatus) -> None:
    result = runner.invoke(app, ["status", "work", "--verify"])
    assert result.exit_code == 0
    assert "every file" in result.stdout


def test_verify_exits_6_and_names_what_is_damaged(
    state: JobStatus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy.inspect, "verify_work", lambda work: ("faces/x is damaged",))
    result = runner.invoke(app, ["status", "work", "--verify", "--json"])
    assert result.exit_code == 6
    assert json.loads(result.stdout)["damaged"] == ["faces/x is damaged"]
    assert "faces/x is damaged" in result.stderr


def test_a_folder_that_is_no_work_folder_exits_6(tmp_path: Path) -> None:
    result = runner.invoke(app, ["status", str(tmp_path)])
    assert result.exit_code == 6
    assert result.stderr.startswith("error: ")
