"""The landmark layout: groups, rings and the mirror."""

from __future__ import annotations

import numpy as np
import pytest

from dubkit.faces import landmark_layout
from dubkit.faces.align import mean_face
from tests.painted import face

GROUPS = [
    landmark_layout.LIPS_OUTER,
    landmark_layout.LIPS_INNER,
    landmark_layout.OVAL,
    landmark_layout.EYE_LEFT,
    landmark_layout.EYE_RIGHT,
    landmark_layout.IRISES,
    landmark_layout.BROW_LEFT,
    landmark_layout.BROW_RIGHT,
    landmark_layout.NOSE_BRIDGE,
    landmark_layout.NOSE_TIP,
    landmark_layout.NOSTRILS,
    landmark_layout.CHIN,
    landmark_layout.CHEEKS,
]


def test_every_landmark_is_in_one_group_and_no_mesh_point_is_used_twice() -> None:
    assert sorted(np.concatenate(GROUPS)) == list(range(landmark_layout.COUNT))
    assert len(set(landmark_layout.MESH.tolist())) == landmark_layout.COUNT
    assert landmark_layout.MESH.max() < 478


def test_the_mirror_is_its_own_inverse() -> None:
    assert np.array_equal(
        landmark_layout.MIRROR[landmark_layout.MIRROR], np.arange(landmark_layout.COUNT)
    )


def test_mirroring_the_mean_face_gives_the_mean_face() -> None:
    mean = mean_face()
    mirrored = mean[landmark_layout.MIRROR] * (-1, 1)
    assert np.abs(mirrored - mean).max() < 0.02


@pytest.mark.parametrize(
    "ring", [landmark_layout.LIPS_OUTER, landmark_layout.LIPS_INNER, landmark_layout.OVAL]
)
def test_a_ring_goes_around_without_crossing_itself(ring: landmark_layout.Index) -> None:
    open_face = face(1.0)  # the inner lips of the mean face are shut: no ring to go around
    points = open_face[ring] - open_face[ring].mean(0)
    turns = np.diff(np.unwrap(np.arctan2(points[:, 1], points[:, 0])))
    assert (turns > 0).all() or (turns < 0).all()
    assert abs(turns.sum()) > 5.0


def test_stable_points_hold_no_point_that_speech_moves() -> None:
    assert not set(landmark_layout.STABLE.tolist()) & set(landmark_layout.MOVING.tolist())


def test_left_and_right_are_those_of_the_picture() -> None:
    mean = mean_face()
    assert mean[landmark_layout.EYE_LEFT, 0].mean() < 0 < mean[landmark_layout.EYE_RIGHT, 0].mean()
    assert mean[landmark_layout.MOUTH_LEFT, 0] < mean[landmark_layout.MOUTH_RIGHT, 0]
    assert mean[landmark_layout.INNER_TOP, 1] <= mean[landmark_layout.INNER_BOTTOM, 1]
