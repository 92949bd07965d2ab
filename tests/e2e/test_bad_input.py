"""What goes wrong in practice ends in one clear sentence and the right exit code; nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from dubkit.cli.app import app
from dubkit.media.process import find_program, run
from dubkit.work.lock import hold
from tests.clips import save_wav

runner = CliRunner()
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def ffmpeg(*words: str) -> None:
    run([str(find_program("ffmpeg")), "-v", "error", "-y", *words])


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of film without a face, with sound, and a second of speech-like sound."""
    folder = tmp_path_factory.mktemp("originals")
    picture = "testsrc2=size=160x120:rate=25:duration=1"
    tone = "sine=frequency=300:duration=1"
    codecs = ["-c:v", "libx264", "-g", "5", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    film = str(folder / "film.mp4")
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, *codecs, film)
    ffmpeg("-i", film, "-map", "0:v", "-c", "copy", str(folder / "mute.mp4"))
    ffmpeg("-i", film, "-map", "0:a", "-c", "copy", str(folder / "blind.mp4"))
    times = np.arange(16000) / 16000
    voice = 0.3 * np.sin(2 * np.pi * 150 * times) * (np.sin(2 * np.pi * 4 * times) > 0)
    save_wav(folder / "dub.wav", voice.astype(np.float32))
    save_wav(folder / "silent.wav", np.zeros(16000, np.float32))
    return folder


@pytest.fixture
def here(originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with copies of the originals."""
    for path in originals.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dub(film: str, audio: str, *flags: str) -> Result:
    return runner.invoke(app, ["run", "-a", audio, "--jobs", "1", *flags, "--", film])


def refused(result: Result, code: int, *said: str) -> None:
    """One sentence and perhaps a hint; never a traceback."""
    assert result.exit_code == code, result.output
    last = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(last) == 1
    for words in said:
        assert words in last[0]


@pytest.mark.parametrize("film", ["film.mp4", "dub.wav"])
def test_a_missing_file_exits_3(here: Path, film: str) -> None:
    (here / film).unlink()
    refused(dub("film.mp4", "dub.wav"), 3, film)


@pytest.mark.parametrize("name", ["film.mp4", "dub.wav"])
@pytest.mark.parametrize("content", [b"", b"this is no media file\n" * 50], ids=["empty", "text"])
def test_an_empty_or_foreign_file_exits_3(here: Path, name: str, content: bytes) -> None:
    (here / name).write_bytes(content)
    refused(dub("film.mp4", "dub.wav"), 3, name)


@pytest.mark.parametrize(
    "files", [("dub.wav", "film.mp4"), ("notes.txt", "dub.wav"), ("film.mp4", "notes.txt")]
)
def test_a_wrong_file_is_refused_before_anything_is_left_beside_it(
    here: Path, files: tuple[str, str]
) -> None:
    (here / "notes.txt").write_text("call the studio")
    before = sorted(here.iterdir())
    result = dub(*files)
    refused(result, 3, "notes.txt" if "notes.txt" in files else "dub.wav has no moving pictures")
    assert ("The film comes first" in result.stderr) == (files[0] == "dub.wav")
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
def test_a_still_picture_is_refused_as_one(here: Path, suffix: str) -> None:
    assert cv2.imwrite(str(here / f"face{suffix}"), np.zeros((16, 16, 3), np.uint8))
    refused(dub(f"face{suffix}", "dub.wav"), 3, "is a still picture")


@pytest.mark.parametrize("name", ["https://example.org/film.mp4", "s3://films/film.mp4"])
def test_an_address_is_refused_as_what_it_is(here: Path, name: str) -> None:
    refused(dub(name, "dub.wav"), 3, f"{name} is an address")
    refused(dub("film.mp4", name), 3, f"{name} is an address")


def test_a_truncated_film_exits_3(here: Path) -> None:
    whole = (here / "film.mp4").read_bytes()
    (here / "film.mp4").write_bytes(whole[: len(whole) // 2])
    refused(dub("film.mp4", "dub.wav"), 3, "film.mp4")


def zero(path: Path, begin: float, end: float) -> None:
    """Zeros in a part of a film's coded pictures; its index stays whole and promises all of them."""
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    size = int.from_bytes(data[start - 8 : start - 4], "big") - 8
    first, last = start + int(begin * size), start + int(end * size)
    data[first:last] = bytes(last - first)
    path.write_bytes(data)


@pytest.mark.parametrize(("begin", "end"), [(0, 0.5), (0.3, 0.7), (0.5, 1)])
def test_a_film_with_a_hole_in_its_pictures_exits_3_early_and_says_how_large(
    here: Path, begin: float, end: float
) -> None:
    zero(here / "film.mp4", begin, end)
    refused(dub("film.mp4", "dub.wav"), 3, "film.mp4 is damaged", "of its 25 pictures cannot be")
    assert not list(here.glob("film.dubbed.dubkit/dub-*/generate"))


def test_a_hole_that_no_search_for_cuts_met_is_found_before_there_is_a_film(here: Path) -> None:
    zero(here / "film.mp4", 0.5, 1)
    flags = ["--set", "shots.detector=fixed", "--set", "generate.synthesizer=passthrough"]
    refused(dub("film.mp4", "dub.wav", *flags), 3, "film.mp4 is damaged")
    assert not (here / "film.dubbed.mp4").exists()


@pytest.mark.parametrize(("begin", "end"), [(0, 0.5), (0.5, 1)])
def test_a_hole_that_is_allowed_keeps_the_length_and_is_told(
    here: Path, begin: float, end: float
) -> None:
    zero(here / "film.mp4", begin, end)
    result = dub("film.mp4", "dub.wav", "--set", "probe.max_damaged=1", "-q", "--json")
    assert result.exit_code == 0, result.output
    last = json.loads(result.stdout.splitlines()[-1])
    assert any("damaged: " in warning for warning in last["facts"]["warnings"])
    with av.open(str(here / "film.dubbed.mp4")) as made:
        assert sum(1 for _ in made.decode(video=0)) == 25


def test_a_film_without_pictures_exits_3(here: Path) -> None:
    refused(dub("blind.mp4", "dub.wav"), 3, "blind.mp4")


def test_a_dub_without_sound_exits_3(here: Path) -> None:
    refused(dub("film.mp4", "mute.mp4"), 3, "mute.mp4")


def test_a_folder_in_place_of_a_film_exits_3(here: Path) -> None:
    (here / "folder.mp4").mkdir()
    refused(dub("folder.mp4", "dub.wav"), 3, "folder.mp4")


@pytest.mark.parametrize(
    ("seconds", "length", "said"),
    [
        (3.5, "keep-video", "2.5 s longer than the film: its end is cut off"),
        (3.5, "freeze", ""),
        (1.5, "keep-video", ""),
        (0.5, "keep-video", ""),
    ],
)
def test_a_dub_of_another_length_is_told_before_the_first_frame(
    here: Path, seconds: float, length: str, said: str
) -> None:
    save_wav(here / "dub.wav", np.zeros(round(16000 * seconds), np.float32))
    result = dub("film.mp4", "dub.wav", "--length", length, "--dry-run")
    assert result.exit_code == 0
    assert ("warning" in result.stderr) == bool(said)
    assert said in result.stderr


def test_a_dub_that_ends_long_before_the_film_is_told(here: Path) -> None:
    ffmpeg("-stream_loop", "2", "-i", "film.mp4", "-c", "copy", "long.mp4")
    result = dub("long.mp4", "dub.wav", "--dry-run")
    assert "the dub ends 2.0 s before the film: silence follows" in result.stderr
    assert "warning" not in dub("long.mp4", "dub.wav", "--length", "shortest", "--dry-run").stderr


def test_a_film_without_a_face_comes_out_with_the_new_sound_and_a_warning(here: Path) -> None:
    result = dub("film.mp4", "dub.wav")
    assert result.exit_code == 0, result.output
    assert "no face in this film was dubbed" in result.stdout
    assert (here / "film.dubbed.mp4").is_file()


def test_a_silent_dub_is_dubbed(here: Path) -> None:
    result = dub("film.mp4", "silent.wav")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "name", ["-dash.mp4", 'it\'s "quoted".mp4', "фильм ünï.mp4", "a  b %d.mp4"]
)
def test_odd_names_work_to_the_end(here: Path, name: str) -> None:
    (here / "film.mp4").rename(here / name)
    result = dub(name, "dub.wav", "--set", "generate.synthesizer=passthrough")
    assert result.exit_code == 0, result.output
    assert (here / f"{Path(name).stem}.dubbed.mp4").is_file()


def test_an_existing_output_is_not_touched_without_overwrite(here: Path) -> None:
    (here / "film.dubbed.mp4").write_bytes(b"mine")
    refused(dub("film.mp4", "dub.wav"), 8, "film.dubbed.mp4")
    assert (here / "film.dubbed.mp4").read_bytes() == b"mine"
    assert dub("film.mp4", "dub.wav", "--overwrite").exit_code == 0
    assert (here / "film.dubbed.mp4").read_bytes() != b"mine"


def test_the_film_itself_is_never_the_output(here: Path) -> None:
    before = (here / "film.mp4").read_bytes()
    refused(dub("film.mp4", "dub.wav", "--out", "film.mp4", "--overwrite"), 2, "film.mp4")
    assert (here / "film.mp4").read_bytes() == before


def test_an_output_folder_that_is_not_there_exits_8(here: Path) -> None:
    refused(dub("film.mp4", "dub.wav", "--out", "nowhere/result.mp4"), 8, "nowhere")


@pytest.mark.skipif(IS_ROOT, reason="root may write everywhere")
def test_an_output_folder_that_may_not_be_written_exits_8(here: Path) -> None:
    (here / "locked").mkdir(mode=0o500)
    refused(dub("film.mp4", "dub.wav", "--out", "locked/result.mp4"), 8, "locked")


def test_a_work_folder_that_is_a_file_exits_6(here: Path) -> None:
    (here / "work").write_bytes(b"mine")
    refused(dub("film.mp4", "dub.wav", "--work", "work"), 6, "work")
    assert (here / "work").read_bytes() == b"mine"


def test_a_work_folder_of_another_film_exits_6(here: Path) -> None:
    assert dub("film.mp4", "dub.wav", "--work", "work", "--until", "probe").exit_code == 0
    refused(dub("mute.mp4", "dub.wav", "--work", "work"), 6, "another film")


def test_a_work_folder_in_use_exits_6(here: Path) -> None:
    assert dub("film.mp4", "dub.wav", "--work", "work", "--until", "probe").exit_code == 0
    with hold(here / "work"):
        refused(dub("film.mp4", "dub.wav", "--work", "work"), 6, "work")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--set", "faces.whom=all"], "faces.whom"),
        (["--set", "nonsense"], "nonsense"),
        (["--length", "stretch"], "stretch"),
        (["--preset", "nonsense"], "nonsense"),
        (["--until", "nonsense"], "nonsense"),
        (["--force", "nonsense"], "nonsense"),
        (["--set", "faces.detector=nonsense"], "nonsense"),
        (["--language", "qq-nobody"], "qq-nobody"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--license", "free"], "free"),
    ],
)
def test_a_wrong_request_exits_2_before_anything_is_written(
    here: Path, flags: list[str], said: str
) -> None:
    before = sorted(here.iterdir())
    refused(dub("film.mp4", "dub.wav", *flags), 2, said)
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dub.txt", b"(laughs)\n[door slams]\n"),
        ("dub.txt", bytes(range(128, 256)) * 20),
        ("dub.srt", b"1\n00:00:99 -> nothing\n"),
        ("dub.ttml", b"<tt><body><p>not closed"),
    ],
    ids=["no words", "no encoding", "no subtitles", "broken XML"],
)
def test_a_script_that_cannot_be_read_exits_3_before_anything_is_written(
    here: Path, name: str, content: bytes
) -> None:
    (here / name).write_bytes(content)
    before = sorted(here.iterdir())
    refused(dub("film.mp4", "dub.wav", "--script", name), 3, name)
    assert sorted(here.iterdir()) == before


def test_an_engine_whose_library_is_missing_exits_4(here: Path) -> None:
    (here / "own_engine.py").write_text("import a_library_that_is_not_there\n", encoding="utf-8")
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from dubkit.cli.app import app\n"
        "app(['run', 'film.mp4', '-a', 'dub.wav', '--jobs', '1',"
        " '--set', 'shots.detector=own_engine:Engine'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=here
    )
    assert done.returncode == 4, done.stderr
    assert "a_library_that_is_not_there" in done.stderr


@pytest.mark.parametrize("length", ["keep-video", "shortest", "freeze"])
@pytest.mark.parametrize("seconds", [0.5, 1.6])
def test_a_dub_of_another_length_is_met_as_asked(here: Path, length: str, seconds: float) -> None:
    save_wav(here / "dub.wav", np.full(round(seconds * 16000), 0.1, np.float32))
    flags = ["--length", length, "--json", "--set", "generate.synthesizer=passthrough"]
    result = dub("film.mp4", "dub.wav", *flags)
    assert result.exit_code == 0, result.output
    last = json.loads(result.stdout.splitlines()[-1])
    assert last["status"] == "done"
    assert last["output"].endswith("film.dubbed.mp4")
