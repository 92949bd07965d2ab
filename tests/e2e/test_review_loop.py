"""The whole loop of a review: a film is dubbed, looked through in a browser, and dubbed again as was said there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubkit.media.frames import FrameReader
from dubkit.media.planes import Plane
from dubkit.media.probe import probe
from dubkit.work.store import digest_file
from tests.portrait import build_portrait_film
from tests.review.conftest import Browser, browser

__all__ = ["browser"]
SHOTS = ("0000000-0000030", "0000030-0000060", "0000060-0000090")  # of one face, cut by a list
REJECTED, OTHERWISE, LEFT = SHOTS
FLAGS = (
    *("--set", "generate.codec=ffv1"),  # lossless, so that pictures can be compared
    *("--gate", "warn", "--jobs", "1"),
    *("--faces", "largest"),  # a film of stills, in which nobody speaks
)


def dubkit(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dubkit", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@dataclass(frozen=True, slots=True)
class Review:
    """A film that was dubbed once, and its page."""

    folder: Path
    film: Path

    @property
    def result(self) -> Path:
        return self.folder / "dubbed.mkv"

    def run(self, *more: str | Path) -> tuple[int, list[dict[str, Any]]]:
        words: list[str | Path] = [
            "run",
            self.film,
            "--audio",
            self.folder / "dub.wav",
            "--out",
            self.result,
        ]
        words += ["--shots", self.folder / "shots.txt", "--json", *FLAGS, *more]
        done = dubkit(*words)
        assert done.returncode in (0, 10), done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def made(self) -> dict[str, tuple[str, int]]:
        """What each shot was rendered to, and when."""
        (stage,) = self.folder.glob("dubbed.dubkit/dub-*/generate")
        files = {shot: stage / shot / "segment.nut" for shot in SHOTS}
        return {s: (digest_file(path), path.stat().st_mtime_ns) for s, path in files.items()}


def pictures(path: Path, shot: str) -> list[Plane]:
    """All planes of a shot's frames."""
    info, pts = probe(path)
    start, end = map(int, shot.split("-"))
    frames = FrameReader(path, info, pts).read(start, end)
    return [plane for frame in frames for plane in frame.planes]


def same(a: list[Plane], b: list[Plane]) -> bool:
    return len(a) == len(b) > 0 and all(map(np.array_equal, a, b))


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Review:
    folder = tmp_path_factory.mktemp("review")
    files = build_portrait_film(folder)
    film = folder / "portrait.mp4"  # the film's first shot, three seconds and a half
    cut = ["ffmpeg", "-v", "error", "-i", files.film, "-frames:v", "90", "-c:v", "libx264", film]
    subprocess.run(list(map(str, cut)), check=True)
    files.dub.rename(folder / "dub.wav")
    (folder / "shots.txt").write_text("".join(f"{int(shot.split('-')[0])}\n" for shot in SHOTS))
    return Review(folder, film)


def choose(browser: Browser, shot: str) -> None:
    """Click the shot's row in the list."""
    number = SHOTS.index(shot) + 1
    rows = browser.driver.find_elements("css selector", ".row")
    next(row for row in rows if row.text.startswith(f"Shot {number}\n")).click()
    browser.wait(f"document.querySelector('#detail h2').textContent === 'Shot {number}'")


def downloaded(browser: Browser, name: str) -> Path:
    path = browser.downloads / name
    for _ in range(400):
        if path.exists() and path.stat().st_size:
            return path
        time.sleep(0.05)
    raise AssertionError(f"{path} was not downloaded")


def test_what_a_person_says_in_the_page_is_what_the_next_run_does(
    review: Review, browser: Browser
) -> None:
    code, _ = review.run()
    assert code == 0
    before, first = review.made(), {shot: pictures(review.result, shot) for shot in SHOTS}
    source = {shot: pictures(review.film, shot) for shot in SHOTS}
    assert not any(same(first[shot], source[shot]) for shot in SHOTS)

    page = review.folder / "page.html"
    told = dubkit("report", review.folder / "dubbed.dubkit", "--out", page)
    assert told.returncode == 0, told.stderr
    browser.open(page)
    choose(browser, REJECTED)
    browser.element("#reject").click()
    choose(browser, OTHERWISE)
    browser.element("#reject").click()
    browser.element("#instead option[value='preset:preview']").click()
    browser.element("#save summary").click()
    browser.element("#download").click()
    file = downloaded(browser, "dubbed.verdicts.json")
    assert json.loads(file.read_text())["shots"] == {
        REJECTED: {"verdict": "reject", "instead": "original"},
        OTHERWISE: {"verdict": "reject", "instead": "preset:preview"},
    }

    code, events = review.run("--verdicts", file, "--overwrite")
    assert code == 10
    assert events[-1]["status"] == "partial"
    after, second = review.made(), {shot: pictures(review.result, shot) for shot in SHOTS}
    done = [(event["stage"], event["unit"]) for event in events if event["event"] == "unit"]
    assert done == [
        ("generate", OTHERWISE),
        *(("gate", shot) for shot in (REJECTED, OTHERWISE)),
        ("stitch", "job"),
    ]
    assert same(second[REJECTED], source[REJECTED])
    assert not same(second[OTHERWISE], source[OTHERWISE])
    assert not same(second[OTHERWISE], first[OTHERWISE])
    assert same(second[LEFT], first[LEFT])
    assert {shot: before[shot] == after[shot] for shot in SHOTS} == {
        REJECTED: True,
        OTHERWISE: False,
        LEFT: True,
    }

    code, events = review.run("--overwrite")
    assert code == 0, "without the file everything is as it was"
    assert all(same(pictures(review.result, shot), first[shot]) for shot in SHOTS)
