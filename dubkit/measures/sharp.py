"""How sharp a rendered mouth is beside the source's, in the film's own samples."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dubkit.faces import landmark_layout
from dubkit.faces.align import Matrix, apply
from dubkit.media.planes import Plane
from dubkit.metrics.picture import box, gradient
from dubkit.records import Floats

_MARGIN, _LEAST = 0.25, 8  # of the lips' box; pixels


@dataclass(slots=True)
class SharpSums:
    """Gradient energies of the mouths looked at."""

    _made: list[float] = field(default_factory=list)
    _real: list[float] = field(default_factory=list)

    def add(self, source: Plane, made: Plane, landmarks: Floats, from_display: Matrix) -> None:
        """One frame: the first planes (H, W) of both, the source's landmarks (L, 2)."""
        lips = apply(from_display, landmarks[landmark_layout.LIPS])
        where = box(lips, source.shape, _MARGIN, least=_LEAST)
        if where is not None:
            top = float(np.iinfo(source.dtype).max)
            for energies, plane in ((self._made, made), (self._real, source)):
                energies.append(gradient((plane[where] / top).astype(np.float32)))

    def measures(self) -> dict[str, float]:
        """``sharpness``; nothing where the mouth is too small."""
        real = float(np.mean(self._real)) if self._real else 0.0
        return {"sharpness": float(np.mean(self._made)) / real} if real > 1e-7 else {}
