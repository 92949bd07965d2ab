from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dubkit import __version__
from dubkit.cli import lazy
from dubkit.cli.app import app
from dubkit.errors import (
    ConfigError,
    DubkitError,
    InputError,
    MissingDependency,
    ModelError,
    OutputError,
    ToolError,
    UsageError,
    WorkError,
)

runner = CliRunner()


def test_version_is_the_packages_own() -> None:
    result = runner.invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.strip() == f"dubkit {__version__}"


@pytest.mark.parametrize(
    "command", [[], ["run"], ["status"], ["presets"], ["config", "show"], ["doctor"], ["demo"]]
)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = runner.invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def commands(group: Any, *before: str) -> Iterator[tuple[str, Any]]:
    """All commands by their names, with the names of the groups that they are in."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *before, name)
        else:
            yield " ".join((*before, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_has_an_example_and_breaks_lines_only_where_the_terminal_ends(name: str) -> None:
    shown = runner.invoke(app, [*name.split(), "--help"], env={"COLUMNS": "1000"}).stdout
    assert f"  dubkit {name}" in shown
    assert "<bool>" not in shown
    paragraphs = inspect.cleandoc(COMMANDS[name].callback.__doc__).split("\n\n")
    lines = {line.strip() for line in shown.splitlines()}
    told = [" ".join(p.split()).replace("\\[", "[") for p in paragraphs if "\b" not in p]
    assert not {paragraph for paragraph in told if paragraph not in lines}


def test_help_shows_what_stands_in_brackets() -> None:
    shown = runner.invoke(app, ["languages", "--help"]).stdout
    assert "dubkit[languages]" in " ".join(shown.split())


@pytest.mark.parametrize(
    "kind",
    [
        UsageError,
        ConfigError,
        InputError,
        MissingDependency,
        ToolError,
        WorkError,
        ModelError,
        OutputError,
    ],
)
def test_a_deliberate_error_is_a_message_a_hint_and_its_exit_code(
    kind: type[DubkitError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise kind("the film [1] is broken", hint="take another")

    monkeypatch.setattr(lazy.api, "run_job", fail)
    result = runner.invoke(app, ["run", "film.mp4", "--audio", "dub.wav"])
    assert result.exit_code == kind.exit_code
    assert result.stderr == "error: the film [1] is broken\nhint: take another\n"
    assert result.stdout == ""


def test_ctrl_c_exits_130_and_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lazy.api, "run_job", interrupt)
    result = runner.invoke(app, ["run", "film.mp4", "--audio", "dub.wav"])
    assert result.exit_code == 130
    assert "same command" in result.stderr


def test_a_bug_is_a_traceback_not_a_polite_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(lazy.api, "run_job", crash)
    result = runner.invoke(app, ["run", "film.mp4", "--audio", "dub.wav"])
    assert isinstance(result.exception, ZeroDivisionError)
    assert result.exit_code == 1


def test_a_missing_flag_value_exits_2() -> None:
    assert runner.invoke(app, ["run", "film.mp4"]).exit_code == 2


def test_a_missing_film_exits_3_with_one_sentence(tmp_path: Path) -> None:
    result = runner.invoke(app, ["run", str(tmp_path / "no film.mp4"), "-a", "dub.wav"])
    assert result.exit_code == 3
    assert "no film.mp4" in result.stderr
    assert result.stderr.count("\n") <= 2


def test_json_ends_with_a_result_also_when_it_fails(tmp_path: Path) -> None:
    result = runner.invoke(app, ["run", str(tmp_path / "none.mp4"), "-a", "dub.wav", "--json"])
    last = json.loads(result.stdout.splitlines()[-1])
    assert last["event"] == "result"
    assert last["status"] == "failed"
    assert last["exit_code"] == result.exit_code == 3
    assert last["error"]["kind"] == "InputError"
    assert "none.mp4" in last["error"]["message"]


def test_entry_point_is_what_the_package_declares() -> None:
    assert isinstance(app, typer.Typer)
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dubkit = "dubkit.__main__:main"' in text
