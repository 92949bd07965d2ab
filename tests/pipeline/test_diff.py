from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.records import StageResult
from dubkit.work.manifest import read_manifest
from tests.clips import film, shots_film, tone

CHEAP = ["--set", "speech.aligner=even", "--set", "generate.synthesizer=passthrough"]
runner = CliRunner()
# a shot hears 0.8 s beyond its cuts; these lines keep farther away from them
LINES = [("one two three", 1, 2), ("four five six", 5, 6), ("seven eight nine", 9, 10)]


def subtitles(path: Path, lines: list[tuple[str, int, int]]) -> Path:
    blocks = [
        f"{i}\n00:00:{start:02},200 --> 00:00:{end:02},400\n{text}\n"
        for i, (text, start, end) in enumerate(lines, 1)
    ]
    path.write_text("\n".join(blocks))
    return path


@pytest.fixture
def dubbed(tmp_path: Path) -> Path:
    """A film of three shots of four seconds, dubbed from a script of a line each."""
    shots_film(tmp_path / "film.mkv", [100, 100, 100])
    tone(tmp_path / "dub.wav", 12.0)
    subtitles(tmp_path / "dub.srt", LINES)
    run(tmp_path, "old", "dub.srt")
    return tmp_path


def run(folder: Path, name: str, script: str) -> None:
    arguments = ["run", str(folder / "film.mkv"), "--audio", str(folder / "dub.wav"), *CHEAP]
    arguments += ["--script", str(folder / script), "--out", str(folder / f"{name}.mkv")]
    result = runner.invoke(app, [*arguments, "--work", str(folder / name), "--jobs", "1"])
    assert result.exit_code == 0, result.stderr


def told(arguments: list[str]) -> dict[str, str]:
    result = runner.invoke(app, ["diff", *arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["changed"] == sum(shot["changed"] for shot in answer["shots"])
    return {s["shot"]: s["reason"] for s in answer["shots"] if s["changed"]}


def test_a_corrected_line_changes_the_shot_that_it_is_spoken_in(dubbed: Path) -> None:
    corrected = [LINES[0], LINES[1], ("seven eight ten eleven", 9, 10)]
    subtitles(dubbed / "new.srt", corrected)
    before = sorted(path for path in (dubbed / "old").rglob("*.json"))
    script = str(dubbed / "new.srt")
    found = told([str(dubbed / "old"), str(dubbed / "dub.wav"), "--script", script])
    assert list(found) == ["0000200-0000300"]
    assert "“seven eight ten eleven” instead of “seven eight nine”" in found["0000200-0000300"]
    assert sorted(path for path in (dubbed / "old").rglob("*.json")) == before


def test_what_diff_foretells_is_what_a_run_then_does(dubbed: Path) -> None:
    subtitles(dubbed / "new.srt", [LINES[0], ("fort five six", 5, 6), LINES[2]])
    run(dubbed, "new", "new.srt")
    assert list(told([str(dubbed / "old"), str(dubbed / "new")])) == ["0000100-0000200"]


def test_after_a_corrected_line_the_same_work_folder_renders_that_shot_alone(dubbed: Path) -> None:
    before = generated(dubbed / "old")
    subtitles(dubbed / "dub.srt", [LINES[0], ("fort five six", 5, 6), LINES[2]])
    (dubbed / "old.mkv").unlink()
    run(dubbed, "old", "dub.srt")
    after = generated(dubbed / "old")
    assert {shot: after[shot].outputs == before[shot].outputs for shot in after} == dict.fromkeys(
        before, True
    )
    anew = [shot for shot in after if after[shot].fingerprint != before[shot].fingerprint]
    assert anew == ["generate/0000100-0000200"]


def generated(work: Path) -> dict[str, StageResult]:
    """What the book says of the rendered shots."""
    manifest = read_manifest(work)
    assert manifest is not None
    return {k: r for k, r in manifest.results.items() if k.startswith("generate/")}


def test_the_same_dub_changes_nothing(dubbed: Path) -> None:
    assert told([str(dubbed / "old"), str(dubbed / "old")]) == {}
    assert told([str(dubbed / "old"), str(dubbed / "dub.wav")]) == {}


def test_dubs_of_different_films_are_not_compared(dubbed: Path) -> None:
    film(dubbed / "film.mkv", seconds=12)
    (dubbed / "dub2.srt").write_text((dubbed / "dub.srt").read_text())
    run(dubbed, "other", "dub2.srt")
    result = runner.invoke(app, ["diff", str(dubbed / "old"), str(dubbed / "other")])
    assert result.exit_code == 2
    assert "different films" in result.stderr


def test_a_folder_without_a_job_is_told(tmp_path: Path) -> None:
    result = runner.invoke(app, ["diff", str(tmp_path), str(tmp_path)])
    assert result.exit_code == 6
    assert "no readable manifest" in result.stderr
