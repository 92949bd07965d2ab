"""What the image net sees of a face."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dubkit.faces import align, landmark_layout
from dubkit.lips import blend, masks, mesh_warp, refiner
from tests.faces.faces import drawn, placed, with_gap

ANCHORS = mesh_warp.anchors()


def outline_of(current: np.ndarray, target: np.ndarray) -> refiner.Outline:
    mask = masks.whole_mask(current, target, 0.12)
    return refiner.outline(current, target, mask, masks.skin_ring(current, target, mask))


def reference(scale: float, size: int) -> blend.Reference:
    face = placed(with_gap(0.1), scale, 0.05, size / 2, size / 3)
    matrix = align.invert(align.canonical_from_face(face))
    vertices = np.concatenate([align.apply(align.invert(matrix), face), ANCHORS])
    return blend.cut_reference([drawn(face, size, size)], [matrix], vertices)


@pytest.mark.parametrize("opening", [0.0, 0.2, 0.4])
def test_the_whole_jaw_is_hidden_as_filmed_and_as_wanted(opening: float) -> None:
    current, target = with_gap(opening), with_gap(0.4 - opening)
    visible = outline_of(current, target).visible
    for face in (current, target):
        points = np.concatenate(
            [
                face[landmark_layout.LIPS],
                face[landmark_layout.CHIN],
                face[landmark_layout.JAW[4:-4]],
            ]
        )
        columns, rows = np.round(align.apply(refiner.view_from_canonical(), points)).astype(int).T
        assert (visible[rows, columns] == 0).all()
    eyes = align.apply(
        refiner.view_from_canonical(), align.mean_face()[landmark_layout.NOSE_BRIDGE]
    )
    rows = np.clip(np.round(eyes[:, 1]).astype(int), 0, refiner.SIZE - 1)
    assert (visible[rows, refiner.SIZE // 2] == 1).all()


def test_a_map_goes_to_the_view_and_back() -> None:
    noise = np.random.default_rng(0).random((128, 128))
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), 8), np.float32)
    back = refiner.to_warp_grid(refiner.from_warp_grid(smooth), 128, outside=-1.0)
    inside = (slice(2, 104), slice(13, 115))
    assert np.abs(back - smooth)[inside].max() < 0.01
    assert (back[110:] == -1).all()


@pytest.mark.parametrize("depth", [8, 10, 16])
def test_a_change_of_picture_comes_back_as_the_change_of_planes(depth: int) -> None:
    coding = refiner.Coding(depth, 0.0)
    rng = np.random.default_rng(0)
    top = (1 << depth) - 1
    before, after = (
        [rng.uniform(0, top, (8, 8)).astype(np.float32) for _ in range(3)] for _ in range(2)
    )
    change = coding.planes(coding.picture(after) - coding.picture(before), 3)
    for plane, a, b in zip(change, after, before, strict=True):
        np.testing.assert_allclose(plane, a - b, atol=1e-3 * top)


def test_a_gray_picture_has_no_color() -> None:
    picture = refiner.Coding(8, 0.0).picture([np.full((4, 4), 255, np.float32)])
    assert picture.shape == (4, 4, 3)
    assert np.array_equal(picture[0, 0], np.array([0.5, 0, 0], np.float32))


def test_a_close_up_and_a_small_face_look_alike_on_the_view() -> None:
    coding = refiner.Coding(8, 0.0)
    large, small = (
        refiner.as_filmed(refiner.shrink(reference(scale, size)), coding)
        for scale, size in ((240, 960), (60, 240))
    )
    assert np.abs(large - small)[10:-10, 10:-10, 0].mean() < 0.03


def test_shrinking_moves_nothing() -> None:
    whole = reference(200, 800)
    small = refiner.shrink(whole)
    assert small.planes[0].size < whole.planes[0].size / 4
    center = np.array([[0.1, 1.2]])
    for ref in (whole, small):
        x, y = align.apply(ref.plane_from_canonical[0], center)[0]
        assert 0 < x < ref.planes[0].shape[1]
        assert 0 < y < ref.planes[0].shape[0]
    coding = refiner.Coding(8, 0.0)
    blurred = blend.Reference(
        whole.vertices,
        (np.asarray(cv2.GaussianBlur(whole.planes[0], (0, 0), 1.5), np.uint8),),
        whole.plane_from_canonical,
    )
    gap = refiner.as_filmed(small, coding) - refiner.as_filmed(blurred, coding)
    assert np.abs(gap[10:-10, 10:-10]).mean() < 0.01
