from __future__ import annotations

import io
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dubkit.errors import ModelError
from dubkit.media.frames import FrameReader
from dubkit.media.planes import rgb_crop
from dubkit.media.probe import probe
from dubkit.metrics.syncnet import (
    SyncNet,
    cepstra,
    crop,
    load_syncnet,
    read_sound,
    score,
    smoothed,
    sync_of,
    write_sound,
)
from tests.clips import film


def random_net() -> SyncNet:
    torch.manual_seed(0)
    net = SyncNet().eval()
    for module in net.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return net


def test_cepstra_are_those_of_python_speech_features() -> None:
    t = np.arange(4000) / 16000
    tones = 3000 * np.sin(2 * np.pi * 440 * t) + 1000 * np.sin(2 * np.pi * 1800 * t)
    found = cepstra((tones + 500 * np.cos(2 * np.pi * 50 * t)).astype(np.int16))
    assert found.shape == (24, 13)
    # python_speech_features 0.6: mfcc(samples, 16000), rows 0 and 10
    first = "18.104614 12.067671 -15.805873 5.809502 5.470113 -40.791085 -61.068351"
    later = "18.11186 11.131344 -13.973573 2.937437 7.800675 -38.218401 -58.945061"
    expected = np.array([first.split(), later.split()], float)
    np.testing.assert_allclose(found[[0, 10], :7], expected, atol=1e-5)
    last = np.array([36.557232, 35.840291])
    np.testing.assert_allclose(found[[0, 10], 12], last, atol=1e-5)


def test_silence_has_finite_cepstra() -> None:
    assert np.isfinite(cepstra(np.zeros(1000, np.int16))).all()


def test_the_score_is_the_published_formula() -> None:
    generator = np.random.default_rng(0)
    count = 9
    pictures = generator.integers(0, 255, (count, 224, 224, 3)).astype(np.uint8)
    samples = (generator.normal(size=count * 640 + 100) * 4000).astype(np.int16)
    net = random_net()
    found = sync_of(net, iter(pictures), samples)
    assert found is not None
    # joonson/syncnet_python, SyncNetInstance.evaluate and calc_pdist, step by step
    film = torch.from_numpy(pictures.transpose(3, 0, 1, 2)[None].astype(np.float32))
    sound = torch.from_numpy(cepstra(samples).T[None, None]).float()
    windows = range(count - 5)
    with torch.no_grad():
        seen = torch.cat([net.see(film[:, :, t : t + 5]) for t in windows])
        heard = torch.cat([net.hear(sound[:, :, :, 4 * t : 4 * t + 20]) for t in windows])
    padded = torch.nn.functional.pad(heard, (0, 0, 15, 15))
    distances = torch.stack(
        [
            torch.nn.functional.pairwise_distance(seen[[t]].repeat(31, 1), padded[t : t + 31])
            for t in windows
        ],
        1,
    )
    mean = distances.mean(1)
    least, place = torch.min(mean, 0)
    assert found.distance == pytest.approx(float(least), abs=1e-3)
    assert found.confidence == pytest.approx(float(torch.median(mean) - least), abs=1e-3)
    assert found.offset == 15 - int(place)


def test_crops_are_cut_as_the_original_cuts_them(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", size="160x120", seconds=0.4)
    info, pts = probe(path)
    (frame, *_) = list(FrameReader(path, info, pts).read(0, 1))
    picture = rgb_crop(frame, np.eye(2, 3), 160)[:120, :, ::-1]
    x, y, half = 31.3, 60.8, 40.6
    # run_pipeline.py, crop_video, line by line
    around = int(half * 1.8)
    padded = np.pad(picture, ((around,) * 2, (around,) * 2, (0, 0)), constant_values=110)
    my, mx = y + around, x + around
    rows, columns = (
        (int(my - half), int(my + half * 1.8)),
        (int(mx - half * 1.4), int(mx + half * 1.4)),
    )
    expected = cv2.resize(padded[slice(*rows), slice(*columns)], (224, 224))
    found = crop(frame, np.array([x, y, half]))
    np.testing.assert_array_equal(found, expected)
    assert (found[:, 0] == 110).all()


def test_boxes_are_smoothed_as_by_scipys_medfilt() -> None:
    size = np.array([10, 12, 11, 30, 12, 10, 11, 13, 12, 11, 10, 12, 14, 11], float)
    boxes = np.stack([0 * size, 0 * size, size, size], 1)
    padded = np.pad(size / 2, 6)
    expected = [float(np.median(padded[k : k + 13])) for k in range(len(size))]
    np.testing.assert_allclose(smoothed(boxes)[:, 2], expected)


def test_sixteen_bit_sound_is_heard_as_it_was(tmp_path: Path) -> None:
    samples = np.array([-32768, -1, 0, 1, 12345, 32767] * 200, np.int16)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    write_sound(tmp_path / "a.wav", tmp_path / "b.wav")
    np.testing.assert_array_equal(read_sound(tmp_path / "b.wav", 0, 2000), samples)
    np.testing.assert_array_equal(read_sound(tmp_path / "b.wav", 7, 11), samples[7:11])
    assert not len(read_sound(tmp_path / "b.wav", 5000, 6000))


def test_sound_that_is_late_is_found_late() -> None:
    generator = torch.Generator().manual_seed(0)
    heard = torch.randn(60, 8, generator=generator)
    late = torch.roll(heard, 3, 0)
    found = score(heard, late)
    assert found.offset == -3
    assert found.confidence > 1


def test_five_pictures_are_too_few() -> None:
    net = SyncNet()
    assert (
        sync_of(net, iter(np.zeros((5, 224, 224, 3), np.uint8)), np.zeros(9000, np.int16)) is None
    )


def published(net: SyncNet) -> bytes:
    """As the public file is: PyTorch's first format, stored on a GPU, before batches were counted."""
    state = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    stored = io.BytesIO()
    torch.save(state, stored, _use_new_zipfile_serialization=False)
    on_cpu, storage = b"X\x03\x00\x00\x00cpu", b"ctorch\nFloatStorage"
    data = stored.getvalue()
    assert storage in data
    assert on_cpu in data
    data = data.replace(storage, b"ctorch.cuda\nFloatStorage")
    return data.replace(on_cpu, b"X\x06\x00\x00\x00cuda:0")


def test_weights_as_they_are_published_load_and_others_are_refused(tmp_path: Path) -> None:
    net = random_net()
    torch.save(net.state_dict(), tmp_path / "syncnet_v2.model")
    (tmp_path / "old.model").write_bytes(published(net))
    assert abs((tmp_path / "old.model").stat().st_size - 54_573_114) < 2000  # the public one's
    for name in ("syncnet_v2.model", "old.model"):
        loaded = load_syncnet(tmp_path / name)
        assert all(
            torch.equal(a, b)
            for a, b in zip(net.state_dict().values(), loaded.state_dict().values(), strict=True)
        )
    lacking = {k: v for k, v in net.state_dict().items() if k != "netfclip.3.bias"}
    torch.save(lacking, tmp_path / "lacking.model")
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.model")
    (tmp_path / "cut.model").write_bytes((tmp_path / "syncnet_v2.model").read_bytes()[:1000])
    (tmp_path / "text.model").write_text("no weights")
    torch.save(Path("code"), tmp_path / "code.model")
    save_file({"x": torch.zeros(1)}, tmp_path / "safe.model")
    for name in ("other", "cut", "text", "code", "safe", "missing", "lacking"):
        with pytest.raises(ModelError, match="no SyncNet weights"):
            load_syncnet(tmp_path / f"{name}.model")
