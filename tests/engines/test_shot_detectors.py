"""Shot engines: cuts at the exact frame, shots that tile the film."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubkit.config.schema import ShotSettings
from dubkit.engines.base import ShotDetector
from dubkit.engines.registry import load_engine
from dubkit.engines.shot_detectors import AdaptiveShots, ContentShots, FixedShots
from dubkit.media.probe import probe
from dubkit.records import Shot
from tests.clips import facts, ffmpeg, film, shots_film

LENGTHS = (20, 13, 40, 30, 25)
CUTS = [0, 20, 33, 73, 103]


@pytest.mark.parametrize("name", ["adaptive", "content"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_every_cut_is_found_at_its_frame(tmp_path: Path, name: str, suffix: str) -> None:
    path = shots_film(tmp_path / f"film{suffix}", LENGTHS)
    info, pts = probe(path)
    detector: ShotDetector = load_engine("shots", name, ShotSettings())
    shots = detector.detect(path, info, pts)
    assert [shot.start for shot in shots] == CUTS
    assert shots[-1].end == info.frames


def test_frames_left_out_do_not_move_a_cut(tmp_path: Path) -> None:
    whole = shots_film(tmp_path / "whole.mkv", LENGTHS)
    path = tmp_path / "film.mkv"
    drop = "select='not(between(n,3,8))*not(between(n,80,84))'"
    ffmpeg("-i", whole, "-vf", drop, "-fps_mode", "passthrough", "-c:v", "libx264", path)
    info, pts = probe(path)
    assert info.rate is None
    shots = AdaptiveShots(ShotSettings()).detect(path, info, pts)
    assert [shot.start for shot in shots] == [0, 14, 27, 67, 92]


@pytest.mark.parametrize("engine", [AdaptiveShots, ContentShots])
def test_a_film_without_cuts_is_one_shot(tmp_path: Path, engine: type[AdaptiveShots]) -> None:
    path = film(tmp_path / "film.mp4")
    info, pts = probe(path)
    assert engine(ShotSettings()).detect(path, info, pts) == [Shot(0, 25)]


def test_a_single_frame_is_a_shot(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", seconds=0.04)
    info, pts = probe(path)
    assert AdaptiveShots(ShotSettings()).detect(path, info, pts) == [Shot(0, 1)]


def test_a_threshold_beyond_reach_finds_nothing(tmp_path: Path) -> None:
    path = shots_film(tmp_path / "film.mp4", LENGTHS)
    info, pts = probe(path)
    shots = ContentShots(ShotSettings(threshold=255)).detect(path, info, pts)
    assert shots == [Shot(0, info.frames)]


def test_the_cuts_of_a_real_film_are_found(data: Path) -> None:
    path = data / "film" / "five_shots_two_women.mp4"
    info, pts = probe(path)
    shots = AdaptiveShots(ShotSettings()).detect(path, info, pts)
    assert [shot.start for shot in shots] == [0, 70, 170, 301, 421, 484]


def test_fixed_shots_need_no_picture() -> None:
    info = facts(frames=10, time_base=Fraction(1, 1000))
    pts = np.array([0, 40, 80, 120, 500, 540, 980, 1000, 1040, 1999])
    nowhere = Path("nothing")
    assert FixedShots(ShotSettings()).detect(nowhere, info, pts) == [Shot(0, 10)]
    shots = FixedShots(ShotSettings(threshold=0.5)).detect(nowhere, info, pts)
    assert shots == [Shot(0, 4), Shot(4, 7), Shot(7, 9), Shot(9, 10)]


def test_the_version_names_the_library() -> None:
    assert "scenedetect" in AdaptiveShots(ShotSettings()).version
