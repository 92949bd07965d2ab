from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.errors import InputError, UsageError
from dubkit.evaluation import pairs_of
from tests.clips import film, shots_film

runner = CliRunner()
CHEAP = ["--set", "speech.aligner=even", "--jobs", "1"]


def told(*arguments: str | Path) -> dict[str, object]:
    result = runner.invoke(app, ["evaluate", *map(str, arguments), *CHEAP, "--json"])
    assert result.exit_code == 0, result.stderr
    found: dict[str, object] = json.loads(result.stdout)["films"][0]
    return found


def refused(*arguments: str | Path) -> tuple[int, str]:
    result = runner.invoke(app, ["evaluate", *map(str, arguments), *CHEAP])
    return result.exit_code, result.stderr


def test_a_film_against_itself_is_perfect_where_there_is_something_to_measure(
    tmp_path: Path,
) -> None:
    made = film(tmp_path / "a.mp4")
    found = told(made, "--reference", made, "--csv", tmp_path / "t.csv")
    assert found["rows"] == {"psnr_frame": 100.0, "outside_equal": 1.0}
    rows = list(csv.DictReader((tmp_path / "t.csv").open(encoding="utf-8")))
    assert [row["frames"] for row in rows] == ["25"]
    assert rows[0]["psnr_frame"] == "100.000"


def test_a_real_face_against_itself_is_perfect(data: Path, tmp_path: Path) -> None:
    clip = sorted((data / "grid_other").glob("*.mp4"))[0]
    found = told(clip, "--reference", clip, "--work", tmp_path / "w", "--same-words")
    rows = found["rows"]
    assert isinstance(rows, dict)
    ones = ("opening_correlation", "amplitude", "jitter", "ssim", "sharpness", "seam")
    assert {name: rows[name] for name in ones} == {name: pytest.approx(1.0) for name in ones}
    assert rows["offset_ms"] == 0
    assert rows["flicker"] == 0
    assert rows["outside_equal"] == 1


def test_rows_that_cannot_be_measured_say_how_they_could(tmp_path: Path) -> None:
    found = told(film(tmp_path / "a.mp4", sound=False))
    missing = found["missing"]
    assert isinstance(missing, dict)
    assert "--reference" in missing["ssim"]
    assert "--audio" in missing["closure_recall"]


def test_a_reference_that_is_another_film_is_told(tmp_path: Path) -> None:
    made = film(tmp_path / "a.mp4", size="160x96", seconds=2)
    code, text = refused(made, "--reference", shots_film(tmp_path / "b.mp4", [25, 25]))
    assert code == 2
    assert "another film" in text


def test_films_of_different_length_or_size_are_not_compared(tmp_path: Path) -> None:
    made = film(tmp_path / "a.mp4")
    code, text = refused(made, "--reference", film(tmp_path / "b.mp4", seconds=1.5))
    assert code == 3
    assert "25 frames" in text
    code, text = refused(made, "--reference", film(tmp_path / "c.mp4", size="64x64"))
    assert code == 3
    assert "different size" in text


def test_results_in_folders_find_their_films(tmp_path: Path) -> None:
    for name in ("films/a.mp4", "films/a.b.mkv", "made/a.fr.mp4", "made/a.b.dubbed.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = pairs_of(tmp_path / "made", tmp_path / "films")
    assert [(a.name, b.name) for a, b in found if b] == [
        ("a.b.dubbed.mkv", "a.b.mkv"),
        ("a.fr.mp4", "a.mp4"),
    ]
    (tmp_path / "made" / "z.mp4").touch()
    with pytest.raises(UsageError, match=r"belongs to z\.mp4"):
        pairs_of(tmp_path / "made", tmp_path / "films")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no film"):
        pairs_of(tmp_path / "none", None)
