"""Phonemes -> what the TC net sees: articulation on a fixed grid of 20 ms cells.

Every phoneme of every language is described by what tongue, lips and jaw do, so that languages the net
never heard still say something to it. The grid is fixed in film time (cell ``i`` is centered on ``i`` times
`STEP`), so frame rate, cuts and chunks do not change what the net computes for a moment.

Everything here is local: a cell depends on the phonemes within `REACH` seconds of it and on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dubkit.records import Floats
from dubkit.speech import ipa
from dubkit.speech.mel_levels import STEP, Sound
from dubkit.speech.timing import SILENCE, Timed, Timing, load_timing

__all__ = [
    "COUNT", "FEATURES", "STEP", "Timing", "articulation", "cells", "grid", "inputs", "load_timing",
]  # fmt: skip

SUB = 4  # points looked at inside a cell: soft occupancy
REACH = 0.16  # seconds: how far the place inside a long phoneme is still told

FEATURES = ("silence", *ipa.PHONOLOGICAL)
TIMES = ("since", "until")
COUNT = len(FEATURES) + len(TIMES)


@cache
def articulation(symbol: str) -> tuple[Floats, Floats]:
    """Features (F,) at the start and at the end of a phoneme; they differ in diphthongs and affricates.

    A symbol of which nothing is known counts as a short neutral vowel.
    """
    if symbol == SILENCE:
        silent: Floats = np.zeros(len(FEATURES), np.float32)
        silent[0] = 1.0
        return silent, silent
    found = ipa.segments(symbol) or ipa.segments("ə")
    first, last = (np.concatenate([[0.0], ipa.vector(s)]) for s in (found[0], found[-1]))
    return np.asarray(first, np.float32), np.asarray(last, np.float32)


def grid(start: float, end: float) -> NDArray[np.int64]:
    """Numbers of the cells that cover ``start`` to ``end`` seconds."""
    return np.arange(int(np.floor(start / STEP)), int(np.ceil(end / STEP)) + 1)


def cells(phonemes: Sequence[Timed], numbers: NDArray[np.int64]) -> Floats:
    """Features (N, COUNT) of the cells ``numbers`` (consecutive); silence lies where no phoneme does."""
    centers = np.repeat(numbers * STEP, SUB)
    inner = (np.arange(SUB) + 0.5) / SUB - 0.5
    times = centers + np.tile(inner * STEP, len(numbers))
    tiled = _tiled(phonemes, float(times[0]), float(times[-1]))
    edges = np.array([start for _, start, _ in tiled])
    which = np.clip(np.searchsorted(edges, times, "right") - 1, 0, None)
    begin, finish = edges[which], np.array([end for _, _, end in tiled])[which]
    first = np.stack([articulation(symbol)[0] for symbol, _, _ in tiled])[which]
    last = np.stack([articulation(symbol)[1] for symbol, _, _ in tiled])[which]
    since = np.clip((times - begin) / REACH, 0.0, 1.0)
    until = np.clip((finish - times) / REACH, 0.0, 1.0)
    place = (since / np.maximum(since + until, 1e-6))[:, None]
    rows = np.concatenate([first + (last - first) * place, since[:, None], until[:, None]], 1)
    return np.asarray(rows.reshape(len(numbers), SUB, -1).mean(1), np.float32)


def inputs(
    phonemes: Sequence[Timed], numbers: NDArray[np.int64], sound: Sound | None, bands: int
) -> Floats:
    """What the TC net is given of the cells ``numbers``: (N, COUNT), or for a net that hears ``bands`` of the
    sound (N, COUNT + bands + 1): articulation, levels, and 1 where the sound is known at all.
    """
    rows = cells(phonemes, numbers)
    if not bands:
        return rows
    heard: Floats = np.zeros((len(numbers), bands + 1), np.float32)
    if sound is not None:
        heard[:, :bands], heard[:, bands] = sound.rows(numbers), 1.0
    return np.concatenate([rows, heard], 1)


def _tiled(phonemes: Sequence[Timed], start: float, end: float) -> list[Timed]:
    """The phonemes with every gap filled by silence, from before ``start`` to after ``end``."""
    far = 10.0
    tiled: list[Timed] = []
    at = start - far
    for symbol, begin, finish in phonemes:
        if begin - at > 1e-6:
            tiled.append((SILENCE, at, begin))
        if tiled and tiled[-1][0] == symbol == SILENCE:
            tiled[-1] = (SILENCE, tiled[-1][1], finish)
        else:
            tiled.append((symbol, max(at, begin), finish))
        at = finish
    if tiled and tiled[-1][0] == SILENCE:
        tiled[-1] = (SILENCE, tiled[-1][1], max(at, end + far))
    else:
        tiled.append((SILENCE, at, max(at, end) + far))
    return tiled
