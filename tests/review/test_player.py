"""The player of the page: the whole film, original and dubbed in step, with time codes, notes and markers."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dubkit.delivery.cut_list import CutList
from dubkit.delivery.markers import read_notes
from dubkit.media.process import find_program, run
from dubkit.media.timecode import Clock, read
from dubkit.pipeline.verdicts import read_verdicts
from tests.review.pages import clock, film_video, page, shot
from tests.review.test_page import downloaded, verdicts

if TYPE_CHECKING:
    from tests.review.conftest import Browser

WIDTHS = (500, 860, 1000, 1440, 2560)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film_video(tmp_path_factory.mktemp("film") / "film.mp4", 12)


@pytest.fixture
def played(tmp_path: Path, browser: Browser, film: Path) -> Browser:
    """A film of four shots of three seconds, with its video, from an hour on."""
    shots = [shot(number) for number in range(4)]
    facts = {"clock": clock(first=90000, frames=300), "seconds": 12.0}
    browser.open(page(tmp_path / "page.html", shots, film=film, facts=facts))
    browser.wait("document.documentElement.dataset.film === 'yes'")
    browser.wait("player.video && player.video.readyState >= 2")
    return browser


def colors(browser: Browser) -> tuple[str, str]:
    """Of the left and of the right half of the canvas."""
    return pixel(browser, 0.25), pixel(browser, 0.75)


def pixel(browser: Browser, x: float, y: float = 0.5) -> str:
    """The name of the color at a part of the canvas."""
    code = (
        "const c = $('screen'), own = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});"
        f"own.drawImage(c, {x} * c.width, {y} * c.height, 1, 1, 0, 0, 1, 1);"
        "const p = own.getImageData(0, 0, 1, 1).data;"
        "return p[0] > 150 ? 'red' : p[2] > 150 ? 'blue' : 'other'"
    )
    name: str = browser.js(code)
    return name


def test_the_same_frame_is_shown_side_by_side_in_turn_and_with_a_wipe(played: Browser) -> None:
    assert colors(played) == ("red", "blue")
    played.press("b")
    assert colors(played) == ("blue", "blue")
    played.press("b")
    assert colors(played) == ("red", "red")
    played.press("w")
    assert colors(played) == ("red", "blue")
    assert played.js("return $('screen').width") == 160
    played.press("s")
    assert played.js("return $('screen').width") == 320
    assert played.errors() == []


def test_frames_are_stepped_and_told_as_time_codes(played: Browser) -> None:
    played.js("choose(1)")
    assert played.text("#code") == "01:00:03:00"
    played.press("...")
    assert (played.text("#code"), played.text("#frame")) == ("01:00:03:03", "frame 78")
    played.press(",")
    assert played.text("#code") == "01:00:03:02"
    played.press(">")
    assert played.text("#code") == "01:00:04:02"
    played.js("seek(5.97)")
    played.press(".")
    assert (played.text("#code"), played.js("return view.chosen")) == ("01:00:06:00", 2)
    played.js("location.hash = '#at=01:00:09:10'")
    played.wait("$('code').textContent === '01:00:09:10'")
    assert played.js("return view.chosen") == 3


def test_a_playing_film_takes_the_page_along_unless_the_shot_is_looped(played: Browser) -> None:
    played.js("choose(0); seek(2.6)")
    played.press(" ")
    played.wait("view.chosen === 1")
    played.press("l")
    played.js("seek(5.7)")
    played.wait("now() > 5.8 || now() < 3.5")
    played.wait("now() < 4.5")
    assert played.js("return view.chosen") == 1
    played.press(" l")
    assert played.js("return player.video.paused")
    assert played.errors() == []


def test_the_sound_follows_the_picture_or_what_was_chosen(played: Browser) -> None:
    played.press("  ")
    gains = "return routes.get(player.video).map((gain) => gain.gain.value)"
    assert played.js(gains) == [0, 1]
    played.press("bb")
    assert played.js(gains) == [1, 0]
    played.js("$('listening').value = 'dub'; $('listening').dispatchEvent(new Event('change'))")
    assert played.js(gains) == [0, 1]
    played.js("$('listening').value = 'off'; $('listening').dispatchEvent(new Event('change'))")
    assert played.js("return player.video.muted")


def test_a_close_up_enlarges_the_face(played: Browser) -> None:
    played.press("c")
    played.wait("$('screen').width === 128 && $('screen').height === 96")
    assert colors(played) == ("red", "blue")
    played.press("c")
    played.wait("$('screen').width === 320")


def test_the_lanes_hold_sound_mouths_phonemes_words_and_time_codes(played: Browser) -> None:
    words = "return [...document.querySelectorAll('#plot .word')].map((e) => e.textContent)"
    assert played.js(words)[:1] == ["The"]
    codes = played.js(
        "return [...document.querySelectorAll('#plot .code')].map((e) => e.textContent)"
    )
    assert codes[0] == played.js("return codeOf(SHOTS[view.chosen])")
    assert played.js("return document.querySelectorAll('#plot .wave').length") == 1
    texts = played.js(
        "return [...document.querySelectorAll('#plot text')].map((e) => e.textContent)"
    )
    assert {"no sound", "dub"} <= {*texts}


@pytest.mark.parametrize(
    ("rate", "drop"),
    [((25, 1), False), ((24000, 1001), False), ((30000, 1001), True), ((60000, 1001), True)],
)
def test_time_codes_are_those_of_the_library(
    tmp_path: Path, browser: Browser, rate: tuple[int, int], drop: bool
) -> None:
    path = page(tmp_path / "page.html", [shot(0)], facts={"clock": clock(rate, drop=drop)})
    browser.open(path)
    counts = [0, 1, 1799, 1800, 1801, 3600, 17981, 17982, 17983, 107892, 2_500_000]
    told: list[str] = browser.js(f"return {json.dumps(counts)}.map(timecode)")
    known = Clock(Fraction(*rate), drop)
    assert told == [known.text(count) for count in counts]
    back = browser.js(f"return {json.dumps(told)}.map(frameOfCode)")
    assert back == [read(code, known.rate)[0] for code in told]


def test_notes_on_frames_are_kept_shown_saved_and_read_again(
    played: Browser, tmp_path: Path
) -> None:
    played.js("choose(1); seek(4.02)")
    played.press("m")
    played.press("lips late\ue007")
    played.press("\ue00c")
    assert played.text(".remarks li") == "01:00:04:00lips late✕"
    assert played.js("return document.querySelectorAll('#plot .pin').length") == 1
    played.js(
        "const f = $('verdict-filter'); f.value = 'noted'; f.dispatchEvent(new Event('change'))"
    )
    assert played.text("#count") == "1 of 4 shots"
    played.press("d")
    path = downloaded(played, "film.dubbed.verdicts.json")
    (note,) = read_verdicts(path).notes
    assert (note.frame, note.timecode, note.text) == (100, "01:00:04:00", "lips late")
    saved = path.read_text(encoding="utf-8")
    path.unlink()
    played.js("removeNote(notes[0])")
    assert played.js("return notes.length") == 0
    again = tmp_path / "again.json"
    again.write_text(saved)
    played.element("#file").send_keys(str(again))
    played.wait("notes.length === 1")


def cuts(film: dict[str, Any]) -> CutList:
    known = Clock(Fraction(*film["rate"]), film["drop"])
    return CutList("film", "FILM", known, film["first"], film["frames"], (1280, 720), None)


@pytest.mark.parametrize("form", ["csv", "edl", "fcpxml"])
@pytest.mark.parametrize("rate", [(25, 1), (30000, 1001)])
def test_markers_are_those_that_the_command_reads_and_the_page_reads_them_again(
    tmp_path: Path, browser: Browser, form: str, rate: tuple[int, int]
) -> None:
    known = clock(rate, drop=rate[1] != 1, first=1800, frames=1200)
    shots = [shot(number, why="", state="dubbed") for number in range(6)]
    browser.open(page(tmp_path / "page.html", shots, facts={"clock": known}))
    browser.js(
        "setVerdict(SHOTS[1].name, {verdict: 'reject', instead: 'preset:preview', note: 'chin, \"smears\"'});"
        "setVerdict(SHOTS[2].name, {verdict: 'approve'}); addNote(80, 'look; here')"
    )
    browser.element("#save summary").click()
    browser.element(f"#save-{form}").click()
    path = downloaded(browser, f"film.dubbed.markers.{form}")
    found = read_notes(path, cuts(known))
    assert [(note.frame, note.text.split()[-1].strip('"')) for note in found] == [
        (75, "smears"),
        (80, "here"),
        (150, "approve"),
    ]
    text = path.read_bytes()
    path.unlink()
    before = verdicts(browser)
    assert len(before) == 2
    again = tmp_path / f"again.{form}"
    again.write_bytes(text)
    browser.open(tmp_path / "page.html")
    assert verdicts(browser) == {}
    browser.element("#file").send_keys(str(again))
    browser.wait("verdicts.size === 2")
    assert verdicts(browser) == before
    assert browser.js("return notes") == [{"frame": 80, "text": "look; here"}]
    assert browser.errors() == []


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "Title,Length\nx,3\n", "no columns of time codes and remarks"),
        ("a.csv", "In;Description\n09:00:00:00;late\n", "there is no frame at 09:00:00:00"),
        ("a.edl", "TITLE: nothing\n", "there are no markers in it"),
        ("a.fcpxml", "<html></html>", "it is not FCPXML"),
    ],
)
def test_markers_that_do_not_fit_are_refused_with_the_reason(
    played: Browser, tmp_path: Path, name: str, text: str, says: str
) -> None:
    (tmp_path / name).write_text(text)
    played.element("#file").send_keys(str(tmp_path / name))
    played.wait("!$('message').hidden")
    assert says in played.text("#message")


def test_people_have_shots(played: Browser) -> None:
    played.js("$('view-job').click()")
    played.js("document.querySelector('.person:last-child').click()")
    assert played.text("#count") == "1 of 4 shots"
    assert "person 2" in played.text("#heading")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_at_any_width(played: Browser, scheme: str) -> None:
    played.emulate(scheme)
    played.js("read()")
    try:
        for width in WIDTHS:
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            played.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            assert played.js("return document.documentElement.scrollWidth") == width
            out = played.js(
                "return [...document.querySelectorAll('#shots-view button, #shots-view select, .top button')]"
                ".filter((e) => e.offsetParent && !e.closest('.strip, #rows')).filter((e) => {"
                "const box = e.getBoundingClientRect();"
                f"return box.left < -1 || box.right > {width} + 1; }}).map((e) => e.outerHTML.slice(0, 90))"
            )
            assert out == [], width
    finally:
        played.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        played.emulate("light")
    assert played.errors() == []


def test_two_thousand_shots_and_ninety_minutes_play_without_an_error(
    tmp_path: Path, browser: Browser
) -> None:
    minute = film_video(tmp_path / "minute.mp4", 60, rate=5, size="64x48")
    film = tmp_path / "film.mp4"
    argv = [str(find_program("ffmpeg")), "-v", "error", "-stream_loop", "89", "-i", str(minute)]
    run([*argv, "-c", "copy", "-movflags", "+faststart", str(film)])
    length = 2.7
    shots = [
        shot(number, start=length * number, end=length * (number + 1), timecode="")
        for number in range(2000)
    ]
    facts = {"clock": clock((5, 1), frames=27000, even=False), "seconds": 5400.0}
    browser.open(page(tmp_path / "page.html", shots, film=film, facts=facts))
    browser.wait("document.documentElement.dataset.film === 'yes'")
    assert browser.js("return document.querySelectorAll('script.film-part').length") == 0
    browser.js("choose(1900)")
    browser.wait("player.video.readyState >= 2 && !player.video.seeking")
    assert browser.text("#code") == "01:25:30:00"
    browser.press("b")
    browser.wait("$('screen').width === 64")
    assert pixel(browser, 0.5) == "blue"
    browser.press(" ")
    browser.wait("now() > 5130.5")
    browser.press(" ")
    assert browser.errors() == []
