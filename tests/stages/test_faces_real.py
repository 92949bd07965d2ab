"""The faces stage with the embedded engines on real footage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubkit.config.schema import FaceSettings
from dubkit.faces.selection import load_choice, load_tracks
from dubkit.records import FaceState, FaceTrack, Shot, TrackChoice
from tests.clips import ffmpeg
from tests.stages.test_faces import run_stage

pytestmark = pytest.mark.slow
EMBEDDED = FaceSettings()


def follow(
    folder: Path, film: Path, shot: Shot | None = None
) -> tuple[list[FaceTrack], list[TrackChoice]]:
    _, out = run_stage(folder, film, shot, EMBEDDED)
    return load_tracks(out), load_choice(out)


def covering(tracks: list[FaceTrack], x: tuple[float, float], y: tuple[float, float]) -> FaceTrack:
    """The one track whose face is, in the middle of its time, inside a part of the picture."""
    found = []
    for track in tracks:
        center = np.nanmedian(track.landmarks, axis=(0, 1))
        if x[0] < center[0] < x[1] and y[0] < center[1] < y[1]:
            found.append(track)
    assert len(found) == 1
    return found[0]


def presence(track: FaceTrack, frames: int) -> float:
    return float((track.state != FaceState.ABSENT).sum()) / frames


def test_two_people_side_by_side_keep_their_tracks(data: Path, tmp_path: Path) -> None:
    film = data / "film" / "two_people_side_by_side.mp4"
    tracks, choices = follow(tmp_path, film)
    left = covering(tracks, (200, 480), (150, 400))
    right = covering(tracks, (760, 1150), (150, 520))
    assert presence(left, 264) > 0.98
    assert presence(right, 264) > 0.98
    assert any(c.dubbed for c in choices)


def test_two_small_women_in_an_anamorphic_wide_shot_are_both_followed(
    data: Path, tmp_path: Path
) -> None:
    shot = Shot(171, 300)
    tracks, _ = follow(tmp_path, data / "film" / "five_shots_two_women.mp4", shot)
    for x in ((300, 420), (440, 570)):
        assert presence(covering(tracks, x, (110, 240)), shot.frames) > 0.95


@pytest.mark.parametrize("shot", [Shot(1, 81), Shot(82, 168), Shot(330, 400), Shot(560, 620)])
def test_shots_of_hands_and_glass_have_no_face(data: Path, tmp_path: Path, shot: Shot) -> None:
    tracks, _ = follow(tmp_path, data / "film" / "five_shots_two_women.mp4", shot)
    assert tracks == []


@pytest.mark.parametrize("number", range(6))
def test_a_man_before_his_paintings_is_the_only_face(
    data: Path, tmp_path: Path, number: int
) -> None:
    tracks, choices = follow(tmp_path, data / "film" / f"turkish_webcam_{number}.mp4")
    assert len(tracks) == 1
    assert (tracks[0].state == FaceState.SEEN).all()
    assert choices[0].dubbed


def test_a_man_who_fills_an_anamorphic_picture_is_found(data: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    ffmpeg(
        "-ss", "0.5", "-t", "3", "-i", data / "webcam" / "man_at_webcam.mp4",
        "-vf", "crop=1080:608:0:0,scale=640:360,fps=25,scale=900:576,crop=720:576:90:0,setsar=16/15",
        "-c:v", "libx264", "-crf", "10", "-c:a", "aac", film,
    )  # fmt: skip
    tracks, choices = follow(tmp_path, film)
    assert len(tracks) == 1
    assert presence(tracks[0], 75) > 0.95
    assert choices[0].dubbed
