"""The aligner ``auto``: for each dub the best engine that has what its language needs.

The language is the one that was given, else the script's, else the one that a recognizing engine detects. In the last
case it is known only once the recognizer runs: where another engine has to align, it is given the words that were
recognized.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from dubkit.config.schema import SpeechSettings
from dubkit.engines import base, registry, versions
from dubkit.errors import InputError, MissingDependency, UsageError
from dubkit.records import Floats, ScriptLine, Speech
from dubkit.speech.g2p import guess

_KIND = "aligner"


class AlignerByLanguage:
    """See the module; implements `engines.base.Aligner`. What was taken and why stands in ``notes``."""

    name = registry.AUTO

    def __init__(self, settings: SpeechSettings, device: str = "cpu") -> None:
        self.settings = settings
        self.device = device
        self.notes: tuple[str, ...] = ()
        self._engines: dict[str, base.Aligner] = {}

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
        name = self._choose(language)
        engine = self._engine(name)
        if language is None and isinstance(engine, base.RecognizingAligner):
            return self._without_script(name, engine, samples)
        return engine.align(samples, script, language)

    def _without_script(
        self, name: str, engine: base.RecognizingAligner, samples: Floats
    ) -> Speech:
        """Align a dub of which nothing is known; ``engine`` can tell its language."""
        detected = engine.language_of(samples)
        if detected is None:  # silence
            return engine.align(samples, None, None)
        language, remark = detected
        other = self._choose(language)
        if other == name:
            speech = engine.align(samples, None, language)
        else:
            lines = engine.transcribe(samples, language)
            speech = _aligned(self._engine(other), samples, lines, language, name)
        return replace(speech, warnings=(remark, *speech.warnings))

    def _choose(self, language: str | None) -> str:
        known = self.settings.model_copy(update={"language": language})
        name, why = registry.choose(_KIND, registry.AUTO, known)
        self.notes = (f"{_KIND}: {name} ({why})",)
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


def _aligned(
    engine: base.Aligner,
    samples: Floats,
    lines: tuple[ScriptLine, ...],
    language: str,
    recognizer: str,
) -> Speech:
    """Recognized lines laid on the sound by another engine; by sound alone where they do not fit, or where
    nobody can say how they are pronounced.
    """
    if not lines:
        return engine.align(samples, None, language)
    try:
        speech = engine.align(samples, lines, language)
    except (InputError, UsageError, MissingDependency):
        return engine.align(samples, None, language)
    remark = f"no script: words were recognized by {recognizer}, and some may be wrong; --script is more reliable"
    return replace(
        speech, path="recognition", warnings=(remark, *speech.warnings), unspoken=(), unscripted=()
    )
