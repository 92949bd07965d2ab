"""The embedded aligner: words and phones by forced alignment, in every language that can be pronounced here.

``Speech.path`` states how the words were found, ``Speech.warnings`` what was left out:

- ``script``: the script's words are aligned, see `script_fit`.
- ``recognition``: no script; English words are recognized, then aligned; or those of a recognizer are.
- ``phone-loop``: no script in another language, or speech that was not understood. Enough for lips, no words.
- ``silence``: nothing audible.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version as package_version

from dubkit.config.schema import SpeechSettings
from dubkit.errors import InputError, MissingDependency, UsageError
from dubkit.records import DetectedLanguage, Floats, ScriptLine, Speech
from dubkit.speech import activity, g2p, phone_map, script_alignment, sphinx_decoders
from dubkit.speech.activity import Span, Track
from dubkit.speech.espeak import available, espeak

UNKNOWN = "und"  # the language of a dub of which nobody says it
_CONFIRMED = 0.5  # of the recognized words that must fit where the language was only guessed
_FITS = -26.0  # `sphinx_decoders.Forced.fit` below which words are not those spoken


class PocketsphinxAligner:
    """See the module; implements `engines.base.Aligner`. Raises UsageError for an unknown language."""

    name = "pocketsphinx"

    def __init__(self, settings: SpeechSettings, device: str = "cpu") -> None:
        self.settings = settings
        if settings.language is not None:
            g2p.check(settings.language)
        self._decoders = sphinx_decoders.Decoders()

    @property
    def version(self) -> str:
        """Includes espeak-ng's, where it is installed: it decides how words are pronounced."""
        speaker = f"+espeak-ng-{espeak().version}" if available() else ""
        return f"{package_version('pocketsphinx')}+5{speaker}"

    def align(
        self, samples: Floats, script: tuple[ScriptLine, ...] | None, language: str | None
    ) -> Speech:
        """See `engines.base.Aligner`. Raises InputError where the script is not that of this dub."""
        language = language or self.settings.language
        track = Track.of(samples)
        if not track.spans:
            track.warnings.append("the dub is silent: mouths will rest")
            return self._speech(track, language or UNKNOWN, "silence", script_alignment.Fitted())
        if script:
            fitter = script_alignment.ScriptFitter(
                self._decoders, track, lambda spans: self._looped(track, spans)
            )
            language, fitted, lines = fitter.fit(script, language, self.settings.trust_script)
            return replace(self._speech(track, language, "script", fitted), lines=lines)
        if language is not None and language.split("-")[0] == g2p.ENGLISH:
            fitted = self._recognized(track)
            if fitted.texts:
                return self._speech(track, language, "recognition", fitted)
        else:
            known = "not known" if language is None else language
            track.warnings.append(
                f"no script, and the language is {known}: lips follow the sound alone"
            )
        fitted = script_alignment.Fitted(phones=self._looped(track, track.windows()))
        return self._speech(track, language or UNKNOWN, "phone-loop", fitted)

    def align_recognized(
        self,
        samples: Floats,
        lines: tuple[ScriptLine, ...],
        language: str | DetectedLanguage,
        recognizer: str,
    ) -> Speech:
        """The speech of a dub of which ``recognizer`` recognized ``lines``: a path of ``recognition``.

        Where they do not fit the sound, or nobody can say how they are pronounced, lips follow the sound alone. A
        language that was only guessed counts as known where most words fit.
        """
        detected = None if isinstance(language, str) else language
        code = language if isinstance(language, str) else language.code
        said = () if detected is None else (detected.remark,)
        count = sum(len(line.text.split()) for line in lines)
        try:
            speech = self.align(samples, lines, code) if lines else None
            why = "no words were recognized" if speech is None else ""
        except (InputError, UsageError, MissingDependency) as error:
            speech, why = (
                None,
                f"the words that {recognizer} recognized are not used: {error.message}",
            )
        known = detected is None or detected.sure
        if speech is not None and not known and len(speech.words) < max(2, _CONFIRMED * count):
            speech, why = None, f"the words that {recognizer} recognized do not fit the sound"
        if speech is None:
            track = Track.of(samples)
            fitted = script_alignment.Fitted(phones=self._looped(track, track.windows()))
            track.warnings += [*said, f"no script: lips follow the sound alone; {why}"]
            path = "phone-loop" if track.spans else "silence"
            return self._speech(track, code if known else UNKNOWN, path, fitted)
        remark = f"no script: words were recognized by {recognizer}, and some may be wrong; --script is more reliable"
        return replace(
            speech,
            path="recognition",
            warnings=(*said, remark),
            unspoken=(),
            unscripted=(),
            lines=(),
        )

    def _speech(
        self, track: Track, language: str, path: str, fitted: script_alignment.Fitted
    ) -> Speech:
        audible = sphinx_decoders.silence_inaudible(fitted.phones, activity.dead_spans(track.level))
        words, phonemes = sphinx_decoders.tile(fitted.texts, audible, track.duration)
        return Speech(
            language=language,
            duration=track.duration,
            words=words,
            phonemes=phonemes,
            engine=f"{self.name} {self.version}",
            path=path,
            warnings=tuple(track.warnings),
            unspoken=tuple(fitted.unspoken),
            unscripted=tuple(fitted.unscripted),
        )

    def _recognized(self, track: Track) -> script_alignment.Fitted:
        """English words of a track without a script; what is not understood, by sound alone."""
        found = script_alignment.Fitted()
        lost = 0.0
        for start, end in track.windows():
            sound = track.cut(start, end)
            words = [phone_map.english(text) for text, _, _ in self._decoders.recognize(sound)]
            forced = self._decoders.force(sound, words) if words else None
            if forced is None or forced.fit < _FITS:
                lost += end - start
                found.phones += self._looped(track, [(start, end)])
                continue
            first = len(found.texts)
            found.phones += [
                (symbol, a + start, b + start, None if word is None else word + first)
                for symbol, a, b, word in forced.phones
            ]
            found.texts += [word.text for word in words]
        if not found.texts:
            track.warnings.append("no English words were recognized: lips follow the sound alone")
            return found
        track.warnings.append(
            "no script: lips follow the sound; words were recognized by a small recognizer, which may get most of "
            "them wrong, and are not used for the lips; --script makes closures certain"
        )
        if lost:
            track.warnings.append(
                f"{lost:.0f} s of the dub were not recognized: lips follow the sound alone there"
            )
        return found

    def _looped(self, track: Track, spans: list[Span]) -> sphinx_decoders.Phones:
        return [
            (symbol, a + start, min(b + start, end), None)
            for start, end in spans
            for symbol, a, b, _ in self._decoders.loop(track.cut(start, end))
        ]
