"""The mesh without folds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings, strategies as st

from dubkit.faces import align, landmark_layout
from dubkit.lips import mesh_warp
from dubkit.records import Floats
from tests.faces.faces import with_gap

FREE = np.concatenate(
    [landmark_layout.JAW, landmark_layout.CHEEKS, landmark_layout.CHIN, landmark_layout.NOSTRILS]
)


def turned(face: Floats, degrees: float) -> Floats:
    """A face whose head is turned: its middle is nearer to the camera than its edge."""
    middle = (
        align.mean_face()[landmark_layout.OVAL, 0].min()
        + align.mean_face()[landmark_layout.OVAL, 0].max()
    ) / 2
    across = face[:, 0] - middle
    reach = np.abs(face[landmark_layout.OVAL, 0] - middle).max()
    depth = 1.2 * np.sqrt(np.clip(1 - (across / reach) ** 2, 0, None))
    angle = np.radians(degrees)
    made: Floats = face.copy()
    made[:, 0] = middle + across * np.cos(angle) + depth * np.sin(angle)
    return made


def folded(vertices: Floats) -> int:
    """Triangles of the movable part that lie the wrong way round."""
    triangles, _, _ = mesh_warp._rest()
    return int((mesh_warp._areas(vertices[triangles].astype(np.float64)) <= 0).sum())


def with_anchors(face: Floats) -> Floats:
    return np.concatenate([face, mesh_warp.anchors()])


def test_a_face_without_folds_keeps_every_point() -> None:
    for degrees in (-6, 0, 6):
        face = turned(align.mean_face(), degrees)
        assert np.array_equal(mesh_warp.vertices(face), with_anchors(face))


@settings(max_examples=40, deadline=None)
@given(degrees=st.floats(-34, 34), opening=st.floats(0, 0.4))
def test_a_turned_head_has_no_fold_and_keeps_its_lips(degrees: float, opening: float) -> None:
    face = turned(with_gap(opening), degrees)
    made = mesh_warp.vertices(face)
    assert folded(made) == 0
    still = np.setdiff1d(np.arange(len(made)), FREE)
    assert np.array_equal(made[still], with_anchors(face)[still])


def test_a_turned_head_would_fold() -> None:
    assert folded(with_anchors(turned(with_gap(0.1), 33))) > 0


def test_correction_does_not_jump_while_a_head_turns() -> None:
    faces = [turned(with_gap(0.1), d) for d in np.arange(0, 32, 0.25)]
    made = np.stack([mesh_warp.vertices(face) for face in faces])
    step = np.linalg.norm(np.diff(made, axis=0), axis=-1).max()
    plain = np.linalg.norm(np.diff(np.stack(faces), axis=0), axis=-1).max()
    assert step < 4 * plain
