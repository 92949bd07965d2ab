"""Where weights lie on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_root() -> Path:
    """``$DUBKIT_CACHE``, else the system's usual place for what can be downloaded again."""
    own = os.environ.get("DUBKIT_CACHE")
    if own:
        return Path(own).expanduser() / "models"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dubkit" / "models"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dubkit" / "models"
