"""Align a script with a dub by the embedded acoustic model, and find where the two differ.

Long tracks are cut first: timed scripts between their lines, plain ones where words of the script were recognized. In
each piece all words are aligned; words that the sound does not confirm are taken from the piece, the rest is aligned
again, and both differences are reported: text that is not spoken, and sound that is not in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import groupby, pairwise

import numpy as np

from dubkit.errors import InputError
from dubkit.records import SILENCE, Doubles, Mask, Phoneme, ScriptLine, Word
from dubkit.speech import activity, g2p, phone_map, sphinx_decoders

_SLACK = 0.8  # seconds that speech may begin before its line's time, or end after it


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of the track and the script words in it, ``first`` to ``last`` (excluded)."""

    start: float
    end: float
    first: int
    last: int


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


_ROUNDING = 1e-6  # seconds; what is shorter is rounding


def silence_inaudible(
    phones: sphinx_decoders.Phones, dead: Sequence[activity.Span]
) -> sphinx_decoders.Phones:
    """The phones without those in the inaudible spans ``dead`` (rising); phones that reach into one are shortened."""
    audible: sphinx_decoders.Phones = []
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
            audible.append((symbol, *kept, word))
    return audible


def tile(
    texts: Sequence[str],
    phones: sphinx_decoders.Phones,
    duration: float,
    scores: Sequence[float] | None = None,
) -> tuple[tuple[Word, ...], tuple[Phoneme, ...]]:
    """Words, and phonemes that tile ``0 .. duration``: gaps become silence, silences are joined.

    Words without an audible phone are left out.
    """
    phonemes: list[Phoneme] = []
    spans: dict[int, list[float]] = {}
    order: list[int] = []
    at = 0.0
    for symbol, start, end, word in phones:
        start, end = max(at, min(start, duration)), min(end, duration)
        if end - start <= _ROUNDING:
            continue
        if start - at > _ROUNDING:
            phonemes.append(Phoneme(SILENCE, at, start))
        else:
            start = at
        if word is not None:
            if word not in spans:
                order.append(word)
            spans.setdefault(word, [start, end])[1] = end
        phonemes.append(Phoneme(symbol, start, end, None if word is None else len(order) - 1))
        at = end
    if duration - at > _ROUNDING:
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


WordFits = Doubles

ONE_PIECE = 100.0  # seconds of speech that are aligned whole; memory grows with the square
_SURE_FIT = -26.0  # `Forced.fit` of an English script that is certainly right
_DOUBTFUL_FIT = -45.0  # smoothed fit of a word below which the script may be wrong
_MARGIN = (
    20.0  # a right script fits better than its words backward by this at least (measured: 37 to 80)
)
_WRONG_PERCENTILE = (
    75  # per cent of wrong words fit worse than the limit below which words are not confirmed
)
# words in a row that are reported as not spoken; other languages are aligned less reliably
_MIN_RUN, _MIN_RUN_FOREIGN = 3, 5
_MIN_UNEXPLAINED = 0.6  # seconds of loud sound without words that are reported
_MAX_PHONE_SECONDS = 0.35  # seconds on average in one word: it was smeared over other sound
_MIN_SHARE = 0.35  # of the words must be confirmed, else it is another script


@dataclass(slots=True)
class Fitted:
    """The fit of a script: words and phones, and both differences."""

    texts: list[str] = field(default_factory=list)
    phones: sphinx_decoders.Phones = field(default_factory=list)
    unspoken: list[str] = field(default_factory=list)
    unscripted: list[activity.Span] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Piece:
    start: float
    end: float
    words: list[phone_map.Spoken]
    forced: sphinx_decoders.Forced | None


class ScriptFitter:
    """Fits one script to one track; ``loop`` gives phones of a stretch by sound alone."""

    def __init__(
        self,
        decoders: sphinx_decoders.Decoders,
        track: activity.Track,
        loop: Callable[[list[activity.Span]], sphinx_decoders.Phones],
    ) -> None:
        self._decoders = decoders
        self._track = track
        self._loop = loop

    def fit(self, script: Sequence[ScriptLine], pronouncer: g2p.Pronouncer, trust: bool) -> Fitted:
        """Raises InputError where this is not the script of this dub, unless it is to be trusted."""
        lines = self._pronounced(script, pronouncer)
        counts = [len(line) for line in lines]
        words = [word for line in lines for word in line]
        found, score = Fitted(), 0.0
        timed = plausible(line_times(script, counts), self._track.spans)
        if timed:
            pauses, duration = self._track.pauses(), self._track.duration
            chunks = timed_chunks(script, counts, pauses, duration)
            found, score = self._fitted(chunks, words, trust)
        if not timed or (len(found.texts) < 0.6 * len(words) and not trust):
            free, other = self._fitted(self._chunks(lines), words, trust)
            if timed and len(free.texts) > len(found.texts):
                warning = "the timestamps of the script do not match the dub and are ignored"
                self._track.warnings.append(warning)
            if not timed or len(free.texts) > len(found.texts):
                found, score = free, other
        if len(found.texts) < _MIN_SHARE * len(words) and not trust:
            raise self._mismatch(score, pronouncer.language)
        self._warn(found)
        return found

    def _fitted(
        self, chunks: list[Chunk], words: list[phone_map.Spoken], trust: bool
    ) -> tuple[Fitted, float]:
        """What fits of a script that is cut into ``chunks``, and its score: fit above chance."""
        pieces = [self._piece(c.start, c.end, words[c.first : c.last]) for c in chunks]
        limit, score = (-np.inf, _MARGIN) if trust else self._limit(pieces)
        found = Fitted()
        for piece in pieces:
            min_run = _MIN_RUN if all(not w.groups for w in piece.words) else _MIN_RUN_FOREIGN
            for part in self._parts(piece, limit, min_run):
                self._collect(found, part)
        return found, score

    def _piece(self, start: float, end: float, words: list[phone_map.Spoken]) -> _Piece:
        forced = self._decoders.force(self._track.cut(start, end), words) if words else None
        return _Piece(start, end, words, forced)

    def _limit(self, pieces: list[_Piece]) -> tuple[float, float]:
        """The fit below which words are not confirmed by this sound, and the score of the whole.

        Voice, microphone and language move all fits; the fit of a wrong text in the same sound is
        measured with the words backward.
        """
        aligned = [piece for piece in pieces if piece.forced is not None]
        if not aligned:
            return np.inf, 0.0
        fits_near = np.concatenate(
            [_smoothed_fits(piece.forced.word_fits) for piece in aligned if piece.forced]
        )
        if np.median(fits_near) > _SURE_FIT and fits_near.min() > _DOUBTFUL_FIT:
            return -np.inf, _MARGIN
        longest = max(aligned, key=lambda piece: len(piece.words))
        backward = self._piece(longest.start, longest.end, longest.words[::-1]).forced
        if backward is None or len(longest.words) < 4:
            return _SURE_FIT + (_DOUBTFUL_FIT - _SURE_FIT) * 2, _MARGIN
        level = float(np.percentile(fits_near, 70))
        score = level - backward.fit
        if score < _MARGIN:
            return np.inf, score
        return float(np.percentile(_smoothed_fits(backward.word_fits), _WRONG_PERCENTILE)), score

    def _pronounced(
        self, script: Sequence[ScriptLine], pronouncer: g2p.Pronouncer
    ) -> list[list[phone_map.Spoken]]:
        texts = [pronouncer.words(line.text) for line in script]
        pronounced = [[phone_map.spoken(pronouncer, word) for word in line] for line in texts]
        lines = [[word for word in line if word is not None] for line in pronounced]
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

    def _chunks(self, lines: list[list[phone_map.Spoken]]) -> list[Chunk]:
        """Stretches of the track with the script words that are spoken in them."""
        track = self._track
        names = [word.name for line in lines for word in line]
        first, last = track.spans[0][0], track.spans[-1][1]
        if last - first <= ONE_PIECE:
            start, end = max(0.0, first - 0.4), min(track.duration, last + 0.4)
            return [Chunk(start, end, 0, len(names))]
        recognized = self._recognized(lines)
        pairs = match(names, [word.text for word in recognized])
        times = recognized_times(len(names), pairs, recognized)
        return chunks(times, track.pauses(), track.duration)

    def _recognized(self, lines: list[list[phone_map.Spoken]]) -> list[Word]:
        """Words recognized window by window by a recognizer that expects the script's."""
        self._decoders.guide(lines)
        return [
            Word(text, start + at, end + at)
            for at, stop in self._track.windows()
            for text, start, end in self._decoders.recognize_guided(self._track.cut(at, stop))
        ]

    def _parts(self, piece: _Piece, limit: float, min_run: int, again: bool = True) -> list[_Piece]:
        """A piece divided into parts whose words are spoken there and parts whose words are not."""
        forced, words = piece.forced, piece.words
        if forced is None:
            return [piece]
        kept = _confirmed(forced, limit, min_run)
        if kept.all():
            return [piece]
        if not kept.any():
            return [_Piece(piece.start, piece.end, words, None)]
        parts: list[_Piece] = []
        edges = [(a + piece.start, b + piece.start) for a, b in _word_spans(forced)]
        runs = [
            (good, [i for i, _ in run]) for good, run in groupby(enumerate(kept), _is_confirmed)
        ]
        at = piece.start
        for number, (good, run) in enumerate(runs):
            stop = piece.end
            if number + 1 < len(runs):
                stop = _cut_between(edges[run[-1]], edges[runs[number + 1][1][0]], keep_left=good)
            run_words = words[run[0] : run[-1] + 1]
            if good and again:
                parts += self._parts(self._piece(at, stop, run_words), limit, min_run, again=False)
            else:
                parts.append(_Piece(at, stop, run_words, None))
            at = stop
        return parts

    def _collect(self, found: Fitted, piece: _Piece) -> None:
        if piece.forced is None:
            if piece.words:
                found.unspoken.append(" ".join(word.text for word in piece.words))
            unexplained = [(piece.start, piece.end)]
        else:
            first = len(found.texts)
            moved = _shifted(piece.forced.phones, piece.start, first)
            found.texts += [word.text for word in piece.words]
            unexplained = _gaps([p for p in moved if p[3] is not None], piece.start, piece.end)
            found.phones += [phone for phone in moved if phone[3] is not None]
        for start, end in unexplained:
            clear = self._track.clear(start, end) >= _MIN_UNEXPLAINED
            spans = self._track.windows(start, end) if clear or piece.forced is None else []
            found.unscripted += spans if clear else []
            found.phones += self._loop(spans)

    def _warn(self, found: Fitted) -> None:
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

    def _mismatch(self, score: float, language: str) -> InputError:
        return InputError(
            f"the script does not match the dub: its score is {score:.0f}, a matching "
            f"one has {_MARGIN:.0f} or more",
            hint=f"is it the script of this dub, in the language {language!r}? --language sets "
            "another; --trust-script uses it as it is; without --script, lips follow the sound alone",
        )


def _is_confirmed(item: tuple[int, np.bool_]) -> bool:
    return bool(item[1])


def _smoothed_fits(fits: Sequence[float]) -> WordFits:
    """(words,) the median fit of each word with two neighbors on each side."""
    padded = np.pad(np.array(fits), 2, mode="reflect" if len(fits) > 2 else "edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), 1))


def _confirmed(forced: sphinx_decoders.Forced, limit: float, min_run: int) -> Mask:
    """(words,) whether the sound confirms each word."""
    good = _smoothed_fits(forced.word_fits) >= limit
    for i, (start, end) in enumerate(_word_spans(forced)):
        count = sum(word == i for *_, word in forced.phones)
        smeared = (end - start) / count > _MAX_PHONE_SECONDS and forced.word_fits[i] < limit
        good[i] &= not smeared
    at = 0
    for flag, run in groupby(good.tolist()):
        count = len(list(run))
        if not flag and count < min_run and count < len(good):
            good[at : at + count] = (
                True  # one or two misfits: pronounced in another way, not left out
            )
        at += count
    return good


def _word_spans(forced: sphinx_decoders.Forced) -> list[activity.Span]:
    spans: dict[int, list[float]] = {}
    for _, start, end, word in forced.phones:
        if word is not None:
            spans.setdefault(word, [start, end])[1] = end
    return [(spans[i][0], spans[i][1]) for i in sorted(spans)]


def _gaps(phones: sphinx_decoders.Phones, start: float, end: float) -> list[activity.Span]:
    """The spans between phones that follow one another, within ``start`` to ``end``."""
    edges = [start, *(time for _, a, b, _ in phones for time in (a, b)), end]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _cut_between(left: activity.Span, right: activity.Span, keep_left: bool) -> float:
    """Where to cut between two words of which one is not confirmed: close to the one that is."""
    margin = min(0.1, (right[0] - left[1]) / 2)
    return left[1] + margin if keep_left else right[0] - margin


def _shifted(phones: sphinx_decoders.Phones, seconds: float, words: int) -> sphinx_decoders.Phones:
    return [
        (p, a + seconds, b + seconds, None if w is None else w + words) for p, a, b, w in phones
    ]


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
