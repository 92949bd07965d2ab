"""A job from request to film, over stages that are fake and files that are real."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path, PosixPath
from typing import Any

import pytest

from dubkit.config.presets import load_config
from dubkit.errors import (
    EXIT_PARTIAL,
    InputError,
    Interrupted,
    OutputError,
    UsageError,
    WorkError,
)
from dubkit.pipeline.dry_run import UnitState
from dubkit.pipeline.inspect import job_status, verify_work
from dubkit.pipeline.job import STAGES, dry_run
from dubkit.pipeline.runner import side_by_side
from dubkit.stages.base import Per
from tests.fakes import FILM, Bench, Recorder, make_config, stages

SHOTS = ["0000000-0000050", "0000050-0000090", "0000090-0000200", "0000200-0000230"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "film")


def lines(bench: Bench, **options: object) -> dict[str, UnitState]:
    found = dry_run(bench.request(**options), bench.stages)
    return {f"{line.stage}/{line.unit}": line for line in found}


def test_a_run_makes_the_film_and_leaves_no_scratch(bench: Bench) -> None:
    result = bench.run()
    assert result.exit_code == 0
    assert result.output == bench.job.output
    assert bench.job.output.read_text().startswith("[0000000-0000050 0.5 says 0:hello]\n")
    assert result.done == 16
    assert result.frames == 230
    assert result.facts["shots.shots"] == 4
    assert result.facts["generate.frames"] == 230
    assert bench.scratch() == []


def test_results_and_warnings_come_in_film_order_whatever_ended_first(bench: Bench) -> None:
    result = bench.run()
    assert result.warnings == tuple(f"shot {name}: a small face" for name in SHOTS)


def test_the_longest_shot_starts_first(bench: Bench) -> None:
    bench.run()
    ran = [line.removeprefix("generate/") for line in bench.counts() if "generate" in line]
    assert ran == [SHOTS[2], SHOTS[0], SHOTS[1], SHOTS[3]]


def test_speech_does_not_wait_for_the_faces(bench: Bench) -> None:
    bench.config = make_config(jobs=2)
    slow = f"faces/{SHOTS[2]}"
    bench.trouble(**{slow: "2"})
    heard = Recorder()
    bench.run(progress=heard)
    ended = [f"{stage}/{unit}" for stage, unit, _, _ in heard.units]
    assert ended.index("speech/job") < ended.index(slow) < ended.index(f"timing/{SHOTS[0]}")


def test_stages_stand_side_by_side_only_where_none_reads_another() -> None:
    groups = [[stage.name for stage in group] for group in side_by_side(STAGES)]
    assert ["conform", "shots", "speech"] in groups
    for group in side_by_side(STAGES):
        names = {stage.name for stage in group}
        assert not any(names & set(stage.after) for stage in group)
        # what works on shots waits until they are known
        assert "shots" not in names or all(stage.per is Per.JOB for stage in group)


def test_the_same_run_again_does_nothing(bench: Bench) -> None:
    bench.run()
    bench.counts()
    before = bench.job.output.stat()
    result = bench.run(overwrite=False)
    assert result.done == 0
    assert bench.counts() == []
    after = bench.job.output.stat()  # it may be read
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_progress_hears_of_every_unit_and_of_each_note_once(bench: Bench) -> None:
    heard = Recorder()
    bench.run(progress=heard)
    assert heard.plans[0] == ("probe", 1, 0, 0)
    assert ("generate", 4, 0, 230) in heard.plans
    assert len(heard.units) == 16
    assert heard.notes == ["the aligner is fake"]
    again = Recorder()
    bench.run(progress=again)
    assert ("generate", 4, 4, 0) in again.plans
    assert again.units == []


def test_the_progress_of_a_stage_that_is_off_is_not_shown(bench: Bench) -> None:
    bench.stages = stages(timing__shown=lambda config: config.gate.action != "off")
    bench.config = load_config([], ["gate.action=off", "parallel.jobs=1", "faces.which=largest"])
    off = Recorder()
    bench.run(progress=off)
    assert {stage for stage, *_ in off.plans} == {s.name for s in bench.stages} - {"timing"}
    assert "timing" not in {stage for stage, *_ in off.units}
    bench.config = load_config([], ["gate.action=warn", "parallel.jobs=1", "faces.which=largest"])
    on = Recorder()
    bench.run(progress=on, force=("timing",))
    assert "timing" in {stage for stage, *_ in on.plans}
    gate = next(stage for stage in STAGES if stage.name == "gate")
    assert [gate.shown(load_config([], [f"gate.action={a}"])) for a in ("off", "warn")] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("setting", "redone"),
    [
        ("faces.min_score=0.7", {"faces", "generate", "stitch"}),
        ("timing.offset_ms=20", {"timing"}),  # this timing's output is the same: nothing after it
        ("generate.quality=20", {"generate"}),
        ("parallel.jobs=2", set()),
        ("parallel.on_failure=original", set()),
    ],
)
def test_a_changed_setting_redoes_exactly_the_stages_it_decides(
    bench: Bench, setting: str, redone: set[str]
) -> None:
    bench.run()
    bench.counts()
    bench.config = load_config(
        settings=["parallel.device=cpu", "parallel.jobs=1", "faces.which=largest", setting]
    )
    bench.run()
    assert {line.split("/")[0] for line in bench.counts()} == redone


def test_moving_one_cut_reruns_only_the_shots_it_touches(bench: Bench) -> None:
    cuts = bench.folder / "cuts.txt"
    cuts.write_text(FILM)
    bench.job = dataclasses.replace(bench.job, shots=cuts)
    bench.run()
    bench.counts()
    cuts.write_text("0 55\n55 90\n90 200\n200 230\n")
    bench.run()
    touched = ("0000000-0000055", "0000055-0000090")
    redone = {f"{stage}/{shot}" for stage in ("faces", "timing", "generate") for shot in touched}
    ran = bench.counts()
    assert {*ran} == {"shots/job", "stitch/job", *redone}
    assert len(ran) == 8


def test_one_corrected_line_of_dialogue_renders_one_shot(bench: Bench) -> None:
    bench.run()
    bench.counts()
    bench.job.audio.write_text(bench.dub.replace("general", "generale"))
    bench.run()
    ran = bench.counts()
    assert [line for line in ran if "generate" in line] == [f"generate/{SHOTS[2]}"]
    assert not [line for line in ran if line.startswith(("probe", "shots", "faces"))]


def test_a_second_dub_of_a_film_shares_what_belongs_to_the_picture(bench: Bench) -> None:
    bench.run()
    bench.counts()
    french = bench.folder / "french.txt"
    french.write_text("0:bonjour\n")
    bench.job = dataclasses.replace(bench.job, audio=french, output=bench.folder / "fr.txt")
    bench.run()
    assert {line.split("/")[0] for line in bench.counts()} == {
        "speech",
        "timing",
        "generate",
        "stitch",
    }


def test_an_analysis_named_late_gets_what_was_found_before_it_was_named(bench: Bench) -> None:
    bench.run()
    shared = bench.folder / "analysis"
    bench.job = dataclasses.replace(bench.job, analysis=shared)
    bench.run()
    bench.counts()
    elsewhere = bench.folder / "elsewhere.dubkit"
    bench.job = dataclasses.replace(bench.job, work=elsewhere, output=bench.folder / "b.txt")
    bench.run()
    found = {line.split("/")[0] for line in bench.counts()}
    assert found == {"speech", "timing", "generate", "stitch"}


def test_forcing_a_stage_repeats_it_and_stops_where_results_are_equal(bench: Bench) -> None:
    bench.run()
    bench.counts()
    bench.run(force=["faces"])
    assert sorted(bench.counts()) == [f"faces/{shot}" for shot in SHOTS]


def test_until_ends_after_a_stage_and_makes_no_film(bench: Bench) -> None:
    result = bench.run(until="faces")
    assert result.output is None
    assert not bench.job.output.exists()
    assert {line.split("/")[0] for line in bench.counts()} == {"probe", "shots", "faces"}


@pytest.mark.parametrize("options", [{"until": "shoots"}, {"force": ["shoots"]}])
def test_an_unknown_stage_is_refused_with_the_known_ones(
    bench: Bench, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="shoots") as caught:
        bench.run(**options)
    assert "did you mean shots?" in str(caught.value.hint)
    assert "probe, shots, faces" in str(caught.value.hint)


def test_a_dry_run_plans_and_writes_nothing(bench: Bench) -> None:
    result = bench.run(dry_run=True)
    assert [(line.stage, line.unit) for line in result.plan] == [
        ("probe", "job"),
        ("shots", "job"),
        ("faces", "*"),
        ("speech", "job"),
        ("timing", "*"),
        ("generate", "*"),
        ("stitch", "job"),
    ]
    assert not bench.job.work.exists()
    assert not bench.job.output.exists()


def test_the_plan_says_why_a_unit_runs_again(bench: Bench) -> None:
    assert lines(bench)["probe/job"].reason == "not done yet"
    bench.run()
    assert all(line.current for line in lines(bench).values())
    bench.config = load_config(
        settings=["generate.quality=20", "parallel.device=cpu", "faces.which=largest"]
    )
    changed = lines(bench)
    assert changed[f"generate/{SHOTS[0]}"].reason == "generate.quality was 16.0, is 20.0"
    assert changed["stitch/job"].reason == "generate runs before it"
    assert changed[f"faces/{SHOTS[0]}"].current
    bench.stages = stages(generate__identity=lambda config: "tcsc 2")
    assert lines(bench)[f"generate/{SHOTS[0]}"].reason.startswith("engine was , is tcsc 2")


def test_another_container_redoes_only_the_film(bench: Bench) -> None:
    bench.run()
    bench.counts()
    bench.job = dataclasses.replace(bench.job, output=bench.folder / "out.mkv")
    bench.run()
    assert bench.counts() == ["stitch/job"]


class TestFailures:
    def test_one_bad_shot_does_not_stop_its_siblings(self, bench: Bench) -> None:
        bench.trouble(**{f"generate/{SHOTS[2]}": "fail"})
        with pytest.raises(InputError, match=f"generate of shot {SHOTS[2]}") as caught:
            bench.run()
        assert "--on-failure original" in str(caught.value.hint)
        assert "look at it" in str(caught.value.hint)
        ran = [line for line in bench.counts() if "generate" in line]
        assert len(ran) == 3
        assert bench.scratch() == []
        bench.trouble()
        bench.run()
        assert bench.counts() == [f"generate/{SHOTS[2]}", "stitch/job"]

    @pytest.mark.parametrize("stage", ["faces", "timing", "generate"])
    def test_a_film_can_finish_with_the_original_picture_there(
        self, bench: Bench, stage: str
    ) -> None:
        bench.config = make_config(jobs=1, on_failure="original")
        bench.trouble(**{f"{stage}/{SHOTS[1]}": "fail"})
        heard = Recorder()
        result = bench.run(progress=heard)
        assert result.exit_code == EXIT_PARTIAL
        assert len(result.kept) == 1
        assert SHOTS[1] in result.kept[0]
        assert f"[{SHOTS[1]} as it was]" in bench.job.output.read_text()
        assert any("keeps its original picture" in warning for warning in heard.warnings)
        bench.counts()
        bench.trouble()
        assert bench.run().exit_code == 0
        assert "as it was" not in bench.job.output.read_text()
        assert not [line for line in bench.counts() if SHOTS[0] in line]

    def test_a_failing_job_stage_ends_the_run_even_so(self, bench: Bench) -> None:
        bench.config = make_config(jobs=1, on_failure="original")
        bench.trouble(speech="fail")
        with pytest.raises(InputError):
            bench.run()
        status = job_status(bench.job.work, stages=bench.stages)
        assert [result.stage for result in status.failures] == ["speech"]

    def test_a_full_disk_and_exhausted_memory_are_said_in_one_sentence(self, bench: Bench) -> None:
        bench.trouble(speech="disk")
        with pytest.raises(OutputError, match="the disk is full"):
            bench.run()
        bench.trouble(speech="memory")
        with pytest.raises(WorkError, match="not enough memory"):
            bench.run()

    def test_a_bug_is_not_dressed_up(self, bench: Bench) -> None:
        bench.trouble(speech="bug")
        with pytest.raises(ZeroDivisionError):
            bench.run()
        assert bench.scratch() == []
        assert (bench.job.work / "manifest.json").exists()

    def test_a_worker_that_dies_takes_only_its_own_shot(self, bench: Bench) -> None:
        bench.config = make_config(jobs=2)
        bench.trouble(**{f"generate/{SHOTS[0]}": "kill"})
        with pytest.raises(WorkError, match=f"generate of shot {SHOTS[0]}.*died three times"):
            bench.run()
        ran = [line for line in bench.counts() if "generate" in line]
        assert set(ran) == {f"generate/{SHOTS[i]}" for i in (1, 2, 3)}
        bench.config = make_config(jobs=2, on_failure="original")
        assert bench.run().exit_code == EXIT_PARTIAL
        assert f"[{SHOTS[0]} as it was]" in bench.job.output.read_text()


class TestDestination:
    def test_an_output_that_exists_is_refused_before_any_work(self, bench: Bench) -> None:
        bench.job.output.write_text("precious")
        with pytest.raises(OutputError, match="exists already") as caught:
            bench.run(overwrite=False)
        assert "--overwrite" in str(caught.value.hint)
        assert bench.job.output.read_text() == "precious"
        assert bench.counts() == []
        assert not bench.job.work.exists()
        bench.run(overwrite=True)
        assert "precious" not in bench.job.output.read_text()

    def test_an_own_result_that_would_change_is_not_replaced_unasked(self, bench: Bench) -> None:
        bench.run()
        bench.job.audio.write_text("0:other\n")
        with pytest.raises(OutputError):
            bench.run(overwrite=False)

    def test_an_output_equal_to_an_input_is_refused(self, bench: Bench) -> None:
        (bench.folder / "same.txt").symlink_to(bench.job.video)
        for output in (bench.job.video, bench.folder / "same.txt"):
            bench.job = dataclasses.replace(bench.job, output=output)
            with pytest.raises(UsageError, match="is the film itself"):
                bench.run(overwrite=True)

    def test_an_unwritable_destination_is_refused_before_any_work(self, bench: Bench) -> None:
        for output in (bench.folder / "no" / "out.txt", bench.job.audio / "out.txt", bench.folder):
            bench.job = dataclasses.replace(bench.job, output=output)
            with pytest.raises(OutputError):
                bench.run()
        bench.job = dataclasses.replace(bench.job, output=Path("/proc/out.txt"))
        with pytest.raises(OutputError, match="cannot be written"):
            bench.run()
        assert bench.counts() == []

    def test_a_deleted_result_is_delivered_again_without_work(self, bench: Bench) -> None:
        bench.run()
        film = bench.job.output.read_bytes()
        bench.counts()
        bench.job.output.unlink()
        assert bench.run(overwrite=False).done == 0
        assert bench.job.output.read_bytes() == film

    def test_a_result_on_another_file_system_is_copied(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_links(*_: object) -> None:
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", no_links)
        bench.run()
        assert "general" in bench.job.output.read_text()
        assert not list(bench.folder.glob(".*part"))


class TestInputs:
    def test_a_missing_input_is_named(self, bench: Bench) -> None:
        bench.job.audio.unlink()
        with pytest.raises(InputError, match="there is no file") as caught:
            bench.run()
        assert "audio" in str(caught.value.hint)

    def test_a_folder_as_input_is_refused(self, bench: Bench) -> None:
        bench.job.audio.unlink()
        bench.job.audio.mkdir()
        with pytest.raises(InputError, match="is a folder"):
            bench.run()

    def test_a_touched_input_is_hashed_again_but_nothing_runs(self, bench: Bench) -> None:
        bench.run()
        bench.counts()
        os.utime(bench.job.video, (1, 1))
        bench.run()
        assert bench.counts() == []


class TestDamage:
    @pytest.mark.parametrize("content", [b"", b"\0" * 400, b'{"version": 1, "kind": "dub'])
    def test_a_damaged_manifest_is_rebuilt_from_receipts(
        self, bench: Bench, content: bytes
    ) -> None:
        bench.run()
        bench.counts()
        manifest = bench.job.work / "manifest.json"
        good = manifest.read_bytes()
        manifest.write_bytes(content)
        bench.run()
        assert bench.counts() == []
        assert manifest.read_bytes() == good
        manifest.unlink()
        bench.run()
        assert bench.counts() == []

    @pytest.mark.parametrize("harm", ["receipt", "output", "truncate", "zero receipt", "folder"])
    def test_a_damaged_unit_is_redone_alone(self, bench: Bench, harm: str) -> None:
        bench.run()
        film = bench.job.output.read_bytes()
        bench.counts()
        unit = next(bench.job.work.glob(f"dub-*/generate/{SHOTS[1]}"))
        if harm == "receipt":
            (unit / "receipt.json").unlink()
        elif harm == "output":
            (unit / "part.txt").unlink()
        elif harm == "truncate":
            (unit / "part.txt").write_text("[")
        elif harm == "folder":
            shutil.rmtree(unit)
        else:
            (unit / "receipt.json").write_bytes(b"\0" * 50)
        bench.run()
        assert bench.counts() == [f"generate/{SHOTS[1]}"]
        assert bench.job.output.read_bytes() == film

    def test_verify_finds_a_changed_byte_and_only_that_unit_is_redone(self, bench: Bench) -> None:
        bench.run()
        bench.counts()
        assert verify_work(bench.job.work) == ()
        part = next(bench.job.work.glob(f"dub-*/generate/{SHOTS[1]}/part.txt"))
        part.write_bytes(part.read_bytes().replace(b"there", b"where"))
        bench.run()
        assert bench.counts() == []  # size and time do not betray it
        assert [SHOTS[1] in text for text in verify_work(bench.job.work)] == [True]
        bench.run()
        assert bench.counts() == [f"generate/{SHOTS[1]}"]

    def test_verify_notices_an_input_that_changed_behind_its_time_stamp(self, bench: Bench) -> None:
        bench.run()
        before = bench.job.audio.stat()
        bench.job.audio.write_text(bench.dub.replace("hello", "hallo"))
        os.utime(bench.job.audio, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert "audio" in verify_work(bench.job.work)[0]


class TestWorkFolder:
    def test_a_folder_of_something_else_is_refused(self, bench: Bench) -> None:
        bench.job.work.mkdir()
        (bench.job.work / "thesis.docx").write_text("years of work")
        with pytest.raises(WorkError, match=r"thesis\.docx"):
            bench.run()
        (bench.job.work / "manifest.json").write_text('{"name": "an extension", "version": 1}')
        with pytest.raises(WorkError, match="is something else"):
            bench.run()

    def test_a_folder_of_another_film_is_refused(self, bench: Bench) -> None:
        bench.run()
        other = bench.folder / "other.txt"
        other.write_text("0 10\n")
        bench.job = dataclasses.replace(bench.job, video=other)
        with pytest.raises(WorkError, match=r"another film, film\.txt") as caught:
            bench.run()
        assert "--work" in str(caught.value.hint)

    def test_a_moved_film_and_folder_are_recognized(self, bench: Bench, tmp_path: Path) -> None:
        bench.run()
        bench.counts()
        shutil.move(bench.folder, tmp_path / "moved")
        moved = Bench(tmp_path / "moved")
        moved.run()
        assert moved.counts() == []

    def test_a_folder_of_another_version_is_refused(self, bench: Bench) -> None:
        bench.run()
        manifest = bench.job.work / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 99', 1))
        with pytest.raises(WorkError, match="another version") as caught:
            bench.run()
        assert "delete" in str(caught.value.hint)

    @pytest.mark.parametrize("work", ["/proc/dubkit", "file/work", "file"])
    def test_a_work_folder_that_cannot_be_is_refused(self, bench: Bench, work: str) -> None:
        (bench.folder / "file").write_text("")
        bench.job = dataclasses.replace(bench.job, work=bench.folder / work)
        with pytest.raises((WorkError, OutputError)):
            bench.run()

    def test_a_full_disk_ends_the_run_and_keeps_what_is_done(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = shutil.which("mount")
        if mount is None or os.geteuid() != 0:
            pytest.skip("a small disk needs root and mount")
        made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)])
        if made.returncode != 0:
            pytest.skip("this machine lets nobody mount a small disk")
        try:
            bench = Bench(tmp_path / "film", film=FILM, dub="0:" + "long " * 15000)
            bench.job = dataclasses.replace(bench.job, work=disk / "work")
            with pytest.raises(OutputError, match="disk is full"):
                bench.run()
            assert bench.scratch() == []
            assert next(disk.glob("work/video-*/probe/job/receipt.json")).exists()
        finally:
            subprocess.run(["umount", str(disk)], check=True)


class TestInterruption:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_that_comes_while_the_book_is_written_stops_the_run_too(
        self, bench: Bench, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dubkit.pipeline.runner.SAVE_SECONDS", 0.0)
        monkeypatch.setattr("dubkit.pipeline.runner.SAVE_SHARE", 0)
        armed: list[bool] = []

        class Loud(PosixPath):
            def __str__(self) -> str:
                if armed:
                    armed.clear()
                    signal.raise_signal(number)
                return super().__str__()

        bench.config = make_config(jobs=1)
        plain, heard = bench.job, Recorder()
        bench.job = dataclasses.replace(plain, script=None, audio=Loud(plain.audio))

        def arm(stage: str, *_: object) -> None:
            armed.extend([True] * (stage == "faces"))

        heard.advance = arm  # type: ignore[method-assign, assignment]
        with pytest.raises(Interrupted):
            bench.run(progress=heard)
        bench.job = plain
        assert bench.run().exit_code == 0

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("jobs", [1, 2])
    def test_a_signal_stops_the_run_which_then_goes_on(
        self, bench: Bench, number: signal.Signals, jobs: int
    ) -> None:
        bench.config = make_config(jobs=jobs)
        bench.trouble(**{f"generate/{SHOTS[3]}": "30"})
        heard = Recorder()

        def interrupt(stage: str, *_: object) -> None:
            if stage == "generate" and not timer.is_alive():
                timer.start()

        timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
        heard.advance = interrupt  # type: ignore[method-assign, assignment]
        with pytest.raises(Interrupted) as caught:
            bench.run(progress=heard)
        assert caught.value.exit_code == 130
        assert "same command" in str(caught.value.hint)
        assert bench.scratch() == []
        done = bench.counts()
        bench.trouble()
        bench.run()
        assert not {*done} & {*bench.counts()}
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


class TestStatus:
    def test_status_counts_what_is_done(self, bench: Bench) -> None:
        bench.run(until="faces")
        status = job_status(bench.job.work, stages=bench.stages)
        by_name = {stage.stage: stage for stage in status.stages}
        assert (by_name["faces"].units, by_name["faces"].current) == (4, 4)
        assert (by_name["generate"].units, by_name["generate"].current) == (4, 0)
        assert not status.finished
        assert status.in_use_by is None
        bench.run()
        assert job_status(bench.job.work, stages=bench.stages).finished

    def test_status_of_a_folder_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(WorkError, match="no readable manifest"):
            job_status(tmp_path)
