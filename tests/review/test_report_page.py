from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from dubkit.api import RunRequest, make_job, run_job
from dubkit.batches import jobs
from dubkit.cli.app import app
from dubkit.config.schema import GateSettings
from dubkit.errors import OutputError, UsageError, WorkError
from dubkit.progress import NoProgress
from dubkit.records import Job
from dubkit.review import Report, make_report, proxies
from dubkit.work.store import digest_value
from tests.clips import shots_film, tone
from tests.fakes import make_config
from tests.portrait import build_portrait_film

if TYPE_CHECKING:
    from tests.review.conftest import Browser


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    table: dict[str, Any] = json.loads(found[1])
    return table


def write(work: Path, page: Path, **options: Any) -> tuple[Report, dict[str, Any]]:
    made = make_report(work, page, progress=NoProgress(), jobs=1, **options)
    return made, data_of(page)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The demo, dubbed."""
    files = build_portrait_film(tmp_path_factory.mktemp("demo"))
    config = make_config(jobs=1)
    job = make_job(files.film, files.dub, config, script=files.script)
    run_job(RunRequest(job, config), progress=NoProgress())
    return job


@pytest.fixture(scope="module")
def made(job: Job) -> tuple[Report, dict[str, Any]]:
    return write(job.work, job.work.parent / "page.html")


def test_videos_of_an_earlier_page_are_used_again(
    job: Job, made: tuple[Report, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(proxies, "make_clip", never)
    monkeypatch.setattr(proxies, "make_film", never)
    page = job.work.parent / "again.html"
    report, data = write(job.work, page)
    assert (report.videos, data) == (made[0].videos, made[1])
    assert page.read_bytes() == made[0].path.read_bytes()
    for kept in (job.work / "proxies").glob("*.json"):
        kept.write_text("{")
    with pytest.raises(AssertionError, match="made again"):
        write(job.work, page)


def test_the_page_holds_all_that_the_work_folder_knows(
    job: Job, made: tuple[Report, dict[str, Any]]
) -> None:
    report, data = made
    assert (report.shots, report.videos) == (3, 2)
    assert report.size == report.path.stat().st_size
    assert data["film"]["finished"] is True
    assert data["film"]["sha256"]
    first, second, third = data["shots"]
    assert [shot["faces"] for shot in data["shots"]] == [1, 0, 1]
    assert second["state"] == "untouched"
    assert len(third["original"]) == len(third["dubbed"]) == third["frames"] == 125
    assert sum(value is not None for value in third["dubbed"]) > 100
    assert third["phones"][-1][2] == 125
    assert {kind for _, _, _, kind in third["phones"]} >= {"vowel", "closure"}
    assert first["words"] or third["words"]
    assert all(shot["thumb"] for shot in data["shots"])
    assert {"generate", "faces"} <= {*first["seconds"]}
    licenses = {weight["name"]: weight["license"] for weight in data["weights"]}
    assert licenses["tc.safetensors"] == "Apache-2.0"
    assert {"detector.safetensors", "landmarker.safetensors"} <= {*licenses}
    assert "stitch" in {stage["name"] for stage in data["stages"] if stage["done"]}


def test_the_same_folder_gives_the_same_page(job: Job, tmp_path: Path) -> None:
    """Each made by a process of its own: in this one, other tests may have set threads. The second has two
    workers, another order of sets, other bytes in fresh memory.
    """
    ways = [("one", {}), ("two", {"PYTHONHASHSEED": "7", "MALLOC_PERTURB_": "165"})]
    pages = []
    for number, (name, more) in enumerate(ways, 1):
        page = tmp_path / f"{name}.html"
        command = [sys.executable, "-m", "dubkit", "report", str(job.work), "--out", str(page)]
        command += ["--jobs", str(number), "--json"]
        told = subprocess.run(
            command, check=True, env={**os.environ, **more}, capture_output=True, text=True
        )
        assert (json.loads(told.stdout)["videos"], told.stderr) == (2, ""), "nothing is left out"
        pages.append(parts_of(page))
    assert pages[0] == pages[1]


def parts_of(page: Path) -> dict[str, str]:
    """A digest of each part of a page, so that a difference says where it is."""
    text = page.read_text(encoding="utf-8")
    data = data_of(page)
    shots = {shot["name"]: shot for shot in data.pop("shots")}
    clips = dict(re.findall(r'id="(clip-[^"]*)">(.*?)</script>', text, re.DOTALL))
    parts = {**data, **shots, **clips, "page": text}
    return {name: digest_value(part) for name, part in parts.items()}


def test_videos_play_with_the_sound_of_the_dub(
    made: tuple[Report, dict[str, Any]], browser: Browser
) -> None:
    browser.open(made[0].path)
    browser.wait("player.kind === 'film' && player.video.readyState >= 2")
    shown = made[1]["film"]["proxy"]
    size = "return [player.video.videoWidth, player.video.videoHeight]"
    assert browser.js(size) == [2 * shown["width"], shown["height"]]
    frames = made[1]["film"]["clock"]["frames"]
    assert browser.js("return player.video.duration") == pytest.approx(frames / 25, abs=0.05)
    browser.press("c")
    browser.wait("player.kind === 'clip' && player.video.readyState >= 2")
    assert browser.js(size) == [576, 288]
    shot = browser.js("return SHOTS[view.chosen].end - SHOTS[view.chosen].start")
    assert browser.js("return player.video.duration") == pytest.approx(shot, abs=0.1)
    browser.press(" ")
    browser.wait("player.video.currentTime > 0.3")
    assert browser.js("return player.video.webkitAudioDecodedByteCount") > 0
    moved = browser.js("return Number(document.querySelector('svg .now').getAttribute('x1'))")
    assert moved > 58
    browser.press(" ")
    assert browser.js("return player.video.paused")
    lines = browser.js("return document.querySelector('svg .dub').getAttribute('d').length")
    assert lines > 300
    assert browser.errors() == []


def test_what_there_is_no_room_for_is_left_out_and_told(job: Job, tmp_path: Path) -> None:
    report, data = write(job.work, tmp_path / "small.html", room=0.0)
    assert report.videos == 0
    assert "The worst 0 of 2 dubbed shots" in data["videos"]["summary"]
    assert data["film"]["proxy"] is None
    assert "needs more room: --room 1 or more" in data["videos"]["film"]
    report, data = write(job.work, tmp_path / "none.html", videos="none")
    assert report.videos == 0
    assert "--videos none" in data["videos"]["summary"]


def test_a_video_that_cannot_be_made_is_missed_aloud(job: Job, tmp_path: Path) -> None:
    work = tmp_path / "copy.dubkit"
    shutil.copytree(job.work, work, ignore=shutil.ignore_patterns("proxies"))
    segment = sorted(work.glob("dub-*/generate/*/segment.nut"))[0]
    segment.write_bytes(b"damaged")
    report, data = write(work, tmp_path / "page.html", videos="all")
    assert report.videos == 1
    assert any(note.startswith("no video: ") for note in data["shots"][0]["notes"])
    assert "The worst 1 of 2 dubbed shots have a video, the notes" in data["videos"]["summary"]


@pytest.mark.parametrize(("action", "state"), [("keep-original", "kept"), ("warn", "warned")])
def test_what_the_gate_said_is_shown(job: Job, tmp_path: Path, action: str, state: str) -> None:
    work = tmp_path / "copy.dubkit"
    shutil.copytree(job.work, work)
    other = replace(job, work=work, output=tmp_path / "out.mp4")
    gate = {"action": action, "min_sharpness": 50.0}
    config = make_config(jobs=1).model_copy(update={"gate": GateSettings.model_validate(gate)})
    run_job(RunRequest(other, config, until="gate"), progress=NoProgress())
    _, data = write(work, tmp_path / "page.html", videos="none")
    first = data["shots"][0]
    assert first["state"] == state
    assert "the mouth is blurred" in first["why"]
    assert first["rendered"] is True
    worst = first["measures"][0]
    assert (worst["label"], worst["verdict"], worst["limit"]) == ("sharpness", "fail", "≥ 50")
    assert {row["verdict"] for row in first["measures"]} >= {"pass", "fail"}
    assert data["shots"][1]["state"] == "untouched"
    assert "preview" in data["presets"]
    assert "balanced" not in data["presets"], "it would make the shot as it is"


def test_a_job_that_was_stopped_has_a_page(tmp_path: Path) -> None:
    film = shots_film(tmp_path / "<script>alert(1)<.mp4", [30, 20])
    config = make_config(jobs=1)
    job = make_job(film, tone(tmp_path / "dub.wav", 2), config)
    run_job(RunRequest(job, config, until="faces"), progress=NoProgress())
    report, data = write(job.work, tmp_path / "page.html")
    assert (report.shots, report.videos) == (2, 0)
    assert [shot["state"] for shot in data["shots"]] == ["waiting", "waiting"]
    assert data["film"]["finished"] is False
    assert data["film"]["name"] == film.name
    assert "<script>alert(1)" not in report.path.read_text(encoding="utf-8")


def test_a_job_that_has_hardly_begun_has_one_too(tmp_path: Path) -> None:
    film = shots_film(tmp_path / "film.mp4", [30])
    config = make_config(jobs=1)
    job = make_job(film, tone(tmp_path / "dub.wav", 1), config)
    run_job(RunRequest(job, config, until="probe"), progress=NoProgress())
    report, data = write(job.work, tmp_path / "page.html")
    assert report.shots == 0
    assert data["shots"] == []


def test_without_its_film_and_with_damaged_files_the_page_is_still_made(
    job: Job, tmp_path: Path
) -> None:
    work = tmp_path / "copy.dubkit"
    shutil.copytree(job.work, work)
    first = sorted(work.glob("video-*/faces/*"))[0]
    (first / "tracks.npz").write_bytes(b"damaged")
    _, data = write(work, tmp_path / "damaged.html", room=0)
    assert "tracks.npz cannot be read" in data["shots"][0]["notes"][0]
    assert data["shots"][2]["thumb"]
    film = job.video.rename(job.video.with_suffix(".away"))
    try:
        report, data = write(work, tmp_path / "page.html")
    finally:
        film.rename(job.video)
    assert report.videos == 0
    assert not any(shot["thumb"] for shot in data["shots"])
    assert len(data["shots"]) == 3


def test_only_an_older_report_is_replaced(job: Job, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("my own page")
    with pytest.raises(OutputError, match="exists and is not a report"):
        write(job.work, mine)
    assert mine.read_text() == "my own page"
    page = tmp_path / "page.html"
    for _ in range(2):
        write(job.work, page, videos="none")


def test_what_is_asked_wrongly_is_told(job: Job, tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="no readable manifest"):
        write(tmp_path, tmp_path / "page.html")
    with pytest.raises(UsageError, match="videos cannot be 'some'"):
        write(job.work, tmp_path / "page.html", videos="some")
    with pytest.raises(OutputError, match="cannot be written"):
        write(job.work, tmp_path / "nowhere" / "page.html", videos="none")


def test_the_command_says_where_the_page_is(job: Job, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    line = ["report", str(job.work), "--out", str(page), "--videos", "none", "--jobs", "1"]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == str(page)
    facts = json.loads(CliRunner().invoke(app, [*line, "--json"]).stdout)
    assert facts["shots"] == 3


def test_the_folder_of_a_batch_has_a_page_that_leads_to_those_of_its_jobs(
    job: Job, tmp_path: Path
) -> None:
    outcome = jobs.Outcome("demo.de", "done", 0, job.output, "digest", work=job.work)
    record = jobs.BatchRecord({"demo.de": outcome}, jobs.VERSION, jobs.KIND)
    jobs.write_outcomes(tmp_path / "batch.json", record)
    result = CliRunner().invoke(app, ["report", str(tmp_path), "--videos", "none", "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert (facts["films"], facts["shots"]) == (1, 3)
    page = job.output.with_suffix(".report.html")
    assert (page.parent / data_of(page)["overview"]).resolve() == tmp_path / "batch.report.html"
    (row,) = data_of(Path(facts["path"]))["films"]
    assert ((tmp_path / row["page"]).resolve(), row["state"]) == (page, "done")
    assert row["counts"] == {"dubbed": 2, "untouched": 1}
