"""The aligner that needs nothing: script phones laid evenly on the voiced parts of a track."""

from __future__ import annotations

import numpy as np

from dubkit.config.schema import SpeechSettings
from dubkit.records import SILENCE, Floats, Phoneme, ScriptLine, Speech, Word
from dubkit.speech import activity, g2p

# what a mouth does when nothing is known of the words: open and close at the pace of speech
_DEFAULT_PHONES = "B AH D AH"
_PHONES_A_SECOND = 12.0


class EvenAligner:
    """Spreads the script's phones evenly over the voiced time, line by line where lines have times.

    Rough, and it never fails.
    """

    name = "even"

    def __init__(self, settings: SpeechSettings, device: str = "cpu") -> None:
        self.settings = settings

    @property
    def version(self) -> str:
        return "3"

    def align(
        self, samples: Floats, script: tuple[ScriptLine, ...] | None, language: str | None
    ) -> Speech:
        """See `engines.base.Aligner`."""
        duration = len(samples) / activity.RATE
        spans = activity.voiced_spans(activity.levels(activity.clean(samples)))
        said_in = language or self.settings.language or "en"
        texts: list[str] = []
        placed: Placed = []
        for words_of_line, where in _parts(script or (), said_in, spans, duration) if spans else ():
            texts += [text.rstrip(".") for text in words_of_line]
            phones = [
                (g2p.pronounce(text) if text else _DEFAULT_PHONES) or _DEFAULT_PHONES
                for text in words_of_line
            ]
            placed += _spread([p.split() for p in phones], where)
        words, phonemes = _records(texts, placed, duration)
        return Speech(
            language=said_in,
            duration=duration,
            words=words,
            phonemes=phonemes,
            engine=f"{self.name} {self.version}",
            path=("script" if script else "even") if spans else "silence",
            warnings=("timing is uniform, not aligned: lips will match only roughly",)
            if spans
            else (),
        )


def _parts(
    script: tuple[ScriptLine, ...], language: str, spans: list[activity.Span], duration: float
) -> list[tuple[list[str], list[activity.Span]]]:
    """Words and the spans that they are spread over."""
    lines = [(g2p.words_of(line.text, language), line.start, line.end) for line in script]
    lines = [line for line in lines if line[0]]
    if not lines:
        seconds = sum(end - start for start, end in spans)
        return [([""] * int(np.ceil(seconds * _PHONES_A_SECOND / 4)), spans)]
    timed = [(w, a, min(b, duration)) for w, a, b in lines if a is not None and b is not None]
    if len(timed) < len(lines):
        return [([word for words, _, _ in lines for word in words], spans)]
    parts: list[tuple[list[str], list[activity.Span]]] = []
    free = 0.0  # lines that overlap follow each other
    for words, start, end in sorted(timed, key=lambda line: line[1]):
        start = max(start, free)
        audible = [
            (max(a, start), min(b, end)) for a, b in spans if min(b, end) - max(a, start) > 0.05
        ]
        if not audible and end - start > 0.05:
            audible = [(start, end)]
        if audible:
            parts.append((words, audible))
            free = audible[-1][1]
    return parts


Placed = list[list[tuple[str, float, float]]]


def _spread(words: list[list[str]], spans: list[activity.Span]) -> Placed:
    """Equal shares of the voiced time for every phone, mapped back to the track's own time."""
    lengths = np.array([end - start for start, end in spans])
    voiced_at = np.concatenate([[0.0], np.cumsum(lengths)])
    count = sum(len(word) for word in words)
    edges = np.linspace(0.0, voiced_at[-1], count + 1)
    span = np.clip(np.searchsorted(voiced_at, edges[:-1], "right") - 1, 0, len(spans) - 1)
    starts = np.array([s for s, _ in spans])[span] + edges[:-1] - voiced_at[span]
    ends = np.minimum(starts + np.diff(edges), np.array([e for _, e in spans])[span])
    placed, at = [], 0
    for word in words:
        rows = range(at, at + len(word))
        placed.append(
            [(p, float(starts[i]), float(ends[i])) for p, i in zip(word, rows, strict=True)]
        )
        at += len(word)
    return placed


def _records(
    texts: list[str], placed: Placed, duration: float
) -> tuple[tuple[Word, ...], tuple[Phoneme, ...]]:
    words: list[Word] = []
    phonemes: list[Phoneme] = []
    at = 0.0
    for text, phones in zip(texts, placed, strict=False):
        index = len(words) if text else None
        if text:
            words.append(Word(text, phones[0][1], phones[-1][2], 0.0))
        for symbol, start, end in phones:
            if start - at > 1e-6:
                phonemes.append(Phoneme(SILENCE, at, start))
            phonemes.append(Phoneme(g2p.IPA[symbol], max(at, start), end, index))
            at = end
    if duration - at > 1e-6 or not phonemes:
        phonemes.append(Phoneme(SILENCE, at, duration))
    return tuple(words), tuple(phonemes)
