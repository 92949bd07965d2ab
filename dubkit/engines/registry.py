"""Engines by name: which module and class, and which extra brings its library.

A name from the tables below, or ``package.module:Class`` for an engine from elsewhere. ``auto``
takes the first engine of its kind whose library is there; a named engine is never replaced.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

from dubkit.errors import ConfigError, MissingDependency

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an engine is; ``needs`` is the library that it imports, ``extra`` what brings it."""

    target: str  # module:Class
    needs: str | None = None
    extra: str | None = None


ENGINES: dict[str, dict[str, Entry]] = {  # best first: the order in which ``auto`` tries
    "shots": {
        "adaptive": Entry("dubkit.engines.scenedetect:AdaptiveShots", "scenedetect"),
        "content": Entry("dubkit.engines.scenedetect:ContentShots", "scenedetect"),
        "fixed": Entry("dubkit.engines.plain:FixedShots"),
    },
    "detector": {"embedded": Entry("dubkit.engines.embedded_faces:EmbeddedDetector", "torch")},
    "landmarker": {"embedded": Entry("dubkit.engines.embedded_faces:EmbeddedLandmarker", "torch")},
    "aligner": {
        "pocketsphinx": Entry("dubkit.engines.pocketsphinx:PocketsphinxAligner", "pocketsphinx"),
        "even": Entry("dubkit.engines.even:EvenAligner"),
    },
    "synthesizer": {
        "tcsc": Entry("dubkit.engines.tcsc:TcscSynthesizer", "torch"),
        "passthrough": Entry("dubkit.engines.passthrough:PassthroughSynthesizer"),
    },
}
PLANNED = {("aligner", "whisperx"), ("detector", "retinaface")}
MANDATORY = "reinstall dubkit: pip install --force-reinstall dubkit"


def choose(kind: str, name: str) -> tuple[str, str]:
    """The engine that ``name`` means, and why: ``("even", "named in the settings")``.

    Raises ConfigError for a name that is not known.
    """
    known = ENGINES[kind]
    if name != AUTO:
        _entry(kind, name)
        return name, "named in the settings"
    usable = [key for key, entry in known.items() if not entry.needs or _present(entry.needs)]
    if not usable:
        raise MissingDependency(
            f"no {kind} engine can run: {', '.join(known)} lack their libraries", hint=MANDATORY
        )
    missed = list(known)[: list(known).index(usable[0])]
    why = f"auto: {', '.join(missed)} not installed" if missed else "auto: the best one there is"
    return usable[0], why


def load_engine(kind: str, name: str, settings: object, device: str = "cpu") -> Any:
    """Build the engine of ``kind`` (a key of `ENGINES`) as ``Engine(settings, device=device)``.

    Raises MissingDependency where its library is absent, with the line that installs it.
    """
    return engine_class(kind, name)(settings, device=device)


def engine_class(kind: str, name: str) -> Any:
    """The class of an engine, imported."""
    name, _ = choose(kind, name)
    entry = _entry(kind, name)
    module_name, _, attribute = entry.target.partition(":")
    module = load_module(module_name, what=f"{kind} engine {name}", extra=entry.extra)
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ConfigError(
            f"{module_name} has no {attribute}, which {kind} engine {name} should be"
        ) from None


def load_module(module_name: str, *, what: str, extra: str | None = None) -> Any:
    """Import an adapter. The package's one place where a missing library is met."""
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if missing.split(".")[0] == "dubkit":
            raise
        raise MissingDependency(
            f"{what} needs {missing}, which is not installed", hint=_install(missing, extra)
        ) from None


def _entry(kind: str, name: str) -> Entry:
    known = ENGINES[kind]
    if name in known:
        return known[name]
    module, colon, attribute = name.partition(":")
    if colon and module and attribute.isidentifier():
        return Entry(name)
    hint = f"known: {', '.join([AUTO, *known])}, or module:Class for one of your own"
    if (kind, name) in PLANNED:
        raise ConfigError(f"the {kind} engine {name} is not in this version of dubkit", hint=hint)
    raise ConfigError(f"there is no {kind} engine named {name!r}", hint=hint)


def _present(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def _install(missing: str, extra: str | None) -> str:
    if extra:
        return f"pip install 'dubkit[{extra}]'"
    return f"pip install {missing.split('.')[0]}"
