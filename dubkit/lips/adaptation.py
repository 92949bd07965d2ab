"""Tune the TC net to one person, from their own footage and sound.

The whole net takes a few small steps on the person's speech, then its output is scaled to how widely this
person's mouth opens. Whether that helps is judged by cross-validation: the speech is divided into folds, in blocks of
time. Each fold is judged by a net that was tuned on the others, with the very loss that is minimized, which predicts
the gain on other speech of the person better than the correlation of so few seconds does.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dubkit.lips import film_offset, mouth_shape, shape_losses
from dubkit.lips.articulation import Articulator, NetInput, net_input
from dubkit.models import devices, tc
from dubkit.records import GRID_STEP, SILENCE, Floats, Timing

BLOCK_SECONDS = 1.6  # of speech: folds take turns in such blocks
FOLDS = 4
LAGS = np.arange(-26, 27, dtype=np.float64) * 0.01  # seconds
_NEAR_OFFSET = 0.04  # seconds about the film's offset in which a passage's own may lie
MIN_CORRELATION = 0.35  # of lips with the sound; other speech reaches .28 by chance
_RATIO_LIMITS = (0.6, 1.6)  # of a person's opening to the net's; beyond them it is a wrong measure
_GAIN_LIMITS = (0.3, 1.6)
_MIN_GAIN = 0.01  # of the error on held-out speech; less is chance. Of people who gained, the least gained .03
_HALF_TRUST_SECONDS = 10.0  # of speech: its measured ratio counts half

Series = NDArray[np.float64]
FoldNumbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of one face; T frames."""

    timing: Timing  # of the film's own sound
    shapes: Floats  # (T, K) of the mouth as filmed, as offset from rest
    usable: NDArray[np.bool_]  # (T,)


@dataclass(frozen=True, slots=True)
class TuningResult:
    """The tuned net and how it was judged; ``net`` is None where the error on held-out speech did not fall."""

    net: tc.TcNet | None
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
    """Write a tuned net as an actor profile."""
    assert tuned.net is not None
    tc.save_actor(path, tuned.net, tuned.facts)


def tune(articulator: Articulator, passages: Sequence[Passage]) -> TuningResult:
    """Tune to ``passages`` (of `select_in_sync`) and judge the result on fold-out speech."""
    net, seconds = articulator.net, speech_seconds(passages)
    true = np.concatenate([p.shapes @ mouth_shape.gap_effect() for p in passages]).astype(
        np.float64
    )
    folds = np.concatenate(_folds(passages))
    with devices.threads(1):
        untuned = _openings(net, passages)
        width = _opening_ratio(true, untuned, folds)
        gain = np.float32(_gain(true, untuned, folds))
        examples = [example(net, p.timing, p.shapes / gain) for p in passages]
        held_out = untuned.copy()
        before = after = 0.0
        for fold in range(FOLDS):
            others = _by_passage((folds >= 0) & (folds != fold), passages)
            tuned = fine_tune(net, examples, others, step_count(seconds))
            held_out[folds == fold] = _openings(tuned, passages)[folds == fold]
            judged, share = _by_passage(folds == fold, passages), _fold_share(folds, fold)
            before += share * error(net, examples, judged)
            after += share * error(tuned, examples, judged)
        facts = tc.ActorFacts(
            articulator.digest, round(seconds, 2), round(before, 4), round(after, 4)
        )
        if after > (1 - _MIN_GAIN) * before:
            return TuningResult(None, facts)
        found = fine_tune(net, examples, _by_passage(folds >= 0, passages), step_count(seconds))
    # tuning shrinks the output; the person's own range counts by how much speech it was measured on
    tc.scale_output(
        found,
        _opening_ratio(untuned, held_out, folds)
        * width ** (seconds / (seconds + _HALF_TRUST_SECONDS)),
    )
    return TuningResult(found, facts)


def _interval(passage: Passage) -> float:
    times = passage.timing.times
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _synchronized(
    articulator: Articulator, passage: Passage, lags: Series = LAGS
) -> tuple[Passage, float]:
    """The passage shifted to the one of ``lags`` at which picture and sound agree best, and their correlation there."""
    effect = mouth_shape.gap_effect()
    timing, here = passage.timing, speech_frames(passage)
    true = passage.shapes[here] @ effect
    best, chosen = -2.0, 0.0
    for lag in lags:
        opening = articulator.shapes(_shifted(timing, float(lag)))[here] @ effect
        correlation = _correlation(opening, true)
        if correlation > best:
            best, chosen = correlation, float(lag)
    return Passage(_shifted(timing, chosen), passage.shapes, passage.usable), best


def _shifted(timing: Timing, lag: float) -> Timing:
    return replace(timing, times=timing.times - lag)


def _folds(passages: Sequence[Passage]) -> list[FoldNumbers]:
    """(T,) for each passage: the fold of every frame, 0 to ``FOLDS - 1``; -1 outside speech and at edges of blocks.

    Folds take turns in blocks of `BLOCK_SECONDS`; every passage begins a new block.
    """
    found, first = [], 0
    for passage in passages:
        here, interval = speech_frames(passage), _interval(passage)
        block = first + (np.cumsum(here) * interval // BLOCK_SECONDS).astype(np.int64)
        edge = np.zeros(len(here), np.bool_)
        reach = max(1, round(0.12 / max(interval, 1e-3)))
        for at in np.flatnonzero(np.diff(block) != 0) + 1:
            edge[max(0, at - reach) : at + reach] = True
        found.append(np.where(here & ~edge, block % FOLDS, -1))
        first = int(block[-1]) + 1 if len(block) else first
    return found


def _by_passage(rows: NDArray[np.bool_], passages: Sequence[Passage]) -> list[np.ndarray]:
    """Rows of all passages, split by passage."""
    return np.split(rows, np.cumsum([len(p.usable) for p in passages])[:-1])


def _openings(net: tc.TcNet, passages: Sequence[Passage]) -> Series:
    """(T,) the mouth openings that ``net`` predicts for all passages, one after the other."""
    effect = mouth_shape.gap_effect()
    with torch.inference_mode():
        shapes = [net_input(net, p.timing).predict(net).numpy() for p in passages]
    return np.concatenate([rows @ effect for rows in shapes]).astype(np.float64)


def _fold_share(folds: FoldNumbers, fold: int) -> float:
    """The share of all judged frames that lies in one fold."""
    return float((folds == fold).sum()) / max(int((folds >= 0).sum()), 1)


def _opening_ratio(true: Series, made: Series, folds: FoldNumbers) -> float:
    """How widely the person opens the mouth, relative to a net's prediction; 1 where that cannot be measured."""
    spread = float(made[folds >= 0].std()) if (folds >= 0).any() else 0.0
    return float(np.clip(true[folds >= 0].std() / spread, *_RATIO_LIMITS)) if spread > 1e-9 else 1.0


def _gain(true: Series, made: Series, folds: FoldNumbers) -> float:
    """The factor on a net's prediction that errs least: it is known of anybody without tuning."""
    made, true = made[folds >= 0], true[folds >= 0]
    made, true = made - made.mean(), true - true.mean()
    return float(np.clip(made @ true / max(float(made @ made), 1e-9), *_GAIN_LIMITS))


def _correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    if len(a) < 3 or a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


# chosen on people on whom the nets were not trained; more steps overfit
LEARNING_RATE = 3e-4
_STEPS_A_SECOND = 1.5  # of speech
_STEP_LIMITS = (8, 60)  # at least and at most
_WARMUP_STEPS = 5  # steps in which the rate rises
_MOTION_WEIGHT = 0.3
# weights of the correlation of opening, width and chin, and the units in which they count as flat; as in training
_CORRELATIONS = (
    (5.0, shape_losses.OPENING),
    (1.0, shape_losses.SIDEWAYS),
    (0.5, shape_losses.SIDEWAYS),
)
_WINDOW_SECONDS = 2.4  # in which openings are correlated
_MIN_SHARE = 0.25  # of a window must be learned from
_MAX_GRADIENT = 1.0  # gradient


@dataclass(frozen=True, slots=True)
class Example:
    """A stretch of speech to learn from; N frames, K coefficients."""

    net_input: NetInput
    shapes: Tensor  # (N, K) of the mouth as filmed
    window: int  # frames


def example(net: tc.TcNet, timing: Timing, shapes: Floats) -> Example:
    """A stretch with its input for ``net`` and the shapes to be predicted."""
    times = timing.times
    interval = float(np.median(np.diff(times))) if len(times) > 1 else GRID_STEP
    window = max(10, round(_WINDOW_SECONDS / max(interval, 1e-3)))
    return Example(net_input(net, timing), torch.from_numpy(np.asarray(shapes, np.float32)), window)


def step_count(seconds: float) -> int:
    """The number of training steps for so much speech."""
    return int(np.clip(round(_STEPS_A_SECOND * seconds), *_STEP_LIMITS))


def fine_tune(
    net: tc.TcNet, speech: Sequence[Example], chosen: Sequence[np.ndarray], count: int
) -> tc.TcNet:
    """A copy of ``net`` after ``count`` steps on the frames ``chosen`` (N,) of each stretch."""
    tuned = copy.deepcopy(net).requires_grad_(True).train()
    masks = [torch.from_numpy(np.asarray(rows, np.float32)) for rows in chosen]
    optimizer = torch.optim.Adam(tuned.parameters())
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        for step in range(1, count + 1):
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * min(1.0, step / _WARMUP_STEPS)
            optimizer.zero_grad()
            _loss(tuned, speech, masks).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(tuned.parameters(), _MAX_GRADIENT)
            optimizer.step()
    return tuned.eval().requires_grad_(False)


def error(net: tc.TcNet, speech: Sequence[Example], chosen: Sequence[np.ndarray]) -> float:
    """The loss that `fine_tune` minimizes, mean over the frames ``chosen``."""
    masks = [torch.from_numpy(np.asarray(rows, np.float32)) for rows in chosen]
    with torch.inference_mode():
        return float(_loss(net, speech, masks))


def _loss(net: tc.TcNet, speech: Sequence[Example], masks: Sequence[Tensor]) -> Tensor:
    """Mean over the frames of the masks."""
    total = torch.zeros(())
    for stretch, mask in zip(speech, masks, strict=True):
        if not mask.any():
            continue
        made = stretch.net_input.predict(net)
        error = made - stretch.shapes
        total = total + (shape_losses.position(error) * mask).sum()
        total = total + _MOTION_WEIGHT * (shape_losses.motion(error) * mask[1:] * mask[:-1]).sum()
        total = total + mask.sum() * _correlation_loss(made, stretch.shapes, mask, stretch.window)
    frames = torch.stack([mask.sum() for mask in masks]).sum()
    return total / frames.clamp(min=1)


def _correlation_loss(made: Tensor, true: Tensor, mask: Tensor, window: int) -> Tensor:
    """One minus the correlation of shapes (N, K) in windows, the mean by their frames in the mask, weighted."""
    short = max(0, window - len(mask))

    def windows(values: Tensor) -> Tensor:
        padded = nn.functional.pad(values, (0, short))
        return padded.unfold(0, window, max(1, window // 2))

    inside = windows(mask)
    count = inside.sum(1) * (inside.sum(1) >= _MIN_SHARE * window)
    total = made.new_zeros(())
    for (weight, unit), effect in zip(_CORRELATIONS, shape_losses.effects(), strict=True):
        agreed = shape_losses.agreement(
            windows(made @ effect), windows(true @ effect), inside, unit
        )
        total = total + weight * ((1 - agreed) * count).sum() / count.sum().clamp(min=1)
    return total
