"""The landmark layout: groups, rings and the mirror."""

from __future__ import annotations

import numpy as np
import pytest

from dubkit.faces import layout
from dubkit.faces.align import mean_face
from tests.painted import face

GROUPS = [
    layout.LIPS_OUTER,
    layout.LIPS_INNER,
    layout.OVAL,
    layout.EYE_LEFT,
    layout.EYE_RIGHT,
    layout.IRISES,
    layout.BROW_LEFT,
    layout.BROW_RIGHT,
    layout.NOSE_BRIDGE,
    layout.NOSE_TIP,
    layout.NOSTRILS,
    layout.CHIN,
    layout.CHEEKS,
]


def test_every_landmark_is_in_one_group_and_no_mesh_point_is_used_twice() -> None:
    assert sorted(np.concatenate(GROUPS)) == list(range(layout.COUNT))
    assert len(set(layout.MESH.tolist())) == layout.COUNT
    assert layout.MESH.max() < 478


def test_the_mirror_is_its_own_inverse() -> None:
    assert np.array_equal(layout.MIRROR[layout.MIRROR], np.arange(layout.COUNT))


def test_mirroring_the_mean_face_gives_the_mean_face() -> None:
    mean = mean_face()
    mirrored = mean[layout.MIRROR] * (-1, 1)
    assert np.abs(mirrored - mean).max() < 0.02


@pytest.mark.parametrize("ring", [layout.LIPS_OUTER, layout.LIPS_INNER, layout.OVAL])
def test_a_ring_goes_around_without_crossing_itself(ring: layout.Index) -> None:
    open_face = face(1.0)  # the inner lips of the mean face are shut: no ring to go around
    points = open_face[ring] - open_face[ring].mean(0)
    turns = np.diff(np.unwrap(np.arctan2(points[:, 1], points[:, 0])))
    assert (turns > 0).all() or (turns < 0).all()
    assert abs(turns.sum()) > 5.0


def test_stable_points_hold_no_point_that_speech_moves() -> None:
    assert not set(layout.STABLE.tolist()) & set(layout.MOVING.tolist())


def test_left_and_right_are_those_of_the_picture() -> None:
    mean = mean_face()
    assert mean[layout.EYE_LEFT, 0].mean() < 0 < mean[layout.EYE_RIGHT, 0].mean()
    assert mean[layout.MOUTH_LEFT, 0] < mean[layout.MOUTH_RIGHT, 0]
    assert mean[layout.INNER_TOP, 1] <= mean[layout.INNER_BOTTOM, 1]
