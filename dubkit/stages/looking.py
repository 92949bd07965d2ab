"""Looks at a shot's new mouths while they are made, for the gate: no picture has to be decoded again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from dubkit.config.schema import Config
from dubkit.engines.registry import load_engine
from dubkit.engines.versions import identity as engine_identity
from dubkit.faces.selection import TrackChoice
from dubkit.faces.tracklet import Locator
from dubkit.lips.retarget import FADE_SECONDS
from dubkit.measures.sampling import looks
from dubkit.media.frames import Frame
from dubkit.media.planes import Plane
from dubkit.metrics.metrics_store import save_seen
from dubkit.metrics.shot_meter import FaceMeter
from dubkit.records import FaceState, FaceTrack, Shot, VideoInfo
from dubkit.speech.timing import Timing


def seen_by(config: Config) -> str:
    """The landmarker that looks."""
    return engine_identity("landmarker", config.faces.landmarker, config.faces)


@dataclass(frozen=True, slots=True)
class Onlooker:
    """Sees each picture of a shot as filmed and as made, before it is coded."""

    meters: Sequence[FaceMeter] = ()

    def look(self, source: Frame, planes: tuple[Plane, ...]) -> None:
        """One picture, in the film's order."""
        made = replace(source, planes=planes)
        for meter in self.meters:
            if meter.wants(source.index):
                meter.look(source, made)

    def save(self, folder: Path) -> None:
        """Write the files of `dubkit.metrics.metrics_store`."""
        save_seen(folder, [meter.seen() for meter in self.meters])


def onlooker(
    info: VideoInfo,
    shot: Shot,
    timing: Timing,
    faces: Sequence[tuple[FaceTrack, TrackChoice]],
    config: Config,
    device: str,
) -> Onlooker:
    """For the ``faces`` of a shot that are dubbed."""
    if not faces:
        return Onlooker()
    rate = float(info.average_rate)
    edge = max(1, round(FADE_SECONDS * rate))
    landmarker = config.faces.landmarker
    locator = cast(Locator, load_engine("landmarker", landmarker, config.faces, device))
    meters = []
    for track, choice in faces:
        rows = choice.usable & (track.state == FaceState.SEEN)
        if rows.any():
            times = timing.times[track.start - shot.start :][: len(track)]
            chosen = looks(inside(rows, edge), times, timing.phonemes, rate)
            meters.append(FaceMeter(track, chosen, locator))
    return Onlooker(meters)


def inside(rows: np.ndarray, edge: int) -> np.ndarray:
    """Rows farther than ``edge`` from one that is not: near it the new mouth fades."""
    near = np.convolve(~rows, np.ones(2 * edge + 1), "full")[edge : edge + len(rows)] > 0.5
    return np.asarray(rows & ~near, np.bool_)
