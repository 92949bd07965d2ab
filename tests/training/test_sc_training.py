"""Training of the SC net on a small made-up set."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dubkit.config.schema import ScTraining
from dubkit.errors import InputError
from dubkit.faces import align, landmark_layout
from dubkit.lips import mesh_warp
from dubkit.media.pictures import PictureWriter
from dubkit.models.sc import ScOutput, debug_sc, load_sc, save_sc
from dubkit.progress import NoProgress
from dubkit.training import sc_data, train_sc
from dubkit.training.dataset import (
    CLIPS,
    CROP,
    FORMAT,
    ClipFacts,
    PreparedClip,
    PreparedSet,
    SetIndex,
    clip_path,
    write_clip,
    write_index,
)
from dubkit.training.sc_data import load_footage, stacked
from dubkit.training.trainer import run_training
from tests.faces.faces import drawn, talking

RATE, FRAMES = 25, 36


def add_clip(root: Path, name: str, frames: int, seed: int) -> None:
    """A face that talks, as `training.prepare` would write it."""
    matrix = mesh_warp.grid_from_canonical(CROP)
    landmarks = np.stack([align.apply(matrix, face) for face in talking(frames)])
    path = clip_path(root, name, ".mp4")
    with PictureWriter(path, CROP, Fraction(RATE), Fraction(1, RATE)) as writer:
        for t in range(frames):
            gray = cv2.GaussianBlur(drawn(landmarks[t], CROP, CROP, seed), (0, 0), 1)
            writer.write(np.repeat(gray[..., None], 3, 2), t)
    clip = PreparedClip(
        times=np.arange(frames) / RATE,
        landmarks=landmarks,
        confidence=np.ones(frames, np.float32),
        pose=np.zeros((frames, 3), np.float32),
        crop_from_display=np.repeat(np.eye(2, 3)[None], frames, 0),
        energy=np.zeros(1, np.float32),
        phonemes={},
    )
    write_clip(clip_path(root, name, ".npz"), clip)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("set")
    (root / CLIPS).mkdir()
    clips = {}
    for number, (name, frames, split) in enumerate(
        [("one", FRAMES, "train"), ("still", 1, "train"), ("held", FRAMES, "val")]
    ):
        add_clip(root, name, frames, number)
        clips[name] = ClipFacts(f"{name}.mp4", name, split, "", frames, RATE, "")
    write_index(root, SetIndex(FORMAT, CROP, clips, {}))
    return PreparedSet(root)


def settings(**changes: object) -> ScTraining:
    return ScTraining.model_validate({"steps": 4, "batch": 2, "check_every": 2, **changes})


def small(
    prepared: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> train_sc.ScObjective:
    """A objective of a minute net."""
    monkeypatch.setattr(train_sc, "_CHECKED", 8)
    path = tmp_path / "start.safetensors"
    if not path.exists():
        save_sc(path, debug_sc(), 1)
    return train_sc.sc_objective(prepared, settings(), torch.device("cpu"), path)


def test_a_sample_hides_the_jaw_and_borrows_from_other_moments(prepared: PreparedSet) -> None:
    clip = load_footage(prepared, "train", 300)[0]
    samples = sc_data.Samples([clip])
    for seed in range(4):
        maps = samples.draw(np.random.default_rng(seed))
        assert maps.visible[maps.mask > 0.01].max() == 0
        assert maps.references.shape[1] == sc_data.COUNT
        assert maps.weights.sum() == pytest.approx(1)
        assert all(torch.isfinite(part).all() for part in maps.parts())
        gap = (maps.references[:, 0] - maps.truth).abs().mean()
        assert 0 < gap < 0.08


def test_a_still_lends_itself(prepared: PreparedSet) -> None:
    clips = load_footage(prepared, "train", 300)
    samples = sc_data.Samples(clips)
    assert [clip.name for clip in samples.stills] == ["still"]
    maps = samples._still(samples.stills[0], 0, np.random.default_rng(0), 2)
    assert maps.references.shape[1] == 2
    assert (maps.references[:, 0] - maps.truth).abs().mean() > 1e-4


def test_equal_generators_give_equal_batches(prepared: PreparedSet) -> None:
    samples = sc_data.Samples(load_footage(prepared, "train", 300))
    first, second = (
        stacked([samples.draw(rng) for _ in range(2)], rng)
        for rng in (np.random.default_rng(3), np.random.default_rng(3))
    )
    pairs = zip(first.parts(), second.parts(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_perfect_patch_costs_nothing_but_mixing(prepared: PreparedSet) -> None:
    samples = sc_data.Samples(load_footage(prepared, "train", 300))
    maps = samples.draw(np.random.default_rng(0))
    maps = replace(maps, references=maps.truth[:, None].repeat(1, 3, 1, 1, 1), filmed=maps.truth)
    alone = torch.zeros(1, 3, *maps.truth.shape[-2:])
    alone[:, 0] = 1
    output = ScOutput(alone, torch.zeros_like(maps.truth), torch.ones_like(maps.mask))
    parts = train_sc.losses(maps, output, train_sc.compose(maps, output))
    assert all(float(value) == pytest.approx(0, abs=1e-6) for value in parts.values())
    blurred = torch.nn.functional.avg_pool2d(maps.truth, 5, 1, 2)
    soft = replace(output, residual=blurred - maps.truth)
    assert train_sc.losses(maps, soft, train_sc.compose(maps, soft))["texture"] > 1e-3


def test_a_short_training_gets_nearer_to_the_real_mouth(
    prepared: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = small(prepared, tmp_path, monkeypatch)
    before = objective.evaluate()
    outcome = run_training(
        objective,
        settings(steps=30, check_every=10, rate=3e-3, loaders=0),
        tmp_path / "out",
        identity={},
        device=torch.device("cpu"),
        progress=NoProgress(),
    )
    assert objective.evaluate()["loss"] < before["loss"]
    net, _ = load_sc(tmp_path / "out" / "sc.safetensors")
    assert net.config == debug_sc().config
    assert outcome is not None
    picture = objective.preview()
    assert picture is not None
    assert picture.ndim == 3
    assert picture.dtype == np.uint8


def test_a_set_without_film_is_refused(prepared: PreparedSet) -> None:
    stills = [c for c in load_footage(prepared, "train", 300) if c.name == "still"]
    with pytest.raises(InputError):
        sc_data.Samples(stills)
    with pytest.raises(InputError):
        load_footage(prepared, "test", 300)


def test_a_mouth_that_is_pushed_never_crosses_its_lips() -> None:
    face = talking(2)[0]
    push = np.zeros_like(face)
    push[landmark_layout.LIPS_INNER[1:10], 1] = -0.2
    moved = sc_data.with_mouth(face, push)
    gap = moved[landmark_layout.LIPS_INNER[1:10], 1] - moved[landmark_layout.LIPS_INNER[:10:-1], 1]
    assert gap.min() > -1e-6


def test_weights_decay_as_the_setting_says(prepared: PreparedSet) -> None:
    objective = train_sc.sc_objective(prepared, settings(decay=0.25), torch.device("cpu"), None)
    (group,) = objective.optimizers()["net"].param_groups
    assert group["weight_decay"] == 0.25
