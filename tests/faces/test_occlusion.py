"""Hands and microphones before a mouth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dubkit.faces import landmark_layout, occlusion
from dubkit.faces.align import apply, crop_from_canonical, mean_face
from dubkit.faces.occlusion import POINTS, covered_frames, occlusion_scores, skin_of
from dubkit.progress import place_in_film
from dubkit.records import Floats, Shot, TrackChoice, Untouched
from dubkit.stages.faces import _notes

COUNT, RATE = 120, 25.0
SECONDS = np.arange(COUNT) / RATE
SURE = np.ones(COUNT, np.float32)


def talking(seed: int = 0) -> tuple[np.ndarray, Floats]:
    """Skin of a face that turns its head, in noise and changing light; (T, N, 3) and (T, 3)."""
    rng = np.random.default_rng(seed)
    yaw = 12 * np.sin(SECONDS)
    own = np.stack(
        [rng.integers(90, 190, len(POINTS)), np.full(len(POINTS), 150), np.full(len(POINTS), 115)],
        1,
    )
    shade = rng.normal(0, 0.4, len(POINTS))
    skin = own[None] + rng.normal(0, 2, (COUNT, len(POINTS), 3))
    skin[..., 0] += yaw[:, None] * shade + (8 * np.sin(SECONDS / 2))[:, None]
    pose = np.stack([yaw, 0 * yaw, 0 * yaw], 1).astype(np.float32)
    return np.asarray(np.clip(skin, 0, 255), np.uint8), pose


def hidden(skin: np.ndarray, frames: slice, share: float, seed: int = 1) -> np.ndarray:
    """The same with something of another brightness before a share of the points."""
    rng = np.random.default_rng(seed)
    changed = skin.copy()
    points = rng.permutation(len(POINTS))[: round(share * len(POINTS))]
    changed[frames, points] = np.array([40, 128, 128]) + rng.integers(0, 6, (len(points), 3))
    return np.asarray(changed)


def found(skin: np.ndarray, pose: Floats, scores: Floats = SURE, limit: float = 0.14) -> np.ndarray:
    return np.asarray(covered_frames(occlusion_scores(skin, pose, scores, SECONDS), limit, RATE))


def test_a_talking_turning_face_in_changing_light_is_never_covered() -> None:
    for seed in range(3):
        assert not found(*talking(seed)).any()


def test_a_face_that_rests_and_then_turns_is_not_covered() -> None:
    skin, pose = talking()
    rng = np.random.default_rng(5)
    yaw = np.interp(SECONDS, [0, 2.4, 3.2], [0, 0, -16])
    still = skin[:1] + rng.normal(0, 1, skin.shape)
    # the light of a side is no straight line of the angle
    still[..., 0] += yaw[:, None] * rng.normal(0, 1, len(POINTS))
    still[..., 0] += (yaw[:, None] / 10) ** 2 * rng.normal(0, 10, len(POINTS))
    pose[:, 0] = yaw
    assert not found(np.asarray(np.clip(still, 0, 255), np.uint8), pose).any()


@pytest.mark.parametrize(
    ("frames", "score", "covered"),
    [(4, 0.2, False), (6, 0.2, True), (2, 0.4, True), (1, 0.4, False), (6, 0.1, False)],
)
def test_what_differs_a_little_for_a_moment_is_a_mouth_that_moves(
    frames: int, score: float, covered: bool
) -> None:
    scores = np.zeros(50, np.float32)
    scores[20 : 20 + frames] = score
    assert covered_frames(scores, 0.14, RATE).any() == covered


@settings(max_examples=20, deadline=None)
@given(st.integers(10, 90), st.integers(4, 40), st.floats(0.3, 1.0))
def test_what_passes_before_a_mouth_is_seen_from_its_first_frame_to_its_last(
    begin: int, length: int, share: float
) -> None:
    skin, pose = talking()
    end = min(begin + length, COUNT)
    flags = found(hidden(skin, slice(begin, end), share), pose)
    assert flags[begin:end].all()
    assert not flags[: begin - 3].any()
    assert not flags[end + 3 :].any()


def test_light_that_changes_on_the_whole_face_is_no_cover() -> None:
    skin, pose = talking()
    brighter = skin.astype(int)
    brighter[50:60, :, 0] += 40
    assert not found(np.clip(brighter, 0, 255).astype(np.uint8), pose).any()


def test_a_head_that_turns_far_for_a_moment_in_light_from_one_side_is_no_cover() -> None:
    skin, pose = talking()
    rng = np.random.default_rng(3)
    turn = np.interp(np.arange(COUNT), [50, 55, 60, 65], [0, 16, 16, 0])
    turned = (pose + np.stack([turn, 0 * turn, 0 * turn], 1)).astype(np.float32)
    lit = skin.astype(float)
    lit[..., 0] += turned[:, :1] * rng.normal(0, 1.5, len(POINTS))
    lit = np.clip(lit, 0, 255).astype(np.uint8)
    assert not found(lit, turned).any()
    assert found(hidden(lit, slice(55, 61), 0.5), turned)[55:61].all()
    assert found(lit, pose)[55:61].all()  # the same change on a head that is still


def test_one_strange_frame_and_a_small_thing_are_no_cover() -> None:
    skin, pose = talking()
    assert not found(hidden(skin, slice(50, 51), 1.0), pose).any()
    assert not found(hidden(skin, slice(50, 70), 0.08), pose).any()


def test_landmarks_that_are_less_sure_than_mostly_count_too() -> None:
    skin, pose = talking()
    scores = SURE.copy()
    scores[40:50] = 0.8
    assert found(skin, pose, scores)[40:50].all()
    assert not found(skin, pose, np.full(COUNT, 0.7, np.float32)).any()


def test_a_limit_of_one_never_says_covered() -> None:
    skin, pose = talking()
    assert not found(hidden(skin, slice(50, 70), 1.0), pose, limit=1.0).any()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_shortest_tracks_have_a_figure(count: int) -> None:
    skin, pose = talking()
    occlusion = occlusion_scores(skin[:count], pose[:count], SURE[:count], SECONDS[:count])
    assert covered_frames(occlusion, 0.14, 60.0).shape == (count,)


def test_skin_is_read_where_the_landmarks_are() -> None:
    side = 96
    points = apply(crop_from_canonical(side), mean_face())
    crop = np.zeros((side, side, 3), np.uint8)
    low = points[landmark_layout.CHIN].min(0).astype(int) - 5
    crop[low[1] :] = (200, 40, 40)  # red below
    red = skin_of(crop, points)[:, 1] > 180
    chin = np.isin(POINTS, landmark_layout.CHIN)
    assert red[chin].mean() > 0.8
    assert not red[np.isin(POINTS, landmark_layout.CHEEKS[:2])].any()
    assert skin_of(crop, points * 100).shape == (len(POINTS), 3)  # landmarks outside of the crop
    assert occlusion.PATCH_SIDE * side > 2


def test_the_notes_say_when_a_face_was_covered() -> None:
    ends = ((122, 141), (150, 152), (160, 162), (170, 172), (180, 182))
    spans = tuple(Untouched(*pair, "covered") for pair in ends)
    choice = TrackChoice(0, 100, 200, True, "the only face", 90.0, None, spans)
    notes = list(_notes(Shot(100, 200), [choice], None, 58 + np.arange(100) / RATE))
    assert len(notes) == 1
    assert (
        "face 0 keeps its original mouth in 27 frames (covered); covered at 0:58.9-0:59.6"
        in notes[0]
    )
    assert notes[0].endswith(" and 2 more")
    assert place_in_film(125.04) == "2:05.0"
