"""Faces of other shots: never another person's, and only frames that bring a mouth nearer."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dubkit.config.schema import FaceSettings, LinkSettings
from dubkit.faces import align, appearance
from dubkit.faces.align import mean_face
from dubkit.faces.embedded import EmbeddedLandmarker
from dubkit.lips import references
from tests.faces.faces import talking

LEAST = LinkSettings().likeness


def pool(mouths: NDArray[np.float32], goal: NDArray[np.float32]) -> appearance.Pool:
    """An own pool of made-up features."""
    count = len(mouths)
    faces = np.repeat(mean_face()[None], count, 0)
    return appearance.Pool(np.arange(count), [np.eye(2, 3)] * count, faces, mouths, goal)


def picture(seed: int) -> NDArray[np.uint8]:
    rough = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), np.uint8)
    return np.asarray(cv2.resize(rough, (appearance.SIDE, appearance.SIDE)), np.uint8)


def test_light_and_color_change_no_likeness_and_another_picture_has_none() -> None:
    one = picture(1)
    dark = (one.astype(np.float32) * 0.5 + 20).astype(np.uint8)
    look = appearance.descriptor(one)
    assert np.linalg.norm(look) == pytest.approx(1, abs=1e-5)
    assert look @ appearance.descriptor(dark) > 0.98
    assert look @ appearance.descriptor(picture(2)) < 0.5
    assert (
        appearance.likeness(look[None], np.stack([appearance.descriptor(picture(2)), look])) > 0.999
    )


def test_nothing_that_speech_moves_is_looked_at() -> None:
    low = align.apply(appearance.square_from_canonical(), talking(12).reshape(-1, 2))
    lips = low.reshape(12, -1, 2)[:, np.argsort(mean_face()[:, 1])[-60:]]
    assert lips[..., 1].min() > appearance.HEIGHT


def test_a_flat_picture_is_like_nothing() -> None:
    flat = np.full((appearance.SIDE, appearance.SIDE, 3), 90, np.uint8)
    assert appearance.descriptor(flat) @ appearance.descriptor(picture(1)) == pytest.approx(0)


def test_lenders_are_the_likest_and_links_are_direct() -> None:
    a, c = np.eye(3, dtype=np.float32)[:2]
    between = (a + c) / np.sqrt(2)
    looks = [a[None], between[None], c[None]]
    assert appearance.linked(looks, 0.7, 8) == [[1], [0, 2], [1]]
    assert appearance.linked(looks, 0.7, 1) == [[1], [0], [1]]
    assert appearance.linked(looks, 0.9, 8) == [[], [], []]


def test_without_a_lender_nothing_changes() -> None:
    own = pool(np.zeros((3, 4), np.float32), np.ones((3, 4), np.float32))
    assert appearance.join(own, np.arange(3.0), None) is own
    bank = np.array([0, 2])
    assert appearance.enlarge(bank, own) is bank


def test_only_lent_frames_that_come_nearer_are_taken_and_own_ones_are_preferred() -> None:
    goal = np.zeros((10, 2), np.float32)
    goal[5:, 0] = 1.0  # a mouth that the shot itself never shows
    mouths = np.array([[0.0, 0], [0.02, 0], [1.0, 0], [1.01, 0]], np.float32)
    marks = np.array([[0.0], [0], [appearance.FOREIGN], [appearance.FOREIGN]], np.float32)
    marked = np.concatenate([mouths, marks], 1)
    wanted = np.concatenate([goal, np.zeros((10, 1), np.float32)], 1)
    faces = np.repeat(mean_face()[None], 4, 0)
    joined = appearance.Pool(np.arange(4), [np.eye(2, 3)] * 4, faces, marked, wanted[:2])
    assert appearance.enlarge(np.array([0, 1]), joined).tolist() == [0, 1], "nothing is missing"
    joined = appearance.Pool(np.arange(4), [np.eye(2, 3)] * 4, faces, marked, wanted[[0, 9]])
    assert appearance.enlarge(np.array([0, 1]), joined).tolist() == [0, 1, 2]


def test_lent_rows_come_after_the_own_ones_at_their_frames() -> None:
    own = pool(
        np.zeros((2, title_features()), np.float32), np.zeros((2, title_features()), np.float32)
    )
    landmarks = np.asarray(50 * mean_face() + 100, np.float32)
    lender = appearance.Lender(
        np.array([70, 80]), np.stack([landmarks] * 2), np.zeros((2, 3), np.float32)
    )
    joined = appearance.join(own, np.arange(2.0), lender)
    assert joined.frames.tolist() == [0, 1, 70, 80]
    np.testing.assert_allclose(joined.current[2], mean_face(), atol=0.02)
    assert joined.features[:, -1].tolist() == pytest.approx(
        [0, 0, appearance.FOREIGN, appearance.FOREIGN]
    )


def title_features() -> int:
    """How many features a mouth and a pose have."""
    mouth = references.mouth_features(mean_face()[None])
    pose = references.pose_features(np.zeros((1, 3), np.float32), np.zeros(1))
    return int(mouth.shape[1] + pose.shape[1])


def looks_of(data: Path, names: list[str]) -> NDArray[np.float32]:
    """Descriptors of portraits in which a face is surely seen; the portraits are cropped to the head."""
    landmarker = EmbeddedLandmarker(FaceSettings())
    looks = []
    for name in names:
        encoded = np.frombuffer((data / "portraits" / f"{name}.jpg").read_bytes(), np.uint8)
        photo = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB), np.uint8)
        height, width = photo.shape[:2]
        size = landmarker.crop_size
        place = np.array([[3.4 / width, 0, -1.7], [0, 3.4 / width, -1.2 * height / width]])
        for _ in range(3):
            way = align.compose(align.crop_from_canonical(size), place)
            crop = np.asarray(cv2.warpAffine(photo, way, (size, size)), np.uint8)
            points, _, sure = landmarker.locate(crop[None])
            face = align.apply(align.invert(way), points[0])
            place = align.canonical_from_face(face)
        if sure[0] > 0.9:
            matrix = align.compose(appearance.square_from_canonical(), place)
            upper = cv2.warpAffine(photo, matrix, (appearance.SIDE, appearance.SIDE))
            looks.append(appearance.descriptor(np.asarray(upper, np.uint8)))
    return np.stack(looks)


def test_different_people_are_never_linked(data: Path) -> None:
    names = sorted(path.stem for path in (data / "portraits").glob("*.jpg"))[:600:3]
    looks = looks_of(data, names)
    assert len(looks) > 100
    alike = looks @ looks.T - 2 * np.eye(len(looks))
    assert alike.max() < LEAST
