"""The public calls of training, as plain functions: what ``dubkit train`` uses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from dubkit.config.presets import load_config
from dubkit.config.schema import Config, LoopSettings
from dubkit.errors import InputError, UsageError
from dubkit.models.checkpoint import digest
from dubkit.pipeline.worker import find_devices
from dubkit.progress import BatchProgress, NoProgress, Progress
from dubkit.training import dataset, train_sc, train_tc, trainer
from dubkit.training.prepare import PrepareResult, prepare

__all__ = ["KINDS", "PrepareResult", "prepare_set", "train"]

Maker = Callable[[dataset.PreparedSet, Any, torch.device, Path | None], trainer.Objective]
KINDS: dict[str, Maker] = {"tc": train_tc.tc_objective, "sc": train_sc.sc_objective}
_OF_NO_RESULT = {"loaders"}  # settings that change no weight


def prepare_set(
    folder: Path,
    out: Path,
    *,
    presets: Sequence[str] = (),
    settings: Sequence[str] = (),
    device: str | None = None,
    jobs: int | None = None,
    progress: BatchProgress | None = None,
) -> PrepareResult:
    """Prepare a folder of videos for training; see `training.prepare`. Raises `DubkitError`."""
    config = load_config(presets, settings, {"parallel.device": device, "parallel.jobs": jobs})
    return prepare(folder, out, config, progress or NoProgress())


def train(
    kind: str,
    prepared: Path,
    out: Path,
    *,
    start: Path | None = None,
    presets: Sequence[str] = (),
    settings: Sequence[str] = (),
    device: str | None = None,
    progress: Progress | None = None,
) -> trainer.Outcome:
    """Train the net of a kind (`KINDS`) on a prepared set, or resume that training; see `training.trainer`.

    ``start`` is a checkpoint to begin from. Raises `DubkitError`.
    """
    config = load_config(presets, settings, {"parallel.device": device})
    wanted: LoopSettings = getattr(config.train, kind)
    footage = dataset.PreparedSet(prepared)
    if out.resolve() == prepared.resolve():
        raise UsageError("the training needs a folder of its own, not that of the prepared set")
    where = torch.device(_device(config))
    listener = progress or NoProgress()
    _check_footage(footage, listener)
    objective = KINDS[kind](footage, wanted, where, start)
    identity = _identity(prepared, wanted, start)
    return trainer.run_training(
        objective, wanted, out, identity=identity, device=where, progress=listener
    )


def _check_footage(footage: dataset.PreparedSet, progress: Progress) -> None:
    if not footage.names("train"):
        raise InputError(
            f"{footage.root} holds no clip to train on",
            hint="add footage, or give the splits in clips.csv",
        )
    if not footage.names("val"):
        progress.warn("nothing is held out in this set: the measures are of clips trained on")


def _device(config: Config) -> str:
    """A net is trained on one device."""
    return find_devices(config.parallel.device)[0]


def _identity(prepared: Path, settings: LoopSettings, start: Path | None) -> dict[str, str]:
    """All that decides the result of a training; one that is resumed must agree with it."""
    parts = {
        name: str(value)
        for name, value in settings.model_dump(mode="json").items()
        if name not in _OF_NO_RESULT
    }
    parts["prepared set"] = hashlib.sha256((prepared / dataset.INDEX).read_bytes()).hexdigest()[:16]
    parts["start"] = digest(start) if start else "none"
    return parts
