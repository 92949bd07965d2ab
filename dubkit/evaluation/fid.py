"""FID: how far the pictures of a dubbed film, and its faces, are from the real ones (Heusel et al. 2017).

Pictures are those of both films at the same moments, `PICTURES` of a film at most, evenly spread. Frames are whole;
faces are squares around the reference's face, the same in both films.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dubkit.engines import base, registry
from dubkit.errors import ModelError
from dubkit.evaluation.against_reference import Side, main_face
from dubkit.faces.selection import load_tracks
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.planes import rgb_crop
from dubkit.parallel.workers import cores
from dubkit.pipeline.map_shots import map_shots
from dubkit.records import Doubles, FaceState, FaceTrack, Floats, Picture, Shot
from dubkit.stages.probe import load_film

if TYPE_CHECKING:
    from dubkit.config.schema import Config
    from dubkit.progress import Progress

NAME = "fid"
PICTURES = 500  # of a film
SIDE = 299  # pixels of a face, as the net looks at it
MARGIN = 0.1  # of a face's size around it
_BATCH, _BYTES = 16, 1 << 25  # pictures that are looked at together, at most
_ENGINE = "inception"
ROWS = ("fid_face", "fid_frame")
_LONG_SIDE = 1 << 16  # frames are not made smaller

Set = tuple[Floats, Floats]  # (N, K) features of pictures as made, and of the real ones


@dataclass(frozen=True, slots=True)
class FidTask:
    """One shot whose pictures are looked at. Pickles."""

    shot: Shot
    made: Side
    real: Side
    every: int  # frames of the film from one picture to the next
    weights: Path | None


def obstacle(weights: Path | None) -> str | None:
    """What keeps FID from being measured here, and the way out; None where nothing does.

    Raises ModelError for weights that are given and are of another net.
    """
    entry = registry.ENGINES["features"][_ENGINE]
    lacking = []
    if entry.library is None:
        lacking.append(f"{entry.package}: pip install 'dubkit[{entry.extra}]'")
    try:
        entry.find_weights(weights)
    except ModelError as error:
        lacking.append(f"Inception's weights: {error.hint}, or --inception")
    if lacking:
        return f"needs {'; and '.join(lacking)}"
    _engine(weights)
    return None


def fid(tasks: Sequence[FidTask], config: Config, progress: Progress) -> dict[str, float]:
    """``fid_face`` and ``fid_frame`` over all shots; a row is missing where there are less than two pictures."""
    parallel = config.parallel
    jobs, backend = parallel.jobs or cores(), parallel.backend
    sets = {row: (base.Moments(), base.Moments()) for row in ROWS}
    looked = map_shots(
        look, tasks, name=NAME, progress=progress, jobs=jobs, backend=backend, frames=True
    )
    for seen in looked:  # in film order, so that sums do not depend on which shot was first
        for row, pair in seen.items():
            for moments, features in zip(sets[row], pair, strict=True):
                moments.add(features)
    engine = _engine(tasks[0].weights)
    return {row: engine.distance(a, b) for row, (a, b) in sets.items() if a.count > 1}


def spacing(frames: int) -> int:
    """Frames from one picture to the next."""
    return max(1, -(-frames // PICTURES))


def look(task: FidTask) -> dict[str, Set]:
    """The features of one shot's pictures, faces and frames apart."""
    faces, frames = (_Batches(_engine(task.weights)) for _ in ROWS)
    for made, real, square in _pairs(task):
        if square is not None:
            faces.add(rgb_crop(made, square, SIDE), rgb_crop(real, square, SIDE))
        frames.add(made.picture(_LONG_SIDE), real.picture(_LONG_SIDE))
    found = zip(ROWS, (faces.joined(), frames.joined()), strict=True)
    return {row: sets for row, sets in found if sets is not None}


@dataclass(slots=True)
class _Batches:
    """Pairs of pictures that the net looks at, a few at a time."""

    engine: base.PictureFeatures
    waiting: list[tuple[Picture, Picture]] = field(default_factory=list)
    found: list[Set] = field(default_factory=list)

    def add(self, made: Picture, real: Picture) -> None:
        self.waiting.append((made, real))
        if len(self.waiting) >= max(1, min(_BATCH, _BYTES // made.nbytes)):
            self._look()

    def joined(self) -> Set | None:
        """The features of all of them; None where there were none."""
        self._look()
        if not self.found:
            return None
        made, real = zip(*self.found, strict=True)
        return np.concatenate(made), np.concatenate(real)

    def _look(self) -> None:
        if self.waiting:
            made, real = (np.stack(side) for side in zip(*self.waiting, strict=True))
            self.found.append((self.engine.features(made), self.engine.features(real)))
            self.waiting.clear()


def _pairs(task: FidTask) -> Iterator[tuple[Frame, Frame, Doubles | None]]:
    """Frames of both films at the same moments, with the way to the face's square."""
    face = main_face(task.real.faces, load_tracks(task.real.faces))
    readers = []
    for side in (task.made, task.real):
        info, pts = load_film(side.probe)
        readers.append(FrameReader(side.video, info, pts))
    end = min(task.shot.end, *(reader.info.frames for reader in readers))
    frames = [reader.read(task.shot.start, end) for reader in readers]
    for made, real in zip(*frames, strict=True):
        if made.index % task.every == 0:
            yield made, real, _square(face, made.index)


def _square(face: FaceTrack | None, index: int) -> Doubles | None:
    """(2, 3) display to crop; None where the face is not seen."""
    row = -1 if face is None else index - face.start
    if face is None or not 0 <= row < len(face) or face.state[row] != FaceState.SEEN:
        return None
    x0, y0, x1, y1 = (float(v) for v in face.boxes[row])
    side = max(x1 - x0, y1 - y0) * (1 + 2 * MARGIN)
    scale = SIDE / side
    left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
    return np.array([[scale, 0.0, -scale * left], [0.0, scale, -scale * top]])


@cache
def _engine(weights: Path | None) -> base.PictureFeatures:
    engine: base.PictureFeatures = registry.load_engine("features", _ENGINE, weights)
    return engine
