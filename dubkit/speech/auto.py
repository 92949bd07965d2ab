"""The aligner ``auto``: for each dub the best engine that has what its language needs.

The language is the one that was given, else the script's, else the one that a recognizing engine detects. In the last
case it is known only once the recognizer runs: where an engine that recognizes nothing has to align, it is given the
words that were recognized. A language that is only guessed counts where those words fit the sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from dubkit.config.schema import SpeechSettings
from dubkit.engines import base, registry, versions
from dubkit.records import Floats, ScriptLine, Speech
from dubkit.speech.g2p import guess

_KIND = "aligner"
_LAYS = "pocketsphinx"  # the engine that lays words on the sound which another recognized


class AlignerByLanguage:
    """See the module; implements `engines.base.Aligner`."""

    name = registry.AUTO

    def __init__(self, settings: SpeechSettings, device: str = "cpu") -> None:
        self.settings = settings
        self.device = device
        self._chosen = ""
        self._engines: dict[str, base.Aligner] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """Which engine was taken and why, and what the engines noted."""
        own = [note for engine in self._engines.values() for note in getattr(engine, "notes", ())]
        return (*([self._chosen] if self._chosen else []), *own)

    @property
    def version(self) -> str:
        """Of all engines that a dub may get."""
        return " or ".join(
            versions.identity(_KIND, name, self.settings) for name in self._candidates()
        )

    def close(self) -> None:
        """Let all engines go."""
        for engine in self._engines.values():
            close = getattr(engine, "close", None)
            if callable(close):
                close()
        self._engines.clear()

    def align(
        self, samples: Floats, script: tuple[ScriptLine, ...] | None, language: str | None
    ) -> Speech:
        """See `engines.base.Aligner`."""
        language = language or self.settings.language
        if language is None and script:
            language = guess(line.text for line in script)
        name = self._choose(language, scripted=bool(script))
        engine = self._engine(name)
        if language is None and not script and isinstance(engine, base.RecognizingAligner):
            return self._without_script(name, engine, samples)
        return engine.align(samples, script, language)

    def _without_script(
        self, name: str, engine: base.RecognizingAligner, samples: Floats
    ) -> Speech:
        """Align a dub of which nothing is known; ``engine`` can tell its language."""
        detected = engine.language_of(samples)
        if detected is None:  # silence
            return engine.align(samples, None, None)
        if detected.sure:
            other = self._engine(self._choose(detected.code))
            if isinstance(other, base.RecognizingAligner):
                speech = other.align(samples, None, detected.code)
                return replace(speech, warnings=(detected.remark, *speech.warnings))
        lines = engine.transcribe(samples, detected.code, detected.least)
        aligner: Any = self._engine(_LAYS)
        return cast(Speech, aligner.align_recognized(samples, lines, detected, name))

    def _choose(self, language: str | None, *, scripted: bool = False) -> str:
        known = self.settings.model_copy(update={"language": language})
        name, why = registry.choose(_KIND, registry.AUTO, known, scripted=scripted)
        self._chosen = f"{_KIND}: {name} ({why})"
        return name

    def _engine(self, name: str) -> base.Aligner:
        if name not in self._engines:
            self._engines[name] = registry.load_engine(_KIND, name, self.settings, self.device)
        return self._engines[name]

    def _candidates(self) -> Iterator[str]:
        """The engines that could be taken, best first, as far as that is known before a dub is."""
        for name in registry.runnable(_KIND, self.settings):
            yield name
            if self.settings.language is not None or not registry.needs_weights(_KIND, name):
                return


def aligner_of(settings: SpeechSettings, device: str) -> base.Aligner:
    """The aligner that the settings name, or the one that chooses by language. Errors as `load_engine`."""
    if settings.aligner == registry.AUTO:
        return AlignerByLanguage(settings, device)
    return cast(base.Aligner, registry.load_engine(_KIND, settings.aligner, settings, device))


def identity_of(settings: SpeechSettings) -> str:
    """Name and version of that aligner; for ``auto`` of all that the dub may get."""
    if settings.aligner == registry.AUTO:
        return AlignerByLanguage(settings).version
    return versions.identity(_KIND, settings.aligner, settings)
