"""What a person said of single shots, for many films at once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubkit.batches import BatchRequest, open_batch, run_batch
from dubkit.batches.find_jobs import check, read_list
from dubkit.cli.app import app
from dubkit.errors import UsageError
from dubkit.progress import NoProgress
from tests.clips import film, tone

CHEAP = (
    "shots.detector=fixed",
    "speech.aligner=even",
    "generate.synthesizer=passthrough",
    "generate.speed=ultrafast",
)
WHOLE = "0000000-0000012"  # the one shot of a film of half a second
REJECT = {WHOLE: {"verdict": "reject", "note": "chin smears"}}


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    """Two films, three dubs, a folder for verdicts."""
    for folder in ("films", "dubs", "said"):
        (tmp_path / folder).mkdir()
    for name, rate in (("one", "24"), ("two", "25")):
        film(tmp_path / "films" / f"{name}.mp4", seconds=0.5, rate=rate)
    for dub in ("one.fr", "one.de", "two.fr"):
        tone(tmp_path / "dubs" / f"{dub}.wav", 0.5)
    return tmp_path


def say(studio: Path, name: str, of: str, shots: object = REJECT, **changes: object) -> Path:
    sha256 = hashlib.sha256((studio / "films" / f"{of}.mp4").read_bytes()).hexdigest()
    table = {"kind": "dubkit-verdicts", "version": 1, "film": sha256, "shots": shots, **changes}
    path = studio / "said" / f"{name}.verdicts.json"
    path.write_text(json.dumps(table))
    return path


def request(studio: Path, given: Path | None, *more: str) -> BatchRequest:
    return BatchRequest(
        studio / "films",
        studio / "out",
        dubs=studio / "dubs",
        settings=(*CHEAP, *more),
        verdicts=given,
    )


def taken(studio: Path, given: Path) -> dict[str, str | None]:
    found = check(request(studio, given))
    assert found.problems == ()
    verdicts = {r.entry.name: r.entry.job.verdicts for r in found.ready}
    return {name: path.name if path else None for name, path in verdicts.items()}


def test_verdicts_of_a_folder_are_dealt_out_by_film_and_by_the_name_of_the_job(
    studio: Path,
) -> None:
    say(studio, "whatever", "two")
    say(studio, "one.de", "one")
    assert taken(studio, studio / "said") == {
        "one.de": "one.de.verdicts.json",
        "one.fr": None,
        "two.fr": "whatever.verdicts.json",
    }
    assert taken(studio, say(studio, "of all dubs", "one")) == {
        "one.de": "of all dubs.verdicts.json",
        "one.fr": "of all dubs.verdicts.json",
        "two.fr": None,
    }


def test_rejected_shots_keep_their_picture_and_other_jobs_are_left_alone(studio: Path) -> None:
    run_batch(open_batch(request(studio, None)), NoProgress())
    say(studio, "one.fr", "one")
    second = run_batch(open_batch(request(studio, studio / "said")), NoProgress())
    assert set(second.skipped) == {"one.de", "two.fr"}
    states = {o.name: (o.state, o.kept) for o in second.outcomes}
    assert states["one.fr"] == ("partial", (f"shot {WHOLE}: rejected: chin smears",))
    say(studio, "one.fr", "one", {WHOLE: {"verdict": "approve"}})
    third = run_batch(open_batch(request(studio, studio / "said")), NoProgress())
    assert {o.name: o.state for o in third.outcomes}["one.fr"] == "done"
    assert set(third.skipped) == {"one.de", "two.fr"}


def test_what_is_wrong_with_verdicts_is_told_with_all_else_before_the_first_frame(
    studio: Path,
) -> None:
    (studio / "dubs" / "one.de.wav").write_bytes(b"")
    say(studio, "one.fr", "one", {WHOLE: {"verdict": "reject", "instead": "preset:nonsense"}})
    say(studio, "a", "two")
    say(studio, "b", "two")
    say(studio, "broken", "two", {"x": {"verdict": "perhaps"}})
    say(studio, "stranger", "one", film="0" * 64)
    arguments = ["batch", str(studio / "films"), "--dubs", str(studio / "dubs"), "--json"]
    arguments += ["--out", str(studio / "out"), "--verdicts", str(studio / "said")]
    arguments += [part for setting in CHEAP for part in ("--set", setting)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    told = result.stderr + result.stdout
    for line in (
        "one.de.wav is empty",
        "no preset named 'nonsense'",
        "several verdict files are for its film: a.verdicts.json, b.verdicts.json",
        "broken.verdicts.json is not a verdict file",
        "no job for the verdicts in",
        "nothing was started",
    ):
        assert line in told, line
    assert not (studio / "out").exists()


def test_shots_that_a_film_is_known_not_to_have_are_found_before_it_begins(studio: Path) -> None:
    run_batch(open_batch(request(studio, None)), NoProgress())
    given = say(studio, "two.fr", "two", {"0000001-0000002": {"verdict": "approve"}})
    (problem,) = open_batch(request(studio, given)).checked.problems
    assert problem.job == "two.fr"
    assert "a shot 0000001-0000002 that the film does not have" in problem.message


def test_a_job_list_names_verdicts_and_they_must_be_of_its_film(studio: Path) -> None:
    say(studio, "mine", "one")
    say(studio, "other", "two")
    jobs = studio / "jobs.csv"
    jobs.write_text(
        "video,audio,language,verdicts\n"
        "films/one.mp4,dubs/one.fr.wav,fr,said/mine.verdicts.json\n"
        "films/one.mp4,dubs/one.de.wav,de,said/other.verdicts.json\n"
        "films/two.mp4,dubs/two.fr.wav,fr,said/absent.verdicts.json\n"
    )
    found = check(BatchRequest(jobs, studio / "out", settings=CHEAP))
    assert [r.entry.job.verdicts for r in found.ready] == [studio / "said" / "mine.verdicts.json"]
    told = {problem.job: problem.message for problem in found.problems}
    assert "are for another film than one.mp4" in told["one.de"]
    assert "there is no file" in told["two.fr"]
    jobs.write_text("video,audio,verdicts\nfilms/one.mp4,dubs/one.fr.wav,../x.json\n")
    assert "verdicts is outside" in read_list(jobs)[0].problems[0]


@pytest.mark.parametrize("given", ["absent", "films"])
def test_a_place_without_verdict_files_is_refused(studio: Path, given: str) -> None:
    with pytest.raises(UsageError, match=r"there is no|there are no verdict files"):
        check(request(studio, studio / given))


def test_a_film_is_read_once_for_all_its_dubs(
    studio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(studio, "x", "one")
    read: list[Path] = []

    def digest(path: Path) -> str:
        read.append(path)
        return "0" * 64

    monkeypatch.setattr("dubkit.pipeline.inputs.digest_file", digest)
    check(request(studio, studio / "said"))
    assert sorted(path.name for path in read) == ["one.mp4", "two.mp4"]
