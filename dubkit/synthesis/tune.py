"""Tune the last layer of the TC net to one person, from their own footage and sound.

The layer is linear, so the best one is found exactly: least squares on what the mouth really did, drawn
towards the layer it starts from. The speech is dealt out in blocks to five parts. Each part in turn is held out
and judged by a layer that the other four gave, with a pull that was chosen among these four alone; so every
frame is judged by a layer that has not seen it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dubkit.faces import shape
from dubkit.models.actor import ActorFacts, ActorLayer
from dubkit.records import Floats
from dubkit.synthesis.articulation import Articulator
from dubkit.synthesis.timing import SILENCE, Timing

BLOCK = 1.6  # seconds: speech is dealt out in blocks
PARTS = 5
PULLS = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)  # towards the layer it starts from
LAGS = np.arange(-26, 27) * 0.01  # seconds
LEAST = 0.25  # correlation of lips with the sound; less, and it is somebody else who speaks
_BETTER = 0.98  # of the error: less of a gain is chance
_OPENING = 3.0  # weight of the opening against all other motion

Series = NDArray[np.float64]
Parts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Passage:
    """One face that speaks; T frames."""

    timing: Timing  # of the film's own sound
    shapes: Floats  # (T, K) what the mouth did, as offset from rest
    usable: NDArray[np.bool_]  # (T,)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What tuning brought. ``layer`` is None where held-out speech got no better."""

    layer: ActorLayer | None
    facts: ActorFacts
    before_error: (
        float  # on held-out speech, against what a still mouth gets; with the best of gains
    )
    after_error: float

    @property
    def kept(self) -> bool:
        return self.layer is not None


def spoken(passage: Passage) -> NDArray[np.bool_]:
    """(T,) usable frames in which something is said."""
    said = np.zeros(len(passage.usable), np.bool_)
    start = passage.timing.runs[0].start if passage.timing.runs else 0
    for run in passage.timing.runs:
        if run.symbol != SILENCE:
            said[run.start - start : run.end - start] = True
    return said & passage.usable


def seconds_of(passages: Sequence[Passage]) -> float:
    """Usable speech in all passages."""
    return sum(float(spoken(p).sum()) * _interval(p) for p in passages)


def convincing(articulator: Articulator, passages: Sequence[Passage]) -> list[Passage]:
    """The passages in which the face moves with the sound, picture and sound brought in step."""
    found = [_in_step(articulator, passage) for passage in passages if spoken(passage).sum() > 2]
    return [passage for passage, agreed in found if agreed >= LEAST]


def tune(articulator: Articulator, passages: Sequence[Passage]) -> Verdict:
    """Fit, judge, and say whether it is worth keeping; ``passages`` are those of `convincing`."""
    hidden = np.concatenate([articulator.hidden(p.timing) for p in passages]).astype(np.float64)
    true = np.concatenate([p.shapes for p in passages]).astype(np.float64)
    part = np.concatenate([_dealt(p) for p in passages])
    weight, bias = articulator.last_layer
    start = np.concatenate([weight, bias[:, None]], 1).T.astype(np.float64)  # (C + 1, K)
    rows = np.concatenate([hidden, np.ones((len(hidden), 1))], 1)
    before = _widened(rows @ start, true, part >= 0)
    after = _held_out(rows, true, part, start)
    errors = [_error(made, true, part >= 0) for made in (before, after)]
    agreed = [_agreement(made, true, part >= 0) for made in (before, after)]
    kept = errors[1] < _BETTER * errors[0] and agreed[1] >= agreed[0]
    pull = _choose(rows, true, part, start, range(PARTS))
    found = _fit(rows, true, part >= 0, start, pull)
    interval = float(np.mean([_interval(p) for p in passages]))
    facts = ActorFacts(
        net=articulator.digest,
        width=weight.shape[1],
        coefficients=len(bias),
        seconds=round(float((part >= 0).sum()) * interval, 2),
        before=round(agreed[0], 4),
        after=round(agreed[1], 4),
    )
    return Verdict(_layer(found) if kept else None, facts, errors[0], errors[1])


def _interval(passage: Passage) -> float:
    times = passage.timing.times
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _in_step(articulator: Articulator, passage: Passage) -> tuple[Passage, float]:
    """The passage with the picture moved to where it agrees best with its sound, and how well it does."""
    effect = shape.gap_effect()
    weight, bias = articulator.last_layer
    timing, here = passage.timing, spoken(passage)
    true = passage.shapes[here] @ effect
    best, chosen = -2.0, 0.0
    for lag in LAGS:
        moved = _moved(timing, float(lag))
        opening = (articulator.hidden(moved) @ weight.T + bias)[here] @ effect
        agreed = _correlation(opening, true)
        if agreed > best:
            best, chosen = agreed, float(lag)
    return Passage(_moved(timing, chosen), passage.shapes, passage.usable), best


def _moved(timing: Timing, lag: float) -> Timing:
    return Timing(timing.times - lag, timing.phonemes, timing.runs, timing.sound)


def _dealt(passage: Passage) -> NDArray[np.int64]:
    """(T,) which of `PARTS` a frame is dealt to, -1 where nothing is said; in blocks, their edges left out."""
    here = spoken(passage)
    elapsed = np.cumsum(here) * _interval(passage)
    dealt = (elapsed // BLOCK).astype(np.int64) % PARTS
    edge = np.zeros(len(here), np.bool_)
    change = np.flatnonzero(np.diff(dealt) != 0) + 1
    reach = max(1, round(0.12 / max(_interval(passage), 1e-3)))
    for at in change:
        edge[max(0, at - reach) : at + reach] = True
    return np.where(here & ~edge, dealt, -1)


def _metric() -> Series:
    """(K, K) whose square counts errors as motion of landmarks, the opening most."""
    decode = shape.basis().decode.astype(np.float64)
    effect = shape.gap_effect().astype(np.float64)
    landmarks = decode @ decode.T
    opening = np.outer(effect, effect)
    scale = np.trace(landmarks) / np.trace(opening)
    return np.asarray(landmarks + _OPENING * scale * opening)


def _fit(
    rows: Series, true: Series, chosen: NDArray[np.bool_], start: Series, pull: float
) -> Series:
    """Least squares drawn towards ``start``: (C + 1, K)."""
    x, y = rows[chosen], true[chosen]
    gram = x.T @ x + pull * np.eye(rows.shape[1])
    return np.asarray(start + np.linalg.solve(gram, x.T @ (y - x @ start)))


def _choose(rows: Series, true: Series, part: Parts, start: Series, parts: Iterable[int]) -> float:
    """The pull that does best on each of ``parts`` when the others are learnt from."""
    known = list(parts)

    def error(pull: float) -> float:
        total = 0.0
        for held in known:
            learnt = np.isin(part, [other for other in known if other != held])
            made = rows @ _fit(rows, true, learnt, start, pull)
            here = part == held
            total += _error(made, true, here) * float(here.sum()) if here.any() else 0.0
        return total

    return min(PULLS, key=error)


def _widened(made: Series, true: Series, chosen: NDArray[np.bool_]) -> Series:
    """Shapes with the one gain that suits the speaker best: so much is known of anybody without tuning."""
    opening, wanted = made[chosen] @ shape.gap_effect(), true[chosen] @ shape.gap_effect()
    return np.asarray(made * float(opening @ wanted) / max(float(opening @ opening), 1e-9))


def _held_out(rows: Series, true: Series, part: Parts, start: Series) -> Series:
    """(T, K) shapes, those of each part by a layer that has not seen it."""
    made = rows @ start
    for held in range(PARTS):
        others = [other for other in range(PARTS) if other != held]
        pull = _choose(rows, true, part, start, others)
        layer = _fit(rows, true, np.isin(part, others), start, pull)
        made[part == held] = rows[part == held] @ layer
    return made


def _error(made: Series, true: Series, chosen: NDArray[np.bool_]) -> float:
    """Weighted squared error on some frames, against what a still mouth would get."""
    metric = _metric()
    wrong = made[chosen] - true[chosen]
    spread = true[chosen] - true[chosen].mean(0)
    total = float(np.einsum("tk,kl,tl->", spread, metric, spread))
    return float(np.einsum("tk,kl,tl->", wrong, metric, wrong)) / max(total, 1e-9)


def _agreement(made: Series, true: Series, chosen: NDArray[np.bool_]) -> float:
    effect = shape.gap_effect()
    return _correlation(made[chosen] @ effect, true[chosen] @ effect)


def _correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    if len(a) < 3 or a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _layer(found: Series) -> ActorLayer:
    layer = ActorLayer(found.shape[0] - 1, found.shape[1])
    with torch.no_grad():
        layer.last.weight.copy_(torch.from_numpy(found[:-1].T.copy()))
        layer.last.bias.copy_(torch.from_numpy(found[-1].copy()))
    return layer
