"""Which faces are dubbed, where, and why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dubkit.config.schema import FaceSettings
from dubkit.faces.association import bounds
from dubkit.faces.selection import (
    NOBODY,
    SILENT,
    Speaking,
    beside_transitions,
    choose,
    untouched,
)
from dubkit.records import FaceState, FaceTrack, Floats, Shot, Transition
from tests.faces.test_lips_from_sound import RATE
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


def reasons(one: FaceTrack, settings: FaceSettings = SETTINGS) -> list[tuple[int, int, str]]:
    return [(u.start, u.end, u.reason) for u in untouched(one, settings, RATE)]


def test_a_good_face_is_usable_in_every_frame() -> None:
    (choice,), note = choose(
        [track(0, still(60))], SETTINGS, RATE, {0: Speaking(((500, 600),), 0.9)}
    )
    assert choice.dubbed
    assert choice.usable.all()
    assert choice.speaks == ((500, 600),)
    assert (choice.start, choice.end) == (500, 600)
    assert note is None


def test_frames_of_a_transition_stay_as_filmed_and_say_so() -> None:
    flash = Transition(540, 544, "flash")
    (choice,), _ = choose([track(0, still(60))], SETTINGS, RATE, transitions=[flash])
    assert [(u.start, u.end, u.reason) for u in choice.untouched] == [(540, 544, "flash")]


def test_a_track_ends_with_a_row_of_its_own_beside_a_transition() -> None:
    spans = (Transition(490, 500, "dissolve"), Transition(600, 620, "dissolve"))
    one = track(0, still(60))
    longer = beside_transitions(one, Shot(480, 620, spans))
    assert (longer.start, len(longer)) == (499, len(one) + 2)
    assert reasons(longer) == [(499, 500, "absent"), (600, 601, "absent")]
    assert beside_transitions(one, Shot(480, 700)) is one


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
    (choice,), _ = choose([track(0, still(10))], SETTINGS, RATE)
    assert not choice.dubbed
    assert not choice.usable.any()
    assert "too small" in choice.reason


def test_a_usable_moment_too_short_to_see_is_left_alone() -> None:
    yaw = np.full(100, 60, np.float32)
    yaw[50:52] = 0
    assert {r for _, _, r in reasons(track(0, still(60), yaw=yaw))} == {"turned away", "too short"}


def test_the_largest_face_is_dubbed_when_asked_for() -> None:
    tracks = [track(0, still(80)), track(1, still(50))]
    choices, _ = choose(tracks, FaceSettings(which="largest"), RATE)
    assert [c.dubbed for c in choices] == [True, False]


def test_all_faces_are_dubbed_when_asked_for() -> None:
    tracks = [track(0, still(80)), track(1, still(50)), track(2, still(8))]
    choices, _ = choose(tracks, FaceSettings(which="all"), RATE)
    assert [c.dubbed for c in choices] == [True, True, False]


def test_the_face_that_speaks_is_dubbed_though_another_is_larger() -> None:
    tracks = [track(0, still(120)), track(1, still(60))]
    choices, note = choose(tracks, SETTINGS, RATE, {1: Speaking(((520, 570),), 0.93)}, "its sound")
    assert [c.dubbed for c in choices] == [False, True]
    assert choices[1].speaks == ((520, 570),)
    assert (choices[1].score, choices[1].reason) == (0.93, "its lips speak, by its sound")
    assert choices[0].reason == "another face speaks"
    assert note is None


def test_where_nobody_speaks_nobody_is_dubbed_and_a_note_says_so() -> None:
    choices, note = choose([track(0, still(120)), track(1, still(60))], SETTINGS, RATE)
    assert [c.dubbed for c in choices] == [False, False]
    assert {c.reason for c in choices} == {SILENT}
    assert note == NOBODY


def test_a_face_that_cannot_be_dubbed_does_not_count_as_silent() -> None:
    (choice,), note = choose([track(0, still(10))], SETTINGS, RATE)
    assert note is None
    assert choice.reason != SILENT


def test_the_largest_of_those_who_are_seen_together_is_dubbed_whole() -> None:
    tracks = [track(0, still(80)), track(1, still(50), start=610)]
    choices, note = choose(tracks, FaceSettings(which="largest"), RATE)
    assert [c.dubbed for c in choices] == [True, True]
    assert [c.speaks for c in choices] == [((500, 600),), ((610, 710),)]
    assert note is None


def test_no_track_is_a_normal_result() -> None:
    assert choose([], SETTINGS, RATE) == ([], None)
