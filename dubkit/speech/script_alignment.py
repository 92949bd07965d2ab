"""Lay a script on a dub with the embedded acoustic model, and find where the two differ.

Long tracks are cut first: timed scripts between their lines, plain ones where words of the script were
recognised. In each piece all words are aligned; words that the sound does not bear out are taken from the
piece, the rest is aligned again, and both sides of the difference are told: text that is not spoken, sound
that is not in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from dubkit.engines.track import Track
from dubkit.errors import InputError
from dubkit.records import ScriptLine, Word
from dubkit.speech import anchors
from dubkit.speech.activity import Span
from dubkit.speech.phone_map import Spoken, spoken
from dubkit.speech.pronounce import Pronouncer
from dubkit.speech.sphinx_decoders import Decoders, Forced, Phones

Fits = NDArray[np.float64]

ONE_PIECE = 100.0  # seconds of speech that are aligned whole; memory grows with the square
_SURE = -26.0  # `Forced.fit` of an English script that nobody need doubt
_DOUBT = -45.0  # fit of a word, seen with its neighbours, that raises a doubt
_MARGIN = 20.0  # a right script fits better than its words backwards by this at least (measured: 37 to 80)
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
        timed = anchors.plausible(anchors.line_times(script, counts), self._track.spans)
        if timed:
            pauses, duration = self._track.pauses(), self._track.duration
            chunks = anchors.timed_chunks(script, counts, pauses, duration)
            found, score = self._laid(chunks, words, trust)
        if not timed or (len(found.texts) < 0.6 * len(words) and not trust):
            free, other = self._laid(self._chunks(lines), words, trust)
            if timed and len(free.texts) > len(found.texts):
                warning = "the script's times are not those of the dub: left aside"
                self._track.warnings.append(warning)
            if not timed or len(free.texts) > len(found.texts):
                found, score = free, other
        if len(found.texts) < _ENOUGH * len(words) and not trust:
            raise self._another(score, pronouncer.language)
        self._tell(found)
        return found

    def _laid(
        self, chunks: list[anchors.Chunk], words: list[Spoken], trust: bool
    ) -> tuple[Fitted, float]:
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
        the words backwards.
        """
        told = [piece for piece in pieces if piece.forced is not None]
        if not told:
            return np.inf, 0.0
        near = np.concatenate([_near(piece.forced.word_fits) for piece in told if piece.forced])
        if np.median(near) > _SURE and near.min() > _DOUBT:
            return -np.inf, _MARGIN
        longest = max(told, key=lambda piece: len(piece.words))
        backwards = self._piece(longest.start, longest.end, longest.words[::-1]).forced
        if backwards is None or len(longest.words) < 4:
            return _SURE + (_DOUBT - _SURE) * 2, _MARGIN
        level = float(np.percentile(near, 70))
        score = level - backwards.fit
        if score < _MARGIN:
            return np.inf, score
        return float(np.percentile(_near(backwards.word_fits), _OF_WRONG)), score

    def _words(self, script: Sequence[ScriptLine], pronouncer: Pronouncer) -> list[list[Spoken]]:
        texts = [pronouncer.words(line.text) for line in script]
        said = [[spoken(pronouncer, word) for word in line] for line in texts]
        lines = [[word for word in line if word is not None] for line in said]
        count, kept = sum(map(len, texts)), sum(map(len, lines))
        if kept < 0.7 * max(1, count):
            raise InputError(
                f"{count - kept} of the script's {count} words cannot be said in the language "
                f"{pronouncer.language!r}",
                hint="say the script's language with --language; dubkit languages shows the codes",
            )
        if kept < count:
            self._track.warnings.append(
                f"{count - kept} words of the script cannot be pronounced and are left out"
            )
        return lines

    def _chunks(self, lines: list[list[Spoken]]) -> list[anchors.Chunk]:
        """Stretches of the track with the script words that are spoken in them."""
        track = self._track
        names = [word.name for line in lines for word in line]
        first, last = track.spans[0][0], track.spans[-1][1]
        if last - first <= ONE_PIECE:
            start, end = max(0.0, first - 0.4), min(track.duration, last + 0.4)
            return [anchors.Chunk(start, end, 0, len(names))]
        heard = self._heard(lines)
        pairs = anchors.match(names, [word.text for word in heard])
        times = anchors.heard_times(len(names), pairs, heard)
        return anchors.chunks(times, track.pauses(), track.duration)

    def _heard(self, lines: list[list[Spoken]]) -> list[Word]:
        """Words recognised window by window by a recogniser that expects the script's."""
        self._decoders.guide(lines)
        return [
            Word(text, start + at, end + at)
            for at, stop in self._track.windows()
            for text, start, end in self._decoders.recognise_guided(self._track.cut(at, stop))
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
                f"{count} words of the script are not heard in the dub, the first: "
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
            f"the script is not what the dub says: it fits with a score of {score:.0f}, a right one "
            f"with {_MARGIN:.0f} and more",
            hint=f"is it the script of this dub, in the language {language!r}? --language says "
            "another; --trust-script takes it as it is; without --script the sound alone decides",
        )


def _flag(item: tuple[int, np.bool_]) -> bool:
    return bool(item[1])


def _near(fits: Sequence[float]) -> Fits:
    """(words,) The fit of each word seen with two neighbours on each side."""
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
