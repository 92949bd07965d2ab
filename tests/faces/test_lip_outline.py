"""The outline of the lips in made-up pictures whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dubkit.config.schema import FaceSettings
from dubkit.faces import align, landmark_layout, lip_outline, occlusion
from dubkit.faces.tracker import finished_tracks
from dubkit.faces.tracklet import Region, Sighting, TrackerSettings, Tracklet
from dubkit.records import Floats, Picture
from tests.faces import faces

SKIN, LIPS = (190, 150, 130), (165, 80, 95)
EYES = 110.0  # pixels between them
INNER, OUTER = landmark_layout.LIPS_INNER, landmark_layout.LIPS_OUTER
CORNERS = [OUTER[0], OUTER[10]]


def picture_of(face: Floats, lips: tuple[int, ...] = LIPS, light: float = 1.0) -> Picture:
    """Skin with lips and a dark mouth where the landmarks say, some grain and light from one side."""
    picture = np.full((480, 480, 3), SKIN, np.uint8)
    for group, color in ((OUTER, lips), (INNER, (40, 25, 25))):
        points = np.round(face[group] * 16).astype(np.int32)
        cv2.fillPoly(picture, [points], color, cv2.LINE_AA, 4)
    ramp = np.linspace(0.85, 1.1, 480)[None, :, None] * light
    grain = np.random.default_rng(0).normal(0, 3, picture.shape)
    return np.asarray(np.clip(picture * ramp + grain, 0, 255), np.uint8)


PLACE = np.array([[EYES, 0.0, 240.0], [0.0, EYES, 180.0]])


def off(truth: Floats, outward: float) -> Floats:
    """Landmarks whose outline lies ``outward`` (canonical units) of the true one, but for the corners."""
    wrong = truth.copy()
    wrong[OUTER] += lip_outline.outward(truth[OUTER]) * np.float32(outward)
    wrong[CORNERS] = truth[CORNERS]
    return wrong


def follow(
    truths: list[Floats], wrongs: list[Floats], lips: tuple[int, ...] = LIPS
) -> tuple[Floats, Floats]:
    """Where the landmarks were taken to be and where they are found, both canonical."""
    shown, profiles = [], []
    for number, (truth, wrong) in enumerate(zip(truths, wrongs, strict=True)):
        light = 0.8 + 0.05 * (number % 5)
        view = Region(picture_of(align.apply(PLACE, truth), lips, light), np.eye(2, 3))
        face = align.apply(PLACE, wrong)
        profile = lip_outline.profile(view, face)
        assert profile is not None
        shown.append(face)
        profiles.append(profile)
    found = lip_outline.outlined(np.stack(shown), np.stack(profiles))
    back = align.invert(PLACE)
    return align.apply(back, np.stack(shown)), align.apply(back, found)


def away(found: Floats, truths: list[Floats]) -> float:
    """Mean distance of the outlines, without what is next to the corners, canonical units."""
    inside = [k for k in range(20) if k % 10 not in (0, 1, 9)]
    gap = (found - np.stack(truths))[:, OUTER][:, inside]
    return float(np.linalg.norm(gap, axis=2).mean())


@pytest.mark.parametrize("wrong", [-0.06, 0.06])
def test_an_outline_moves_to_where_lips_become_skin(wrong: float) -> None:
    truths = [faces.with_gap(0.03 * t) for t in range(8)]
    before, after = follow(truths, [off(face, wrong) for face in truths])
    assert away(before, truths) > 0.055
    assert away(after, truths) < 0.02
    assert np.array_equal(before[:, INNER], after[:, INNER])
    assert np.array_equal(before[:, CORNERS], after[:, CORNERS])
    assert np.array_equal(before[:, landmark_layout.STABLE], after[:, landmark_layout.STABLE])


def test_the_skin_next_to_the_lips_goes_along() -> None:
    truths = [faces.with_gap(0.03 * t) for t in range(8)]
    before, after = follow(truths, [off(face, -0.06) for face in truths])
    moved = np.linalg.norm(after - before, axis=2).mean(0)
    under = landmark_layout.CHIN[0]  # next to the lower lip
    assert 0.01 < moved[under] < 0.06
    chin = landmark_layout.JAW[9]
    assert moved[chin] < 0.01


def test_each_frame_has_its_own_outline() -> None:
    truths = [faces.with_gap(0.1) for _ in range(12)]
    wrongs = [off(face, -0.06 if t >= 6 else 0.0) for t, face in enumerate(truths)]
    before, after = follow(truths, wrongs)
    moved = np.linalg.norm((after - before)[:, OUTER], axis=2)[:, [4, 5, 6, 14, 15, 16]].mean(1)
    assert moved[:5].max() < 0.02
    assert moved[7:].min() > 0.035


def test_lips_that_look_like_skin_stay() -> None:
    truths = [faces.with_gap(0.03 * t) for t in range(8)]
    before, after = follow(truths, [off(face, -0.05) for face in truths], lips=SKIN)
    assert np.array_equal(before, after)


@pytest.mark.parametrize(("unseen", "moves"), [(0, True), (1, True), (5, False)])
def test_a_track_gets_the_outline_where_most_of_its_frames_show_it(
    unseen: int, moves: bool
) -> None:
    truths = [faces.with_gap(0.03 * t) for t in range(8)]
    wrong = align.apply(PLACE, np.stack([off(face, -0.06) for face in truths]))
    tracklet = Tracklet(np.zeros(0, np.float32))
    for number, (truth, face) in enumerate(zip(truths, wrong, strict=True)):
        picture = picture_of(align.apply(PLACE, truth))
        shown = lip_outline.profile(Region(picture, np.eye(2, 3)), face)
        skin, pose = occlusion.skin_of(picture, face), np.zeros(3, np.float32)
        lips = None if number < unseen else shown
        tracklet.add(number, Sighting(face, pose, 1.0, np.zeros(0, np.float32), skin, lips), False)
    settings = replace(TrackerSettings.of(FaceSettings(), 25.0), smoothing=0.0, shortest=1)
    (track,) = finished_tracks([tracklet], settings)
    gone = np.linalg.norm((track.landmarks - wrong)[:, OUTER], axis=2).mean(1) > 1
    assert gone[unseen:].all() == moves
    assert not gone[:unseen].any()


def test_a_small_face_shows_no_outline() -> None:
    face = faces.placed(faces.with_gap(0.1), lip_outline.LEAST_EYES - 2, 0.1, 100, 100)
    region = Region(np.zeros((200, 200, 3), np.uint8), np.eye(2, 3))
    assert lip_outline.profile(region, face) is None


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    frames=st.integers(1, 5),
    kind=st.sampled_from(["noise", "black", "white", "two"]),
)
def test_whatever_is_seen_the_outline_stays_near(seed: int, frames: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    size = (frames, 20, len(lip_outline.PLACES), 3)
    profiles = {
        "noise": rng.integers(0, 256, size, np.uint8),
        "black": np.zeros(size, np.uint8),
        "white": np.full(size, 255, np.uint8),
        "two": np.where(rng.random(size) < 0.5, 0, 255).astype(np.uint8),
    }[kind]
    height = rng.uniform(0, 0.4, (frames, 20)).astype(np.float32)
    axes = lip_outline.learned(profiles, height)
    found = lip_outline.displacement(profiles, height, axes)
    assert np.isfinite(found).all()
    assert (found >= lip_outline.PLACES[0]).all()
    assert (found <= lip_outline.PLACES[-1]).all()
    assert (found[:, [0, 10]] == 0).all()


def test_a_long_shot_is_worked_on_in_parts_that_do_not_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truths = [faces.with_gap(0.03 * (t % 9)) for t in range(20)]
    wrongs = [off(face, 0.05) for face in truths]
    _, whole = follow(truths, wrongs)
    monkeypatch.setattr(lip_outline, "_AT_ONCE", 7)
    _, parts = follow(truths, wrongs)
    np.testing.assert_allclose(parts, whole, atol=0.011)  # one place across the outline
    assert away(parts, truths) < 0.02
