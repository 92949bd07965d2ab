"""dubkit makes the faces of a film speak a new audio track.

>>> import dubkit
>>> dubkit.run("film.mp4", "dub.wav", script="dub.txt")  # doctest: +SKIP

Importing dubkit loads nothing heavy; the first call does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dubkit.version import __version__ as __version__

if TYPE_CHECKING:
    from dubkit.api import (
        adapt as adapt,
        batch as batch,
        cast as cast,
        deliver as deliver,
        evaluate as evaluate,
        job_status as job_status,
        plan as plan,
        report as report,
        run as run,
        verify as verify,
        verify_work as verify_work,
    )
    from dubkit.errors import DubkitError as DubkitError

_CALLS = (
    "adapt",
    "batch",
    "cast",
    "deliver",
    "evaluate",
    "job_status",
    "plan",
    "report",
    "run",
    "verify",
    "verify_work",
)
_PUBLIC = {"DubkitError": "dubkit.errors"} | dict.fromkeys(_CALLS, "dubkit.api")


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'dubkit' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
