from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from dubkit.cli import lazy, options
from dubkit.cli.app import app
from dubkit.config.flags import OF_SETTING
from dubkit.config.presets import load_config
from dubkit.config.schema import Config
from dubkit.engines.registry import ENGINES
from dubkit.pipeline.dry_run import UnitState
from dubkit.pipeline.request import RunRequest, make_job
from dubkit.pipeline.result import RunResult
from dubkit.progress import Progress

runner = CliRunner()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[RunRequest]:
    """What the command requests; the run itself succeeds at once."""
    seen: list[RunRequest] = []

    def record(request: RunRequest, progress: Progress) -> RunResult:
        seen.append(request)
        return RunResult(Path("film.dubbed.mp4"), 0, frames=50, seconds=2.0)

    monkeypatch.setattr(lazy.api, "run_job", record)
    return seen


def test_a_flag_that_is_not_given_is_none(calls: list[RunRequest]) -> None:
    result = runner.invoke(app, ["run", "film.mp4", "--audio", "dub.wav"])
    assert result.exit_code == 0, result.stderr
    config = load_config()
    assert calls == [RunRequest(make_job("film.mp4", "dub.wav", config), config)]
    job = calls[0].job
    assert job.video == Path("film.mp4").absolute()
    assert {job.script, job.shots, job.analysis, job.verdicts, calls[0].until} == {None}
    assert calls[0].dry_run is calls[0].overwrite is False


def test_flags_come_after_set_so_that_they_win(calls: list[RunRequest]) -> None:
    flags = ["--set", "stitch.length=shortest", "--length", "freeze", "--faces", "all"]
    more = ["--silence", "hold", "--on-failure", "original"]
    runner.invoke(app, ["run", "film.mp4", "-a", "dub.wav", *flags, *more])
    settings = [
        "stitch.length=freeze",
        "generate.silence=hold",
        "faces.which=all",
        "parallel.on_failure=original",
    ]
    assert calls[0].config == load_config(settings=settings)


def test_repeatable_flags_keep_their_order(calls: list[RunRequest], tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("[generate]\nquality = 30.0\n")
    flags = ["-p", "broadcast", "-p", str(own), "--force", "faces", "--force", "stitch"]
    runner.invoke(app, ["run", "film.mp4", "-a", "dub.wav", *flags])
    broadcast = load_config(["broadcast"])
    assert broadcast.generate.quality != 30.0
    later = broadcast.generate.model_copy(update={"quality": 30.0})
    assert calls[0].config == broadcast.model_copy(update={"generate": later})
    assert calls[0].force == ("faces", "stitch")


@pytest.mark.parametrize(
    "name", ["-dash.mp4", 'it\'s "quoted".mp4', "фильм ünï.mp4", "two  spaces.mp4"]
)
def test_odd_names_arrive_as_they_are(calls: list[RunRequest], name: str) -> None:
    result = runner.invoke(app, ["run", "-a", "dub.wav", "--", name])
    assert result.exit_code == 0, result.stderr
    assert calls[0].job.video == Path(name).absolute()


def test_offline_tells_every_worker(
    calls: list[RunRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "0")
    monkeypatch.setitem(os.environ, "TRANSFORMERS_OFFLINE", "0")
    monkeypatch.setitem(os.environ, "HF_DATASETS_OFFLINE", "0")
    runner.invoke(app, ["run", "film.mp4", "-a", "dub.wav", "--offline"])
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_stdout_holds_the_answer_and_nothing_else(calls: list[RunRequest]) -> None:
    loud = runner.invoke(app, ["run", "film.mp4", "-a", "dub.wav"])
    quiet = runner.invoke(app, ["run", "film.mp4", "-a", "dub.wav", "-q"])
    assert loud.stdout.splitlines()[-1] == "film.dubbed.mp4"
    assert "25.0 frames/s" in loud.stdout
    assert quiet.stdout == "film.dubbed.mp4\n"


def test_a_partial_run_exits_10_and_lists_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = ("shot 0000000-0000050: the face is too small",)
    partial = RunResult(Path("film.dubbed.mp4"), 10, frames=50, seconds=2.0, kept=kept)
    monkeypatch.setattr(lazy.api, "run_job", lambda *_, **__: partial)
    result = runner.invoke(app, ["run", "film.mp4", "-a", "dub.wav"])
    assert result.exit_code == 10
    assert kept[0] in result.stdout
    as_json = runner.invoke(app, ["run", "film.mp4", "-a", "dub.wav", "--json"])
    last = json.loads(as_json.stdout)
    assert (last["status"], last["exit_code"]) == ("partial", 10)
    assert last["facts"]["shots_with_original_picture"] == list(kept)


def test_a_dry_run_shows_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = (
        UnitState("probe", "job", True, "current"),
        UnitState("shots", "job", False, "settings [changed]"),
    )
    planned = RunResult(Path("film.dubbed.mp4"), 0, plan=plan)
    monkeypatch.setattr(lazy.api, "run_job", lambda *_, **__: planned)
    result = runner.invoke(app, ["run", "film.mp4", "-a", "dub.wav", "--dry-run"])
    assert "settings [changed]" in result.stdout
    assert "1 of 2 units to do" in result.stdout
    as_json = runner.invoke(app, ["run", "film.mp4", "-a", "dub.wav", "--dry-run", "--json"])
    last = json.loads(as_json.stdout)
    assert last["status"] == "planned"
    assert [line["current"] for line in last["facts"]["plan"]] == [True, False]


FREE = {
    "language",
    "trust_script",
    "adapt",
    "actor",
    "jobs",
    "backend",
    "scheduler",
    "device",
    "dub_offset",
    "label",
}


@pytest.mark.parametrize("name", sorted(set(OF_SETTING) - FREE))
def test_flags_show_the_choices_that_the_configuration_knows(name: str) -> None:
    section, key = OF_SETTING[name].split(".")
    choices = get_args(type(getattr(Config(), section)).model_fields[key].annotation)
    if not choices:  # an engine; the one that does nothing is for trying the pipeline
        choices = tuple(engine for engine in ENGINES[key] if engine != "passthrough")
    alias = {"on_failure": options.OnFailure, "keep_audio": options.KeepAudio}.get(
        name, getattr(options, name.title(), None)
    )
    option = get_args(alias)[1]
    listed = re.sub(r"\(.*?\)|\bor\b", "", option.help.partition(":")[2])  # without explanations
    assert sorted(re.findall(r"[\w-]+", listed)) == sorted(choices)


@pytest.mark.parametrize(
    ("flags", "setting", "value"),
    [
        (["--language", "pt-br"], "language", "pt-br"),
        (["--trust-script"], "trust_script", True),
        ([], "trust_script", False),
    ],
)
def test_flags_about_the_script_reach_the_settings(
    calls: list[RunRequest], flags: list[str], setting: str, value: object
) -> None:
    runner.invoke(app, ["run", "film.mp4", "-a", "dub.wav", *flags])
    assert getattr(calls[0].config.speech, setting) == value


@pytest.mark.parametrize(
    ("flags", "value"),
    [
        ([], False),
        (["--set", "adapt.enabled=auto"], "auto"),
        (["--adapt"], True),
        (["--no-adapt"], False),
    ],
)
def test_adapting_is_insisted_on_switched_off_or_left_to_the_film(
    calls: list[RunRequest], flags: list[str], value: object
) -> None:
    runner.invoke(app, ["run", "film.mp4", "-a", "dub.wav", *flags])
    assert calls[0].config.adapt.enabled == value


def test_languages_are_listed_with_their_codes() -> None:
    listed = json.loads(runner.invoke(app, ["languages", "--json"]).stdout)
    assert {"code": "en"}.items() <= next(row for row in listed if row["code"] == "en").items()
    assert "English" in runner.invoke(app, ["languages"]).stdout
