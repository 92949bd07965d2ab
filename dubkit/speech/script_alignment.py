"""Align a script with a dub by the embedded acoustic model, and find where the two differ.

Long tracks are cut first: timed scripts between their lines, plain ones where words of the script were recognized. In
each piece all words are aligned; what the sound does not confirm is taken from it, and the rest is aligned again.
Sentences that were not found are then laid over the sound between their neighbors. Both differences are reported: text
that is not spoken, and sound that is not in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, groupby

import numpy as np

from dubkit.errors import InputError, MissingDependency, UsageError
from dubkit.records import Doubles, Mask, ScriptLine, SpokenLine, Word
from dubkit.speech import activity, g2p, phone_map, script_chunks, sphinx_decoders

WordFits = Doubles

ONE_PIECE = 100.0  # seconds of speech that are aligned whole; memory grows with the square
_SURE_FIT = -26.0  # `Forced.fit` of an English script that is certainly right
_DOUBTFUL_FIT = -45.0  # smoothed fit of a word below which the script may be wrong
# below the other sentences, from which on one is not spoken: right ones of one script lie within 16, wrong ones are
# 27 to 90 below (measured: German and French of espeak-ng, whose fits all lie 40 below those of English)
_WORSE = 22.0
_MARGIN = (
    20.0  # a right script fits better than its words backward by this at least (measured: 37 to 80)
)
_FAR = 28.0  # a sentence that is tried in several places by this: the best of them is better by chance too
_LEVEL_PERCENTILE, _RIGHT_PERCENTILE = (
    70,
    85,
)  # of the fits of words, which are right in most scripts
_GAIN = 4.0  # of the mean fit of the rest where a sentence that is not spoken is taken out
_WHOLE = 0.8  # of a line's words, from which on all of it is spoken
# words in a row that are reported as not spoken; other languages are aligned less reliably
_MIN_RUN, _MIN_RUN_FOREIGN = 3, 5
_LEAST_CUT = 4  # words of a piece of a sentence that is tried
_MOST_TRIES = 150  # alignments of sentences that were not found with stretches of sound
_LEAST_STRETCH, _SHORT_PAUSE, _AROUND = 0.1, 0.25, 0.15  # seconds
_PHONE_SECONDS = (0.045, 0.16)  # that a phone takes on average in what is spoken
_MIN_UNEXPLAINED = 0.6  # seconds of loud sound without words that are reported
_MAX_PHONE_SECONDS = 0.35  # seconds on average in one word: it was smeared over other sound
_MIN_SHARE = 0.35  # of the words must be confirmed, else it is another script
_ENOUGH_WORDS = 8  # in a shorter script a few that are not found say little of the whole


@dataclass(frozen=True, slots=True)
class Limit:
    """The fits from which on words are confirmed, and lines of a few words, which may be odd."""

    fit: float
    short: float


_ALL, _NONE = Limit(-np.inf, -np.inf), Limit(np.inf, np.inf)


@dataclass(slots=True)
class Fitted:
    """The fit of a script: words and phones, and both differences."""

    texts: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)  # of the script, of each of the texts
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

    def fit(
        self, script: Sequence[ScriptLine], language: str | None, trust: bool
    ) -> tuple[str, Fitted, tuple[SpokenLine, ...]]:
        """The script's main language, its fit, and its lines as they were found; ``language`` is what the user set.

        Raises InputError where this is not the script of this dub, unless it is to be trusted.
        """
        main, parts = g2p.languages_of(script, language)
        lines = self._pronounced(script, main, parts)
        counts = [len(line) for line in lines]
        words = [word for line in lines for word in line]
        found, score = Fitted(), 0.0
        timed = script_chunks.plausible(script_chunks.line_times(script, counts), self._track.spans)
        if timed:
            pauses, duration = self._track.pauses(), self._track.duration
            chunks = script_chunks.timed_chunks(script, counts, pauses, duration)
            found, score = self._fitted(chunks, words, trust)
        if not timed or (len(found.texts) < 0.6 * len(words) and not trust):
            free, other = self._fitted(self._chunks(lines), words, trust)
            if timed and len(free.texts) > len(found.texts):
                warning = "the timestamps of the script do not match the dub and are ignored"
                self._track.warnings.append(warning)
            if not timed or len(free.texts) > len(found.texts):
                found, score = free, other
        few = len(words) < _ENOUGH_WORDS
        if len(found.texts) < _MIN_SHARE * len(words) and not (trust or few):
            raise self._mismatch(score, len(found.texts), len(words), main)
        spoken = script_chunks.spoken_lines(script, counts, _placed(found))
        self._warn(found, spoken)
        return main, found, spoken

    def _fitted(
        self, chunks: list[script_chunks.Chunk], words: list[phone_map.Spoken], trust: bool
    ) -> tuple[Fitted, float]:
        """What fits of a script that is cut into ``chunks``, and its score: fit above chance."""
        found = Fitted()
        pieces = []
        for chunk in chunks:
            piece = self._piece(chunk.start, chunk.end, words[chunk.first : chunk.last])
            pieces.append(piece if trust else self._pruned(piece, found))
        limit, score = (_ALL, _MARGIN) if trust else self._limit(pieces)
        for piece in pieces:
            min_run = _MIN_RUN if all(not w.groups for w in piece.words) else _MIN_RUN_FOREIGN
            parts = self._parts(piece, limit, min_run)
            for part in self._looked_over(parts, piece, cut=limit != _NONE):
                self._collect(found, part)
        return found, score

    def _looked_over(self, parts: list[_Piece], piece: _Piece, *, cut: bool) -> list[_Piece]:
        """The parts of a piece, where each sentence that was not found whole is laid over the sound between its
        neighbors: one that is not spoken, or sound that no sentence says, draws those beside it off their places.
        """
        whole = {n for n, words in _by_sentence(piece.words) if _is_found(words, parts)}
        out: list[_Piece] = []
        for good, run in groupby(parts, lambda p: all(w.sentence in whole for w in p.words)):
            doubtful = list(run)
            if good:
                out += doubtful
                continue
            words = [word for part in doubtful for word in part.words]
            found = self._laid(doubtful[0].start, doubtful[-1].end, words, cut=cut)
            count = sum(len(part.words) for part in doubtful if part.forced is not None)
            out += found if sum(len(p.words) for p in found if p.forced) > count else doubtful
        return out

    def _laid(
        self, start: float, end: float, words: list[phone_map.Spoken], *, cut: bool
    ) -> list[_Piece]:
        """Parts from ``start`` to ``end`` with the sentences of ``words`` that the sound says, or, ``cut``, pieces."""
        stretches = _audible(self._track.spans, start, end)
        sentences = [said for _, said in _by_sentence(words)]
        spans = {
            (first, last): sum(b - a for a, b in stretches[first:last])
            for first, last in combinations(range(len(stretches) + 1), 2)
        }
        tries = [
            (number, span, some)
            for number, said in enumerate(sentences)
            for span, seconds in spans.items()
            for some in [said, *(_cuts(said) if cut else ())]
            if _PHONE_SECONDS[0] <= seconds / sum(map(_size, some)) <= _PHONE_SECONDS[1]
        ]
        whole = [(n, span, some) for n, span, some in tries if len(some) == len(sentences[n])]
        if len(whole) > _MOST_TRIES:
            return []
        pieces = self._sure_ones(whole, stretches, (start, end))
        placed = script_chunks.best_places(list(pieces))
        left = {
            number: (
                max((p.last for p in placed if p.sentence < number), default=0),
                min((p.first for p in placed if p.sentence > number), default=len(stretches)),
            )
            for number in set(range(len(sentences))) - {p.sentence for p in placed}
        }
        pieces_of = [
            (n, span, some)
            for n, span, some in tries
            if n in left and len(some) < len(sentences[n])
            if left[n][0] <= span[0] and span[1] <= left[n][1]
        ]
        pieces |= self._sure_ones(pieces_of[:_MOST_TRIES], stretches, (start, end))
        chosen = [pieces[place] for place in script_chunks.best_places(list(pieces))]
        return self._with_rest(start, end, words, chosen)

    def _sure_ones(
        self,
        tries: Sequence[tuple[int, tuple[int, int], list[phone_map.Spoken]]],
        stretches: Sequence[activity.Span],
        within: activity.Span,
    ) -> dict[script_chunks.Place, _Piece]:
        """Those of ``tries`` (sentence, stretches, words) that are sure."""
        pieces: dict[script_chunks.Place, _Piece] = {}
        for number, (first, last), words in tries:
            low = max(within[0], stretches[first][0] - _AROUND)
            high = min(within[1], stretches[last - 1][1] + _AROUND)
            found = self._sure(low, high, words)
            if found is not None:
                value = sum(map(_size, words))
                pieces[script_chunks.Place(number, first, last, value)] = found
        return pieces

    def _sure(self, start: float, end: float, words: list[phone_map.Spoken]) -> _Piece | None:
        """The piece, if these words fit there better than backward by far, and both halves of them not badly."""
        piece = self._piece(start, end, words)
        backward = self._piece(start, end, words[::-1]).forced if piece.forced else None
        if piece.forced is None or backward is None:
            return None
        fits, middle = piece.forced.word_fits, (len(words) + 1) // 2
        worse = min(np.median(fits[:middle]), np.median(fits[middle:]))
        sure = piece.forced.fit - backward.fit >= _FAR and worse - backward.fit >= _FAR / 2
        return piece if sure else None

    @staticmethod
    def _with_rest(
        start: float, end: float, words: list[phone_map.Spoken], chosen: list[_Piece]
    ) -> list[_Piece]:
        """The ``chosen`` pieces, which follow one another, and between them the words and the sound that are left."""
        out: list[_Piece] = []
        at, left = start, list(words)
        for piece in chosen:
            first = left.index(piece.words[0])
            if first or piece.start > at:
                out.append(_Piece(at, piece.start, left[:first], None))
            out.append(piece)
            at, left = piece.end, left[first + len(piece.words) :]
        return [*out, _Piece(at, end, left, None)]

    def _piece(self, start: float, end: float, words: list[phone_map.Spoken]) -> _Piece:
        forced = self._decoders.force(self._track.cut(start, end), words) if words else None
        return _Piece(start, end, words, forced)

    def _pruned(self, piece: _Piece, found: Fitted) -> _Piece:
        """The piece without the sentences that take the sound away from others.

        Of sentences that are spoken none can be taken out without the rest being spread over its sound, which fits
        worse; without one that is not, the rest fits better.
        """
        while piece.forced is not None:
            fits = np.array(piece.forced.word_fits)
            numbers = np.array([word.sentence for word in piece.words])
            medians = {n: float(np.median(fits[numbers == n])) for n in set(numbers.tolist())}
            worst = min(medians, key=lambda n: medians[n])
            kept = numbers != worst
            few = (~kept).sum() < 2 or kept.sum() < 0.5 * len(kept)
            if len(medians) < 2 or few:
                break
            others = float(np.median([fit for n, fit in medians.items() if n != worst]))
            if medians[worst] > min(_DOUBTFUL_FIT, others - _WORSE):
                break
            words = [word for word, keep in zip(piece.words, kept, strict=True) if keep]
            rest = self._piece(piece.start, piece.end, words)
            if rest.forced is None:
                break
            if float(np.mean(rest.forced.word_fits)) - float(fits[kept].mean()) < _GAIN:
                break
            found.unspoken.append(" ".join(w.text for w in piece.words if w.sentence == worst))
            piece = rest
        return piece

    def _limit(self, pieces: list[_Piece]) -> tuple[Limit, float]:
        """What confirms words by this sound, and the score of the whole.

        Voice, microphone and language move all fits; the fit of a wrong text in the same sound is measured with the
        words backward. The limit lies midway between the words that fit well and those.
        """
        aligned = [piece for piece in pieces if piece.forced is not None]
        if not aligned:
            return _NONE, 0.0
        fits_near = np.concatenate(
            [_smoothed_fits(piece.forced.word_fits) for piece in aligned if piece.forced]
        )
        if np.median(fits_near) > _SURE_FIT and fits_near.min() > _DOUBTFUL_FIT:
            return _ALL, _MARGIN
        longest = max(aligned, key=lambda piece: len(piece.words))
        backward = self._piece(longest.start, longest.end, longest.words[::-1]).forced
        if backward is None or len(longest.words) < 4:
            fit = _SURE_FIT + (_DOUBTFUL_FIT - _SURE_FIT) * 2
            return Limit(fit, fit), _MARGIN
        score = float(np.percentile(fits_near, _LEVEL_PERCENTILE)) - backward.fit
        if score < _MARGIN:
            return _NONE, score
        wrong = float(np.median(_smoothed_fits(backward.word_fits)))
        right = float(np.percentile(fits_near, _RIGHT_PERCENTILE))
        return Limit((right + wrong) / 2, (right + 3 * wrong) / 4), score

    def _pronounced(
        self, script: Sequence[ScriptLine], main: str, parts: Sequence[list[tuple[str, str]]]
    ) -> list[list[phone_map.Spoken]]:
        """The words of each line; ``parts`` as from `g2p.languages_of`."""
        pronouncers = {main: g2p.Pronouncer(main)}
        lines: list[list[phone_map.Spoken]] = []
        count = sentence = 0
        for number, line in enumerate(parts):
            said: list[phone_map.Spoken] = []
            for text, language in line:
                if language not in pronouncers:
                    pronouncers[language] = _pronouncer_or(language, pronouncers[main])
                pronouncer = pronouncers[language]
                words = pronouncer.words(text)
                count += len(words)
                known = (phone_map.spoken(pronouncer, word) for word in words)
                said += [
                    replace(word, line=number, sentence=sentence)
                    for word in known
                    if word is not None
                ]
                sentence += 1
            lines.append(said)
        kept = sum(map(len, lines))
        if kept < 0.7 * max(1, count):
            raise InputError(
                f"{count - kept} of the script's {count} words cannot be pronounced in the language {main!r}",
                hint="set the script's language with --language; dubkit languages lists the codes",
            )
        self._remark(script, parts, pronouncers, count - kept)
        return lines

    def _remark(
        self,
        script: Sequence[ScriptLine],
        parts: Sequence[list[tuple[str, str]]],
        pronouncers: Mapping[str, g2p.Pronouncer],
        lost: int,
    ) -> None:
        """Warn of words and signs that are left out, and of a script in several languages."""
        warnings = self._track.warnings
        if lost:
            warnings.append(f"{lost} words of the script cannot be pronounced and are left out")
        signs = [sign for pronouncer in pronouncers.values() for sign in pronouncer.left_out]
        if signs:
            warnings.append(f"left out, because they cannot be pronounced: {', '.join(signs)}")
        codes = list(dict.fromkeys(code for line in parts for _, code in line))
        if len(codes) > 1:
            first = next(i for i, line in enumerate(parts) if any(c != codes[0] for _, c in line))
            warnings.append(
                f"the script is in several languages ({', '.join(codes)}, from line "
                f"{script[first].number or first + 1} on): each part is pronounced in its own"
            )

    def _chunks(self, lines: list[list[phone_map.Spoken]]) -> list[script_chunks.Chunk]:
        """Stretches of the track with the script words that are spoken in them."""
        track = self._track
        names = [word.name for line in lines for word in line]
        first, last = track.spans[0][0], track.spans[-1][1]
        if last - first <= ONE_PIECE:
            start, end = max(0.0, first - 0.4), min(track.duration, last + 0.4)
            return [script_chunks.Chunk(start, end, 0, len(names))]
        recognized = self._recognized(lines)
        pairs = script_chunks.match(names, [word.text for word in recognized])
        times = script_chunks.recognized_times(len(names), pairs, recognized)
        return script_chunks.chunks(times, track.pauses(), track.duration)

    def _recognized(self, lines: list[list[phone_map.Spoken]]) -> list[Word]:
        """Words recognized window by window by a recognizer that expects the script's."""
        self._decoders.guide(lines)
        return [
            Word(text, start + at, end + at)
            for at, stop in self._track.windows()
            for text, start, end in self._decoders.recognize_guided(self._track.cut(at, stop))
        ]

    def _parts(self, piece: _Piece, limit: Limit, min_run: int, again: bool = True) -> list[_Piece]:
        """A piece divided into parts whose words are spoken there and parts whose words are not."""
        forced, words = piece.forced, piece.words
        if forced is None:
            return [piece]
        kept = _confirmed(forced, words, limit, min_run)
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
            found.lines += [word.line for word in piece.words]
            unexplained = _gaps([p for p in moved if p[3] is not None], piece.start, piece.end)
            found.phones += [phone for phone in moved if phone[3] is not None]
        for start, end in unexplained:
            clear = self._track.clear(start, end) >= _MIN_UNEXPLAINED
            spans = self._track.windows(start, end) if clear or piece.forced is None else []
            found.unscripted += spans if clear else []
            found.phones += self._loop(spans)

    def _warn(self, found: Fitted, lines: Sequence[SpokenLine]) -> None:
        if found.unspoken:
            count = sum(len(text.split()) for text in found.unspoken)
            missed = [line.number for line in lines if not line.heard and line.number]
            partly = [line.number for line in lines if 0 < line.heard < _WHOLE and line.number]
            where = [_numbered("line", missed)] if missed else []
            where += [f"part of {_numbered('line', partly)}"] if partly else []
            named = f" ({', '.join(where)})" if where else ""
            self._track.warnings.append(
                f"{count} words of the script were not found in the dub{named}: lips follow the sound alone there; "
                f"the first: {_short(found.unspoken[0])!r}"
            )
        if found.unscripted:
            seconds = sum(end - start for start, end in found.unscripted)
            self._track.warnings.append(
                f"{seconds:.1f} s of the dub are not in the script, the first at "
                f"{found.unscripted[0][0]:.1f} s: lips follow the sound alone there"
            )

    def _mismatch(self, score: float, heard: int, words: int, language: str) -> InputError:
        return InputError(
            f"the script does not match the dub: {heard} of its {words} words were found, its score is {score:.0f}, a "
            f"matching one has {_MARGIN:.0f} or more",
            hint=f"is it the script of this dub, in the language {language!r}? --language sets "
            "another; --trust-script uses it as it is; without --script, lips follow the sound alone",
        )


def _placed(found: Fitted) -> Iterator[tuple[int, float, float]]:
    """Of every word that was found its line, start and end."""
    spans: dict[int, list[float]] = {}
    for _, start, end, word in found.phones:
        if word is not None:
            spans.setdefault(word, [start, end])[1] = end
    return ((found.lines[word], start, end) for word, (start, end) in spans.items())


def _pronouncer_or(language: str, main: g2p.Pronouncer) -> g2p.Pronouncer:
    """Of a part in another language; that of the script where nobody knows the other one."""
    try:
        return g2p.Pronouncer(language)
    except (UsageError, MissingDependency):
        return main


def _numbered(noun: str, numbers: Sequence[int]) -> str:
    named = ", ".join(str(number) for number in numbers[:5])
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"{noun}{'' if len(numbers) == 1 else 's'} {named}{more}"


def _by_sentence(
    words: Sequence[phone_map.Spoken],
) -> list[tuple[int, list[phone_map.Spoken]]]:
    """The words of each sentence, with its number."""
    return [(n, list(run)) for n, run in groupby(words, key=lambda word: word.sentence)]


def _size(word: phone_map.Spoken) -> int:
    """About how many phones a word has; the decoder's own dictionary does not say."""
    return sum(map(len, word.groups)) or len(word.text)


def _is_found(words: Sequence[phone_map.Spoken], parts: Sequence[_Piece]) -> bool:
    """Whether all words of a sentence are found."""
    number = words[0].sentence
    return all(p.forced or all(w.sentence != number for w in p.words) for p in parts)


def _audible(spans: Sequence[activity.Span], start: float, end: float) -> list[activity.Span]:
    """The loud spans between two moments, those that a short pause parts made one."""
    out: list[activity.Span] = []
    for low, high in spans:
        low, high = max(low, start), min(high, end)
        if high - low < _LEAST_STRETCH:
            continue
        if out and low - out[-1][1] < _SHORT_PAUSE:
            out[-1] = (out[-1][0], high)
        else:
            out.append((low, high))
    return out


def _cuts(words: list[phone_map.Spoken]) -> list[list[phone_map.Spoken]]:
    """The beginnings and the ends of a sentence, of which the rest may not be spoken; longest first."""
    cuts = range(len(words) - _LEAST_CUT, _LEAST_CUT - 1, -1)
    return [part for cut in cuts for part in (words[:cut], words[-cut:])]


def _is_confirmed(item: tuple[int, np.bool_]) -> bool:
    return bool(item[1])


def _smoothed_fits(fits: Sequence[float]) -> WordFits:
    """(words,) the median fit of each word with two neighbors on each side."""
    padded = np.pad(np.array(fits), 2, mode="reflect" if len(fits) > 2 else "edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), 1))


def _confirmed(
    forced: sphinx_decoders.Forced, words: Sequence[phone_map.Spoken], limit: Limit, min_run: int
) -> Mask:
    """(words,) whether the sound confirms each word; lines are judged as wholes where their words agree."""
    fits = np.array(forced.word_fits)
    near = _smoothed_fits(forced.word_fits)
    lines = [list(run) for _, run in groupby(range(len(words)), key=lambda i: words[i].sentence)]
    for line in lines:
        if len(line) >= _MIN_RUN:  # a neighbor in another line says nothing of this one
            near[line] = _smoothed_fits(fits[line].tolist())
    good = near >= limit.fit
    for i, (start, end) in enumerate(_word_spans(forced)):
        count = sum(word == i for *_, word in forced.phones)
        smeared = (end - start) / count > _MAX_PHONE_SECONDS and fits[i] < limit.fit
        good[i] &= not smeared
    missing: set[int] = set()  # words of lines that are not spoken at all
    for line in lines:
        share = float(good[line].mean())
        short = len(line) < _MIN_RUN_FOREIGN
        level = float(np.median(fits[line]))
        if len(line) > 1 and share < 0.5 and level < (limit.short if short else limit.fit):
            good[line] = False
            missing.update(line)
        elif share >= _WHOLE:
            good[line] = True
    at = 0
    for flag, run in groupby(good.tolist()):
        count = len(list(run))
        whole = all(i in missing for i in range(at, at + count))
        if not flag and count < min_run and count < len(good) and not whole:
            # one or two misfits: pronounced in another way, not left out
            good[at : at + count] = True
        at += count
    return np.asarray(good, np.bool_)


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
