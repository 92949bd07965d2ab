"""Which faces are dubbed, where, and why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dubkit.config.schema import FaceSettings
from dubkit.faces.active_speaker import Series, sound_features
from dubkit.faces.association import bounds
from dubkit.faces.selection import SoundFeatures, choose, untouched
from dubkit.records import FaceState, FaceTrack, Floats
from tests.faces.test_active_speaker import RATE, syllables, talk, times
from tests.painted import face

SETTINGS = FaceSettings()


def track(number: int, landmarks: Floats, start: int = 500, yaw: Floats | None = None) -> FaceTrack:
    count = len(landmarks)
    pose = np.zeros((count, 3), np.float32)
    if yaw is not None:
        pose[:, 0] = yaw
    state = np.where(np.isfinite(landmarks[:, 0, 0]), FaceState.SEEN, FaceState.ABSENT)
    scores = np.where(state == FaceState.SEEN, 0.95, 0.0)
    return FaceTrack(
        number,
        start,
        bounds(landmarks),
        landmarks,
        pose,
        scores.astype(np.float32),
        state.astype(np.int8),
        np.zeros(count, np.float32),
    )


def still(size: float, count: int = 100) -> Floats:
    return np.repeat((face(0.0) * size + 300)[None], count, 0).astype(np.float32)


def sound_of(samples: Floats, count: int, start: int = 500) -> SoundFeatures:
    return SoundFeatures(start, sound_features(samples, times(count)))


def reasons(one: FaceTrack, settings: FaceSettings = SETTINGS) -> list[tuple[int, int, str]]:
    return [(u.start, u.end, u.reason) for u in untouched(one, settings, RATE)]


def test_a_good_face_is_usable_in_every_frame() -> None:
    (choice,), note = choose([track(0, still(60))], SETTINGS, RATE, None)
    assert choice.dubbed
    assert choice.usable.all()
    assert (choice.start, choice.end) == (500, 600)
    assert note is None


def test_a_face_that_turns_away_and_back_is_left_alone_meanwhile() -> None:
    yaw = np.zeros(100, np.float32)
    yaw[40:60] = 50
    assert reasons(track(0, still(60), yaw=yaw)) == [(540, 560, "turned away")]


def test_a_face_at_the_limit_does_not_flicker() -> None:
    yaw = np.full(100, SETTINGS.max_yaw, np.float32)
    yaw[::2] += 1
    assert len(reasons(track(0, still(60), yaw=yaw))) == 1


def test_a_mouth_that_is_covered_keeps_its_own_picture_meanwhile() -> None:
    occlusion = np.zeros(100, np.float32)
    occlusion[40:60] = 0.5
    one = replace(track(0, still(60)), occlusion=occlusion)
    assert reasons(one) == [(538, 562, "covered")]
    assert reasons(one, SETTINGS.model_copy(update={"max_covered": 0.6})) == []


def test_absent_frames_are_listed() -> None:
    landmarks = still(60)
    landmarks[20:50] = np.nan
    assert reasons(track(0, landmarks)) == [(520, 550, "absent")]


def test_a_face_that_is_too_small_is_not_dubbed_and_says_so() -> None:
    (choice,), _ = choose([track(0, still(10))], SETTINGS, RATE, None)
    assert not choice.dubbed
    assert not choice.usable.any()
    assert "too small" in choice.reason


def test_a_usable_moment_too_short_to_see_is_left_alone() -> None:
    yaw = np.full(100, 60, np.float32)
    yaw[50:52] = 0
    assert {r for _, _, r in reasons(track(0, still(60), yaw=yaw))} == {"turned away", "too short"}


def test_the_largest_face_is_dubbed_when_asked_for() -> None:
    tracks = [track(0, still(80)), track(1, still(50))]
    choices, _ = choose(tracks, FaceSettings(which="largest"), RATE, None)
    assert [c.dubbed for c in choices] == [True, False]


def test_all_faces_are_dubbed_when_asked_for() -> None:
    tracks = [track(0, still(80)), track(1, still(50)), track(2, still(8))]
    choices, _ = choose(tracks, FaceSettings(which="all"), RATE, None)
    assert [c.dubbed for c in choices] == [True, True, False]


def two_talkers(opening: Series) -> list[FaceTrack]:
    return [track(0, still(120, len(opening))), track(1, talk(opening).astype(np.float32))]


def test_the_face_that_speaks_is_dubbed_though_another_is_larger() -> None:
    mine, samples = syllables(4.0, 3)
    choices, note = choose(two_talkers(mine), SETTINGS, RATE, sound_of(samples, 100))
    assert [c.dubbed for c in choices] == [False, True]
    assert choices[1].correlation is not None
    assert choices[0].reason == "another face speaks"
    assert note is None


def test_without_sound_the_largest_face_is_dubbed_and_a_note_says_so() -> None:
    mine, _ = syllables(4.0, 3)
    choices, note = choose(two_talkers(mine), SETTINGS, RATE, None)
    assert [c.dubbed for c in choices] == [True, False]
    assert note is not None


def test_where_nobody_clearly_speaks_the_largest_is_dubbed_and_a_note_says_so() -> None:
    mine, _ = syllables(4.0, 3)
    other, samples = syllables(4.0, 9)
    tracks = [
        track(0, (talk(mine[::-1]) * 1.2).astype(np.float32)),
        track(1, talk(np.roll(mine, 9)).astype(np.float32)),
    ]
    choices, note = choose(tracks, SETTINGS, RATE, sound_of(samples * 0, 100))
    assert [c.dubbed for c in choices] == [True, False]
    assert choices[1].reason == "not the largest face"
    assert note is not None
    assert len(other) == 100


def test_no_track_is_a_normal_result() -> None:
    assert choose([], SETTINGS, RATE, None) == ([], None)


def test_two_tracks_that_follow_one_another_are_both_dubbed() -> None:
    tracks = [track(0, still(80)), track(1, still(50), start=610)]
    choices, note = choose(tracks, SETTINGS, RATE, None)
    assert [c.dubbed for c in choices] == [True, True]
    assert note is None
