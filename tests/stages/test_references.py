"""Stage ``references``: a shot gets what it uses of the film, and nothing else of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubkit.config.schema import Config, ReferenceSettings
from dubkit.faces import people, selection
from dubkit.lips import blend, lending, mesh_warp
from dubkit.records import Job, Shot, TrackChoice
from dubkit.stages import adapt, references
from dubkit.stages.appearance import offer_name
from dubkit.stages.base import StageContext
from dubkit.work.folder import describe
from dubkit.work.store import write_record
from tests.lips.test_lending import offer, track

SHOT = Shot(40, 70)
FACE = f"{SHOT.name}/0"


def lent(*offers: lending.Offer) -> lending.Lent:
    plane = np.full((60, 60), 90, np.uint8)
    matrix = np.array([[20.0, 0, 30], [0, 20.0, 10]])
    pictures = [
        blend.Reference(mesh_warp.vertices(o.canonical), (plane,), (matrix,)) for o in offers
    ]
    return lending.Lent(offers, tuple(pictures))


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """A shot of a shut mouth, in a film that shows it open elsewhere, and a profile."""
    folders = {n: tmp_path / n for n in ("faces", "appearance", "cast", "adapt")}
    for folder in folders.values():
        folder.mkdir()
    selection.save_tracks(folders["faces"], [track([0.0] * 30)])
    choice = TrackChoice(0, SHOT.start, SHOT.end, True, "it speaks", 180.0, None, ())
    selection.save_choice(folders["faces"], [choice])
    lending.save_lent(folders["appearance"] / offer_name(0), lent(offer(0.0, FACE)))
    write_cast(folders["cast"])
    (folders["adapt"] / "person_1.safetensors").write_bytes(b"profile")
    anna = adapt.PersonResult("Anna", (FACE,), 1, 20.0, profile="person_1.safetensors")
    write_record(folders["adapt"] / adapt.RESULT, adapt.AdaptResult(True, (anna,)))
    job = Job(tmp_path / "f.mp4", tmp_path / "d.wav", tmp_path / "o.mp4", tmp_path / "w")
    out = tmp_path / "out"
    out.mkdir()
    inputs = {name: (folder,) for name, folder in folders.items()}
    return StageContext(job, Config(), out, inputs, shot=SHOT)


def write_cast(folder: Path, *, name: str = "Anna", dub: bool = True, more: str = "") -> None:
    lending.save_lent(folder / "bank_1.npz", lent(offer(0.0, FACE), offer(0.3)))
    faces = (FACE, *([more] if more else []))
    person = people.Person(name, faces, (), 9.0, 9.0, dub=dub, bank="bank_1.npz")
    write_record(folder / people.PEOPLE, people.People((person,), (), named=True))


def roles(context: StageContext) -> people.Role:
    references.run(context)
    return people.load_roles(context.out)[0]


def test_a_face_gets_the_open_mouth_and_the_profile_of_its_person(context: StageContext) -> None:
    role = roles(context)
    assert role.dub
    assert role.profile is not None
    assert Path(role.profile).read_bytes() == b"profile"
    assert role.lent is not None
    assert [o.face for o in lending.load_offers(Path(role.lent))] == ["0000900-0000950/0"]


def test_a_face_elsewhere_changes_nothing_here(context: StageContext) -> None:
    roles(context)
    before = describe(context.out)[0]
    write_cast(context.folder("cast"), more="0000900-0000950/0")
    again = context.out.parent / "again"
    again.mkdir()
    roles(replace(context, out=again))
    assert describe(again)[0] == before


def test_a_person_who_is_never_dubbed_gets_nothing(context: StageContext) -> None:
    write_cast(context.folder("cast"), dub=False)
    assert roles(context) == people.Role(0, "Anna", dub=False)
    choice = selection.load_choice(context.folder("faces"))[0]
    assert people.as_cast(choice, dub=False).reason == people.NEVER
    assert people.as_cast(choice, dub=True) is choice


def test_nothing_is_borrowed_where_a_setting_says_so(context: StageContext) -> None:
    none = Config(references=ReferenceSettings(borrowed=0))
    assert roles(replace(context, config=none)).lent is None


def test_where_it_failed_the_shot_stays_as_filmed(context: StageContext) -> None:
    references.run_without(context)
    assert not people.load_roles(context.out)[0].dub


def test_nobody_lends_without_consent() -> None:
    anna = people.Person("Anna", ("0000000-0000050/0",), (), 1.0, 1.0, double="Boris")
    boris = people.Person("Boris", ("0000050-0000090/0",), (), 1.0, 1.0)
    named = {"Anna": anna, "Boris": boris}
    assert references._lender(anna, named, None) is boris
    assert references._lender(anna, named, ("Anna", "Boris")) is boris
    assert references._lender(anna, named, ("Anna",)) is None
