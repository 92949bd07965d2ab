"""Shot lists by hand and by PySceneDetect."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubkit.errors import InputError
from dubkit.media.shotlist import read_shots, write_shots
from dubkit.records import Shot

THREE = [Shot(0, 10), Shot(10, 25), Shot(25, 40)]


@pytest.mark.parametrize(
    "text",
    [
        "0\n10\n25\n",
        "10\n25",
        "\ufeff# cuts\n\n0 first\n10\n25 # last\n",
        "0,9\n10,24\n25,39\n",
        "Scene Number,Start Frame,End Frame\n1,1,10\n2,11,25\n3,26,40\n",
        "Timecode List:,00:00:00.4,00:00:01.0\n"
        "Scene Number,Start Frame,Start Timecode\n1,1,x\n2,11,x\n3,26,x\n",
    ],
)
def test_plain_numbers_and_pyscenedetects_table_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "shots.txt"
    path.write_text(text, encoding="utf-8")
    assert read_shots(path, 40) == THREE


def test_a_written_list_is_read_back(tmp_path: Path) -> None:
    write_shots(tmp_path / "shots.csv", THREE)
    assert read_shots(tmp_path / "shots.csv", 40) == THREE


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no shots"),
        ("# nothing\n", "no shots"),
        ("0\nten\n", "line 2 .* 'ten'"),
        ("0\n10\n40\n", "line 3 .* outside"),
        ("-3\n", "line 1 .* outside"),
        ("0\n20\n10\n", "line 3 .* not later"),
        ("0\n20\n20\n", "line 3 .* not later"),
    ],
)
def test_a_wrong_list_is_refused_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "shots.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=fault):
        read_shots(path, 40)


def test_a_list_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shots.txt"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="not text"):
        read_shots(path, 40)
    with pytest.raises(InputError, match="cannot be read"):
        read_shots(tmp_path / "nothing", 40)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Scene Number,Start Frame\n1," + "word " * 40_000, "is not valid CSV"),
        ("Scene Number,The Start Frames\n1,1\n", "no column 'Start Frame'"),
    ],
    ids=["endless line", "other column"],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "shots.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=fault):
        read_shots(path, 40)
