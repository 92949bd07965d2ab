"""How scratch becomes a published unit, and what is accepted as a work folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dubkit.errors import OutputError, WorkError
from dubkit.records import StageResult
from dubkit.work import folder
from dubkit.work.folder import (
    adopt,
    describe,
    explain,
    intact,
    new_scratch,
    open_work,
    publish,
    sweep,
)
from dubkit.work.manifest import read_manifest, read_receipt, write_receipt


def _unit(root: Path, content: str) -> Path:
    scratch = new_scratch(root)
    (scratch / "deep").mkdir()
    (scratch / "deep" / "a.txt").write_text(content)
    outputs, sizes = describe(scratch)
    write_receipt(scratch, StageResult("faces", "x", "f", outputs=outputs, sizes=sizes))
    return scratch


def test_a_unit_is_published_whole_and_replaces_an_older_one(tmp_path: Path) -> None:
    open_work(tmp_path / "work")
    target = tmp_path / "work" / "video-0123456789ab" / "faces" / "x"
    for content in ("one", "two"):
        publish(_unit(tmp_path / "work", content), target)
        assert (target / "deep" / "a.txt").read_text() == content
    receipt = intact(target, thorough=True)
    assert receipt is not None
    assert list(receipt.outputs) == ["deep/a.txt"]
    assert list((tmp_path / "work" / "scratch").iterdir()) == []


def test_an_adopted_unit_is_as_good_as_the_one_it_came_from(tmp_path: Path) -> None:
    open_work(tmp_path)
    first, second = tmp_path / "dub-aaaaaaaaaaaa/g/x", tmp_path / "dub-bbbbbbbbbbbb/g/x"
    publish(_unit(tmp_path, "one"), first)
    adopt(tmp_path, first, second)
    assert intact(second, thorough=True) == intact(first, thorough=True)


def test_sweeping_removes_what_was_in_the_making(tmp_path: Path) -> None:
    open_work(tmp_path)
    _unit(tmp_path, "half")
    (tmp_path / ".manifest.json.123").write_text("{")
    sweep(tmp_path)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not list(tmp_path.glob(".manifest*"))


def test_a_folder_with_strangers_is_refused_but_an_own_one_may_hold_notes(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(WorkError, match=r"it contains notes\.txt"):
        open_work(tmp_path)
    own = tmp_path / "own"
    open_work(own)
    (own / "notes.txt").write_text("")
    open_work(own)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, OutputError, "disk is full"),
        (errno.EDQUOT, OutputError, "disk is full"),
        (errno.EACCES, OutputError, "cannot be written"),
        (errno.EROFS, OutputError, "cannot be written"),
        (errno.EIO, WorkError, "/x/y"),
    ],
)
def test_errors_of_the_system_become_sentences(number: int, kind: type, words: str) -> None:
    error = explain(OSError(number, "why", "/x/y"), Path("/x"))
    assert type(error) is kind
    assert words in error.message
    assert error.hint


@pytest.mark.parametrize(
    "place", ["scratch", "lock", "manifest.json", "video-0123456789ab", "dub-0123456789ab/faces"]
)
def test_a_link_in_a_work_folder_is_refused_and_what_it_leads_to_stays(
    tmp_path: Path, place: str
) -> None:
    root, outside = tmp_path / "work", tmp_path / "outside"
    open_work(root)
    outside.mkdir()
    (outside / "mine").write_text("mine")
    link = root / place
    if link.is_dir():
        link.rmdir()
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    with pytest.raises(WorkError, match="is a link"):
        open_work(root)
    assert (outside / "mine").read_text() == "mine"


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret"])
def test_a_receipt_that_names_a_file_outside_its_folder_is_no_receipt(
    tmp_path: Path, name: str
) -> None:
    unit = tmp_path / "unit"
    unit.mkdir()
    (tmp_path / "secret").write_text("x")
    path = unit / name
    size = path.stat().st_size if path.exists() else 1
    write_receipt(unit, StageResult("faces", "job", "print", {name: "0"}, {name: size}))
    assert intact(unit) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_book_that_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "receipt.json")
    assert read_receipt(tmp_path) is None


def test_a_book_nested_beyond_reason_is_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[" * 200_000)
    (tmp_path / "receipt.json").write_text("[" * 200_000)
    assert read_manifest(tmp_path) is None
    assert read_receipt(tmp_path) is None


def test_frames_of_units_under_way_can_be_read_and_leave_nothing(tmp_path: Path) -> None:
    folder.open_work(tmp_path)
    scratch = folder.new_scratch(tmp_path)
    frames = folder.counted(scratch, "faces", range(100))
    assert folder.frames_under_way(tmp_path) == {}
    assert [next(frames) for _ in range(3)] == [0, 1, 2]
    assert folder.frames_under_way(tmp_path) == {"faces": 1}, "written at most twice a second"
    assert len(list(frames)) == 97
    assert folder.frames_under_way(tmp_path) == {}
    (scratch.parent / f"{scratch.name}.generate.frames").write_text("7")
    assert folder.frames_under_way(tmp_path) == {"generate": 7}
    folder.sweep(tmp_path)
    assert list(scratch.parent.iterdir()) == []
