"""What the Hugging Face hub says of a repository's files: which there are, and their checksums.

``HF_ENDPOINT`` names a mirror, as it does for Hugging Face's own library.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote

from dubkit.errors import ModelError
from dubkit.weights import download, entries

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository; ``check`` is ``sha256:...``, or ``git:...`` for small ones."""

    name: str
    size: int
    check: str
    url: str


def commit(weight: entries.Weight, folder: Path) -> str:
    """The commit that a weight's revision is now; a commit is itself. Raises as `listing`."""
    if _COMMIT.fullmatch(weight.revision):
        return weight.revision
    url = f"{_base()}/api/models/{weight.hub}/revision/{quote(weight.revision, safe='')}"
    told = download.read_json(url, _hint(weight, folder))
    found = told.get("sha") if isinstance(told, dict) else None
    if not isinstance(found, str) or not _COMMIT.fullmatch(found):
        raise _odd(url, weight, folder)
    return found


def listing(weight: entries.Weight, folder: Path, revision: str) -> list[HubFile]:
    """The files of a weight's repository at a commit that engines want, smallest first.

    Raises ModelError; its hint says that ``folder`` is where files brought by hand belong.
    """
    base, hint = _base(), _hint(weight, folder)
    url = f"{base}/api/models/{weight.hub}/tree/{revision}"
    told = download.read_json(url, hint)
    try:
        files = [_file(item, f"{base}/{weight.hub}/resolve/{revision}") for item in told]
    except (TypeError, KeyError, AttributeError):
        raise _odd(url, weight, folder) from None
    found = [f for f in files if f and any(fnmatch(f.name, want) for want in weight.wanted)]
    names = {file.name for file in found}
    if {"model.safetensors", "pytorch_model.bin"} <= names:  # the same weights twice
        found = [file for file in found if file.name != "pytorch_model.bin"]
    missing = [group for group in weight.needed if not names & set(group)]
    if missing:
        wanted = ", ".join(" or ".join(group) for group in missing)
        raise ModelError(f"the repository {weight.hub} lacks {wanted}", hint=hint)
    return sorted(found, key=lambda file: file.size)


def _base() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _hint(weight: entries.Weight, folder: Path) -> str:
    return f"check network and proxy, or copy the files of {weight.hub} yourself to {folder}"


def _odd(url: str, weight: entries.Weight, folder: Path) -> ModelError:
    hint = _hint(weight, folder)
    return ModelError(f"{url} does not answer as the Hugging Face hub does", hint=hint)


def _file(item: dict[str, object], base: str) -> HubFile | None:
    name, large = str(item["path"]), item.get("lfs")
    if item["type"] != "file" or "/" in name or name.startswith("."):
        return None
    check = f"sha256:{large['oid']}" if isinstance(large, dict) else f"git:{item['oid']}"
    return HubFile(name, int(str(item["size"])), check, f"{base}/{quote(name)}")
