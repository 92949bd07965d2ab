from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubkit.config.schema import FaceSettings
from dubkit.faces import landmark_layout
from dubkit.faces.selection import SILENT, choose
from dubkit.planning.shot_plan import Level, Seen, judge, main_face
from dubkit.records import FaceState, FaceTrack, TrackChoice, Transition

SETTINGS = FaceSettings()


def track(
    *, frames: int = 50, width: float = 120, yaw: float = 0, score: float = 1.0, number: int = 0
) -> FaceTrack:
    box = np.array([10, 10, 10 + width, 10 + width * 1.3], np.float32)
    pose = np.tile(np.array([yaw, 0, 0], np.float32), (frames, 1))
    return FaceTrack(
        number,
        0,
        np.tile(box, (frames, 1)),
        np.zeros((frames, landmark_layout.COUNT, 2), np.float32),
        pose,
        np.full(frames, score, np.float32),
        np.full(frames, FaceState.SEEN, np.int8),
        np.zeros(frames, np.float32),
    )


def seen(*tracks: FaceTrack, seconds: float = 2.0, focus: float = 1.0, spoken: bool = True) -> Seen:
    choices, _ = (
        choose(tracks, SETTINGS.model_copy(update={"which": "largest"}), 25.0)
        if tracks
        else ([], None)
    )
    return Seen(tracks, choices, seconds, spoken, focus)


def kinds(what: Seen) -> dict[str, Level]:
    return {reason.kind: reason.level for reason in judge(what, SETTINGS)[1]}


def test_a_large_frontal_sharp_face_is_no_risk() -> None:
    assert judge(seen(track()), SETTINGS) == (Level.LOW, ())


def test_transitions_of_one_kind_are_one_reason() -> None:
    ends = (Transition(0, 12, "fade"), Transition(40, 50, "fade"), Transition(20, 24, "flash"))
    reasons = judge(replace(seen(track()), transitions=ends), SETTINGS)[1]
    assert [reason.text for reason in reasons] == [
        "fade: 12 + 10 frames stay as filmed",
        "flash: 4 frames stay as filmed",
    ]


def test_a_shot_without_a_face_has_nothing_to_go_wrong() -> None:
    assert judge(seen(), SETTINGS) == (Level.NONE, ())


@pytest.mark.parametrize(
    ("what", "kind", "level"),
    [
        (seen(track(yaw=-36)), "profile", Level.MEDIUM),
        (seen(track(width=40)), "tiny", Level.MEDIUM),
        (seen(track(score=0.55)), "occluded", Level.HIGH),
        (seen(track(), focus=0.3), "blurred", Level.MEDIUM),
        (seen(track(), focus=0.05), "blurred", Level.HIGH),
        (seen(track(), seconds=0.5), "fast cut", Level.MEDIUM),
    ],
)
def test_each_risk_is_told_with_its_level(what: Seen, kind: str, level: Level) -> None:
    assert kinds(what) == {kind: level}
    assert judge(what, SETTINGS)[0] is level


def test_a_face_that_turns_away_for_half_of_its_time_is_a_high_risk() -> None:
    turning = track(yaw=0)
    turning.pose[25:, 0] = 60
    level, reasons = judge(seen(turning), SETTINGS)
    assert level is Level.HIGH
    assert reasons[0].text == "turned beyond 40° in 50% of its frames"


def test_nobody_can_be_dubbed_is_a_high_risk_only_where_somebody_speaks() -> None:
    away = track(yaw=80)
    assert kinds(seen(away)) == {"not dubbed": Level.HIGH}
    assert kinds(seen(away, spoken=False)) == {"not dubbed": Level.LOW}


def test_that_nobody_on_screen_speaks_is_told() -> None:
    two = (track(), track(number=1, width=100))
    silent = [
        TrackChoice(0, 0, 50, False, SILENT, 120, None, ()),
        TrackChoice(1, 0, 50, False, SILENT, 100, None, ()),
    ]
    assert kinds(Seen(two, silent, 2.0, True, 1.0)) == {"speaker": Level.MEDIUM}
    assert kinds(Seen(two, silent, 2.0, False, 1.0)) == {"speaker": Level.LOW}


def test_the_main_face_is_the_one_that_is_dubbed_most() -> None:
    found = seen(track(width=120, yaw=80), track(width=60, number=1))
    main = main_face(found)
    assert main is not None
    assert main[0].track == 1
