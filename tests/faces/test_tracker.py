"""Faces through a shot, against painted films whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from dubkit.config.schema import FaceSettings
from dubkit.faces import align, occlusion
from dubkit.faces.tracker import track_shot
from dubkit.faces.tracklet import Sighting, TrackerSettings, unusual_shape
from dubkit.records import FaceState, FaceTrack, Shot
from tests.faces import faces
from tests.painted import PaintedFilm, PaintedLandmarker, Person, Scene

SETTINGS = TrackerSettings.of(FaceSettings(), 25.0)


def follow(
    scene: Scene, frames: int = 50, settings: TrackerSettings = SETTINGS, noise: float = 0.0
) -> tuple[list[FaceTrack], PaintedFilm]:
    film = PaintedFilm(scene)
    shot = Shot(100, 100 + frames)
    landmarker = PaintedLandmarker(noise=noise)
    return track_shot(shot, film.views, landmarker, settings), film


def error(track: FaceTrack, scene: Scene, person: int) -> float:
    """Largest mean landmark error of a track against one person, in inter-ocular distances."""
    worst = 0.0
    for row in np.flatnonzero(track.state != FaceState.ABSENT):
        (truth,) = [p for p in scene(track.start + int(row)) if p.number == person]
        away = np.linalg.norm(track.landmarks[row] - truth.landmarks, axis=1).mean()
        worst = max(worst, float(away) / truth.size)
    return worst


def test_a_moving_face_is_one_track_on_every_frame() -> None:
    def scene(i: int) -> Sequence[Person]:
        t = i - 100
        return [Person(0, 60 + 3 * t, 60 + 10 * np.sin(t / 6), 24 + t / 10, roll=t / 3)]

    (track,), film = follow(scene)
    assert (track.start, len(track)) == (100, 50)
    assert (track.state == FaceState.SEEN).all()
    assert error(track, scene, 0) < 0.02
    assert track.pose[40, 2] == pytest.approx(40 / 3, abs=1.0)
    assert film.detector.calls <= 6


def test_faces_that_cross_are_not_swapped() -> None:
    def scene(i: int) -> Sequence[Person]:
        t = i - 100
        return [Person(0, 40 + 4 * t, 80, 26), Person(1, 280 - 4 * t, 84, 28)]

    tracks, _ = follow(scene, 60)
    assert len(tracks) == 2
    assert error(tracks[0], scene, 1) < 0.05
    assert error(tracks[1], scene, 0) < 0.05
    assert min(len(t) for t in tracks) > 50
    assert (tracks[0].state == FaceState.SEEN).mean() > 0.95


def test_faces_that_meet_and_turn_back_are_not_swapped() -> None:
    def scene(i: int) -> Sequence[Person]:
        t = abs(i - 130)
        return [Person(0, 135 - 3 * t, 80, 26), Person(1, 175 + 3 * t, 80, 26)]

    tracks, _ = follow(scene, 60)
    assert len(tracks) == 2
    assert sorted(p for t in tracks for p in (0, 1) if error(t, scene, p) < 0.05) == [0, 1]


def test_a_face_found_in_mid_shot_is_followed_back_to_where_it_came_in() -> None:
    def scene(i: int) -> Sequence[Person]:
        here = [Person(0, 80, 80, 24)]
        return here + ([Person(1, 230, 80, 24)] if i >= 116 else [])

    tracks, film = follow(scene)
    late = max(tracks, key=lambda t: t.start)
    assert late.start == 116
    assert late.start + len(late) == 150
    assert film.read < 50 + 30  # only the little before it was found is read again


def test_a_face_that_leaves_ends_its_track() -> None:
    def scene(i: int) -> Sequence[Person]:
        return [Person(0, 80, 80, 24)] if i < 120 else []

    (track,), _ = follow(scene)
    assert track.start + len(track) == 120


def test_a_short_gap_is_bridged_and_a_long_one_left_open() -> None:
    def scene(i: int) -> Sequence[Person]:
        hidden = 110 <= i < 114 or 125 <= i < 140
        return [] if hidden else [Person(0, 60 + 2 * (i - 100), 80, 24)]

    (track,), _ = follow(scene, 60)
    state = track.state.tolist()
    assert state[10:14] == [FaceState.BRIDGED] * 4
    assert state[25:40] == [FaceState.ABSENT] * 15
    assert np.isnan(track.landmarks[25:40]).all()
    assert np.isnan(track.boxes[25:40]).all()
    everyone = scene

    def visible(i: int) -> Sequence[Person]:
        return everyone(i) or [Person(0, 60 + 2 * (i - 100), 80, 24)]

    assert error(track, visible, 0) < 0.05


def test_a_shot_without_faces_gives_no_tracks() -> None:
    tracks, film = follow(lambda i: [])
    assert tracks == []
    assert film.read == 50


def test_a_face_of_a_few_frames_is_dropped() -> None:
    tracks, _ = follow(lambda i: [Person(0, 80, 80, 24)] if 112 <= i < 115 else [])
    assert tracks == []


def test_the_largest_face_comes_first() -> None:
    tracks, _ = follow(lambda i: [Person(0, 60, 80, 20), Person(1, 220, 80, 40)])
    widths = [float(np.median(t.boxes[:, 2] - t.boxes[:, 0])) for t in tracks]
    assert [t.track for t in tracks] == [0, 1]
    assert widths == sorted(widths, reverse=True)


def test_noise_is_smoothed_without_lag() -> None:
    def scene(i: int) -> Sequence[Person]:
        return [Person(0, 160 + 40 * np.sin((i - 100) / 8), 80, 30)]

    rough, _ = follow(scene, settings=replace(SETTINGS, smoothing=0.0), noise=0.4)
    fine, _ = follow(scene, noise=0.4)
    truth = np.stack([scene(i)[0].landmarks for i in range(100, 150)])
    errors = [np.linalg.norm(t.landmarks - truth, axis=2).mean() for t in (rough[0], fine[0])]
    assert errors[1] < 0.75 * errors[0]


def test_a_mouth_that_closes_for_one_frame_stays_closed() -> None:
    def scene(i: int) -> Sequence[Person]:
        return [Person(0, 160, 80, 30, opening=0.0 if i == 125 else 0.6)]

    (track,), _ = follow(scene, noise=0.3)
    truth = np.stack([scene(i)[0].landmarks for i in range(100, 150)])
    off = np.linalg.norm(track.landmarks - truth, axis=2).mean(1) / 30
    assert off[25] < 0.03
    assert off.max() < 0.05


def test_the_same_shot_gives_the_same_tracks() -> None:
    def scene(i: int) -> Sequence[Person]:
        return [Person(0, 60 + i % 7, 80, 24), Person(1, 200, 80, 30)]

    first, _ = follow(scene)
    second, _ = follow(scene)
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.landmarks, b.landmarks)


@pytest.mark.parametrize("yaw", [0, 25, -40, 50])
def test_a_turned_head_has_a_usual_shape(yaw: float) -> None:
    face = faces.placed(align.turned_mean_face(yaw, 8), 40, 0.2, 100, 90)
    pose = np.array([yaw, 8, 0], np.float32)
    skin = occlusion.skin_of(np.zeros((64, 64, 3), np.uint8), np.full_like(face, 32))
    sighting = Sighting(face, pose, 1.0, np.zeros(0, np.float32), skin, None)
    assert unusual_shape(sighting) == 0
    if yaw:  # what is no face has a shape that does not go with its pose
        assert unusual_shape(replace(sighting, pose=-pose)) > 0.05
