"""Presets and the other sources of settings: each holds differences from the defaults; merged, then validated once.

Precedence: defaults (`dubkit.config.schema`) < the project's file < environment variables < presets from left to
right < ``--set a.b=c`` < flags. The project's file is the nearest ``dubkit.toml``, or ``pyproject.toml`` with a table
``[tool.dubkit]``, in the folder of the film or above it; it has the form of a preset. A variable is called
``DUBKIT_SECTION__KEY``.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dubkit.config.flags import FlagSetting, Settings
from dubkit.config.schema import Config
from dubkit.errors import ConfigError

Table = dict[str, Any]
_LARGEST = 2**20  # bytes of a preset
PROJECT_FILES = ("dubkit.toml", "pyproject.toml")
_VARIABLE = "DUBKIT_"  # begins the name of a variable; the parts of a setting stand between __
ENGINE_SETTINGS = frozenset(
    (
        "shots.detector",
        "faces.detector",
        "faces.landmarker",
        "appearance.engine",
        "speech.aligner",
        "generate.synthesizer",
    )
)
_PACKAGE = Path(__file__).resolve().parents[1]
_REMOVED = {
    "adapt.likeness": "was removed: the stage cast knows who is one person; see cast.likeness",
    "link": "was removed: shots no longer share frames, which hardly helped; delete it",
    "gate.note": "was removed: put the remark into a verdict file and give it with --verdicts",
    "gate.verdict": "was removed: put the verdict into a verdict file and give it with --verdicts",
    "train.landmarks": "was removed together with `dubkit train landmarks`; delete it",
    "train.prepare.min_sharpness": "is called train.prepare.min_focus now",
    "train.tc.course": "is called train.tc.correlation now",
    "train.tc.deaf": "is called train.tc.sound_dropout now",
}
"""Settings that older versions had, with what to do about them."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings and the name under which its mistakes are reported."""

    origin: str
    values: Table


@dataclass(frozen=True, slots=True)
class PresetInfo:
    """A preset as ``dubkit presets list`` shows it."""

    name: str
    path: Path
    description: str


def preset_folders() -> list[Path]:
    """Where named presets live: inside the installed package, or beside it in a source checkout."""
    return [
        folder for folder in (_PACKAGE / "_presets", _PACKAGE.parent / "presets") if folder.is_dir()
    ]


def list_presets() -> list[PresetInfo]:
    """All named presets in order of name; one that cannot be read is listed with the reason."""
    found: dict[str, PresetInfo] = {}
    for path in (path for folder in preset_folders() for path in sorted(folder.glob("*.toml"))):
        try:
            description = str(_read(path).get("description", ""))
        except ConfigError as error:
            description = f"cannot be used: {error.message}"
        found.setdefault(path.stem, PresetInfo(path.stem, path, description))
    return [found[name] for name in sorted(found)]


def find_preset(name: str) -> Path:
    """The file of a preset: a known name, or a path to a TOML file. Raises ConfigError."""
    if name.endswith(".toml") or "/" in name:
        path = Path(name).expanduser()
        if _is_file(path):
            return path
        raise ConfigError(f"there is no preset file {path}")
    for folder in preset_folders():
        if _is_file(folder / f"{name}.toml"):
            return folder / f"{name}.toml"
    names = [preset.name for preset in list_presets()]
    raise ConfigError(
        f"there is no preset named {name!r}",
        hint=f"{_meant(name, names)}known: {', '.join(names)}; or give a path to a .toml file",
    )


def _is_file(path: Path) -> bool:
    """Whether there is such a file; no name is too long to ask, and none too strange."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _meant(name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}? " if near else ""


def load_config(
    presets: Sequence[str] = (),
    settings: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
) -> Config:
    """All sources of settings, merged: presets by name or file, ``a.b=c`` settings, flags (dotted path -> value,
    None: not given), whose last part is their name.

    ``folder`` is where the project's file is searched, there and above; None: there is none. Raises ConfigError that
    lists every bad key with its source.
    """
    return validate(find_layers(presets, settings, flags, folder=folder))


def find_layers(
    presets: Sequence[str] = (),
    settings: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
) -> list[Layer]:
    """The sources of settings of `load_config`, the weakest first."""
    layers = surroundings(folder)
    layers += [layer for name in presets for layer in _chain(find_preset(name), ())]
    layers += [Layer(_origin(text), parse_setting(text)) for text in settings]
    for path, value in (flags or {}).items():
        if value is not None:
            layers.append(Layer(f"--{path.rpartition('.')[2]}", _nest(path, value)))
    return layers


def _origin(text: str) -> str:
    return text.origin if isinstance(text, FlagSetting) else f"--set {text}"


def surroundings(folder: Path | None) -> list[Layer]:
    """What no command line names: the project's file with all that it extends, and the environment's variables."""
    project = project_file(folder)
    return [*(_project(project) if project else ()), *_variables(os.environ)]


def project_file(folder: Path | None) -> Path | None:
    """The nearest file of a project's settings, in a folder or above it.."""
    for place in () if folder is None else (folder.absolute(), *folder.absolute().parents):
        for name in PROJECT_FILES:
            if (place / name).is_file() and (name == PROJECT_FILES[0] or _tool(place / name)):
                return place / name
    return None


def _tool(path: Path) -> bool:
    """Whether a pyproject.toml speaks of dubkit; one of others that is broken or huge is none of our business."""
    try:
        return isinstance(_read(path).get("tool", {}).get("dubkit"), dict)
    except (ConfigError, AttributeError):
        return False


def _project(path: Path) -> list[Layer]:
    """A file that lies beside films may come with them: it names no Python code to load."""
    layers = _chain(path, ())
    for layer in layers:
        for section, key in (name.split(".") for name in sorted(ENGINE_SETTINGS)):
            table = layer.values.get(section)
            if isinstance(table, dict) and ":" in str(table.get(key, "")):
                raise ConfigError(
                    f"{layer.origin} names an engine of one's own, {section}.{key} = {table[key]!r}",
                    hint="a project's file may not; give it with --preset or --set",
                )
    return layers


def _variables(environment: Mapping[str, str]) -> Iterator[Layer]:
    for name in sorted(environment):
        section, separator, _ = name.removeprefix(_VARIABLE).partition("__")
        if name.startswith(_VARIABLE) and separator and section and environment[name]:
            path = name.removeprefix(_VARIABLE).lower().replace("__", ".")
            yield Layer(f"${name}", _nest(path, _value(environment[name])))


def origins(layers: Sequence[Layer]) -> dict[str, str]:
    """Where each setting that some source names comes from, by its dotted path; call it once they are valid."""
    found: dict[str, str] = {}
    for layer in layers:
        found |= {path: layer.origin for path, _ in _leaves(layer.values)}
    return found


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def load_differences(name: str) -> Table:
    """What a preset and those that it extends say, merged. Raises ConfigError where it cannot be read."""
    return merge(_chain(find_preset(name), ()))


def over(config: Config, differences: Table, origin: str) -> Config:
    """A configuration with differences laid over it. Raises ConfigError that names ``origin``."""
    return validate([Layer("the run", config.model_dump()), Layer(origin, differences)])


def parse_setting(text: str) -> Table:
    """``faces.which=all`` as a nested table; the value is TOML, or a bare string."""
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals or len(keys) < 2 or not all(keys):
        raise ConfigError(
            f"cannot read the setting {text!r}",
            hint="write section.key=value, as in faces.which=all",
        )
    return _nest(path.strip(), _value(value.strip()))


def as_settings(given: Settings) -> list[str]:
    """Settings as `load_config` reads them, of a table (nested, or by dotted paths) or of such texts themselves."""
    if not isinstance(given, Mapping):
        return list(given)
    table: Table = {}
    for key, value in given.items():
        table = _over(table, _nest(key, value))
    return [f"{path}={_as_toml(value)}" for path, value in _leaves(table)]


def _as_toml(value: object) -> str:
    return "none" if value is None else json.dumps(value, default=str)


def merge(layers: Sequence[Layer]) -> Table:
    """Later layers over earlier ones, table by table; nothing is checked here."""
    merged: Table = {}
    for layer in layers:
        merged = _over(merged, layer.values)
    return merged


def validate(layers: Sequence[Layer]) -> Config:
    """Merge and validate once. Raises ConfigError that lists every problem and its origin."""
    try:
        return Config.model_validate(merge(layers))
    except ValidationError as error:
        problems = [_problem(dict(entry), layers) for entry in error.errors(include_url=False)]
    count = "a setting is" if len(problems) == 1 else f"{len(problems)} settings are"
    raise ConfigError(
        f"{count} wrong: " + "; ".join(problems), hint="dubkit config show lists all settings"
    )


def _problem(entry: Mapping[str, Any], layers: Sequence[Layer]) -> str:
    location = [str(part) for part in entry["loc"]]
    origin = next(
        (layer.origin for layer in reversed(layers) if _holds(layer.values, location)), "?"
    )
    path = ".".join(location)
    if path in _REMOVED:
        return f"{path} ({origin}): the setting {_REMOVED[path]}"
    if entry["type"] == "extra_forbidden":
        return f"{path} ({origin}): there is no such setting; {_siblings(location)}"
    return f"{path} ({origin}): {entry['msg'][0].lower()}{entry['msg'][1:]}, not {entry['input']!r}"


def _siblings(location: Sequence[str]) -> str:
    model: type[BaseModel] = Config
    for key in location[:-1]:
        kind = model.model_fields[key].annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return "its section has none"
        model = kind
    names = list(model.model_fields)
    near = get_close_matches(location[-1], names, n=1)
    if near:
        return f"did you mean {'.'.join([*location[:-1], near[0]])}?"
    return f"known here: {', '.join(names)}"


def _holds(values: object, location: Sequence[str]) -> bool:
    for key in location:
        if not isinstance(values, dict):
            return True  # the mistake is a value where a table should be
        if key not in values:
            return False
        values = values[key]
    return True


def _chain(path: Path, seen: tuple[Path, ...]) -> list[Layer]:
    path = path.resolve()
    if path in seen:
        names = " -> ".join(step.stem for step in (*seen, path))
        raise ConfigError(f"presets extend each other in a cycle: {names}")
    table = _read(path)
    if path.name == PROJECT_FILES[1]:
        table = dict(table.get("tool", {}).get("dubkit", {}))
    table.pop("description", None)
    parents = table.pop("extends", [])
    parents = [parents] if isinstance(parents, str) else parents
    if not isinstance(parents, list) or not all(isinstance(name, str) for name in parents):
        raise ConfigError(f"{path}: extends must be the name of a preset or a list of names")
    layers = [layer for name in parents for layer in _chain(_parent(name, path), (*seen, path))]
    return [*layers, Layer(str(path), table)]


def _parent(name: str, child: Path) -> Path:
    """What a preset extends: one beside it, or a named one; never a file that lies elsewhere."""
    if Path(name).name != name:
        raise ConfigError(
            f"{child} extends {name!r}, which is a path", hint="name a preset, or a file beside it"
        )
    beside = child.parent / (name if name.endswith(".toml") else f"{name}.toml")
    return beside if _is_file(beside) and beside.resolve() != child else find_preset(name)


def _read(path: Path) -> Table:
    try:
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"the preset {path} is larger than {_LARGEST >> 20} MiB")
        table: Table = tomllib.loads(path.read_text(encoding="utf-8"))
        return table
    except RecursionError as error:
        raise ConfigError(f"the preset {path} is nested too deeply") from error
    except ValueError as error:
        raise ConfigError(f"the preset {path} is not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"the preset {path} cannot be read: {error.strerror}") from error


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return None if text.lower() in ("none", "null") else text


def _nest(path: str, value: Any) -> Table:
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


def _over(base: Table, top: Mapping[str, Any]) -> Table:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = (
            _over(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
        )
    return merged
