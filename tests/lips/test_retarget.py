"""From mouth shapes to landmarks."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from dubkit.faces import landmark_layout
from dubkit.lips import mouth_shape
from tests.faces.faces import LOWER, UPPER, gap_of, talking

FRAMES = 40
POSE = np.zeros((FRAMES, 3), np.float32)


def at_rest(faces: np.ndarray) -> np.ndarray:
    return mouth_shape.resting_mouth(mouth_shape.frontal(faces, POSE))


def test_the_resting_shape_shuts_a_talking_mouth() -> None:
    faces = talking(FRAMES)
    silent = np.zeros((FRAMES, len(mouth_shape.basis().decode)), np.float32)
    made = mouth_shape.wanted_landmarks(faces, POSE, at_rest(faces), silent)
    assert max(gap_of(face) for face in faces) > 0.08
    assert max(gap_of(face) for face in made) < 0.012


def test_what_speech_does_not_move_stays() -> None:
    faces = talking(FRAMES)
    shapes = np.random.default_rng(0).normal(0, 1, (FRAMES, len(mouth_shape.basis().decode)))
    made = mouth_shape.wanted_landmarks(faces, POSE, at_rest(faces), shapes.astype(np.float32))
    still = np.setdiff1d(np.arange(landmark_layout.COUNT), landmark_layout.MOVING)
    assert np.array_equal(made[:, still], faces[:, still])


def test_the_chin_moves_and_the_sides_of_the_jaw_stay_as_filmed() -> None:
    faces = talking(FRAMES)
    silent = np.zeros((FRAMES, len(mouth_shape.basis().decode)), np.float32)
    made = mouth_shape.wanted_landmarks(faces, POSE, at_rest(faces), silent)
    moved = np.abs(made - faces)[:, landmark_layout.JAW].max((0, 2))
    assert np.array_equal(
        made[:, landmark_layout.JAW[[0, 1, 2, -3, -2, -1]]],
        faces[:, landmark_layout.JAW[[0, 1, 2, -3, -2, -1]]],
    )
    assert moved[9] > 0.03
    assert (np.diff(moved[2:10]) > 0).all()


def test_lips_never_pass_through_each_other() -> None:
    faces = talking(FRAMES)
    shapes = np.random.default_rng(0).normal(0, 3, (FRAMES, len(mouth_shape.basis().decode)))
    rest = at_rest(faces)
    at_most = np.minimum(_gap(_whole(rest)[None]), 0)  # as they seem to when they meet
    made = mouth_shape.wanted_landmarks(faces, POSE, rest, shapes.astype(np.float32))
    assert (_gap(made) - at_most).min() > -1e-5


def test_what_a_face_keeps_shows_but_parts_no_lips_that_speech_shuts() -> None:
    faces, count = talking(FRAMES), len(mouth_shape.basis().decode)
    silent = np.zeros((FRAMES, count), np.float32)
    held = np.random.default_rng(0).normal(0, 1, count).astype(np.float32)
    kept = np.tile(mouth_shape.beside_gap(held), (FRAMES, 1))
    rest = at_rest(faces)
    made, plain = (
        mouth_shape.wanted_landmarks(faces, POSE, rest, silent, k) for k in (kept, 0 * kept)
    )
    corners = [landmark_layout.MOUTH_LEFT, landmark_layout.MOUTH_RIGHT]
    assert np.abs(made - plain)[:, corners].max() > 0.005
    assert np.allclose(_gap(made), _gap(plain), atol=1e-5)


def test_lips_that_seem_to_overlap_when_shut_are_shut_as_they_were_filmed() -> None:
    faces = talking(FRAMES)
    faces[:, LOWER, 1] -= 0.04
    silent = np.zeros((FRAMES, len(mouth_shape.basis().decode)), np.float32)
    made = mouth_shape.wanted_landmarks(faces, POSE, at_rest(faces), silent)
    middle = len(LOWER) // 2
    shut = float(_gap(faces)[:, middle].min())
    assert shut < -0.02
    assert np.abs(_gap(made)[:, middle] - shut).max() < 0.012


def _gap(faces: np.ndarray) -> np.ndarray:
    return np.asarray(faces[:, LOWER, 1] - faces[:, UPPER, 1])


def _whole(moving: np.ndarray) -> np.ndarray:
    face = np.zeros((landmark_layout.COUNT, 2), np.float32)
    face[landmark_layout.MOVING] = moving
    return face


def test_encoding_and_decoding_keep_the_opening() -> None:
    faces = talking(FRAMES)
    points = mouth_shape.frontal(faces, POSE)
    rest = at_rest(faces)
    back = rest + mouth_shape.decode(mouth_shape.encode(points - rest))
    assert np.corrcoef(mouth_shape.gap(back), mouth_shape.gap(points))[0, 1] > 0.98


@given(st.lists(st.booleans(), min_size=1, max_size=50), st.integers(1, 8))
def test_fades_are_zero_where_unusable_and_whole_far_from_there(
    usable: list[bool], frames: int
) -> None:
    mask = np.array(usable)
    alpha = mouth_shape.fade(mask, frames)
    assert (alpha[~mask] == 0).all()
    assert (alpha[mask] > 0).all()
    assert np.abs(np.diff(alpha)).max(initial=0) <= 1 / (frames + 1) + 1e-6


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_absent_rows_take_the_nearest_present_one(present: list[bool]) -> None:
    mask = np.array(present)
    values = np.arange(len(mask), dtype=np.float32)
    filled = mouth_shape.fill_absent(values, mask)
    if mask.any():
        assert (filled[mask] == values[mask]).all()
        for t in range(len(mask)):
            assert abs(filled[t] - t) == min(abs(k - t) for k in np.flatnonzero(mask))
    else:
        assert (filled == 0).all()


def test_a_mouth_that_is_partly_shown_has_the_filmed_shape() -> None:
    strength = np.linspace(0, 1, 11, dtype=np.float32)
    shaped, shown = mouth_shape.two_steps(strength)
    assert (shaped[shown < 1] == 0).all()
    assert (shaped[0], shown[0], shaped[-1], shown[-1]) == (0, 0, 1, 1)
    assert (np.diff(shaped) >= 0).all()
    assert (np.diff(shown) >= 0).all()
