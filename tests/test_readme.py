"""What README promises about the command line is true."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dubkit import errors
from dubkit.cli import events
from dubkit.cli.app import app
from dubkit.config.presets import load_config

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
SHELL = "".join(re.findall(r"```sh\n(.+?)```", README, re.DOTALL))
COMMANDS = re.findall(r"^dubkit .+$", SHELL, re.MULTILINE)
LOCAL_LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def test_the_two_set_up_commands_are_lines_of_their_own() -> None:
    assert "\npip install . && dubkit demo\n" in README
    assert "\npip install '.[test]' && pytest\n" in README


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_shown_is_understood(line: str) -> None:
    root = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    context = root.make_context("dubkit", words, resilient_parsing=True)
    name = words[0]
    command = root.commands[name]  # type: ignore[attr-defined]
    rest = words[1:]
    if hasattr(command, "commands"):
        command, rest = command.commands[words[1]], words[2:]
    command.make_context(name, rest, parent=context)


def test_every_flag_of_run_is_explained() -> None:
    shown = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200"}).stdout
    flags = set(re.findall(r"--[a-z][a-z-]+", shown)) - {"--help", "--verbose", "--quiet"}
    assert flags
    assert not {flag for flag in flags if flag not in README}


def test_every_exit_code_is_listed() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, errors.DubkitError)}
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert listed == codes | {errors.EXIT_OK, errors.EXIT_BUG, errors.EXIT_PARTIAL}


def test_every_event_and_its_fields_are_listed() -> None:
    kinds = (events.Planned, events.Advanced, events.JobBegun, events.JobEnded)
    for kind in (*kinds, events.ShotPlanned, events.Noted, events.Warned, events.Result):
        row = next(
            line
            for line in README.splitlines()
            if line.startswith("| `") and f"`{kind.event}`" in line.split("|")[1]
        )
        names = [field.name for field in dataclasses.fields(kind)]
        assert all(f"`{name}`" in row for name in names)


def test_the_preset_shown_is_valid(tmp_path: Path) -> None:
    block = re.search(r"```toml\n(.+?)```", README, re.DOTALL)
    assert block
    path = tmp_path / "mine.toml"
    path.write_text(block[1], encoding="utf-8")
    assert load_config([str(path)]).faces.which == "all"


def test_every_link_within_the_page_leads_to_a_heading() -> None:
    heads = re.findall(
        r"^#+ (.+)$", re.sub(r"```.+?```", "", README, flags=re.DOTALL), re.MULTILINE
    )
    anchors = {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}
    assert not set(re.findall(r"\]\(#([^)]+)\)", README)) - anchors


def test_every_file_linked_is_there() -> None:
    root = Path(__file__).resolve().parents[1]
    assert all((root / target).exists() for target in LOCAL_LINK.findall(README))
