"""Where a patch is shown, and what is hidden from the net."""

from __future__ import annotations

import numpy as np
import pytest

from dubkit.faces import align, landmark_layout
from dubkit.lips import masks, mesh_warp
from tests.faces.faces import with_gap

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
