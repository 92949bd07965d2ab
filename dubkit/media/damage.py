"""How much of a film may be damaged before it is no film to be delivered."""

from __future__ import annotations

import math
from pathlib import Path

from dubkit.errors import InputError

FEW = 2  # pictures: some containers lose the last ones


def refuse_damaged(path: Path, damaged: int, frames: int, most: float) -> None:
    """Raise InputError where more than ``FEW`` and more than ``most`` (a share) of the pictures are damaged."""
    allowed = max(FEW, most * frames) if most else 0
    if damaged > allowed:
        share = math.ceil(100 * damaged / frames) / 100
        raise InputError(
            f"{path} is damaged: {damaged} of its {frames} pictures cannot be decoded",
            hint="bring a whole copy; or, to have each of them repeat its neighbour, "
            f"--set probe.max_damaged={share:g}",
        )
