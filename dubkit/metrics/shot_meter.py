"""Looks at one rendered face frame by frame, beside the source: what the gate's measures are made of.

Both pictures are brought to the canonical crop by the *source's* landmarks. The lips of the result are then found
anew in its crop by the landmarker, which knows nothing of the shape that was wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from dubkit.engines.base import Locator
from dubkit.errors import WorkError
from dubkit.faces import align, landmark_layout
from dubkit.lips import mouth_shape
from dubkit.media.frames import Frame
from dubkit.media.planes import color_crop, luma_crop, plane_from_display, rgb_crop
from dubkit.metrics import lip_sync, picture
from dubkit.metrics.face_faults import STAIN_SIDE, FaultSums, Look
from dubkit.metrics.lips import labial_frames, opening
from dubkit.records import Doubles, FaceTrack, Floats, Indices, Mask, Picture, TimedPhoneme
from dubkit.work.store import UNREADABLE, open_arrays, read_record, write_record

ENOUGH = 1.5  # seconds of a face: of fewer every frame is looked at, of more a part
LIPS_RATE = 8  # looks a second in speech; P, B and M are followed in every frame
# frames: pictures are compared in runs, as flicker and switching teeth need neighbors; every so many are searched
# for stains, second chins and pieces
RUN, PERIOD = 8, 16
FAULTS = 4

Rows = Mask


@dataclass(frozen=True, slots=True)
class Looks:
    """(T,) rows of a track each; all of them are among those that were painted wholly."""

    painted: Rows
    lips: Rows  # where the lips are found anew; between them they are interpolated
    pictures: Rows  # where result and source are compared

    def any(self) -> Rows:
        """(T,) rows in which something is looked at."""
        return self.lips | self.pictures


def looks(rows: Rows, times: Doubles, phonemes: Sequence[TimedPhoneme], rate: float) -> Looks:
    """Choose among ``rows`` (T,), which show the seconds ``times`` (T,) of the dub; ``rate``: frames a second.

    A short shot has little to judge by: leaving frames out there makes wrong verdicts likelier, so none is.
    The first and the last of neighboring rows are always looked at, so that what lies between can be interpolated.
    """
    at = np.arange(len(rows))
    if rows.sum() < ENOUGH * rate:
        return Looks(rows, rows, rows)
    around = np.concatenate([[False], rows, [False]])
    border = ~(around[:-2] & around[2:])
    step = max(1, int(rate / LIPS_RATE + 0.01))  # 23.976 counts as 24
    lips = (at % step == 0) | border | labial_frames(times, phonemes)
    return Looks(rows, rows & lips, rows & (at % PERIOD < RUN))


BATCH = 16  # crops that the landmarker looks at together: a third of the time of one by one
FOUND = 0.5  # confidence of the landmarker that it looks at a face


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one dubbed face."""

    track: int
    frames: int  # in which something was looked at
    pictures: Mapping[
        str, float
    ]  # measures of the pictures, by their names in `metrics.definitions`
    lips: lip_sync.Lips

    def values(self, speech: lip_sync.Speech, *, still: bool = True) -> Mapping[str, float]:
        """All measures by their names in `metrics.definitions`; what could not be measured is missing.

        ``still``: whether lips are to rest where nobody speaks.
        """
        if not len(self.lips.rows):
            return {}
        return {**lip_sync.measures(self.lips, speech, still=still), **self.pictures}


@dataclass(slots=True)
class FaceMeter:
    """One dubbed face; T rows as in its track."""

    track: FaceTrack
    looks: Looks  # of the frames that were painted wholly
    locator: Locator
    _waiting: dict[int, Picture] = field(default_factory=dict)  # crops by row
    _landmarks: dict[int, Floats] = field(default_factory=dict)  # canonical
    _scores: list[float] = field(default_factory=list)
    _crops: picture.CropSums = field(default_factory=picture.CropSums)
    _sharp: picture.SharpSums = field(default_factory=picture.SharpSums)
    _faults: FaultSums = field(default_factory=FaultSums)

    def wants(self, index: int) -> bool:
        """Whether a frame of the film is to be looked at."""
        row = index - self.track.start
        return 0 <= row < len(self.track) and bool(self.looks.any()[row])

    def look(self, source: Frame, made: Frame) -> None:
        """Take in one frame of the film as filmed and as made."""
        row = source.index - self.track.start
        face = self.track.landmarks[row]
        size = self.locator.crop_size
        matrix = align.compose(align.crop_from_canonical(size), align.canonical_from_face(face))
        if self.looks.lips[row]:
            self._waiting[row] = rgb_crop(made, matrix, size)
        if self.looks.pictures[row]:
            filmed, shown = (luma_crop(frame, matrix, size) for frame in (source, made))
            self._crops.add(row, filmed, shown, align.apply(matrix, face))
            canonical = align.canonical_from_face(face)
            color = None
            if row % FAULTS == 0:
                small = align.compose(align.crop_from_canonical(STAIN_SIDE), canonical)
                color = color_crop(made, small, STAIN_SIDE) - color_crop(source, small, STAIN_SIDE)
            self._faults.add(Look(row, filmed, shown, color, align.apply(canonical, face)))
            if source.format.depth == made.format.depth:
                to_plane = plane_from_display(source.info, source.format, 0)
                self._sharp.add(source.planes[0], made.planes[0], face, to_plane)
        if len(self._waiting) == BATCH:
            self._locate()

    def _locate(self) -> None:
        """Find the lips in the crops that wait."""
        if not self._waiting:
            return
        back = align.invert(align.crop_from_canonical(self.locator.crop_size))
        found, _, scores = self.locator.locate(np.stack([*self._waiting.values()]), together=True)
        for row, face, score in zip(self._waiting, found, scores, strict=True):
            self._landmarks[row] = align.apply(back, face)
            self._scores.append(float(score))
        self._waiting.clear()
        rows = np.array(sorted(self._landmarks), np.intp)
        self._faults.settle(int(rows[-1]), lambda row: self._between(rows, row))

    def _between(self, rows: Indices, row: int) -> Floats:
        """The result's canonical landmarks in a row, between those of the nearest ``rows`` in which they were found."""
        after = min(int(np.searchsorted(rows, row)), len(rows) - 1)
        before = after if rows[after] <= row else max(after - 1, 0)
        first, last = rows[before], rows[after]
        share = np.float32((row - first) / (last - first)) if last > first else np.float32(0)
        mixed = self._landmarks[first] * (1 - share) + self._landmarks[last] * share
        return np.asarray(mixed, np.float32)

    def seen(self) -> Seen:
        """What was seen in all frames that were shown to `look`."""
        self._locate()
        frames = int(self.looks.any().sum())
        pictures = self._crops.measures() | self._sharp.measures() | self._faults.measures()
        if self._scores:
            pictures["found"] = float(np.mean([score >= FOUND for score in self._scores]))
        return Seen(self.track.track, frames, pictures, self._lips())

    def _lips(self) -> lip_sync.Lips:
        rows = np.array(sorted(self._landmarks), np.intp)
        faces = np.stack([self._landmarks[row] for row in rows]) if len(rows) else _none()
        mouths = (
            mouth_shape.frontal(faces, self.track.pose[rows])
            - align.mean_face()[landmark_layout.MOVING]
        )
        return lip_sync.Lips(self.looks.painted, rows, opening(faces), mouth_shape.encode(mouths))


def _none() -> Floats:
    return np.zeros((0, landmark_layout.COUNT, 2), np.float32)


SEEN, LIPS = "seen.json", "lips.npz"


@dataclass(frozen=True, slots=True)
class _Face:
    track: int
    frames: int
    pictures: Mapping[str, float]


def save_seen(folder: Path, seen: Sequence[Seen]) -> None:
    """Write both files; equal sights give equal bytes."""
    faces = [_Face(face.track, face.frames, face.pictures) for face in seen]
    write_record(folder / SEEN, faces, list[_Face])
    arrays = {
        f"{face.track}.{name}": getattr(face.lips, name)
        for face in seen
        for name in ("painted", "rows", "opened", "shapes")
    }
    np.savez(folder / LIPS, **arrays)


def load_seen(folder: Path) -> list[Seen]:
    """What `save_seen` wrote. Raises WorkError where a file is missing or damaged."""
    path = folder / LIPS
    faces = read_record(folder / SEEN, list[_Face])
    try:
        with open_arrays(path) as stored:
            return list(_seen(faces, stored))
    except UNREADABLE as error:
        raise WorkError(
            f"the work file {path} cannot be read", hint="run again with --force generate"
        ) from error


def _seen(faces: Sequence[_Face], stored: NpzFile) -> Iterator[Seen]:
    for face in faces:
        part = [stored[f"{face.track}.{name}"] for name in ("painted", "rows", "opened", "shapes")]
        yield Seen(face.track, face.frames, face.pictures, lip_sync.Lips(*part))
