"""A rendered face beside the source, on drawn crops."""

from __future__ import annotations

import numpy as np
import pytest

from dubkit.faces.align import apply, crop_from_canonical, mean_face
from dubkit.metrics.picture import CropSums, zones

SIDE = 128
POINTS = apply(crop_from_canonical(SIDE), mean_face())
ZONES = zones(POINTS, SIDE)


def skin(seed: int = 0) -> np.ndarray:
    """(S, S) something with texture."""
    random = np.random.default_rng(seed)
    gray = 120 + 10 * np.kron(random.standard_normal((32, 32)), np.ones((4, 4)))
    return np.asarray(np.clip(gray, 0, 255) / 255, np.float32)


def measured(made: list[np.ndarray], source: np.ndarray) -> dict[str, float]:
    sums = CropSums()
    for row, picture in enumerate(made):
        sums.add(row, source, picture, POINTS)
    return sums.measures()


def brighter(source: np.ndarray, amount: float, where: np.ndarray) -> np.ndarray:
    """By 8-bit levels."""
    return np.asarray(np.clip(source + amount / 255 * where, 0, 1), np.float32)


def test_equal_pictures_differ_in_nothing() -> None:
    found = measured([skin()] * 5, skin())
    assert found["seam"] == found["flicker"] == found["outside"] == 0
    assert found["likeness"] == pytest.approx(1)


def test_a_patch_with_a_border_shows() -> None:
    box = np.zeros((SIDE, SIDE))
    box[70:112, 34:94] = 1
    assert measured([brighter(skin(), 15, box)] * 5, skin())["seam"] > 0.01


def test_an_even_change_of_light_is_no_seam() -> None:
    everywhere = np.ones((SIDE, SIDE))
    assert measured([brighter(skin(), 15, everywhere)] * 5, skin())["seam"] < 0.002


def test_light_that_jumps_is_flicker_and_light_that_drifts_is_not() -> None:
    lower = ZONES.lower.astype(float)
    jumps = [brighter(skin(), 8 * (-1) ** t, lower) for t in range(8)]
    drifts = [brighter(skin(), 2 * t, lower) for t in range(8)]
    assert measured(jumps, skin())["flicker"] > 0.05
    assert measured(drifts, skin())["flicker"] < 0.003


def test_someone_elses_skin_is_not_alike() -> None:
    other = np.where(ZONES.lower, skin(1), skin())
    assert measured([other] * 5, skin())["likeness"] < 0.3


def test_folds_that_move_with_the_mouth_are_the_faces_own() -> None:
    moved = np.roll(skin(), 2, 0)
    assert measured([np.where(ZONES.lower, moved, skin())] * 5, skin())["likeness"] > 0.9


def test_what_changed_far_from_the_mouth_is_told() -> None:
    top = np.zeros((SIDE, SIDE))
    top[5:30] = 1
    found = measured([brighter(skin(), 40, top)] * 5, skin())
    assert found["outside"] > 0.02
    assert found["likeness"] > 0.99


def test_no_frame_no_measure() -> None:
    assert CropSums().measures() == {}
