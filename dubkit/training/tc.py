"""Train the TC net.

    python -m dubkit.training.tc CACHE dubkit/weights/tc.safetensors --steps 1000

``CACHE`` comes from `training.tc_data`. Sound and picture of a clip may be off by some frames, so each clip's
offset is estimated first: two short trainings, each followed by the lag at which its prediction agrees best.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dubkit.faces.shape import basis
from dubkit.models.tc import TcConfig, TcNet, save_tc
from dubkit.synthesis import features
from dubkit.synthesis.articulation import gap_effect
from dubkit.training.tc_data import Clip, load
from dubkit.training.tc_measures import correlation, evaluate, predict

MARGIN = 0.7  # seconds around a clip, and lost at each side of a window
FRAMES = 60  # frames of a training window at most
GRID_SHARE = 0.45  # of the samples: one man who says many sentences
PATHS = (("script", 0.7), ("recognition", 0.15), ("loop", 0.15))
STRETCH = (0.9, 0.95, 1.0, 1.05, 1.1)
OPENING = 0.03  # opening over face width that counts as one unit of error
GAIN_LIMITS = (0.7, 1.3)


@dataclass(frozen=True, slots=True)
class Options:
    """What a training is told."""

    steps: int = 1000
    batch: int = 16
    seconds: float = 2.4
    rate: float = 2e-3
    decay: float = 0.03
    dropout: float = 0.2
    width: int = 64
    jitter: float = 0.01  # seconds
    average: float = 0.99  # of the running mean of the weights, which is what is kept
    adaptive: bool = True  # weight lips by phoneme run, see `run_weights`
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of clips: B windows of T cells and N frames."""

    cells: Tensor  # (B, T, F)
    low: Tensor  # (B, N) cell before each frame
    part: Tensor  # (B, N, 1) way to the next cell
    shapes: Tensor  # (B, N, K)
    mask: Tensor  # (B, N) 1 for frames that are there
    shut: Tensor  # (B, N) 1 in the P B M
    runs: Tensor  # (B, N) number of the phoneme that sounds


class Windows:
    """Draws training windows; features are computed once for every clip, path and stretch."""

    def __init__(
        self, clips: Sequence[Clip], offsets: Mapping[str, float], options: Options
    ) -> None:
        self._grid = [c for c in clips if c.group == "grid_s1"]
        self._others = [c for c in clips if c.group != "grid_s1"]
        share = np.sqrt([min(c.duration, 20.0) for c in self._others])
        self._share = share / share.sum()
        self._offsets, self._options = offsets, options
        self._gains = {c.name: clip_gain(c) for c in clips}
        self._cells: dict[tuple[str, str, float], tuple[int, np.ndarray]] = {}
        self._random = np.random.default_rng(options.seed)

    def draw(self) -> Batch:
        """One batch."""
        columns = zip(*(self._window() for _ in range(self._options.batch)), strict=True)
        return Batch(*(torch.from_numpy(np.stack(column)) for column in columns))

    def _features(self, clip: Clip, path: str, stretch: float) -> tuple[int, np.ndarray]:
        key = (clip.name, path, stretch)
        if key not in self._cells:
            timed = [(s, a * stretch, b * stretch) for s, a, b in clip.phonemes[path]]
            numbers = features.grid(-MARGIN, clip.duration * stretch + MARGIN)
            self._cells[key] = (int(numbers[0]), features.cells(timed, numbers))
        return self._cells[key]

    def _window(self) -> tuple[np.ndarray, ...]:
        random, options = self._random, self._options
        if random.random() < GRID_SHARE:
            clip = self._grid[random.integers(len(self._grid))]
        else:
            clip = self._others[random.choice(len(self._others), p=self._share)]
        names, chances = zip(*((n, w) for n, w in PATHS if n in clip.phonemes), strict=True)
        path = str(random.choice(names, p=np.array(chances) / sum(chances)))
        stretch = float(random.choice(STRETCH))
        first, rows = self._features(clip, path, stretch)
        late = self._offsets.get(clip.name, 0.0)
        times = (clip.times - late) * stretch + options.jitter * random.normal()
        length = options.seconds - MARGIN
        start = random.uniform(-0.3, max(-0.29, clip.duration * stretch - length + 0.3))
        chosen = np.flatnonzero((times >= start) & (times < start + length))[:FRAMES]
        if len(chosen) < 10:
            chosen = np.arange(min(len(times), 30))
        shapes = clip.shapes[chosen] / self._gains[clip.name]
        starts = np.array([a for _, a, _ in clip.phonemes[path]]) * stretch
        runs = np.searchsorted(starts, times[chosen], "right")
        return _pack(
            rows, first, times[chosen], shapes, runs, round(options.seconds / features.STEP)
        )


def _pack(
    rows: np.ndarray, first: int, times: np.ndarray, shapes: np.ndarray, runs: np.ndarray, size: int
) -> tuple[np.ndarray, ...]:
    """One window, padded: cells, low, part, shapes, mask, shut, runs."""
    size += 64
    base = max(0, int(times[0] / features.STEP) - first - 32)
    cells = rows[base : base + size]
    silent = np.zeros((size - len(cells), rows.shape[1]), np.float32)
    silent[:, 0] = 1.0
    cells = np.concatenate([cells, silent])
    place = times / features.STEP - first - base
    low = np.clip(np.floor(place), 0, size - 2).astype(np.int64)
    pad = (0, FRAMES - len(times))
    return (
        cells,
        np.pad(low, pad),
        np.pad((place - low).astype(np.float32), pad)[:, None],
        np.pad(shapes.astype(np.float32), (pad, (0, 0))),
        np.pad(np.ones(len(times), np.float32), pad),
        np.pad(cells[low, features.FEATURES.index("bilabial")], pad),
        np.pad(runs.astype(np.int64), pad),
    )


def clip_gain(clip: Clip) -> float:
    """How widely this speaker articulates, from the open frames of the clip alone."""
    opening = clip.shapes @ gap_effect()
    wide = opening[opening > 0.0175]
    low, high = GAIN_LIMITS
    return float(np.clip(np.percentile(wide, 75) / 0.07, low, high)) if len(wide) > 10 else 1.0


def huber(error: Tensor) -> Tensor:
    """Squares that turn linear at 1.5."""
    size = error.abs()
    return torch.where(size < 1.5, 0.5 * error * error, 1.5 * (size - 0.75))


def run_weights(error: Tensor, batch: Batch) -> Tensor:
    """The adaptive lip weight (B, N): one number for all frames of a phoneme run, mean 1.

    Frames are similar to the truth by ``exp(-error)``. A run weighs as its most similar frame where its
    frames differ, else as their mean: a run that is right somewhere pulls its other frames after it.
    """
    similar = torch.exp(-error.detach().abs())
    number = batch.runs + torch.arange(len(batch.runs))[:, None] * 100_000
    _, flat = torch.unique(number.flatten(), return_inverse=True)
    count = int(flat.max()) + 1
    here = (similar * batch.mask).flatten()
    top = torch.zeros(count).scatter_reduce(0, flat, here, "amax")
    total = torch.zeros(count).index_add(0, flat, here)
    size = torch.zeros(count).index_add(0, flat, batch.mask.flatten()).clamp(min=1)
    mean = total / size
    weight = torch.where(top - mean > 0.05, top, mean)[flat].view_as(similar).clamp(0.3, 1.0)
    mean_weight = (weight * batch.mask).sum() / batch.mask.sum()
    return weight / mean_weight


def loss_of(net: TcNet, batch: Batch, importance: Tensor, effect: Tensor, adaptive: bool) -> Tensor:
    """Position, opening and motion inside the runs; closures weigh three times."""
    cells = net(batch.cells)
    rows = torch.arange(len(cells))[:, None]
    shape = cells[rows, batch.low] * (1 - batch.part) + cells[rows, batch.low + 1] * batch.part
    error = shape - batch.shapes
    lips = (error @ effect) / OPENING
    weight = batch.mask * (run_weights(lips, batch) if adaptive else 1.0)
    position = (huber(error) * importance).sum(-1)
    opening = huber(lips) * (1 + 2 * batch.shut)
    pair = weight[:, 1:] * batch.mask[:, :-1]
    motion = (huber(error[:, 1:] - error[:, :-1]) * importance).sum(-1)
    motion = motion + 0.5 * huber(lips[:, 1:] - lips[:, :-1])
    total: Tensor = ((position + opening) * weight).sum() / weight.sum()
    total = total + (motion * pair).sum() / pair.sum()
    return total


def train(clips: Sequence[Clip], offsets: Mapping[str, float], options: Options) -> TcNet:
    """A net trained on ``clips``; its weights are the running mean of those passed through."""
    torch.manual_seed(options.seed)
    effect = torch.from_numpy(gap_effect())
    importance = _importance()
    count = clips[0].shapes.shape[1]
    config = TcConfig(features.COUNT, count, options.width, dropout=options.dropout)
    net, kept = TcNet(config), TcNet(config)
    kept.load_state_dict(net.state_dict())
    optimizer = torch.optim.AdamW(net.parameters(), options.rate, weight_decay=options.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.rate, total_steps=options.steps, pct_start=0.1
    )
    windows = Windows(clips, offsets, options)
    for step in range(options.steps):
        loss = loss_of(net, windows.draw(), importance, effect, options.adaptive)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        share = min(options.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for mine, new in zip(kept.parameters(), net.parameters(), strict=True):
                mine.lerp_(new, 1 - share)
    return kept.eval()


def _importance() -> Tensor:
    """(K,) how much a unit of each coefficient moves the landmarks, lips weighing as in the basis."""
    size = np.linalg.norm(basis().decode, axis=1) ** 2
    return torch.from_numpy((size / size.sum()).astype(np.float32))


def estimate_offsets(net: TcNet, clips: Sequence[Clip]) -> dict[str, float]:
    """Seconds that each clip's picture is behind its sound; one value for all clips of the one GRID man."""
    lags = np.arange(-50, 51) * 0.01
    found: dict[str, float] = {}
    for clip in clips:
        path = "script" if clip.group != "grid_s1" or len(found) < 60 else ""
        if path:
            scores = [correlation(predict(net, clip, path, lag), clip) for lag in lags]
            found[clip.name] = float(lags[int(np.argmax(scores))])
    grid = float(np.median([v for k, v in found.items() if k.startswith("grid_s1")] or [0.0]))
    return {c.name: grid if c.group == "grid_s1" else found[c.name] for c in clips}


def scaled(net: TcNet, factor: float) -> TcNet:
    """The same net with its output ``factor`` times as wide: regression always answers too timidly."""
    with torch.no_grad():
        for parameter in net.last.parameters():
            parameter.mul_(factor)
    return net


def main() -> None:
    """Train, tell how it does on unseen people, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without the adaptive lip weight")
    parser.add_argument("--scale", type=float, default=1.25, help="amplitude of the answer")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = load(arguments.cache)
    own = [clip for clip in clips if clip.split == "train"]
    options = Options(steps=arguments.steps, seed=arguments.seed, adaptive=not arguments.plain)
    stored = arguments.cache / "offsets.json"
    if not stored.exists():
        offsets: dict[str, float] = {}
        for _ in range(2):
            offsets = estimate_offsets(train(own, offsets, replace(options, steps=250)), clips)
        stored.write_text(json.dumps(offsets, indent=1))
    offsets = json.loads(stored.read_text())
    net = scaled(train(own, offsets, options), arguments.scale)
    save_tc(arguments.target, net, options.steps)
    report = evaluate(arguments.target, [c for c in clips if c.split == "val"], offsets)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
