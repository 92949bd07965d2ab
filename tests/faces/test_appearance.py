"""How tracked faces look: which frames are described, and what is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dubkit.config.schema import AppearanceSettings
from dubkit.engines import registry
from dubkit.errors import ModelError, WorkError
from dubkit.faces import align, appearance, association
from dubkit.faces.embedded import EmbeddedAppearance
from dubkit.records import FaceState, FaceTrack, Picture
from tests.faces.faces import drawn, placed


@pytest.fixture(scope="module")
def engine() -> EmbeddedAppearance:
    return EmbeddedAppearance(AppearanceSettings())


def face_track(frames: int = 40, width: float = 120.0) -> FaceTrack:
    """A frontal face that is always seen."""
    face = align.mean_face() * (width / 2.2) + (200, 150)
    boxes = np.tile(association.bounds(face), (frames, 1))
    return FaceTrack(
        0,
        100,
        boxes.astype(np.float32),
        np.tile(face, (frames, 1, 1)).astype(np.float32),
        np.zeros((frames, 3), np.float32),
        np.ones(frames, np.float32),
        np.full(frames, FaceState.SEEN, np.int8),
        np.zeros(frames, np.float32),
    )


def test_the_frames_described_are_spread_and_the_clearest_of_their_part() -> None:
    track = face_track()
    pose = track.pose.copy()
    pose[:, 0] = 50
    pose[[3, 12, 20, 31]] = 0
    turned = replace(track, pose=pose)
    assert appearance.choose_rows(turned, 4).tolist() == [3, 12, 20, 31]
    assert len(appearance.choose_rows(track, 100)) == 4, "short tracks are described less"


def test_a_face_never_seen_is_not_described() -> None:
    track = replace(face_track(), state=np.zeros(40, np.int8))
    assert not len(appearance.choose_rows(track, 5))
    look = appearance.described(track, np.zeros(0, np.intp), np.zeros((0, 1), np.float32))
    assert look.mean[1] == 0


def test_eyes_and_mouth_of_every_face_lie_at_one_place_in_the_aligned_crop() -> None:
    face = align.mean_face()
    turned = align.apply(np.array([[0.0, -70.0, 300.0], [70.0, 0.0, 200.0]]), face)
    for points in (face, turned):
        moved = align.apply(
            appearance.aligned_from_display(points), association.five_points(points)
        )
        assert np.abs(moved[:2, 1] - 51.6).max() < 3
        assert 30 < moved[1, 0] - moved[0, 0] < 40


def test_small_turned_and_blurred_faces_say_less() -> None:
    rows = np.array([0])
    clear = np.full((1, 8), 4.0, np.float32)  # length 11.3
    weight = float(appearance.described(face_track(), rows, clear).weights[0])
    small = appearance.described(face_track(width=20), rows, clear).weights[0]
    blurred = appearance.described(face_track(), rows, clear * 0.6).weights[0]
    aside = replace(face_track(), pose=np.full((40, 3), 40, np.float32))
    turned = appearance.described(aside, rows, clear).weights[0]
    assert weight == pytest.approx(1)
    assert max(small, blurred, turned) < 0.5 * weight


def test_looks_are_read_as_they_were_written(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    look = appearance.described(face_track(), np.array([1, 5, 9]), vectors)
    appearance.save_looks(tmp_path, [look])
    (read,) = appearance.load_looks(tmp_path)
    assert (read.track, read.start, read.end) == (0, 100, 140)
    assert np.array_equal(read.frames, look.frames)
    assert np.abs(read.vectors - look.vectors).max() < 1e-3
    (tmp_path / appearance.LOOKS).write_bytes(b"x")
    with pytest.raises(WorkError, match="cannot be read"):
        appearance.load_looks(tmp_path)


def aligned(tall: float, seed: int) -> Picture:
    """The aligned crop of a drawn face, ``tall`` as against the mean face."""
    face = placed(align.mean_face() * (1, tall), 60, 0.1, 150, 120)
    gray = drawn(face, 300, 300, seed)
    shown = cv2.applyColorMap(gray, cv2.COLORMAP_PINK if tall == 1 else cv2.COLORMAP_BONE)
    matrix = appearance.aligned_from_display(face)
    return np.asarray(cv2.warpAffine(shown, matrix, (112, 112)), np.uint8)


def test_light_mirror_and_size_change_a_face_less_than_another_one_does(
    engine: EmbeddedAppearance,
) -> None:
    one, other = aligned(1.0, 0), aligned(0.8, 5)
    dark = (one * 0.5).astype(np.uint8)
    small = cv2.resize(cv2.resize(one, (40, 40), interpolation=cv2.INTER_AREA), (112, 112))
    crops = np.stack([one, dark, one[:, ::-1], small.astype(np.uint8), other])
    vectors = engine.describe(crops)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = unit @ unit[0]
    assert alike[1:4].min() > alike[4]
    alone = engine.describe(crops[2:3])
    assert np.array_equal(alone[0], vectors[2]), "a vector does not depend on the other crops"


def test_crops_of_another_size_are_refused(engine: EmbeddedAppearance) -> None:
    with pytest.raises(ModelError, match="appearance expects crops"):
        engine.describe(np.zeros((1, 64, 64, 3), np.uint8))
    assert registry.choose("appearance", "auto")[0] == "embedded"
