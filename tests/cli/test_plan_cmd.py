from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.cli.events import ShotPlanned
from tests.clips import shots_film, tone

runner = CliRunner()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("film")
    path = shots_film(folder / "a [b].mp4", [30, 20])
    return [str(path), "--audio", str(tone(folder / "dub.wav", 2)), "--jobs", "1"]


def test_the_table_names_shots_risks_and_time(film: list[str]) -> None:
    result = runner.invoke(app, ["plan", *film])
    assert result.exit_code == 0
    assert "1  00:00:00:00" in result.stdout
    assert "frames of shot 1, 00:00:00:00 rendered" in result.stdout
    assert "2 shots: 2 without a face" in result.stdout
    assert "rendering takes about" in result.stdout
    assert "rendered just now" in result.stdout


def test_json_is_a_line_a_shot_and_a_result(film: list[str]) -> None:
    result = runner.invoke(app, ["plan", *film, "--json"])
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    shots = [line for line in lines if line["event"] == "shot"]
    assert [shot["shot"] for shot in shots] == ["0000000-0000030", "0000030-0000050"]
    assert {field.name for field in fields(ShotPlanned)} < {*shots[0]}
    assert shots[0]["risk"] == "none"
    assert lines[-1]["event"] == "result"
    assert lines[-1]["status"] == "planned"
    assert lines[-1]["facts"]["risks"] == {"high": 0, "medium": 0, "low": 0, "none": 2}


def test_a_film_that_is_none_ends_as_everywhere(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_text("no film")
    dub = tone(tmp_path / "dub.wav", 1)
    result = runner.invoke(app, ["plan", str(tmp_path / "no.mp4"), "--audio", str(dub)])
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1].startswith(("error:", "hint:"))
