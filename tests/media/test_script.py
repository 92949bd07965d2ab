"""Reading the dub's script."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubkit.errors import InputError
from dubkit.media.script import read_script, within
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
    assert read_script(path) == (
        ScriptLine("Hello there.", number=1),
        ScriptLine("Good morning!", number=4),
    )


@pytest.mark.parametrize("name", ["dub.srt", "dub.txt"])
def test_subtitles_give_times_and_only_what_is_spoken(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(SRT, encoding="utf-8")
    first, second, third = read_script(path)
    assert first == ScriptLine("Hello there.", 1.0, 2.5, number=1)
    assert second == ScriptLine("Good morning", 5.0, 6.0, "ANNA", number=3)
    assert third == ScriptLine("to you!", 5.0, 6.0, number=3)


def test_utf_16_with_a_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "dub.txt"
    path.write_text("Grüße", encoding="utf-16")
    assert read_script(path) == (ScriptLine("Grüße", number=1),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"  \n\n",
        b"[music]\n",
        b"%PDF-1.7 \xe2\xe3\xcf\xd3 some words",
        bytes(range(256)),
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


TTML = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:tts="http://www.w3.org/ns/ttml#styling">
<body><div><p begin="00:00:01.000" end="00:00:02.500">Guten
<span tts:fontStyle="italic">Morgen</span>,<br/>Anna.</p>
<p begin="3s" end="4.5s">Gr\u00fc\u00dfe!</p></div></body></tt>"""
VTT = """WEBVTT

NOTE not said

00:01.000 --> 00:02.500 align:start
<v Anna>Hello <b>there</b>.</v>

00:03.000 --> 00:04.500
Bye!
"""
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:03.00,0:00:04.50,Default,Anna,0,0,0,,Second {\\i1}line{\\i0}\\Nhere
Comment: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,not said
Dialogue: 0,0:00:01.00,0:00:02.50,Default,Bob,0,0,0,,First line
"""


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.ttml", TTML.encode(), ["Guten Morgen, Anna.", "Gr\u00fc\u00dfe!"]),
        ("a.dfxp", TTML.encode("utf-16"), ["Guten Morgen, Anna.", "Gr\u00fc\u00dfe!"]),
        ("a.vtt", VTT.encode(), ["Hello there.", "Bye!"]),
        ("a.ass", ASS.encode(), ["First line", "Second line here"]),
        ("a.txt", b"00:00:03 - 00:00:04,5 BOB: Later\n0:01 - 0:02.5 Sooner\n", ["Sooner", "Later"]),
    ],
)
def test_every_format_gives_what_is_said_and_when_in_order(
    tmp_path: Path, name: str, content: bytes, texts: list[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    lines = read_script(path)
    assert [line.text for line in lines] == texts
    assert [(line.start, line.end) for line in lines] == [(1.0, 2.5), (3.0, 4.5)]


def test_plain_lines_that_begin_with_a_time_last_until_the_next(tmp_path: Path) -> None:
    path = tmp_path / "dub.txt"
    path.write_text("[00:01] ANNA: Hello\n[01:05.5] Bye\n", encoding="utf-8")
    first, second = read_script(path)
    assert first == ScriptLine("Hello", 1.0, 65.5, "ANNA", number=1)
    assert (second.text, second.start) == ("Bye", 65.5)


def test_plain_text_with_a_time_in_one_line_stays_plain(tmp_path: Path) -> None:
    path = tmp_path / "dub.txt"
    path.write_text("Meet me.\n10:30 is fine\n", encoding="utf-8")
    assert [line.start for line in read_script(path)] == [None, None]


def test_overlapping_and_unsorted_subtitles_come_in_order(tmp_path: Path) -> None:
    path = tmp_path / "dub.srt"
    path.write_text(
        "1\n00:00:05,000 --> 00:00:07,000\nthird\n\n2\n00:00:01,000 --> 00:00:06,000\nfirst\n\n"
        "3\n00:00:02,000 --> 00:00:03,000\nsecond\n",
        encoding="utf-8",
    )
    assert [line.text for line in read_script(path)] == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("caf\u00e9 au lait", "cp1252"),
        ("Sch\u00f6ne Gr\u00fc\u00dfe aus M\u00fcnchen, Fr\u00e4ulein M\u00fcller!", "cp1252"),
        ("Доброе утро, дорогие друзья. Сегодня прекрасная погода.", "cp1251"),
        ("大家早上好，很高兴今天见到你们。", "gb18030"),
        ("おはようございます。今日はとても良い天気です。", "shift_jis"),
        ("Gr\u00fc\u00dfe", "utf-32"),
    ],
)
def test_other_encodings_are_told_by_their_bytes(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "dub.txt"
    path.write_bytes(text.encode(encoding))
    assert read_script(path) == (ScriptLine(text, number=1),)


@pytest.mark.parametrize(
    "end", ["00:00:0-1.5", "10frogs", "-2s", "1e999s", "", "00:70:00", "99999999h"]
)
def test_a_time_that_is_none_is_told_and_its_line_used_without(tmp_path: Path, end: str) -> None:
    path = tmp_path / "dub.ttml"
    text = f'<tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="0s" end="{end}">hi</p>'
    more = '<p begin="2s" dur="1s">there</p>'
    path.write_text(f"{text}{more}</div></body></tt>", encoding="utf-8")
    told: list[str] = []
    lines = read_script(path, None, told.append)
    assert lines == (ScriptLine("hi", number=1), ScriptLine("there", 2.0, 3.0, number=2))
    (sentence,) = told
    assert "1 time of the script" in sentence
    assert "(line 1)" in sentence


def test_what_is_odd_but_not_needed_is_passed_over_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "dub.ass"
    fields = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"
    path.write_text(
        f"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n\n[Events]\nFormat: {fields}\n"
        "Dialogue: 0,0:00:00.20,0:00:01.50,Default,,wide,0,0,,My portrait\n",
        encoding="utf-8",
    )
    assert read_script(path) == (ScriptLine("My portrait", 0.2, 1.5, number=1),)


@pytest.mark.parametrize("name", ["dub.ttml", "dub.srt", "dub.ass"])
def test_broken_subtitles_of_any_kind_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("<tt><q>no subtitle file", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        read_script(path)


def test_rows_of_a_screenplay_name_who_speaks_and_who_is_not_in_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "dub.txt"
    path.write_text(
        "INT. KITCHEN - DAY\n\nANNA (V.O.): Hello there (laughs), friend.\nAnd more.\n\n"
        "BORIS:\nI say a thing.\n\nRemember: never again.\nNARRATOR: Once upon a time...\nCUT TO:\n"
        "(O.S.) Wait!\n# la la la #\nDr. Who (whispering): Boris: here\n",
        encoding="utf-8",
    )
    found = [(line.number, line.speaker, line.on_screen, line.text) for line in read_script(path)]
    assert found == [
        (3, "ANNA", False, "Hello there, friend."),
        (4, "ANNA", False, "And more."),
        (7, "BORIS", None, "I say a thing."),
        (9, None, None, "Remember: never again."),
        (10, "NARRATOR", False, "Once upon a time..."),
        (12, None, False, "Wait!"),
        (14, "Dr. Who", None, "Boris: here"),
    ]


def test_drawings_signs_and_comments_of_subtitles_are_not_spoken(tmp_path: Path) -> None:
    path = tmp_path / "dub.ass"
    drawing = "Dialogue: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,{\\p1}m 0 0 l 100 0{\\p0}\n"
    sign = "Dialogue: 0,0:00:02.00,0:00:03.00,Sign,,0,0,0,,POLICE STATION\n"
    karaoke = (
        "Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\\k20}and {\\k30}gen{\\k10}tlemen\n"
    )
    path.write_text(ASS + drawing + sign + karaoke, encoding="utf-8")
    lines = read_script(path)
    assert [line.text for line in lines] == ["First line", "Second line here", "and gentlemen"]
    assert [line.speaker for line in lines] == ["Bob", "Anna", None]


def at(*starts: float) -> tuple[ScriptLine, ...]:
    return tuple(ScriptLine("hi", s, s + 1, number=i) for i, s in enumerate(starts, start=1))


def test_times_that_begin_at_an_hour_count_from_there() -> None:
    told: list[str] = []
    assert within(at(36001.0, 36005.0), 10.0, told.append) == at(1.0, 5.0)
    assert told == ["the script's times begin at 10:00:00: they are counted from there"]


def test_lines_after_the_end_of_the_dub_are_left_out_and_told() -> None:
    told: list[str] = []
    assert within(at(1.0, 5.0, 12.0), 10.0, told.append) == at(1.0, 5.0)
    assert told == [
        "1 line of the script lies after the end of the dub (10.0 s) and is left out, the first: line 3"
    ]
    lines = within(at(1.0, 50.0, 120.0), 10.0, told.append)
    assert [(line.start, line.end) for line in lines] == [(None, None)] * 3
    assert "its times are ignored" in told[1]
    assert within(at(1.0), 10.0, told.append) == at(1.0)
    assert len(told) == 2
