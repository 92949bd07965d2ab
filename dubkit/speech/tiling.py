"""From words and phones with times to the records of `Speech`: a track without gaps or overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dubkit.records import Phoneme, Word

SILENCE = "sil"
_LEAST = 1e-6  # seconds; what is shorter is rounding
Phones = list[tuple[str, float, float, int | None]]  # symbol, start, end, number of the word


def hush(phones: Phones, dead: Sequence[Span]) -> Phones:
    """Nothing is spoken where nothing can be heard (``dead``, rising), whatever was aligned there."""
    hushed: Phones = []
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


def tile(
    texts: Sequence[str],
    phones: Phones,
    duration: float,
    scores: Sequence[float] | None = None,
) -> tuple[tuple[Word, ...], tuple[Phoneme, ...]]:
    """Words, and phonemes that tile ``0 .. duration``: gaps become silence, silences are joined.

    Words without a phone that can be heard are left out.
    """
    phonemes: list[Phoneme] = []
    spans: dict[int, list[float]] = {}
    order: list[int] = []
    at = 0.0
    for symbol, start, end, word in phones:
        start, end = max(at, min(start, duration)), min(end, duration)
        if end - start <= _LEAST:
            continue
        if start - at > _LEAST:
            phonemes.append(Phoneme(SILENCE, at, start))
        else:
            start = at
        if word is not None:
            if word not in spans:
                order.append(word)
            spans.setdefault(word, [start, end])[1] = end
        phonemes.append(Phoneme(symbol, start, end, None if word is None else len(order) - 1))
        at = end
    if duration - at > _LEAST:
        phonemes.append(Phoneme(SILENCE, at, duration))
    elif phonemes:
        phonemes[-1] = replace(phonemes[-1], end=duration)
    found = [1.0 if scores is None else scores[i] for i in order]
    words = tuple(
        Word(texts[i], spans[i][0], spans[i][1], score)
        for i, score in zip(order, found, strict=True)
    )
    return words, _joined(phonemes)


def _joined(phonemes: list[Phoneme]) -> tuple[Phoneme, ...]:
    joined: list[Phoneme] = []
    for phoneme in phonemes:
        if joined and phoneme.symbol == SILENCE == joined[-1].symbol:
            joined[-1] = Phoneme(SILENCE, joined[-1].start, phoneme.end)
        else:
            joined.append(phoneme)
    return tuple(joined)
