"""Stage ``adapt`` and actor profiles, on real footage and where it is asked for what it cannot do."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import dubkit
from dubkit.config.schema import AdaptSettings, Config, GenerateSettings
from dubkit.errors import InputError, ModelError, OutputError, UsageError
from dubkit.faces.people import Person
from dubkit.lips.articulation import Articulator
from dubkit.lips.film_offset import FilmOffset
from dubkit.models.tc import load_actor
from dubkit.pipeline.actor_profile import make_profile
from dubkit.records import Job
from dubkit.stages import adapt
from dubkit.stages.base import StageContext
from dubkit.work.manifest import read_manifest
from dubkit.work.store import read_record
from tests.clips import ffmpeg, film, tone
from tests.faces.test_appearance import face_track

AUTO = Config(adapt=AdaptSettings(enabled="auto"))
WEIGHTS = Path(str(files("dubkit") / "weights"))


def test_nobody_is_adapted_to_where_that_is_switched_off(tmp_path: Path) -> None:
    job = Job(tmp_path / "film.mp4", tmp_path / "dub.wav", tmp_path / "o.mp4", tmp_path / "w")
    off = Config(adapt=AdaptSettings(enabled=False))
    report = adapt.run(StageContext(job, off, tmp_path, {"faces": (), "probe": ()}))
    assert report.notes == ()
    assert not read_record(tmp_path / adapt.RESULT, adapt.AdaptResult).enabled
    assert adapt.actors_of(tmp_path) == {}
    assert adapt.film_offset_of(tmp_path) == FilmOffset(
        None, 0.0, 0.0, 0.0, "0.0 s of speech, 6 s are needed"
    )


def test_where_the_film_decides_people_are_adapted_to_where_a_net_makes_the_mouths() -> None:
    off = AdaptSettings(enabled=False)
    passed_through = GenerateSettings(synthesizer="passthrough")
    assert adapt.identity(Config(generate=passed_through)) == "off"
    known = adapt.identity(Config(generate=GenerateSettings(actor="anna.safetensors")))
    assert known == adapt.identity(Config(adapt=off)) != adapt.identity(AUTO)


def test_a_film_in_which_nobody_speaks_long_is_not_refused_unasked(tmp_path: Path) -> None:
    job = Job(tmp_path / "film.mp4", tmp_path / "dub.wav", tmp_path / "o.mp4", tmp_path / "w")
    report = adapt.run(StageContext(job, AUTO, tmp_path, {"faces": (), "probe": ()}))
    assert report.notes == ()
    assert report.facts["kept"] == 0
    assert read_record(tmp_path / adapt.RESULT, adapt.AdaptResult).persons == ()


def test_the_sound_of_people_who_are_hardly_seen_is_not_looked_at(tmp_path: Path) -> None:
    job = Job(tmp_path / "film.mp4", tmp_path / "dub.wav", tmp_path / "o.mp4", tmp_path / "w")

    class Footage:
        rate, articulator = 25.0, None
        context = StageContext(job, AUTO, tmp_path, {})

        def passage(self, face: adapt.Face) -> None:
            raise AssertionError("looked at")

    seen = film_face(25 * 7)
    person = Person("person_1", ("a/0",), (), 0.0, 0.0)
    result = adapt._adapt(Footage(), 1, person, [seen], None)  # type: ignore[arg-type]
    assert (result.seconds, result.profile) == (0.0, None)
    with pytest.raises(AssertionError, match="looked at"):
        adapt._adapt(Footage(), 1, person, [film_face(25 * 9)], None)  # type: ignore[arg-type]


def film_face(frames: int) -> adapt.Face:
    """A face that is seen all the time."""
    return adapt.Face("a/0", face_track(frames), np.ones(frames, np.bool_))


def test_two_profiles_at_once_are_refused() -> None:
    generate = GenerateSettings(actor="anna.safetensors")
    both = Config(adapt=AdaptSettings(enabled=True), generate=generate)
    with pytest.raises(UsageError, match="would make another"):
        adapt.identity(both)


def test_a_film_without_faces_has_nobody_to_adapt_to(tmp_path: Path) -> None:
    job = Job(tmp_path / "film.mp4", tmp_path / "dub.wav", tmp_path / "o.mp4", tmp_path / "w")
    asked = Config(adapt=AdaptSettings(enabled=True))
    with pytest.raises(
        InputError, match=r"only 0\.0 s of usable speech.*8 s are needed: 0 of 0 faces"
    ):
        adapt.run(StageContext(job, asked, tmp_path, {"faces": (), "probe": ()}))


def test_a_profile_is_not_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "anna.safetensors").write_bytes(b"old")
    with pytest.raises(OutputError, match="exists already"):
        make_profile(tmp_path / "film.mp4", tmp_path / "anna.safetensors")


def test_a_profile_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", seconds=0.4)
    with pytest.raises(InputError, match="usable speech"):
        make_profile(tmp_path / "film.mp4", tmp_path / "anna.safetensors", jobs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize("name", ["tc.safetensors", "nobody.safetensors", "tc.md"])
def test_what_is_no_profile_is_refused_before_the_first_frame(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError):
        dubkit.run(
            film(tmp_path / "film.mp4", seconds=0.2),
            tone(tmp_path / "dub.wav", 0.2),
            out=tmp_path / "o.mp4",
            settings=(f"generate.actor={WEIGHTS / name}",),
        )
    assert not (tmp_path / "o.dubkit").exists()


@pytest.mark.slow
def test_a_speaker_is_adapted_to_or_refused_with_the_reason(data: Path, tmp_path: Path) -> None:
    short, out, work = data / "hdtf" / "RD_Radio34.mp4", tmp_path / "a.safetensors", tmp_path / "w"
    largest = "faces.which=largest"
    with pytest.raises(InputError, match=r"only \d\.\d s of usable speech .* 8 s are needed"):
        make_profile(short, out, work=tmp_path / "short", settings=(largest,), jobs=1)
    assert not out.exists()
    film = data / "usgov" / "obama_address.mp4"
    result = make_profile(film, out, work=work, settings=(largest,), jobs=1)
    assert result.kept
    assert result.after > result.before + 0.01
    actor = load_actor(out, Articulator().digest)
    assert actor.facts.seconds > 10
    manifest = read_manifest(work)
    assert manifest is not None
    assert manifest.results["adapt/job"].facts["kept"] == 1
    assert manifest.results["adapt/job"].facts["person_1_after"] == result.after
    assert any("adapted to" in note for note in manifest.results["adapt/job"].notes)


@pytest.mark.slow
def test_two_people_of_a_film_are_adapted_to_apart(data: Path, tmp_path: Path) -> None:
    film, cuts = _in_turns(data, tmp_path)
    settings = ["faces.which=largest", "adapt.enabled=true", "adapt.min_seconds=5"]
    work = tmp_path / "work"
    dubkit.run(
        film, film, out=tmp_path / "o.mp4", work=work, shots=cuts, settings=settings, until="adapt"
    )
    manifest = read_manifest(work)
    assert manifest is not None
    facts = manifest.results["adapt/job"].facts
    assert facts["persons"] == 2
    assert facts["person_1_faces"] == facts["person_2_faces"] == 2
    assert all(float(str(facts[f"person_{n}_seconds"])) >= 5 for n in (1, 2))
    folder = next(work.glob("video-*/adapt/job"))
    result = read_record(folder / adapt.RESULT, adapt.AdaptResult)
    one, two = result.persons
    assert {face[:7] for face in one.faces} == {"0000000", "0000200"}
    assert {face[:7] for face in two.faces} == {"0000100", "0000300"}
    profiles = adapt.actors_of(folder)
    for person in result.persons:
        assert person.kept == (person.name in {path.stem for path in profiles.values()})
        assert all((face in profiles) == person.kept for face in person.faces)
    assert len({path.read_bytes() for path in profiles.values()}) == facts["kept"]


def _in_turns(data: Path, folder: Path) -> tuple[Path, Path]:
    """A film of two people who speak in turns, four seconds each, and its list of shots."""
    film, cuts = folder / "film.mp4", folder / "cuts.txt"
    inputs: list[str | Path] = []
    for at in (0, 4):
        for name in ("RD_Radio34.mp4", "WDA_BobMenendez.mp4"):
            inputs += ["-ss", str(at), "-t", "4", "-i", data / "hdtf" / name]
    small = "".join(f"[{n}:v]scale=256:256[v{n}];" for n in range(4))
    shots = small + "".join(f"[v{n}][{n}:a]" for n in range(4)) + "concat=n=4:v=1:a=1"
    ffmpeg(*inputs, "-filter_complex", shots, "-c:v", "libx264", "-preset", "veryfast", film)
    cuts.write_text("0\n100\n200\n300\n")
    return film, cuts
