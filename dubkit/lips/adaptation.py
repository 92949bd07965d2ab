"""Tune the TC net to one person, from their own footage and sound.

All its layers take a few small steps (`lips.adaptation`); then the answer is made as wide as this person's mouth
opens. The speech is dealt out in blocks to some parts. Each part in turn is held out and judged by a net that was
tuned on the others, so every frame is judged by a net that has not seen it: by the very error that is learned by, which
tells better what other speech of the person gains than the correlation of so few seconds does.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dubkit.lips import mouth_shape
from dubkit.lips.articulation import Articulator, Asked, asked, one_thread
from dubkit.models.tc import ActorFacts, TcNet, save_actor
from dubkit.records import Floats
from dubkit.speech.articulatory import STEP
from dubkit.speech.timing import SILENCE, Timing

BLOCK = 1.6  # seconds: speech is dealt out in blocks
PARTS = 4
LAGS = np.arange(-26, 27) * 0.01  # seconds
LEAST = 0.25  # correlation of lips with the sound; less, and it is somebody else who speaks
_WIDTHS = (0.6, 1.6)  # a person's opening against the net's; beyond it is a wrong measure
_GAINS = (0.3, 1.6)
_SURE = 10.0  # seconds of speech whose measure of it is followed half way

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
    """What tuning brought. ``net`` is None where held-out speech got no better."""

    net: TcNet | None
    facts: ActorFacts

    @property
    def kept(self) -> bool:
        return self.net is not None

    def save(self, path: Path) -> None:
        """Write the profile, where one was kept."""
        if self.net is not None:
            save_actor(path, self.net, self.facts)


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
    """Learn, judge, and say whether it is worth keeping; ``passages`` are those of `convincing`."""
    net, seconds = articulator.net, seconds_of(passages)
    true = np.concatenate([p.shapes @ mouth_shape.gap_effect() for p in passages]).astype(
        np.float64
    )
    part = np.concatenate(_dealt(passages))
    with one_thread():
        ordinary = _openings(net, passages)
        width = _width(true, ordinary, part)
        gain = np.float32(_gain(true, ordinary, part))
        speech = [taught(net, p.timing, p.shapes / gain) for p in passages]
        held_out = ordinary.copy()
        before = after = 0.0
        for held in range(PARTS):
            others = _apart((part >= 0) & (part != held), passages)
            tuned = learned(net, speech, others, steps(seconds * (1 - 1 / PARTS)))
            held_out[part == held] = _openings(tuned, passages)[part == held]
            judged, share = _apart(part == held, passages), _share(part, held)
            before += share * error(net, speech, judged)
            after += share * error(tuned, speech, judged)
        facts = ActorFacts(articulator.digest, round(seconds, 2), round(before, 4), round(after, 4))
        if after >= before:
            return Verdict(None, facts)
        found = learned(net, speech, _apart(part >= 0, passages), steps(seconds))
    # tuning makes an answer timid; and so much as is sure of how widely this person speaks
    _widen(found, _width(ordinary, held_out, part) * width ** (seconds / (seconds + _SURE)))
    return Verdict(found, facts)


def _interval(passage: Passage) -> float:
    times = passage.timing.times
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _in_step(articulator: Articulator, passage: Passage) -> tuple[Passage, float]:
    """The passage with the picture moved to where it agrees best with its sound, and how well it does."""
    effect = mouth_shape.gap_effect()
    timing, here = passage.timing, spoken(passage)
    true = passage.shapes[here] @ effect
    best, chosen = -2.0, 0.0
    for lag in LAGS:
        opening = articulator.shapes(_moved(timing, float(lag)))[here] @ effect
        agreed = _correlation(opening, true)
        if agreed > best:
            best, chosen = agreed, float(lag)
    return Passage(_moved(timing, chosen), passage.shapes, passage.usable), best


def _moved(timing: Timing, lag: float) -> Timing:
    return Timing(timing.times - lag, timing.phonemes, timing.runs, timing.sound)


def _dealt(passages: Sequence[Passage]) -> list[Parts]:
    """(T,) of each passage: which of `PARTS` a frame is dealt to, -1 where nothing is said.

    In blocks, their edges left out; a passage begins a block of its own.
    """
    found, first = [], 0
    for passage in passages:
        here, interval = spoken(passage), _interval(passage)
        block = first + (np.cumsum(here) * interval // BLOCK).astype(np.int64)
        edge = np.zeros(len(here), np.bool_)
        reach = max(1, round(0.12 / max(interval, 1e-3)))
        for at in np.flatnonzero(np.diff(block) != 0) + 1:
            edge[max(0, at - reach) : at + reach] = True
        found.append(np.where(here & ~edge, block % PARTS, -1))
        first = int(block[-1]) + 1 if len(block) else first
    return found


def _apart(rows: NDArray[np.bool_], passages: Sequence[Passage]) -> list[np.ndarray]:
    """Rows of all passages, by passage."""
    return np.split(rows, np.cumsum([len(p.usable) for p in passages])[:-1])


def _openings(net: TcNet, passages: Sequence[Passage]) -> Series:
    """(T,) what ``net`` says of all passages."""
    effect = mouth_shape.gap_effect()
    with torch.inference_mode():
        answers = [asked(net, p.timing).answer(net).numpy() for p in passages]
    return np.concatenate([rows @ effect for rows in answers]).astype(np.float64)


def _share(part: Parts, held: int) -> float:
    """Of all that is judged, what lies in one part."""
    return float((part == held).sum()) / max(int((part >= 0).sum()), 1)


def _width(true: Series, made: Series, part: Parts) -> float:
    """How widely the person opens the mouth against what a net says."""
    spread = float(made[part >= 0].std()) if (part >= 0).any() else 0.0
    return float(np.clip(true[part >= 0].std() / spread, *_WIDTHS)) if spread > 1e-9 else 1.0


def _gain(true: Series, made: Series, part: Parts) -> float:
    """The one gain with which a net's answer errs least: so much is known of anybody without tuning."""
    said, wanted = made[part >= 0], true[part >= 0]
    said, wanted = said - said.mean(), wanted - wanted.mean()
    return float(np.clip(said @ wanted / max(float(said @ said), 1e-9), *_GAINS))


def _widen(net: TcNet, factor: float) -> None:
    with torch.no_grad():
        for parameter in net.last.parameters():
            parameter.mul_(factor)


def _correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    if len(a) < 3 or a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


RATE = 1e-4
# a step for each second of speech: more of them learn the footage by heart. Chosen on people whom the nets had not seen
_STEPS = (5, 40)  # at least and at most
_SINGLE = 64  # channels of one net: of several side by side, the last layer takes the mean
_WARM = 5  # steps in which the rate rises
_COURSE, _MOTION = 5.0, 0.3  # weights, as in training
_OPENING = 0.03  # opening over face width that counts as one unit of error
_STEEP = 1.5  # error beyond which squares turn linear
_WINDOW = 2.4  # seconds in which the course is compared
_LEAST = 0.25  # of a window must be learned from
_LONGEST = 1.0  # gradient


@dataclass(frozen=True, slots=True)
class Spoken:
    """One stretch of speech; N frames, K coefficients."""

    asked: Asked
    shapes: Tensor  # (N, K) what the mouth did
    window: int  # frames


def taught(net: TcNet, timing: Timing, shapes: Floats) -> Spoken:
    """What ``net`` is asked about a stretch, and what it should answer."""
    times = timing.times
    interval = float(np.median(np.diff(times))) if len(times) > 1 else STEP
    window = max(10, round(_WINDOW / max(interval, 1e-3)))
    return Spoken(asked(net, timing), torch.from_numpy(np.asarray(shapes, np.float32)), window)


def steps(seconds: float) -> int:
    """How far is gone with so much speech."""
    return int(np.clip(round(seconds), *_STEPS))


def learned(
    net: TcNet, speech: Sequence[Spoken], chosen: Sequence[np.ndarray], count: int
) -> TcNet:
    """A copy of ``net`` after ``count`` steps; of each stretch the frames ``chosen`` (N,) are learned from."""
    tuned = copy.deepcopy(net).requires_grad_(True).train()
    masks = [torch.from_numpy(np.asarray(rows, np.float32)) for rows in chosen]
    # nets that stand side by side in one do not meet: what is 0 between them stays so
    there = [(p, (p != 0).to(p)) for p in tuned.parameters()]
    optimizer, rates = _optimizer(tuned)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        for step in range(1, count + 1):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * min(1.0, step / _WARM)
            optimizer.zero_grad()
            _loss(tuned, speech, masks).backward()  # type: ignore[no-untyped-call]
            for parameter, kept in there:
                if parameter.grad is not None:
                    parameter.grad *= kept
            nn.utils.clip_grad_norm_(tuned.parameters(), _LONGEST)
            optimizer.step()
    return tuned.eval().requires_grad_(False)


def error(net: TcNet, speech: Sequence[Spoken], chosen: Sequence[np.ndarray]) -> float:
    """How wrong ``net`` is on the frames ``chosen``: the loss that `learned` follows, mean over the frames."""
    masks = [torch.from_numpy(np.asarray(rows, np.float32)) for rows in chosen]
    with torch.inference_mode():
        return float(_loss(net, speech, masks))


def _optimizer(net: TcNet) -> tuple[torch.optim.Optimizer, tuple[float, float]]:
    last = list(net.last.parameters())
    known = {id(parameter) for parameter in last}
    deep = [parameter for parameter in net.parameters() if id(parameter) not in known]
    groups: list[dict[str, Any]] = [{"params": deep}, {"params": last}]
    return torch.optim.Adam(groups), (RATE, RATE * _SINGLE / net.config.width)


def _loss(net: TcNet, speech: Sequence[Spoken], masks: Sequence[Tensor]) -> Tensor:
    """Mean over the frames that are learned from."""
    effect = torch.from_numpy(mouth_shape.gap_effect())
    size = torch.from_numpy(np.linalg.norm(mouth_shape.basis().decode, axis=1) ** 2).float()
    weights = size / size.sum()
    total = torch.zeros(())
    for stretch, mask in zip(speech, masks, strict=True):
        made = stretch.asked.answer(net)
        error = made - stretch.shapes
        lips = error @ effect / _OPENING
        place = (_huber(error) * weights).sum(-1) + _huber(lips)
        jump = (_huber(error.diff(dim=0)) * weights).sum(-1) + 0.5 * _huber(lips.diff())
        course = _courses(made @ effect, stretch.shapes @ effect, mask, stretch.window)
        total = total + (place * mask).sum() + _COURSE * course
        total = total + _MOTION * (jump * mask[1:] * mask[:-1]).sum()
    frames = torch.stack([mask.sum() for mask in masks]).sum()
    return total / frames.clamp(min=1)


def _courses(made: Tensor, true: Tensor, mask: Tensor, window: int) -> Tensor:
    """One minus the correlation of openings (N,) in each window, weighed by its frames that are learned from."""
    short = max(0, window - len(mask))
    x, y, m = (
        nn.functional.pad(v, (0, short)).unfold(0, window, max(1, window // 2))
        for v in (made / _OPENING, true / _OPENING, mask)
    )
    count = m.sum(1, keepdim=True)
    x, y = ((v - (v * m).sum(1, keepdim=True) / count.clamp(min=1)) * m for v in (x, y))
    agreed = (x * y).sum(1) / torch.sqrt((x * x).sum(1) * (y * y).sum(1) + 1.0)
    return ((1 - agreed) * count[:, 0] * (count[:, 0] >= _LEAST * window)).sum()


def _huber(error: Tensor) -> Tensor:
    """Squares that turn linear at `_STEEP`."""
    size = error.abs()
    return torch.where(size < _STEEP, 0.5 * error * error, _STEEP * (size - _STEEP / 2))
