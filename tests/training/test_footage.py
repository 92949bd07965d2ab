"""Which files are footage, what their clips are called, and what is said in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubkit.config.schema import Config
from dubkit.errors import InputError
from dubkit.records import Shot
from dubkit.training.analyze import _cut_long
from dubkit.training.footage import Source, find_sources, read_lines


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(folder: Path) -> dict[str, Source]:
    sources, _ = find_sources(folder, folder / "set", research=False)
    return {source.file: source for source in sources}


def test_a_person_is_a_folder_or_a_file_that_lies_in_none(tmp_path: Path) -> None:
    touch(tmp_path, "ann/a.mp4", "ann/b.MOV", "film/bob/c.mkv", "carl.webm", "notes.pdf")
    people = {file: source.person for file, source in found(tmp_path).items()}
    assert people == {
        "ann/a.mp4": "ann",
        "ann/b.MOV": "ann",
        "film/bob/c.mkv": "film/bob",
        "carl.webm": "carl",
    }


def test_no_two_clips_have_one_name(tmp_path: Path) -> None:
    long = "x" * 120
    touch(tmp_path, "a/b.mp4", "a__b.mp4", "c.mp4", "c.mov", f"{long}/1.mp4", f"{long}/2.mp4")
    names = [source.name for source in found(tmp_path).values()]
    assert len(set(names)) == 6
    assert max(map(len, names)) <= 120
    assert not [name for name in names if "/" in name]


def test_the_set_inside_the_footage_is_not_footage(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "set/clips/a.mp4")
    assert list(found(tmp_path)) == ["a.mp4"]


def test_scripts_are_found_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "a.srt", "b.mp4")
    sources = found(tmp_path)
    assert (sources["a.mp4"].script, sources["b.mp4"].script) == ("a.srt", None)


def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    (tmp_path / "clips.csv").write_text("name,who\na.mp4,ann\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no column file"):
        found(tmp_path)
    (tmp_path / "clips.csv").write_bytes(b"file,person\n\xff\xfe\x00,x\n")
    with pytest.raises(InputError, match="cannot be read"):
        found(tmp_path)


def test_word_lists_of_the_grid_corpus_are_scripts(tmp_path: Path) -> None:
    path = tmp_path / "a.align"
    path.write_text("0 100 sil\n100 200 bin\n200 300 blue\n300 400 sil\n", encoding="utf-8")
    assert [line.text for line in read_lines(path)] == ["bin blue"]
    path.write_text("nothing\n", encoding="utf-8")
    with pytest.raises(InputError, match="not a list of words with times"):
        read_lines(path)
    path.write_text("0 100 sil\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no words"):
        read_lines(path)


def test_long_shots_are_cut_in_equal_parts_without_a_gap() -> None:
    longest = Config().train.prepare.max_seconds
    pieces = _cut_long([Shot(0, 100), Shot(100, 4000)], 25.0, longest)
    assert pieces[0] == Shot(0, 100)
    assert [p.start for p in pieces[1:]] == [p.end for p in pieces[:-1]]
    assert pieces[-1].end == 4000
    assert max(p.frames for p in pieces) <= longest * 25
