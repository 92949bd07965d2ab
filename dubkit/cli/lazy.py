"""Modules that commands load only when they run (``lazy.api.run``), so that ``--help`` stays quick."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dubkit import (
        api as api,
        batches as batches,
        delivery as delivery,
        evaluation as evaluation,
        planning as planning,
        review as review,
    )

_PATHS = (
    "dubkit.api",
    "dubkit.batches",
    "dubkit.cli.doctor_checks",
    "dubkit.cli.event_schema",
    "dubkit.config.presets",
    "dubkit.config.schema",
    "dubkit.delivery",
    "dubkit.demo",
    "dubkit.evaluation",
    "dubkit.media.credentials",
    "dubkit.pipeline.actor_profile",
    "dubkit.pipeline.diff",
    "dubkit.pipeline.inspect",
    "dubkit.planning",
    "dubkit.review",
    "dubkit.speech.espeak",
    "dubkit.training.commands",
    "dubkit.weights.cache",
    "dubkit.weights.pull",
    "dubkit.work.cleanup",
)
_MODULES = {path.rpartition(".")[2]: path for path in _PATHS}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(name)
    return import_module(_MODULES[name])
