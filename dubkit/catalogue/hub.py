"""What the Hugging Face hub says of a repository's files: which there are, and their checksums.

``HF_ENDPOINT`` names a mirror, as it does for Hugging Face's own library.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote

from dubkit.catalogue.entries import Weight
from dubkit.catalogue.fetch import read_json
from dubkit.errors import ModelError


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository; ``check`` is ``sha256:...``, or ``git:...`` for small ones."""

    name: str
    size: int
    check: str
    url: str


def listing(weight: Weight, folder: Path) -> list[HubFile]:
    """The files of a weight's repository that engines want, smallest first.

    Raises ModelError; its hint says that ``folder`` is where files brought by hand belong.
    """
    base = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    revision = quote(weight.revision, safe="")
    url = f"{base}/api/models/{weight.hub}/tree/{revision}"
    hint = f"check network and proxy, or bring the files of {weight.hub} yourself to {folder}"
    told = read_json(url, hint)
    try:
        files = [_file(item, f"{base}/{weight.hub}/resolve/{revision}") for item in told]
    except (TypeError, KeyError, AttributeError):
        raise ModelError(f"{url} does not answer as the Hugging Face hub does", hint=hint) from None
    found = [f for f in files if f and any(fnmatch(f.name, want) for want in weight.wanted)]
    names = {file.name for file in found}
    if {"model.safetensors", "pytorch_model.bin"} <= names:  # the same weights twice
        found = [file for file in found if file.name != "pytorch_model.bin"]
    missing = [group for group in weight.needed if not names & set(group)]
    if missing:
        wanted = ", ".join(" or ".join(group) for group in missing)
        raise ModelError(f"the repository {weight.hub} lacks {wanted}", hint=hint)
    return sorted(found, key=lambda file: file.size)


def _file(item: dict[str, object], base: str) -> HubFile | None:
    name, large = str(item["path"]), item.get("lfs")
    if item["type"] != "file" or "/" in name or name.startswith("."):
        return None
    check = f"sha256:{large['oid']}" if isinstance(large, dict) else f"git:{item['oid']}"
    return HubFile(name, int(str(item["size"])), check, f"{base}/{quote(name)}")
