"""What each file of a weight was checked against, and its size and time then: ``<root>/<name>/.dubkit.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubkit.weights.entries import Weight

RECEIPT = ".dubkit.json"
Receipt = dict[str, dict[str, Any]]  # by file


def read_receipt(folder: Path) -> Receipt:
    """The receipt in a weight's folder; empty where there is none."""
    try:
        return dict(json.loads((folder / RECEIPT).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def is_current(folder: Path, receipt: Receipt) -> bool:
    """Whether no file changed since it was checked."""
    for name, line in receipt.items():
        path = folder / name
        if not path.is_file():
            return False
        now = path.stat()
        if (now.st_size, now.st_mtime_ns) != (line.get("size"), line.get("mtime_ns")):
            return False
    return True


def write_receipt(folder: Path, entry: Weight, checks: Mapping[str, str]) -> None:
    """Keep what the files were compared with, as far as the folder can be written."""
    files = {}
    for name, check in checks.items():
        now = (folder / name).stat()
        files[name] = {"check": check, "size": now.st_size, "mtime_ns": now.st_mtime_ns}
    scratch = folder / f"{RECEIPT}.{os.getpid()}"
    try:
        text = json.dumps({"weight": entry.name, "source": entry.source, "files": files}, indent=1)
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(folder / RECEIPT)
    except OSError:
        return  # a cache that is shared and read-only works without; it is hashed each time
