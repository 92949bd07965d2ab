"""Find cuts with PySceneDetect's detectors, fed with small pictures of our own reader.

Its own backends count frames; ours are indexed by their time, so every cut is exact in the film's
index, with variable frame rate too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scenedetect
from scenedetect.detectors import AdaptiveDetector, ContentDetector

from dubkit.config.schema import ShotSettings
from dubkit.engines import shot_borders
from dubkit.media.frames import FrameReader
from dubkit.records import Integers, Shot, Transition, VideoInfo

_LONG_SIDE = 256  # pixels; PySceneDetect shrinks to about as much by itself
_COUNTING_RATE = 25.0  # its time codes are used as counters only


class AdaptiveShots:
    """Cuts by a threshold relative to the change around them, checked and completed by `shot_borders`."""

    name = "adaptive"
    version = f"2 {shot_borders.VERSION} scenedetect {scenedetect.__version__}"

    def __init__(self, settings: ShotSettings, device: str = "cpu") -> None:
        self._threshold = settings.threshold
        self._shortest = settings.min_seconds
        self.repaired = 0

    def detect(self, video: Path, info: VideoInfo, pts: Integers) -> list[Shot]:
        wanted = {} if self._threshold is None else {"adaptive_threshold": self._threshold}
        reader = FrameReader(video, info, pts)
        finder = shot_borders.BorderFinder(float(info.average_rate))
        _detect(AdaptiveDetector(min_scene_len=1, **wanted), reader, finder)
        self.repaired = reader.repaired
        return finder.shots(self._shortest)


class ContentShots:
    """Hard cuts, by a fixed threshold on the change between two frames."""

    name = "content"
    version = f"1 scenedetect {scenedetect.__version__}"

    def __init__(self, settings: ShotSettings, device: str = "cpu") -> None:
        self._threshold = settings.threshold
        self.repaired = 0

    def detect(self, video: Path, info: VideoInfo, pts: Integers) -> list[Shot]:
        wanted = {} if self._threshold is None else {"threshold": self._threshold}
        reader = FrameReader(video, info, pts)
        shots = _detect(ContentDetector(min_scene_len=1, **wanted), reader)
        self.repaired = reader.repaired
        return shots


def _detect(
    detector: Any, reader: FrameReader, finder: shot_borders.BorderFinder | None = None
) -> list[Shot]:
    """Shots by a detector of PySceneDetect; ``finder`` is shown the same pictures, and its cuts."""
    cuts: list[Any] = []
    frames = reader.info.frames
    code = scenedetect.FrameTimecode(0, _COUNTING_RATE)
    for frame in reader.read(0, frames):
        code = scenedetect.FrameTimecode(frame.index, _COUNTING_RATE)
        picture = frame.picture(_LONG_SIDE)
        cuts += detector.process_frame(code, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if finder is not None:
            finder.proposed.update(c.frame_num for c in cuts[-8:])
            finder.add(picture)
    cuts += detector.post_process(code)
    starts = sorted({0, *(c.frame_num for c in cuts if 0 < c.frame_num < frames)})
    return [Shot(a, b) for a, b in zip(starts, [*starts[1:], frames], strict=True)]


def transitions(video: Path, info: VideoInfo, pts: Integers) -> list[Transition]:
    """The transitions of a film whose cuts are known otherwise."""
    finder = shot_borders.BorderFinder(float(info.average_rate))
    for frame in FrameReader(video, info, pts).read(0, info.frames):
        finder.add(frame.picture(_LONG_SIDE))
    return [span for shot in finder.shots(0.0) for span in shot.transitions]


class FixedShots:
    """No detection: the whole film is one shot, or shots of ``threshold`` seconds where that is set."""

    name = "fixed"
    version = "1"

    def __init__(self, settings: ShotSettings, device: str = "cpu") -> None:
        self._seconds = settings.threshold

    def detect(self, video: Path, info: VideoInfo, pts: Integers) -> list[Shot]:
        if self._seconds is None or info.frames == 0:
            return [Shot(0, info.frames)]
        elapsed = (pts - pts[0]) * float(info.time_base)
        part = np.floor(elapsed / self._seconds + 1e-9)
        starts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist()]
        return [Shot(a, b) for a, b in zip(starts, [*starts[1:], info.frames], strict=True)]
