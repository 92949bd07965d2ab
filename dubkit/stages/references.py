"""Stage ``references``: what the rest of the film gives to the faces of one shot.

Writes ``roles.json``, one `people.Role` for each face: whether its person may be dubbed, the profile that was adapted
to that person, and the frames of other shots that it borrows, beside it as files. All of the film goes in, but only
what this shot uses comes out: where that stays the same, nothing that reads it is done again.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from dubkit.errors import WorkError
from dubkit.faces import selection
from dubkit.faces.people import Person, Role, load_people, save_roles
from dubkit.lips import lending
from dubkit.records import FaceTrack, TrackChoice
from dubkit.stages import adapt
from dubkit.stages.appearance import offer_name
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.work.folder import link_or_copy


def run(context: StageContext) -> StageReport:
    """Collect what the faces of one shot use."""
    if context.shot is None:
        raise WorkError("references works on shots, but was given none")
    cast = load_people(context.folder("cast"))
    people, named = cast.by_face(), {person.name: person for person in cast.people}
    profiles = adapt.actors_of(context.folder("adapt"))
    tracks = {t.track: t for t in selection.load_tracks(context.folder("faces"))}
    consented = context.config.references.consented
    roles, borrowed = [], 0
    for choice in selection.load_choice(context.folder("faces")):
        face = f"{context.shot.name}/{choice.track}"
        person = people.get(face)
        profile, lent = None, None
        if choice.dubbed and (person is None or person.dub):
            if face in profiles:
                profile = f"profile_{choice.track}.safetensors"
                link_or_copy(profiles[face], context.out / profile)
            given = _lent(
                context, tracks[choice.track], choice, face, _lender(person, named, consented)
            )
            if given is not None:
                lent = f"lent_{choice.track}.npz"
                lending.save_lent(context.out / lent, given)
                borrowed += len(given)
        # numbers of people change with the cuts; names of a cast file do not
        name = person.name if person and cast.named else None
        dub = person is None or person.dub
        consent = consented is None or name in consented
        roles.append(Role(choice.track, name, dub, profile, lent, consent))
    save_roles(context.out, roles)
    never = sum(not role.dub for role in roles)
    withheld = sum(not role.consent for role in roles)
    return StageReport(facts={"borrowed": borrowed, "never": never, "without_consent": withheld})


def _lender(
    person: Person | None, named: dict[str, Person], consented: Collection[str] | None
) -> Person | None:
    """Whose frames a face borrows: its person's, or those of the double; nobody's without their consent."""
    lender = named.get(person.double, person) if person and person.double else person
    withheld = consented is not None and lender is not None and lender.name not in consented
    return None if withheld else lender


def _lent(
    context: StageContext, track: FaceTrack, choice: TrackChoice, face: str, lender: Person | None
) -> lending.Lent | None:
    own = context.folder("appearance") / offer_name(track.track)
    most = context.config.references.borrowed
    if lender is None or lender.bank is None or not own.exists() or not most:
        return None
    bank = context.folder("cast") / lender.bank
    light = float(np.median([offer.light for offer in lending.load_offers(own)]))
    chosen = lending.borrowed(track, choice.usable, light, face, lending.load_offers(bank), most)
    return lending.load_lent(bank, chosen) if chosen else None


def run_without(context: StageContext) -> StageReport:
    """The faces stay as filmed: the fallback where it is not known who may be dubbed."""
    choices = selection.load_choice(context.folder("faces"))
    save_roles(context.out, [Role(choice.track, dub=False) for choice in choices])
    return StageReport(facts={"borrowed": 0, "never": 0})


STAGE = Stage(
    name="references",
    per=Per.SHOT,
    source=Source.VIDEO,
    after=("faces", "appearance", "cast", "adapt"),
    run=run,
    version=1,
    sections=("references",),
    fallback=run_without,
)
