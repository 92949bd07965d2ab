"""What is found of a request before anything is done."""

from __future__ import annotations

import dataclasses
import inspect
import struct
from pathlib import Path
from typing import Any

import pytest

from dubkit import api
from dubkit.cli.run_cmd import run as run_command
from dubkit.config.presets import load_config
from dubkit.errors import DubkitError, InputError, OutputError, UsageError
from dubkit.media.probe import probe
from dubkit.media.script import read_script
from dubkit.pipeline.inputs import check_request, length_warning
from dubkit.pipeline.job import STAGES
from dubkit.pipeline.request import RunRequest, make_job
from dubkit.progress import NoProgress
from dubkit.records import Job, ScriptLine
from tests.clips import film, tone
from tests.stages.test_stitch import stitched


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    film(tmp_path / "film.mp4", seconds=0.5)
    tone(tmp_path / "dub.wav", 0.5)
    (tmp_path / "dub.txt").write_text("Hello there.")
    return tmp_path


def request(folder: Path, *settings: str, **changes: Any) -> RunRequest:
    config = load_config(settings=settings)
    names = {field.name for field in dataclasses.fields(RunRequest)}
    paths = {"script": folder / "dub.txt"} | {k: v for k, v in changes.items() if k not in names}
    rest = {k: v for k, v in changes.items() if k in names}
    job = make_job(folder / "film.mp4", paths.pop("audio", folder / "dub.wav"), config, **paths)
    return RunRequest(job, config, **rest)


def test_a_good_request_passes_without_a_trace(folder: Path) -> None:
    before = sorted(folder.iterdir())
    told = check_request(request(folder), STAGES)
    assert [line for line in told if "becomes aac" not in line] == []
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("kind", "message", "settings", "changes"),
    [
        (UsageError, "no stage named 'shoots'", [], {"until": "shoots"}),
        (UsageError, "license 'free' is not known", [], {"license": "free"}),
        (UsageError, "cannot go into .mp4", ["generate.codec=ffv1"], {"out": "o.mp4"}),
        (UsageError, "cannot be written as o.ogv", [], {"out": "o.ogv"}),
        (UsageError, "both the output and the work folder", [], {"out": "o.mp4", "work": "o.mp4"}),
        (UsageError, "is the dub itself", [], {"audio": "dub.mp4", "out": "dub.mp4"}),
        (OutputError, "there is no folder", [], {"junit": Path("no/gate.xml")}),
        (OutputError, "there is no folder", [], {"out": "no/o.mp4"}),
        (InputError, "there is no file", [], {"verdicts": "no.json"}),
        (InputError, "holds no spoken words", [], {"script": "silent.txt"}),
        (InputError, "no sound", [], {"audio": "mute.mp4", "until": "faces"}),
    ],
)
def test_what_cannot_be_fulfilled_is_refused_before_any_work(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[DubkitError],
    message: str,
    settings: list[str],
    changes: dict[str, Any],
) -> None:
    monkeypatch.chdir(folder)
    film(folder / "dub.mp4", seconds=0.5)
    film(folder / "mute.mp4", seconds=0.5, sound=False)
    (folder / "silent.txt").write_text("")
    before = sorted(folder.iterdir())
    with pytest.raises(kind, match=message):
        check_request(request(folder, *settings, **changes), STAGES)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("script", "audio", "language"),
    [
        ("a.de.srt", "b.wav", "de"),
        ("a.txt", "b.pt-BR.wav", "pt-br"),
        ("a.v2.txt", "b.hd.wav", None),
        (None, "b.de.wav", None),
    ],
)
def test_file_names_state_the_language_of_a_script(
    script: str | None, audio: str, language: str | None
) -> None:
    config = load_config()
    made = RunRequest(make_job("film.mp4", audio, config, script=script), config)
    assert made.config.speech.language == language
    english = load_config(settings=["speech.language=en"])
    stated = RunRequest(make_job("film.mp4", audio, english, script=script), english)
    assert stated.config.speech.language == "en"


def test_a_language_that_nobody_speaks_is_refused_before_any_work(folder: Path) -> None:
    with pytest.raises(UsageError, match="qqq"):
        check_request(request(folder, "speech.language=qqq"), STAGES)


def test_a_script_is_read_once_before_the_first_frame(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def record(path: Path, *how: Any) -> tuple[ScriptLine, ...]:
        read.append(path)
        return read_script(path, *how)

    monkeypatch.setattr("dubkit.pipeline.inputs.read_script", record)
    settings = ("shots.detector=fixed", "generate.synthesizer=passthrough")
    api.run_job(request(folder, *settings, dry_run=True), progress=NoProgress())
    assert read == [folder / "dub.txt"]


def test_every_field_of_a_request_can_be_given_to_the_command_and_to_the_python_call() -> None:
    inner = {"job", "config", "make_folders"}
    fields = {f.name for f in dataclasses.fields(RunRequest)} - inner
    paths = {f.name for f in dataclasses.fields(Job)} - {"video", "output", "stems", "summed"} | {
        "out"
    }
    assert fields | paths <= {*inspect.signature(run_command).parameters}
    assert fields | paths <= {*inspect.signature(api.run).parameters}


def test_a_film_that_is_longer_than_its_container_says_is_as_long_as_it_is(tmp_path: Path) -> None:
    video = film(tmp_path / "film.mkv", seconds=3)
    data = bytearray(video.read_bytes())
    place = data.index(b"\x44\x89\x88") + 3  # Matroska's duration, in milliseconds
    data[place : place + 8] = struct.pack(">d", 500.0)
    video.write_bytes(data)
    config = load_config()
    for seconds, said in ((3.0, None), (5.0, "the dub is 2.0 s longer")):
        sound = tone(tmp_path / "dub.wav", seconds)
        told = length_warning(make_job(video, sound, config), config)
        assert told is None if said is None else said in (told or "")
    assert probe(video)[0].frames == 75
    out = stitched(tmp_path, video, tone(tmp_path / "dub.wav", 3.0, rate=48000), out="film.mkv")
    assert probe(out[0])[0].frames == 75
