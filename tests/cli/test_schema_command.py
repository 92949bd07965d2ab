"""The written schema of ``--json``, against what is really written."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from dubkit.cli import events
from dubkit.cli.app import app
from dubkit.errors import DubkitError
from tests.clips import film, tone

runner = CliRunner()
CHEAP = ("shots.detector=fixed", "speech.aligner=even", "generate.synthesizer=passthrough")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(runner.invoke(app, ["schema"]).stdout)
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def _valid(stdout: str, schema: dict[str, Any]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in stdout.splitlines()]
    for line in lines:
        jsonschema.validate(line, schema, jsonschema.Draft202012Validator)
    assert [line["event"] for line in lines].count("result") == 1
    assert lines[-1]["event"] == "result"
    return lines


def test_the_schema_names_every_event_with_its_fields(schema: dict[str, Any]) -> None:
    kinds = events.Event.__subclasses__()
    for kind in kinds:
        written = schema["$defs"][kind.event]
        names = {field.name for field in fields(kind)}
        assert names == {*written["required"]} == {*written["properties"]} - {"event"}
    # a class with slots is made twice, and the first may still be about
    assert len(schema["oneOf"]) == len({kind.event for kind in kinds})


def test_the_schema_names_every_exit_code(schema: dict[str, Any]) -> None:
    kinds: list[type[DubkitError]] = [DubkitError, *DubkitError.__subclasses__()]
    assert {*schema["$defs"]["exit_code"]["enum"]} == {0, 10, *(k.exit_code for k in kinds)}


GATED = {
    "event": "gate", "time": 1.0, "shot": "0000000-0000010", "face": 0, "measure": "seam", "value": None,
    "limit": 0.1, "better": "lower", "passed": True, "reason": "", "verdict": None, "kept": False,
    "number": 1, "timecode": "00:00:00:00",
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"face": -1}, {"face": "0"}, {"better": "more"}, {"verdict": "maybe"}, {"value": "0"}],
)
def test_the_schema_refuses_what_is_never_written(
    change: dict[str, object], schema: dict[str, Any]
) -> None:
    jsonschema.validate(GATED, schema, jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**GATED, **change}, schema, jsonschema.Draft202012Validator)
    less = {name: value for name, value in GATED.items() if name not in change}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(less, schema, jsonschema.Draft202012Validator)


def test_the_schema_describes_events_and_fields(schema: dict[str, Any]) -> None:
    assert all(written["description"] for written in schema["$defs"].values())
    units = schema["$defs"]["plan"]["properties"]["units"]
    assert units["minimum"] == 0
    assert "whole film" in units["description"]


def test_a_batch_writes_what_the_schema_says(tmp_path: Path, schema: dict[str, Any]) -> None:
    film(tmp_path / "one.mp4", seconds=0.4, rate="25")
    tone(tmp_path / "one.fr.wav", 0.4)
    arguments = ["batch", str(tmp_path), "--out", str(tmp_path / "out"), "--json", "-j", "1"]
    arguments += [part for setting in CHEAP for part in ("--set", setting)]
    good = _valid(runner.invoke(app, arguments).stdout, schema)
    assert {"job", "plan", "unit", "job_end", "result"} <= {line["event"] for line in good}
    own = [line for line in good if line["event"] in ("plan", "unit", "note", "warning")]
    # what is found before the first job begins names it in its text
    assert {line.get("job") or line["message"].partition(":")[0] for line in own} == {"one.fr"}


@pytest.mark.parametrize(
    "arguments",
    [["no.mp4", "--audio", "no.wav"], ["no.mp4", "--audio", "no.wav", "--set", "x.y=1"]],
)
def test_a_refused_run_writes_what_the_schema_says(
    arguments: list[str], schema: dict[str, Any]
) -> None:
    result = runner.invoke(app, ["run", *arguments, "--json"])
    (line,) = _valid(result.stdout, schema)
    assert line["status"] == "failed"
    assert line["exit_code"] == result.exit_code
