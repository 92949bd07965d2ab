"""The embedded face engine on real pictures, and on what it must refuse or ignore."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dubkit.config.schema import FaceSettings
from dubkit.faces import align, embedded, landmark_layout
from dubkit.faces.embedded import EmbeddedDetector, EmbeddedLandmarker, shrink, suppress
from dubkit.records import Detection

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def detector() -> EmbeddedDetector:
    return EmbeddedDetector(FaceSettings())


@pytest.fixture(scope="module")
def landmarker() -> EmbeddedLandmarker:
    return EmbeddedLandmarker(FaceSettings())


def read_portraits(data: Path, count: int) -> list[Picture]:
    """Portraits that training held out."""
    paths = sorted((data / "portraits").glob("*.jpg"))[9::10][:count]
    pictures = [cv2.imread(str(p), cv2.IMREAD_COLOR) for p in paths]
    return [np.asarray(p[..., ::-1], np.uint8) for p in pictures if p is not None]


@pytest.fixture(scope="module")
def portraits(data: Path) -> list[Picture]:
    return read_portraits(data, 12)


def canvas(face: Picture, width: float, x: int, y: int) -> tuple[Picture, float]:
    """The portrait at a scale that makes it ``width`` wide, on a gray 720p picture."""
    scale = width / face.shape[1]
    small = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame = np.full((720, 1280, 3), 120, np.uint8)
    frame[y : y + small.shape[0], x : x + small.shape[1]] = small
    return frame, scale


def crop_at(picture: Picture, found: Detection, size: int) -> tuple[Picture, align.Matrix]:
    canonical = align.canonical_from_points(found.points)
    matrix = align.compose(align.crop_from_canonical(size), canonical)
    crop = cv2.warpAffine(picture, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8), matrix


def test_every_portrait_has_one_face_with_its_points_in_order(
    detector: EmbeddedDetector, portraits: list[Picture]
) -> None:
    counts = [len(detector.detect(p)) for p in portraits]
    assert counts.count(1) >= len(portraits) - 1
    for portrait in portraits:
        for found in detector.detect(portrait)[:1]:
            left_eye, right_eye, nose, left_mouth, right_mouth = found.points
            assert left_eye[0] < right_eye[0]
            assert left_mouth[0] < right_mouth[0]
            assert max(left_eye[1], right_eye[1]) < nose[1] < max(left_mouth[1], right_mouth[1])


def test_a_face_moves_with_its_picture(
    detector: EmbeddedDetector, portraits: list[Picture]
) -> None:
    first, scale = canvas(portraits[0], 300, 100, 80)
    second, _ = canvas(portraits[0], 300, 612, 208)
    a, b = detector.detect(first)[0], detector.detect(second)[0]
    np.testing.assert_allclose(b.points - a.points, [[512, 128]] * 5, atol=6 * scale)
    assert abs((b.box[2] - b.box[0]) - (a.box[2] - a.box[0])) < 0.15 * (a.box[2] - a.box[0])


def close_up(portrait: Picture, found: Detection) -> Picture:
    """The portrait cut to 1.1 of its face, 512 pixels square."""
    corners = np.array(found.box).reshape(2, 2)
    side, middle = 1.1 * np.ptp(corners, axis=0).max(), corners.mean(0)
    x0, y0 = np.maximum(middle - side / 2, 0).astype(int)
    x1, y1 = (middle + side / 2).astype(int)
    part = cv2.resize(portrait[y0:y1, x0:x1], (512, 512), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(part, np.uint8)


def test_close_ups_that_fill_the_picture_are_found(
    detector: EmbeddedDetector, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [close_up(p, detector.detect(p)[0]) for p in read_portraits(data, 24)]

    def found() -> int:
        boxes = [d.box for p in pictures for d in detector.detect(p)[:1]]
        return sum(x0 < 256 < x1 and y0 < 256 < y1 for x0, y0, x1, y1 in boxes)

    assert found() >= 0.95 * len(pictures)
    monkeypatch.setattr(embedded, "CLOSE_UP", 2000.0)  # no face is that large: the first pass alone
    assert found() < 0.75 * len(pictures)


def test_the_second_pass_adds_no_small_face_and_leaves_the_first_ones_scores(
    detector: EmbeddedDetector, portraits: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [canvas(p, 150, 300, 200)[0] for p in portraits]
    both = [[(d.box, d.score) for d in detector.detect(f)] for f in frames]
    monkeypatch.setattr(embedded, "CLOSE_UP", 2000.0)
    assert both == [[(d.box, d.score) for d in detector.detect(f)] for f in frames]
    assert all(len(found) == 1 for found in both)


def test_the_second_pass_costs_at_most_a_fifth_of_the_first(
    detector: EmbeddedDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    net = detector.net

    def counted(picture: torch.Tensor) -> object:
        seen.append(picture.shape[-2] * picture.shape[-1])
        return net(picture)

    monkeypatch.setattr(detector, "net", counted)
    detector.detect(np.zeros((1080, 1920, 3), np.uint8))
    assert len(seen) == 2
    assert seen[1] <= 0.2 * seen[0]  # padding to the net's stride included


@pytest.mark.parametrize("shape", [(1, 1), (4, 9), (40, 33), (2000, 3)])
def test_tiny_and_narrow_pictures_have_no_face(
    detector: EmbeddedDetector, shape: tuple[int, int]
) -> None:
    assert detector.detect(np.zeros((*shape, 3), np.uint8)) == []


def test_two_people_give_two_detections_best_first(
    detector: EmbeddedDetector, portraits: list[Picture]
) -> None:
    frame, _ = canvas(portraits[0], 250, 150, 100)
    other, _ = canvas(portraits[1], 250, 800, 100)
    frame[:, 640:] = other[:, 640:]
    found = detector.detect(frame)
    assert len(found) == 2
    assert found[0].score >= found[1].score


def test_pictures_without_faces_give_none(detector: EmbeddedDetector) -> None:
    rng = np.random.default_rng(0)
    ramp = np.broadcast_to(np.linspace(0, 255, 640).astype(np.uint8)[None, :, None], (360, 640, 3))
    noise = rng.integers(0, 256, (360, 640, 3)).astype(np.uint8)
    black = np.zeros((720, 1280, 3), np.uint8)
    for picture in (np.ascontiguousarray(ramp), noise, black):
        assert detector.detect(picture) == []


def test_landmarks_agree_with_the_detectors_points(
    detector: EmbeddedDetector, landmarker: EmbeddedLandmarker, portraits: list[Picture]
) -> None:
    for portrait in portraits:
        for found in detector.detect(portrait)[:1]:
            crop, matrix = crop_at(portrait, found, landmarker.crop_size)
            landmarks, pose, sure = landmarker.locate(crop[None])
            points = align.apply(align.invert(matrix), landmarks[0])
            assert landmarks.shape == (1, landmark_layout.COUNT, 2)
            assert pose.shape == (1, 3)
            assert sure[0] > 0.5
            eyes = align.eye_centers(points)
            distance = float(np.linalg.norm(eyes[1] - eyes[0]))
            assert np.linalg.norm(eyes - found.points[:2], axis=1).max() < 0.35 * distance


def test_crops_without_a_face_have_no_confidence(landmarker: EmbeddedLandmarker) -> None:
    size = landmarker.crop_size
    rng = np.random.default_rng(0)
    crops = np.zeros((3, size, size, 3), np.uint8)
    crops[1] = 200
    crops[2] = rng.integers(0, 256, crops[2].shape)
    _, _, sure = landmarker.locate(crops)
    assert float(sure.max()) < 0.5


def test_a_mirrored_face_gives_mirrored_landmarks_and_pose(
    detector: EmbeddedDetector, landmarker: EmbeddedLandmarker, portraits: list[Picture]
) -> None:
    gaps = []
    for portrait in portraits:
        for found in detector.detect(portrait)[:1]:
            crop, _ = crop_at(portrait, found, landmarker.crop_size)
            pair = np.stack([crop, crop[:, ::-1]])
            landmarks, pose, _ = landmarker.locate(pair)
            back = landmarks[1][landmark_layout.MIRROR] * (-1, 1) + (landmarker.crop_size - 1, 0)
            gaps.append(float(np.linalg.norm(back - landmarks[0], axis=1).mean()))
            assert abs(pose[0, 0] + pose[1, 0]) < 12
    assert np.mean(gaps) < 1.5


def test_results_do_not_depend_on_company(
    landmarker: EmbeddedLandmarker, portraits: list[Picture]
) -> None:
    size = landmarker.crop_size
    crops = np.stack([np.asarray(cv2.resize(p, (size, size)), np.uint8) for p in portraits[:5]])
    together = landmarker.locate(crops)
    for i in range(len(crops)):
        alone = landmarker.locate(crops[i : i + 1])
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_array_equal(a[i], b[0])


def test_versions_name_the_weights(
    detector: EmbeddedDetector, landmarker: EmbeddedLandmarker
) -> None:
    assert len(detector.version.split("+")[1]) == 16
    assert detector.version != landmarker.version


def test_a_small_picture_is_not_enlarged_and_a_large_one_keeps_its_shape() -> None:
    small = np.zeros((90, 160, 3), np.uint8)
    assert shrink(small, 512)[0] is small
    picture, scale = shrink(np.zeros((1080, 1920, 3), np.uint8), 512)
    assert picture.shape == (288, 512, 3)
    np.testing.assert_allclose(scale, [512 / 1920, 288 / 1080])


def test_of_overlapping_boxes_the_best_stays() -> None:
    boxes = np.array(
        [[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 0, 4, 4], [50, 50, 60, 60]],
        np.float32,
    )
    scores = np.array([0.8, 0.9, 0.9, 0.7, 0.2], np.float32)
    assert suppress(boxes, scores, 0.5) == [1, 2, 3]
