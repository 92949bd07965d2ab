"""Markers of editing programs: findings go out, verdicts come back, at the frame where they stand."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.delivery.cut_list import CutList, Mark, edl_text, fcpxml_text, otio_text
from dubkit.delivery.markers import FORMS, read_notes, read_verdicts, write_markers
from dubkit.errors import InputError, UsageError
from dubkit.media.timecode import Clock, read
from dubkit.pipeline.verdicts import read_verdicts as load_verdicts
from tests.delivery.films import Dubbed, dub, painted_film

FIRST, SECOND = "0000000-0000016", "0000016-0000030"
runner = CliRunner()


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Dubbed:
    folder = tmp_path_factory.mktemp("job")
    tags = ("-metadata", "timecode=10:00:00:00")
    return dub(painted_film(folder / "movie.mkv", (16, 14), more=tags))


@pytest.mark.parametrize("form", FORMS)
def test_findings_are_markers_at_their_shots(job: Dubbed, tmp_path: Path, form: str) -> None:
    path, count = write_markers(job.work, form, tmp_path / f"m.{form}", None)
    notes = read_notes(path, film(Fraction(25), "10:00:00:00"))
    assert count == len(notes) > 1
    assert {note.frame for note in notes} == {0, 16}
    assert all((FIRST if note.frame == 0 else SECOND) in note.whole for note in notes)
    assert any("the lips" in note.text for note in notes)


def film(rate: Fraction, code: str, marks: tuple[Mark, ...] = ()) -> CutList:
    begins, clock = read(code, rate)
    return CutList("m", "m", clock, begins, 4000, (160, 96), Path("/m.mov"), marks=marks)


@pytest.mark.parametrize(
    ("rate", "code"),
    [
        (Fraction(24000, 1001), "00:59:59:20"),
        (Fraction(25), "10:00:00:00"),
        (Fraction(30000, 1001), "00:59:59;25"),
        (Fraction(30000, 1001), "00:59:59:25"),
        (Fraction(60000, 1001), "01:08:59;50"),
    ],
)
def test_markers_come_back_at_their_frames(tmp_path: Path, rate: Fraction, code: str) -> None:
    places = (0, 1, 9, 10, 11, 1799, 1800, 1801, 3999)
    cuts = film(rate, code, tuple(Mark(n, n + 1, "S", f"text {n}") for n in places))
    for form, text in (("edl", edl_text), ("fcpxml", fcpxml_text), ("otio", otio_text)):
        path = tmp_path / f"m.{form}"
        path.write_text(text(cuts))
        found = [(note.frame, note.whole) for note in read_notes(path, cuts)]
        assert found == [(n, f"S text {n}") for n in places]


def test_verdicts_come_back_as_a_verdict_file(job: Dubbed, tmp_path: Path) -> None:
    notes = tmp_path / "notes.csv"
    notes.write_text(
        "Marker Name,Description,In,Out,Duration,Marker Type\n"
        "look,Rejected: the chin smears,10:00:00:03,10:00:00:04,00:00:00:01,Comment\n"
        f"{SECOND},approve,10:00:00:20,,,Comment\n"
        "coffee,at ten,10:00:00:21,,,Comment\n"
    )
    path, count, others = read_verdicts(job.work, notes, tmp_path / "v.json", None)
    assert (count, others) == (2, 1)
    found = load_verdicts(path).shots
    assert (found[FIRST].verdict, found[FIRST].note) == ("reject", "the chin smears")
    assert found[SECOND].verdict == "approve"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "resolve.edl",
            "TITLE: t\nFCM: NON-DROP FRAME\n\n001  001      V     C        10:00:00:17 10:00:00:18 "
            "10:00:00:17 10:00:00:18\n |C:ResolveColorRed |M:reject preset:soft: chin |D:1\n",
        ),
        (
            "avid.edl",
            "TITLE: t\n001  AX  V  C  10:00:00:00 10:00:01:05 10:00:00:00 10:00:01:05\n"
            "* LOC: 10:00:00:17 RED     REJECT preset:soft: chin\n",
        ),
    ],
)
def test_lists_of_editing_programs_are_read(
    job: Dubbed, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    path, _, _ = read_verdicts(job.work, tmp_path / name, tmp_path / "v.json", None)
    wanted = {"verdict": "reject", "instead": "preset:soft", "note": "chin"}
    assert json.loads(path.read_text())["shots"] == {SECOND: wanted}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "reject", "not a list of markers"),
        ("a.csv", "one,two\n1,2\n", "no columns"),
        ("a.csv", "Name,In\nreject,10:00:00:30\n", "no time code"),
        ("a.csv", "Name,In\nreject,11:00:00:00\n", "no frame at 11:00:00:00"),
        ("a.csv", "Name,In\nnice,10:00:00:00\n", "none of the 1 markers"),
        ("a.csv", "Name,In\nreject,10:00:00:00\napprove,10:00:00:01\n", "approves and rejects"),
        ("a.fcpxml", "<fcpxml", "not FCPXML"),
        ("a.otio", "{", "not a cut list"),
        ("a.edl", "* LOC: 10:00:00;00 RED reject\n", "drop frame"),
    ],
)
def test_lists_that_say_nothing_here_are_refused(
    job: Dubbed, tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        read_verdicts(job.work, tmp_path / name, tmp_path / "v.json", None)
    assert not (tmp_path / "v.json").exists()


def test_the_command_writes_markers_and_reads_verdicts(job: Dubbed, tmp_path: Path) -> None:
    out = tmp_path / "m.csv"
    done = runner.invoke(
        app, ["report", str(job.work), "--markers", "csv", "--out", str(out), "--json"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["markers"] == len(out.read_text().splitlines()) - 1
    out.write_text(out.read_text().replace("the lips", "reject: the lips"))
    done = runner.invoke(app, ["report", str(job.work), "--verdicts-from", str(out), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["verdicts"] >= 1
    assert load_verdicts(Path(told["path"])).shots[FIRST].verdict == "reject"


def test_unknown_forms_are_refused(job: Dubbed) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_markers(job.work, "mid", None, None)


def test_a_clock_that_drops_writes_df() -> None:
    cuts = film(Fraction(30000, 1001), "01:00:00;00")
    assert cuts.clock == Clock(Fraction(30000, 1001), drop=True)
    assert "FCM: DROP FRAME" in edl_text(cuts)
