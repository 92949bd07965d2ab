"""What can be swapped: one protocol per ability. `registry.load_engine` finds them by name.

Every engine is built with ``Engine(settings, device=...)`` where ``settings`` is its stage's section of
`dubkit.config.schema`, states its ``name`` and a ``version`` that changes whenever its results may change
(engines with weights put the weights' digest into it), and may say in ``notes`` what the user should know.
An engine that holds much memory has a ``close()``, which is called when its stage is done; one whose weights
do not come with it has a static ``weights(settings)``: their names in `dubkit.catalog`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from dubkit import records

if TYPE_CHECKING:  # protocols that need PyAV for nothing else
    from dubkit.lips.lending import Lent
    from dubkit.media.frames import Frame
    from dubkit.media.planes import Plane


class Engine(Protocol):
    """What all engines have."""

    name: str

    @property
    def version(self) -> str: ...


class ShotDetector(Engine, Protocol):
    """Finds the cuts of a film."""

    def detect(
        self, video: Path, info: records.VideoInfo, pts: records.Integers
    ) -> list[records.Shot]:
        """Shots that tile ``0 .. info.frames`` without gap; ``pts`` (frames,) in ``info.time_base``.

        An engine that decodes every picture keeps in an attribute ``repaired`` how many could not be.
        """


class FaceDetector(Engine, Protocol):
    """Finds faces in single pictures."""

    def detect(self, picture: records.Picture) -> list[records.Detection]:
        """Faces of one upright picture, best first, in its own pixels. No face: an empty list."""


class Locator(Protocol):
    """Places dense landmarks (`faces.landmark_layout`) on canonical face crops."""

    crop_size: int  # pixels, side of the square crops

    def locate(
        self, crops: records.Picture, *, together: bool = False
    ) -> tuple[records.Floats, records.Floats, records.Floats]:
        """``crops`` (N, S, S, 3) RGB -> landmarks (N, L, 2) in crop pixels, pose (N, 3) degrees relative
        to the crop's axes (yaw, pitch, roll), confidence (N,) 0..1 that the crop holds a face.

        The results of a crop do not depend on the others. With ``together`` all crops go through the net at
        once, which is faster, and the last bits of each may depend on the others.
        """


class Landmarker(Engine, Locator, Protocol):
    """The landmark engine."""


class Appearance(Engine, Protocol):
    """Describes faces, so that those of one person are known by their likeness."""

    crop_size: int  # pixels, side of the square crops (`faces.appearance.aligned_from_display`)

    def describe(self, crops: records.Picture) -> records.Floats:
        """(N, S, S, 3) RGB -> (N, D) vectors; their cosine says how alike two faces are, their length how clear each
        is. The vector of a crop does not depend on the others.
        """


class Aligner(Engine, Protocol):
    """Turns speech into words and phonemes with times."""

    def align(
        self,
        samples: records.Floats,
        script: tuple[records.ScriptLine, ...] | None,
        language: str | None,
    ) -> records.Speech:
        """``samples`` mono 16 kHz, -1..1. Phonemes of the result tile the whole duration."""


@runtime_checkable
class RecognizingAligner(Aligner, Protocol):
    """An aligner that can detect the language of a dub and recognize its words."""

    def language_of(self, samples: records.Floats) -> records.DetectedLanguage | None:
        """The language of ``samples`` (mono 16 kHz); None for silence."""

    def transcribe(
        self, samples: records.Floats, language: str, least: float = -np.inf
    ) -> tuple[records.ScriptLine, ...]:
        """The recognized words, in lines with times: those whose mean log probability is ``least`` or more."""


class FaceRenderer(Protocol):
    """Paints the mouth of one face of one shot; frames are lent first, then painted in any order.

    ``paint`` is called by several threads at once, each with a frame of its own.
    """

    borrowed: frozenset[int]  # frames of the film whose planes it wants to see before it paints

    def lend(self, frame: Frame) -> None:
        """Look at one of the `borrowed` frames; keeps copies of what it needs."""

    def paint(self, frame: Frame, planes: tuple[Plane, ...]) -> bool:
        """Write the mouth into ``planes``, writable copies of ``frame.planes``; False: nothing to write.

        Frames to `lend` and to `paint` are those of `Frame.for_painting`: Y U V or gray, whatever the film is.
        """

    def touches(self, index: int) -> bool:
        """Whether `paint` would write anything into frame ``index`` of the film; known when all was lent."""

    def mask(self, index: int) -> records.Floats | None:
        """(H, W) 0..1, soft, over the first plane: outside it `paint` changes nothing in that frame; None: nothing."""


class Synthesizer(Engine, Protocol):
    """Makes the mouth of a face speak."""

    def face(
        self,
        info: records.VideoInfo,
        track: records.FaceTrack,
        usable: records.Mask,
        timing: records.Timing,
        row: int,
        lent: Lent | None = None,
    ) -> FaceRenderer:
        """A renderer for one track, which begins at frame ``row`` of the shot that ``timing`` is of; frames
        that are not ``usable`` (T,) stay as they are. ``lent`` are frames of this person in other shots.
        """


@dataclass(slots=True)
class Moments:
    """Mean and covariance of features that are added a few at a time, so that a film's need no memory."""

    count: int = 0
    total: records.Doubles = field(default_factory=lambda: np.zeros(0))  # (K,)
    products: records.Doubles = field(default_factory=lambda: np.zeros((0, 0)))  # (K, K)

    def add(self, features: records.Floats) -> None:
        """Features (N, K) of N pictures."""
        rows = features.astype(np.float64)
        if not self.count:
            width = rows.shape[1]
            self.total, self.products = np.zeros(width), np.zeros((width, width))
        self.count += len(rows)
        self.total += rows.sum(0)
        self.products += rows.T @ rows

    @property
    def mean(self) -> records.Doubles:
        """(K,)"""
        return self.total / self.count

    @property
    def covariance(self) -> records.Doubles:
        """(K, K) of a sample, as ``numpy.cov``."""
        spread = self.products - self.count * np.outer(self.mean, self.mean)
        return np.asarray(spread / (self.count - 1))


class PictureFeatures(Engine, Protocol):
    """Describes pictures by features whose distribution tells real ones from made ones."""

    def features(self, pictures: records.Picture) -> records.Floats:
        """``pictures`` (N, H, W, 3) RGB -> (N, K)."""

    def distance(self, a: Moments, b: Moments) -> float:
        """How far two sets of features are apart; 0 for equal ones."""
