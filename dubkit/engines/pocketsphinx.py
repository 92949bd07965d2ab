"""The embedded aligner: English words and phones by forced alignment, any language by a phone loop.

Which way is taken, and what made it fall back, is told in ``Speech.path`` and ``Speech.warnings``:

- ``script``: the script's words are aligned. Long tracks are cut at pauses first, the script being
  laid on them by its own times or by anchor words that were recognised. Stretches that the script
  does not fit are filled by the phone loop.
- ``recognition``: no script; English words are recognised, then aligned.
- ``phone-loop``: another language, or speech that was not understood. Enough for lips, no words.
- ``silence``: nothing audible.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version as package_version

import numpy as np

from dubkit.config import SpeechSettings
from dubkit.engines import anchors, voiced
from dubkit.engines.g2p import IPA, SILENCE, pronounce, words_of
from dubkit.engines.sphinx_decoders import Decoders, Phones
from dubkit.records import Floats, Phoneme, ScriptLine, Speech, Word

ENGLISH = (None, "en")
_ONE_PIECE = 25.0  # seconds of speech that are aligned whole, without anchors
_FITS = -26.0  # `sphinx_decoders.Forced.fit` under which words are not what is said


@dataclass(slots=True)
class _Track:
    samples: Floats
    duration: float
    level: voiced.Levels
    spans: list[voiced.Span]
    warnings: list[str] = field(default_factory=list)

    def cut(self, start: float, end: float) -> Floats:
        return self.samples[round(start * voiced.RATE) : round(end * voiced.RATE)]

    def windows(self) -> list[voiced.Span]:
        return voiced.windows(self.spans, self.duration)


class PocketsphinxAligner:
    """See the module; implements `engines.base.Aligner`."""

    name = "pocketsphinx"

    def __init__(self, settings: SpeechSettings, device: str = "cpu") -> None:
        self.settings = settings
        self._decoders = Decoders()

    @property
    def version(self) -> str:
        return f"{package_version('pocketsphinx')}+1"

    def align(
        self, samples: Floats, script: tuple[ScriptLine, ...] | None, language: str | None
    ) -> Speech:
        """See `engines.base.Aligner`."""
        language = language or self.settings.language
        sound = voiced.clean(samples)
        level = voiced.levels(sound)
        track = _Track(sound, len(samples) / voiced.RATE, level, voiced.voiced_spans(level, 0.12))
        texts: list[str] = []
        phones: Phones | None = None
        path = "silence"
        if not track.spans:
            track.warnings.append("the dub is silent: mouths will rest")
            phones = []
        if phones is None and script:
            path = "script"
            texts, phones = self._scripted(track, script)
        if phones is None and language in ENGLISH:
            path = "recognition"
            texts, phones = self._recognised(track)
        if phones is None:
            path, texts = "phone-loop", []
            if language not in ENGLISH and not script:
                track.warnings.append(
                    f"no script, and the language is {language}: lips follow the sound alone"
                )
            phones = self._looped(track, track.windows())
        words, phonemes = _records(texts, _hush(phones, track), track.duration)
        engine = f"{self.name} {self.version}"
        warnings = tuple(track.warnings)
        return Speech(language or "en", track.duration, words, phonemes, engine, path, warnings)

    def _scripted(
        self, track: _Track, script: tuple[ScriptLine, ...]
    ) -> tuple[list[str], Phones | None]:
        lines = [words_of(line.text) for line in script]
        known = [[word for word in line if pronounce(word)] for line in lines]
        texts = [word for line in known for word in line]
        lost = sum(map(len, lines)) - len(texts)
        if lost > 0.3 * max(1, lost + len(texts)):
            track.warnings.append(
                "the script's writing cannot be pronounced here: lips follow the sound alone"
            )
            return [], None
        if lost:
            track.warnings.append(
                f"{lost} words of the script cannot be pronounced and are left out"
            )
        if not texts:
            return [], None
        chunks = self._chunks(track, script, known)
        phones: Phones = []
        misfits: list[anchors.Chunk] = []
        for chunk in chunks:
            found = self._fit(track, chunk, texts[chunk.first : chunk.last])
            if found is None:
                misfits.append(chunk)
                found = self._looped(track, _within(track.windows(), chunk.start, chunk.end))
            phones += found
        if len(misfits) == len(chunks):
            track.warnings.append("the script does not fit the dub's sound: it is left aside")
            return [], None
        if misfits:
            seconds = sum(chunk.end - chunk.start for chunk in misfits)
            track.warnings.append(
                f"the script does not fit {seconds:.0f} s of the dub, the first at "
                f"{misfits[0].start:.0f} s: lips follow the sound alone there"
            )
        return texts, phones

    def _chunks(
        self, track: _Track, script: tuple[ScriptLine, ...], lines: list[list[str]]
    ) -> list[anchors.Chunk]:
        """Stretches of the track with the script words that are spoken in them."""
        texts = [word for line in lines for word in line]
        pauses = _pauses(track)
        first, last = track.spans[0][0], track.spans[-1][1]
        if last - first <= _ONE_PIECE:
            start, end = max(0.0, first - 0.4), min(track.duration, last + 0.4)
            return [anchors.Chunk(start, end, 0, len(texts))]
        times = anchors.line_times(script, [len(line) for line in lines])
        if not _plausible(times, track.spans):
            heard = self._heard(track, lines)
            pairs = anchors.match(texts, [word.text for word in heard])
            times = anchors.heard_times(len(texts), pairs, heard)
        return anchors.chunks(times, pauses, track.duration)

    def _heard(self, track: _Track, lines: list[list[str]] | None) -> list[Word]:
        """Words recognised window by window; ``lines`` of a script guide the recogniser."""
        if lines is not None:
            self._decoders.guide(lines)
        hear = self._decoders.recognise if lines is None else self._decoders.recognise_guided
        return [
            Word(text, start + at, end + at)
            for at, stop in track.windows()
            for text, start, end in hear(track.cut(at, stop))
        ]

    def _fit(self, track: _Track, chunk: anchors.Chunk, texts: list[str]) -> Phones | None:
        """Aligned phones of one chunk; None where the words are not what is said."""
        if not texts:
            return self._looped(track, _within(track.windows(), chunk.start, chunk.end))
        forced = self._decoders.force(track.cut(chunk.start, chunk.end), texts)
        if forced is None or forced.fit < _FITS:
            return None
        return _moved(forced.phones, chunk.start, chunk.first)

    def _recognised(self, track: _Track) -> tuple[list[str], Phones | None]:
        texts: list[str] = []
        phones: Phones = []
        lost = 0.0
        for start, end in track.windows():
            sound = track.cut(start, end)
            words = [text for text, _, _ in self._decoders.recognise(sound)]
            forced = self._decoders.force(sound, words) if words else None
            if forced is None or forced.fit < _FITS:
                lost += end - start
                phones += self._looped(track, [(start, end)])
                continue
            phones += _moved(forced.phones, start, len(texts))
            texts += words
        if not texts:
            track.warnings.append("no English words were recognised: lips follow the sound alone")
            return [], None
        track.warnings.append("no script: words were recognised, and some will be wrong")
        if lost:
            track.warnings.append(
                f"{lost:.0f} s of the dub were not understood: lips follow the sound alone there"
            )
        return texts, phones

    def _looped(self, track: _Track, spans: list[voiced.Span]) -> Phones:
        return [
            (p, a + start, min(b + start, end), None)
            for start, end in spans
            for p, a, b, _ in self._decoders.loop(track.cut(start, end))
        ]


def _moved(phones: Phones, seconds: float, words: int) -> Phones:
    return [
        (p, a + seconds, b + seconds, None if w is None else w + words) for p, a, b, w in phones
    ]


def _within(spans: list[voiced.Span], start: float, end: float) -> list[voiced.Span]:
    cut = [(max(a, start), min(b, end)) for a, b in spans]
    return [(a, b) for a, b in cut if b - a > 0.05]


def _pauses(track: _Track) -> list[voiced.Span]:
    edges = [0.0, *(t for span in track.spans for t in span), track.duration]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _plausible(times: list[voiced.Span | None], spans: list[voiced.Span]) -> bool:
    """Whether a script's own times meet the voiced parts of the track."""
    stated = [time for time in times if time is not None]
    if len(stated) < len(times) or not stated:
        return False
    edges = np.array(spans)
    middles = np.array([(a + b) / 2 for a, b in stated])
    at = np.clip(np.searchsorted(edges[:, 0], middles, "right") - 1, 0, None)
    inside = (middles >= edges[at, 0] - 0.3) & (middles <= edges[at, 1] + 0.3)
    return bool(inside.mean() > 0.8)


def _hush(phones: Phones, track: _Track) -> Phones:
    """Nothing is spoken where nothing can be heard, whatever was aligned there."""
    hushed: Phones = []
    dead = voiced.dead_spans(track.level)
    at = 0
    for symbol, start, end, word in phones:
        while at < len(dead) and dead[at][1] <= start:
            at += 1
        kept = (start, end)
        if at < len(dead) and symbol != SILENCE:
            low, high = dead[at]
            if low <= start < high:
                kept = (min(high, end), end)
            elif start < low < end:
                kept = (start, low)
        if kept[1] - kept[0] > 0.005:
            hushed.append((symbol, *kept, word))
    return hushed


def _records(
    texts: list[str], phones: Phones, duration: float
) -> tuple[tuple[Word, ...], tuple[Phoneme, ...]]:
    """Words and phonemes that tile ``0 .. duration``: gaps become silence, silences are joined."""
    phonemes: list[Phoneme] = []
    numbers: dict[int, list[float]] = {}
    order: list[int] = []
    at = 0.0
    for symbol, start, end, word in [*phones, (SILENCE, duration, duration, None)]:
        start, end = max(at, min(start, duration)), max(at, min(end, duration))
        if start - at > 1e-6:
            phonemes.append(Phoneme(SILENCE, at, start))
        if end - start > 1e-6:
            if word is not None:
                if word not in numbers:
                    order.append(word)
                numbers.setdefault(word, [start, end])[1] = end
            index = None if word is None else len(order) - 1
            phonemes.append(Phoneme(IPA.get(symbol, SILENCE), start, end, index))
        at = max(at, end)
    words = tuple(Word(texts[i], *numbers[i]) for i in order)
    return words, _joined(phonemes)


def _joined(phonemes: list[Phoneme]) -> tuple[Phoneme, ...]:
    joined: list[Phoneme] = []
    for phoneme in phonemes:
        if joined and phoneme.symbol == SILENCE == joined[-1].symbol:
            joined[-1] = Phoneme(SILENCE, joined[-1].start, phoneme.end)
        else:
            joined.append(phoneme)
    return tuple(joined)
