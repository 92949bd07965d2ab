"""What happens when a device has too little memory: engines that run out of it on purpose."""

from __future__ import annotations

import pytest
import torch

from dubkit.errors import WorkError
from dubkit.models.devices import threads, within_memory


class Device:
    """Runs out of memory for all batches over ``most``; the CPU has ``cpu``."""

    def __init__(self, error: Exception, most: int, cpu: int = 1) -> None:
        self.error, self.most, self.cpu = error, most, cpu
        self.tried: list[tuple[int, str]] = []

    def work(self, batch: int, device: str) -> str:
        self.tried.append((batch, device))
        if batch > (self.cpu if device == "cpu" else self.most):
            raise self.error
        return f"{batch} on {device}"


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("CUDA failed with error out of memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=["torch", "ctranslate2", "python"])
def test_a_smaller_batch_is_tried_and_said(error: Exception) -> None:
    told: list[str] = []
    assert within_memory(Device(error, most=2).work, 8, "mps", told.append) == "2 on mps"
    assert told == [
        "mps is out of memory: batches of 4 instead of 8",
        "mps is out of memory: batches of 2 instead of 4",
    ]


def test_the_cpu_is_the_last_way_and_said() -> None:
    told: list[str] = []
    device = Device(ERRORS[0], most=0)
    assert within_memory(device.work, 2, "mps", told.append) == "1 on cpu"
    assert device.tried == [(2, "mps"), (1, "mps"), (1, "cpu")]
    assert told[-1] == "mps is out of memory: continuing on the CPU, which is slower"


def test_a_cpu_without_memory_is_an_error_with_a_way_out() -> None:
    with pytest.raises(WorkError, match="not enough memory") as caught:
        within_memory(Device(ERRORS[2], most=0, cpu=0).work, 1, "cpu", lambda note: None)
    assert caught.value.hint


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        within_memory(Device(RuntimeError("shapes differ"), 0).work, 4, "mps", lambda note: None)


def test_threads_are_as_many_as_before_afterward() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
