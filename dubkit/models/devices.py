"""The devices that nets run on, and their memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from dubkit.errors import ConfigError, WorkError


def list_devices(name: str) -> tuple[str, ...]:
    """Torch devices for ``auto``, ``cpu``, ``cuda`` (all of them), ``cuda:N`` or ``mps``.

    Raises ConfigError for a device that is not there.
    """
    cuda = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    mps = ("mps",) if torch.backends.mps.is_available() else ()
    if name == "auto":
        return cuda or mps or ("cpu",)
    present = {"cpu": ("cpu",), "cuda": cuda, "mps": mps, **{device: (device,) for device in cuda}}
    if present.get(name):
        return present[name]
    names = ", ".join(["auto", "cpu", *cuda, *mps])
    raise ConfigError(f"the device {name!r} is not available", hint=f"available: {names}")


def place(device: str) -> torch.device:
    """The device by name; for the CPU, torch is set to one thread.

    The nets here are small: with a second thread they were three times slower on two busy cores, and frames, shots
    and films run side by side anyway.
    """
    found = torch.device(device)
    if found.type == "cpu":
        torch.set_num_threads(1)
    return found


Result = TypeVar("Result")


def within_memory(
    work: Callable[[int, str], Result], batch: int, device: str, report: Callable[[str], None]
) -> Result:
    """``work(batch, device)``; when memory runs out, it is retried with half the batch, down to 1, then on the CPU.

    Each retry is announced with ``report``. Raises WorkError where the CPU has too little memory as well.
    """
    while True:
        try:
            return work(batch, device)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            if device == "cpu" and batch == 1:
                raise WorkError(
                    "not enough memory", hint="use a smaller model, or close other programs"
                ) from error
        batch, device = _smaller(batch, device, report)


def release(device: str) -> None:
    """Return unused memory to the device."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run with ``count`` torch threads; the number before is restored afterward."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _smaller(batch: int, device: str, report: Callable[[str], None]) -> tuple[int, str]:
    release(device)
    if batch > 1:
        report(f"{device} is out of memory: batches of {batch // 2} instead of {batch}")
        return batch // 2, device
    report(f"{device} is out of memory: continuing on the CPU, which is slower")
    return 1, "cpu"


def _is_out_of_memory(error: BaseException) -> bool:
    """Torch has a class of its own for it, ctranslate2 only a message."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or "out of memory" in str(error).lower()
