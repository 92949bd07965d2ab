"""The canonical face: there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from dubkit.faces import landmark_layout
from dubkit.faces.align import (
    CROP_SIDE,
    Matrix,
    apply,
    canonical_from_face,
    canonical_from_points,
    compose,
    crop_from_canonical,
    eye_centers,
    invert,
    mean_face,
    scale_of,
    similarity,
    turned_mean_face,
)
from dubkit.faces.association import five_points


def placed(size: float, turn: float, x: float, y: float) -> Matrix:
    c, s = size * np.cos(turn), size * np.sin(turn)
    return np.array([[c, -s, x], [s, c, y]])


placements = st.builds(
    placed,
    st.floats(8, 900),
    st.floats(-3.1, 3.1),
    st.floats(-500, 5000),
    st.floats(-500, 5000),
)


def test_the_mean_face_stands_on_its_eyes() -> None:
    eyes = eye_centers(mean_face())
    assert np.allclose(eyes.mean(0), 0, atol=1e-3)
    assert np.isclose(np.linalg.norm(eyes[1] - eyes[0]), 1, atol=1e-3)


@given(placements)
def test_a_face_of_any_size_place_and_turn_comes_to_the_canonical_one(way: Matrix) -> None:
    face = apply(way, mean_face())
    assert np.abs(apply(canonical_from_face(face), face) - mean_face()).max() < 5e-3
    assert np.abs(apply(canonical_from_points(five_points(face)), face) - mean_face()).max() < 5e-3


def test_speech_does_not_move_the_canonical_position() -> None:
    face = apply(placed(90, 0.2, 300, 200), mean_face())
    speaking = face.copy()
    speaking[landmark_layout.MOVING] += (0, 25)
    assert np.array_equal(canonical_from_face(face), canonical_from_face(speaking))


@given(placements, placements)
def test_compose_and_invert_undo_each_other(a: Matrix, b: Matrix) -> None:
    points = np.array([[0.0, 0.0], [10.0, -3.0], [200.0, 90.0]])
    there = apply(compose(a, b), points)
    assert np.allclose(there, apply(a, apply(b, points).astype(np.float64)), rtol=1e-3, atol=0.5)
    assert np.allclose(compose(invert(a), a), np.eye(2, 3), atol=1e-6)


def test_points_of_no_extent_give_no_nan() -> None:
    same = np.ones((5, 2))
    assert np.isfinite(similarity(same, np.arange(10.0).reshape(5, 2))).all()


def test_the_crop_holds_the_whole_mean_face_and_scales_with_its_size() -> None:
    for size in (96, 128, 256):
        points = apply(crop_from_canonical(size), mean_face())
        assert points.min() > 0
        assert points.max() < size - 1
        assert np.isclose(scale_of(crop_from_canonical(size)), size / CROP_SIDE)


def test_transforms_written_out_agree_with_the_algebra_of_numpy() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        one, other = rng.normal(size=(2, 2, 3))
        points = rng.normal(size=(7, 2))
        after = apply(one, apply(other, points).astype(np.float64))
        np.testing.assert_allclose(apply(compose(one, other), points), after, atol=1e-5)
        np.testing.assert_allclose(invert(one)[:, :2], np.linalg.inv(one[:, :2]), rtol=1e-9)
        np.testing.assert_allclose(compose(invert(one), one), np.eye(2, 3), atol=1e-9)
        size = np.sqrt(abs(np.linalg.det(one[:, :2])))
        assert scale_of(one) == pytest.approx(size, rel=1e-9)
    with pytest.raises(np.linalg.LinAlgError):
        invert(np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]]))


@given(yaw=st.floats(5, 60), pitch=st.floats(-30, 30))
def test_a_turned_mean_face_is_the_mirror_image_of_one_turned_the_other_way(
    yaw: float, pitch: float
) -> None:
    right, left = turned_mean_face(yaw, pitch), turned_mean_face(-yaw, pitch)
    assert right[landmark_layout.MIRROR] * (-1, 1) == pytest.approx(left, abs=1e-5)
    eyes = eye_centers(right)
    assert np.ptp(eyes[:, 0]) < 1  # it is narrower
    assert right[landmark_layout.NOSE_TIP[0], 0] > eyes[:, 0].mean()  # its nose points to the right


def test_the_mean_face_that_looks_up_has_its_nose_nearer_to_its_eyes() -> None:
    def below(pitch: float) -> float:
        face = turned_mean_face(0, pitch)
        return float(face[landmark_layout.NOSE_TIP[0], 1] - eye_centers(face)[:, 1].mean())

    assert turned_mean_face(0, 0) == pytest.approx(mean_face())
    assert below(20) < below(0) < below(-20)
