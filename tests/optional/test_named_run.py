"""A whole run with both engines from elsewhere, named, on the demo's film and speech made for it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dubkit.config.schema import FaceSettings
from dubkit.engines.containment import contained
from dubkit.faces.embedded import EmbeddedDetector
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from tests.clips import save_wav
from tests.optional.conftest import NUMBERS
from tests.optional.speech import RATE, Spoken, speak
from tests.portrait import SHOTS, build_portrait_film, render

pytestmark = [
    pytest.mark.whisperx,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]
LOOK = 256  # pixels that the detector looks at


@dataclass(frozen=True, slots=True)
class Done:
    """What a run left behind."""

    folder: Path
    spoken: Spoken
    events: list[dict[str, Any]]

    @property
    def results(self) -> dict[str, Any]:
        """The manifest's lines."""
        (path,) = self.folder.glob("*.dubkit/manifest.json")
        found: dict[str, Any] = json.loads(path.read_text())["results"]
        return found


@pytest.fixture(scope="module")
def faces() -> ModuleType:
    with contained():
        from tests.faces import tiny_faces
    return tiny_faces


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, faces: ModuleType) -> Path:
    """A RetinaFace that knows the faces of the demo's film."""
    path = tmp_path_factory.mktemp("weights") / "retinaface.pth"
    pictures = [
        list(render(shot))[i] for shot in (SHOTS[0], SHOTS[2]) for i in (0, shot.frames // 2)
    ]
    embedded = EmbeddedDetector(FaceSettings())
    found = [embedded.detect(picture)[0] for picture in pictures]
    faces.fitted_weights(path, pictures, found, LOOK)
    return path


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory,
    align_folder: Path,
    whisper_folder: Path,
    weights: Path,
) -> Done:
    folder = tmp_path_factory.mktemp("run")
    files = build_portrait_film(folder)
    spoken = speak(" ".join(NUMBERS), seed=700, pitch=52)
    save_wav(folder / "numbers.wav", spoken.samples, RATE)
    (folder / "numbers.txt").write_text("One, 2, 3, four...\nFive 6 seven 8 nine: ten!\n")
    settings = {
        "speech.aligner": "whisperx",
        "speech.model": whisper_folder,
        "speech.align_model": align_folder,
        "faces.detector": "retinaface",
        "faces.which": "largest",
        "faces.weights": weights,
        "faces.detect_size": LOOK,
        "gate.action": "warn",  # a voice of single words on a portrait is no film; engines are looked at here
    }
    command = [sys.executable, "-m", "dubkit", "run", str(files.film), "--preset", "preview"]
    command += ["--audio", str(folder / "numbers.wav"), "--script", str(folder / "numbers.txt")]
    command += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    command += ["--set", "speech.language=en", "--json", "--jobs", "1", "--offline"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return Done(folder, spoken, [json.loads(line) for line in ended.stdout.splitlines()])


def test_the_film_is_dubbed_and_the_manifest_names_both_engines(done: Done) -> None:
    assert done.events[-1]["status"] == "done"
    results = done.results
    assert results["speech/job"]["engine"].startswith("whisperx 3.")
    engines = {line["engine"] for key, line in results.items() if key.startswith("faces/")}
    assert all(engine.startswith("retinaface 2+") for engine in engines)
    assert len(engines) == 1


def test_words_are_where_they_are_spoken(done: Done) -> None:
    (path,) = done.folder.glob("*.dubkit/**/speech.json")
    words = json.loads(path.read_text())["words"]
    assert [word["text"] for word in words] == NUMBERS
    found = np.array([(word["start"], word["end"]) for word in words])
    truth = np.array([(start, end) for _, start, end in done.spoken.words])
    assert np.median(np.abs(found - truth)) < 0.03


def test_faces_are_found_followed_and_made_to_speak_in_the_shots_that_have_one(done: Done) -> None:
    shots = [line for key, line in sorted(done.results.items()) if key.startswith("faces/")]
    assert [line["facts"]["dubbed"] for line in shots] == [1, 0, 1]
    for line in (shots[0], shots[2]):
        assert line["facts"]["seen"] > 0.9 * (line["facts"]["seen"] + line["facts"]["no_face"])
    changed = []
    for name in ("film.mp4", "film.dubbed.mp4"):
        info, pts = probe(done.folder / name)
        reader = FrameReader(done.folder / name, info, pts)
        frames = [frame.picture(320).astype(np.float32) for frame in reader.read(30, 60)]
        changed.append(np.stack(frames))
    assert float(np.abs(changed[0] - changed[1]).max()) > 60


def test_a_named_engine_without_its_weights_stops_the_run_before_it_begins(
    done: Done, tmp_path: Path
) -> None:
    absent = tmp_path / "absent.pth"
    command = [sys.executable, "-m", "dubkit", "run", str(done.folder / "film.mp4"), "--audio"]
    command += [str(done.folder / "numbers.wav"), "--out", str(tmp_path / "out.mp4")]
    command += ["--set", "faces.detector=retinaface", "--set", f"faces.weights={absent}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 7
    assert f"there is no weights file {absent}" in ended.stderr.replace("\n", "")
    assert not list(tmp_path.iterdir())
