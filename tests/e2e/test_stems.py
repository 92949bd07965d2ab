"""Two people in one shot with a stem each: each person's lips follow their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubkit.faces.people import read_cast
from dubkit.faces.selection import load_tracks
from dubkit.media.audio import load_samples
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe
from tests.clips import ffmpeg, save_wav
from tests.portrait import build_portrait_film

RATE, SECONDS = 16000, 2.4
SAYS = {"anna": (0.2, 0.9), "boris": (1.4, 2.2)}  # seconds in which each stem speaks


def dubkit(*words: object) -> None:
    command = [sys.executable, "-m", "dubkit", *map(str, words), "--quiet"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 10), ended.stderr


@pytest.fixture(scope="module")
def dubbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait that stands still beside its mirror image, the left one anna and the right one boris."""
    folder = tmp_path_factory.mktemp("stems")
    demo = build_portrait_film(folder)
    still = "trim=start_frame=30:end_frame=31,loop=loop=59:size=1,setpts=N/25/TB"
    both = f"[0:v]{still},split[a][b];[b]hflip[c];[a][c]hstack"
    cut = ("-an", "-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p")
    ffmpeg("-i", demo.film, "-filter_complex", both, *cut, folder / "two.mp4")
    speech = load_samples(demo.dub, RATE)
    loud = int(np.abs(speech).argmax())
    for name, (start, end) in SAYS.items():
        stem = np.zeros(round(SECONDS * RATE), np.float32)
        length = round((end - start) * RATE)
        first = max(0, min(loud - length // 2, len(speech) - length))
        stem[round(start * RATE) :][:length] = speech[first : first + length]
        save_wav(folder / f"{name}.wav", stem)
    film, cast = folder / "two.mp4", folder / "two.cast.toml"
    work = ("--work", folder / "work", "--jobs", 1)
    dubkit("cast", film, "--faces", "all", *work)
    sides = sorted((left_edge(face, folder), person) for person, face in people(cast).items())
    text = cast.read_text()
    for (_, numbered), name in zip(sides, SAYS, strict=True):
        text = text.replace(f'"{numbered}"', f'"{name}"')
    cast.write_text(text)
    stems = [word for name in SAYS for word in ("--audio", f"{name}={folder / name}.wav")]
    how = ("--faces", "all", "--cast", cast, "--gate", "warn", "--overwrite", *work)
    dubkit("run", film, *stems, "--out", folder / "out.mp4", *how)
    return folder


def people(cast: Path) -> dict[str, str]:
    """The first face of each person of a cast file."""
    return {person.name: person.faces[0] for person in read_cast(cast).person}


def left_edge(face: str, folder: Path) -> float:
    shot, track = face.split("/")
    (path,) = folder.glob(f"work/video-*/faces/{shot}")
    found = next(t for t in load_tracks(path) if t.track == int(track))
    return float(found.landmarks[..., 0].mean())


def movement(folder: Path) -> np.ndarray:
    """(T - 1, 2) how much the left and the right half of the result change from each frame to the next."""
    info, pts = probe(folder / "out.mp4")
    frames = FrameReader(folder / "out.mp4", info, pts).read(0, info.frames)
    film = np.stack([frame.picture(480).astype(np.float32).mean(-1) for frame in frames])
    steps = np.abs(np.diff(film, axis=0))
    half = steps.shape[2] // 2
    return np.stack([steps[..., :half].std((1, 2)), steps[..., half:].std((1, 2))], 1)


@pytest.mark.slow
def test_each_persons_lips_follow_their_own_stem(dubbed: Path) -> None:
    moved = movement(dubbed)
    seconds = (np.arange(len(moved)) + 1) / 25
    spoken = {name: (seconds > a + 0.1) & (seconds < b - 0.1) for name, (a, b) in SAYS.items()}
    for side, name in enumerate(SAYS):
        other = next(n for n in SAYS if n != name)
        assert moved[spoken[name], side].mean() > 3 * moved[spoken[other], side].mean()
    (chosen,) = dubbed.glob("work/dub-*/generate/*/chosen.json")
    faces: list[dict[str, Any]] = json.loads(chosen.read_text())
    says = sorted(tuple(face["says"][0]) for face in faces)
    assert says[0] == pytest.approx(SAYS["anna"], abs=0.25)
    assert says[1] == pytest.approx(SAYS["boris"], abs=0.25)
