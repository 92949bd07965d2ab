"""What is installed and can be chosen: ``dubkit doctor``, ``languages``, ``presets`` and ``schema``."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubkit.cli import command, console, lazy, options as o

if TYPE_CHECKING:
    from pydantic import BaseModel
import json


def doctor(json: o.Json = False) -> None:
    """Check programs, packages, engines, weights, devices, and disk space.

    Exits with code 4 if dubkit run cannot work here.

    \b
    Examples:
      dubkit doctor
      dubkit doctor --json
    """
    found = list(lazy.doctor_checks.all_checks(Path.cwd()))
    if json:
        lines = [{**asdict(check), "state": check.state.value} for check in found]
        console.write_json({"checks": lines})
    else:
        heads = ("", "", "state", "", "how to fix it")
        rows = [(c.group, c.name, c.state.value, c.detail, c.hint or "") for c in found]
        console.stdout_console().print(console.table(heads, rows))
    error = lazy.doctor_checks.main_job_error(found)
    if error:
        raise error
    if not json:
        console.write_line("dubkit run works here; whatever is not installed is optional")


def languages(json: o.Json = False) -> None:
    """List the languages that a dub may be in, with the codes for --language.

    English is built in; the others need espeak-ng: pip install 'dubkit\\[languages]'.

    \b
    Examples:
      dubkit languages
      dubkit languages --json
    """
    espeak = lazy.espeak
    found = [("en", "English")]
    if espeak.available():
        listed = espeak.espeak().languages().values()
        found = [(language.code, language.name) for language in listed]
    if json:
        console.write_json([{"code": code, "name": name} for code, name in found])
        return
    console.stdout_console().print(console.table(("code", "language"), found))
    if not espeak.available():
        console.write_line(f"for more languages: {espeak.INSTALL}")


presets = typer.Typer(
    cls=command.DubkitGroup, no_args_is_help=True, help="List, show, and check presets."
)

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Names or TOML files of presets.", show_default=False),
]


@presets.command("list", cls=command.DubkitCommand)
def list_(json: o.Json = False) -> None:
    """List the presets that come with dubkit.

    \b
    Examples:
      dubkit presets list
      dubkit presets list --json
    """
    found = lazy.presets.list_presets()
    if json:
        console.write_json([{"name": p.name, "description": p.description} for p in found])
        return
    rows = [(preset.name, preset.description) for preset in found]
    console.stdout_console().print(console.table(("preset", "purpose"), rows))


@presets.command(cls=command.DubkitCommand)
def show(names: Names = None, setting: o.Settings = None, json: o.Json = False) -> None:
    """Show every setting with its value under the presets NAME, and its meaning.

    \b
    Examples:
      dubkit presets show
      dubkit presets show broadcast --set generate.quality=12
    """
    config = lazy.presets.load_config(names or (), setting or ())
    if json:
        console.write_line(config.model_dump_json())
        return
    default = lazy.presets.load_config()
    usual = {path: value for path, value, _ in _settings(default)}
    changed, rows = default != config, []
    for path, value, about in _settings(config):
        rows.append((path, _toml(value), "*" if value != usual[path] else "", about))
    console.stdout_console().print(
        console.table(("setting", "value", "*" if changed else "", "meaning"), rows)
    )


@presets.command(cls=command.DubkitCommand)
def check(names: Names = None, setting: o.Settings = None) -> None:
    """Check presets together, as a run would use them; lists every problem (exit code 2).

    \b
    Examples:
      dubkit presets check my-preset.toml
      dubkit presets check preview my-preset.toml --set faces.which=all
    """
    lazy.presets.load_config(names or (), setting or ())
    console.write_line("valid: " + (", ".join(names) if names else "the defaults"))


def _settings(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Every setting with its dotted path, its value and its meaning."""
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if hasattr(type(value), "model_fields"):
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value, field.description or ""


def _toml(value: Any) -> str:
    return "none" if value is None else jsonlib.dumps(value)


def schema() -> None:
    """Print the JSON Schema of a line of --json output, with the exit codes.

    \b
    Examples:
      dubkit schema > events.schema.json
    """
    console.write_line(json.dumps(lazy.event_schema.event_schema(), indent=2))
