"""The landmark mesh and its warp."""

from __future__ import annotations

import numpy as np
import pytest

from dubkit.faces import align, landmark_layout
from dubkit.lips import mesh_warp
from tests.faces.faces import LOWER, UPPER, with_gap

SIZE = 256


def vertices(face: np.ndarray) -> np.ndarray:
    return np.concatenate([face, mesh_warp.anchors()])


def sample(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    grid = np.round(align.apply(mesh_warp.grid_from_canonical(SIZE), points)).astype(int)
    return np.asarray(field[grid[:, 1], grid[:, 0]])


def test_the_mesh_never_bridges_the_lips() -> None:
    mesh = mesh_warp.mesh()
    lower = set(LOWER.tolist()) | set(landmark_layout.LIPS_OUTER[1:10].tolist())
    upper = set(UPPER.tolist()) | set(landmark_layout.LIPS_OUTER[11:].tolist())
    for triangle, inner in zip(mesh.triangles, mesh.inner, strict=True):
        corners = set(triangle.tolist())
        if corners & lower and corners & upper and not inner:
            # only at the mouth's corners may the two lips share a triangle
            xs = vertices(align.mean_face())[triangle, 0]
            assert np.abs(xs).min() > 0.25
    assert mesh.inner.sum() >= 14


def test_a_face_onto_itself_does_not_move() -> None:
    face = vertices(with_gap(0.1))
    made = mesh_warp.warp(face, face, mesh_warp.triangle_map(face, SIZE))
    assert np.abs(made.displacement).max() < 1e-4
    assert np.abs(made.shade - 1).max() < 1e-4


def test_every_lip_point_finds_its_own_point_in_the_source() -> None:
    target, source = vertices(with_gap(0.05)), vertices(with_gap(0.25))
    made = mesh_warp.warp(target, source, mesh_warp.triangle_map(target, SIZE))
    outer = landmark_layout.LIPS_OUTER[[1, 3, 5, 7, 9, 12, 15, 18]]
    found = target[outer] + sample(made.displacement, target[outer])
    assert np.abs(found - source[outer]).max() < 0.02


def test_closed_lips_take_nothing_from_the_inside_of_an_open_mouth() -> None:
    target, source = vertices(with_gap(0.0)), vertices(with_gap(0.3))
    ids = mesh_warp.triangle_map(target, SIZE)
    inner = mesh_warp.mesh().inner
    shown = np.zeros((SIZE, SIZE), bool)
    shown[ids >= 0] = inner[ids[ids >= 0]]
    assert shown.sum() < 40  # a hairline at most
    made = mesh_warp.warp(target, source, ids)
    below = target[landmark_layout.LIPS_OUTER[5]] * 0.5 + target[landmark_layout.INNER_BOTTOM] * 0.5
    found = below + sample(made.displacement, below[None])[0]
    assert found[1] > source[landmark_layout.INNER_BOTTOM, 1]


def test_teeth_keep_their_size_when_the_mouth_opens_wider_than_the_source() -> None:
    target, source = vertices(with_gap(0.4)), vertices(with_gap(0.2))
    made = mesh_warp.warp(target, source, mesh_warp.triangle_map(target, SIZE))
    top = target[landmark_layout.INNER_TOP]
    steps = np.array([0.02, 0.06, 0.1])
    found = top + (0, 1) * steps[:, None]
    found = found + sample(made.displacement, found)
    assert np.allclose(np.diff(found[:, 1]), np.diff(steps), atol=0.012)


@pytest.mark.parametrize("opening", [0.22, 0.28, 0.4])
def test_a_mouth_wider_than_its_source_draws_no_row_of_it_out_to_a_streak(opening: float) -> None:
    target, source = vertices(with_gap(opening)), vertices(with_gap(0.2))
    ids = mesh_warp.triangle_map(target, SIZE)
    made = mesh_warp.warp(target, source, ids)
    column = SIZE // 2
    rows = np.flatnonzero(np.append(mesh_warp.mesh().inner, False)[ids[:, column]])
    down = mesh_warp.grid_points(SIZE)[rows, column, 1]
    steps = np.diff(down + made.displacement[rows, column, 1]) / np.diff(down)
    assert len(rows) > 15
    assert steps.min() > 0.15
    assert steps.max() < 1.2


def test_what_the_source_never_showed_is_darkened() -> None:
    target, source = vertices(with_gap(0.4)), vertices(with_gap(0.05))
    made = mesh_warp.warp(target, source, mesh_warp.triangle_map(target, SIZE))
    middle = (target[landmark_layout.INNER_TOP] + target[landmark_layout.INNER_BOTTOM]) / 2
    assert sample(made.shade, middle[None])[0] < 0.9
    assert sample(made.shade, target[landmark_layout.LIPS_OUTER[5]][None])[0] == 1


def test_teeth_that_meet_in_the_source_part_over_the_dark_and_are_not_drawn_out() -> None:
    target, source = vertices(with_gap(0.28)), vertices(with_gap(0.15))
    ids = mesh_warp.triangle_map(target, SIZE)
    meeting = mesh_warp.SPLIT.copy()
    meeting[1] = 1.2
    column = SIZE // 2
    rows = np.flatnonzero(np.append(mesh_warp.mesh().inner, False)[ids[:, column]])
    down = mesh_warp.grid_points(SIZE)[rows, column, 1]
    light = {}
    for name, split in (("meeting", meeting), ("parted", mesh_warp.SPLIT)):
        made = mesh_warp.warp(target, source, ids, split)
        steps = np.gradient(down + made.displacement[rows, column, 1], down)
        drawn, shade = steps < 0.28, made.shade[rows, column]
        assert drawn.sum() > 7
        light[name] = shade[drawn]
        assert shade[:2].min() == shade[-2:].min() == 1  # rows of teeth are as light as filmed
    assert np.median(light["meeting"]) < 0.2
    assert (light["meeting"] < 0.5).mean() > 0.8
    assert np.median(light["parted"]) > 0.6


def test_lips_that_shut_over_an_open_source_are_told_and_others_not() -> None:
    target, source = vertices(with_gap(0.0)), vertices(with_gap(0.2))
    ids = mesh_warp.triangle_map(target, SIZE)
    middle = ((target[landmark_layout.INNER_TOP] + target[landmark_layout.INNER_BOTTOM]) / 2)[None]
    assert sample(mesh_warp.warp(target, source, ids).closing, middle)[0] > 0.8
    assert not mesh_warp.warp(target, target, ids).closing.any()
