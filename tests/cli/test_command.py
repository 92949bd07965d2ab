"""Help pages: what they show, and that nothing breaks on a terminal of 80 columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.cli.options import HIDDEN_ALIASES
from dubkit.config.flags import OF_SETTING
from dubkit.config.schema import STAGE_NAMES, Config
from dubkit.pipeline.job import STAGES

runner = CliRunner()


def commands(group: Any, *before: str) -> Iterator[tuple[str, Any]]:
    """All commands and groups by their names."""
    yield " ".join(before), group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *before, name)


COMMANDS = dict(commands(typer.main.get_command(app)))
OWN = [(name, p) for name, c in COMMANDS.items() for p in c.params if "completion" not in p.name]


def help_page(name: str, columns: int = 80) -> str:
    result = runner.invoke(app, [*name.split(), "--help"], env={"COLUMNS": str(columns)})
    assert result.exit_code == 0
    return result.stdout


def shown(name: str, parameter: Any) -> Any:
    """A parameter as help shows it."""
    command = COMMANDS[name]
    page = command.as_shown(typer.Context(command, info_name=name))
    return next(p for p in page.params if p.name == parameter.name)


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", list(COMMANDS))
def test_no_line_is_cut_and_no_example_is_wrapped(name: str, columns: int) -> None:
    page = help_page(name, columns)
    assert max(map(len, page.splitlines())) <= columns
    assert "…" not in page
    examples = (COMMANDS[name].help or "").partition("Examples:")[2].split("\n\n")[0]
    lines = {line.strip() for line in page.splitlines()}
    assert {line.strip() for line in examples.splitlines()} <= lines


@pytest.mark.parametrize("name", list(COMMANDS))
def test_usage_shows_plain_names(name: str) -> None:
    usage = help_page(name).partition("Usage:")[2].partition("\n")[0]
    assert usage.strip().startswith(f"dubkit {name}".strip()) or usage.strip().startswith("root")
    assert not set("{}<>") & set(usage)


@pytest.mark.parametrize(("name", "parameter"), OWN, ids=[f"{n} {p.name}" for n, p in OWN])
def test_every_option_has_a_help_and_a_default_or_is_required(name: str, parameter: Any) -> None:
    assert parameter.help
    assert parameter.help.endswith((".", "…"))
    is_switch = getattr(parameter, "is_flag", False) or getattr(parameter, "count", False)
    if parameter.param_type_name == "option" and not is_switch and not parameter.required:
        option = shown(name, parameter)
        assert option.show_default is True
        assert option.default not in (None, (), [])


@pytest.mark.parametrize(("name", "parameter"), OWN, ids=[f"{n} {p.name}" for n, p in OWN])
def test_defaults_of_settings_are_those_of_the_configuration(name: str, parameter: Any) -> None:
    section, _, key = OF_SETTING.get(parameter.name, "").partition(".")
    if section and not getattr(parameter, "is_flag", False):
        value = getattr(getattr(Config(), section), key)
        assert value is None or shown(name, parameter).default == value
        assert parameter.default is None  # help adds nothing to how a command line is read


def test_stages_are_listed_where_one_is_wanted() -> None:
    assert list(STAGE_NAMES) == [stage.name for stage in STAGES]
    page = re.sub(r"[│\s]+", " ", help_page("run"))
    assert page.count(", ".join(STAGE_NAMES)) == 2


@pytest.mark.parametrize("name", ["run", "batch"])
def test_the_old_spelling_of_license_is_understood_and_not_shown(name: str) -> None:
    (option,) = (p for p in COMMANDS[name].params if p.name == "license")
    assert set(HIDDEN_ALIASES) < set(option.opts)
    assert "licence" not in help_page(name)
