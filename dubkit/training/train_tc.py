"""Train the TC net: ``dubkit train tc SET OUT``.

Sound and picture of a clip may be off by some frames, so each clip's offset is estimated first: a short
training that takes the set's own estimates, then the lag at which its answers agree best with each clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dubkit.config.schema import TcTraining
from dubkit.errors import ModelError
from dubkit.lips import mouth_shape
from dubkit.models.tc import TcConfig, TcNet, load_tc, save_tc
from dubkit.speech import articulatory
from dubkit.speech.mel_levels import BANDS
from dubkit.training import loop, tc_losses
from dubkit.training.dataset import PreparedSet
from dubkit.training.tc_data import Clip, load
from dubkit.training.tc_measures import correlation, predict, predictions
from dubkit.training.tc_windows import Batch, Windows

OFFSET_STEPS = 250  # of the training that offsets are estimated with
LAGS = np.arange(-26, 27) * 0.01  # seconds
_LONGEST = 1.0  # gradient
_PREVIEW_HEIGHT, _PREVIEW_CLIPS, _PIXELS = 120, 6, 4


class TcLesson:
    """The training of a TC net, for `training.trainer.run_lesson`."""

    kind = "tc"
    goal = "error"

    def __init__(
        self,
        clips: Sequence[Clip],
        held_out: Sequence[Clip],
        offsets: Mapping[str, float],
        settings: TcTraining,
        device: torch.device | None = None,
        start: Path | None = None,
    ) -> None:
        self.settings, self.offsets = settings, offsets
        self._held_out = held_out
        self._windows = Windows(clips, offsets, settings)
        self.device = device or torch.device("cpu")
        torch.manual_seed(settings.seed)
        self.net, self.average = (_net(settings, start).to(self.device) for _ in range(2))
        self.average.load_state_dict(self.net.state_dict())
        self._call = torch.compile(self.net) if settings.compile else self.net
        self._optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=settings.rate, weight_decay=settings.decay
        )

    def modules(self) -> Mapping[str, nn.Module]:
        return {"net": self.net, "average": self.average}

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"net": self._optimizer}

    def draw(self, rng: np.random.Generator) -> Batch:
        return self._windows.draw(rng)

    def learn(self, batch: Batch, pace: loop.Pace) -> Mapping[str, float]:
        here = batch.to(pace.device)
        self.net.train()
        with pace.autocast():
            made = tc_losses.at_frames(self._call(here.cells), here).float()
        terms = tc_losses.losses(made, here, self.settings)
        total = sum(terms.values(), made.new_zeros(()))
        loop.descend(self.net, self._optimizer, total, _LONGEST)
        # the mean of few steps at first, of many later
        loop.follow(self.average, self.net, min(self.settings.average, pace.step / (pace.step + 9)))
        return {name: float(term.detach()) for name, term in terms.items()}

    def result(self) -> TcNet:
        """The net that is used: the running mean of the weights, its answer widened."""
        net = TcNet(self.net.config)
        net.load_state_dict(self.average.state_dict())
        return scaled(net.cpu().eval(), self.settings.scale)

    def examine(self) -> Mapping[str, float]:
        net = self.result()
        found = [self._agreement(net, clip) for clip in self._held_out]
        mean = float(np.mean(found))
        return {"error": 1 - mean, "correlation": mean}

    def _agreement(self, net: TcNet, clip: Clip) -> float:
        made = predict(net, clip, clip.best_path, self.offsets.get(clip.name, clip.offset))
        found = correlation(made, clip)
        return found if np.isfinite(found) else 0.0

    def preview(self) -> NDArray[np.uint8] | None:
        """True (black) and predicted (blue) opening of some held-out clips, time to the right."""
        net = self.result()
        rows = [self._course(net, clip) for clip in self._held_out[:_PREVIEW_CLIPS]]
        width = max(row.shape[1] for row in rows)
        padded = [
            np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows
        ]
        return np.concatenate(padded)

    def _course(self, net: TcNet, clip: Clip) -> NDArray[np.uint8]:
        effect = mouth_shape.gap_effect()
        made = predict(net, clip, clip.best_path, self.offsets.get(clip.name, clip.offset))
        picture = np.full((_PREVIEW_HEIGHT, _PIXELS * len(clip.times), 3), 255, np.uint8)
        for shapes, colour in ((clip.shapes, (0, 0, 0)), (made, (40, 90, 255))):
            heights = _PREVIEW_HEIGHT - 10 - np.clip(shapes @ effect, -0.02, 0.2) * 500
            line = np.stack([np.arange(len(heights)) * _PIXELS, heights], 1).astype(np.int32)
            cv2.polylines(picture, [line], False, colour, 1, cv2.LINE_AA)
        return picture

    def save(self, path: Path, step: int) -> None:
        save_tc(path, self.result(), step)


def tc_lesson(
    prepared: PreparedSet, settings: TcTraining, device: torch.device, start: Path | None = None
) -> TcLesson:
    """A training on the train split of a prepared set, measured on its held-out clips.

    Raises InputError for a set in which nobody speaks.
    """
    clips = load(prepared, prepared.names("train") or prepared.names())
    held_out = load(prepared, prepared.held_out())
    given = {clip.name: clip.offset for clip in [*clips, *held_out]}
    changes = {"steps": min(OFFSET_STEPS, settings.steps), "compile": False}
    short = settings.model_copy(update=changes)
    net = learnt(TcLesson(clips, held_out, given, short, device, start))
    offsets = estimate_offsets(net, [*clips, *held_out])
    return TcLesson(clips, held_out, offsets, settings, device, start)


def learnt(lesson: TcLesson) -> TcNet:
    """Train to the end without checks; for trainings of seconds."""
    settings = lesson.settings
    for step, batch in enumerate(loop.batches(lesson, settings, 1, settings.steps), 1):
        torch.manual_seed(loop.seed_of(settings.seed, step))
        rate = settings.rate * loop.course_of_rate(step, settings.steps)
        for group in lesson.optimizers()["net"].param_groups:
            group["lr"] = rate
        lesson.learn(batch, loop.Pace(step, rate, lesson.device, nullcontext))
    return lesson.result()


def estimate_offsets(net: TcNet, clips: Sequence[Clip]) -> dict[str, float]:
    """Seconds that each clip's picture is behind its sound; one value for all short clips of a person."""
    found: dict[str, float] = {}
    for clip in clips:
        shifted = predictions(net, clip, clip.best_path, LAGS.tolist())
        scores = [correlation(shapes, clip) for shapes in shifted]
        found[clip.name] = float(LAGS[int(np.argmax(np.nan_to_num(scores, nan=-1.0)))])
    people = {clip.person for clip in clips}
    for person in people:
        own = [clip for clip in clips if clip.person == person]
        if len(own) > 2:
            middle = float(np.median([found[clip.name] for clip in own]))
            found |= {clip.name: middle for clip in own if clip.duration < 5.0}
    return found


def scaled(net: TcNet, factor: float) -> TcNet:
    """The same net with its output ``factor`` times as wide: regression always answers too timidly."""
    with torch.no_grad():
        for parameter in net.last.parameters():
            parameter.mul_(factor)
    return net


def _net(settings: TcTraining, start: Path | None) -> TcNet:
    count = len(mouth_shape.basis().decode)
    if start is not None:
        net = load_tc(start)[0].requires_grad_(True)
        if net.config.coefficients != count:
            raise ModelError(f"{start} answers another mouth shape than this version's")
        return scaled(net, 1 / settings.scale)
    given = articulatory.COUNT + BANDS + 1
    return TcNet(TcConfig(given, count, settings.width, dropout=settings.dropout, bands=BANDS))
