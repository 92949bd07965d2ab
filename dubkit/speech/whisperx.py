"""The aligner WhisperX: recognition by Whisper, times by a CTC net of characters, in many languages.

A script is aligned as it is, without recognition. The nets (`speech.whisperx_models`) are loaded at first use, once,
and released by `close`. Nothing is downloaded: `weights.locate` finds the files. ``Speech.path`` is script,
recognition or silence.

WhisperX leaves words without a time where it finds no path through the sound, and knows no phonemes: the functions
below the class, all pure, complete both from the characters that it has timed.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import partial
from importlib.metadata import version as package_version
from itertools import pairwise
from typing import Any

import numpy as np

from dubkit.config.schema import SpeechSettings
from dubkit.engines import containment, registry
from dubkit.errors import InputError, UsageError
from dubkit.parallel.workers import cores
from dubkit.records import DetectedLanguage, Floats, Phoneme, ScriptLine, Speech, Word
from dubkit.speech import activity, g2p, script_chunks, sphinx_decoders
from dubkit.speech.activity import Track
from dubkit.speech.script_chunks import Chunk
from dubkit.speech.sphinx_decoders import silence_inaudible, tile
from dubkit.weights import locate

_FEW_LETTERS = 20
MIN_WORD = 0.06  # seconds that a word gets which was not found in the sound

Pronounce = Callable[[str], tuple[str, ...] | None]


@dataclass(frozen=True, slots=True)
class Timed:
    """A word; ``edges`` are the times where its characters begin and the last one ends, rising.

    No edges: it was not found in the sound.
    """

    text: str
    edges: tuple[float, ...] = ()
    score: float = 0.0

    @property
    def start(self) -> float:
        return self.edges[0]

    @property
    def end(self) -> float:
        return self.edges[-1]


def timed_words(words: Sequence[str], characters: Sequence[dict[str, object]]) -> list[Timed]:
    """``words`` with the times of ``characters``: those of the words joined by blanks, or of nothing.

    A character is WhisperX's ``{"char", "start", "end", "score"}``, the last three often missing.
    """
    text = " ".join(words)
    if len(characters) not in (len(text), len("".join(words))):
        return [Timed(word) for word in words]
    blank = int(len(characters) == len(text))
    found, at = [], 0
    for word in words:
        found.append(_timed(word, characters[at : at + len(word)]))
        at += len(word) + blank
    return found


def _timed(word: str, characters: Sequence[dict[str, object]]) -> Timed:
    spans = [(_number(c, "start"), _number(c, "end")) for c in characters]
    known = [i for i, (start, end) in enumerate(spans) if end > start]
    if not known:
        return Timed(word)
    # a character without a time shares that of its neighbors
    places = [p for i in known for p in (i, i + 1)]
    times = [t for i in known for t in spans[i]]
    edges = np.maximum.accumulate(np.interp(np.arange(len(word) + 1), places, times))
    scores = [_number(characters[i], "score") for i in known]
    return Timed(word, tuple(float(edge) for edge in edges), float(np.nanmean(scores)))


def _number(character: dict[str, object], name: str) -> float:
    value = character.get(name)
    return float(value) if isinstance(value, int | float) else float("nan")


def complete(words: Sequence[Timed], start: float, end: float) -> list[Timed]:
    """Every word with a time: those without one share the room between their neighbors, and take some
    of theirs where there is none. Times rise and lie in ``start .. end``.
    """
    placed = _rising(words, start, end)
    at = 0
    while at < len(placed):
        if placed[at].edges:
            at += 1
            continue
        after = next((i for i in range(at, len(placed)) if placed[i].edges), len(placed))
        low = placed[at - 1].end if at else start
        high = placed[after].start if after < len(placed) else end
        lacking = (after - at) * MIN_WORD - (high - low)
        if lacking > 0 and at:
            placed[at - 1], low = _shortened(placed[at - 1], end_by=lacking / 2)
        if lacking > 0 and after < len(placed):
            placed[after], high = _shortened(placed[after], start_by=lacking / 2)
        lengths = [len(placed[i].text) for i in range(at, after)]
        edges = np.interp(np.cumsum([0, *lengths]), [0, sum(lengths)], [low, high])
        for i, (a, b) in enumerate(pairwise(edges.tolist()), start=at):
            inner = np.linspace(a, b, len(placed[i].text) + 1)
            placed[i] = Timed(placed[i].text, tuple(float(edge) for edge in inner))
        at = after
    return placed


def _rising(words: Sequence[Timed], start: float, end: float) -> list[Timed]:
    """Words in their order; a time that would run backward is taken away."""
    kept: list[Timed] = []
    at = start
    for word in words:
        edges = tuple(min(max(edge, at), end) for edge in word.edges)
        if edges and edges[-1] - edges[0] > 1e-3:
            kept.append(Timed(word.text, edges, word.score))
            at = edges[-1]
        else:
            kept.append(Timed(word.text))
    return kept


def _shortened(word: Timed, end_by: float = 0.0, start_by: float = 0.0) -> tuple[Timed, float]:
    """The word without part of its end or start, at most a third of it, and its new edge there."""
    most = (word.end - word.start) / 3
    low = word.start + min(start_by, most)
    high = word.end - min(end_by, most)
    edges = np.interp(word.edges, [word.start, word.end], [low, high])
    shorter = Timed(word.text, tuple(float(edge) for edge in edges), word.score)
    return shorter, low if start_by else high


def phones_of(
    words: Sequence[Timed], pronounce: Pronounce
) -> tuple[sphinx_decoders.Phones, list[str]]:
    """The phonemes of words that have times, laid along their characters, and the words without any."""
    phones: sphinx_decoders.Phones = []
    missing: list[str] = []
    for number, word in enumerate(words):
        symbols = pronounce(word.text)
        if not symbols:
            missing.append(word.text)
            continue
        places = np.linspace(0, len(word.edges) - 1, len(symbols) + 1)
        edges = np.interp(places, np.arange(len(word.edges)), word.edges)
        phones += [
            (symbol, float(a), float(b), number)
            for symbol, (a, b) in zip(symbols, pairwise(edges), strict=True)
        ]
    return phones, missing


def likeness(
    words: Sequence[str], chunks: Sequence[Chunk], recognized: Sequence[Word]
) -> float | None:
    """Agreement of the words of a script with those recognized in each chunk: 1 where all letters agree, in order;
    None where there are too few letters.
    """
    alike = total = 0
    for chunk in chunks:
        letters = "".join(words[chunk.first : chunk.last]).replace("'", "")
        recognized_letters = "".join(
            w.text for w in recognized if chunk.start <= (w.start + w.end) / 2 < chunk.end
        )
        blocks = SequenceMatcher(None, letters, recognized_letters.replace("'", ""), autojunk=False)
        alike += 2 * sum(block.size for block in blocks.get_matching_blocks())
        total += len(letters) + len(recognized_letters)
    return alike / total if total >= 2 * _FEW_LETTERS else None


def around(chunk: Chunk, spans: Sequence[tuple[float, float]], pad: float = 0.25) -> Chunk:
    """The chunk without the silence at its ends, if it holds any speech."""
    inside = [span for span in spans if span[1] > chunk.start and span[0] < chunk.end]
    if not inside:
        return chunk
    low = max(chunk.start, inside[0][0] - pad)
    high = min(chunk.end, inside[-1][1] + pad)
    return Chunk(low, high, chunk.first, chunk.last)


_ONE_PIECE = 25.0  # seconds of speech that are aligned whole
_LONGEST = 60.0  # seconds that the alignment net can take at once
# of `likeness`, under which a script is another one: with a third of all letters misheard right scripts have
# .55 and more, wrong ones .2 to .4 (simulated on texts of 100 to 300 letters)
_MISMATCH = 0.42


class WhisperxAligner:
    """See the module; implements `engines.base.Aligner`. Raises ModelError where its weights are missing."""

    name = "whisperx"

    def __init__(self, settings: SpeechSettings, device: str = "cpu") -> None:
        self.settings = settings
        self.device = device
        self._loaded: dict[tuple[object, ...], Any] = {}
        self._found = locate.marks_of_whisperx(settings)

    @property
    def version(self) -> str:
        marks = "+".join(self._found)
        return f"{package_version('whisperx')}+3+{marks}"

    @staticmethod
    def weights(settings: SpeechSettings) -> tuple[str, ...]:
        """The catalog's names of the weights that these settings need."""
        return locate.names_of_whisperx(settings)

    def close(self) -> None:
        """Let the nets go, and the memory that they held."""
        if self._loaded:
            self._loaded.clear()
            gc.collect()
            with containment.contained():
                registry.load_module("dubkit.models.devices", what=self.name).release(self.device)

    def align(
        self, samples: Floats, script: tuple[ScriptLine, ...] | None, language: str | None
    ) -> Speech:
        """See `engines.base.Aligner`."""
        track = Track.of(samples)
        language = language or self.settings.language
        if not track.spans:
            _warn(track, "the dub is silent: mouths will rest")
            return self._speech(track, language or "en", "silence", [])
        with containment.contained():
            if language is None and script:
                language = g2p.guess(line.text for line in script)
            if language is None:
                detected = self._detected_language(track)
                language = detected.code
                _warn(track, detected.remark)
            speaker = g2p.Pronouncer(language)
            counts: list[int] = []
            if script:
                words, chunks, counts = self._with_script(track, script, language, speaker)
            else:
                words, chunks = self._without_script(track, language, speaker)
            timed = self._timed_words_of(track, language, words, chunks)
        path = "script" if script else "recognition"
        speech = self._speech(track, language, path, timed, speaker)
        if not script:
            return speech
        numbers = [number for number, count in enumerate(counts) for _ in range(count)]
        placed = [(n, word.start, word.end) for n, word in zip(numbers, timed, strict=True)]
        return replace(speech, lines=script_chunks.spoken_lines(script, counts, placed))

    def language_of(self, samples: Floats) -> DetectedLanguage | None:
        """See `engines.base.RecognizingAligner`."""
        track = Track.of(samples)
        if not track.spans:
            return None
        with containment.contained():
            return self._detected_language(track)

    def transcribe(
        self, samples: Floats, language: str, least: float = -np.inf
    ) -> tuple[ScriptLine, ...]:
        """See `engines.base.RecognizingAligner`."""
        track = Track.of(samples)
        with containment.contained():
            recognized = self._with_recognizer(
                track, lambda net, n: net.recognize(track.samples, language, n)
            )
        lines = (
            ScriptLine(h.text, h.start, min(h.end, track.duration))
            for h in recognized
            if h.text and h.score >= least
        )
        return tuple(lines)

    def _detected_language(self, track: Track) -> DetectedLanguage:
        if locate.english_only(locate.recognizer(self.settings)):
            return DetectedLanguage.of("en", None)
        speech = track.speech(activity.LANGUAGE_SECONDS)
        code, sure = self._with_recognizer(track, lambda net, _: net.language_of(speech))
        return DetectedLanguage.of(str(code), sure)

    def _words(self, track: Track, text: str, speaker: g2p.Pronouncer) -> list[str]:
        """The spoken words of a text, numbers and signs written out."""
        words = speaker.words(text)
        if speaker.left_out:
            missing = ", ".join(speaker.left_out)
            _warn(track, f"left out, because they cannot be pronounced: {missing}")
            speaker.left_out.clear()
        return words

    def _without_script(
        self, track: Track, language: str, speaker: g2p.Pronouncer
    ) -> tuple[list[str], list[Chunk]]:
        recognized = self._with_recognizer(
            track, lambda net, n: net.recognize(track.samples, language, n)
        )
        words: list[str] = []
        chunks = []
        for part in recognized:
            spoken_words = self._words(track, part.text, speaker)
            if spoken_words:
                end = min(part.end, track.duration)
                chunks.append(Chunk(part.start, end, len(words), len(words) + len(spoken_words)))
                words += spoken_words
        _warn(
            track,
            "no script: words were recognized, and some may be wrong; --script is more reliable",
        )
        if not words:
            _warn(track, "no words were recognized in the dub: mouths will rest")
        return words, chunks

    def _with_script(
        self, track: Track, script: tuple[ScriptLine, ...], language: str, speaker: g2p.Pronouncer
    ) -> tuple[list[str], list[Chunk], list[int]]:
        lines = [self._words(track, line.text, speaker) for line in script]
        words = [word for line in lines for word in line]
        windows = track.windows()
        recognized = self._with_aligner(
            track, language, lambda net: net.recognize(track.samples, windows)
        )
        if track.spans[-1][1] - track.spans[0][0] <= _ONE_PIECE:
            chunks = [around(Chunk(0.0, track.duration, 0, len(words)), track.spans)]
        else:
            times = script_chunks.line_times(script, [len(line) for line in lines])
            if not script_chunks.plausible(times, track.spans):
                pairs = script_chunks.match(words, [word.text for word in recognized])
                times = script_chunks.recognized_times(len(words), pairs, recognized)
            found = script_chunks.chunks(times, track.pauses(), track.duration)
            chunks = [
                piece
                for chunk in found
                for piece in _short(track, around(chunk, track.spans))
                if chunk.last > chunk.first
            ]
        self._check_script(track, likeness(words, chunks, recognized))
        return words, chunks, [len(line) for line in lines]

    def _timed_words_of(
        self, track: Track, language: str, words: Sequence[str], chunks: Sequence[Chunk]
    ) -> list[Timed]:
        if not words:
            return []
        stretches = [(words[c.first : c.last], c.start, c.end) for c in chunks]
        aligned = self._with_aligner(
            track, language, lambda net: net.align(track.samples, stretches)
        )
        timed: list[Timed] = []
        for (spoken_words, start, end), characters in zip(stretches, aligned, strict=True):
            found = timed_words(spoken_words, characters)
            missing = sum(not word.edges for word in found)
            if missing:
                _warn(
                    track,
                    f"{missing} words near {start:.0f} s were not aligned: placed next to their neighbors",
                )
            timed += complete(found, start, end)
        return timed

    def _speech(
        self,
        track: Track,
        language: str,
        path: str,
        words: list[Timed],
        speaker: g2p.Pronouncer | None = None,
    ) -> Speech:
        phones, missing = phones_of(words, speaker.ipa) if speaker else ([], [])
        if missing:
            _warn(
                track,
                f"{len(missing)} words have no known pronunciation and are left out: {missing[0]}, ...",
            )
        scores = [word.score for word in words]
        audible = silence_inaudible(phones, activity.dead_spans(track.level))
        texts = [word.text for word in words]
        tiled = tile(texts, audible, track.duration, scores)
        phonemes = tiled[1] or (Phoneme("sil", 0.0, track.duration),)
        engine = f"{self.name} {self.version}"
        warnings = tuple(track.warnings)
        return Speech(language, track.duration, tiled[0], phonemes, engine, path, warnings)

    def _check_script(self, track: Track, score: float | None) -> None:
        """Raises InputError for a script that is not what the dub says; its user may trust it."""
        if score is None or score >= _MISMATCH:
            return
        if not self.settings.trust_script:
            raise InputError(
                f"the script does not match the dub: their score is {score:.2f}, "
                f"matching ones have {_MISMATCH:.2f} or more",
                hint="--language sets another language; --trust-script uses it as it is; "
                "without --script, words are recognized",
            )
        _warn(track, f"the script and the dub hardly match (score {score:.2f})")

    def _with_recognizer(self, track: Track, work: Callable[[Any, int], Any]) -> Any:
        folder, settings = locate.recognizer(self.settings), self.settings
        try:
            return self._within_memory(
                track,
                lambda models, batch, device: work(
                    self._net(
                        models.Recognizer,
                        folder,
                        device,
                        settings.compute_type,
                        settings.vad,
                        cores(),
                    ),
                    batch,
                ),
                settings.batch,
            )
        except ValueError as error:
            if "language" not in str(error):
                raise
            raise UsageError(f"the recognizer does not know this language: {error}") from error

    def _with_aligner(self, track: Track, language: str, work: Callable[[Any], Any]) -> Any:
        model = locate.align_model(self.settings, language.split("-")[0])
        return self._within_memory(
            track,
            lambda models, batch, device: work(self._net(models.CharacterAligner, model, device)),
            1,
        )

    def _within_memory(self, track: Track, work: Callable[[Any, int, str], Any], batch: int) -> Any:
        models = registry.load_module(
            "dubkit.speech.whisperx_models", what=self.name, extra=self.name
        )
        memory = registry.load_module("dubkit.models.devices", what=self.name)
        with memory.threads(cores()):
            return memory.within_memory(
                lambda n, device: work(models, n, device), batch, self.device, partial(_warn, track)
            )

    def _net(self, kind: Callable[..., Any], *how: object) -> Any:
        """A net, loaded when it is first asked for."""
        key = (kind, *how)
        if key not in self._loaded:
            self._loaded[key] = kind(*how)
        return self._loaded[key]


def _warn(track: Track, warning: str) -> None:
    if warning not in track.warnings:
        track.warnings.append(warning)


def _short(track: Track, chunk: Chunk) -> list[Chunk]:
    """The chunk in parts that the alignment net can take, its words shared out by time where need be."""
    parts = int((chunk.end - chunk.start) / _LONGEST) + 1
    if parts == 1:
        return [chunk]
    _warn(
        track,
        f"the script could not be aligned from {chunk.start:.0f} to {chunk.end:.0f} s: timing is approximate there",
    )
    step, count = (chunk.end - chunk.start) / parts, chunk.last - chunk.first
    return [
        Chunk(
            chunk.start + i * step,
            chunk.start + (i + 1) * step,
            chunk.first + i * count // parts,
            chunk.first + (i + 1) * count // parts,
        )
        for i in range(parts)
    ]
