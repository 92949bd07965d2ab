"""``dubkit train`` from the command line: what it says, its JSON and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from tests.training.talking import ENGINES, write_film

runner = CliRunner()
QUICK = [part for setting in ENGINES for part in ("--set", setting)]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    write_film(folder / "ann" / "first.mkv", 2.0)
    write_film(folder / "bob.mkv", 0.6)
    return folder


@pytest.fixture(scope="module")
def prepared(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sets") / "set"
    assert runner.invoke(app, ["train", "prepare", str(footage), str(out), *QUICK]).exit_code == 0
    return out


@pytest.mark.parametrize("command", ["prepare", "tc", "sc"])
def test_every_training_explains_itself_with_examples(command: str) -> None:
    result = runner.invoke(app, ["train", command, "--help"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    assert f"dubkit train {command} " in result.stdout
    assert "--device" in result.stdout


def test_preparing_tells_what_it_kept_and_what_it_refused_and_why(
    footage: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    result = runner.invoke(app, ["train", "prepare", str(footage), str(out), *QUICK])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert any("bob.mkv" in line and "too short: 0.60 s, 1 needed" in line for line in lines)
    assert any(line.split() == ["train", "1", "1", "0:02"] for line in lines)
    assert any("there is one clip only" in line for line in lines)
    assert lines[-1] == str(out)
    assert "ann__first: clips: 1/1" in result.stderr


def test_json_ends_with_the_clips_and_the_refusals(footage: Path, tmp_path: Path) -> None:
    command = ["train", "prepare", str(footage), str(tmp_path / "set"), "--json", *QUICK]
    result = runner.invoke(app, command)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[-1]["event"] == "result"
    assert events[-1]["status"] == "done"
    facts = events[-1]["facts"]
    assert facts["clips"]["ann__first"]["frames"] == 50
    assert list(facts["refused"]) == ["bob.mkv"]
    assert {e["stage"] for e in events if e["event"] == "plan"} == {"shots", "clips"}


def test_quiet_says_only_where_the_set_is(footage: Path, tmp_path: Path) -> None:
    command = ["train", "prepare", str(footage), str(tmp_path / "set"), "-q", *QUICK]
    result = runner.invoke(app, command)
    assert result.stdout == f"{tmp_path / 'set'}\n"


def test_what_is_wrong_ends_with_its_code_and_a_hint(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "set.json").write_text('{"format": 99, "crop": 192}', encoding="utf-8")
    out = str(tmp_path / "out")
    for arguments, code, message in (
        (["prepare", str(tmp_path / "empty"), out], 3, "holds no videos"),
        (["prepare", str(tmp_path / "nowhere"), out], 3, "is not a folder"),
        (["tc", str(tmp_path / "empty"), out], 3, "is not a prepared set"),
        (["tc", str(newer), out], 6, "has format 99, this dubkit reads 2"),
        (["tc", str(prepared), str(prepared)], 2, "a folder of its own"),
        (["tc", str(prepared), out, "--set", "train.tc.step=3"], 2, "there is no such setting"),
        (["tc", str(prepared), out, "--start", str(newer / "no.safetensors")], 7, "are missing"),
    ):
        result = runner.invoke(app, ["train", *arguments])
        assert (result.exit_code, message in result.stderr) == (code, True), result.output
        assert "Traceback" not in result.output


def test_a_short_training_ends_with_weights_that_the_product_takes(
    prepared: Path, tmp_path: Path
) -> None:
    steps = ["--set", "train.tc.steps=4", "--set", "train.tc.check_every=2"]
    command = ["train", "tc", str(prepared), str(tmp_path / "tc"), "--device", "cpu", *steps]
    result = runner.invoke(app, [*command, "--json"])
    assert result.exit_code == 0, result.output
    last = json.loads(result.stdout.splitlines()[-1])
    assert last["facts"]["steps"] == 4
    assert last["facts"]["finished"] == "all steps are done"
    assert (tmp_path / "tc" / "metrics.jsonl").is_file()
    warnings = [json.loads(line) for line in result.stdout.splitlines() if '"warning"' in line]
    assert "nothing is held out" in warnings[0]["message"]
