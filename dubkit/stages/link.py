"""Which faces of different shots are one person in one set-up, and what they can lend one another.

Publishes ``links.json`` and ``lent.npz``. Does nothing unless it is asked to: with it, what is made of a shot
depends on other shots of the film, so a moved cut makes more than its neighbors anew.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubkit.errors import WorkError
from dubkit.faces import align, appearance
from dubkit.faces.appearance import Lender, looks
from dubkit.faces.track_store import load_choice, load_tracks
from dubkit.lips import references
from dubkit.media.frames import FrameReader
from dubkit.records import FaceState, FaceTrack, Floats, Shot
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.stages.probe import load_film
from dubkit.work.store import open_arrays, read_record, write_record

LINKS, LENT = "links.json", "lent.npz"
LENDS = 24  # frames that a track lends
MOST_LENDERS = 8
_PARTS = ("frames", "landmarks", "pose")


@dataclass(frozen=True, slots=True)
class Link:
    """A dubbed face and those that lend to it, each as ``SHOT/TRACK``."""

    face: str
    lenders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Face:
    name: str
    looks: Floats  # (N, D)
    lends: Lender


def run(context: StageContext) -> StageReport:
    """Link the faces of a film."""
    settings = context.config.link
    faces = list(_faces(context)) if settings.enabled else []
    lenders = appearance.linked([face.looks for face in faces], settings.likeness, MOST_LENDERS)
    pairs = zip(faces, lenders, strict=True)
    links = [Link(face.name, tuple(faces[k].name for k in found)) for face, found in pairs]
    write_record(context.out / LINKS, links, list[Link])
    needed = {name for link in links for name in link.lenders}
    arrays = {
        f"{face.name}/{part}": getattr(face.lends, part)
        for face in faces
        if face.name in needed
        for part in _PARTS
    }
    with (context.out / LENT).open("wb") as file:
        np.savez(file, **arrays)
    return StageReport(facts={"faces": len(faces), "linked": sum(bool(x) for x in lenders)})


def load_lender(folder: Path, shot: Shot, track: int) -> Lender | None:
    """What other shots lend to a face; None for nothing. Raises WorkError where it cannot be read."""
    links = {link.face: link.lenders for link in read_record(folder / LINKS, list[Link])}
    names = links.get(f"{shot.name}/{track}", ())
    if not names:
        return None
    path = folder / LENT
    try:
        with open_arrays(path) as stored:
            parts = {p: np.concatenate([stored[f"{n}/{p}"] for n in names]) for p in _PARTS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WorkError(
            f"the work file {path} cannot be read: {error}", hint="run again with --force link"
        ) from error
    return Lender(**parts)


def _faces(context: StageContext) -> Iterator[_Face]:
    """The dubbed faces of the film that can lend."""
    info, pts = load_film(context.folder("probe"))
    reader = FrameReader(context.job.video, info, pts, threads=context.cores)
    for folder in context.inputs["faces"]:
        choices = {choice.track: choice for choice in load_choice(folder)}
        for track in load_tracks(folder):
            choice = choices[track.track]
            rows = np.flatnonzero(choice.usable & (track.state == FaceState.SEEN))
            if choice.dubbed and len(rows):
                name = f"{folder.name}/{track.track}"
                yield _Face(name, looks(reader, track, rows), _lends(track, rows))


def _lends(track: FaceTrack, rows: np.ndarray) -> Lender:
    faces = track.landmarks[rows]
    matrices = [align.canonical_from_face(face) for face in faces]
    current = np.stack([align.apply(m, face) for m, face in zip(matrices, faces, strict=True)])
    pose = references.pose_features(track.pose[rows], np.zeros(len(rows)))
    features = np.concatenate([references.mouth_features(current), pose], 1)
    settled = references.settled(current)
    kept = rows[appearance.spread(features, settled if settled.any() else ~settled, LENDS)]
    frames = (track.start + kept).astype(np.int64)
    return Lender(frames, track.landmarks[kept], track.pose[kept])


STAGE = Stage(
    name="link",
    per=Per.JOB,
    source=Source.VIDEO,
    after=("probe", "faces"),
    run=run,
    version=2,
    sections=("link",),
    files=("video",),
)
