"""Which devices nets can run on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from dubkit.errors import ConfigError, WorkError


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
    raise ConfigError(f"the device {wanted!r} is not available", hint=f"available: {names}")


def place(device: str) -> torch.device:
    """The device by name; on the CPU, nets run on one thread from now on.

    The nets here are small: a second thread waits longer than it works (measured: three times slower on two
    busy cores), and frames, shots and films are worked on side by side anyway.
    """
    found = torch.device(device)
    if found.type == "cpu":
        torch.set_num_threads(1)
    return found


Result = TypeVar("Result")


def frugally(
    work: Callable[[int, str], Result], batch: int, device: str, tell: Callable[[str], None]
) -> Result:
    """``work(batch, device)``, again with half the batch as often as memory runs out, then on the CPU.

    Raises WorkError where the CPU has too little as well.
    """
    while True:
        try:
            return work(batch, device)
        except (RuntimeError, MemoryError) as error:
            if not _is_memory(error):
                raise
            if device == "cpu" and batch == 1:
                raise WorkError(
                    "not enough memory", hint="use a smaller model, or close other programs"
                ) from error
        batch, device = _less(batch, device, tell)


def release(device: str) -> None:
    """Give memory that no net holds any more back to the device."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Large nets work on all cores; what runs afterward has as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _less(batch: int, device: str, tell: Callable[[str], None]) -> tuple[int, str]:
    release(device)
    if batch > 1:
        tell(f"{device} is out of memory: batches of {batch // 2} instead of {batch}")
        return batch // 2, device
    tell(f"{device} is out of memory: continuing on the CPU, which is slower")
    return 1, "cpu"


def _is_memory(error: BaseException) -> bool:
    """Torch has a class of its own for it, ctranslate2 has not."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or "out of memory" in str(error).lower()
