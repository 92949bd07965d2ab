"""What a file is, in the two ways in which publishers say it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dubkit.catalogue.locked import LockedFile


def checksum(path: Path, check: str = "") -> str:
    """The file's own ``sha256:...``, or ``git:...`` where the check is one."""
    size = path.stat().st_size
    digest = hashlib.sha1(b"blob %d\0" % size) if check.startswith("git:") else hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"{'git' if check.startswith('git:') else 'sha256'}:{digest.hexdigest()}"


def is_first(path: Path, first: LockedFile, told: str) -> bool:
    """Whether a file, of which `checksum` said something, is the one that was first pulled."""
    if path.stat().st_size != first.size:
        return False
    sha256 = told if told.startswith("sha256:") else checksum(path)
    return sha256 == f"sha256:{first.sha256}"
