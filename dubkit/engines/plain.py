"""Shot engines without any library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import ShotSettings
from dubkit.records import Shot, VideoInfo


class FixedShots:
    """No detection: the whole film is one shot, or shots of ``threshold`` seconds where that is set."""

    name = "fixed"
    version = "1"

    def __init__(self, settings: ShotSettings, device: str = "cpu") -> None:
        self._seconds = settings.threshold

    def detect(self, video: Path, info: VideoInfo, pts: NDArray[np.int64]) -> list[Shot]:
        if self._seconds is None or info.frames == 0:
            return [Shot(0, info.frames)]
        elapsed = (pts - pts[0]) * float(info.time_base)
        part = np.floor(elapsed / self._seconds + 1e-9)
        starts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist()]
        return [Shot(a, b) for a, b in zip(starts, [*starts[1:], info.frames], strict=True)]
