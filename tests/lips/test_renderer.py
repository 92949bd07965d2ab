"""Rendering one face of one shot."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from dubkit.config.schema import GenerateSettings
from dubkit.errors import ModelError
from dubkit.faces import align
from dubkit.lips import generator, masks, mesh_warp, references
from dubkit.lips.refiner import FacePlan, Mouth, MouthPainter, Renderer
from dubkit.media.frames import Frame
from dubkit.media.planes import Plane, plane_format
from dubkit.models import tc
from dubkit.models.sc import debug_sc, save_sc
from tests.clips import facts
from tests.faces.faces import drawn, placed, talking

FRAMES, SIZE, SCALE = 8, 160, 40.0
FORMATS = ["gray", "yuv420p", "yuv444p10le", "gbrp"]
SHAPES = talking(2 * FRAMES)


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> MouthPainter:
    torch.set_num_threads(1)
    path: Path = tmp_path_factory.mktemp("weights") / "sc.safetensors"
    save_sc(path, debug_sc(), 1)
    return MouthPainter(torch.device("cpu"), path)


def plan(frames: int = FRAMES) -> FacePlan:
    """A man who talks, and shall say what he says later."""
    faces = [placed(s, SCALE, 0.05, SIZE / 2, SIZE / 3) for s in SHAPES[:frames]]
    matrices = [align.canonical_from_face(f) for f in faces]
    current = np.stack([align.apply(m, f) for m, f in zip(matrices, faces, strict=True)])
    target = SHAPES[3 : 3 + frames]
    cost = np.abs(np.arange(frames)[:, None] - np.array([0, 3, 5])).astype(np.float32)
    choice = references.Choice(cost, np.zeros(frames, np.float32), 25.0, np.array([0, 3, 5]))
    back = [align.invert(m) for m in matrices]
    return FacePlan(10, back, current, target, np.ones(frames, np.float32), (0, 3, 5), choice)


def film(pixel_format: str) -> list[Frame]:
    info = facts(pixel_format, width=SIZE, height=SIZE)
    layout = plane_format(info)
    frames = []
    for t in range(FRAMES):
        picture = drawn(placed(SHAPES[t], SCALE, 0.05, SIZE / 2, SIZE / 3), SIZE, SIZE, seed=t)
        whole: Any = (picture.astype(np.uint16) << (layout.depth - 8)).astype(layout.sample_type)
        chroma = whole[:: 1 << layout.shift[1], :: 1 << layout.shift[0]] // 8 + whole.dtype.type(50)
        planes = (whole, *[chroma] * (layout.planes - 1))
        nothing: Any = None
        frames.append(Frame(10 + t, t, planes, layout, info, nothing, nothing))
    return frames


def rendered(
    painter: MouthPainter | None, frames: list[Frame], order: list[int], trust: float = 1.0
) -> dict[int, tuple[Plane, ...]]:
    asked = replace(plan(), trust=np.full(FRAMES, trust, np.float32))
    renderer = Renderer(frames[0].info, asked, 0.12, painter)
    for frame in frames:
        if frame.index in renderer.borrowed:
            renderer.lend(frame)
    made = {}
    for t in order:
        planes = tuple(plane.copy() for plane in frames[t].planes)
        assert renderer.paint(frames[t], planes)
        made[t] = planes
    return made


def equal(one: tuple[Plane, ...], other: tuple[Plane, ...]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_the_net_paints_planes_of_every_kind_and_leaves_the_rest_alone(
    painter: MouthPainter, pixel_format: str
) -> None:
    frames = film(pixel_format)
    made = rendered(painter, frames, [4])[4]
    warped = rendered(None, frames, [4])[4]
    mask = masks.soft_mask(plan().current[4], plan().target[4], 0.12)
    wide = cv2.dilate((mask > 0).astype(np.float32), np.ones((3, 3)))
    reach = cv2.warpAffine(wide, plane_from_grid(4), (SIZE, SIZE)) > 0
    for plane, own, filmed in zip(made, warped, frames[4].planes, strict=True):
        assert not np.array_equal(plane, own)
        there = cv2.resize(
            reach.astype(np.float32), plane.shape[::-1], interpolation=cv2.INTER_AREA
        )
        beyond = cv2.dilate(there, np.ones((3, 3))) == 0
        assert beyond.mean() > 0.3
        assert np.array_equal(plane[beyond], filmed[beyond])


def test_nothing_changes_outside_the_mask(painter: MouthPainter) -> None:
    frames = film("yuv444p10le")
    renderer = Renderer(frames[0].info, plan(), 0.12, painter)
    mask = renderer.mask(frames[4].index)
    assert mask is not None
    assert mask.shape == (SIZE, SIZE)
    assert mask.min() == 0
    assert mask.max() == pytest.approx(1)
    assert ((mask > 0.1) & (mask < 0.9)).any()
    for plane, filmed in zip(rendered(painter, frames, [4])[4], frames[4].planes, strict=True):
        assert not (plane != filmed)[mask == 0].any()
    assert renderer.mask(frames[0].index - 1) is None


def test_frames_alone_and_in_any_order_come_out_the_same(painter: MouthPainter) -> None:
    frames = film("yuv420p")
    whole = rendered(painter, frames, list(range(FRAMES)))
    turned = rendered(painter, frames, list(reversed(range(FRAMES))))
    assert all(equal(whole[t], turned[t]) for t in range(FRAMES))
    assert equal(rendered(painter, frames, [5])[5], whole[5])


def test_several_threads_at_once_make_the_same_pictures(painter: MouthPainter) -> None:
    frames = film("yuv420p")
    one = rendered(painter, frames, list(range(FRAMES)))
    with ThreadPoolExecutor(4) as pool:
        many = list(pool.map(lambda t: rendered(painter, frames, [t])[t], range(FRAMES)))
    assert all(equal(one[t], many[t]) for t in range(FRAMES))


@settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**31), st.sampled_from([1, 4, 6]))
def test_what_the_jaw_of_a_frame_shows_never_matters(
    painter: MouthPainter, seed: int, row: int
) -> None:
    frames = film("yuv444p10le")
    renderer = Renderer(frames[0].info, plan(), 0.12, painter)
    for frame in frames:
        if frame.index in renderer.borrowed:
            renderer.lend(frame)
    inside = jaw(row)
    rng = np.random.default_rng(seed)
    changed: tuple[Plane, ...] = tuple(
        np.where(inside, rng.integers(0, 1024, plane.shape), plane).astype(np.uint16)
        for plane in frames[row].planes
    )
    made = []
    for filmed in (frames[row].planes, changed):
        planes = tuple(plane.copy() for plane in filmed)
        renderer.paint(replace(frames[row], planes=filmed), planes)
        made.append(planes)
    assert not equal(frames[row].planes, changed)
    assert equal(*made)


def jaw(row: int) -> np.ndarray:
    """(SIZE, SIZE) where only the patch is shown, less what a resampled neighbor may touch."""
    mask = masks.soft_mask(plan().current[row], plan().target[row], 0.12)
    full = (mask >= 1).astype(np.float32)
    shown = cv2.warpAffine(full, plane_from_grid(row), (SIZE, SIZE)) >= 1
    inside = cv2.erode(shown.astype(np.uint8), np.ones((7, 7))) > 0
    assert inside.mean() > 0.03
    return np.asarray(inside)


def plane_from_grid(row: int) -> align.Matrix:
    return align.compose(
        plan().display_from_canonical[row], align.invert(mesh_warp.grid_from_canonical(128))
    )


def test_the_packaged_net_loads_and_names_itself() -> None:
    engines = [
        kind(GenerateSettings()).version
        for kind in (generator.WarpSynthesizer, generator.TcscSynthesizer)
    ]
    assert engines[1].startswith(engines[0])
    assert "sc1-" in engines[1]


def test_a_net_of_ones_own_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(b"no net")
    engine = generator.TcscSynthesizer(GenerateSettings(sc=str(path)))
    with pytest.raises(ModelError):
        _ = engine.version


def test_a_net_that_is_not_trusted_adds_nothing(painter: MouthPainter) -> None:
    rng = np.random.default_rng(0)
    said = Mouth(
        weights=rng.dirichlet([1, 1], (8, 8)).transpose(2, 0, 1).astype(np.float32),
        texture=np.full((2, 8, 8), 0.5, np.float32),
        residual=rng.normal(size=(8, 8, 3)).astype(np.float32),
        mask=rng.random((8, 8)).astype(np.float32),
    )
    plain = said.limited(0.0, [0.7, 0.3])
    assert not plain.residual.any()
    assert (plain.mask == 1).all()
    np.testing.assert_allclose(plain.weights[0], 0.7, rtol=1e-6)
    whole = said.limited(1.0, [0.7, 0.3])
    np.testing.assert_allclose(whole.weights, said.weights)
    np.testing.assert_allclose(whole.mask, said.mask, rtol=1e-6)
    frames = film("yuv420p")
    free = rendered(painter, frames, [4])[4]
    turned = rendered(painter, frames, [4], trust=0.0)[4]
    assert not equal(free, turned)


def test_trust_ends_where_training_ended() -> None:
    pose = np.array([[0, 0, 0], [-17, 5, 0], [0, 21.5, 0], [30, 0, 0], [0, 0, 80]], np.float32)
    np.testing.assert_allclose(generator._trust(pose), [1, 1, 0.5, 0, 1])


def test_shots_share_the_packages_own_articulator(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def load(path: Path) -> Any:
        read.append(path)
        return load_tc(path)

    load_tc = tc.load_tc
    monkeypatch.setattr(tc, "load_tc", load)
    versions = {generator.WarpSynthesizer(GenerateSettings()).version for _ in range(3)}
    assert len(versions) == 1
    assert len(read) <= 1
