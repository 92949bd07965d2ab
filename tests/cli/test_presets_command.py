from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.config.presets import load_config
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


def test_show_lists_every_setting_with_its_source_and_meaning() -> None:
    result = runner.invoke(app, ["config", "show", "--set", "generate.amplitude=1.5"])
    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    shown = {row[0]: row[1:] for row in rows}
    assert set(shown) == set(dotted(Config().model_dump()))
    assert shown["generate.amplitude"][:3] == ["1.5", "--set", "generate.amplitude=1.5"]
    assert shown["generate.feather"][1] == "default"
    assert all(len(row) > 3 for row in rows)


def test_shown_json_is_the_resolved_configuration_with_its_sources() -> None:
    command = ["config", "show", "--json", "--set", "generate.amplitude=1.5"]
    result = json.loads(runner.invoke(app, command).stdout)
    wanted = load_config(settings=["generate.amplitude=1.5"])
    assert Config.model_validate(result["settings"]) == wanted
    assert result["sources"] == {"generate.amplitude": "--set generate.amplitude=1.5"}


def test_show_looks_around_the_film(tmp_path: Path) -> None:
    (tmp_path / "dubkit.toml").write_text('[faces]\nwhich = "all"\n', encoding="utf-8")
    (tmp_path / "reel 1").mkdir()
    film = tmp_path / "reel 1" / "film.mp4"
    result = json.loads(runner.invoke(app, ["config", "show", str(film), "--json"]).stdout)
    assert result["settings"]["faces"]["which"] == "all"
    assert result["sources"] == {"faces.which": str(tmp_path / "dubkit.toml")}


def test_check_lists_every_mistake_with_its_file(tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text('[faces]\nwhich = "nobody"\n[stitch]\nlenght = "freeze"\n', encoding="utf-8")
    result = runner.invoke(app, ["config", "check", "--preset", str(preset)])
    assert result.exit_code == 2
    assert "faces.which" in result.stderr
    assert "did you mean stitch.length?" in result.stderr
    assert result.stderr.count("mine.toml") == 2


def test_check_accepts_a_good_preset(tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text('extends = "preview"\n[faces]\nwhich = "all"\n', encoding="utf-8")
    result = runner.invoke(app, ["config", "check", "--preset", str(preset)])
    assert result.exit_code == 0
    assert str(preset) in result.stdout


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    result = runner.invoke(app, ["config", "show", "--preset", "brodcast"])
    assert result.exit_code == 2
    assert "did you mean broadcast?" in result.stderr
    assert "balanced" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["run", "a.mp4", "b c.wav"], "dubkit run a.mp4 --audio 'b c.wav'"),
        (["plan", "a.mp4", "b.wav"], "dubkit plan a.mp4 --audio b.wav"),
        (["run", "a.mp4", "b.mp4", "--audio", "c.wav"], "dubkit batch"),
        (["run", "a.mp4", "b.mp4", "c.mp4"], "dubkit batch"),
    ],
)
def test_a_second_file_name_is_answered_with_what_to_type(arguments: list[str], hint: str) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert "takes one film" in result.stderr
    assert hint in result.stderr
