"""TTML of studios and broadcasters in all legal forms, and EBU STL."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from dubkit.errors import InputError
from dubkit.media.script import read_script
from dubkit.media.timed_text import Clock, read_ttml
from dubkit.records import ScriptLine

NAMES = (
    'xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" '
    'xmlns:tts="http://www.w3.org/ns/ttml#styling" xmlns:ttm="http://www.w3.org/ns/ttml#metadata" '
    'xmlns:daptm="http://www.w3.org/ns/ttml/profile/dapt#metadata"'
)


def write(folder: Path, body: str, about: str = "", head: str = "", name: str = "dub.ttml") -> Path:
    path = folder / name
    path.write_text(f"<tt {NAMES} {about}><head>{head}</head><body{body}</body></tt>", "utf-8")
    return path


def times(path: Path) -> list[tuple[float | None, float | None]]:
    return [(line.start, line.end) for line in read_script(path)]


RATE25 = 'ttp:frameRate="25"'
FILM = 'ttp:frameRate="24" ttp:frameRateMultiplier="1000 1001"'
NTSC = 'ttp:frameRate="30" ttp:frameRateMultiplier="1000 1001" ttp:timeBase="smpte"'


@pytest.mark.parametrize(
    ("about", "body", "expected"),
    [
        ("", '><div><p begin="00:00:01.000" end="00:00:02.500">Hi</p></div>', (1.0, 2.5)),
        ("", '><div><p begin="1s" dur="2s">Hi</p></div>', (1.0, 3.0)),
        ("", '><div><p begin="500ms" end="0.025m">Hi</p></div>', (0.5, 1.5)),
        (RATE25, '><div><p begin="25f" end="50f">Hi</p></div>', (1.0, 2.0)),
        (RATE25, '><div><p begin="00:00:01:12" end="00:00:02:00">Hi</p></div>', (1.48, 2.0)),
        (RATE25 + ' ttp:subFrameRate="2"', '><div><p begin="00:00:01:12.1" dur="1s">Hi</p></div>', (1.5, 2.5)),
        (FILM, '><div><p begin="01:00:01:12" end="01:00:02:00">Hi</p></div>', (3601.5005, 3602.0)),
        (NTSC, '><div><p begin="00:01:00:00" dur="1s">Hi</p></div>', (60.06, 61.06)),
        (NTSC + ' ttp:dropMode="dropNTSC"', '><div><p begin="00:10:00:00" dur="1s">Hi</p></div>', (599.9994, 600.9994)),
        ('ttp:tickRate="10000000"', '><div><p begin="5000000t" end="25000000t">Hi</p></div>', (0.5, 2.5)),
        ("", '><div begin="10s"><p begin="1s" end="2s">Hi</p></div>', (11.0, 12.0)),
        ("", ' begin="10s"><div begin="5s" dur="1.5s"><p begin="1s" end="9s">Hi</p></div>', (16.0, 16.5)),
        ("", '><div><p><span begin="1s" end="2s">Hi</span></p></div>', (1.0, 2.0)),
        ("", '><div timeContainer="seq"><p dur="1s"/><p begin="1s" dur="2s">Hi</p></div>', (2.0, 4.0)),
        ("", '><div begin="3s" end="4s"><p>Hi</p></div>', (3.0, 4.0)),
        ("", '><div><p begin="1:02:03,5" dur="1s">Hi</p></div>', (3723.5, 3724.5)),
        ("", "><div><p>Hi</p></div>", (None, None)),
    ],
)  # fmt: skip
def test_every_legal_form_of_time_is_read(
    tmp_path: Path, about: str, body: str, expected: tuple[float, float]
) -> None:
    (found,) = times(write(tmp_path, body, about))
    assert (
        found == pytest.approx(expected, abs=1e-4) if expected[0] is not None else found == expected
    )


moments = st.integers(0, 99 * 3600 * 1000)


@given(moments, st.sampled_from([24, 25, 30, 50, 60]), st.booleans())
def test_a_moment_is_the_same_in_every_notation(milliseconds: int, rate: int, film: bool) -> None:
    seconds = Fraction(milliseconds, 1000)
    rates = Fraction(rate * 1000, 1001) if film else Fraction(rate)
    clock = Clock(frame_rate=rates, tick_rate=Fraction(1000))
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole, part = divmod(rest, 1000)
    for text in (
        f"{hours:02d}:{minutes:02d}:{whole:02d}.{part:03d}",
        f"{milliseconds}ms",
        f"{milliseconds}t",
        f"{milliseconds // 1000}.{milliseconds % 1000:03d}s",
    ):
        assert clock.seconds(text) == seconds
    frame = milliseconds % int(rates)
    assert clock.seconds(f"{hours:02d}:{minutes:02d}:{whole:02d}:{frame:02d}") == (
        seconds - Fraction(part, 1000) + frame / rates
    )
    assert clock.seconds(f"{milliseconds % 10**6}f") == milliseconds % 10**6 / rates


@given(st.text("0123456789:.;,hmsft -+e", max_size=14))
def test_any_other_text_is_a_time_or_refused_as_none(text: str) -> None:
    with suppress(ValueError):
        assert 0 <= Clock().seconds(text) <= 100 * 3600


DAPT = (
    'xml:lang="fr" daptm:scriptRepresents="audio.dialogue" daptm:langSrc="en" '
    'daptm:scriptType="asRecorded"'
)
AGENTS = (
    '<metadata><ttm:agent type="character" xml:id="c1"><ttm:name type="full">Anna Karenina</ttm:name>'
    '<ttm:name type="alias">ANNA</ttm:name></ttm:agent></metadata>'
)
EVENTS = (
    '><div xml:id="d1" begin="1s" end="3s" ttm:agent="c1" daptm:onScreen="ON"><p xml:lang="en">Good morning.</p>'
    '<p xml:lang="fr" daptm:langSrc="en">Bonjour mon ami.</p></div>'
    '<div xml:id="d2" begin="3s" end="4s" ttm:agent="c1" daptm:onScreen="OFF"><p xml:lang="fr" daptm:langSrc="en">'
    "<span>Au revoir.</span><metadata>breath</metadata></p></div>"
    '<div xml:id="d3" begin="5s" end="6s" daptm:represents="audio.nonDialogueSounds"><p>wind</p></div>'
)


def test_of_a_dubbing_script_the_translation_is_read_with_speakers_and_screen(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, EVENTS, DAPT, AGENTS)
    assert read_script(path) == (
        ScriptLine("Bonjour mon ami.", 1.0, 3.0, "ANNA", True, "fr", 2),
        ScriptLine("Au revoir.", 3.0, 4.0, "ANNA", False, "fr", 3),
    )
    told: list[str] = []
    first, second = read_script(path, "en-US", told.append)
    assert (first.text, second.text) == ("Good morning.", "Au revoir.")
    assert not told


def test_an_event_that_is_not_translated_is_left_out_and_told(tmp_path: Path) -> None:
    more = '<div begin="7s" end="8s"><p xml:lang="en">Not yet.</p></div>'
    told: list[str] = []
    lines = read_script(write(tmp_path, EVENTS + more, DAPT, AGENTS), None, told.append)
    assert [line.text for line in lines] == ["Bonjour mon ami.", "Au revoir."]
    (sentence,) = told
    assert "1 line" in sentence
    assert "is not translated and left out (line 5)" in sentence


def test_two_languages_at_the_same_times_are_told_and_one_is_taken(tmp_path: Path) -> None:
    body = "><div>" + "".join(
        f'<p xml:lang="{code}" begin="{at}s" end="{at + 1}s">{code} {at}</p>'
        for at in (1, 3)
        for code in ("en", "de")
    )
    path = write(tmp_path, body + "</div>", 'xml:lang="de"')
    told: list[str] = []
    assert [line.text for line in read_script(path, None, told.append)] == ["de 1", "de 3"]
    (sentence,) = told
    assert "its lines in 'en' are left out; --language en takes those" in sentence
    assert [line.text for line in read_script(path, "en", told.append)] == ["en 1", "en 3"]


def test_a_damaged_document_is_read_up_to_its_damage(tmp_path: Path) -> None:
    path = write(tmp_path, EVENTS, DAPT, AGENTS)
    text = path.read_text("utf-8")
    path.write_text(text[: text.index("Au revoir") + 4] + "<<&", "utf-8")
    told: list[str] = []
    lines = read_script(path, None, told.append)
    assert lines[0].text == "Bonjour mon ami."
    assert len(told) == 1
    assert "is damaged and was read up to there" in told[0]


def test_what_is_no_dialogue_is_left_out(tmp_path: Path) -> None:
    body = (
        '><div><p begin="1s" end="2s" ttm:role="sound">[wind]</p><p begin="2s" end="3s" ttm:role="lyrics">la</p>'
        '<p begin="3s" end="4s" ttm:role="narration">Once</p><p begin="4s" end="5s">日<span tts:ruby="text">に</span>本'
        "<br/>語 <ttm:desc>a note</ttm:desc>now</p></div>"
    )
    found = read_script(write(tmp_path, body))
    assert [(line.text, line.on_screen) for line in found] == [
        ("Once", False),
        ("日本 語 now", None),
    ]


@pytest.mark.parametrize(
    "space", ["http://www.w3.org/2006/10/ttaf1", "http://www.w3.org/2006/04/ttaf1", ""]
)
def test_older_namespaces_and_none_are_understood(tmp_path: Path, space: str) -> None:
    path = tmp_path / "dub.dfxp"
    about = f'xmlns="{space}" xmlns:ttp="{space}#parameter" ttp:frameRate="25"' if space else ""
    path.write_text(
        f'<tt {about}><body><div><p begin="1s" end="2s">Hi</p></div></body></tt>', "utf-8"
    )
    assert times(path) == [(1.0, 2.0)]


def test_times_of_day_are_not_taken_for_times_of_the_film(tmp_path: Path) -> None:
    told: list[str] = []
    path = write(
        tmp_path, '><div><p begin="12:00:01" end="12:00:02">Hi</p></div>', 'ttp:timeBase="clock"'
    )
    assert read_script(path, None, told.append) == (ScriptLine("Hi", number=1),)
    assert "its times are ignored" in told[0]


def test_xml_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dub.xml"
    path.write_text("<?xml version='1.0'?><fcpxml><p>hi</p></fcpxml>", "utf-8")
    with pytest.raises(InputError, match="its XML is not TTML"):
        read_script(path)


@given(st.text(max_size=60))
def test_any_document_is_read_or_refused(text: str) -> None:
    told: list[str] = []
    with suppress(InputError):
        read_ttml(
            f"<tt><body><div><p begin='1s' end='2s'>{text}</p></div></body></tt>", "x", told.append
        )


def stl(
    *lines: tuple[int, str, str, bytes], start: bytes = b"10000000", language: bytes = b"08"
) -> bytes:
    """An EBU STL file of these subtitles: (number, time code in, out, text)."""
    head = bytearray(b" " * 1024)
    head[0:16] = b"850STL25.01100" + language
    head[238:256] = f"{len(lines):05d}{len(lines):05d}00140231".encode()
    head[255:264] = b"1" + start
    blocks = []
    for number, begin, end, text in lines:
        codes = [bytes(int(part) for part in code.split(":")) for code in (begin, end)]
        block = bytes([0]) + number.to_bytes(2, "little") + b"\xff\x00" + codes[0] + codes[1]
        blocks.append(block + bytes([20, 2, 0]) + text.ljust(112, b"\x8f"))
    return bytes(head) + b"".join(blocks)


GUTEN = (0, "10:00:01:00", "10:00:02:12", b"ANNA: Sch\xc8on!\x8aGuten Tag")
ABEND = (1, "10:00:03:00", "10:00:04:00", b"\x80Guten Abend\x81")


def test_ebu_stl_is_read_from_the_beginning_of_its_program(tmp_path: Path) -> None:
    path = tmp_path / "dub.stl"
    path.write_bytes(stl(GUTEN, ABEND))
    assert read_script(path) == (
        ScriptLine("Schön! Guten Tag", 1.0, 2.48, "ANNA", None, "de", 1),
        ScriptLine("Guten Abend", 3.0, 4.0, None, None, "de", 2),
    )


def test_a_damaged_ebu_stl_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "dub.stl"
    path.write_bytes(stl(GUTEN, ABEND)[:-40])
    told: list[str] = []
    assert [line.text for line in read_script(path, None, told.append)] == ["Schön! Guten Tag"]
    assert "has errors and was read as far as it can be" in told[0]


def test_an_ebu_stl_subtitle_without_an_end_is_not_read_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "dub.stl"
    block = bytearray(stl(ABEND)[1024:])
    block[3] = 7  # goes on in the next block
    path.write_bytes(stl(GUTEN) + bytes(block) * 4000)
    told: list[str] = []
    assert [line.text for line in read_script(path, None, told.append)] == ["Schön! Guten Tag"]
    assert "one of its subtitles has no end" in told[0]
