"""Learn one person's own way of speaking, from their own footage and sound.

What the TC net says is corrected by kernel ridge regression: how the person's mouth differed from it at the moments
of their own speech is added where a sound is like those moments (`models.tc.PersonTerm`). It is solved in closed form,
in a fraction of a second, and shrunk toward the net that knows nobody as far as the speech is short. How much it is
shrunk, and whether the result is used at all, is decided by cross-validation: the speech is divided into folds, in
blocks of time, and each is predicted from the others. Only what predicts held-out speech better is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubkit.lips import film_offset, mouth_shape, shape_losses
from dubkit.lips.articulation import Articulator, net_input
from dubkit.models import devices, tc
from dubkit.records import GRID_STEP, SILENCE, Floats, Timing

BLOCK_SECONDS = 1.6  # of speech: folds take turns in such blocks
WINDOW_SECONDS = 3.2  # in which openings are correlated: what is slower than speech does not count
FOLDS = 8
MOST_MOMENTS = (
    750  # of a person's speech that are learned from; of more, every second or third frame
)
LAGS = np.arange(-26, 27, dtype=np.float64) * 0.01  # seconds
_NEAR_OFFSET = 0.04  # seconds about the film's offset in which a passage's own may lie
MIN_CORRELATION = 0.35  # of lips with the sound; other speech reaches .28 by chance
_SHRINKAGE = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # that are tried: the more, the closer to the net
# what counts as an improvement on held-out speech, chosen on people whom the net had not seen: less was a loss on
# other speech of theirs in some trials (``weights/tc.md``)
_MIN_GAIN = 0.01  # of the correlation of the opening
_MIN_CERTAINTY = 2.0  # standard errors, over blocks, by which the error of the shapes must fall
_LEAST_BLOCKS = 4
_SLOPE_LIMITS = (0.3, 1.6)  # of the person's opening on the net's
_RATIO_LIMITS = (0.6, 1.6)  # of the range of the net's opening to that of what is held out

Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of one face; T frames."""

    timing: Timing  # of the film's own sound
    shapes: Floats  # (T, K) of the mouth as filmed, as offset from rest
    usable: NDArray[np.bool_]  # (T,)


@dataclass(frozen=True, slots=True)
class TuningResult:
    """What was learned and how it was judged; ``term`` is None where held-out speech was predicted no better."""

    term: tc.PersonTerm | None
    facts: tc.ActorFacts


def speech_frames(passage: Passage) -> NDArray[np.bool_]:
    """(T,) usable frames that hold speech."""
    speech = np.zeros(len(passage.usable), np.bool_)
    start = passage.timing.runs[0].start if passage.timing.runs else 0
    for run in passage.timing.runs:
        if run.symbol != SILENCE:
            speech[run.start - start : run.end - start] = True
    return speech & passage.usable


def speech_seconds(passages: Sequence[Passage]) -> float:
    """Seconds of usable speech in all passages."""
    return sum(float(speech_frames(p).sum()) * _interval(p) for p in passages)


def select_in_sync(
    articulator: Articulator, passages: Sequence[Passage], late: float | None = None
) -> list[Passage]:
    """The passages in which the face moves with the sound, shifted to where picture and sound agree best.

    ``late`` is by how many seconds the film's picture is late, where that is known: a short passage alone would often
    agree best somewhere else by chance.
    """
    lags = LAGS if late is None else late + LAGS[np.abs(LAGS) <= _NEAR_OFFSET + 1e-9]
    candidates = (passage for passage in passages if speech_frames(passage).sum() > 2)
    shifted = [_synchronized(articulator, passage, lags) for passage in candidates]
    return [passage for passage, correlation in shifted if correlation >= MIN_CORRELATION]


def lips_of(articulator: Articulator, passage: Passage) -> film_offset.Lips:
    """The lips of a passage beside what the net predicts of its sound, for the film's offset."""
    effect = mouth_shape.gap_effect()
    given = net_input(articulator.net, passage.timing)
    with devices.threads(1), torch.inference_mode():
        wanted = articulator.net(given.cells).shapes[0].numpy() @ effect
    return film_offset.Lips(
        passage.timing.times,
        np.asarray(passage.shapes @ effect, np.float64),
        speech_frames(passage),
        given.first,
        np.asarray(wanted, np.float64),
    )


def save_profile(path: Path, tuned: TuningResult) -> None:
    """Write what was learned as an actor profile."""
    assert tuned.term is not None
    tc.save_actor(path, tuned.term, tuned.facts)


def tune(articulator: Articulator, passages: Sequence[Passage]) -> TuningResult:
    """Learn from ``passages`` (of `select_in_sync`) and judge the result on held-out speech."""
    seconds = round(speech_seconds(passages), 2)
    with devices.threads(1), torch.inference_mode():
        moments = _moments(articulator.net, passages)
        if moments is None or int(moments.block.max()) + 1 < _LEAST_BLOCKS:
            return TuningResult(None, tc.ActorFacts(articulator.digest, seconds, 0.0, 0.0))
        alike = moments.term.alike(*(2 * [moments.term.moments.float()])).double()
        held_out = {much: _held_out(moments, alike, much) for much in _SHRINKAGE}
        errors = {much: _errors(moments, made) for much, made in held_out.items()}
        much = min(errors, key=lambda key: float(errors[key].sum()))
        net_errors = _errors(moments, moments.predicted)
        before, after = (_agreement(moments, x) for x in (moments.predicted, held_out[much]))
        facts = tc.ActorFacts(articulator.digest, seconds, round(before, 4), round(after, 4))
        fall = net_errors - errors[much]
        certainty = float(fall.mean() / (fall.std() / len(fall) ** 0.5 + 1e-12))
        if after - before < _MIN_GAIN or certainty < _MIN_CERTAINTY:
            return TuningResult(None, facts)
        term = moments.term
        weights, offset = _solve(alike, moments.residual, moments.passage, much)
        term.weights.copy_(weights)
        term.offset.copy_(offset)
        term.gain.fill_(_gain(moments, held_out[much]))
    return TuningResult(term, facts)


@dataclass(frozen=True, slots=True)
class _Moments:
    """N moments of a person's speech, of all passages one after the other."""

    term: tc.PersonTerm  # that knows the moments, and nothing of the person yet
    predicted: Tensor  # (N, K) by the net, widened or narrowed to err least
    true: Tensor  # (N, K) over the same factor
    passage: Tensor  # (N,) number of the passage
    window: Tensor  # (N,) number of the window of `WINDOW_SECONDS`
    block: Tensor  # (N,) number of the block of `BLOCK_SECONDS`
    pauses: Tensor  # (P,) openings by the net where nobody speaks between them

    @property
    def residual(self) -> Tensor:
        return self.true - self.predicted


def _moments(net: tc.TcNet, passages: Sequence[Passage]) -> _Moments | None:
    """The frames of speech as `tc.PersonTerm` takes them; None where there are hardly any."""
    frames = sum(int(speech_frames(p).sum()) for p in passages)
    step = max(1, -(-frames // MOST_MOMENTS))
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    numbers: list[tuple[int, int, int]] = []
    pauses: list[Tensor] = []
    effect = torch.from_numpy(mouth_shape.gap_effect())
    windows = blocks = 0
    for number, passage in enumerate(passages):
        speech = speech_frames(passage)
        rows = torch.from_numpy(np.flatnonzero(speech)[::step])
        if len(rows) < 2:
            continue
        given = net_input(net, passage.timing)
        answer = net.describe(given.cells)
        parts = (answer.sounds, answer.hidden, answer.output.shapes)
        sounds, hidden, shapes = (given.at_frames(part[0]) for part in parts)
        pauses.append(shapes[np.flatnonzero(passage.usable & ~speech)[::step]] @ effect)
        true = torch.from_numpy(passage.shapes)
        found.append((sounds[rows], hidden[rows], shapes[rows], true[rows]))
        seconds = len(rows) * step * _interval(passage)
        for row in range(len(rows)):
            window = windows + _piece(row, len(rows), seconds, WINDOW_SECONDS)
            block = blocks + _piece(row, len(rows), seconds, BLOCK_SECONDS)
            numbers.append((number, window, block))
        windows, blocks = numbers[-1][1] + 1, numbers[-1][2] + 1
    if len(numbers) < 2:
        return None
    sounds, hidden, shapes, true = (torch.cat(part) for part in zip(*found, strict=True))
    term = tc.PersonTerm(len(sounds), sounds.shape[1], hidden.shape[1], shapes.shape[1])
    term.centers.copy_(torch.cat([sounds.mean(0), hidden.mean(0)]))
    spread = (part.std(0).mean() * part.shape[1] ** 0.5 for part in (sounds, hidden))
    term.scales.copy_(1 / torch.stack(list(spread)).clamp(min=1e-6))
    term.moments.copy_(term.normalized(tc.Described(answer.output, sounds, hidden)))
    passage_of, window, block = torch.tensor(numbers).T
    made, real = (_centered((part @ effect)[:, None], window)[:, 0] for part in (shapes, true))
    slope = float((made @ real / (made @ made).clamp(min=1e-9)).clamp(*_SLOPE_LIMITS))
    scaled = true.double() / slope
    rest = torch.cat(pauses).double()
    return _Moments(term, shapes.double(), scaled, passage_of, window, block, rest)


def _piece(row: int, rows: int, seconds: float, each: float) -> int:
    """The number of the piece in which a row lies, of equal pieces of about ``each`` seconds."""
    return row * max(1, round(seconds / each)) // rows


def _centered(values: Tensor, groups: Tensor) -> Tensor:
    """(N, ...) less the mean of each group."""
    members = torch.nn.functional.one_hot(groups).to(values)
    means = members.T @ values / members.sum(0).clamp(min=1)[:, None]
    return values - members @ means


def _solve(alike: Tensor, residual: Tensor, groups: Tensor, much: float) -> tuple[Tensor, Tensor]:
    """(N, K) weights and (K,) offset of the ridge regression; what a passage is off by in all is not learned.

    A shot tells how the mouth moves; where the shut mouth lies is known of each only roughly.
    """
    both = _centered(_centered(alike, groups).T, groups)
    ridge = both + much * torch.eye(len(both), dtype=both.dtype)
    right = _centered(residual, groups)
    weights = _centered(torch.cholesky_solve(right, torch.linalg.cholesky(ridge)), groups)
    return weights, residual.mean(0) - (alike @ weights).mean(0)


def _held_out(moments: _Moments, alike: Tensor, much: float) -> Tensor:
    """(N, K) the shapes at each moment, as predicted from the other folds."""
    made = moments.predicted.clone()
    fold = moments.block % FOLDS
    for number in range(FOLDS):
        here, there = (fold == number).nonzero()[:, 0], (fold != number).nonzero()[:, 0]
        if len(here) and len(there):
            among = alike[there][:, there]
            rest = moments.residual[there]
            weights, offset = _solve(among, rest, moments.passage[there], much)
            made[here] += alike[here][:, there] @ weights + offset
    return made


def _errors(moments: _Moments, made: Tensor) -> Tensor:
    """(blocks,) squared error of shapes (N, K) in each block, by how much they move the landmarks."""
    off = _centered(made - moments.true, moments.window)
    each = off.square() @ shape_losses.importance().double()
    found = torch.zeros(int(moments.block.max()) + 1, dtype=each.dtype)
    return found.index_add(0, moments.block, each)


def _agreement(moments: _Moments, made: Tensor) -> float:
    """Correlation of the openings of shapes (N, K) with the true ones, each window less its mean."""
    effect = torch.from_numpy(mouth_shape.gap_effect()).double()
    one, other = (
        _centered((x @ effect)[:, None], moments.window)[:, 0] for x in (made, moments.true)
    )
    return float(one @ other / (one.norm() * other.norm()).clamp(min=1e-9))


def _gain(moments: _Moments, held_out: Tensor) -> float:
    """What gives the answer the range of the net's: what is held out is predicted narrower, and a mouth that is wider
    open in speech than the net says opens farther out of every pause.

    The person's own range is not taken over: it is measured beside the bare net (`lips.active_speaker`).
    """
    effect = torch.from_numpy(mouth_shape.gap_effect()).double()
    net, made = (
        float(torch.cat([shapes @ effect, moments.pauses]).std())
        for shapes in (moments.predicted, held_out)
    )
    low, high = _RATIO_LIMITS
    return min(max(net / max(made, 1e-9), low), high)


def _interval(passage: Passage) -> float:
    times = passage.timing.times
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _synchronized(
    articulator: Articulator, passage: Passage, lags: Series = LAGS
) -> tuple[Passage, float]:
    """The passage shifted to the one of ``lags`` at which picture and sound agree best, and their correlation there."""
    lips = lips_of(articulator, passage)
    true = lips.opening[lips.speech]
    cells = GRID_STEP * (lips.first + np.arange(len(lips.wanted)))
    found = [
        _correlation(np.interp((lips.times - lag)[lips.speech], cells, lips.wanted), true)
        for lag in lags
    ]
    best = int(np.argmax(found))
    return replace(passage, timing=_shifted(passage.timing, float(lags[best]))), found[best]


def _shifted(timing: Timing, lag: float) -> Timing:
    return replace(timing, times=timing.times - lag)


def _correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    if len(a) < 3 or a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
