"""Stage ``cast``: people from the looks of faces, and from a cast file."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubkit.config.schema import Config
from dubkit.faces import appearance, selection
from dubkit.faces.appearance import TrackLook
from dubkit.faces.people import People, load_people
from dubkit.records import Job, Shot, TrackChoice
from dubkit.stages import cast
from dubkit.stages.base import StageContext, StageReport
from dubkit.stages.probe import PTS, VIDEO
from dubkit.work.store import write_record
from tests.clips import facts

SHOTS = (Shot(0, 50), Shot(50, 100), Shot(100, 150))
WHO = ((0, 1), (0,), (1, 2))  # in each shot; 2 is too small to tell


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    """Three shots of a film: Anna and Boris, Anna, Boris and somebody far away."""
    inputs: dict[str, list[Path]] = {"faces": [], "appearance": []}
    for shot, people in zip(SHOTS, WHO, strict=True):
        folders = {name: tmp_path / name / shot.name for name in inputs}
        for name, folder in folders.items():
            folder.mkdir(parents=True)
            inputs[name].append(folder)
        choices, looks = [], []
        for track, person in enumerate(people):
            vector = np.eye(8, dtype=np.float32)[[person]]
            weight = np.array([0.1 if person == 2 else 1.0], np.float32)
            frames = np.array([shot.start], np.int64)
            looks.append(TrackLook(track, shot.start, shot.end, frames, vector, weight))
            dubbed = track == 0
            choices.append(
                TrackChoice(track, shot.start, shot.end, dubbed, "the largest", 90.0, None, ())
            )
        appearance.save_looks(folders["appearance"], looks)
        selection.save_choice(folders["faces"], choices)
    probe = tmp_path / "probe"
    probe.mkdir()
    write_record(probe / VIDEO, replace(facts(frames=150), average_rate=Fraction(25)))
    np.save(probe / PTS, np.arange(150))
    job = Job(tmp_path / "f.mp4", tmp_path / "d.wav", tmp_path / "o.mp4", tmp_path / "w")
    out = tmp_path / "out"
    out.mkdir()
    given = {name: tuple(folders) for name, folders in inputs.items()}
    return StageContext(job, Config(), out, {**given, "probe": (probe,)})


def made(context: StageContext) -> tuple[People, StageReport]:
    report = cast.run(context)
    return load_people(context.out), report


def test_people_are_found_across_shots_and_numbered_by_their_time_on_screen(
    context: StageContext,
) -> None:
    people, report = made(context)
    found = {person.name: person for person in people.people}
    assert found["person_1"].faces == ("0000000-0000050/0", "0000050-0000100/0")
    assert found["person_2"].faces == ("0000000-0000050/1", "0000100-0000150/0")
    assert (found["person_1"].seconds, found["person_1"].dubbed) == (4.0, 4.0)
    assert found["person_2"].dubbed == 2.0
    assert people.unknown == ("0000100-0000150/1",)
    assert report.facts == {"faces": 5, "people": 2, "unknown": 1}


def test_a_cast_file_names_splits_and_merges_people(context: StageContext) -> None:
    path = context.out.parent / "cast.toml"
    path.write_text(
        'kind = "dubkit-cast"\nversion = 1\nfilm = "f"\n'
        '[[person]]\nname = "Anna"\nfaces = ["0000000-0000050/0"]\n'
        '[[person]]\nname = "Twin"\nfaces = ["0000050-0000100/0"]\ndub = false\ndouble = "Anna"\n'
        '[[person]]\nname = "Boris"\nfaces = ["0000100-0000150/0"]\n'
        '[[person]]\nname = "Boris"\nfaces = ["0000100-0000150/1"]\n'
        '[[person]]\nname = "Gone"\nfaces = ["0000150-0000200/0"]\n'
        '[[person]]\nname = "Anna"\nfaces = ["0000150-0000200/1"]\n'
    )
    people, report = made(replace(context, job=replace(context.job, cast=path)))
    faces = {person.name: person.faces for person in people.people}
    assert faces == {
        "Anna": ("0000000-0000050/0",),
        "Twin": ("0000050-0000100/0",),
        "Boris": ("0000000-0000050/1", "0000100-0000150/0", "0000100-0000150/1"),
    }, "a face that is not listed joins whom it resembles"
    twin = next(person for person in people.people if person.name == "Twin")
    assert (twin.dub, twin.double, twin.dubbed) == (False, "Anna", 0.0)
    assert people.named
    assert [w for w in report.warnings if "none of the faces of Gone" in w]
    assert len(report.warnings) == 2


def test_a_face_called_unknown_stays_unknown_and_a_free_name_is_taken(
    context: StageContext,
) -> None:
    path = context.out.parent / "cast.toml"
    unknown = json.dumps(["0000000-0000050/0", "0000050-0000100/0"])
    path.write_text(
        f'kind = "dubkit-cast"\nversion = 1\nfilm = "f"\nunknown = {unknown}\n'
        '[[person]]\nname = "person_1"\nfaces = ["0000100-0000150/1"]\n'
    )
    people, _ = made(replace(context, job=replace(context.job, cast=path)))
    names = {person.name: person.faces for person in people.people}
    assert names["person_1"] == ("0000100-0000150/1",)
    assert names["person_2"] == ("0000000-0000050/1", "0000100-0000150/0")
    assert set(people.unknown) == {"0000000-0000050/0", "0000050-0000100/0"}
