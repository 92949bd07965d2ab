"""Lay a script on a dub with the embedded acoustic model, and find where the two differ.

Long tracks are cut first: timed scripts between their lines, plain ones where words of the script were
recognized. In each piece all words are aligned; words that the sound does not bear out are taken from the
piece, the rest is aligned again, and both sides of the difference are told: text that is not spoken, sound
that is not in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from dubkit.errors import InputError
from dubkit.records import SILENCE, Phoneme, ScriptLine, Word
from dubkit.speech.activity import Span, Track
from dubkit.speech.g2p import Pronouncer
from dubkit.speech.phone_map import Spoken, spoken
from dubkit.speech.sphinx_decoders import Decoders, Forced, Phones

_SLACK = 0.8  # seconds that speech may begin before its line's time, or end after it


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of the track and the script words in it, ``first`` to ``last`` (excluded)."""

    start: float
    end: float
    first: int
    last: int


def match(script: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (script index, heard index) of equal words, rising in both.

    From equal runs of three words, then from single words between those.
    """
    triples = [tuple(script[i : i + 3]) for i in range(len(script) - 2)]
    heard_triples = [tuple(heard[i : i + 3]) for i in range(len(heard) - 2)]
    pairs: set[tuple[int, int]] = set()
    matcher = SequenceMatcher(None, triples, heard_triples, autojunk=False)
    for block in matcher.get_matching_blocks():
        if block.size:
            pairs |= {(block.a + k, block.b + k) for k in range(block.size + 2)}
    fixed = [(-1, -1), *_rising(pairs), (len(script), len(heard))]
    for (a, b), (c, d) in pairwise(fixed):
        # single words are trusted only in short gaps, where there is little choice
        if 1 < c - a <= 30 and 1 < d - b <= 30:
            inner = SequenceMatcher(None, script[a + 1 : c], heard[b + 1 : d], autojunk=False)
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


def line_times(lines: Sequence[ScriptLine], counts: Sequence[int]) -> list[Span | None]:
    """A rough time for every script word from the times of its line; None where the line has none."""
    times: list[Span | None] = []
    for line, count in zip(lines, counts, strict=True):
        if line.start is None or line.end is None:
            times += [None] * count
        else:
            edges = np.linspace(line.start, line.end, count + 1).tolist()
            times += list(pairwise(edges))
    return times


def heard_times(
    count: int, pairs: Sequence[tuple[int, int]], heard: Sequence[Word]
) -> list[Span | None]:
    """The heard time of every script word that was matched."""
    times: list[Span | None] = [None] * count
    for i, j in pairs:
        times[i] = (heard[j].start, heard[j].end)
    return times


def plausible(times: Sequence[Span | None], spans: Sequence[Span]) -> bool:
    """Whether the times that a script states for its words are those of sound on the track."""
    stated = [time for time in times if time is not None]
    if len(stated) < len(times) or not stated or not spans:
        return False
    edges = np.array(spans)
    middles = np.array([(a + b) / 2 for a, b in stated])
    at = np.clip(np.searchsorted(edges[:, 0], middles, "right") - 1, 0, None)
    inside = (middles >= edges[at, 0] - 0.3) & (middles <= edges[at, 1] + 0.3)
    return bool(inside.mean() > 0.7)


def chunks(times: Sequence[Span | None], pauses: Sequence[Span], duration: float) -> list[Chunk]:
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
    lines: Sequence[ScriptLine], counts: Sequence[int], pauses: Sequence[Span], duration: float
) -> list[Chunk]:
    """Cut between the lines of a timed script, in pauses where there are some; the chunks tile the track.

    What lies further than `_SLACK` from every line becomes a chunk without words.
    """
    groups: list[tuple[float, float, int, int]] = []  # start, end, first word, last
    at = 0
    for line, count in zip(lines, counts, strict=True):
        if count and line.start is not None and line.end is not None:
            first, last = at, at + count
            if groups and not _apart(groups[-1], line.start, pauses):
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


def _apart(group: tuple[float, float, int, int], start: float, pauses: Sequence[Span]) -> bool:
    """Whether a line that starts at ``start`` can be told from the group before it."""
    gap = start - group[1]
    if gap >= 2 * _SLACK or start - group[0] > 25.0:
        return True
    near = _near_anchors(group[1], start, pauses)
    return gap >= -0.1 and start - group[0] > 2.0 and any(b - a >= 0.2 for a, b in near)


def _near_anchors(end: float, start: float, pauses: Sequence[Span]) -> list[Span]:
    """Pauses whose middle is near the gap between two lines."""
    low, high = min(end, start) - _SLACK / 2, max(end, start) + _SLACK / 2
    return [(a, b) for a, b in pauses if low <= (a + b) / 2 <= high and b - a >= 0.12]


def _pause_between(end: float, start: float, pauses: Sequence[Span]) -> float:
    near = _near_anchors(end, start, pauses)
    middle = (end + start) / 2
    if not near:
        return middle
    # long pauses before near ones
    a, b = max(near, key=lambda pause: pause[1] - pause[0] - abs(sum(pause) / 2 - middle))
    return (a + b) / 2


def _cut(left: Span, right: Span, pauses: Sequence[Span], patience: float) -> float | None:
    middle = (left[1] + right[0]) / 2
    for start, end in pauses:
        if start > right[0] + 0.3:
            break
        center = (start + end) / 2
        if left[0] < center < right[1] and end - start >= 0.12:
            return center
    # no pause for 20 s: a clean boundary between two known words must do
    return middle if patience > 20.0 and right[0] >= left[1] - 0.02 else None


_LEAST = 1e-6  # seconds; what is shorter is rounding


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


Fits = NDArray[np.float64]

ONE_PIECE = 100.0  # seconds of speech that are aligned whole; memory grows with the square
_SURE = -26.0  # `Forced.fit` of an English script that nobody need doubt
_DOUBT = -45.0  # fit of a word, seen with its neighbors, that raises a doubt
_MARGIN = (
    20.0  # a right script fits better than its words backward by this at least (measured: 37 to 80)
)
_OF_WRONG = (
    75  # per cent of wrong words fit worse than the limit under which words are not borne out
)
# words in a row that are told as not said; other languages are heard less surely
_CLAUSE, _CLAUSE_FOREIGN = 3, 5
_UNHEARD = 0.6  # seconds of loud sound that no word explains
_LONGEST_PHONE = 0.35  # seconds on average in one word: it was smeared over other sound
_ENOUGH = 0.35  # of the words must be heard, else it is another script


@dataclass(slots=True)
class Fitted:
    """What was found of a script: words, phones, and both differences."""

    texts: list[str] = field(default_factory=list)
    phones: Phones = field(default_factory=list)
    unspoken: list[str] = field(default_factory=list)
    unscripted: list[Span] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Piece:
    start: float
    end: float
    words: list[Spoken]
    forced: Forced | None


class ScriptFitter:
    """Fits one script to one track; ``loop`` gives phones of a stretch by sound alone."""

    def __init__(
        self, decoders: Decoders, track: Track, loop: Callable[[list[Span]], Phones]
    ) -> None:
        self._decoders = decoders
        self._track = track
        self._loop = loop

    def fit(self, script: Sequence[ScriptLine], pronouncer: Pronouncer, trust: bool) -> Fitted:
        """Raises InputError where this is not the script of this dub, unless it is to be trusted."""
        lines = self._words(script, pronouncer)
        counts = [len(line) for line in lines]
        words = [word for line in lines for word in line]
        found, score = Fitted(), 0.0
        timed = plausible(line_times(script, counts), self._track.spans)
        if timed:
            pauses, duration = self._track.pauses(), self._track.duration
            chunks = timed_chunks(script, counts, pauses, duration)
            found, score = self._laid(chunks, words, trust)
        if not timed or (len(found.texts) < 0.6 * len(words) and not trust):
            free, other = self._laid(self._chunks(lines), words, trust)
            if timed and len(free.texts) > len(found.texts):
                warning = "the timestamps of the script do not match the dub and are ignored"
                self._track.warnings.append(warning)
            if not timed or len(free.texts) > len(found.texts):
                found, score = free, other
        if len(found.texts) < _ENOUGH * len(words) and not trust:
            raise self._another(score, pronouncer.language)
        self._tell(found)
        return found

    def _laid(self, chunks: list[Chunk], words: list[Spoken], trust: bool) -> tuple[Fitted, float]:
        """What fits of a script cut in one way, and its score: fit above chance."""
        pieces = [self._piece(c.start, c.end, words[c.first : c.last]) for c in chunks]
        limit, score = (-np.inf, _MARGIN) if trust else self._limit(pieces)
        found = Fitted()
        for piece in pieces:
            clause = _CLAUSE if all(not w.groups for w in piece.words) else _CLAUSE_FOREIGN
            for part in self._parts(piece, limit, clause):
                self._take(found, part)
        return found, score

    def _piece(self, start: float, end: float, words: list[Spoken]) -> _Piece:
        forced = self._decoders.force(self._track.cut(start, end), words) if words else None
        return _Piece(start, end, words, forced)

    def _limit(self, pieces: list[_Piece]) -> tuple[float, float]:
        """The fit under which words are not borne out by this sound, and the score of the whole.

        Voice, microphone and language move all fits; what a wrong text gives in the same sound is told by
        the words backward.
        """
        told = [piece for piece in pieces if piece.forced is not None]
        if not told:
            return np.inf, 0.0
        near = np.concatenate([_near(piece.forced.word_fits) for piece in told if piece.forced])
        if np.median(near) > _SURE and near.min() > _DOUBT:
            return -np.inf, _MARGIN
        longest = max(told, key=lambda piece: len(piece.words))
        backward = self._piece(longest.start, longest.end, longest.words[::-1]).forced
        if backward is None or len(longest.words) < 4:
            return _SURE + (_DOUBT - _SURE) * 2, _MARGIN
        level = float(np.percentile(near, 70))
        score = level - backward.fit
        if score < _MARGIN:
            return np.inf, score
        return float(np.percentile(_near(backward.word_fits), _OF_WRONG)), score

    def _words(self, script: Sequence[ScriptLine], pronouncer: Pronouncer) -> list[list[Spoken]]:
        texts = [pronouncer.words(line.text) for line in script]
        said = [[spoken(pronouncer, word) for word in line] for line in texts]
        lines = [[word for word in line if word is not None] for line in said]
        count, kept = sum(map(len, texts)), sum(map(len, lines))
        if kept < 0.7 * max(1, count):
            raise InputError(
                f"{count - kept} of the script's {count} words cannot be pronounced in the language "
                f"{pronouncer.language!r}",
                hint="set the script's language with --language; dubkit languages lists the codes",
            )
        if kept < count:
            self._track.warnings.append(
                f"{count - kept} words of the script cannot be pronounced and are left out"
            )
        return lines

    def _chunks(self, lines: list[list[Spoken]]) -> list[Chunk]:
        """Stretches of the track with the script words that are spoken in them."""
        track = self._track
        names = [word.name for line in lines for word in line]
        first, last = track.spans[0][0], track.spans[-1][1]
        if last - first <= ONE_PIECE:
            start, end = max(0.0, first - 0.4), min(track.duration, last + 0.4)
            return [Chunk(start, end, 0, len(names))]
        heard = self._heard(lines)
        pairs = match(names, [word.text for word in heard])
        times = heard_times(len(names), pairs, heard)
        return chunks(times, track.pauses(), track.duration)

    def _heard(self, lines: list[list[Spoken]]) -> list[Word]:
        """Words recognized window by window by a recognizer that expects the script's."""
        self._decoders.guide(lines)
        return [
            Word(text, start + at, end + at)
            for at, stop in self._track.windows()
            for text, start, end in self._decoders.recognize_guided(self._track.cut(at, stop))
        ]

    def _parts(self, piece: _Piece, limit: float, clause: int, again: bool = True) -> list[_Piece]:
        """A piece as parts whose words are said there, and parts of words that are not."""
        forced, words = piece.forced, piece.words
        if forced is None:
            return [piece]
        kept = _borne_out(forced, limit, clause)
        if kept.all():
            return [piece]
        if not kept.any():
            return [_Piece(piece.start, piece.end, words, None)]
        parts: list[_Piece] = []
        edges = [(a + piece.start, b + piece.start) for a, b in _word_spans(forced)]
        runs = [(good, [i for i, _ in run]) for good, run in groupby(enumerate(kept), _flag)]
        at = piece.start
        for number, (good, run) in enumerate(runs):
            stop = piece.end
            if number + 1 < len(runs):
                stop = _between(edges[run[-1]], edges[runs[number + 1][1][0]], keep_left=good)
            told = words[run[0] : run[-1] + 1]
            if good and again:
                parts += self._parts(self._piece(at, stop, told), limit, clause, again=False)
            else:
                parts.append(_Piece(at, stop, told, None))
            at = stop
        return parts

    def _take(self, found: Fitted, piece: _Piece) -> None:
        if piece.forced is None:
            if piece.words:
                found.unspoken.append(" ".join(word.text for word in piece.words))
            unsaid = [(piece.start, piece.end)]
        else:
            first = len(found.texts)
            moved = _moved(piece.forced.phones, piece.start, first)
            found.texts += [word.text for word in piece.words]
            unsaid = _gaps([p for p in moved if p[3] is not None], piece.start, piece.end)
            found.phones += [phone for phone in moved if phone[3] is not None]
        for start, end in unsaid:
            clear = self._track.clear(start, end) >= _UNHEARD
            spans = self._track.windows(start, end) if clear or piece.forced is None else []
            found.unscripted += spans if clear else []
            found.phones += self._loop(spans)

    def _tell(self, found: Fitted) -> None:
        if found.unspoken:
            count = sum(len(text.split()) for text in found.unspoken)
            self._track.warnings.append(
                f"{count} words of the script were not found in the dub, the first: "
                f"{_short(found.unspoken[0])!r}"
            )
        if found.unscripted:
            seconds = sum(end - start for start, end in found.unscripted)
            self._track.warnings.append(
                f"{seconds:.1f} s of the dub are not in the script, the first at "
                f"{found.unscripted[0][0]:.1f} s: lips follow the sound alone there"
            )

    def _another(self, score: float, language: str) -> InputError:
        return InputError(
            f"the script does not match the dub: its score is {score:.0f}, a matching "
            f"one has {_MARGIN:.0f} or more",
            hint=f"is it the script of this dub, in the language {language!r}? --language sets "
            "another; --trust-script uses it as it is; without --script, lips follow the sound alone",
        )


def _flag(item: tuple[int, np.bool_]) -> bool:
    return bool(item[1])


def _near(fits: Sequence[float]) -> Fits:
    """(words,) The fit of each word seen with two neighbors on each side."""
    padded = np.pad(np.array(fits), 2, mode="reflect" if len(fits) > 2 else "edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), 1))


def _borne_out(forced: Forced, limit: float, clause: int) -> NDArray[np.bool_]:
    """(words,) Whether the sound bears out each word."""
    good = _near(forced.word_fits) >= limit
    for i, (start, end) in enumerate(_word_spans(forced)):
        count = sum(word == i for *_, word in forced.phones)
        smeared = (end - start) / count > _LONGEST_PHONE and forced.word_fits[i] < limit
        good[i] &= not smeared
    at = 0
    for flag, run in groupby(good.tolist()):
        count = len(list(run))
        if not flag and count < clause and count < len(good):
            good[at : at + count] = True  # one or two odd words: said in another way, not left out
        at += count
    return good


def _word_spans(forced: Forced) -> list[Span]:
    spans: dict[int, list[float]] = {}
    for _, start, end, word in forced.phones:
        if word is not None:
            spans.setdefault(word, [start, end])[1] = end
    return [(spans[i][0], spans[i][1]) for i in sorted(spans)]


def _gaps(phones: Phones, start: float, end: float) -> list[Span]:
    """What lies between phones that follow one another, within ``start`` to ``end``."""
    edges = [start, *(time for _, a, b, _ in phones for time in (a, b)), end]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _between(left: Span, right: Span, keep_left: bool) -> float:
    """Where to cut between two words of which one is not borne out: close to the one that is."""
    margin = min(0.1, (right[0] - left[1]) / 2)
    return left[1] + margin if keep_left else right[0] - margin


def _moved(phones: Phones, seconds: float, words: int) -> Phones:
    return [
        (p, a + seconds, b + seconds, None if w is None else w + words) for p, a, b, w in phones
    ]


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
