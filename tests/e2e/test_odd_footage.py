"""Footage and sound that are odd but not wrong: a clear outcome each, and pictures that cannot be dubbed stay.

Faces are the demo's portrait, so that the real engines meet a real face; drawings and profiles that the package
does not carry come from the shared clips where those are.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from dubkit.cli.app import app
from dubkit.media.audio import load_samples
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from tests.clips import pictures_film, save_wav
from tests.portrait import SHOTS, render

runner = CliRunner()
RATE = 16000
SPOKEN = 1.0  # seconds of dub
Picture = NDArray[np.uint8]


def portrait(frames: int) -> list[Picture]:
    """The demo's first face."""
    return [picture for _, picture in zip(range(frames), render(SHOTS[0]), strict=False)]


def cartoon(frames: int) -> list[Picture]:
    """A drawn round face whose mouth opens and shuts."""
    made = []
    for t in range(frames):
        picture = np.full((360, 480, 3), (120, 180, 240), np.uint8)
        cv2.circle(picture, (240, 180), 120, (250, 220, 40), -1, cv2.LINE_AA)
        cv2.circle(picture, (240, 180), 120, (0, 0, 0), 4, cv2.LINE_AA)
        for x in (195, 285):
            cv2.circle(picture, (x, 150), 14, (0, 0, 0), -1, cv2.LINE_AA)
        cv2.ellipse(picture, (240, 215), (60, 10 + t % 25), 0, 0, 180, (160, 0, 0), -1, cv2.LINE_AA)
        made.append(picture)
    return made


def still(path: Path, frames: int) -> list[Picture]:
    """A photograph as a film."""
    encoded = np.frombuffer(path.read_bytes(), np.uint8)
    picture = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB), np.uint8)
    small = cv2.resize(picture, (480, 2 * round(picture.shape[0] * 240 / picture.shape[1])))
    return [small.astype(np.uint8)] * frames


def voice() -> NDArray[np.float32]:
    times = np.arange(round(SPOKEN * RATE)) / RATE
    loud = np.sin(2 * np.pi * 4 * times) > 0
    return (0.3 * np.sin(2 * np.pi * 150 * times) * loud).astype(np.float32)


def write_float_wav(path: Path, samples: NDArray[np.float32]) -> Path:
    """32-bit float WAV: the one that can hold what is no number."""
    body = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, RATE, 4 * RATE, 4, 32)
    head = b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    path.write_bytes(head + b"data" + struct.pack("<I", len(body)) + body)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_wav(tmp_path / "dub.wav", voice())
    return tmp_path


def dub(film: Path, sound: str = "dub.wav", *flags: str) -> tuple[dict[str, object], str]:
    """Dub a film, which must succeed; the result's facts and what was said."""
    words = ["run", "-a", sound, "--jobs", "1", "--json", "--faces", "largest"]
    words += ["--out", "out.mp4", *flags, str(film)]
    result = runner.invoke(app, words)
    assert result.exit_code == 0, result.output + result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    said = " ".join(event["message"] for event in events if "message" in event)
    return events[-1]["facts"], said


def luma(path: Path) -> list[np.ndarray]:
    info, pts = probe(path)
    return [f.planes[0].copy() for f in FrameReader(path, info, pts).read(0, info.frames)]


def same_pictures(a: Path, b: Path) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(luma(a), luma(b), strict=True))


def heard(path: Path) -> NDArray[np.float32]:
    samples = load_samples(path)
    assert np.isfinite(samples).all()
    return samples


def test_a_film_without_sound_is_dubbed_and_gets_the_dubs(here: Path) -> None:
    film = pictures_film(here / "film.mp4", portrait(25), sound=False)
    dub(film)
    assert not same_pictures(film, here / "out.mp4")
    assert np.abs(heard(here / "out.mp4")).max() > 0.1


def test_a_film_of_one_frame_comes_out_with_one_frame(here: Path) -> None:
    film = pictures_film(here / "film.mp4", portrait(1))
    _, said = dub(film)
    assert "no face in this film was dubbed" in said
    assert len(luma(here / "out.mp4")) == 1
    assert same_pictures(film, here / "out.mp4")


def test_a_drawn_face_is_left_as_it_is_and_said_so(here: Path) -> None:
    film = pictures_film(here / "film.mp4", cartoon(25))
    _, said = dub(film)
    assert "no face in this film was dubbed" in said
    assert same_pictures(film, here / "out.mp4")


def test_a_profile_is_left_as_it_is_and_said_so(here: Path, data: Path) -> None:
    film = pictures_film(here / "film.mp4", still(data / "portraits" / "002328.jpg", 25))
    _, said = dub(film)
    assert "no face in this film was dubbed" in said
    assert same_pictures(film, here / "out.mp4")


def test_a_face_turned_too_far_is_left_as_it_is_and_said_so(here: Path) -> None:
    film = pictures_film(here / "film.mp4", portrait(25))
    _, said = dub(film, "dub.wav", "--set", "faces.max_yaw=0.01")
    assert "no face can be dubbed" in said
    assert same_pictures(film, here / "out.mp4")


def test_a_silent_dub_is_said_to_be(here: Path) -> None:
    film = pictures_film(here / "film.mp4", portrait(25))
    save_wav(here / "quiet.wav", np.zeros(RATE, np.float32))
    _, said = dub(film, "quiet.wav")
    assert "the dub is silent" in said
    assert np.abs(heard(here / "out.mp4")).max() < 1e-3


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_samples_that_are_no_numbers_are_silent_in_the_film_and_said_so(
    here: Path, suffix: str
) -> None:
    film = pictures_film(here / "film.mp4", portrait(25))
    spoilt = voice()
    spoilt[4000:8000], spoilt[12000] = np.nan, np.inf
    write_float_wav(here / "spoilt.wav", spoilt)
    flags = ["--set", "speech.aligner=even", "--out", f"out.{suffix}"]
    _, said = dub(film, "spoilt.wav", *flags)
    assert "samples of the dub that are not numbers become silence" in said
    sound = heard(here / f"out.{suffix}")
    assert np.abs(sound[4800:7200]).max() < 0.01
    assert np.abs(sound[:3500]).max() > 0.1


def test_a_dub_of_nothing_but_no_numbers_is_a_silent_one(here: Path) -> None:
    film = pictures_film(here / "film.mp4", portrait(25))
    write_float_wav(here / "spoilt.wav", np.full(RATE, np.nan, np.float32))
    _, said = dub(film, "spoilt.wav")
    assert "the dub is silent" in said
    assert np.abs(heard(here / "out.mp4")).max() < 1e-3
