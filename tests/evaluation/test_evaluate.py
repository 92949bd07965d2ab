from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.errors import InputError, UsageError
from dubkit.evaluation import BY_NAME, MEASURES, pairs_of
from dubkit.media.audio import load_samples
from tests.clips import film, save_wav, shots_film
from tests.metrics.test_syncnet import random_net

runner = CliRunner()
CHEAP = ["--set", "speech.aligner=even", "--jobs", "1"]


def told(*arguments: str | Path) -> dict[str, Any]:
    result = runner.invoke(app, ["evaluate", *CHEAP, *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)["films"][0]
    return found


def tone(folder: Path) -> Path:
    save_wav(folder / "tone.wav", np.sin(np.arange(16000) / 6).astype(np.float32))
    return folder / "tone.wav"


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
    assert [(row["shot"], row["frames"]) for row in rows] == [
        ("0000000-0000025", "25"),
        ("all", "25"),
    ]
    assert {row["psnr_frame"] for row in rows} == {"100.000"}
    assert found["missing"]["ssim"] == "no face was found in the film"
    assert set(found["rows"]) | set(found["missing"]) == set(BY_NAME)


def test_a_real_face_against_itself_is_perfect(data: Path, tmp_path: Path) -> None:
    clip = sorted((data / "grid_other").glob("*.mp4"))[0]
    weights = tmp_path / "syncnet.model"
    torch.save(random_net().state_dict(), weights)
    work = tmp_path / "w"
    found = told(clip, "--reference", clip, "--work", work, "--same-words", "--syncnet", weights)
    rows = found["rows"]
    assert rows["lse_d"] > 0
    assert not list(work.glob("*/sound.wav"))
    ones = ("opening_correlation", "amplitude", "jitter", "ssim", "sharpness", "likeness", "found")
    assert {name: rows[name] for name in ones} == {
        name: pytest.approx(1.0, abs=1e-5) for name in ones
    }
    for name in ("reference_offset_ms", "flicker", "seam", "outside"):
        assert rows[name] == 0
    assert rows["outside_equal"] == 1


def test_rows_that_cannot_be_measured_say_how_they_could(tmp_path: Path) -> None:
    found = told(film(tmp_path / "a.mp4", sound=False))
    missing = found["missing"]
    assert "--reference" in missing["ssim"]
    assert "--audio" in missing["closures"]
    assert (
        "dubkit models pull syncnet"
        in told(tmp_path / "a.mp4", "-a", tone(tmp_path))["missing"]["lse_d"]
    )


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
    assert "different sizes" in text

    code, text = refused(made, "--reference", film(tmp_path / "d.mp4", rate="50", seconds=0.5))
    assert code == 3
    assert "50.000: their frames show different moments" in text


def test_another_take_of_the_same_man_in_the_same_room_is_another_film(
    data: Path, tmp_path: Path
) -> None:
    takes = [data / "grid_s1" / name for name in ("bbaf3s.mp4", "bbir9a.mp4")]
    code, text = refused(takes[0], "--reference", takes[1], "--work", tmp_path / "w")
    assert code == 2
    assert "another take" in text


def test_lips_that_are_late_for_their_sound_are_told(data: Path, tmp_path: Path) -> None:
    clip = data / "grid_other" / "lrwp9a.mp4"
    early = tmp_path / "early.wav"
    save_wav(early, load_samples(clip)[3200:])
    fits = told(clip, "--work", tmp_path / "a", "--set", "speech.aligner=pocketsphinx")
    late = told(clip, "-a", early, "--work", tmp_path / "b", "--set", "speech.aligner=pocketsphinx")
    offsets = [found["rows"]["offset_ms"] for found in (fits, late)]
    assert abs(offsets[0]) <= 40
    assert offsets[1] - offsets[0] == pytest.approx(200, abs=25)


def test_sound_that_is_none_and_weights_that_are_others_are_refused_first(tmp_path: Path) -> None:
    made = film(tmp_path / "a.mp4")
    silent = film(tmp_path / "b.mp4", sound=False)
    code, text = refused(made, "-a", silent)
    assert (code, "has no sound" in text) == (3, True)
    (tmp_path / "wrong.pth").write_bytes(b"no weights")
    code, text = refused(made, "--syncnet", tmp_path / "wrong.pth")
    assert (code, "holds no SyncNet weights" in text) == (7, True)
    assert refused(tmp_path / "none.mp4")[0] == 3
    assert refused(tone(tmp_path))[0] == 3
    assert not list(tmp_path.glob("*.evaluated.dubkit"))


def test_a_film_that_cannot_be_measured_does_not_stop_the_folder(tmp_path: Path) -> None:
    for folder in ("films", "made"):
        (tmp_path / folder).mkdir()
    film(tmp_path / "films" / "a.mp4")
    film(tmp_path / "made" / "a.fr.mp4", size="64x64")
    film(tmp_path / "films" / "b.mp4")
    film(tmp_path / "made" / "b.fr.mp4")
    arguments = [
        "evaluate",
        tmp_path / "made",
        "--reference",
        tmp_path / "films",
        "--work",
        tmp_path / "w",
    ]
    result = runner.invoke(app, [*map(str, arguments), *CHEAP, "--json"])
    assert result.exit_code == 3
    assert "a.fr.mp4 is 64 x 64" in result.stderr
    (found,) = json.loads(result.stdout)["films"]
    assert found["rows"]["psnr_frame"] == 100


def test_a_table_says_what_its_measures_are(tmp_path: Path) -> None:
    made = film(tmp_path / "a.mp4")
    result = runner.invoke(
        app, ["evaluate", str(made), "--reference", str(made), "--explain", "--shots", *CHEAP]
    )
    assert result.exit_code == 0
    assert "0 to 100 dB" in result.stdout
    assert "anything small" in result.stdout
    assert "fid_face, fid_frame: needs " in result.stdout
    assert "00:00:00:00" in result.stdout


def test_every_measure_says_its_range_direction_source_and_what_it_cannot_see() -> None:
    for measure in MEASURES:
        assert measure.better in ("higher", "lower", "near 0", "near 1")
        assert all((measure.range, measure.meaning, measure.source, measure.blind))


def test_results_in_folders_find_their_films(tmp_path: Path) -> None:
    for name in ("films/a.mp4", "films/a.b.mkv", "made/a.fr.mp4", "made/a.b.dubbed.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "dubs").mkdir()
    for name in ("a.fr.wav", "a.de.wav", "a.b.flac"):
        (tmp_path / "dubs" / name).touch()
    found = pairs_of(tmp_path / "made", tmp_path / "films", tmp_path / "dubs")
    assert [
        (p.result.name, p.reference.name, p.audio.name) for p in found if p.reference and p.audio
    ] == [
        ("a.b.dubbed.mkv", "a.b.mkv", "a.b.flac"),
        ("a.fr.mp4", "a.mp4", "a.fr.wav"),
    ]
    with pytest.raises(UsageError, match="is a folder"):
        pairs_of(tmp_path / "made", tmp_path / "films", tmp_path / "dubs" / "a.fr.wav")
    (tmp_path / "made" / "z.mp4").touch()
    with pytest.raises(UsageError, match=r"belongs to z\.mp4"):
        pairs_of(tmp_path / "made", tmp_path / "films")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no film"):
        pairs_of(tmp_path / "none", None)
