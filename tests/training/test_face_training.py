"""Training pictures are changed and labeled alike, and targets say what the scene holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dubkit.config.schema import LoopSettings
from dubkit.faces import align, landmark_layout
from dubkit.models.checkpoint import load_checkpoint
from dubkit.models.face_nets import STRIDES, UNIT, Level, decode
from dubkit.progress import NoProgress
from dubkit.training.lab import augment, train_detector, train_landmarker
from dubkit.training.lab.augment import transplant
from dubkit.training.lab.faces_data import (
    CROP,
    CropSet,
    CropSource,
    PictureSource,
    placement,
    wide_from_canonical,
)
from dubkit.training.lab.pose import Template, fit_template, rotation_angles
from dubkit.training.lab.scenes import Scene, SceneMaker, box_of
from dubkit.training.trainer import METRICS, Objective, run_training


def turn(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Roll after yaw after pitch, degrees."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


@pytest.fixture(scope="module")
def solid() -> np.ndarray:
    """(L, 3) a mean face with some depth, the nose toward the camera."""
    flat = align.mean_face().astype(np.float64)
    depth = 0.6 * (flat[:, 0] ** 2 + (flat[:, 1] - 0.5) ** 2)
    return np.column_stack([flat, depth])


@pytest.fixture(scope="module")
def template(solid: np.ndarray) -> Template:
    return fit_template(solid[None])


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (0, -20, 0), (0, 0, 40), (25, 10, -15)])
def test_pose_angles_come_back(
    solid: np.ndarray, template: Template, angles: tuple[float, float, float]
) -> None:
    level = rotation_angles(solid, template)
    np.testing.assert_allclose(level, 0, atol=1e-4)
    found = rotation_angles(solid @ turn(*angles).T, template)
    np.testing.assert_allclose(found, angles, atol=1e-3)


def test_yaw_is_positive_when_the_nose_points_to_the_right(
    solid: np.ndarray, template: Template
) -> None:
    turned = solid @ turn(25, 0, 0).T
    moved = turned - solid
    eyes = align.eye_centers(turned[:, :2].astype(np.float32)).mean(0)
    assert turned[landmark_layout.NOSE_TIP[0], 0] > eyes[0]
    assert rotation_angles(turned, template)[0] > 0
    assert abs(float(moved.mean())) < 1


def test_pitch_is_positive_when_the_nose_points_up(solid: np.ndarray, template: Template) -> None:
    turned = solid @ turn(0, 20, 0).T
    assert turned[landmark_layout.NOSE_TIP[0], 1] < solid[landmark_layout.NOSE_TIP[0], 1]
    assert rotation_angles(turned, template)[1] > 0


def test_a_ripple_can_be_undone() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(20, 108, (50, 2)).astype(np.float32)
    for _ in range(20):
        ripple = augment.random_ripple(rng, points, 34.0, 0.2)
        back = ripple.undo(points)
        np.testing.assert_allclose(back + ripple.displacement(back), points, atol=0.05)


def test_a_rippled_picture_shows_each_point_where_its_label_says() -> None:
    rng = np.random.default_rng(1)
    size, spots = 128, np.array([[40, 50], [64, 80], [90, 60]], np.float32)
    picture = np.zeros((size, size, 3), np.uint8)
    yy, xx = np.mgrid[:size, :size]
    for x, y in spots:
        picture[np.hypot(xx - x, yy - y) < 3] = 255
    ripple = augment.random_ripple(rng, spots, 34.0, 0.2)
    out = augment.sample(picture, np.array([[1.0, 0, 0], [0, 1.0, 0]]), size, ripple)
    for x, y in ripple.undo(spots):
        near = np.hypot(xx - x, yy - y) < 8
        weight = out[..., 0] * near
        center = [(weight * xx).sum() / weight.sum(), (weight * yy).sum() / weight.sum()]
        np.testing.assert_allclose(center, [x, y], atol=0.5)


def test_a_placement_keeps_the_face_mostly_in_the_crop() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        matrix, angle = placement(rng, 128)
        points = align.apply(matrix, align.mean_face())
        assert abs(angle) <= 28
        assert np.mean((points > -8) & (points < 136)) > 0.9


def test_a_transplanted_mouth_brings_its_landmarks() -> None:
    size = 224
    face = align.apply(align.crop_from_canonical(size), align.mean_face())
    donor = face.copy()
    donor[landmark_layout.LIPS_INNER[1:10], 1] += 9
    picture, other = np.full((size, size, 3), 120, np.uint8), np.full((size, size, 3), 60, np.uint8)
    mixed, points = transplant(picture, face, other, donor, 1.0)
    np.testing.assert_allclose(points[landmark_layout.LIPS], donor[landmark_layout.LIPS], atol=1e-3)
    np.testing.assert_array_equal(points[landmark_layout.EYE_LEFT], face[landmark_layout.EYE_LEFT])
    # the donor's skin was matched to the recipient's, and nothing changed far from the mouth
    assert np.abs(mixed.astype(int) - 120).max() <= 10
    assert (mixed[:60] == 120).all()


def test_every_face_has_a_peak_on_a_grid_of_its_scale_and_targets_decode_to_it() -> None:
    boxes = [
        np.array(b, np.float32) for b in ([30, 30, 48, 54], [100, 80, 180, 190], [10, 60, 250, 300])
    ]
    points = [np.tile((b[:2] + b[2:]) / 2, (5, 1)).astype(np.float32) for b in boxes]
    scene = Scene(np.zeros((320, 320, 3), np.uint8), boxes, points)
    targets = [train_detector.target_of([scene], 320, i) for i in range(len(STRIDES))]
    assert [int((t.heat == 1).sum()) for t in targets] == [1, 1, 2]
    for target in targets:
        for cell in (target.heat[0] == 1).nonzero():
            box = target.box[0, cell[0], cell[1]].numpy()
            assert any(np.array_equal(box, b) for b in boxes)


def test_nothing_is_asked_where_a_face_is_ignored() -> None:
    scene = Scene(np.zeros((64, 64, 3), np.uint8), ignored=[np.array([0, 0, 32, 32], np.float32)])
    target = train_detector.target_of([scene], 64, 0)
    assert not target.care[0, :4, :4].any()
    assert bool((target.care[0, 4:] == 1).all())


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A minute set: three pictures with a face, two without."""
    rng = np.random.default_rng(3)
    side = 120
    pictures = rng.integers(0, 256, (5, side, side, 3)).astype(np.uint8)
    face = align.apply(np.array([[25.0, 0, 60], [0, 25.0, 50]]), align.mean_face())
    landmarks = np.stack([face] * 3 + [np.full_like(face, np.nan)] * 2)
    np.save(tmp_path / "pictures.npy", pictures.ravel())
    offsets = np.arange(6) * side * side * 3
    np.savez(
        tmp_path / "pictures.npz",
        offsets=offsets,
        shapes=np.full((5, 2), side),
        landmarks=landmarks.astype(np.float32),
        validation=np.zeros(5, bool),
    )
    return tmp_path


def test_scenes_hold_faces_of_many_sizes_mostly_inside(prepared: Path) -> None:
    maker, rng = SceneMaker(PictureSource(prepared)), np.random.default_rng(4)
    scenes = [maker.scene(rng, 128) for _ in range(25)]
    boxes = [b for s in scenes for b in s.boxes]
    assert all(s.picture.shape == (128, 128, 3) for s in scenes)
    assert any(not s.boxes for s in scenes)
    assert len(boxes) > 10
    middles = np.array([(b[:2] + b[2:]) / 2 for b in boxes])
    assert bool(((middles > -5) & (middles < 133)).all())
    assert max(b[3] - b[1] for b in boxes) > 2 * min(b[3] - b[1] for b in boxes)


def test_the_ground_of_a_scene_never_shows_a_labeled_face(prepared: Path) -> None:
    source, rng = PictureSource(prepared), np.random.default_rng(5)
    flat = np.full(source.bytes.shape, 40, np.uint8).reshape(5, 120, 120, 3)
    x0, y0, x1, y1 = box_of(source.landmarks[0]).astype(int)
    flat[:3, y0:y1, x0:x1] = (255, 0, 255)
    source.bytes = flat.ravel()
    maker = SceneMaker(source)
    for _ in range(40):
        window = maker.window(rng, 64, empty=False)
        if (window == 40).mean() > 0.5:  # a window, not a drawn stand-in
            assert not (window == (255, 0, 255)).all(2).any()


@pytest.mark.parametrize("size", [12, 64])
def test_drawn_pictures_of_any_size_can_be_made(size: int) -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        assert augment.procedural(rng, size).shape == (size, size, 3)


def test_the_opening_is_zero_for_lips_that_meet() -> None:
    landmarks = torch.from_numpy(align.mean_face())[None].clone()
    lower, upper = landmark_layout.LIPS_INNER[1:10], landmark_layout.LIPS_INNER[:10:-1].copy()
    landmarks[:, lower, 1] = landmarks[:, upper, 1]
    assert float(train_landmarker.gaps(landmarks).abs().max()) < 1e-6
    landmarks[:, lower, 1] += 0.1
    torch.testing.assert_close(train_landmarker.gaps(landmarks), torch.full((1, 9), 0.1))


def test_crop_units_and_pixels_agree() -> None:
    assert train_landmarker.to_units(np.array([-0.5, 63.5, 127.5]), 128).tolist() == [-1, 0, 1]


def test_decoding_places_boxes_around_their_cells() -> None:
    level = Level(torch.zeros(1, 2, 3), torch.full((1, 4, 2, 3), 0.5), torch.zeros(1, 10, 2, 3))
    scores, boxes, points = decode(level, 8)
    half = 0.5 * UNIT * 8
    assert scores.tolist() == [[0.5] * 6]
    assert boxes[0, 4].tolist() == [11.5 - half, 11.5 - half, 11.5 + half, 11.5 + half]
    assert points[0, 4].tolist() == [[11.5, 11.5]] * 5


def detector(prepared: Path, settings: LoopSettings) -> Objective:
    torch.manual_seed(0)
    maker = SceneMaker(PictureSource(prepared))
    held = [maker.scene(np.random.default_rng(0), 64)]
    return train_detector.DetectorObjective(maker, held, settings, None)


def landmarker(prepared: Path, settings: LoopSettings) -> Objective:
    torch.manual_seed(0)
    faces = np.stack([align.apply(wide_from_canonical(), align.mean_face())] * 8)
    faces += np.random.default_rng(0).normal(0, 1, faces.shape)
    np.save(prepared / "crops.npy", np.full((8, CROP, CROP, 3), 90, np.uint8))
    np.savez(
        prepared / "crops.npz",
        landmarks=faces.astype(np.float32),
        pose=np.zeros((8, 3), np.float32),
        group=np.array(["portraits", "hdtf"] * 4),
        person=np.array(list("abcdefgh")),
        validation=np.arange(8) >= 4,
    )
    held, rows = CropSet(prepared, validation=True), CropSet(prepared, validation=False)
    config = train_landmarker.configuration(64, 8, 16)
    sources = CropSource(rows), PictureSource(prepared)
    return train_landmarker.LandmarkerObjective(sources, held, settings, config, None)


@pytest.mark.parametrize("make", [detector, landmarker])
def test_the_face_nets_are_trained_by_the_loop_of_all_trainings(
    make: Callable[[Path, LoopSettings], Objective],
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train_detector, "SIZES", ((64, 2),))
    settings = LoopSettings(steps=4, batch=2, check_every=2, rate=1e-3, patience=9)
    objective = make(prepared, settings)
    before = [parameter.detach().clone() for parameter in objective.modules()["net"].parameters()]
    out = tmp_path / "out"
    cpu = torch.device("cpu")
    outcome = run_training(objective, settings, out, identity={}, device=cpu, progress=NoProgress())
    assert outcome.step == 4
    after = objective.modules()["net"].parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    rows = [json.loads(r) for r in (out / METRICS).read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == [0, 2, 4]
    assert all(np.isfinite(row["held_out"]["error"]) for row in rows)
    objective.save(tmp_path / "net.safetensors", 4)
    assert load_checkpoint(tmp_path / "net.safetensors", objective.kind).step == 4
