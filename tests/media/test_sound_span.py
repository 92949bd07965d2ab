"""The sound of a part of a film."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dubkit.media.audio import load_samples, load_span
from dubkit.records import Floats

RATE = 16000


def write_sound(path: Path, samples: Floats, codec: str) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=RATE, layout="mono")
        block = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        block.sample_rate, block.pts, block.time_base = RATE, 0, Fraction(1, RATE)
        resampler = av.AudioResampler(stream.format.name, "mono", RATE, stream.frame_size or None)
        for part in [*resampler.resample(block), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def chirp(seconds: float) -> Floats:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * (200 + 60 * time) * time)).astype(np.float32)


@pytest.mark.parametrize("span", [(0.0, 1.0), (3.2, 4.7), (8.9, 9.8)])
def test_a_span_is_a_part_of_the_whole(tmp_path: Path, span: tuple[float, float]) -> None:
    path = write_sound(tmp_path / "film.mkv", chirp(10), "pcm_s16le")
    part = load_span(path, *span)
    whole = load_samples(path)[round(span[0] * RATE) : round(span[1] * RATE)]
    assert part is not None
    assert np.abs(part - whole).max() < 1e-3


def test_a_compressed_span_is_in_time(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "film.mp4", chirp(10), "aac")
    part = load_span(path, 5.0, 6.0)
    assert part is not None
    whole = load_samples(path)
    best = max(range(-400, 401, 5), key=lambda k: float(part @ whole[80000 + k : 96000 + k]))
    assert abs(best) <= 5


def test_beyond_the_end_is_silence(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "film.mkv", chirp(2), "pcm_s16le")
    part = load_span(path, 1.5, 2.5)
    assert part is not None
    assert len(part) == RATE
    assert np.abs(part[:7000]).max() > 0.3
    assert np.abs(part[9000:]).max() == 0


def test_before_the_start_is_silence(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "film.mkv", chirp(2), "pcm_s16le")
    part = load_span(path, -0.5, 0.5)
    assert part is not None
    assert np.abs(part[:7900]).max() == 0
    assert np.abs(part[8100:]).max() > 0.3


def test_a_film_without_sound_gives_none(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        frame.pts = 0
        container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
    assert load_span(path, 0.0, 1.0) is None
