"""Still portraits become clips of one row, and what cannot be used is told."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dubkit.errors import InputError
from dubkit.progress import NoProgress
from dubkit.records import Job
from dubkit.training.dataset import CROP, PreparedSet
from dubkit.training.footage import Source, find_sources
from dubkit.training.prepare import FootageFile, in_turns, prepare
from dubkit.training.sc_data import load_footage
from dubkit.training.stills import cut_still
from dubkit.training.tc_data import load
from tests.painted import Person, paint
from tests.training.talking import config, one_face, write_film

SIZE = (320, 300)


def portrait(path: Path, *people: Person) -> Path:
    """A picture of painted people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = paint(list(people), *SIZE)
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return path


def near(number: int = 0, x: float = 160.0, size: float = 60.0) -> Person:
    return Person(number, x, 110.0, size, 0.0, 0.3)


def refusal(path: Path, out: Path) -> str:
    out.mkdir(exist_ok=True)
    found = cut_still(path, config(), out)
    assert not found.clips
    return found.refused[0].reason


def test_a_portrait_becomes_a_clip_of_one_row_that_the_image_net_reads(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_film(folder / "ann.mkv", 2.0)
    portrait(folder / "faces" / "one.png", near())
    portrait(folder / "faces" / "two.jpg", near(1))
    result = prepare(folder, tmp_path / "set", config("train.prepare.stills=true"), NoProgress())
    found = PreparedSet(result.root)
    assert found.names() == ["ann", "faces__one", "faces__two"]
    assert [found.clips[name].silent for name in found.names()] == [False, True, True]
    assert {facts.person for facts in found.clips.values()} == {"ann", "faces/one", "faces/two"}
    assert result.seconds == pytest.approx(2.0)
    every = [c for split in ("train", "val") for c in load_footage(found, split, 100)]
    assert sorted(len(clip.times) for clip in every) == [1, 1, 50]
    assert all(clip.luma.shape[1:] == (CROP, CROP) for clip in every)
    with pytest.raises(InputError, match="nobody speaks"):
        load(found, ["faces__one"])


def test_pictures_are_footage_only_where_they_are_asked_for(tmp_path: Path) -> None:
    write_film(tmp_path / "ann.mkv", 0.4)
    portrait(tmp_path / "ann.png", near())
    assert [s.file for s in find_sources(tmp_path, tmp_path / "set", research=False)[0]] == [
        "ann.mkv"
    ]
    both, _ = find_sources(tmp_path, tmp_path / "set", research=False, stills=True)
    assert [(s.file, s.still) for s in both] == [("ann.mkv", False), ("ann.png", True)]


def test_what_is_no_portrait_of_one_person_is_refused_with_the_reason(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.write_bytes(b"")
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(portrait(tmp_path / "good.png", near()).read_bytes()[:60])
    assert "not a readable picture" in refusal(empty, tmp_path / "out")
    assert "not a readable picture" in refusal(damaged, tmp_path / "out")
    assert refusal(portrait(tmp_path / "none.png"), tmp_path / "out") == "no face"
    far = portrait(tmp_path / "far.png", near(size=15))
    assert "too small" in refusal(far, tmp_path / "out")
    pair = portrait(tmp_path / "pair.png", near(0, 80, 40), near(1, 240, 40))
    assert refusal(pair, tmp_path / "out") == "several faces"
    assert not list((tmp_path / "out").glob("*"))


def test_a_picture_of_lines_in_one_color_is_taken_for_a_drawing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = portrait(tmp_path / "one.png", near())
    (tmp_path / "out").mkdir()
    assert cut_still(path, config(), tmp_path / "out").clips
    monkeypatch.setattr("dubkit.training.stills.colors", lambda crop: 0.5)
    monkeypatch.setattr("dubkit.training.quality.focus", lambda crop, native: 2.2)
    assert "drawn" in refusal(path, tmp_path / "other")


def test_pictures_alone_are_taken_a_few_a_second_and_without_sound(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_film(folder / "ann.mkv", 2.0, mute=True)
    write_film(folder / "bob.mkv", 2.4)
    settings = config("train.prepare.pictures=5")
    found = PreparedSet(prepare(folder, tmp_path / "set", settings, NoProgress()).root)
    assert {n: f.frames for n, f in found.clips.items()} == {"ann": 10, "bob": 12}
    assert all(facts.silent and facts.rate == 5 for facts in found.clips.values())
    clip = found.load("bob")
    np.testing.assert_allclose(clip.times, np.arange(12) / 5, atol=1e-6)
    assert len(list(found.pictures("bob"))) == 12
    whole = PreparedSet(prepare(folder, tmp_path / "whole", config(), NoProgress()).root)
    assert "no sound" in whole.refused["ann.mkv"]
    every = whole.load("bob").landmarks[::5]
    assert np.abs(every - clip.landmarks).mean() < 0.5  # pixels; smoothed over other neighbors


def test_a_face_that_comes_late_keeps_its_place_in_the_film(tmp_path: Path) -> None:
    def late(frame: int, opening: float) -> list[Person]:
        return one_face(frame, opening) if frame >= 20 else []

    write_film(tmp_path / "in" / "ann.mkv", 3.0, cast=late)
    settings = config("train.prepare.pictures=5")
    found = PreparedSet(prepare(tmp_path / "in", tmp_path / "set", settings, NoProgress()).root)
    (facts,) = found.clips.values()
    assert facts.start == 20
    assert facts.frames == 11


def test_files_are_dealt_so_that_an_interrupted_preparation_holds_something_of_everybody() -> None:
    def file(name: str, person: str) -> FootageFile:
        job = Job(Path(name), Path(name), Path(name), Path(name))
        return FootageFile(Source(name, name, person, "", None, None, None), job)

    files = [file("a1", "a"), file("a2", "a"), file("a3", "a"), file("b1", "b"), file("c1", "c")]
    assert [f.source.name for f in in_turns(files)] == ["a1", "b1", "c1", "a2", "a3"]
