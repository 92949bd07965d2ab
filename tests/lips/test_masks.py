"""Where a patch is shown, and what is hidden from the net."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dubkit.faces import align, landmark_layout
from dubkit.lips import masks, mesh_warp
from dubkit.records import Floats
from tests.faces.faces import turned, with_gap

FEATHER = 0.12


def at(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    grid = np.round(align.apply(mesh_warp.grid_from_canonical(masks.GRID), points)).astype(int)
    return np.asarray(mask[grid[:, 1], grid[:, 0]])


def smiling() -> np.ndarray:
    """The mean face with the mouth's corners drawn out and up."""
    face = with_gap(0.1)
    mouth = face[landmark_layout.LIPS].mean(0)
    aside = face[landmark_layout.LIPS, 0] - mouth[0]
    face[landmark_layout.LIPS, 0] += 0.3 * aside
    face[landmark_layout.LIPS, 1] -= 2.0 * aside**2
    return face


def test_both_mouths_are_covered_whole_even_where_a_smile_reaches_beyond_the_lower_face() -> None:
    wide, narrow = smiling(), with_gap(0.1)
    whole = masks.whole_mask(wide, narrow, FEATHER)
    assert at(whole, wide[landmark_layout.LIPS_OUTER]).min() < 0.9  # the outline alone would cut it
    for current, target in ((wide, narrow), (narrow, wide)):
        mask = masks.soft_mask(current, target, FEATHER)
        for face in (current, target):
            assert at(mask, face[landmark_layout.LIPS_OUTER]).min() > 0.97


@pytest.mark.parametrize("opening", [0.0, 0.3])
def test_chins_are_covered_as_filmed_and_as_wanted_and_the_sides_of_the_jaw_are_left_alone(
    opening: float,
) -> None:
    current, target = with_gap(0.3 - opening), with_gap(opening)
    mask = masks.soft_mask(current, target, FEATHER)
    for face in (current, target):
        assert at(mask, face[landmark_layout.CHIN]).min() > 0.9
    lower = max(current[landmark_layout.JAW[9], 1], target[landmark_layout.JAW[9], 1])
    assert at(mask, np.array([[0.0, lower - 0.02]])).min() > 0.4
    assert at(mask, current[landmark_layout.JAW[[0, 1, 2, 3, -4, -3, -2, -1]]]).max() < 0.02


def test_masks_are_zero_far_from_the_lower_face() -> None:
    for made in (masks.soft_mask, masks.whole_mask):
        mask = made(with_gap(0.1), with_gap(0.3), FEATHER)
        assert mask.min() >= 0
        assert mask.max() == 1
        assert not at(mask, align.mean_face()[landmark_layout.STABLE]).any()
        assert not mask[:, [0, -1]].any()
        assert not mask[-1].any()


def mirrored(face: Floats) -> Floats:
    """The face as a mirror shows it."""
    return np.asarray(face[landmark_layout.MIRROR] * (-1, 1), np.float32)


FAR = landmark_layout.JAW[11:16]  # of a head that is turned to the left


def test_a_turned_head_is_left_alone_beyond_its_far_silhouette_and_its_lips_are_not() -> None:
    face = turned(-36)
    mask = masks.soft_mask(face, face, FEATHER)
    assert at(mask, face[FAR] - (0.12, 0.0)).max() < 0.1
    assert at(mask, face[landmark_layout.LIPS_OUTER]).min() > 0.8


def filmed(face: Floats, short: float, skin: float = 170, behind: float = 60) -> Floats:
    """(128, 128, 1) a head turned to the left; its far cheek ends ``short`` canonical units before its landmarks do."""
    outline = face[landmark_layout.OVAL].copy()
    outline[outline[:, 0] < np.median(face[landmark_layout.LIPS, 0])] += (short, 0)
    points = align.apply(mesh_warp.grid_from_canonical(masks.GRID), outline)
    picture = np.full((masks.GRID, masks.GRID), behind, np.float32)
    cv2.fillPoly(picture, [np.round(points).astype(np.int32)], (skin,))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0)[..., None], np.float32)


def cheek(face: Floats, inside: float) -> Floats:
    """(1, 2) a point of the far cheek at the height of the nose's base, ``inside`` of the landmarks' outline."""
    ring = face[landmark_layout.OVAL]
    height = float(face[landmark_layout.NOSE_TIP[2], 1])
    near = np.argsort(np.abs(ring[:, 1] - height))[:4]
    return np.array([[ring[near, 0].min() + inside, height]])


@pytest.mark.parametrize("short", [0.06, 0.1, 0.15])
def test_the_edge_of_a_far_cheek_is_where_the_picture_shows_it(short: float) -> None:
    face = turned(-30)
    shown = masks.filmed_silhouette(filmed(face, short), face, face)
    assert float(at(shown, cheek(face, short - 0.05))[0]) < 0.35
    assert float(at(shown, cheek(face, short + 0.1))[0]) > 0.85
    other = masks.filmed_silhouette(filmed(face, short)[:, ::-1], mirrored(face), mirrored(face))
    np.testing.assert_allclose(other[:, ::-1], shown, atol=0.05)


def test_a_cheek_that_looks_like_what_is_behind_it_ends_where_its_landmarks_do() -> None:
    face = turned(-30)
    for picture in (filmed(face, 0.1, skin=65), filmed(face, 0.0)):
        assert float(at(masks.filmed_silhouette(picture, face, face), cheek(face, 0.08))[0]) > 0.85


def test_lips_are_shown_whole_although_they_reach_beyond_the_cheek() -> None:
    face = turned(-36)
    shown = masks.filmed_silhouette(filmed(face, 0.2), face, face)
    assert at(shown, face[landmark_layout.LIPS_INNER]).min() > 0.8


def test_of_a_reference_that_is_not_turned_all_is_face() -> None:
    face = align.mean_face()
    assert masks.shown_by(filmed(face, 0.1), face) is None
    assert not masks.is_turned(face)


@given(st.integers(0, 10_000), st.floats(-2, 2), st.floats(-90, 90))
@settings(max_examples=60, deadline=None)
def test_whatever_landmarks_say_a_silhouette_is_a_mask(seed: int, tall: float, yaw: float) -> None:
    rng = np.random.default_rng(seed)
    face = (turned(yaw) * (1, tall) + rng.normal(0, 0.1, turned(yaw).shape)).astype(np.float32)
    picture = rng.uniform(0, 255, (masks.GRID, masks.GRID, 3)).astype(np.float32)
    shown = masks.filmed_silhouette(picture, face, face)
    assert shown.shape == (masks.GRID, masks.GRID)
    assert shown.min() >= -1e-6
    assert shown.max() <= 1 + 1e-6
