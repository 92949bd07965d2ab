"""Where a training stands, on disk: one safetensors file that it goes on from as if nothing had happened.

It holds every net, every optimiser's memory and the book of the training. Random numbers need no state: those
of step n follow from the seed and n (see `training.loop`). The file is replaced as a whole: after a full disk
or a crash while it is written, the one before is still there.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dubkit.errors import ModelError, OutputError, WorkError
from dubkit.work.manifest import write_atomic

FORMAT = 1
_KEY = "dubkit training"
_ELSEWHERE = "give another folder, or delete this one"

Modules = Mapping[str, nn.Module]
Optimizers = Mapping[str, torch.optim.Optimizer]


@dataclass(slots=True)
class Standing:
    """The book of a training."""

    step: int = 0  # steps done
    seconds: float = 0.0  # spent, over all runs
    best: float | None = None  # the deciding measure at its best
    best_step: int = 0
    idle: int = 0  # checks since then
    finished: str | None = None  # why it ended
    sums: dict[str, float] = field(default_factory=dict)  # of the losses since the last check
    summed: int = 0


def save_state(
    path: Path,
    kind: str,
    identity: Mapping[str, str],
    standing: Standing,
    modules: Modules,
    optimizers: Optimizers,
) -> None:
    """Replace the state. Raises `OutputError` where it cannot be written; the one before stays."""
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors |= {f"module/{name}/{k}": t for k, t in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, memory in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{name}/{index}/{k}": _tensor(v) for k, v in memory.items()}
    facts = {
        "format": FORMAT,
        "kind": kind,
        "identity": dict(identity),
        "standing": asdict(standing),
    }
    packed = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    write_whole(path, save(packed, {_KEY: json.dumps(facts)}))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file or leave the old one. Raises `OutputError`."""
    try:
        write_atomic(path, content)
    except OSError as error:
        for beside in path.parent.glob(f".{path.name}.*"):
            beside.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if full else str(error.strerror)
        raise OutputError(
            f"{path} cannot be written: {what}",
            hint="make room and give the same command: it goes on from the last saved state",
        ) from error


def load_state(
    path: Path,
    kind: str,
    identity: Mapping[str, str],
    modules: Modules,
    optimizers: Optimizers,
) -> Standing | None:
    """Put a saved state into nets and optimisers; None where there is none.

    Raises `ModelError` where it is damaged or of another net, `WorkError` where it is of a training with other
    settings, footage or start.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"the saved training {path} is damaged: {error}", hint=_ELSEWHERE
        ) from error
    facts = _facts(path, kind, metadata)
    _compare(path, facts["identity"], identity)
    for name, module in modules.items():
        _fill(path, module, _part(tensors, f"module/{name}/"))
    for name, optimizer in optimizers.items():
        _remember(optimizer, _part(tensors, f"optimizer/{name}/"))
    return Standing(**facts["standing"])


def _facts(path: Path, kind: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise ModelError(f"{path} is no training of dubkit", hint=_ELSEWHERE)
    try:
        facts: dict[str, Any] = json.loads(metadata[_KEY])
        version, found = facts["format"], facts["kind"]
        Standing(**facts["standing"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the book in {path} is damaged: {error}", hint=_ELSEWHERE) from error
    if version != FORMAT:
        raise ModelError(
            f"{path} was saved by another version of dubkit (format {version}, not {FORMAT})",
            hint=_ELSEWHERE,
        )
    if found != kind:
        raise ModelError(f"{path} is the training of a {found}, not of a {kind}", hint=_ELSEWHERE)
    return facts


def _compare(path: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    changed = [
        f"{name} was {before.get(name)}, is {now.get(name)}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise WorkError(
            f"{path.parent} holds a training that began otherwise: {'; '.join(changed)}",
            hint="give the same settings to go on, or another folder to begin anew",
        )


def _fill(path: Path, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    own = module.state_dict()
    wrong = own.keys() ^ tensors.keys() or {n for n in own if own[n].shape != tensors[n].shape}
    if wrong:
        raise ModelError(f"{path} is of another net: {min(wrong)} does not fit", hint=_ELSEWHERE)
    module.load_state_dict(dict(tensors))


def _remember(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    memory: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition("/")
        memory.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": memory, "param_groups": groups})


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value)
