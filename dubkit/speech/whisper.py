"""The aligner whisper: words by a Whisper (faster-whisper), their times and phonemes by pocketsphinx and espeak-ng.

It needs a recognizer and nothing else. What was recognized is laid on the sound as a script would be, and is kept only
where an acoustic model that knows nothing of Whisper agrees: a Whisper writes fluent sentences about any sound. A
script is aligned as pocketsphinx does it. The net is loaded at first use, released by `close`, never downloaded.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np

from dubkit.config.schema import SpeechSettings
from dubkit.engines import containment, registry
from dubkit.errors import ModelError, UsageError
from dubkit.parallel.workers import cores
from dubkit.records import DetectedLanguage, Floats, ScriptLine, Speech
from dubkit.speech import activity
from dubkit.speech.activity import Track
from dubkit.speech.pocketsphinx import PocketsphinxAligner
from dubkit.weights import locate

_REPEATED = 2.4  # compression of a text from which on it repeats itself: Whisper's own limit
_BEAMS = 5


class WhisperAligner:
    """See the module; implements `engines.base.RecognizingAligner`. Raises ModelError where its weights are missing."""

    name = "whisper"

    def __init__(self, settings: SpeechSettings, device: str = "cpu") -> None:
        self.settings = settings
        self.device = device
        self._folder = locate.whisper(settings)
        self._aligner = PocketsphinxAligner(settings, device)
        self.notes: tuple[str, ...] = ()  # what the user should know
        self._loaded: dict[str, Any] = {}  # by device

    @property
    def version(self) -> str:
        """Includes the recognizer's mark and the version of what says the times."""
        mark = locate.mark(self._folder / "model.bin")
        return f"{package_version('faster-whisper')}+1+{mark}+pocketsphinx-{self._aligner.version}"

    @staticmethod
    def weights(settings: SpeechSettings) -> tuple[str, ...]:
        """The catalog's names of the weights that these settings need."""
        return locate.names_of_whisper(settings)

    def close(self) -> None:
        """Let the net go, and the memory that it held."""
        self._loaded.clear()
        gc.collect()

    def align(
        self, samples: Floats, script: tuple[ScriptLine, ...] | None, language: str | None
    ) -> Speech:
        """See `engines.base.Aligner`. Raises InputError where the script is not that of this dub."""
        language = language or self.settings.language
        if script:
            return self._aligner.align(samples, script, language)
        known = language or self.language_of(samples)
        if known is None:
            return self._aligner.align(samples, None, None)
        code, least = (known, -np.inf) if isinstance(known, str) else (known.code, known.least)
        lines = self.transcribe(samples, code, least)
        speech = self._aligner.align_recognized(samples, lines, known, self.name)
        if speech.path != "recognition":
            return speech
        return replace(speech, engine=f"{self.name} {self.version}")

    def language_of(self, samples: Floats) -> DetectedLanguage | None:
        """See `engines.base.RecognizingAligner`."""
        track = Track.of(samples)
        if not track.spans:
            return None
        if locate.english_only(self._folder):
            return DetectedLanguage.of("en", None)
        sound = track.speech(activity.LANGUAGE_SECONDS)
        code, probability, _ = self._with_net(lambda net: net.detect_language(sound))
        return DetectedLanguage.of(str(code), float(probability))

    def transcribe(
        self, samples: Floats, language: str, least: float = -np.inf
    ) -> tuple[ScriptLine, ...]:
        """See `engines.base.RecognizingAligner`. Text that repeats itself is none."""
        track = Track.of(samples)
        if not track.spans:
            return ()

        by_net = self.settings.vad == "silero"
        loud = [edge for window in track.windows() for edge in window]

        def work(net: Any) -> list[Any]:
            parts, _ = net.transcribe(
                track.samples,
                language=language.lower().split("-")[0],
                beam_size=_BEAMS,
                temperature=0.0,  # else it is sampled, and no run is like the one before
                condition_on_previous_text=False,
                vad_filter=by_net,
                clip_timestamps="0" if by_net else loud,
            )
            return list(parts)

        parts = self._with_net(work)
        return tuple(
            ScriptLine(part.text.strip(), float(part.start), min(float(part.end), track.duration))
            for part in parts
            if part.text.strip()
            and part.compression_ratio <= _REPEATED
            and part.avg_logprob >= least
        )

    def _with_net(self, work: Callable[[Any], Any]) -> Any:
        memory = registry.load_module("dubkit.models.devices", what=self.name)
        try:
            with containment.contained():
                return memory.within_memory(
                    lambda _, device: work(self._net(device)),
                    1,
                    self.device,
                    self._tell,
                )
        except ValueError as error:
            if "language" not in str(error):
                raise
            raise UsageError(f"the recognizer does not know this language: {error}") from error

    def _tell(self, note: str) -> None:
        self.notes = tuple(dict.fromkeys((*self.notes, f"{self.name}: {note}")))

    def _net(self, device: str) -> Any:
        """The Whisper on a device, loaded when it is first needed."""
        if device not in self._loaded:
            library = registry.load_module("faster_whisper", what=self.name, extra=self.name)
            self._loaded[device] = _load(library, self._folder, device, self.settings.compute_type)
        return self._loaded[device]


def _load(library: Any, folder: Path, device: str, compute_type: str) -> Any:
    kind, _, number = device.partition(":")
    registry.load_module("ctranslate2", what="whisper").set_log_level(logging.ERROR)
    try:
        return library.WhisperModel(
            str(folder),
            device=kind,
            device_index=int(number or 0),
            compute_type=compute_type,
            cpu_threads=cores(),
            local_files_only=True,
        )
    except (ValueError, RuntimeError) as error:  # no Whisper, or no such arithmetic on the device
        if "out of memory" in str(error).lower():
            raise
        way = "--set speech.compute_type=default takes what suits the device"
        hint = way if "compute type" in str(error) else None
        raise ModelError(
            f"the recognizer in {folder} cannot be used: {error}", hint=hint
        ) from error
