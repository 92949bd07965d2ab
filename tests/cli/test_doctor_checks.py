from __future__ import annotations

import json
import shutil
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubkit.cli import doctor_checks, lazy
from dubkit.cli.app import app
from dubkit.cli.doctor_checks import Check, State
from dubkit.config.schema import Config
from dubkit.engines.registry import ENGINES, Entry
from dubkit.errors import MissingDependency

runner = CliRunner()
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Check]:
    return list(doctor_checks.all_checks(tmp_path_factory.mktemp("here")))


def test_programs_engines_weights_device_and_disk_are_looked_at(found: list[Check]) -> None:
    names = {(check.group, check.name) for check in found}
    assert {("program", "python"), ("program", "ffmpeg")} <= names
    assert {("machine", "device"), ("machine", "disk")} <= names
    engines = {name for group, name in names if group == "engine"}
    known = {f"{kind}: {name}" for kind, entries in ENGINES.items() for name in entries}
    assert engines == known | {"stages"}
    folder = Path(doctor_checks.__file__).parents[1] / "weights"
    weights = {name for group, name in names if group == "weights"}
    assert weights == {path.stem for path in folder.glob("*.safetensors")}


def test_nothing_is_listed_twice(found: list[Check]) -> None:
    names = [(check.group, check.name) for check in found]
    assert len(set(names)) == len(names)


def test_the_main_job_can_run_here(found: list[Check]) -> None:
    assert doctor_checks.main_job_error(found) is None


def test_a_program_that_is_missing_keeps_the_main_job_from_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def absent(name: str) -> str:
        raise MissingDependency(f"the program {name} is not installed", hint=f"install {name}")

    monkeypatch.setattr(doctor_checks, "program_version", absent)
    error = doctor_checks.main_job_error(list(doctor_checks._programs()))
    assert error is not None
    assert error.exit_code == 4
    assert "ffmpeg" in error.message
    assert error.hint == "install ffmpeg"


def test_a_missing_extra_is_no_failure() -> None:
    entry = Entry("nowhere:Engine", "a_library_that_is_not_there", "whisperx")
    check = doctor_checks._engine("aligner", "whisperx", entry, None)
    assert check.state is State.OPTIONAL
    assert check.hint == "pip install 'dubkit[whisperx]'"


def test_an_engine_without_its_weights_is_no_failure_and_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DUBKIT_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(metadata, "version", lambda package: "9")
    entry = ENGINES["detector"]["retinaface"]
    check = doctor_checks._engine("detector", "retinaface", entry, Config().faces)
    assert check.state is State.NO_WEIGHTS
    assert check.hint == "dubkit models pull retinaface-resnet50"
    assert doctor_checks.main_job_error([check]) is None


def test_little_room_is_shown_but_does_not_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10, 9, 1))
    disk = next(check for check in doctor_checks._machine(tmp_path) if check.name == "disk")
    assert disk.state is State.LOW
    assert doctor_checks.main_job_error([disk]) is None


def test_doctor_exits_4_and_lists_all_when_something_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = [
        Check("program", "ffmpeg", State.FAILED, "not [installed]", "install ffmpeg"),
        Check("machine", "cores", State.OK, "2"),
    ]
    monkeypatch.setattr(lazy.doctor_checks, "all_checks", lambda folder: iter(some))
    table = runner.invoke(app, ["doctor"])
    assert table.exit_code == 4
    assert "not [installed]" in table.stdout
    assert "cores" in table.stdout
    as_json = runner.invoke(app, ["doctor", "--json"])
    assert as_json.exit_code == 4
    listed = json.loads(as_json.stdout)["checks"]
    assert [check["state"] for check in listed] == ["failed", "ok"]
