"""Cut a long track and its script together: by the times of the script's lines, or where its words were recognized."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np

from dubkit.records import ScriptLine, SpokenLine, Word
from dubkit.speech import activity

_SLACK = 0.8  # seconds that speech may begin before its line's time, or end after it


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of the track and the script words in it, ``first`` to ``last`` (excluded)."""

    start: float
    end: float
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Place:
    """A sentence that may be what is said in the stretches ``first`` to ``last`` (excluded), and what that explains."""

    sentence: int
    first: int
    last: int
    value: int


def best_places(places: Sequence[Place]) -> list[Place]:
    """Those that follow one another in the script and in the sound and together explain most, rising."""
    ordered = sorted(places, key=lambda place: (place.last, place.sentence))
    best: list[tuple[int, list[Place]]] = []
    for place in ordered:
        before = [
            found
            for found, other in zip(best, ordered, strict=False)
            if other.last <= place.first and other.sentence < place.sentence
        ]
        value, chain = max(before, key=lambda found: found[0], default=(0, []))
        best.append((value + place.value, [*chain, place]))
    return max(best, key=lambda found: found[0], default=(0, []))[1]


def match(script: Sequence[str], recognized: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (script index, recognized index) of equal words, rising in both.

    From equal runs of three words, then from single words between those.
    """
    triples = [tuple(script[i : i + 3]) for i in range(len(script) - 2)]
    recognized_triples = [tuple(recognized[i : i + 3]) for i in range(len(recognized) - 2)]
    pairs: set[tuple[int, int]] = set()
    matcher = SequenceMatcher(None, triples, recognized_triples, autojunk=False)
    for block in matcher.get_matching_blocks():
        if block.size:
            pairs |= {(block.a + k, block.b + k) for k in range(block.size + 2)}
    fixed = [(-1, -1), *_rising(pairs), (len(script), len(recognized))]
    for (a, b), (c, d) in pairwise(fixed):
        # single words are trusted only in short gaps, where there is little choice
        if 1 < c - a <= 30 and 1 < d - b <= 30:
            inner = SequenceMatcher(None, script[a + 1 : c], recognized[b + 1 : d], autojunk=False)
            for block in inner.get_matching_blocks():
                offset = ((a + 1 + block.a + k, b + 1 + block.b + k) for k in range(block.size))
                pairs |= set(offset)
    return _rising(pairs)


def _rising(pairs: set[tuple[int, int]]) -> list[tuple[int, int]]:
    kept: list[tuple[int, int]] = []
    for pair in sorted(pairs):
        if not kept or (pair[0] > kept[-1][0] and pair[1] > kept[-1][1]):
            kept.append(pair)
    return kept


def line_times(lines: Sequence[ScriptLine], counts: Sequence[int]) -> list[activity.Span | None]:
    """A rough time for every script word from the times of its line; None where the line has none."""
    times: list[activity.Span | None] = []
    for line, count in zip(lines, counts, strict=True):
        if line.start is None or line.end is None:
            times += [None] * count
        else:
            edges = np.linspace(line.start, line.end, count + 1).tolist()
            times += list(pairwise(edges))
    return times


def recognized_times(
    count: int, pairs: Sequence[tuple[int, int]], recognized: Sequence[Word]
) -> list[activity.Span | None]:
    """The time of every script word that was matched to a recognized one, else None."""
    times: list[activity.Span | None] = [None] * count
    for i, j in pairs:
        times[i] = (recognized[j].start, recognized[j].end)
    return times


def plausible(times: Sequence[activity.Span | None], spans: Sequence[activity.Span]) -> bool:
    """Whether the times that a script states for its words coincide with sound on the track."""
    stated = [time for time in times if time is not None]
    if len(stated) < len(times) or not stated or not spans:
        return False
    edges = np.array(spans)
    middles = np.array([(a + b) / 2 for a, b in stated])
    at = np.clip(np.searchsorted(edges[:, 0], middles, "right") - 1, 0, None)
    inside = (middles >= edges[at, 0] - 0.3) & (middles <= edges[at, 1] + 0.3)
    return bool(inside.mean() > 0.7)


def chunks(
    times: Sequence[activity.Span | None], pauses: Sequence[activity.Span], duration: float
) -> list[Chunk]:
    """Cut script and track together.

    A cut lies in a pause (or, failing that, at a gap between two words that both have a time) and splits
    the script where both neighbors are known, so no word can land on the wrong side. Chunks last 6 to
    about 30 seconds where the speech allows it; where nothing is known for long, as long as that.
    """
    found: list[Chunk] = []
    first, start = 0, 0.0
    for i in range(len(times) - 1):
        left, right = times[i], times[i + 1]
        if left is None or right is None or left[1] - start < 6.0:
            continue
        cut = _cut(left, right, pauses, patience=left[1] - start)
        if cut is not None:
            found.append(Chunk(start, cut, first, i + 1))
            first, start = i + 1, cut
    found.append(Chunk(start, duration, first, len(times)))
    return found


def timed_chunks(
    lines: Sequence[ScriptLine],
    counts: Sequence[int],
    pauses: Sequence[activity.Span],
    duration: float,
) -> list[Chunk]:
    """Cut between the lines of a timed script, in pauses where there are some; the chunks tile the track.

    What lies further than `_SLACK` from every line becomes a chunk without words.
    """
    groups: list[tuple[float, float, int, int]] = []  # start, end, first word, last
    at = 0
    for line, count in zip(lines, counts, strict=True):
        if count and line.start is not None and line.end is not None:
            first, last = at, at + count
            if groups and not _separable(groups[-1], line.start, pauses):
                start, end, first, _ = groups.pop()
                groups.append((start, max(end, line.end), first, last))
            else:
                groups.append((line.start, max(line.start, line.end), first, last))
        at += count
    found: list[Chunk] = []
    at_time = 0.0
    for number, (start, end, first, last) in enumerate(groups):
        begin = max(at_time, start - _SLACK)
        stop = min(duration, end + _SLACK)
        if number + 1 < len(groups):
            after = groups[number + 1][0]
            if after - end < 2 * _SLACK:
                stop = _pause_between(end, after, pauses)
        stop = max(stop, begin)
        if begin > at_time:
            found.append(Chunk(at_time, begin, first, first))
        found.append(Chunk(begin, stop, first, last))
        at_time = stop
    if at_time < duration:
        found.append(Chunk(at_time, duration, at, at))
    return found


def _separable(
    group: tuple[float, float, int, int], start: float, pauses: Sequence[activity.Span]
) -> bool:
    """Whether a line that starts at ``start`` can be separated from the group before it."""
    gap = start - group[1]
    if gap >= 2 * _SLACK or start - group[0] > 25.0:
        return True
    candidates = _pauses_near(group[1], start, pauses)
    return gap >= -0.1 and start - group[0] > 2.0 and any(b - a >= 0.2 for a, b in candidates)


def _pauses_near(end: float, start: float, pauses: Sequence[activity.Span]) -> list[activity.Span]:
    """Pauses whose middle is near the gap between two lines."""
    low, high = min(end, start) - _SLACK / 2, max(end, start) + _SLACK / 2
    return [(a, b) for a, b in pauses if low <= (a + b) / 2 <= high and b - a >= 0.12]


def _pause_between(end: float, start: float, pauses: Sequence[activity.Span]) -> float:
    candidates = _pauses_near(end, start, pauses)
    middle = (end + start) / 2
    if not candidates:
        return middle
    # long pauses before near ones
    a, b = max(candidates, key=lambda pause: pause[1] - pause[0] - abs(sum(pause) / 2 - middle))
    return (a + b) / 2


def _cut(
    left: activity.Span, right: activity.Span, pauses: Sequence[activity.Span], patience: float
) -> float | None:
    middle = (left[1] + right[0]) / 2
    for start, end in pauses:
        if start > right[0] + 0.3:
            break
        center = (start + end) / 2
        if left[0] < center < right[1] and end - start >= 0.12:
            return center
    # no pause for 20 s: a clean boundary between two known words must do
    return middle if patience > 20.0 and right[0] >= left[1] - 0.02 else None


def spoken_lines(
    script: Sequence[ScriptLine],
    counts: Sequence[int],
    placed: Iterable[tuple[int, float, float]],
) -> tuple[SpokenLine, ...]:
    """The lines of a script as they were found: ``counts`` of their words, and of every word that was ``placed`` the
    number of its line, from 0, its start and its end.
    """
    times: dict[int, list[activity.Span]] = {}
    for number, start, end in placed:
        times.setdefault(number, []).append((start, end))
    found = []
    for number, (line, count) in enumerate(zip(script, counts, strict=True)):
        spans = times.get(number, [])
        found.append(
            SpokenLine(
                line.text,
                line.number,
                min((start for start, _ in spans), default=None),
                max((end for _, end in spans), default=None),
                min(1.0, len(spans) / count) if count else 0.0,
                line.speaker,
                line.on_screen,
                line.language,
            )
        )
    return tuple(found)
