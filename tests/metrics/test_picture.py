from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from dubkit.config.schema import PrepareSettings
from dubkit.faces import align, landmark_layout
from dubkit.metrics import picture
from dubkit.records import Picture
from tests.portrait import ASSETS

RANDOM = np.random.default_rng(0)
REAL = RANDOM.uniform(0, 1, (120, 100)).astype(np.float32)


def face() -> np.ndarray:
    mean = align.mean_face()
    low, high = mean.min(0), mean.max(0)
    return np.asarray((mean - low) / (high - low) * [60, 80] + [20, 20], np.float32)


def test_a_picture_is_like_itself_and_less_like_a_changed_one() -> None:
    assert picture.ssim(REAL, REAL) == pytest.approx(1.0)
    near, far = REAL + 0.01, np.clip(REAL + RANDOM.normal(0, 0.3, REAL.shape), 0, 1)
    assert 1 > picture.ssim(near, REAL) > 0.95 > picture.ssim(far.astype(np.float32), REAL)


def test_ssim_is_the_published_formula() -> None:
    a, b = (RANDOM.uniform(0, 1, (24, 20)).astype(np.float32) for _ in range(2))
    assert picture.ssim(a, b) == pytest.approx(float(_ssim_map(a, b).mean()), abs=1e-6)


def _ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """By loops, with the border mirrored as OpenCV does."""
    kernel = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = np.outer(kernel, kernel) / kernel.sum() ** 2
    pa, pb = np.pad(a, 5, "reflect"), np.pad(b, 5, "reflect")
    found = np.empty(a.shape)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            x, y = pa[i : i + 11, j : j + 11], pb[i : i + 11, j : j + 11]
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * x * x).sum() - mx**2, (window * y * y).sum() - my**2
            both = (window * x * y).sum() - mx * my
            top = (2 * mx * my + 1e-4) * (2 * both + 9e-4)
            found[i, j] = top / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    return found


def test_psnr_knows_its_formula_and_its_end() -> None:
    assert picture.psnr(picture.squared_error(REAL, REAL)) == 100
    assert picture.psnr(0.01) == pytest.approx(20)


def test_a_face_like_itself_has_nothing_to_say_but_that() -> None:
    sums = picture.PictureSums()
    assert sums.measures() == {}
    sums.add(REAL, REAL, face())
    assert sums.measures() == {"ssim": pytest.approx(1), "psnr_face": 100}


def test_pictures_of_whole_numbers_are_measured_as_they_are_stored() -> None:
    other = np.clip(REAL + 0.02 * np.sin(np.arange(REAL.shape[1])), 0, 1)
    found = []
    for white, kind in ((1023, np.uint16), (1, np.float32)):
        a, b = (np.rint(1023 * p) / (1023 / white) for p in (REAL, other))
        a, b, sums = a.astype(kind), b.astype(kind), picture.PictureSums()
        sums.add(a, b, face(), white)
        found.append({"all": picture.squared_error(a, b, white), **sums.measures()})
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0]["all"] == pytest.approx(((REAL - other) ** 2).mean(), rel=0.01)


def test_what_a_dub_may_change_is_grown_to_all_sides_alike() -> None:
    points, reach = face(), 0.2
    width = float(np.ptp(points[landmark_layout.OVAL, 0]))
    side = 2 * round(reach * width) + 1
    bare = picture.lower_face(points, REAL.shape, 0.0)  # grown by a pixel
    grown = cv2.dilate(bare.astype(np.uint8), np.ones((side - 2, side - 2), np.uint8)) > 0
    assert (picture.lower_face(points, REAL.shape, reach) == grown).all()


def test_a_blurred_mouth_is_seen() -> None:
    points, sums = face(), picture.SharpSums()
    mouth = picture.box(points[landmark_layout.LIPS], REAL.shape, 0.25, least=6)
    assert mouth is not None
    sharp = np.rint(255 * REAL).astype(np.uint8)
    soft = sharp.copy()
    soft[mouth] = round(float(soft[mouth].mean()))
    sums.add(sharp, soft, points, np.eye(2, 3))
    assert sums.measures()["sharpness"] < 0.1


def test_every_eighth_frame_that_is_blurred_is_seen_and_another_mouth_is_not() -> None:
    points = face()
    mouth = picture.box(points[landmark_layout.LIPS], REAL.shape, 0.25, least=6)
    assert mouth is not None
    sharp = np.rint(255 * REAL).astype(np.uint8)
    soft, other = sharp.copy(), sharp.copy()
    soft[mouth] = cv2.GaussianBlur(sharp[mouth], (0, 0), 3.0)
    other[mouth] = 64 + sharp[mouth] // 2
    found = []
    for made in (soft, other):
        sums = picture.SharpSums()
        for number in range(16):
            sums.add(sharp, sharp if number % 8 else made, points, np.eye(2, 3))
        found.append(sums.measures()["frame_sharpness"])
    assert found[0] < 0.8 < 0.95 < found[1]


def test_a_frame_is_not_blurred_where_the_film_is_sharp_for_a_moment_or_blurred_itself() -> None:
    points = face()
    mouth = picture.box(points[landmark_layout.LIPS], REAL.shape, 0.25, least=6)
    assert mouth is not None
    sharp = np.rint(255 * REAL).astype(np.uint8)
    soft = sharp.copy()
    soft[mouth] = cv2.GaussianBlur(sharp[mouth], (0, 0), 3.0)
    often = [number % 4 == 0 for number in range(16)]
    for filmed, made in (
        ([sharp if at else soft for at in often], [soft] * 16),
        ([soft if at else sharp for at in often], [soft if at else sharp for at in often]),
        ([sharp] * 16, [sharp] * 8 + [soft] * 8),
    ):
        sums = picture.SharpSums()
        for source, dubbed in zip(filmed, made, strict=True):
            sums.add(source, dubbed, points, np.eye(2, 3))
        assert sums.measures()["frame_sharpness"] > 0.99


def test_what_a_dub_may_change_holds_the_mouth_and_not_the_eyes() -> None:
    points = face()
    mask = picture.lower_face(points, REAL.shape, 0.0)
    x, y = np.round(points[landmark_layout.LIPS].mean(0)).astype(int)
    assert mask[y, x]
    for ring in (landmark_layout.EYE_LEFT, landmark_layout.EYE_RIGHT):
        x, y = np.round(points[ring].mean(0)).astype(int)
        assert not mask[y, x]


def portrait() -> Picture:
    encoded = np.frombuffer((ASSETS / "portrait.jpg").read_bytes(), np.uint8)
    still: Any = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    return np.asarray(cv2.resize(still[60:220, 150:310], (192, 192)), np.uint8)


def blurred(face: Picture, sigma: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(face, (0, 0), sigma), np.uint8)


def test_a_focused_face_is_sharp_and_a_smeared_one_is_not() -> None:
    sharp = portrait()
    found = [picture.focus(sharp, 1.0)]
    found += [picture.focus(blurred(sharp, s), 1.0) for s in (1.0, 2.0, 4.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > PrepareSettings().min_focus > found[2]


def test_an_enlarged_face_is_judged_at_the_size_it_was_filmed() -> None:
    small = cv2.resize(portrait(), (96, 96), interpolation=cv2.INTER_AREA)
    enlarged = np.asarray(cv2.resize(small, (192, 192), interpolation=cv2.INTER_CUBIC), np.uint8)
    assert picture.focus(enlarged, 0.5) > 1.5 * picture.focus(enlarged, 1.0)
