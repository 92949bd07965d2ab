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


def place(device: str) -> torch.device:
    """The device by name; on the CPU, nets run on one thread from now on.

    The nets here are small: a second thread waits longer than it works (measured: three times slower on two
    busy cores), and frames, shots and films are worked on side by side anyway.
    """
    found = torch.device(device)
    if found.type == "cpu":
        torch.set_num_threads(1)
    return found
