"""Engines by name: which module and class, and which extra brings its library.

A name from the tables below, or ``package.module:Class`` for an engine from elsewhere. ``auto``
takes the first engine of its kind whose library and weights are there; a named engine is never
replaced. Only here is it checked whether a library is installed.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any, TypeVar

from dubkit.errors import ConfigError, MissingDependency, ModelError

AUTO = "auto"
Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an engine is; ``needs`` is the library that it imports, ``extra`` what installs it.

    ``weights`` names the function that finds the weights of an engine that does not carry its own (see
    `find_weights`).
    """

    target: str  # module:Class
    needs: str | None = None
    extra: str | None = None
    package: str | None = None  # what the library is called where it is installed from
    weights: str | Callable[[Any], object] | None = None  # module:function
    scripts: bool = True  # whether it has an advantage where the words are known from a script

    def find_weights(self, settings: object) -> None:
        """Find the weights for a stage's ``settings``; raises ModelError where they are not on this machine."""
        find = self.weights
        if isinstance(find, str):
            module_name, _, function = find.partition(":")
            find = getattr(importlib.import_module(module_name), function)
        if find is not None:
            find(settings)

    @property
    def library(self) -> str | None:
        """The installed version of the library; None where there is none, or it needs none."""
        if self.package is None:
            there = self.needs is not None and importlib.util.find_spec(self.needs) is not None
            return "" if there else None
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None


ENGINES: dict[str, dict[str, Entry]] = {  # best first: the order in which ``auto`` tries
    "shots": {
        "adaptive": Entry("dubkit.engines.shot_detectors:AdaptiveShots", "scenedetect"),
        "content": Entry("dubkit.engines.shot_detectors:ContentShots", "scenedetect"),
        "fixed": Entry("dubkit.engines.shot_detectors:FixedShots"),
    },
    "detector": {
        "retinaface": Entry(
            "dubkit.faces.retinaface:RetinafaceDetector",
            "torch",
            weights="dubkit.weights.locate:retinaface",
        ),
        "embedded": Entry("dubkit.faces.embedded:EmbeddedDetector", "torch"),
    },
    "landmarker": {"embedded": Entry("dubkit.faces.embedded:EmbeddedLandmarker", "torch")},
    "appearance": {"embedded": Entry("dubkit.faces.embedded:EmbeddedAppearance", "torch")},
    "aligner": {
        "whisperx": Entry(
            "dubkit.speech.whisperx:WhisperxAligner",
            "whisperx",
            "whisperx",
            "whisperx",
            "dubkit.weights.locate:whisperx",
        ),
        "whisper": Entry(
            "dubkit.speech.whisper:WhisperAligner",
            "faster_whisper",
            "whisper",
            "faster-whisper",
            "dubkit.weights.locate:whisper",
            scripts=False,
        ),
        "pocketsphinx": Entry("dubkit.speech.pocketsphinx:PocketsphinxAligner", "pocketsphinx"),
        "even": Entry("dubkit.speech.uniform:EvenAligner"),
    },
    "synthesizer": {
        "tcsc": Entry("dubkit.lips.generator:TcscSynthesizer", "torch"),
        "warp": Entry("dubkit.lips.generator:WarpSynthesizer", "torch"),
        "passthrough": Entry("dubkit.engines.passthrough:PassthroughSynthesizer"),
    },
    "features": {
        "inception": Entry(
            "dubkit.evaluation.inception:InceptionFeatures",
            "torch_fidelity",
            "fid",
            "torch-fidelity",
            "dubkit.weights.locate:inception",
        )
    },
}
BEST = "auto: the best available"
MANDATORY = "reinstall dubkit: pip install --force-reinstall dubkit"


def choose(
    kind: str, name: str, settings: object = None, *, scripted: bool = False
) -> tuple[str, str]:
    """The engine that ``name`` means with a stage's ``settings``, and why: ``("even", "named in the
    settings")``; ``scripted`` passes over those that have nothing to offer where there is a script.

    Raises ConfigError for a name that is not known.
    """
    known = ENGINES[kind]
    if name != AUTO:
        _entry(kind, name)
        return name, "set explicitly"
    passed: list[str] = []
    for key, entry in known.items():
        if scripted and not entry.scripts:
            continue
        obstacle = _obstacle(key, entry, settings)
        if obstacle is None:
            return key, f"auto: {'; '.join(passed)}" if passed else BEST
        passed += [] if obstacle in passed else [obstacle]
    raise MissingDependency(f"no {kind} engine can run: {'; '.join(passed)}", hint=MANDATORY)


def runnable(kind: str, settings: object = None) -> list[str]:
    """The engines of a kind that could run with a stage's ``settings``, best first."""
    return [key for key, entry in ENGINES[kind].items() if _obstacle(key, entry, settings) is None]


def needs_weights(kind: str, name: str) -> bool:
    """Whether an engine of the table needs weights that do not come with it."""
    return ENGINES[kind][name].weights is not None


def chosen_line(kind: str, name: str, settings: object) -> str | None:
    """What `choose` takes for ``auto`` and why, for people; None for an engine that was named."""
    if name != AUTO:
        return None
    engine, why = choose(kind, name, settings)
    return f"{kind}: {engine} ({why})"


def load_engine(kind: str, name: str, settings: object, device: str = "cpu") -> Any:
    """Build the engine of ``kind`` (a key of `ENGINES`) as ``Engine(settings, device=device)``.

    Raises MissingDependency where its library is absent, with the line that installs it, and ModelError
    where its weights are, with the line that brings them.
    """
    name, _ = choose(kind, name, settings)
    return engine_class(kind, name)(settings, device=device)


@contextmanager
def released(engine: Loaded) -> Iterator[Loaded]:
    """An engine for a while; one that can ``close``, to let its nets go, does so afterward."""
    try:
        yield engine
    finally:
        close = getattr(engine, "close", None)
        if callable(close):
            close()


def engine_class(kind: str, name: str, settings: object = None) -> Any:
    """The class of an engine, imported."""
    name, _ = choose(kind, name, settings)
    entry = _entry(kind, name)
    module_name, _, attribute = entry.target.partition(":")
    what = f"{kind} engine {name}"
    if entry.package and entry.library is None:
        raise MissingDependency(
            f"{what} needs {entry.package}, which is not installed",
            hint=_install(entry.package, entry.extra),
        )
    module = load_module(module_name, what=what, extra=entry.extra)
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ConfigError(f"{module_name} has no {attribute}, which {what} should be") from None


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
    raise ConfigError(f"there is no {kind} engine named {name!r}", hint=hint)


def _obstacle(key: str, entry: Entry, settings: object) -> str | None:
    """What keeps ``auto`` from an engine, in words; None where nothing does."""
    if (entry.needs or entry.package) and entry.library is None:
        return f"{key} is not installed"
    if settings is not None:
        try:
            entry.find_weights(settings)
        except ModelError as error:
            first_way = (error.hint or "").partition(", or ")[0]
            return f"{error.message} ({first_way})" if first_way else error.message
    return None


def _install(missing: str, extra: str | None) -> str:
    if extra:
        return f"pip install 'dubkit[{extra}]'"
    return f"pip install {missing.split('.')[0]}"
