"""From the characters that WhisperX has timed to complete words and their phonemes. Pure functions.

WhisperX leaves words without a time where it finds no path through the sound, and knows no phonemes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np

from dubkit.records import Word
from dubkit.speech.script_alignment import Chunk
from dubkit.speech.sphinx_decoders import Phones

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


def phones_of(words: Sequence[Timed], pronounce: Pronounce) -> tuple[Phones, list[str]]:
    """The phonemes of words that have times, laid along their characters, and the words without any."""
    phones: Phones = []
    lost: list[str] = []
    for number, word in enumerate(words):
        symbols = pronounce(word.text)
        if not symbols:
            lost.append(word.text)
            continue
        places = np.linspace(0, len(word.edges) - 1, len(symbols) + 1)
        edges = np.interp(places, np.arange(len(word.edges)), word.edges)
        phones += [
            (symbol, float(a), float(b), number)
            for symbol, (a, b) in zip(symbols, pairwise(edges), strict=True)
        ]
    return phones, lost


def likeness(words: Sequence[str], chunks: Sequence[Chunk], heard: Sequence[Word]) -> float | None:
    """How much of what a script says in each chunk is heard there: 1 all letters, in order; None where
    there are too few to tell.
    """
    alike = total = 0
    for chunk in chunks:
        said = "".join(words[chunk.first : chunk.last]).replace("'", "")
        told = "".join(w.text for w in heard if chunk.start <= (w.start + w.end) / 2 < chunk.end)
        blocks = SequenceMatcher(None, said, told.replace("'", ""), autojunk=False)
        alike += 2 * sum(block.size for block in blocks.get_matching_blocks())
        total += len(said) + len(told)
    return alike / total if total >= 2 * _FEW_LETTERS else None


def around(chunk: Chunk, spans: Sequence[tuple[float, float]], pad: float = 0.25) -> Chunk:
    """The chunk without the silence at its ends, where something is heard in it at all."""
    inside = [span for span in spans if span[1] > chunk.start and span[0] < chunk.end]
    if not inside:
        return chunk
    low = max(chunk.start, inside[0][0] - pad)
    high = min(chunk.end, inside[-1][1] + pad)
    return Chunk(low, high, chunk.first, chunk.last)
