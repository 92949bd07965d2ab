from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dubkit.pipeline.verdicts import read_verdicts
from tests.review.pages import FILM, page, shot

if TYPE_CHECKING:
    from tests.review.conftest import Browser

NASTY = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 2'>\u2028&amp;"


@pytest.fixture
def small(tmp_path: Path, browser: Browser) -> Path:
    path = page(tmp_path / "page.html", [shot(number) for number in range(16)])
    browser.open(path)
    return path


def rows(browser: Browser) -> list[str]:
    """Titles of the rows in sight, from the top."""
    found: list[str] = browser.js(
        "return [...document.querySelectorAll('.row')].sort((a, b) => a.offsetTop - b.offsetTop)"
        ".map(row => row.querySelector('.head').firstChild.textContent)"
    )
    return found


def chosen(browser: Browser) -> str:
    return browser.text("#detail h2")


def verdicts(browser: Browser) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = browser.js("return verdictFile().shots")
    return found


def downloaded(browser: Browser, name: str) -> Path:
    path = browser.downloads / name
    for _ in range(200):
        if path.exists() and path.stat().st_size:
            break
        time.sleep(0.05)
    return path


def test_it_loads_without_errors_and_without_the_network(small: Path, browser: Browser) -> None:
    assert browser.text("#title") == "film.mp4"
    assert "16 shots" in browser.text("#count")
    assert browser.errors() == []
    used = browser.js("return performance.getEntriesByType('resource').map(r => r.name)")
    assert [name for name in used if not name.startswith(("data:", "blob:"))] == []
    blocked = browser.driver.execute_async_script(
        "const done = arguments[0]; document.addEventListener('securitypolicyviolation',"
        " event => done(event.violatedDirective)); fetch('http://127.0.0.1:9/').catch(() => {});"
    )
    assert blocked == "connect-src"


def test_an_address_names_a_shot_and_shots_have_time_codes(
    tmp_path: Path, browser: Browser
) -> None:
    shots = [shot(number, timecode=f"01:00:{3 * number:02d}:00") for number in range(6)]
    path = page(tmp_path / "codes.html", shots)
    browser.driver.get("about:blank")
    browser.driver.get(f"{path.as_uri()}#shot=4")
    assert browser.js("return view.chosen") == 3
    assert "01:00:09:00" in browser.js("return document.body.innerText")
    browser.js("location.hash = '#shot=2'; window.dispatchEvent(new Event('hashchange'))")
    assert browser.js("return view.chosen") == 1


def test_the_worst_shots_come_first_and_can_be_sorted_otherwise(
    small: Path, browser: Browser
) -> None:
    assert rows(browser)[:2] == ["Shot 7", "Shot 15"]
    assert chosen(browser) == "Shot 7"
    browser.js(
        "const sort = $('sort'); sort.value = 'film'; sort.dispatchEvent(new Event('change'))"
    )
    assert rows(browser)[:3] == ["Shot 1", "Shot 2", "Shot 3"]


def test_filters_narrow_the_list_and_say_how_far(small: Path, browser: Browser) -> None:
    # the words of a run's summary
    assert browser.text("#states button[data-state='kept']") == "refused2"
    assert browser.text("#states button[data-state='untouched']") == "as filmed2"
    browser.element("#states button[data-state='kept']").click()
    assert rows(browser) == ["Shot 6", "Shot 14"]
    assert browser.text("#count") == "2 of 16 shots"
    browser.element("#states button[data-state='kept']").click()
    browser.js(
        "const face = $('face'); face.value = 'without'; face.dispatchEvent(new Event('change'))"
    )
    assert rows(browser) == ["Shot 4", "Shot 12"]
    browser.js("const face = $('face'); face.value = ''; face.dispatchEvent(new Event('change'))")
    browser.press("/")
    browser.press("line 0000825-0000900")
    assert rows(browser) == ["Shot 12"]
    faded = browser.js("return document.querySelectorAll('#strip figure:not(.out)').length")
    assert faded == 1


def test_everything_is_done_with_the_keyboard(small: Path, browser: Browser) -> None:
    first, second = rows(browser)[:2]
    browser.press("j")
    assert chosen(browser) == second
    browser.press("k")
    assert chosen(browser) == first
    browser.press("a")
    assert chosen(browser) == second, "after an approval comes the next shot"
    browser.press("rn")
    browser.press("chin smears")
    browser.press("\ue00c")  # Escape
    assert list(verdicts(browser).values()) == [
        {"verdict": "approve"},
        {"verdict": "reject", "instead": "original", "note": "chin smears"},
    ]
    browser.press("u")
    assert len(verdicts(browser)) == 1
    browser.press("?")
    assert browser.js("return $('help').open")
    browser.press("\ue00c")
    assert not browser.js("return $('help').open")
    outline = browser.js(
        "document.querySelector('#list').focus({focusVisible: true});"
        "return getComputedStyle(document.activeElement).outlineStyle"
    )
    assert outline == "solid"


def test_verdicts_are_downloaded_and_loaded_again(
    small: Path, browser: Browser, tmp_path: Path
) -> None:
    browser.press("arj")
    browser.js(
        "setVerdict(SHOTS[3].name, {verdict: 'reject', instead: 'preset:broadcast', note: 'soft'})"
    )
    browser.element("#save summary").click()
    browser.element("#download").click()
    assert "--verdicts film.dubbed.verdicts.json --overwrite" in browser.text("#message")
    path = downloaded(browser, "film.dubbed.verdicts.json")
    file = json.loads(path.read_text(encoding="utf-8"))
    taken = read_verdicts(path)  # as a run takes it
    assert {name: entry.verdict for name, entry in taken.shots.items()} == {
        name: entry["verdict"] for name, entry in file["shots"].items()
    }
    path.unlink()
    assert {name: file[name] for name in ("kind", "version", "film")} == {
        "kind": "dubkit-verdicts",
        "version": 1,
        "film": FILM,
    }
    assert file["shots"] == {
        "0000225-0000300": {"verdict": "reject", "instead": "preset:broadcast", "note": "soft"},
        "0000450-0000525": {"verdict": "approve"},
        "0001050-0001125": {"verdict": "reject", "instead": "original"},
    }
    browser.open(small)
    assert verdicts(browser) == {}
    again = tmp_path / "again.json"
    again.write_text(json.dumps(file))
    browser.element("#file").send_keys(str(again))
    browser.wait("verdicts.size === 3")
    assert verdicts(browser) == file["shots"]
    assert browser.text("#review") == "1 approved, 2 rejected of 16"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"film": "0" * 64}, "these verdicts are for another film"),
        ({"version": 2}, "this page knows version 1"),
        ({"kind": "shopping"}, "not a dubkit verdict file"),
        ({"shots": {"0000001-0000002": {"verdict": "approve"}}}, "no shot 0000001-0000002"),
        ({"shots": {"0000000-0000075": {"verdict": "perhaps"}}}, "neither approve nor reject"),
        ({"shots": ["0000000-0000075"]}, "has no shots"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_reason(
    small: Path, browser: Browser, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    fine: dict[str, object] = {"kind": "dubkit-verdicts", "version": 1, "film": FILM, "shots": {}}
    path = tmp_path / "other.json"
    path.write_text(json.dumps({**fine, **change}))
    browser.element("#file").send_keys(str(path))
    browser.wait("!$('message').hidden")
    assert says in browser.text("#message")
    assert verdicts(browser) == {}


def test_a_draft_outlives_a_reload(small: Path, browser: Browser) -> None:
    browser.press("a")
    browser.driver.refresh()
    assert len(verdicts(browser)) == 1


def test_text_of_files_stays_text(tmp_path: Path, browser: Browser) -> None:
    odd = shot(0, why=NASTY, words=NASTY, who=NASTY, notes=[NASTY])
    odd["measures"] = [
        {
            "name": "x",
            "label": NASTY,
            "shown": "1",
            "limit": "",
            "verdict": "fail",
            "meaning": NASTY,
        }
    ]
    odd["phones"] = [[NASTY, 0, 70, "other"]]
    odd["reasons"] = [{"kind": "tiny", "level": "high", "text": NASTY}]
    browser.open(page(tmp_path / "page.html", [odd], name=NASTY))
    browser.press("rn")
    browser.press("<b>")
    assert browser.text("#title") == NASTY
    assert browser.js("return window.bad") is None
    assert (
        browser.js(
            "return document.querySelectorAll('#detail script, #detail b, img[src=x]').length"
        )
        == 0
    )
    assert browser.errors() == []


def test_light_and_dark_follow_the_system_and_the_button(small: Path, browser: Browser) -> None:
    def paper() -> int:
        color: str = browser.js("return getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in color.strip("rgb()").split(","))

    browser.emulate("light")
    assert paper() > 600
    browser.emulate("dark")
    assert paper() < 150
    browser.element("#theme").click()
    assert paper() > 600
    browser.emulate("light")
    browser.element("#theme").click()
    assert paper() < 150
    assert browser.element("#theme").get_attribute("aria-label") == "Theme: dark"


def test_two_thousand_shots_are_no_burden(
    tmp_path: Path, browser: Browser, record_property: Callable[[str, object], None]
) -> None:
    browser.open(page(tmp_path / "page.html", [shot(number) for number in range(2000)]))
    count = "return document.getElementsByTagName('*').length"
    assert browser.js(count) < 1200
    record_property("interactive_ms", browser.js("return document.documentElement.dataset.ready"))
    browser.js(
        "const sort = $('sort'); sort.value = 'film'; sort.dispatchEvent(new Event('change'))"
    )
    browser.js("$('list').focus()")
    browser.press("\ue010")  # End
    assert chosen(browser) == "Shot 2000"
    assert "Shot 2000" in rows(browser)
    assert browser.js("return $('strip').scrollLeft") > 100_000
    assert browser.js(count) < 1200
    option = browser.element("[aria-selected='true']")
    assert option.get_attribute("aria-posinset") == "2000"


def test_the_colors_under_the_film_strip_are_in_sight(small: Path, browser: Browser) -> None:
    """A scroll bar that takes room of its own covers nothing."""
    below = browser.js(
        "const cell = document.querySelector('#strip figure').getBoundingClientRect(), strip = $('strip');"
        "return strip.getBoundingClientRect().top + strip.clientTop + strip.clientHeight - cell.bottom"
    )
    assert below >= 0
    assert browser.js("return $('strip').offsetHeight > $('strip').clientHeight + 2"), "it has one"


def test_a_job_without_shots_says_so(tmp_path: Path, browser: Browser) -> None:
    browser.open(page(tmp_path / "page.html", []))
    assert "No shots are known yet" in browser.text("#empty")
    assert browser.errors() == []


def test_on_a_phone_the_list_and_the_shot_take_turns(small: Path, browser: Browser) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.open(small)
        assert not browser.element("#detail").is_displayed()
        thumbnail, head = (browser.element(f".row {part}").rect for part in (".thumb", ".head"))
        assert head["x"] >= thumbnail["x"] + thumbnail["width"] + 8
        browser.element(".row").click()
        assert browser.element("#detail").is_displayed()
        assert not browser.element("#list").is_displayed()
        wide = browser.js("return document.documentElement.scrollWidth")
        assert wide == 390
        browser.element(".back").click()
        assert browser.element("#list").is_displayed()
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
