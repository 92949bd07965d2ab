"""Looks at one rendered face frame by frame, beside the source: what the gate's measures are made of.

Both pictures are brought to the canonical crop by the *source's* landmarks. The lips of the result are then found
anew in its crop by the landmarker, which knows nothing of the shape that was wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dubkit.faces.align import apply, canonical_from_face, compose, crop_from_canonical, invert
from dubkit.faces.trail import Locator
from dubkit.measures import speech
from dubkit.measures.crops import CropSums
from dubkit.measures.sharp import EVERY, SharpSums
from dubkit.media.frames import Frame
from dubkit.media.planes import plane_from_display, rgb_crop
from dubkit.records import FaceTrack, Floats
from dubkit.synthesis.timing import Timed

FOUND = 0.5  # confidence of the landmarker that it looks at a face


@dataclass(slots=True)
class FaceMeter:
    """One dubbed face; T rows as in its track."""

    track: FaceTrack
    rows: NDArray[np.bool_]  # (T,) frames that were painted wholly
    locator: Locator
    _landmarks: dict[int, Floats] = field(default_factory=dict)
    _scores: dict[int, float] = field(default_factory=dict)
    _crops: CropSums = field(default_factory=CropSums)
    _sharp: SharpSums = field(default_factory=SharpSums)

    def wants(self, index: int) -> bool:
        """Whether a frame of the film is to be looked at."""
        row = index - self.track.start
        return 0 <= row < len(self.rows) and bool(self.rows[row])

    def look(self, source: Frame, made: Frame) -> None:
        """Take in one frame of the film as filmed and as made."""
        row = source.index - self.track.start
        way = canonical_from_face(self.track.landmarks[row])
        size = self.locator.crop_size
        matrix = compose(crop_from_canonical(size), way)
        crops = [rgb_crop(frame, matrix, size) for frame in (source, made)]
        found, _, score = self.locator.locate(crops[1][None])
        self._landmarks[row] = apply(invert(crop_from_canonical(size)), found[0])
        self._scores[row] = float(score[0])
        face = self.track.landmarks[row]
        self._crops.add(row, crops[0], crops[1], apply(matrix, face))
        if row % EVERY == 0 and source.format.depth == made.format.depth:
            to_plane = plane_from_display(source.info, source.format, 0)
            self._sharp.add(source.planes[0], made.planes[0], face, to_plane)

    @property
    def frames(self) -> int:
        """How many frames were looked at."""
        return len(self._scores)

    def opening(self) -> speech.Series:
        """(T,) opening of the lips of the result over the face's width; NaN where nothing was looked at."""
        made = np.full((len(self.rows), *next(iter(self._landmarks.values())).shape), np.nan)
        for row, face in self._landmarks.items():
            made[row] = face
        return speech.opening(made.astype(np.float32))

    def values(
        self,
        times: NDArray[np.float64],
        phonemes: Sequence[Timed],
        wanted: NDArray[np.float64],
        still: bool,
    ) -> Mapping[str, float]:
        """All measures, by their names in `checks.LIMITS`; what could not be measured is missing.

        ``times`` (T,) seconds of the dub that the rows show, ``wanted`` (T,) the opening that the phonemes ask
        for; ``still``: whether lips are to rest in silence.
        """
        if not self._scores:
            return {}
        found = {"found": float(np.mean([s >= FOUND for s in self._scores.values()]))}
        found |= speech.measures(self.opening(), times, phonemes, wanted, still)
        return found | self._crops.measures() | self._sharp.measures()
