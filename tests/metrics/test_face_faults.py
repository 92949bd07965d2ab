"""What an editor sees at once in a dubbed face, on drawn crops."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from dubkit.faces import landmark_layout
from dubkit.faces.align import apply, crop_from_canonical, mean_face
from dubkit.metrics.face_faults import STAIN_SIDE, FaultSums, Look

SIDE = 128
FACE = mean_face()
Draw = Callable[[int], np.ndarray]


def opened(gap: float = 0.25, drop: float = 0.0) -> np.ndarray:
    """The mean face with its lips apart and its jaw lower."""
    face = FACE.copy()
    face[landmark_layout.LIPS_INNER[:10], 1] += gap
    face[landmark_layout.JAW[4:15], 1] += drop
    return np.asarray(face)


def drawn(face: np.ndarray, teeth: float = 0.2) -> np.ndarray:
    """(S, S) a light face on a dark ground, with a mouth as light as ``teeth``."""
    to_crop = crop_from_canonical(SIDE)
    picture = np.full((SIDE, SIDE), 0.2, np.float32)
    for ring, light in ((landmark_layout.OVAL, 0.6), (landmark_layout.LIPS_INNER, teeth)):
        cv2.fillPoly(picture, [np.round(apply(to_crop, face[ring])).astype(np.int32)], light)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.float32)


def measured(
    made: Draw,
    *,
    face: np.ndarray = FACE,
    shown: np.ndarray | None = None,
    color: np.ndarray | None = None,
    frames: int = 12,
) -> dict[str, float]:
    """Of ``made`` frame by frame beside the drawn ``face``; ``shown``: the result's landmarks."""
    sums = FaultSums()
    blank = np.zeros((STAIN_SIDE, STAIN_SIDE, 2), np.float32)
    for row in range(frames):
        sums.add(Look(row, drawn(face), made(row), blank if color is None else color, face))
    sums.settle(frames, lambda row: face if shown is None else shown)
    return sums.measures()


def test_a_frame_that_is_as_filmed_has_no_fault() -> None:
    found = measured(lambda row: drawn(opened()), face=opened())
    assert found == {"stain": 0, "chin_edge": 0, "pieces": 0, "switching": 0}


def spot(point: np.ndarray, side: int, radius: float, amount: float) -> np.ndarray:
    to_crop = crop_from_canonical(side)
    x, y = apply(to_crop, point)
    rows, columns = np.mgrid[:side, :side]
    return np.asarray(
        amount * (np.hypot(columns - x, rows - y) <= radius * to_crop[0, 0]), np.float32
    )


def test_a_stain_on_a_cheek_is_seen_and_one_on_the_lips_is_not() -> None:
    cheek = (FACE[landmark_layout.MOUTH_LEFT] + FACE[landmark_layout.JAW[14]]) / 2
    lips = FACE[landmark_layout.LIPS].mean(0)
    stains = [np.stack([spot(place, STAIN_SIDE, 0.2, 20 / 255)] * 2, 2) for place in (cheek, lips)]
    found = [measured(lambda row: drawn(FACE), color=stain)["stain"] for stain in stains]
    assert found[0] > 10
    assert found[1] < 2


def test_a_jaw_that_is_lower_is_no_second_chin_and_the_filmed_one_left_below_is() -> None:
    low, high = opened(drop=0.2), opened(drop=0.0)
    assert measured(lambda row: drawn(low), face=high, shown=low)["chin_edge"] < 0.05
    both = np.maximum(0.85 * drawn(low), drawn(high))
    assert measured(lambda row: both, face=high, shown=high)["chin_edge"] > 0.3


def test_a_piece_beside_the_face_is_seen_and_one_on_it_is_not() -> None:
    outside, inside = (FACE[landmark_layout.JAW[14]] + np.array([x, 0]) for x in (-0.35, 0.4))
    found = [
        measured(lambda row, place=place: drawn(FACE) + spot(place, SIDE, 0.12, 0.2))["pieces"]  # type: ignore[misc]
        for place in (outside, inside)
    ]
    assert found[0] > 0.04
    assert found[1] == 0


def test_teeth_that_switch_are_seen_and_a_mouth_that_lightens_slowly_is_not() -> None:
    face = opened()
    switching = measured(lambda row: drawn(face, 0.2 if row // 3 % 2 else 0.5), face=face)
    slowly = measured(lambda row: drawn(face, 0.2 + 0.03 * row), face=face)
    assert switching["switching"] > 0.1
    assert slowly["switching"] < 0.01


def test_a_shut_mouth_has_no_teeth_that_could_switch() -> None:
    shut = FACE.copy()
    shut[landmark_layout.LIPS_INNER, 1] = shut[landmark_layout.LIPS_INNER, 1].mean()
    assert "switching" not in measured(lambda row: drawn(shut, row % 2), face=shut)


def test_what_waits_is_measured_when_its_landmarks_are_known() -> None:
    sums = FaultSums()
    blank = np.zeros((STAIN_SIDE, STAIN_SIDE, 2), np.float32)
    sums.add(Look(3, drawn(FACE), drawn(FACE), blank, FACE))
    sums.settle(2, lambda row: pytest.fail("not found yet"))
    assert sums.measures() == {}
    sums.settle(3, lambda row: FACE)
    assert sums.measures()["stain"] == 0
