"""Checkpoints: one safetensors file that rebuilds its net without pickle and without a preset.

The tensors are the module's state (and, under ``extra.``, whatever travels with it, such as bases
and means). The metadata's one key ``dubkit`` (safetensors does not keep the order of several) is
JSON: ``format`` (this file's version), ``kind`` (which net), ``config`` (the net's constructor
arguments) and ``step``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dubkit.errors import ModelError, OutputError

FORMAT = 1
_KEY = "dubkit"
_EXTRA = "extra."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint file holds."""

    kind: str
    config: dict[str, Any]  # the net's constructor arguments
    step: int
    tensors: dict[str, Tensor]  # the module's state
    extra: dict[str, Tensor]  # what travels with it
    digest: str  # of the file


def digest(path: Path) -> str:
    """The first 16 hex digits of a file's SHA-256: names the weights in fingerprints."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise ModelError(f"cannot read the weights {path}: {error.strerror}") from error


def save_checkpoint(
    path: Path,
    kind: str,
    module: nn.Module,
    config: Mapping[str, Any],
    step: int,
    extra: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a module's state beside ``path`` and rename it there. Equal states give equal bytes.

    Raises `OutputError` where it cannot be written, as on a full disk; an older file then stays.
    """
    tensors = dict(module.state_dict())
    tensors.update({_EXTRA + name: tensor for name, tensor in (extra or {}).items()})
    facts = {"format": FORMAT, "kind": kind, "config": dict(config), "step": step}
    scratch = path.with_name(path.name + ".part")
    packed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(packed, {_KEY: json.dumps(facts, sort_keys=True)})
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise OutputError(
            f"the weights {path} cannot be written: {error.strerror}",
            hint="free some space and run the same command again",
        ) from error


def load_checkpoint(path: Path, kind: str) -> Checkpoint:
    """Read a checkpoint of ``kind``; tensors on the CPU.

    Raises `ModelError` when the file is absent, damaged, truncated, of another kind or format.
    """
    if not path.is_file():
        raise ModelError(
            f"the weights {path} are missing", hint="check the path, or reinstall dubkit"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise ModelError(f"the weights {path} are damaged: {error}") from error
    config, step = _facts(path, kind, metadata)
    return Checkpoint(
        kind=kind,
        config=config,
        step=step,
        tensors={n: t for n, t in tensors.items() if not n.startswith(_EXTRA)},
        extra={n.removeprefix(_EXTRA): t for n, t in tensors.items() if n.startswith(_EXTRA)},
        digest=digest(path),
    )


def _facts(path: Path, kind: str, metadata: Mapping[str, str]) -> tuple[dict[str, Any], int]:
    """The net's arguments and the step, once the file is known to be ours and of this kind."""
    if _KEY not in metadata:
        raise ModelError(f"{path} is not a dubkit checkpoint")
    try:
        facts = json.loads(metadata[_KEY])
        version, found = int(facts["format"]), str(facts["kind"])
        config, step = dict(facts["config"]), int(facts["step"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"the metadata of {path} are damaged: {error}") from error
    if version != FORMAT:
        raise ModelError(
            f"{path} has checkpoint format {version}, this dubkit reads {FORMAT}",
            hint="use weights made for this version of dubkit",
        )
    if found != kind:
        raise ModelError(f"{path} holds a {found}, not a {kind}")
    return config, step


def restore(module: nn.Module, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's state into a freshly built module; every name and shape must fit."""
    own = module.state_dict()
    missing, foreign = (
        own.keys() - checkpoint.tensors.keys(),
        checkpoint.tensors.keys() - own.keys(),
    )
    if missing or foreign:
        name = min(missing or foreign)
        what = "lacks" if missing else "holds the unknown"
        raise ModelError(f"the {checkpoint.kind} checkpoint {what} tensor {name}")
    for name, tensor in checkpoint.tensors.items():
        if tensor.shape != own[name].shape:
            found, wanted = tuple(tensor.shape), tuple(own[name].shape)
            raise ModelError(
                f"tensor {name} of the {checkpoint.kind} checkpoint has shape {found}, not {wanted}"
            )
    module.load_state_dict(checkpoint.tensors)
