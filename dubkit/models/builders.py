"""Nets from their configurations, and minute ones for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dubkit.errors import ModelError
from dubkit.models.checkpoint import Checkpoint, load_checkpoint, restore
from dubkit.models.detector import Detector
from dubkit.models.landmarker import Groups, Landmarker


def build_landmarker(config: Mapping[str, Any]) -> Landmarker:
    """A landmarker with fresh weights; ``config`` as its checkpoint holds it."""
    names = ("lips", "eye_left", "eye_right")
    groups = Groups(**{name: tuple(config[name]) for name in names})
    mean = torch.zeros(config["count"], 2)
    return Landmarker(
        config["size"], groups, mean, config["width"], config["hidden"], config["window"]
    )


def build_detector(config: Mapping[str, Any]) -> Detector:
    """A detector with fresh weights; ``config`` as its checkpoint holds it."""
    return Detector(tuple(config["widths"]), config["head"])


def load_landmarker(path: Path) -> tuple[Landmarker, Checkpoint]:
    """The landmarker of a checkpoint file."""
    checkpoint = load_checkpoint(path, "landmarker")
    try:
        net = build_landmarker(checkpoint.config)
    except (KeyError, TypeError) as error:
        raise ModelError(f"the configuration in {path} does not fit: {error}") from error
    restore(net, checkpoint)
    return net, checkpoint


def load_detector(path: Path) -> tuple[Detector, Checkpoint]:
    """The detector of a checkpoint file."""
    checkpoint = load_checkpoint(path, "detector")
    try:
        net = build_detector(checkpoint.config)
    except (KeyError, TypeError) as error:
        raise ModelError(f"the configuration in {path} does not fit: {error}") from error
    restore(net, checkpoint)
    return net, checkpoint


def debug_landmarker(count: int = 12, size: int = 32) -> Landmarker:
    """A minute landmarker: its lips are the last four points, its eyes the first four."""
    groups = Groups(tuple(range(count - 4, count)), (0, 1), (2, 3))
    mean: Tensor = torch.linspace(-0.5, 0.5, count * 2).reshape(count, 2)
    return Landmarker(size, groups, mean, width=8, hidden=16, window=8)


def debug_detector() -> Detector:
    """A minute detector."""
    return Detector((4, 6, 8, 10, 12), head=8)
