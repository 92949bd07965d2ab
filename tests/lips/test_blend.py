"""Composition on native planes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dubkit.faces import align, landmark_layout
from dubkit.lips import blend, masks, mesh_warp
from tests.faces.faces import drawn, placed, with_gap

ANCHORS = mesh_warp.anchors()


def patch_of(
    picture: np.ndarray,
    current: np.ndarray,
    target: np.ndarray,
    matrix: align.Matrix,
    alpha: float = 1,
) -> blend.Patch:
    vertices = np.concatenate([current, ANCHORS])
    reference = blend.cut_reference([picture], [matrix], vertices)
    goal = np.concatenate([target, ANCHORS])
    made = mesh_warp.warp(goal, vertices, mesh_warp.triangle_map(goal, 192))
    mask = masks.soft_mask(current, target, 0.12)
    return patched(mask * alpha, current, target, (reference, made, 1.0))


def patched(
    mask: np.ndarray,
    current: np.ndarray,
    target: np.ndarray,
    *warps: tuple[blend.Reference, mesh_warp.Warp, float],
) -> blend.Patch:
    ring = masks.skin_ring(current, target, mask)
    return blend.Patch(mask, ring, warps, masks.mouth_mask(target))


def face_picture(
    scale: float, angle: float, x: float, y: float, size: int = 240
) -> tuple[np.ndarray, np.ndarray, align.Matrix]:
    face = placed(with_gap(0.02), scale, angle, x, y)
    picture = drawn(face, size, size)
    canonical_from_display = align.canonical_from_face(face)
    current = align.apply(canonical_from_display, face)
    return picture, current, align.invert(canonical_from_display)


@settings(deadline=None, max_examples=40)
@given(
    st.floats(15, 90),
    st.floats(-0.5, 0.5),
    st.floats(-40, 280),
    st.floats(-40, 280),
    st.floats(0, 1),
)
def test_nothing_changes_outside_the_mask_wherever_the_face_lies(
    scale: float, angle: float, x: float, y: float, alpha: float
) -> None:
    picture, current, matrix = face_picture(scale, angle, x, y)
    target = with_gap(0.3)
    patch = patch_of(picture, current, target, matrix, alpha)
    made = picture.copy()
    blend.compose_patch([made], [matrix], patch, 8)
    rows, columns = np.nonzero(made != picture)
    if len(rows):
        where = align.apply(align.invert(matrix), np.stack([columns, rows], 1).astype(float))
        grid = align.apply(mesh_warp.grid_from_canonical(128), where)
        low = np.clip(np.floor(grid).astype(int), 0, 127)
        high = np.clip(low + 1, 0, 127)
        mask = patch.mask
        near = np.stack([mask[a[:, 1], b[:, 0]] for a in (low, high) for b in (low, high)])
        assert (near.max(0) > 0).all()


def test_a_mask_of_zero_changes_no_sample() -> None:
    picture, current, matrix = face_picture(50, 0.1, 120, 90)
    made = picture.copy()
    blend.compose_patch([made], [matrix], patch_of(picture, current, with_gap(0.3), matrix, 0), 8)
    assert np.array_equal(made, picture)


def test_the_same_shape_gives_almost_the_same_picture() -> None:
    picture, current, matrix = face_picture(50, 0.1, 120, 90)
    made = picture.copy()
    blend.compose_patch([made], [matrix], patch_of(picture, current, current, matrix), 8)
    assert np.abs(made.astype(int) - picture).mean() < 0.2


def test_an_open_target_opens_the_mouth_in_the_picture() -> None:
    picture, current, matrix = face_picture(50, 0, 120, 80)
    wide = drawn(placed(with_gap(0.3), 50, 0, 120, 80), 240, 240)
    lender = align.canonical_from_face(placed(with_gap(0.3), 50, 0, 120, 80))
    opened = align.apply(lender, placed(with_gap(0.3), 50, 0, 120, 80))
    vertices = np.concatenate([opened, ANCHORS])
    reference = blend.cut_reference([wide], [align.invert(lender)], vertices)
    made_warp = mesh_warp.warp(vertices, vertices, mesh_warp.triangle_map(vertices, 192))
    mask = masks.soft_mask(current, opened, 0.12)
    patch = patched(mask, current, opened, (reference, made_warp, 1.0))
    made = picture.copy()
    blend.compose_patch([made], [matrix], patch, 8)
    inside = tuple(np.round(align.apply(matrix, np.array([0.0, 1.3]))).astype(int)[::-1])
    assert picture[inside] > 90
    assert made[inside] < 60


@pytest.mark.parametrize("depth", [10, 12])
def test_deep_samples_stay_in_range_and_keep_their_precision(depth: int) -> None:
    picture, current, matrix = face_picture(50, 0, 120, 80)
    deep = (picture.astype(np.uint16) << (depth - 8)).astype(np.uint16)
    made = deep.copy()
    blend.compose_patch([made], [matrix], patch_of(deep, current, with_gap(0.2), matrix), depth)
    assert made.dtype == np.uint16
    assert made.max() < 1 << depth
    assert (made != deep).any()


def test_light_that_changed_between_source_and_frame_is_matched() -> None:
    picture, current, matrix = face_picture(50, 0, 120, 80)
    brighter = np.clip(picture.astype(int) + 20, 0, 255).astype(np.uint8)
    vertices = np.concatenate([current, ANCHORS])
    reference = blend.cut_reference([picture], [matrix], vertices)
    made_warp = mesh_warp.warp(vertices, vertices, mesh_warp.triangle_map(vertices, 192))
    mask = masks.soft_mask(current, current, 0.12)
    patch = patched(mask, current, current, (reference, made_warp, 1.0))
    made = brighter.copy()
    blend.compose_patch([made], [matrix], patch, 8)
    assert np.abs(made.astype(int) - brighter).mean() < 1


def test_two_references_keep_the_texture_of_one() -> None:
    picture, current, matrix = face_picture(50, 0, 120, 80)
    vertices = np.concatenate([current, ANCHORS])
    made_warp = mesh_warp.warp(vertices, vertices, mesh_warp.triangle_map(vertices, 192))
    rng = np.random.default_rng(1)
    other = np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)
    noisy = np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)
    lenders = [blend.cut_reference([p], [matrix], vertices) for p in (noisy, other)]
    mask = masks.soft_mask(current, current, 0.12)

    def roughness(weights: tuple[float, float]) -> float:
        made = picture.copy()
        warps = [(r, made_warp, w) for r, w in zip(lenders, weights, strict=True) if w]
        patch = patched(mask, current, current, *warps)
        blend.compose_patch([made], [matrix], patch, 8)
        x, y = np.round(align.apply(matrix, np.array([0.0, 1.55]))).astype(int)
        return float(np.diff(made[y - 6 : y + 6, x - 12 : x + 12].astype(float)).std())

    assert roughness((0.5, 0.5)) > 0.95 * roughness((1.0, 0.0))


def test_detail_that_mixing_smoothed_is_given_back_and_never_more_than_there_was() -> None:
    rng = np.random.default_rng(2)
    parts = [cv2.GaussianBlur(rng.normal(128, 60, (96, 96)), (0, 0), 2) for _ in range(2)]
    lent = [(part.astype(np.float32), 0.5) for part in parts]
    mixed = np.asarray(sum(part * weight for part, weight in lent))

    def slope(picture: np.ndarray) -> float:
        return float((np.diff(picture[16:-16, 16:-16], axis=1) ** 2).mean())

    made, real = (
        blend._with_detail(mixed, lent, 2.0, blend._MIXED),
        np.mean([slope(p) for p, _ in lent]),
    )
    assert slope(mixed) < 0.6 * real
    assert 1.3 * slope(mixed) < slope(made) < real
    alone = blend._with_detail(lent[0][0], [(lent[0][0], 1.0)], 2.0, blend._MIXED)
    assert slope(alone) == pytest.approx(slope(lent[0][0]), rel=0.05)


def test_planes_that_lie_alike_come_out_as_each_would_alone() -> None:
    rng = np.random.default_rng(3)
    picture, current, matrix = face_picture(50, 0.1, 120, 80)
    planes = [np.clip(picture + rng.normal(0, 9, picture.shape), 0, 255).astype(np.uint8)] * 3
    planes = [np.roll(p, k, 0) for k, p in enumerate(planes)]
    vertices = np.concatenate([current, ANCHORS])
    made_warp = mesh_warp.warp(vertices, vertices, mesh_warp.triangle_map(vertices, 192))
    lender = blend.cut_reference(planes, [matrix] * 3, vertices)
    mask = masks.soft_mask(current, current, 0.12)
    patch = patched(mask, current, current, (lender, made_warp, 1.0))
    together = [p.copy() for p in planes]
    blend.compose_patch(together, [matrix] * 3, patch, 8)
    # a matrix that differs by nothing that shows keeps the planes apart
    apart = [p.copy() for p in planes]
    ways = [matrix, matrix + np.array([[0, 0, 1e-9], [0, 0, 0]]), matrix]
    blend.compose_patch(apart, ways, patch, 8)
    for one, other in zip(together, apart, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_teeth_leave_no_white_thread_between_shut_lips() -> None:
    smiling = placed(with_gap(0.2), 50, 0, 120, 80)
    picture = drawn(smiling, 240, 240)
    cv2.fillPoly(picture, [np.round(smiling[landmark_layout.LIPS_INNER]).astype(np.int32)], 250)
    canonical = align.canonical_from_face(smiling)
    current, matrix = align.apply(canonical, smiling), align.invert(canonical)
    shut = with_gap(0.0)
    made = picture.copy()
    blend.compose_patch([made], [matrix], patch_of(picture, current, shut, matrix), 8)
    x, y = np.round(align.apply(matrix, shut[landmark_layout.INNER_TOP])).astype(int)
    assert picture[y - 4 : y + 12, x - 8 : x + 9].max() > 230
    assert made[y - 6 : y + 7, x - 8 : x + 9].max() < 190


def test_inside_the_lips_one_reference_is_shown_and_skin_is_mixed() -> None:
    opened = with_gap(0.3)
    face = placed(opened, 50, 0, 120, 80)
    canonical = align.canonical_from_face(face)
    current, matrix = align.apply(canonical, face), align.invert(canonical)
    first = np.full((240, 240), 100, np.uint8)
    second = first.copy()
    cv2.fillPoly(second, [np.round(face[landmark_layout.LIPS_INNER]).astype(np.int32)], 250)
    vertices = np.concatenate([current, ANCHORS])
    made_warp = mesh_warp.warp(vertices, vertices, mesh_warp.triangle_map(vertices, 192))
    mask = masks.soft_mask(current, current, 0.12)
    lenders = [blend.cut_reference([p], [matrix], vertices) for p in (first, second)]
    lent = [(r, made_warp, 0.5) for r in lenders]
    made = first.copy()
    blend.compose_patch([made], [matrix], patched(mask, current, current, *lent), 8)
    inside = cv2.fillPoly(
        np.zeros_like(first), [np.round(face[landmark_layout.LIPS_INNER]).astype(np.int32)], 1
    )
    assert np.abs(made[inside > 0].astype(int) - 100).max() <= 2
    made = first.copy()
    blend.compose_patch([made], [matrix], patched(mask, current, current, *lent[::-1]), 8)
    assert np.median(made[inside > 0]) >= 245


def test_a_mouth_may_come_from_a_reference_that_lends_no_skin() -> None:
    picture, current, matrix = face_picture(50, 0, 120, 80)
    vertices = np.concatenate([current, ANCHORS])
    made_warp = mesh_warp.warp(vertices, vertices, mesh_warp.triangle_map(vertices, 192))
    lips = np.round(align.apply(matrix, current[landmark_layout.LIPS_OUTER])).astype(np.int32)
    mark = np.round(align.apply(matrix, np.array([0.0, 1.55]))).astype(int)
    mouth, skin = picture.copy(), picture.copy()
    cv2.fillPoly(mouth, [lips], 30)
    cv2.circle(mouth, tuple(mark.tolist()), 3, 0, -1)  # a mole that the skin does not have
    lenders = [blend.cut_reference([p], [matrix], vertices) for p in (mouth, skin)]
    lent = [(r, made_warp, w) for r, w in zip(lenders, (0.0, 1.0), strict=True)]
    mask = masks.soft_mask(current, current, 0.12)
    made = picture.copy()
    blend.compose_patch([made], [matrix], patched(mask, current, current, *lent), 8)
    x, y = np.round(lips.mean(0)).astype(int)
    assert abs(int(made[y, x]) - 30) < 8
    near = np.s_[mark[1] - 4 : mark[1] + 5, mark[0] - 4 : mark[0] + 5]
    assert np.abs(made[near].astype(int) - picture[near]).max() < 8


def test_the_row_where_teeth_part_is_the_dark_one() -> None:
    face = placed(with_gap(0.3), 50, 0, 120, 80)
    canonical = align.canonical_from_face(face)
    current, matrix = align.apply(canonical, face), align.invert(canonical)
    picture = np.full((240, 240), 220, np.uint8)
    top, bottom = (face[k, 1] for k in (landmark_layout.INNER_TOP, landmark_layout.INNER_BOTTOM))
    dark = round(float(top + 0.45 * (bottom - top)))
    picture[dark - 1 : dark + 2] = 20
    lender = blend.cut_reference([picture], [matrix], np.concatenate([current, ANCHORS]))
    place, light = blend.teeth_part(lender)
    assert place[2] == pytest.approx(0.45, abs=0.06)
    assert light.max() < 0.4
    picture[dark - 1 : dark + 2] = 200  # rows that meet
    lender = blend.cut_reference([picture], [matrix], np.concatenate([current, ANCHORS]))
    assert blend.teeth_part(lender)[1].min() > 0.8
    shut = align.apply(canonical, placed(with_gap(0.0), 50, 0, 120, 80))
    closed = blend.cut_reference([picture], [matrix], np.concatenate([shut, ANCHORS]))
    assert np.array_equal(blend.teeth_part(closed), mesh_warp.SPLIT)


def test_a_background_of_another_color_leaves_no_stain_on_skin() -> None:
    picture, current, matrix = face_picture(50, 0, 120, 80)
    luma, blue = picture, np.full_like(picture, 120)
    vertices = np.concatenate([current, ANCHORS])
    made_warp = mesh_warp.warp(vertices, vertices, mesh_warp.triangle_map(vertices, 192))
    lender = blend.cut_reference([luma, blue, blue], [matrix] * 3, vertices)
    mask = masks.soft_mask(current, current, 0.12)
    face = align.apply(matrix, current[landmark_layout.OVAL])
    skin = cv2.fillPoly(np.zeros_like(luma), [np.round(face).astype(np.int32)], 1) > 0
    filmed = np.where(skin, blue, 200).astype(np.uint8)  # what is behind the face became green
    # and the landmarks are a little off: the seam lies on the background
    aside = current + np.array([0.12, 0], np.float32)
    planes = [luma.copy(), filmed.copy(), filmed.copy()]
    patch = patched(mask, aside, aside, (lender, made_warp, 1.0))
    blend.compose_patch(planes, [matrix] * 3, patch, 8)
    inner = cv2.erode(skin.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert np.abs(planes[1][inner].astype(int) - 120).max() <= 4


def test_dark_hair_beside_a_chin_leaves_no_stain_on_skin() -> None:
    picture, current, matrix = face_picture(50, 0, 120, 80)
    vertices = np.concatenate([current, ANCHORS])
    made_warp = mesh_warp.warp(vertices, vertices, mesh_warp.triangle_map(vertices, 192))
    lender = blend.cut_reference([picture], [matrix], vertices)
    mask = masks.soft_mask(current, current, 0.12)
    face = align.apply(matrix, current[landmark_layout.OVAL])
    skin = cv2.fillPoly(np.zeros_like(picture), [np.round(face).astype(np.int32)], 1) > 0
    filmed = np.where(skin, picture, picture // 4).astype(np.uint8)
    aside = current + np.array([0.12, 0], np.float32)
    made = []
    for below in (picture, filmed):
        planes = [below.copy()]
        patch = patched(mask, aside, aside, (lender, made_warp, 1.0))
        blend.compose_patch(planes, [matrix], patch, 8)
        made.append(planes[0].astype(int))
    inner = cv2.erode(skin.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    off = np.abs(made[0] - made[1])[inner]
    assert off.max() <= 1


def test_detail_is_softened_and_amplified_in_the_mouth_alone() -> None:
    picture, current, matrix = face_picture(50, 0, 120, 80)
    rng = np.random.default_rng(5)
    noisy = np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)
    lips = align.apply(matrix, current[landmark_layout.LIPS])
    where = masks.mouth_mask(current)
    energies = []
    for gain in (0.7, 1.0, 1.1):
        made = noisy.copy()
        blend.crispen(made, matrix, where, gain, 8)
        energies.append(blend.sharpness(made, lips))
        assert np.array_equal(made[:60], noisy[:60])
        assert np.array_equal(made, noisy) == (gain == 1.0)
    assert energies == sorted(energies)
    assert energies[1] - energies[0] > 0.2
    assert np.isnan(blend.sharpness(noisy, lips - 900))
