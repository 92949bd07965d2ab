"""Batches over real files, with engines that cost nothing."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

import dubkit
from dubkit.batches import BatchRequest, open_batch, run_batch
from dubkit.batches.run_batch import BatchResult
from dubkit.cli.app import app
from dubkit.config.presets import load_config
from dubkit.config.schema import Config
from dubkit.errors import EXIT_PARTIAL, WorkError
from dubkit.media.probe import probe
from dubkit.pipeline import inputs
from dubkit.pipeline.request import make_job
from dubkit.progress import NoProgress
from dubkit.records import Job
from tests.clips import film, tone
from tests.pipeline.test_license import Whisperx

CHEAP = (
    "shots.detector=fixed",
    "speech.aligner=even",
    "generate.synthesizer=passthrough",
    "generate.speed=ultrafast",
)
runner = CliRunner()


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    """Two films, three dubs."""
    (tmp_path / "films").mkdir()
    (tmp_path / "dubs").mkdir()
    for name, rate in (("one", "24"), ("two", "25")):
        film(tmp_path / "films" / f"{name}.mp4", seconds=0.5, rate=rate)
    for dub in ("one.fr", "one.de", "two.fr"):
        tone(tmp_path / "dubs" / f"{dub}.wav", 0.5)
    return tmp_path


def request(studio: Path, *more: str) -> BatchRequest:
    return BatchRequest(
        studio / "films", studio / "out", dubs=studio / "dubs", settings=(*CHEAP, *more)
    )


def do(studio: Path, *more: str, retry_failed: bool = False) -> BatchResult:
    return run_batch(open_batch(request(studio, *more)), NoProgress(), retry_failed=retry_failed)


def test_a_source_without_films_or_dubs_is_told_as_what_it_lacks(studio: Path) -> None:
    (studio / "empty").mkdir()
    for source, said in (
        ("nothing", "no folder or job list"),
        ("empty", "no film in"),
        ("films", "--dubs names the folder"),
    ):
        result = runner.invoke(app, ["batch", str(studio / source), "--out", str(studio / "out")])
        assert result.exit_code in (2, 3)
        assert said in result.stderr
    assert not (studio / "out").exists()


def test_the_gate_of_all_jobs_is_a_flag(studio: Path) -> None:
    words = [str(studio / "films"), "--dubs", str(studio / "dubs"), "--out", str(studio / "out")]
    assert runner.invoke(app, ["batch", *words, "--gate", "warn", "--dry-run"]).exit_code == 0
    wrong = runner.invoke(app, ["batch", *words, "--gate", "never", "--dry-run"])
    assert wrong.exit_code == 2
    assert "gate.action" in wrong.stderr


@pytest.mark.parametrize(
    ("film_suffix", "flags", "result_suffix", "codec"),
    [
        (".mp4", ["--preset", "lossless"], ".mp4", "h264"),
        (".mov", ["--set", "generate.codec=ffv1"], ".mkv", "ffv1"),
        (".mp4", ["--set", "generate.codec=prores"], ".mov", "prores"),
        (".mov", ["--set", "generate.codec=prores"], ".mov", "prores"),
    ],
)
def test_a_codec_that_the_films_container_does_not_hold_gets_one_that_does(
    tmp_path: Path, film_suffix: str, flags: list[str], result_suffix: str, codec: str
) -> None:
    for folder in ("films", "dubs"):
        (tmp_path / folder).mkdir()
    film(tmp_path / "films" / f"one{film_suffix}", seconds=0.5)
    tone(tmp_path / "dubs" / "one.fr.wav", 0.5)
    arguments = ["batch", str(tmp_path / "films"), "--dubs", str(tmp_path / "dubs")]
    arguments += ["--out", str(tmp_path / "out"), "--jobs", "1", *flags]
    cheap = [name for name in CHEAP if not name.startswith("generate.speed")]
    result = runner.invoke(app, [*arguments, *(p for name in cheap for p in ("--set", name))])
    assert result.exit_code == 0, result.output
    made = tmp_path / "out" / f"one.fr{result_suffix}"
    assert probe(made)[0].codec == codec
    # a run of the same film names its result by the same rule
    config = load_config(
        [flags[1]] if flags[0] == "--preset" else [], flags[1:] if flags[0] == "--set" else []
    )
    job = make_job(tmp_path / "films" / f"one{film_suffix}", "dub.wav", config)
    assert job.output.suffix == result_suffix


def test_an_out_column_that_cannot_hold_the_codec_is_refused_before_the_work(studio: Path) -> None:
    (studio / "jobs.csv").write_text(
        "video,audio,out,generate.codec\nfilms/one.mp4,dubs/one.fr.wav,a.mp4,ffv1\n"
    )
    (problem,) = open_batch(BatchRequest(studio / "jobs.csv", studio / "out")).checked.problems
    assert problem.message == "ffv1 pictures cannot go into .mp4"


def test_an_output_folder_that_cannot_be_made_is_found_before_the_work(studio: Path) -> None:
    (studio / "file").write_text("mine")
    found = open_batch(
        BatchRequest(studio / "films", studio / "file" / "out", dubs=studio / "dubs")
    )
    assert len(found.checked.problems) == 3
    assert "is a file, not a folder" in found.checked.problems[0].message


def test_a_second_run_does_nothing_and_a_changed_dub_is_done_alone(studio: Path) -> None:
    first = do(studio)
    assert [o.state for o in first.outcomes] == ["done"] * 3
    assert first.exit_code == 0
    made = {o.name: o.output.stat().st_mtime_ns for o in first.outcomes}
    assert set(do(studio).skipped) == set(made)
    tone(studio / "dubs" / "one.fr.wav", 0.4, level=0.2)
    third = do(studio)
    assert set(third.skipped) == {"one.de", "two.fr"}
    again = {o.name: o.output.stat().st_mtime_ns for o in third.outcomes}
    assert again["one.fr"] != made["one.fr"]
    assert again["one.de"] == made["one.de"]


def test_a_result_that_was_deleted_or_touched_is_not_taken_for_done(studio: Path) -> None:
    do(studio)
    (studio / "out" / "one.fr.mp4").unlink()
    result = do(studio)
    assert "one.fr" not in result.skipped
    assert (studio / "out" / "one.fr.mp4").is_file()


def test_the_second_language_finds_shots_and_faces_done(studio: Path) -> None:
    do(studio)
    receipts = studio.glob("out/work/one.*/video-*/faces/*/receipt.json")
    inodes = {path.stat().st_ino for path in receipts}
    assert len(inodes) == 1  # linked, not made again


def test_a_film_that_fails_stops_no_other(studio: Path) -> None:
    damaged = studio / "films" / "aaa.mp4"
    whole = (studio / "films" / "one.mp4").read_bytes()
    damaged.write_bytes(whole)
    tone(studio / "dubs" / "aaa.fr.wav", 0.5)
    batch = open_batch(request(studio))
    damaged.write_bytes(whole[: len(whole) // 2])  # after the check, as things go over night
    result = run_batch(batch, NoProgress())
    states = {o.name: o.state for o in result.outcomes}
    assert states == {"aaa.fr": "failed", "one.de": "done", "one.fr": "done", "two.fr": "done"}
    assert result.exit_code == EXIT_PARTIAL
    assert next(o for o in result.outcomes if o.name == "aaa.fr").error
    damaged.write_bytes(whole)
    again = do(studio, retry_failed=True)
    assert {o.state for o in again.outcomes} == {"done"}


def test_retry_failed_leaves_new_jobs_alone(studio: Path) -> None:
    assert do(studio, retry_failed=True).outcomes == ()


def test_shards_share_a_folder_and_do_all_between_them(studio: Path) -> None:
    arguments = ["batch", str(studio / "films"), "--dubs", str(studio / "dubs")]
    arguments += ["--out", str(studio / "out"), "--jobs", "1"]
    arguments += [part for setting in CHEAP for part in ("--set", setting)]
    for shard in ("1/2", "2/2"):
        result = runner.invoke(app, [*arguments, "--shard", shard])
        assert result.exit_code == 0, result.stderr
    assert {path.name for path in (studio / "out").glob("*.mp4")} == {
        "one.fr.mp4", "one.de.mp4", "two.fr.mp4"
    }  # fmt: skip
    books = [json.loads(path.read_text()) for path in (studio / "out").glob("batch.*.json")]
    assert sorted(name for book in books for name in book["outcomes"]) == [
        "one.de", "one.fr", "two.fr"
    ]  # fmt: skip


def test_all_problems_are_told_and_nothing_starts(studio: Path) -> None:
    (studio / "films" / "two.mp4").write_bytes(b"no film")
    (studio / "dubs" / "one.de.wav").write_bytes(b"")
    junit = studio / "reports" / "report.xml"  # a folder that nobody has made yet
    arguments = ["batch", str(studio / "films"), "--dubs", str(studio / "dubs")]
    arguments += ["--out", str(studio / "out"), "--junit", str(junit)]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert "2 of 3 jobs are invalid" in result.stderr
    assert "two.mp4 is not a media file" in result.stderr
    assert "one.de.wav is empty" in result.stderr
    assert not (studio / "out").exists()
    cases = ElementTree.parse(junit).getroot().iter("testcase")
    assert {case.get("name"): [child.tag for child in case] for case in cases} == {
        "one.de": ["error"], "one.fr": ["skipped"], "two.fr": ["error"]
    }  # fmt: skip


def test_the_good_jobs_can_be_started_anyway(studio: Path) -> None:
    (studio / "films" / "two.mp4").write_bytes(b"no film")
    arguments = ["batch", str(studio / "films"), "--dubs", str(studio / "dubs"), "--skip-invalid"]
    arguments += ["--out", str(studio / "out"), "--json"]
    arguments += [part for setting in CHEAP for part in ("--set", setting)]
    result = runner.invoke(app, arguments)
    assert result.exit_code == EXIT_PARTIAL, result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[-1]["event"] == "result"
    assert events[-1]["status"] == "partial"
    assert {e["name"] for e in events if e["event"] == "job_end"} == {"one.de", "one.fr"}
    assert events[-1]["facts"]["problems"][0]["job"] == "two.fr"


def test_a_report_that_cannot_be_written_is_told_before_the_work(studio: Path) -> None:
    (studio / "file").write_text("mine")
    arguments = ["batch", str(studio / "films"), "--dubs", str(studio / "dubs")]
    arguments += ["--out", str(studio / "out")]
    for place in (studio, studio / "file" / "report.xml"):
        result = runner.invoke(app, [*arguments, "--junit", str(place)])
        assert result.exit_code == 8, result.output
        assert "error: the report" in result.stderr
        assert not (studio / "out").exists()


def test_a_dry_run_shows_every_job_and_writes_nothing(studio: Path) -> None:
    arguments = ["batch", str(studio / "films"), "--dubs", str(studio / "dubs"), "--dry-run"]
    result = runner.invoke(app, [*arguments, "--out", str(studio / "out")])
    assert result.exit_code == 0, result.stderr
    assert "3 of 3 jobs to do" in result.stdout
    assert not (studio / "out").exists()


def test_a_list_that_writes_one_result_twice_is_refused(studio: Path) -> None:
    (studio / "jobs.csv").write_text(
        "video,audio\nfilms/one.mp4,dubs/one.fr.wav\nfilms/one.mp4,dubs/one.de.wav\n"
    )
    batch = open_batch(BatchRequest(studio / "jobs.csv", studio / "out", settings=CHEAP))
    assert "writes the same result" in batch.checked.problems[0].message


def test_a_list_cannot_write_outside_the_output_folder(studio: Path) -> None:
    (studio / "jobs.csv").write_text(
        "video,audio,out\nfilms/one.mp4,dubs/one.fr.wav,../../evil.mp4\n"
    )
    batch = open_batch(BatchRequest(studio / "jobs.csv", studio / "out", settings=CHEAP))
    assert "outside" in batch.checked.problems[0].message
    assert not batch.todo


def test_a_foreign_batch_json_is_left_alone(studio: Path) -> None:
    (studio / "out").mkdir()
    (studio / "out" / "batch.json").write_text('{"mine": 1}')
    with pytest.raises(WorkError, match=r"not a batch record"):
        open_batch(request(studio))


def test_two_batches_at_once_analyze_a_film_once(studio: Path) -> None:
    both = [
        multiprocessing.get_context("spawn").Process(target=_dub, args=(studio, name))
        for name in ("one.fr", "one.de")
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    receipts = studio.glob("*/video-*/faces/*/receipt.json")
    assert len({path.stat().st_ino for path in receipts}) == 1


def _dub(studio: Path, name: str) -> None:
    """One run in a process of its own, with the shared analysis folder."""
    arguments = ["run", str(studio / "films" / "one.mp4")]
    arguments += ["--audio", str(studio / "dubs" / f"{name}.wav"), "--jobs", "1"]
    arguments += ["--out", str(studio / f"{name}.mp4"), "--analysis", str(studio / "analysis")]
    arguments += [part for setting in CHEAP for part in ("--set", setting)]
    result = CliRunner().invoke(app, arguments)
    raise SystemExit(result.exit_code)


def test_weights_that_are_not_for_paid_work_stop_a_batch_before_it_begins(
    studio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "engine_class", lambda *_: Whisperx)
    jobs = studio / "jobs.csv"
    jobs.write_text(
        "video,audio,language\nfilms/one.mp4,dubs/one.de.wav,de\nfilms/two.mp4,dubs/two.fr.wav,en\n"
    )
    command = ["batch", str(jobs), "--out", str(studio / "out"), "--license", "commercial"]
    command += ["--set", "speech.aligner=whisperx", "--json"]
    told = json.loads(runner.invoke(app, command).stdout.splitlines()[-1])
    assert told["exit_code"] == 2
    problems = open_batch(
        BatchRequest(
            jobs, studio / "out", settings=("speech.aligner=whisperx",), license="commercial"
        )
    ).checked.problems
    assert ["CC-BY-NC-4.0" in problem.message for problem in problems] == [True]
    assert not (studio / "out").exists()


def test_jobs_side_by_side_give_the_same_films_as_one_after_another(studio: Path) -> None:
    together = do(studio)
    alone = studio / "alone"
    for outcome in together.outcomes:
        film_name, language = outcome.name.split(".")
        result = dubkit.run(
            studio / "films" / f"{film_name}.mp4",
            studio / "dubs" / f"{outcome.name}.wav",
            out=studio / f"alone.{outcome.name}.mp4",
            work=alone / outcome.name,
            settings=(*CHEAP, f"speech.language={language}"),
            jobs=1,
        )
        assert result.output is not None
        assert result.output.read_bytes() == outcome.output.read_bytes()


def test_a_bug_ends_its_job_only_and_is_told(studio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(job: Job, config: Config) -> str | None:
        if job.output.name == "one.fr.mp4":
            raise ZeroDivisionError("a bug")
        return None

    monkeypatch.setattr("dubkit.pipeline.job.space_warning", broken)
    result = do(studio)
    states = {o.name: (o.state, o.exit_code) for o in result.outcomes}
    assert states == {"one.fr": ("failed", 1), "one.de": ("done", 0), "two.fr": ("done", 0)}
    assert "ZeroDivisionError" in str(next(o.error for o in result.outcomes if o.error))


def test_every_film_has_a_log_and_the_folder_a_status(studio: Path) -> None:
    do(studio, "parallel.jobs=1")
    log = (studio / "out" / "work" / "one.fr" / "run.log").read_text()
    assert "stitch job: 0 frames in" in log
    assert "ended with code 0" in log
    assert "ffmpeg" in log  # stitch starts it; its arguments are kept
    shown = runner.invoke(app, ["status", str(studio / "out"), "--json"])
    jobs = {job["name"]: job["state"] for job in json.loads(shown.stdout)["jobs"]}
    assert jobs == {"one.de": "done", "one.fr": "done", "two.fr": "done"}
    (studio / "out" / "batch.json").write_text('{"outcomes":{},"version":1,"kind":"dubkit batch"}')
    shown = runner.invoke(app, ["status", str(studio / "out")])
    assert "3 unfinished" in shown.stdout


def test_the_speed_predicted_counts_the_workers_and_not_the_waiting(studio: Path) -> None:
    assert open_batch(request(studio)).frames_a_second is None
    do(studio)
    path = studio / "out" / "batch.json"
    book = json.loads(path.read_text())
    for outcome in book["outcomes"].values():
        assert 0 < outcome["worked"] <= 2 * outcome["seconds"] + 1
        outcome |= {"worked": 4.0, "frames": 12, "seconds": 100.0}  # in the queue for most of it
    path.write_text(json.dumps(book))
    for jobs in (1, 4):
        assert open_batch(request(studio, f"parallel.jobs={jobs}")).frames_a_second == 3 * jobs
