from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.errors import UsageError, WorkError
from dubkit.work.cleanup import find_work, parse_age, survey
from dubkit.work.folder import take_film
from dubkit.work.lock import hold
from tests.clips import film, tone

CHEAP = ["--set", "speech.aligner=even", "--set", "generate.synthesizer=passthrough"]
CHEAP += ["--set", "shots.detector=fixed", "--jobs", "1"]
runner = CliRunner()


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A finished job in ``w``, with strangers beside it."""
    film(tmp_path / "film.mp4", seconds=0.4)
    tone(tmp_path / "a.wav", 0.4)
    dub(tmp_path, "a.wav")
    return tmp_path


def dub(folder: Path, sound: str, *more: str) -> None:
    arguments = ["run", str(folder / "film.mp4"), "--audio", str(folder / sound), *CHEAP, *more]
    arguments += ["--out", str(folder / "out.mp4"), "--work", str(folder / "w"), "--overwrite"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.stderr


def clean(*arguments: str | Path) -> dict[str, object]:
    result = runner.invoke(app, ["clean", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.stderr
    answer: dict[str, object] = json.loads(result.stdout)
    return answer


def units(work: Path) -> set[str]:
    return {str(path.parent.relative_to(work)) for path in work.glob("*/*/*/receipt.json")}


def test_what_the_last_job_uses_stays_and_runs_without_work(job: Path) -> None:
    first = units(job / "w")
    tone(job / "b.wav", 0.3)
    dub(job, "b.wav")
    used = units(job / "w") - first | {name for name in first if name.startswith("video")}
    gone = clean(job / "w")
    assert units(job / "w") == used
    assert gone["removed"]
    result = runner.invoke(app, ["status", str(job / "w"), "--json"])
    assert json.loads(result.stdout)["finished"] is True


def test_all_leaves_the_result_and_what_dubkit_did_not_make(job: Path) -> None:
    (job / "w" / "notes.txt").write_text("mine")
    (job / "w" / "video-notes").mkdir()
    (job / "w" / "link").symlink_to(job)
    clean(job / "w", "--all")
    assert {path.name for path in (job / "w").iterdir()} >= {"notes.txt", "video-notes", "link"}
    assert not units(job / "w")
    assert (job / "out.mp4").is_file()
    assert (job / "film.mp4").is_file()


def test_all_of_an_ordinary_work_folder_leaves_nothing(job: Path) -> None:
    clean(job, "--all")
    assert not (job / "w").exists()


def test_a_link_inside_is_never_followed(job: Path) -> None:
    outside = job / "precious"
    outside.mkdir()
    (outside / "file").write_text("x")
    source = next((job / "w").glob("dub-*"))
    (source / "generate" / "0000000-0000999").symlink_to(outside)
    (job / "w" / "scratch" / "old").mkdir(parents=True)
    (job / "w" / "scratch" / "old" / "l").symlink_to(outside)
    clean(job / "w", "--all")
    assert (outside / "file").read_text() == "x"


def test_nothing_foreign_goes_wherever_it_lies(job: Path) -> None:
    work, outside = job / "w", job / "outside"
    (outside / "0000000-0000010").mkdir(parents=True)
    (outside / "0000000-0000010" / "receipt.json").write_text("{}")
    (outside / "empty").mkdir()
    source = next(work.glob("dub-*"))
    unit = next(source.glob("generate/*"))
    foreign = [
        source / "notes.txt",
        source / "generate" / "notes.txt",
        source / "generate" / "my shot" / "receipt.json",
        source / "My Stage" / "job" / "receipt.json",
        unit / "notes.txt",
        unit / "deeper" / "notes.txt",
        work / "scratch" / "notes.txt",
        work / "scratch" / "tmp-mine" / "notes.txt",
        work / "video-0123456789ab" / "0000000-0000010" / "notes.txt",
        work / "dub-0123456789abc" / "faces" / "job" / "receipt.json",
        work / "dub-ba9876543210",  # a file with the name of a folder
    ]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    empty = source / "generate" / "mine"
    empty.mkdir()
    links = [
        source / "faces",
        work / "video-ffffffffffff",
        work / "scratch" / "tmpabcdefgh",
        unit / "l",
    ]
    for link in links:
        link.symlink_to(outside)
    before = sorted(outside.rglob("*"))
    clean(work)
    clean(work, "--all")
    assert [path for path in foreign if not path.is_file()] == []
    assert [path for path in links if not path.is_symlink()] == []
    assert empty.is_dir()
    assert sorted(outside.rglob("*")) == before
    assert not (unit / "receipt.json").exists()


def test_a_receipt_cannot_name_what_lies_elsewhere(job: Path) -> None:
    precious = job / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    receipt = next((job / "w").glob("dub-*/stitch/job/receipt.json"))
    (receipt.parent / "sub").symlink_to(precious)
    book = json.loads(receipt.read_text())
    for name in ("../../../../precious/file", str(precious / "file"), "sub/file"):
        book["outputs"][name] = "0" * 64
    receipt.write_text(json.dumps(book))
    clean(job / "w", "--all")
    assert (precious / "file").read_text() == "x"
    assert not receipt.exists()


def test_a_lock_that_is_a_link_is_not_written_through(job: Path) -> None:
    (job / "mine").write_text("x")
    (job / "w" / "lock").unlink()
    (job / "w" / "lock").symlink_to(job / "mine")
    assert runner.invoke(app, ["clean", str(job / "w"), "--all"]).exit_code == 6
    assert (job / "mine").read_text() == "x"


def test_a_file_that_two_folders_hold_counts_once_and_when_both_go(job: Path) -> None:
    clean(job / "w", "--all")
    dub(job, "a.wav", "--analysis", str(job / "lib"))
    one, both = (
        clean(*folders, "--all", "--dry-run")["bytes"] for folders in ([job / "lib"], [job])
    )
    shared = sum(path.stat().st_size for path in (job / "lib").glob("video-*/*/*/*"))
    assert shared > 0
    lock = next((job / "lib").glob("*.lock")).stat().st_size
    assert one == lock
    alone = clean(job / "w", "--all", "--dry-run")["bytes"]
    assert both == alone + shared + lock  # type: ignore[operator]
    assert clean(job, "--all")["bytes"] == both


def test_an_analysis_in_use_is_left_alone(job: Path) -> None:
    dub(job, "a.wav", "--analysis", str(job / "lib"))
    (lock,) = (job / "lib").glob("*.lock")
    before = sorted((job / "lib").rglob("*"))
    held = take_film(job / "lib", lock.stem)
    assert held is not None
    with held:
        result = runner.invoke(app, ["clean", str(job / "lib"), "--all"])
    assert result.exit_code == 6
    assert "in use" in result.stderr
    assert sorted((job / "lib").rglob("*")) == before


def test_a_dry_run_tells_the_same_and_deletes_nothing(job: Path) -> None:
    before = units(job / "w")
    planned = clean(job / "w", "--all", "--dry-run")
    assert planned["removed"] == []
    assert units(job / "w") == before
    assert clean(job / "w", "--all")["planned"] == planned["planned"]


def test_only_what_is_old_enough_goes(job: Path) -> None:
    assert clean(job / "w", "--all", "--older-than", "1h")["removed"] == []
    unit = next((job / "w").glob("dub-*/stitch/job"))
    then = time.time() - 7200
    for path in unit.iterdir():
        os.utime(path, (then, then))
    (gone,) = survey(job / "w", "all", parse_age("1h"))
    assert gone.path == unit


def test_a_folder_in_use_is_left_alone(job: Path) -> None:
    with hold(job / "w"):
        result = runner.invoke(app, ["clean", str(job / "w"), "--all"])
    assert result.exit_code == 6
    assert "in use" in result.stderr
    assert units(job / "w")


def test_a_folder_of_somebody_else_is_no_work_folder(tmp_path: Path) -> None:
    (tmp_path / "video-000000000000").mkdir()
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(WorkError, match="no dubkit work folder"):
        find_work(tmp_path)


def test_an_analysis_library_goes_only_as_a_whole(job: Path) -> None:
    dub(job, "a.wav", "--analysis", str(job / "lib"))
    assert clean(job / "lib")["removed"] == []
    clean(job / "lib", "--all")
    assert not (job / "lib").exists()


@pytest.mark.parametrize("text", ["", "30", "d", "-3d", "3 years"])
def test_an_age_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not an age"):
        parse_age(text)
