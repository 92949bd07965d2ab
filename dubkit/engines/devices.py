"""Which devices nets can run on."""

from __future__ import annotations

import torch

from dubkit.errors import ConfigError


def list_devices(wanted: str) -> tuple[str, ...]:
    """Torch devices for ``auto``, ``cpu``, ``cuda`` (all of them), ``cuda:N`` or ``mps``.

    Raises ConfigError for a device that is not there.
    """
    cuda = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    mps = ("mps",) if torch.backends.mps.is_available() else ()
    if wanted == "auto":
        return cuda or mps or ("cpu",)
    there = {"cpu": ("cpu",), "cuda": cuda, "mps": mps, **{name: (name,) for name in cuda}}
    if there.get(wanted):
        return there[wanted]
    names = ", ".join(["auto", "cpu", *cuda, *mps])
    raise ConfigError(f"the device {wanted!r} is not there", hint=f"here: {names}")
