"""A synthesizer that leaves every picture as it is: for trying the pipeline without a generator.

Alone because it is loaded by name, without the nets of the other synthesizers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dubkit.config.schema import GenerateSettings
    from dubkit.lips.lending import Lent
    from dubkit.media.frames import Frame
    from dubkit.media.planes import Plane
    from dubkit.records import FaceTrack, Mask, Timing, VideoInfo


class PassthroughRenderer:
    """Borrows nothing, paints nothing."""

    borrowed: frozenset[int] = frozenset()

    def lend(self, frame: Frame) -> None:
        """Look away."""

    def touches(self, index: int) -> bool:
        """Never."""
        return False

    def mask(self, index: int) -> None:
        """Nothing changes."""

    def paint(self, frame: Frame, planes: tuple[Plane, ...]) -> bool:
        """Leave the picture alone."""
        return False


class PassthroughSynthesizer:
    """See the module."""

    name = "passthrough"
    version = "1"

    def __init__(self, settings: GenerateSettings, device: str = "cpu") -> None:
        self.settings = settings

    def face(
        self,
        info: VideoInfo,
        track: FaceTrack,
        usable: Mask,
        timing: Timing,
        row: int,
        lent: Lent | None = None,
    ) -> PassthroughRenderer:
        """A renderer that does nothing."""
        return PassthroughRenderer()
