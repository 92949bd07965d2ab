"""Train the TC net: ``dubkit train tc SET OUT``.

Sound and picture of a clip may be off by some frames, so each clip's offset is estimated first: a short training with
the estimates of the set, then the lag at which its predictions agree best with each clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dubkit.config.schema import TcTraining
from dubkit.errors import ModelError
from dubkit.lips import articulation, mouth_shape, shape_losses
from dubkit.lips.mouth_shape import gap_effect
from dubkit.models import speech_encoder, tc
from dubkit.records import GRID_STEP, Floats, Picture
from dubkit.speech import articulatory, mel_levels
from dubkit.training import dataset, tc_data, trainer


def run_weights(error: Tensor, batch: tc_data.Batch) -> Tensor:
    """The adaptive lip weight (B, N): one number for all frames of a phoneme run, mean 1.

    Frames are similar to the truth by ``exp(-error)``. A run weighs as its most similar frame where its
    frames differ, else as their mean: a run that is right somewhere pulls its other frames after it.
    """
    similar = torch.exp(-error.detach().abs())
    windows = torch.arange(len(batch.runs), device=error.device)[:, None]
    _, flat = torch.unique((batch.runs + windows * 100_000).flatten(), return_inverse=True)
    none = error.new_zeros(int(flat.max()) + 1)
    here = (similar * batch.mask).flatten()
    top = none.scatter_reduce(0, flat, here, "amax")
    total = none.index_add(0, flat, here)
    size = none.index_add(0, flat, batch.mask.flatten()).clamp(min=1)
    mean = total / size
    weight = torch.where(top - mean > 0.05, top, mean)[flat].view_as(similar).clamp(0.3, 1.0)
    mean_weight = (weight * batch.mask).sum() / batch.mask.sum()
    return weight / mean_weight


def at_frames(cells: Tensor, batch: tc_data.Batch) -> Tensor:
    """(B, T, ...) on the grid -> (B, N, ...) at the frames."""
    rows = torch.arange(len(cells), device=cells.device)[:, None]
    part = batch.part if cells.dim() > 2 else batch.part[..., 0]
    return cells[rows, batch.low] * (1 - part) + cells[rows, batch.low + 1] * part


def losses(made: tc.TcOutput, batch: tc_data.Batch, settings: TcTraining) -> dict[str, Tensor]:
    """Losses of the predictions ``made`` at the frames, by term; their sum is descended.

    ``position`` with opening and width, closures weighing more; ``motion`` from frame to frame; one minus the
    correlation of a window's opening, width and chin with the true ones; the two heads.
    """
    error = made.shapes - batch.shapes
    gap, width, chin = (effect.to(error) for effect in shape_losses.effects())
    weight = batch.mask * (
        run_weights(error @ gap / shape_losses.OPENING, batch) if settings.adaptive else 1.0
    )
    place = shape_losses.position(error, settings.closures * batch.labial)
    pair = weight[:, 1:] * batch.mask[:, :-1]

    def correlation(effect: Tensor, unit: float) -> Tensor:
        return (
            1
            - shape_losses.agreement(made.shapes @ effect, batch.shapes @ effect, batch.mask, unit)
        ).mean()

    def head(logit: Tensor, label: Tensor) -> Tensor:
        each = nn.functional.binary_cross_entropy_with_logits(logit, label, reduction="none")
        return (each * batch.mask).sum() / batch.mask.sum()

    return {
        "position": (place * weight).sum() / weight.sum(),
        "motion": settings.motion * (shape_losses.motion(error) * pair).sum() / pair.sum(),
        "correlation": settings.correlation * correlation(gap, shape_losses.OPENING),
        "width": settings.width_correlation * correlation(width, shape_losses.SIDEWAYS),
        "chin": settings.chin_correlation * correlation(chin, shape_losses.SIDEWAYS),
        "closure_head": settings.closure_head * head(made.closure, batch.met),
        "speech_head": settings.speech_head * head(made.speech, batch.speech),
    }


def predict(net: tc.TcNet, clip: tc_data.Clip, path: str, offset: float) -> Floats:
    """(T, K) mouth shapes of a clip by the bare net; ``path`` is one of `models.tc.PATHS`."""
    return predictions(net, clip, path, [offset])[0]


def predictions(
    net: tc.TcNet, clip: tc_data.Clip, path: str, offsets: Sequence[float]
) -> list[Floats]:
    """The same for each of several ``offsets``, from one pass of the net."""
    first, last = clip.times[0] - max(offsets), clip.times[-1] - min(offsets)
    numbers = articulatory.grid(float(first) - 0.7, float(last) + 0.7)
    phonemes = clip.phonemes.get(path, [])
    given = articulation.tc_input(net.config, phonemes, path, numbers, clip.levels, clip.rows)
    with torch.inference_mode():
        rows = net(given).shapes[0].numpy()
    found = []
    for offset in offsets:
        place = (clip.times - offset) / GRID_STEP - numbers[0]
        low = np.floor(place).astype(np.intp)
        part = (place - low)[:, None]
        found.append(np.asarray(rows[low] * (1 - part) + rows[low + 1] * part, np.float32))
    return found


def correlation(shapes: Floats, clip: tc_data.Clip) -> float:
    """Correlation of predicted and real opening."""
    effect = gap_effect()
    return float(np.corrcoef(shapes @ effect, clip.shapes @ effect)[0, 1])


OFFSET_STEPS = 140  # of the training that offsets are estimated with
LAGS = np.arange(-26, 27) * 0.01  # seconds
_LONGEST = 1.0  # gradient
_PREVIEW_HEIGHT, _PREVIEW_CLIPS, _PIXELS = 120, 6, 4


class TcObjective:
    """The training of a TC net, for `training.trainer.run_training`."""

    kind = "tc"
    goal = "error"

    def __init__(
        self,
        clips: Sequence[tc_data.Clip],
        held_out: Sequence[tc_data.Clip],
        offsets: Mapping[str, float],
        settings: TcTraining,
        device: torch.device | None = None,
        start: Path | None = None,
    ) -> None:
        self.settings, self.offsets = settings, offsets
        self._held_out = held_out
        self._windows = tc_data.Windows(clips, offsets, settings)
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

    def draw(self, rng: np.random.Generator) -> tc_data.Batch:
        return self._windows.draw(rng)

    def train_step(self, batch: tc_data.Batch, context: trainer.StepContext) -> Mapping[str, float]:
        here = batch.to(context.device)
        self.net.train()
        with context.autocast():
            made = tc.TcOutput(*(at_frames(part, here).float() for part in self._call(here.cells)))
        terms = losses(made, here, self.settings)
        total = sum(terms.values(), made.shapes.new_zeros(()))
        trainer.gradient_step(self.net, self._optimizer, total, _LONGEST)
        # the mean of few steps at first, of many later
        trainer.update_average(
            self.average, self.net, min(self.settings.average, context.step / (context.step + 9))
        )
        return {name: float(term.detach()) for name, term in terms.items()}

    def result(self) -> tc.TcNet:
        """The net that is used: the running average of the weights, its output scaled."""
        net = tc.TcNet(self.net.config)
        net.load_state_dict(self.average.state_dict())
        net.cpu().eval()
        tc.scale_output(net, self.settings.scale)
        return net

    def evaluate(self) -> Mapping[str, float]:
        net = self.result()
        found = [self._agreement(net, clip) for clip in self._held_out]
        mean = float(np.mean(found))
        return {"error": 1 - mean, "correlation": mean}

    def _agreement(self, net: tc.TcNet, clip: tc_data.Clip) -> float:
        made = predict(net, clip, "none", self.offsets.get(clip.name, clip.offset))
        found = correlation(made, clip)
        return found if np.isfinite(found) else 0.0

    def preview(self) -> Picture | None:
        """True (black) and predicted (blue) opening of some held-out clips, time to the right."""
        net = self.result()
        rows = [self._plot(net, clip) for clip in self._held_out[:_PREVIEW_CLIPS]]
        width = max(row.shape[1] for row in rows)
        padded = [
            np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows
        ]
        return np.concatenate(padded)

    def _plot(self, net: tc.TcNet, clip: tc_data.Clip) -> Picture:
        effect = mouth_shape.gap_effect()
        made = predict(net, clip, "none", self.offsets.get(clip.name, clip.offset))
        picture = np.full((_PREVIEW_HEIGHT, _PIXELS * len(clip.times), 3), 255, np.uint8)
        for shapes, color in ((clip.shapes, (0, 0, 0)), (made, (40, 90, 255))):
            heights = _PREVIEW_HEIGHT - 10 - np.clip(shapes @ effect, -0.02, 0.2) * 500
            line = np.stack([np.arange(len(heights)) * _PIXELS, heights], 1).astype(np.int32)
            cv2.polylines(picture, [line], False, color, 1, cv2.LINE_AA)
        return picture

    def save(self, path: Path, step: int) -> None:
        tc.save_tc(path, self.result(), step)


def tc_objective(
    prepared: dataset.PreparedSet,
    settings: TcTraining,
    device: torch.device,
    start: Path | None = None,
) -> TcObjective:
    """A training on the train split of a prepared set, measured on its held-out clips.

    Raises InputError for a set in which nobody speaks.
    """
    clips = tc_data.load(prepared, prepared.names("train") or prepared.names())
    held_out = tc_data.load(prepared, prepared.held_out())
    given = {clip.name: clip.offset for clip in [*clips, *held_out]}
    changes = {"steps": min(OFFSET_STEPS, settings.steps), "compile": False, "precision": "float32"}
    short = settings.model_copy(update=changes)
    net = fit(TcObjective(clips, held_out, given, short, device, start))
    offsets = estimate_offsets(net, [*clips, *held_out])
    return TcObjective(clips, held_out, offsets, settings, device, start)


def fit(objective: TcObjective) -> tc.TcNet:
    """Train to the end without checks and return the net; for trainings of seconds."""
    for _ in trainer.run_steps(objective, objective.settings, objective.device):
        pass
    return objective.result()


def estimate_offsets(net: tc.TcNet, clips: Sequence[tc_data.Clip]) -> dict[str, float]:
    """Seconds that each clip's picture is behind its sound; one value for all short clips of a person."""
    found: dict[str, float] = {}
    for clip in clips:
        shifted = predictions(net, clip, "none", LAGS.tolist())
        scores = [correlation(shapes, clip) for shapes in shifted]
        found[clip.name] = float(LAGS[int(np.argmax(np.nan_to_num(scores, nan=-1.0)))])
    people = {clip.person for clip in clips}
    for person in people:
        own = [clip for clip in clips if clip.person == person]
        if len(own) > 2:
            middle = float(np.median([found[clip.name] for clip in own]))
            found |= {clip.name: middle for clip in own if clip.duration < 5.0}
    return found


def _net(settings: TcTraining, start: Path | None) -> tc.TcNet:
    count = len(mouth_shape.basis().decode)
    if start is not None:
        net = tc.load_tc(start)[0].requires_grad_(True)
        if net.config.coefficients != count:
            raise ModelError(f"{start} predicts another mouth shape than this version")
        tc.scale_output(net, 1 / settings.scale)
        return net
    config = tc.TcConfig(
        speech_encoder.SpeechEncoderConfig().rows,
        articulatory.COUNT,
        mel_levels.BANDS,
        count,
        width=settings.width,
        dropout=settings.dropout,
        row_dropout=settings.row_dropout,
    )
    return tc.TcNet(config)
