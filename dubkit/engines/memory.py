"""When a GPU has too little memory: smaller batches first, the CPU last, and both are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from dubkit.errors import WorkError

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
                    "not enough memory", hint="take a smaller model, or close other programs"
                ) from error
        batch, device = _less(batch, device, tell)


def release(device: str) -> None:
    """Give memory that no net holds any more back to the device."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Large nets work on all cores; what runs afterwards has as many as before."""
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
    tell(f"{device} is out of memory: goes on with the CPU, which takes longer")
    return 1, "cpu"


def _is_memory(error: BaseException) -> bool:
    """Torch has a class of its own for it, ctranslate2 has not."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or "out of memory" in str(error).lower()
