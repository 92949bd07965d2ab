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
from dubkit.measures.sampling import Looks
from dubkit.measures.sharp import SharpSums
from dubkit.media.frames import Frame
from dubkit.media.planes import plane_from_display, rgb_crop
from dubkit.records import FaceTrack, Floats
from dubkit.synthesis.timing import Timed

BATCH = 8  # crops that the landmarker looks at together: less than half the time of one by one
FOUND = 0.5  # confidence of the landmarker that it looks at a face


@dataclass(slots=True)
class FaceMeter:
    """One dubbed face; T rows as in its track."""

    track: FaceTrack
    looks: Looks  # of the frames that were painted wholly
    locator: Locator
    _waiting: dict[int, NDArray[np.uint8]] = field(default_factory=dict)  # crops by row
    _landmarks: dict[int, Floats] = field(default_factory=dict)
    _scores: dict[int, float] = field(default_factory=dict)
    _crops: CropSums = field(default_factory=CropSums)
    _sharp: SharpSums = field(default_factory=SharpSums)

    def wants(self, index: int) -> bool:
        """Whether a frame of the film is to be looked at."""
        row = index - self.track.start
        return 0 <= row < len(self.track) and bool(self.looks.any()[row])

    def look(self, source: Frame, made: Frame) -> None:
        """Take in one frame of the film as filmed and as made."""
        row = source.index - self.track.start
        face = self.track.landmarks[row]
        size = self.locator.crop_size
        matrix = compose(crop_from_canonical(size), canonical_from_face(face))
        if self.looks.lips[row] or self.looks.pictures[row]:
            crop = rgb_crop(made, matrix, size)
            if self.looks.lips[row]:
                self._waiting[row] = crop
            if self.looks.pictures[row]:
                self._crops.add(row, rgb_crop(source, matrix, size), crop, apply(matrix, face))
        if self.looks.sharp[row] and source.format.depth == made.format.depth:
            to_plane = plane_from_display(source.info, source.format, 0)
            self._sharp.add(source.planes[0], made.planes[0], face, to_plane)
        if len(self._waiting) == BATCH:
            self._locate()

    def _locate(self) -> None:
        """Find the lips in the crops that wait."""
        if not self._waiting:
            return
        back = invert(crop_from_canonical(self.locator.crop_size))
        found, _, scores = self.locator.locate(np.stack([*self._waiting.values()]), together=True)
        for row, face, score in zip(self._waiting, found, scores, strict=True):
            self._landmarks[row] = apply(back, face)
            self._scores[row] = float(score)
        self._waiting.clear()

    @property
    def frames(self) -> int:
        """In how many frames something was looked at."""
        return int(self.looks.any().sum())

    def opening(self) -> speech.Series:
        """(T,) opening of the lips of the result over the face's width; NaN where it was not painted wholly."""
        self._locate()
        opened = np.full(len(self.track), np.nan)
        if self._landmarks:
            seen = np.array(sorted(self._landmarks))
            found = speech.opening(np.stack([self._landmarks[row] for row in seen]))
            inside = self.looks.painted
            opened[inside] = np.interp(np.flatnonzero(inside), seen, found)
        return opened

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
        self._locate()
        if not self._scores:
            return {}
        found = {"found": float(np.mean([s >= FOUND for s in self._scores.values()]))}
        found |= speech.measures(self.opening(), times, phonemes, wanted, still)
        return found | self._crops.measures() | self._sharp.measures()
