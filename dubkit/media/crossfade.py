"""Cross-fade a made segment with the film's own pictures at its ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubkit.config.schema import GenerateSettings
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.planes import Plane
from dubkit.media.probe import probe
from dubkit.media.writer import FrameWriter

SECONDS = 0.16  # of a fade
_THUMB = 64  # pixels
_SAME = 12.0  # levels of 255 by which pictures differ where the film goes on, at most


@dataclass(frozen=True, slots=True)
class Fade:
    """Frames over which a segment comes from the film's own pictures, and goes back to them."""

    head: int = 0
    tail: int = 0

    def share(self, number: int, count: int) -> float:
        """How much of picture ``number`` of ``count`` is as made, 0 to 1."""
        shares = [1.0]
        if self.head:
            shares.append((number + 1) / (self.head + 1))
        if self.tail:
            shares.append((count - number) / (self.tail + 1))
        return min(shares)


def goes_on(reader: FrameReader, cut: int) -> bool:
    """Whether the picture goes on over a cut: the frame before it and the one at it are much the same."""
    before, after = (
        frame.picture(_THUMB).astype(np.float32) for frame in reader.read(cut - 1, cut + 1)
    )
    return float(np.abs(after - before).mean()) < _SAME


def can_fade(segment: Path, reader: FrameReader) -> bool:
    """Whether the segment has the film's own samples, so that both can be mixed."""
    return probe(segment)[0].pixel_format == reader.info.pixel_format


def fade_segment(
    segment: Path,
    reader: FrameReader,
    start: int,
    fade: Fade,
    settings: GenerateSettings,
    out: Path,
) -> None:
    """Code a segment, which begins at frame ``start`` of the film, anew with its ends faded."""
    there, times = probe(segment)
    made = FrameReader(segment, there, times).read(0, there.frames)
    filmed = reader.read(start, start + there.frames)
    with FrameWriter(out, reader.info, settings) as writer:
        for number, (a, b) in enumerate(zip(filmed, made, strict=True)):
            writer.write(_mixed(a, b, fade.share(number, there.frames)), a.pts)


def _mixed(source: Frame, made: Frame, share: float) -> tuple[Plane, ...]:
    if share >= 1:
        return made.planes
    pairs = zip(source.planes, made.planes, strict=True)
    return tuple(_between(a, b, share) for a, b in pairs)


def _between(a: Plane, b: Plane, share: float) -> Plane:
    mixed = np.rint(a + share * (b.astype(np.float32) - a))
    made: Plane = np.empty_like(a)
    made[...] = mixed
    return made
