"""LSE-D and LSE-C: distance and confidence of SyncNet, scored as joonson/syncnet_python does.

Pictures are 224 px face crops at 25 a second, sound 16 kHz mono. LSE cannot see a mouth that moves in silence, and it
prefers some generators to real video: never the only measure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubkit.evaluation.cepstra import cepstra
from dubkit.models.syncnet import FRAMES, STEPS, SyncNet

REACH = 15  # frames of shift tried to either side
BATCH = 20
RATE = 25  # pictures a second
SAMPLES_A_PICTURE = 640


@dataclass(frozen=True, slots=True)
class Sync:
    """How one face goes with its sound."""

    distance: float  # LSE-D: mean distance at the best shift; lower is better
    confidence: float  # LSE-C: median over the shifts less the best; higher is better
    offset: int  # frames that the sound is late against the picture, at the best shift


def sync_of(
    net: SyncNet, pictures: Iterable[NDArray[np.uint8]], samples: NDArray[np.int16]
) -> Sync | None:
    """Score pictures (224, 224, 3) BGR, 25 a second, with their sound; None for less than six pictures."""
    seen = _seen(net, pictures, len(samples) // SAMPLES_A_PICTURE)
    if not len(seen):
        return None
    return score(seen, _heard(net, samples, len(seen)))


def score(seen: Tensor, heard: Tensor) -> Sync:
    """Vectors of both, (T, D) each -> the score over all shifts."""
    width = 2 * REACH + 1
    padded = torch.nn.functional.pad(heard, (0, 0, REACH, REACH))
    total = torch.zeros(width)
    for t in range(len(seen)):
        near = padded[t : t + width]
        total += torch.nn.functional.pairwise_distance(seen[t : t + 1].expand(width, -1), near)
    mean = total / len(seen)
    best, place = torch.min(mean, 0)
    return Sync(float(best), float(torch.median(mean) - best), REACH - int(place))


def _windows(pictures: Iterable[NDArray[np.uint8]], limit: int) -> Iterator[NDArray[np.uint8]]:
    """Runs of five pictures, as many as the original scores: five fewer than there are."""
    held: list[NDArray[np.uint8]] = []
    for number, picture in enumerate(pictures, 1):
        if number > limit:
            return
        held = [*held[-FRAMES:], picture]
        if len(held) > FRAMES:  # the last window of all is left out
            yield np.stack(held[:FRAMES], 0)


def _seen(net: SyncNet, pictures: Iterable[NDArray[np.uint8]], limit: int) -> Tensor:
    found: list[Tensor] = []
    batch: list[NDArray[np.uint8]] = []

    def flush() -> None:
        tensor = torch.from_numpy(np.stack(batch)).permute(0, 4, 1, 2, 3).float()
        found.append(net.see(tensor))
        batch.clear()

    with torch.inference_mode():
        for window in _windows(pictures, limit):
            batch.append(window)
            if len(batch) == BATCH:
                flush()
        if batch:
            flush()
    return torch.cat(found) if found else torch.zeros(0, 1024)


def _heard(net: SyncNet, samples: NDArray[np.int16], count: int) -> Tensor:
    rows = torch.from_numpy(cepstra(samples)).float().T[None, None]
    found: list[Tensor] = []
    with torch.inference_mode():
        for at in range(0, count, BATCH):
            moments = range(at, min(at + BATCH, count))
            windows = [rows[..., 4 * t : 4 * t + STEPS] for t in moments]
            found.append(net.hear(torch.cat(windows)))
    return torch.cat(found)
