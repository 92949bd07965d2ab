"""What commands need only once they run (``lazy.api.run``), so that ``--help`` stays quick."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dubkit import api as api
    from dubkit import batch as batch
    from dubkit import difference as difference
    from dubkit import evaluation as evaluation
    from dubkit import planning as planning
    from dubkit import presets as presets
    from dubkit import profile as profile
    from dubkit import report as report
    from dubkit import status as status
    from dubkit.catalogue import cache as cache
    from dubkit.cli import checks as checks
    from dubkit.demo import build as build
    from dubkit.engines import espeak as espeak
    from dubkit.training import studio as studio
    from dubkit.work import clean as clean

_MODULES = {
    "api": "dubkit.api",
    "batch": "dubkit.batch",
    "clean": "dubkit.work.clean",
    "difference": "dubkit.difference",
    "evaluation": "dubkit.evaluation",
    "build": "dubkit.demo.build",
    "cache": "dubkit.catalogue.cache",
    "checks": "dubkit.cli.checks",
    "espeak": "dubkit.engines.espeak",
    "planning": "dubkit.planning",
    "presets": "dubkit.presets",
    "profile": "dubkit.profile",
    "report": "dubkit.report",
    "status": "dubkit.status",
    "studio": "dubkit.training.studio",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(name)
    return import_module(_MODULES[name])
