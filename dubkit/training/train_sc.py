"""Train the SC net: warped own frames in, one picture with the wanted mouth out.

The lesson that `training.loop` runs for ``dubkit train sc``. What is kept is a running average of the
weights; what decides is the sum of the losses on people of the validation split, or, where a judge of mouths teaches
as well, likeness and sharpness around their lips.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from dubkit.config.schema import ScTraining
from dubkit.errors import InputError
from dubkit.models.sc import KIND, ScConfig, ScNet, load_sc, save_sc
from dubkit.training.dataset import PreparedSet
from dubkit.training.loop import Pace, descend, follow
from dubkit.training.resume import Modules, Optimizers
from dubkit.training.sc_adversary import Adversary
from dubkit.training.sc_data import Samples, moving_sample
from dubkit.training.sc_footage import load_footage
from dubkit.training.sc_losses import compose, losses
from dubkit.training.sc_maps import Maps, stacked
from dubkit.training.sc_report import Picture, contact_sheet, measures

_CHECKED = 96  # samples of a check
_PAIRS = 0.75  # share of the batches with two references; the others show a cross-fade
_LONGEST = 1.0  # of a gradient
_TOGETHER = 8  # samples at once in a check
_SHOWN = 8  # rows of the preview


class ScLesson:
    """See `training.loop.Lesson`."""

    kind = KIND

    def __init__(
        self, samples: Samples, held_out: Sequence[Maps], net: ScNet, settings: ScTraining
    ) -> None:
        self._samples, self._held_out, self._settings = samples, held_out, settings
        self._net = net
        self._average = copy.deepcopy(net).eval().requires_grad_(False)
        self._call = torch.compile(net) if settings.compile else net
        self._device = next(net.parameters()).device
        self._optimizer = torch.optim.AdamW(
            net.parameters(), settings.rate, weight_decay=settings.decay
        )
        self.goal = "unlike" if settings.adversarial else "loss"
        self._adversary: Adversary | None = None
        if settings.adversarial:
            self._adversary = Adversary(settings.adversarial, settings.rate, self._device)

    def modules(self) -> Modules:
        """The net and the running average of its weights, and what it is opposed by."""
        judge = {} if self._adversary is None else {"judge": self._adversary.judge}
        return {"net": self._net, "average": self._average, **judge}

    def optimizers(self) -> Optimizers:
        """The net's and, where there is one, the judge's."""
        judge = {} if self._adversary is None else {"judge": self._adversary.optimizer}
        return {"net": self._optimizer, **judge}

    def draw(self, rng: np.random.Generator) -> Maps:
        """A batch; all its samples have equally many references."""
        count = 2 if rng.random() < _PAIRS else 3
        drawn = [self._samples.draw(rng, count) for _ in range(self._settings.batch)]
        return stacked(drawn, rng)

    def learn(self, batch: Maps, pace: Pace) -> Mapping[str, float]:
        """One step."""
        maps = batch.to(pace.device)
        with pace.autocast():
            said = self._call(maps.given())
            made = compose(maps, said)
            parts = dict(losses(maps, said, made))
            total = torch.stack(list(parts.values())).sum()
            if self._adversary is not None:
                parts["adversarial"] = self._adversary.term(maps, made, total, pace.step)
                total = total + parts["adversarial"]
        descend(self._net, self._optimizer, total, _LONGEST)
        follow(self._average, self._net, min(self._settings.average, pace.step / (pace.step + 10)))
        found = {"loss": float(total.detach()), **{k: float(v.detach()) for k, v in parts.items()}}
        if self._adversary is not None:
            found["judge"] = self._adversary.learn(maps, made, pace)
        return found

    def examine(self) -> Mapping[str, float]:
        """Measures on held-out people, see `sc_report.measures`."""
        found = [measures(maps.to(self._device), self._average) for maps in self._held_out]
        return {name: float(np.mean([f[name] for f in found])) for name in found[0]}

    def preview(self) -> Picture | None:
        """Held-out mouths: real, filmed, warped, made."""
        return contact_sheet(self._held_out[0].to(self._device), self._average, _SHOWN)

    def save(self, path: Path, step: int) -> None:
        """The running average."""
        save_sc(path, self._average, step)


def sc_lesson(
    prepared: PreparedSet, settings: ScTraining, device: torch.device, start: Path | None
) -> ScLesson:
    """The lesson of one training; ``start`` is a checkpoint to go on from.

    Raises `InputError` for a set without film to borrow from, `ModelError` for a start that does not fit.
    """
    torch.manual_seed(settings.seed)
    net = load_sc(start)[0].requires_grad_(True) if start else ScNet(ScConfig())
    samples = Samples(load_footage(prepared, "train", settings.frames))
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ScLesson(samples, held_out(prepared, settings), net.train(), settings)


def held_out(prepared: PreparedSet, settings: ScTraining) -> list[Maps]:
    """Batches of people that are not trained on, always the same."""
    clips = [c for c in load_footage(prepared, "val", settings.frames) if len(c.times) > 1]
    if not clips:
        raise InputError("no clip of the validation split is long enough to check with")
    moving = Samples(clips).moving
    rng = np.random.default_rng(0)
    drawn = []
    for number in range(_CHECKED):
        clip = moving[number % len(moving)]
        drawn.append(moving_sample(clip, int(rng.integers(len(clip.times))), rng, relight=False))
    return [stacked(drawn[k : k + _TOGETHER]) for k in range(0, len(drawn), _TOGETHER)]
