"""Which frames of a dubbed face are looked at: enough to judge it, not all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubkit.measures.speech import labial_rows
from dubkit.speech.timing import Timed

ENOUGH = 1.5  # seconds of a face: of fewer every frame is looked at, of more a part
LIPS_RATE = 8  # looks a second in speech; P, B and M are followed in every frame
RUN, PERIOD = 4, 8  # frames: pictures are compared in runs, as flicker needs neighbours
SHARP = 5  # frames: every so many are looked at for sharpness

Rows = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Looks:
    """(T,) rows of a track each; all of them are among those that were painted wholly."""

    painted: Rows
    lips: Rows  # where the lips are found anew; between them they are interpolated
    pictures: Rows  # where result and source are compared
    sharp: Rows

    def any(self) -> Rows:
        """(T,) rows in which something is looked at."""
        return self.lips | self.pictures | self.sharp


def looks(rows: Rows, times: NDArray[np.float64], phonemes: Sequence[Timed], rate: float) -> Looks:
    """Choose among ``rows`` (T,), which show the seconds ``times`` (T,) of the dub; ``rate``: frames a second.

    A short shot has little to judge by: leaving frames out there makes wrong verdicts likelier, so none is.
    The first and the last of neighbouring rows are always looked at, so that what lies between can be interpolated.
    """
    at = np.arange(len(rows))
    sharp = rows & (at % SHARP == 0)
    if rows.sum() < ENOUGH * rate:
        return Looks(rows, rows, rows, sharp)
    around = np.concatenate([[False], rows, [False]])
    border = ~(around[:-2] & around[2:])
    step = max(1, int(rate / LIPS_RATE + 0.01))  # 23.976 counts as 24
    lips = (at % step == 0) | border | labial_rows(times, phonemes)
    return Looks(rows, rows & lips, rows & (at % PERIOD < RUN), sharp)
