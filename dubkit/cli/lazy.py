"""What commands need only once they run (``lazy.api.run``), so that ``--help`` stays quick."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dubkit import api as api
    from dubkit import batch as batch
    from dubkit import evaluation as evaluation
    from dubkit import planning as planning
    from dubkit import report as report

_MODULES = {
    "api": "dubkit.api",
    "batch": "dubkit.batch",
    "clean": "dubkit.work.cleanup",
    "difference": "dubkit.pipeline.diff",
    "evaluation": "dubkit.evaluation",
    "build": "dubkit.demo.demo_film",
    "cache": "dubkit.weights.cache",
    "checks": "dubkit.cli.doctor_checks",
    "event_schema": "dubkit.cli.event_schema",
    "espeak": "dubkit.speech.espeak",
    "planning": "dubkit.planning",
    "presets": "dubkit.config.presets",
    "profile": "dubkit.pipeline.actor_profile",
    "pull": "dubkit.weights.pull",
    "report": "dubkit.report",
    "schema": "dubkit.config.schema",
    "status": "dubkit.pipeline.inspect",
    "training": "dubkit.training.commands",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(name)
    return import_module(_MODULES[name])
