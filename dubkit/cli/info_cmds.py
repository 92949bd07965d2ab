"""What is installed and can be chosen: ``dubkit doctor``, ``languages``, ``presets``, ``config`` and ``schema``."""

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

    from dubkit.config.presets import Layer
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


presets = typer.Typer(cls=command.DubkitGroup, no_args_is_help=True, help="List presets.")


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


config = typer.Typer(
    cls=command.DubkitGroup,
    no_args_is_help=True,
    help="Show and check settings, with their sources.",
)

Around = Annotated[
    Path | None,
    typer.Argument(
        metavar="MOVIE",
        help="A film or a folder: settings of a dubkit.toml there or above it count.",
        show_default="the current folder",
    ),
]


@config.command(cls=command.DubkitCommand)
def show(
    movie: Around = None,
    preset: o.Presets = None,
    setting: o.Settings = None,
    json: o.Json = False,
) -> None:
    """Show every setting with its value for a run on MOVIE, and where that value comes from.

    Defaults give way to dubkit.toml (or \\[tool.dubkit] of a pyproject.toml), that to variables like
    DUBKIT_FACES__WHICH, those to presets, presets to --set, and that to the flags of a command.

    \b
    Examples:
      dubkit config show
      dubkit config show --preset broadcast --set generate.quality=12
      dubkit config show movie.mp4
    """
    layers = _layers(movie, preset, setting)
    found = lazy.presets.validate(layers)
    origins = lazy.presets.origins(layers)
    if json:
        console.write_json({"settings": found.model_dump(mode="json"), "sources": origins})
        return
    rows = [
        (path, _toml(value), origins.get(path, "default"), about)
        for path, value, about in _settings(found)
    ]
    console.stdout_console().print(console.table(("setting", "value", "from", "meaning"), rows))


@config.command(cls=command.DubkitCommand)
def check(movie: Around = None, preset: o.Presets = None, setting: o.Settings = None) -> None:
    """Check presets and all other settings together, as a run on MOVIE would use them; list every problem.

    \b
    Examples:
      dubkit config check --preset my-preset.toml
      dubkit config check movie.mp4 --preset preview --set faces.which=all
    """
    layers = _layers(movie, preset, setting)
    lazy.presets.validate(layers)
    used = dict.fromkeys(layer.origin for layer in layers if layer.values)
    console.write_line("valid: " + (", ".join(used) or "the defaults"))


def _layers(movie: Path | None, names: list[str] | None, settings: list[str] | None) -> list[Layer]:
    place = movie or Path.cwd()
    folder = place if place.is_dir() else place.parent
    found: list[Layer] = lazy.presets.find_layers(names or (), settings or (), folder=folder)
    return found


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
