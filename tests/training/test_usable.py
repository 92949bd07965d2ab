"""Which frames of which face may be learned from."""

from __future__ import annotations

import numpy as np
import pytest

from dubkit.config.schema import PrepareSettings
from dubkit.faces.align import mean_face
from dubkit.faces.association import bounds
from dubkit.faces.selection import choose
from dubkit.records import FaceState, FaceTrack, Shot
from dubkit.training.quality import Choices, face_settings, refusals, talkers, usable_runs
from tests.training.talking import config

RATE, FRAMES = 25.0, 100


def track(number: int = 0, *, width: float = 100.0, yaw: float = 0.0, turned: int = 0) -> FaceTrack:
    """A face whose last ``turned`` frames look aside by ``yaw`` degrees."""
    points = np.repeat((mean_face() * width / 2.3 + (150 + 300 * number, 100))[None], FRAMES, 0)
    pose = np.zeros((FRAMES, 3), np.float32)
    if turned:
        pose[-turned:, 0] = yaw
    landmarks = points.astype(np.float32)
    seen = np.full(FRAMES, FaceState.SEEN, np.int8)
    scores = np.ones(FRAMES, np.float32)
    return FaceTrack(number, 0, bounds(landmarks), landmarks, pose, scores, seen, 0 * scores)


def chosen(*tracks: FaceTrack) -> Choices:
    settings, silence = face_settings(config()), np.zeros((FRAMES, 1))
    speaking, note = talkers(tracks, 0, silence, settings, RATE)
    choices, _ = choose(tracks, settings, RATE, speaking)
    return Choices(Shot(0, FRAMES), RATE, tracks, choices, note)


def told(found: Choices) -> list[tuple[int, int, str]]:
    return [(r.start, r.end, r.reason) for r in refusals(found, PrepareSettings())]


def test_a_face_that_looks_ahead_is_used_whole() -> None:
    found = chosen(track())
    (run,) = usable_runs(found, PrepareSettings())
    assert (run.start, run.end) == (0, FRAMES)
    assert not told(found)


def test_frames_of_an_extreme_pose_are_left_out_and_told() -> None:
    found = chosen(track(yaw=60, turned=40))
    (run,) = usable_runs(found, PrepareSettings())
    assert (run.start, run.end) == (0, 60)
    assert told(found) == [(60, FRAMES, "face turned away")]


def test_a_face_that_always_looks_aside_is_refused() -> None:
    found = chosen(track(yaw=60, turned=FRAMES))
    assert not list(usable_runs(found, PrepareSettings()))
    assert told(found) == [(0, FRAMES, "face turned away in all its frames")]


def test_what_is_left_between_must_be_long_enough() -> None:
    found = chosen(track(yaw=60, turned=80))
    assert not list(usable_runs(found, PrepareSettings()))
    assert (0, 20, "too short: 0.8 s, 1 needed") in told(found)


@pytest.mark.parametrize("width", [40.0, 63.0])
def test_a_small_face_is_told_with_its_width(width: float) -> None:
    (refused,) = told(chosen(track(width=width)))
    assert refused[2].startswith(f"face too small: {width:.0f} pixels wide, 64 needed")


def test_of_two_faces_without_a_sound_that_tells_them_apart_none_is_used() -> None:
    found = chosen(track(0), track(1))
    assert not list(usable_runs(found, PrepareSettings()))
    assert {reason for _, _, reason in told(found)} >= {"two faces, and it is not clear who speaks"}


def test_a_small_face_beside_does_not_disturb() -> None:
    found = chosen(track(0), track(1, width=40))
    (run,) = usable_runs(found, PrepareSettings())
    assert run.track.track == 0


def test_a_piece_without_faces_is_told() -> None:
    assert told(chosen()) == [(0, FRAMES, "no face")]
