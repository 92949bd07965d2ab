"""Who says what of the dub: speech of the dub is laid over who speaks in the original.

The original says *who* speaks and roughly when; the dub says *what* and exactly when. Both differ by parts of a second,
and a dub may run on. So the dub is cut into phrases at its pauses, and each phrase goes to whoever speaks nearest to it
in the original, a voice from elsewhere included. A face is painted where it speaks in the original, since its lips move
there, and where it says a phrase; everywhere else it stays as filmed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from dubkit.faces import smooth
from dubkit.records import (
    SILENCE,
    Doubles,
    Mask,
    Shot,
    TimedPhoneme,
    Timing,
    TrackChoice,
    Untouched,
    Voices,
    is_numbered,
)

NOT_SPEAKING = "not speaking"
TOLERANCE = 1.0  # seconds by which a phrase may miss its speaker
_PAUSE = 0.15  # seconds of silence that part two phrases
_PIECE = 0.6  # seconds: longer phrases are cut, and each piece goes its own way
_WITHIN = 0.3  # seconds around a changeover of the original in which a pause of the dub is it
_SNAP = (
    0.2  # seconds from its middle within which a phoneme of the dub begins, where there is no pause
)
_SHORTEST = 0.1  # seconds of the shortest piece that is cut off so
_NEAR = 0.25  # seconds over which being near someone's speech loses its weight
_RUNS_ON = 0.5  # seconds after a phrase within which another that fits nobody continues it
_BOTH = 0.7  # share of a piece in which two speak at once, if both say it
_BESIDE = 0.24  # seconds around speech in which a mouth changes over
_REST = 1.2  # seconds of pause in which a face stays painted, if nobody else speaks
_STEP = 0.04
TURNED = (
    "turned away",
    "tilted",
)  # reasons for which a face keeps its mouth through a whole sentence
_CHANGE = 0.06  # seconds beside a sentence in which the mouth changes over
_LONGEST = 4.0  # seconds before and after a turn for which it keeps its mouth at most

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Part:
    """One face's part in a shot: where it is painted, and the timing with all other speech made silent."""

    choice: TrackChoice
    timing: Timing


def parts(
    shot: Shot,
    choices: Sequence[TrackChoice],
    voices: Voices,
    timing: Timing,
    phonemes: Sequence[TimedPhoneme],
    stems: Mapping[int, Timing] | None = None,
    names: Mapping[int, str] | None = None,
) -> dict[int, Part]:
    """For each track of ``choices`` its part; ``phonemes`` are the speech of the dub as it is known best.

    ``stems`` are given where the dub comes in stems: the timings of the tracks whose person has one. They say what
    their stem says, and nobody else says anything. ``names`` are those of the tracks' people, which a script may name.
    """
    if stems is not None:
        return _by_stems(shot, choices, timing, stems)
    everywhere = {c.track: ((c.start, c.end),) for c in choices}
    spans = {c.track: c.speaks or everywhere[c.track] for c in choices if c.dubbed}
    speaks = {track: _mask(found, shot) for track, found in spans.items()}
    whole = [track for track, found in spans.items() if found == everywhere[track]]
    elsewhere = _mask(voices.spans, shot)
    for mask in speaks.values():
        elsewhere &= ~_widened(mask, _frames(TOLERANCE / 2, timing.times))
    alone = not elsewhere.any() and set(whole) == set(speaks)
    found: dict[int, Part] = {}
    said = {track: list[Span]() for track in speaks}
    off: list[Span] = []
    by_speaker: dict[int | None, Mask] = {None: elsewhere}
    for track, mask in speaks.items():
        by_speaker[track] = mask
    moments, cuts = _handed_over(by_speaker, timing.times, phonemes)
    pieces = _pieces(phonemes, cuts)
    by_name = _by_name(pieces, timing.speakers, choices, names or {})
    for track in {track for owners in by_name.values() for track in owners} - set(speaks):
        speaks[track] = np.zeros(shot.frames, np.bool_)
        moments[track] = np.zeros(0)
    if by_name or not alone:
        alone = False
        said, off = _share_out(pieces, speaks, moments, by_name)
    for choice in choices:
        if choice.track not in speaks or alone:
            found[choice.track] = Part(choice, timing)
        else:
            if not choice.dubbed and said[choice.track]:
                choice = replace(choice, dubbed=True, reason="the script says that it speaks")
            others = off + [s for t, spans in said.items() if t != choice.track for s in spans]
            own = said[choice.track]
            others = [span for span in others if span not in own]
            painted = _painted(speaks[choice.track], own, others, timing.times)
            silenced = only(timing, own)
            found[choice.track] = Part(_narrowed(choice, painted, shot, own), silenced)
    said_when = _joined([(a, b) for symbol, a, b in phonemes if symbol != SILENCE])
    return {
        track: replace(part, choice=_by_sentence(part.choice, said_when, shot, timing.times))
        for track, part in found.items()
    }


def _by_stems(
    shot: Shot, choices: Sequence[TrackChoice], mix: Timing, stems: Mapping[int, Timing]
) -> dict[int, Part]:
    """The parts where each person has a stem: what it says is theirs, whatever the original does."""
    spoken = {
        track: _joined([(a, b) for symbol, a, b in timing.phonemes if symbol != SILENCE])
        for track, timing in stems.items()
    }
    found: dict[int, Part] = {}
    for choice in choices:
        own = spoken.get(choice.track, [])
        others = [
            span for track, spans in spoken.items() if track != choice.track for span in spans
        ]
        speaks = _mask(choice.speaks, shot)
        painted = _painted(speaks, own, others, mix.times)
        timing = stems.get(choice.track) or only(mix, ())
        heard = replace(choice, dubbed=choice.dubbed or bool(own), reason=choice.reason)
        heard = _by_sentence(heard, own, shot, mix.times)
        if own and not choice.dubbed:
            heard = replace(heard, reason="its stem speaks")
        found[choice.track] = Part(_narrowed(heard, painted, shot, own), timing)
    return found


def _by_sentence(
    choice: TrackChoice, sentences: Sequence[Span], shot: Shot, times: Doubles
) -> TrackChoice:
    """The choice with the whole of each sentence left as filmed in which the head turns too far: a mouth never changes
    over in the middle of a word. ``sentences`` are seconds from pause to pause.

    Of sentences that are long, only what is within `_LONGEST` of the turn, up to where the mouth can change over.
    """
    turned = [span for span in choice.untouched if span.reason in TURNED]
    if not turned or not choice.dubbed:
        return choice
    usable, first = choice.usable, choice.start - shot.start
    at = times[first : first + len(usable)]
    left = np.zeros(len(usable), np.bool_)
    for span in turned:
        begin, end = at[span.start - choice.start], at[span.end - choice.start - 1]
        for low, high in sentences:
            if low - _CHANGE <= end and high + _CHANGE >= begin:
                low, high = max(low, begin - _LONGEST), min(high, end + _LONGEST)
                left |= (at >= low - _CHANGE) & (at <= high + _CHANGE)
    spans = [
        Untouched(choice.start + s.start, choice.start + s.stop, turned[0].reason)
        for s in smooth.segments(left & usable)
    ]
    ordered = sorted((*choice.untouched, *spans), key=lambda span: span.start)
    return replace(choice, untouched=tuple(ordered))


def only(timing: Timing, says: Sequence[Span] | None) -> Timing:
    """The timing with all speech made silent that is not within ``says`` (seconds); None: as it is."""
    if says is None:
        return timing
    joined = _joined(says)
    edges = [-np.inf, *(t for span in joined for t in span), np.inf]
    silent = list(zip(edges[::2], edges[1::2], strict=True))
    phonemes: list[TimedPhoneme] = []
    for symbol, begin, end in timing.phonemes:
        middle = (begin + end) / 2
        mine = any(low <= middle <= high for low, high in joined)
        phonemes.append((symbol if mine else SILENCE, begin, end))
    runs = tuple(
        run
        if any(a <= (run.begin + run.finish) / 2 <= b for a, b in joined)
        else replace(run, symbol=SILENCE)
        for run in timing.runs
    )
    bounded = tuple((max(a, -1e9), min(b, 1e9)) for a, b in silent)
    noise = tuple(sorted({*timing.noise, *bounded}))
    return replace(timing, phonemes=tuple(phonemes), runs=runs, noise=noise)


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Spans in order, those that touch made one."""
    out: list[Span] = []
    for low, high in sorted(spans):
        if out and low <= out[-1][1] + _PAUSE:
            out[-1] = (out[-1][0], max(high, out[-1][1]))
        else:
            out.append((low, high))
    return out


def _mask(spans: Sequence[tuple[int, int]], shot: Shot) -> Mask:
    mask = np.zeros(shot.frames, np.bool_)
    for low, high in spans:
        mask[max(low - shot.start, 0) : max(high - shot.start, 0)] = True
    return mask


def _frames(seconds: float, times: Doubles) -> int:
    step = float(np.median(np.diff(times))) if len(times) > 1 else _STEP
    return round(seconds / max(step, 1e-3))


def _widened(mask: Mask, reach: int) -> Mask:
    near = np.convolve(mask, np.ones(2 * reach + 1), "full")[reach : reach + len(mask)]
    return np.asarray(near > 0.5, np.bool_)


def _handed_over(
    speaks: Mapping[int | None, Mask], times: Doubles, phonemes: Sequence[TimedPhoneme]
) -> tuple[dict[int | None, Doubles], list[float]]:
    """The seconds in which each speaks, and those at which one hands over to another.

    The original says who and about when: between the end of one and the beginning of the other. The dub says exactly
    when: in its pause there, so that no phrase has two mouths, else at the phoneme that begins nearest to the middle.
    """
    moments: dict[int | None, Doubles] = {who: times[mask] for who, mask in speaks.items()}
    runs = sorted(
        (float(times[run.start]), float(times[run.stop - 1]), number, who)
        for number, (who, mask) in enumerate(speaks.items())
        for run in smooth.segments(mask)
    )
    begins = np.array([begin for symbol, begin, _ in phonemes if symbol != SILENCE])
    stretches = _joined([(begin, end) for symbol, begin, end in phonemes if symbol != SILENCE])
    pauses = [(before[1], after[0]) for before, after in pairwise(stretches)]
    cuts: list[float] = []
    for (_, end, _, who), (begin, _, _, other) in pairwise(runs):
        if who == other or abs(begin - end) > TOLERANCE:
            continue
        middle = (begin + end) / 2
        low, high = min(begin, end) - _WITHIN, max(begin, end) + _WITHIN
        found = [min(max(middle, a), b) for a, b in pauses if b >= low and a <= high]
        near = begins[np.abs(begins - middle) <= _SNAP]
        found = found or near.tolist() or [middle]
        cut = min(found, key=lambda time: abs(time - middle))
        mine = moments[who]
        moments[who] = mine[(mine <= cut) | (mine > end)]
        gained = times[(times >= cut) & (times < begin)]
        moments[other] = np.union1d(moments[other], gained)
        cuts.append(cut)
    return moments, cuts


def _pieces(phonemes: Sequence[TimedPhoneme], cuts: Sequence[float]) -> list[Span]:
    """The speech of the dub in pieces: cut at its pauses, at ``cuts``, and long stretches evenly."""
    spoken = [(begin, end) for symbol, begin, end in phonemes if symbol != SILENCE]
    pieces: list[Span] = []
    for low, high in _joined(spoken):
        inside = sorted(cut for cut in cuts if low + _SHORTEST < cut < high - _SHORTEST)
        for begin, end in pairwise([low, *inside, high]):
            count = max(1, round((end - begin) / _PIECE))
            edges = np.linspace(begin, end, count + 1).tolist()
            pieces += list(pairwise(edges))
    return pieces


def _share_out(
    pieces: Sequence[Span],
    speaks: Mapping[int, Mask],
    moments: Mapping[int | None, Doubles],
    by_name: Mapping[Span, Sequence[int]],
) -> tuple[dict[int, list[Span]], list[Span]]:
    """The pieces of each face, and those of nobody on screen; ``moments`` are the seconds in which each speaks, and
    ``by_name`` the pieces that a script settles.
    """
    said: dict[int, list[Span]] = {track: [] for track in speaks}
    off: list[Span] = []
    last: tuple[list[int], float] = ([], -np.inf)
    for low, high in pieces:
        if (low, high) in by_name:
            for owner in by_name[low, high]:
                said[owner].append((low, high))
            if not by_name[low, high]:
                off.append((low, high))
            last = (list(by_name[low, high]), high)
            continue
        at = np.arange(low + _STEP / 2, max(high, low + _STEP), _STEP)
        away = {who: _distance(at, near) for who, near in moments.items()}
        best = min((float(d.min()) for d in away.values()), default=np.inf)
        if best > TOLERANCE:
            owners = last[0] if low - last[1] <= _RUNS_ON else []
        else:
            weight = {who: float(np.exp(-d / _NEAR).sum()) for who, d in away.items()}
            first = max(weight, key=lambda who: weight[who])
            within = {who: float((d < 1.5 * _STEP).mean()) for who, d in away.items()}
            both = [w for w in speaks if within[w] >= _BOTH]
            owners = [] if first is None else both if first in both else [first]
        for owner in owners:
            said[owner].append((low, high))
        if owners:
            last = (owners, high)
        else:
            off.append((low, high))
    return said, off


def _by_name(
    pieces: Sequence[Span],
    speakers: Sequence[tuple[str, float, float]],
    choices: Sequence[TrackChoice],
    names: Mapping[int, str],
) -> dict[Span, list[int]]:
    """The tracks of the pieces whose speaker a script names, if that is settled: the person is in the shot, or all
    people in the shot have names and none has this one.
    """
    usable = [choice.track for choice in choices if choice.usable.any()]
    known = {track: names[track].casefold() for track in usable if track in names}
    all_named = len(known) == len(usable) > 0 and not any(
        is_numbered(name) for name in known.values()
    )
    found: dict[Span, list[int]] = {}
    for low, high in pieces:
        middle = (low + high) / 2
        said_by = {name.casefold() for name, a, b in speakers if a <= middle <= b}
        owners = [track for track, name in known.items() if name in said_by]
        if said_by and (owners or all_named):
            found[low, high] = owners
    return found


def _distance(at: Doubles, moments: Doubles) -> Doubles:
    """(N,) seconds from each of ``at`` to the nearest of ``moments``, which are in order."""
    if not len(moments):
        return np.full(len(at), np.inf)
    after = np.clip(np.searchsorted(moments, at), 0, len(moments) - 1)
    before = np.clip(after - 1, 0, None)
    return np.asarray(np.minimum(np.abs(moments[after] - at), np.abs(moments[before] - at)))


def _painted(speaks: Mask, own: Sequence[Span], others: Sequence[Span], times: Doubles) -> Mask:
    """(T,) frames in which a face is painted."""

    def rows(spans: Sequence[Span], beside: float) -> Mask:
        mask = np.zeros(len(times), np.bool_)
        for low, high in spans:
            mask |= (times >= low - beside) & (times <= high + beside)
        return mask

    painted = speaks | rows(own, _BESIDE)
    painted = _widened(speaks, _frames(_BESIDE, times)) | painted
    taken = rows(others, 0.0)
    for before, after in pairwise(list(smooth.segments(painted))):
        gap = slice(before.stop, after.start)
        if times[after.start] - times[before.stop - 1] <= _REST and not taken[gap].any():
            painted[gap] = True
    return painted


def _narrowed(choice: TrackChoice, painted: Mask, shot: Shot, says: Sequence[Span]) -> TrackChoice:
    """The choice with the frames that are not ``painted`` (of the shot) left as filmed."""
    first = choice.start - shot.start
    silent = choice.usable & ~painted[first : first + (choice.end - choice.start)]
    spans = [
        Untouched(choice.start + s.start, choice.start + s.stop, NOT_SPEAKING)
        for s in smooth.segments(silent)
    ]
    ordered = sorted((*choice.untouched, *spans), key=lambda span: span.start)
    return replace(choice, untouched=tuple(ordered), says=tuple(_joined(says)))
