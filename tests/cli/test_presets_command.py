from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.config.schema import Config

runner = CliRunner()


def test_list_names_every_preset_with_its_purpose() -> None:
    listed = json.loads(runner.invoke(app, ["presets", "list", "--json"]).stdout)
    assert {"preview", "balanced", "broadcast"} <= {preset["name"] for preset in listed}
    assert all(preset["description"] for preset in listed)
    table = runner.invoke(app, ["presets", "list"]).stdout
    assert all(preset["name"] in table for preset in listed)


def dotted(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_show_lists_every_setting_with_its_meaning_and_marks_what_differs() -> None:
    result = runner.invoke(app, ["presets", "show", "--set", "generate.amplitude=1.5"])
    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    shown = {row[0]: row[1:] for row in rows}
    assert set(shown) == set(dotted(Config().model_dump()))
    assert shown["generate.amplitude"][:2] == ["1.5", "*"]
    assert shown["generate.feather"][1] != "*"


def test_shown_json_is_the_resolved_configuration() -> None:
    result = runner.invoke(app, ["presets", "show", "--json"])
    assert Config.model_validate_json(result.stdout) == Config()


def test_check_lists_every_mistake_with_its_file(tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text('[faces]\nwhich = "nobody"\n[stitch]\nlenght = "freeze"\n', encoding="utf-8")
    result = runner.invoke(app, ["presets", "check", str(preset)])
    assert result.exit_code == 2
    assert "faces.which" in result.stderr
    assert "stitch.lenght" in result.stderr
    assert result.stderr.count("mine.toml") == 2


def test_check_accepts_a_good_preset(tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text('extends = "preview"\n[faces]\nwhich = "all"\n', encoding="utf-8")
    assert runner.invoke(app, ["presets", "check", str(preset)]).exit_code == 0


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    result = runner.invoke(app, ["presets", "show", "nonsense"])
    assert result.exit_code == 2
    assert "balanced" in result.stderr
