"""Stage ``cast``: which faces of the film are one person, in all its shots.

Writes ``people.json`` (`dubkit.faces.people`) and ``bank_N.npz``, the frames of each person that shots may borrow. A
cast file says who is who where it lists faces; the others join whom they resemble.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dubkit.faces import appearance, clustering, people, selection
from dubkit.lips import lending
from dubkit.records import NUMBERED, TrackChoice
from dubkit.stages.appearance import offer_name
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.stages.probe import load_film
from dubkit.work.store import write_record

CLEAR = 0.3  # least clearness of a face that can found a person
_PORTRAITS = 6  # of a person


@dataclass(frozen=True, slots=True)
class _Face:
    name: str  # SHOT/TRACK
    look: appearance.TrackLook
    choice: TrackChoice


def run(context: StageContext) -> StageReport:
    """Group the faces of a film into people."""
    faces = list(_faces(context))
    cast = people.read_cast(context.job.cast) if context.job.cast else None
    looks = _looks(faces)
    if cast is not None:
        for face in cast.unknown:
            looks.weights[[k for k, f in enumerate(faces) if f.name == face]] = 0
    labels = clustering.cluster(
        looks, context.config.cast.likeness, CLEAR, _given(faces, cast) if cast else None
    )
    info, _ = load_film(context.folder("probe"))
    rate = float(info.average_rate)
    groups = [
        [faces[k] for k in np.flatnonzero(labels == number)]
        for number in range(labels.max(initial=clustering.UNKNOWN) + 1)
    ]
    named = tuple(_with_bank(context, k, p) for k, p in enumerate(_named(groups, cast, rate), 1))
    found = people.People(
        named,
        tuple(faces[k].name for k in np.flatnonzero(labels == clustering.UNKNOWN)),
        cast is not None,
    )
    write_record(context.out / people.PEOPLE, found)
    return StageReport(
        warnings=tuple(_lost(faces, cast)) if cast else (),
        facts={
            "faces": len(faces),
            "people": len(found.people),
            "unknown": len(found.unknown),
        },
    )


def _faces(context: StageContext) -> Iterator[_Face]:
    """The faces of the film, in its order."""
    for looks, folder in zip(context.inputs["appearance"], context.inputs["faces"], strict=True):
        choices = {choice.track: choice for choice in selection.load_choice(folder)}
        for look in appearance.load_looks(looks):
            yield _Face(f"{folder.name}/{look.track}", look, choices[look.track])


def _looks(faces: Sequence[_Face]) -> clustering.Looks:
    means = [face.look.mean for face in faces]
    width = max((len(vector) for vector, _ in means), default=1)
    vectors = np.zeros((len(faces), width), np.float32)
    for k, (vector, clear) in enumerate(means):
        if clear > 0:
            vectors[k] = vector
    return clustering.Looks(
        vectors,
        np.array([clear for _, clear in means], np.float32),
        np.array([face.look.start for face in faces], np.int64),
        np.array([face.look.end for face in faces], np.int64),
    )


def _given(faces: Sequence[_Face], cast: people.CastFile) -> list[int | None]:
    """The number of each face's name in the cast file; None where it is not listed."""
    numbers: dict[str, int] = {}
    owner = {
        face: numbers.setdefault(person.name, len(numbers))
        for person in cast.person
        for face in person.faces
    }
    return [owner.get(face.name) for face in faces]


def _named(
    groups: Sequence[Sequence[_Face]], cast: people.CastFile | None, rate: float
) -> Iterator[people.Person]:
    """The people, those longest on screen first; who is not in the cast file is person_N, with a free number."""
    entries = {face: entry for entry in cast.person for face in entry.faces} if cast else {}
    taken = {entry.name for entry in entries.values()}
    number = 0
    for group in sorted(groups, key=lambda g: (-_seconds(g, rate), g[0].name)):
        entry = next((entries[face.name] for face in group if face.name in entries), None)
        name = entry.name if entry else ""
        while not name:
            number += 1
            name = f"{NUMBERED}{number}" if f"{NUMBERED}{number}" not in taken else ""
        clearest = sorted(group, key=lambda face: (-face.look.mean[1], face.name))
        usable = sum(int(f.choice.usable.sum()) for f in group if f.choice.dubbed)
        dub = entry.dub if entry else True
        yield people.Person(
            name=name,
            faces=tuple(face.name for face in group),
            portraits=tuple(f.name for f in clearest[:_PORTRAITS] if len(f.look.frames)),
            seconds=round(_seconds(group, rate), 2),
            dubbed=round(usable / rate, 2) if dub else 0.0,
            dub=dub,
            double=(entry.double or None) if entry else None,
        )


def _with_bank(context: StageContext, number: int, person: people.Person) -> people.Person:
    """The person with a file of their frames from the whole film; without one where there are none."""
    folders = {folder.name: folder for folder in context.inputs["appearance"]}
    known: list[tuple[Path, int, lending.Offer]] = []
    for face in person.faces:
        shot, track = face.split("/")
        path = folders[shot] / offer_name(int(track))
        if path.exists():
            known += [(path, k, offer) for k, offer in enumerate(lending.load_offers(path))]
    kept = lending.person_bank([offer for _, _, offer in known])
    if not kept:
        return person
    bank = f"bank_{number}.npz"
    parts = [lending.load_lent(known[k][0], [known[k][1]]) for k in kept]
    lending.save_lent(context.out / bank, lending.joined(parts))
    return replace(person, bank=bank)


def _seconds(group: Sequence[_Face], rate: float) -> float:
    return sum(face.look.end - face.look.start for face in group) / rate


def _lost(faces: Sequence[_Face], cast: people.CastFile) -> Iterator[str]:
    """What of a cast file the film no longer has."""
    there = {face.name for face in faces}
    listed: dict[str, list[str]] = {}
    for entry in cast.person:
        listed.setdefault(entry.name, []).extend(entry.faces)
    for name, own in listed.items():
        lost = sum(face not in there for face in own)
        if lost == len(own):
            yield f"the film has none of the faces of {name} in the cast file: the cuts may have moved since"
        elif lost:
            yield f"the film no longer has {lost} of the {len(own)} faces of {name} in the cast file"


STAGE = Stage(
    name="cast",
    per=Per.JOB,
    source=Source.VIDEO,
    after=("probe", "faces", "appearance"),
    run=run,
    version=2,
    sections=("cast",),
    files=("cast",),
)
