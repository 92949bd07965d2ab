"""Reading the dub's script."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubkit.errors import InputError
from dubkit.media.script import read_script
from dubkit.records import ScriptLine

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hello there.</i>

2
00:00:03,000 --> 00:00:04,000
[door slams]

3
00:00:05,000 --> 00:00:06,000
ANNA: Good (laughs) morning
- to you!
"""


def test_plain_text_gives_its_lines_without_times(tmp_path: Path) -> None:
    path = tmp_path / "-a script, 'quoted' ü.txt"
    path.write_text("\ufeffHello there.\n\n---\nGood morning!\n", encoding="utf-8")
    assert read_script(path) == (ScriptLine("Hello there."), ScriptLine("Good morning!"))


@pytest.mark.parametrize("name", ["dub.srt", "dub.txt"])
def test_subtitles_give_times_and_only_what_is_spoken(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(SRT, encoding="utf-8")
    first, second = read_script(path)
    assert first == ScriptLine("Hello there.", 1.0, 2.5)
    assert second == ScriptLine("Good morning - to you!", 5.0, 6.0)


def test_utf_16_with_a_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "dub.txt"
    path.write_text("Grüße", encoding="utf-16")
    assert read_script(path) == (ScriptLine("Grüße"),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"  \n\n",
        b"[music]\n",
        b"caf\xe9 au lait",
        b"\x00\x01\x02\x03",
        b"\xff\xd8\xff\xe0" * 9,
    ],
)
def test_a_script_without_words_or_in_another_encoding_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "dub.txt"
    path.write_bytes(content)
    with pytest.raises(InputError):
        read_script(path)


def test_a_missing_script_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(InputError):
            read_script(path)


def test_broken_subtitles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "dub.ass"
    path.write_text("this is no subtitle file", encoding="utf-8")
    with pytest.raises(InputError):
        read_script(path)
