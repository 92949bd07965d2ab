"""The page of a batch: all films and languages, worst first, each with its page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dubkit.batches import JobState
from dubkit.errors import OutputError
from dubkit.progress import NoProgress
from dubkit.review import Report, make_overview
from dubkit.review.report_page import OVERVIEW, read_page
from dubkit.version import __version__
from dubkit.work.manifest import MANIFEST
from tests.review.pages import ORDER, page, shot

if TYPE_CHECKING:
    from tests.review.conftest import Browser


def job(folder: Path, name: str, state: str, shots: int = 0, *bad: str) -> JobState:
    """A job of a batch; with shots it has a page, the first of which are in the states ``bad``."""
    output, work = folder / f"{name}.mp4", folder / "work" / f"{name}.dubkit"
    if shots:
        ranks = {state: 1000 * rank for rank, state in enumerate(reversed(ORDER))}
        table = [shot(n, state=s, why="a seam", rank=ranks[s]) for n, s in enumerate(bad)]
        table += [shot(n, state="dubbed", why="", rank=0) for n in range(len(bad), shots)]
        film, _, language = name.partition(".")
        facts = {"language": language, "job": name, "sha256": film, "seconds": 3.0 * shots}
        work.mkdir(parents=True)
        (work / MANIFEST).write_text("{}")
        os.utime(work / MANIFEST, (1, 1))
        page(
            output.with_suffix(".report.html"),
            table,
            name=f"{film}.mov",
            facts=facts,
            version=__version__,
            overview=OVERVIEW,
        )
    error, code = (f"{name} is broken", 3) if state == "failed" else (None, 0)
    seen = work if shots else None
    return JobState(name, state, code, output, 61.0, error, "mend it", None, {}, seen)


def overview(folder: Path, *jobs: JobState) -> Report:
    return make_overview(folder, jobs, None, progress=NoProgress())


@pytest.fixture
def batch(tmp_path: Path, browser: Browser) -> Path:
    folder = tmp_path / "dubbed films"
    folder.mkdir()
    jobs = [
        job(folder, "one.de", "done", 4),
        job(folder, "one.fr", "partial", 4, "kept", "failed"),
        job(folder, "two#.de", "failed"),
        job(folder, "three.de", "done", 4, "warned"),
    ]
    report = overview(folder, *jobs)
    assert (report.films, report.shots) == (4, 12)
    browser.open(folder / OVERVIEW)
    return folder


def films(browser: Browser) -> list[str]:
    found: list[str] = browser.js(
        "const texts = (card) => [...card.querySelectorAll('h2, .headline .pill')].map((e) => e.textContent);"
        "return [...document.querySelectorAll('.filmcard')].map((card) => texts(card).join(' '))"
    )
    return found


def test_the_worst_comes_first_and_films_can_be_chosen(batch: Path, browser: Browser) -> None:
    assert films(browser) == [
        "two#.de failed",
        "one.mov fr partly dubbed",
        "three.mov de done",
        "one.mov de done",
    ]
    assert "two#.de is broken" in browser.text(".trouble")
    browser.js("const s = $('language'); s.value = 'fr'; s.dispatchEvent(new Event('change'))")
    assert films(browser) == ["one.mov fr partly dubbed"]
    assert browser.text("#count") == "1 of 4 jobs"
    browser.js("const s = $('language'); s.value = ''; s.dispatchEvent(new Event('change'))")
    browser.element("#search").send_keys("broken")
    assert films(browser) == ["two#.de failed"]
    assert browser.text("#subtitle") == "3 films · 2 languages · 4 jobs"
    assert browser.errors() == []


def test_a_shot_leads_to_its_place_on_the_page_of_its_film_and_back(
    batch: Path, browser: Browser
) -> None:
    worst = (
        "return [...document.querySelectorAll('.one')].map((e) => e.querySelector('b').textContent)"
    )
    assert browser.js(worst)[:2] == ["Shot 2", "Shot 1"], "failed before kept"
    browser.js("document.querySelector('.one').click()")
    browser.wait("typeof view !== 'undefined' && view.chosen === 1")
    assert browser.text("#title") == "one.mov"
    browser.press("a")
    browser.element("#overview").click()
    browser.wait("typeof FILMS !== 'undefined'")
    browser.wait("document.body.innerText.includes('1 approved, 0 rejected of 4')")
    assert browser.js("return document.body.innerText").count("1 approved") == 1, (
        "not of another dub"
    )


def test_a_page_is_made_again_only_after_its_job_ran(tmp_path: Path) -> None:
    one = job(tmp_path, "one.de", "done", 4)
    made = one.output.with_suffix(".report.html")
    before = made.stat().st_mtime_ns
    overview(tmp_path, one)
    assert made.stat().st_mtime_ns == before
    data = read_page(made)
    assert data is not None
    assert data["overview"] == OVERVIEW


def test_no_width_cuts_it(batch: Path, browser: Browser) -> None:
    try:
        for width in (500, 1440, 2560):
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            assert browser.js("return document.documentElement.scrollWidth") == width
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_what_is_no_page_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    (tmp_path / OVERVIEW).write_text("mine")
    with pytest.raises(OutputError, match="exists and is not a report"):
        overview(tmp_path)
    assert read_page(tmp_path / OVERVIEW) is None
    assert read_page(tmp_path / "nothing.html") is None
