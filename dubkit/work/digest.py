"""Digests of files, folders and values: sha256, in hexadecimal."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def digest_file(path: Path) -> str:
    """Digest of a file's bytes, read once in pieces."""
    state = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            state.update(piece)
    return state.hexdigest()


def digest_value(value: Any) -> str:
    """Digest of anything JSON can say; the order of keys does not matter, that of lists does."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def short(digest: str) -> str:
    """The twelve characters that name a folder."""
    return digest[:12]
