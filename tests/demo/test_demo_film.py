from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from dubkit.demo import ASSETS, SHOTS, DemoFiles, build_demo, render
from dubkit.media.audio import load_samples
from dubkit.media.frames import FrameReader
from dubkit.media.probe import probe


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    return build_demo(tmp_path_factory.mktemp("it's a demo"))


def test_the_film_has_three_shots_and_the_sound_of_a_quiet_room(files: DemoFiles) -> None:
    info, _ = probe(files.film)
    frames = sum(shot.frames for shot in SHOTS)
    assert len(SHOTS) == 3
    assert info.frames == frames
    assert info.rate == 25
    sound = load_samples(files.film)
    assert abs(len(sound) / 16000 - frames / 25) < 0.1
    assert 0 < np.abs(sound).max() < 0.05


def test_the_picture_jumps_at_the_cuts_and_only_there(files: DemoFiles) -> None:
    info, pts = probe(files.film)
    reader = FrameReader(files.film, info, pts)
    small = [frame.picture(160).astype(np.float32) for frame in reader.read(0, info.frames)]
    steps = np.array([np.abs(b - a).mean() for a, b in itertools.pairwise(small)])
    cuts = [SHOTS[0].frames - 1, SHOTS[0].frames + SHOTS[1].frames - 1]
    rest = np.delete(steps, cuts)
    assert steps[cuts].min() > 5 * rest.max()
    assert rest.min() > 0  # the camera never stands still


def test_equal_bytes_every_time(files: DemoFiles, tmp_path: Path) -> None:
    again = build_demo(tmp_path / "deep" / "folder")
    assert again.film.read_bytes() == files.film.read_bytes()
    assert sorted(path.name for path in again.film.parent.iterdir()) == [
        "dub.flac",
        "dub.txt",
        "film.mp4",
    ]


def test_the_dub_is_as_long_as_the_film_and_speaks_over_both_faces(files: DemoFiles) -> None:
    sound = load_samples(files.dub)
    starts = np.cumsum([0] + [shot.frames for shot in SHOTS]) / 25
    assert abs(len(sound) / 16000 - starts[-1]) < 0.05
    loud = [
        np.abs(sound[int(a * 16000) : int(b * 16000)]).max() for a, b in itertools.pairwise(starts)
    ]
    assert loud[0] > 0.2
    assert loud[1] < 0.01
    assert loud[2] > 0.2


def test_views_stay_inside_their_pictures() -> None:
    for shot in SHOTS:
        still = cv2.imread(str(ASSETS / shot.picture))
        assert still is not None
        for view in (shot.first, shot.last):
            height = view.width * 3 / 4
            assert view.x - view.width / 2 >= 0
            assert view.x + view.width / 2 <= still.shape[1]
            assert view.y - height / 2 >= 0
            assert view.y + height / 2 <= still.shape[0]


def test_pictures_are_upright_rgb() -> None:
    suit = next(render(SHOTS[0]))[440, 150]  # the orange suit
    assert suit[0] > 150
    assert suit[2] < 120


def test_every_asset_has_its_credit() -> None:
    credits = (ASSETS / "README.md").read_text(encoding="utf-8")
    for path in ASSETS.iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in credits
        assert path.stat().st_size <= 200 * 1024
