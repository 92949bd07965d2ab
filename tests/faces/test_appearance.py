"""How faces look, and which tracked faces are one person."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from dubkit.config.schema import AdaptSettings, FaceSettings
from dubkit.faces import align, appearance
from dubkit.faces.align import mean_face
from dubkit.faces.appearance import persons
from dubkit.faces.embedded import EmbeddedLandmarker
from dubkit.records import Floats
from tests.faces.faces import talking

LEAST = AdaptSettings().likeness


def track(*angles: float) -> Floats:
    """Descriptors of a made-up track: unit vectors in a plane."""
    return np.stack([[np.cos(a), np.sin(a)] for a in angles]).astype(np.float32)


def test_tracks_that_look_alike_somewhere_are_one_person() -> None:
    anna, anna_aside, bea = track(0.0, 0.6), track(0.7, 0.9), track(3.0)
    assert persons([anna, bea, anna_aside], 0.95) == [[0, 2], [1]]
    assert persons([anna, bea, anna_aside], 0.999) == [[0], [1], [2]]
    assert persons([], 0.9) == []


@given(st.lists(st.floats(0, 6.28), max_size=8), st.randoms())
def test_who_is_one_person_does_not_depend_on_the_order_of_the_tracks(
    angles: list[float], random: object
) -> None:
    order = list(range(len(angles)))
    random.shuffle(order)  # type: ignore[attr-defined]
    plain = persons([track(a) for a in angles], 0.95)
    shuffled = persons([track(angles[k]) for k in order], 0.95)
    assert {frozenset(g) for g in plain} == {frozenset(order[k] for k in g) for g in shuffled}
    assert sorted(k for group in plain for k in group) == list(range(len(angles)))


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


def test_different_people_are_never_taken_for_one(data: Path) -> None:
    names = sorted(path.stem for path in (data / "portraits").glob("*.jpg"))[:600:3]
    looks = looks_of(data, names)
    assert len(looks) > 100
    alike = looks @ looks.T - 2 * np.eye(len(looks))
    assert alike.max() < LEAST
