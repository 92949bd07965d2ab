"""Corrected landmarks are learned; without them there is nothing to learn, and it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dubkit.config.schema import LandmarkTraining
from dubkit.errors import InputError, ModelError
from dubkit.faces import landmark_layout
from dubkit.faces.align import apply
from dubkit.models.checkpoint import save_checkpoint
from dubkit.progress import NoProgress
from dubkit.training.commands import train
from dubkit.training.dataset import PreparedSet
from dubkit.training.lab.corrected import read_labels
from dubkit.training.lab.landmark_lesson import landmark_lesson
from dubkit.training.prepare import prepare
from dubkit.training.trainer import Pace
from tests.painted import face
from tests.training.talking import config, one_face, write_film

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of a painted face whose landmarks were all put where the paint has them."""
    folder = tmp_path_factory.mktemp("corrected")
    write_film(folder / "in" / "ann.mkv", 2.0)
    frames = np.arange(0, 50, 2)
    points = [apply(one_face(int(f), 0.3)[0].display_from_canonical, face(0.3)) for f in frames]
    landmarks = np.stack(points).astype(np.float32)
    landmarks[3, 5] = np.nan  # a point that nobody looked at
    np.savez(folder / "in" / "ann.landmarks.npz", frames=frames, landmarks=landmarks)
    prepare(folder / "in", folder / "set", config(), NoProgress())
    return folder / "set"


def test_corrections_come_into_the_set_with_their_crops(corrected: Path) -> None:
    found = PreparedSet(corrected)
    assert found.labels["ann"].frames == 25
    with np.load(corrected / "labels" / "ann.npz") as stored:
        crops, landmarks = stored["crops"], stored["landmarks"]
    assert crops.shape == (25, 224, 224, 3)
    assert np.isnan(landmarks[3, 5]).all()
    # painted faces tell in red and green which canonical point a pixel shows: the nose tip's, everywhere
    tips = landmarks[:, landmark_layout.NOSE_TIP[0]].round().astype(int)
    nose = np.stack([crop[y, x] for crop, (x, y) in zip(crops, tips, strict=True)])
    wanted = 128 + 40 * face(0.3)[landmark_layout.NOSE_TIP[0]]
    assert np.abs(np.median(nose, 0)[:2] - wanted).max() < 10


def test_training_brings_the_landmarks_nearer_to_the_corrections(
    corrected: Path, tmp_path: Path
) -> None:
    outcome = train(
        "landmarks",
        corrected,
        tmp_path,
        settings=[
            "train.landmarks.steps=12",
            "train.landmarks.check_every=6",
            "train.landmarks.batch=8",
            "train.landmarks.rate=0.0005",
            "train.landmarks.average=0.5",
        ],
        device="cpu",
    )
    lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    start = float(lines[0].split('"error": ')[1].split(",")[0])
    assert outcome.best is not None
    assert outcome.best < 0.8 * start
    assert outcome.weights == tmp_path / "landmarker.safetensors"
    assert len(list((tmp_path / "previews").glob("*.png"))) == 3


def test_unknown_points_keep_the_nets_own_answer_and_count_for_nothing(corrected: Path) -> None:
    lesson = landmark_lesson(PreparedSet(corrected), LandmarkTraining(batch=2), CPU, None)
    assert np.isfinite(lesson._rows.landmarks).all()
    assert (lesson._rows.known == 0).sum() == 1


def test_every_parameter_that_matters_gets_a_gradient(corrected: Path) -> None:
    lesson = landmark_lesson(PreparedSet(corrected), LandmarkTraining(batch=4), CPU, None)
    before = [p.detach().clone() for p in lesson.modules()["net"].parameters()]
    batch = lesson.draw(np.random.default_rng(1))
    lesson.learn(batch, Pace(1, 1e-3, CPU, lambda: torch.autocast("cpu", enabled=False)))
    after = list(lesson.modules()["net"].parameters())
    assert all(not torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_a_set_without_corrections_is_refused_in_one_sentence(tmp_path: Path) -> None:
    write_film(tmp_path / "in" / "ann.mkv", 2.0)
    prepare(tmp_path / "in", tmp_path / "set", config(), NoProgress())
    with pytest.raises(InputError, match="holds no corrected landmarks; at least 20") as caught:
        train("landmarks", tmp_path / "set", tmp_path / "out")
    assert "NAME.landmarks.npz" in (caught.value.hint or "")


def test_a_start_that_is_no_landmarker_is_refused(corrected: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "tc.safetensors", "tc", torch.nn.Linear(2, 2), {}, 1)
    with pytest.raises(ModelError, match="holds a tc, not a landmarker"):
        train("landmarks", corrected, tmp_path / "out", start=tmp_path / "tc.safetensors")


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"frames": [0]}, "wanted are arrays frames and landmarks"),
        ({"frames": [0], "landmarks": np.zeros((1, 68, 2))}, r"have shape \(1, 68, 2\)"),
        (
            {"frames": [0], "landmarks": np.full((1, landmark_layout.COUNT, 2), np.nan)},
            "hold no frame with",
        ),
    ],
)
def test_a_file_of_corrections_that_does_not_fit_is_refused(
    arrays: dict[str, object], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.landmarks.npz"
    stored: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
    np.savez(path, **stored)
    with pytest.raises(InputError, match=reason):
        read_labels(path)
