"""Videos of the page: two films in one picture, frame by frame, and their sounds apart."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dubkit.media.probe import probe
from dubkit.media.process import find_program, run
from dubkit.records import Placement, VideoInfo
from dubkit.review.proxies import WAVE_RATE, FilmTask, film_size, make_film, room_for_film, wave
from tests.clips import save_wav

MEGABYTE = 2**20


def ffmpeg(*words: str) -> None:
    run([str(find_program("ffmpeg")), "-v", "error", "-y", *words])


def counted(path: Path, hertz: int, rate: str, *more: str) -> Path:
    """A film whose gray level counts its frames, with a tone."""
    gray = f"color=black:size=192x144:rate={rate}:duration=2,format=gray,geq=lum='mod(N*37,200)+20'"
    tone = f"sine=frequency={hertz}:duration=2"
    inputs = ["-f", "lavfi", "-i", gray, "-f", "lavfi", "-i", tone]
    ffmpeg(*inputs, *more, "-c:v", "ffv1", "-c:a", "pcm_s16le", str(path))
    return path


@pytest.mark.parametrize("rate", ["25", "30000/1001"])
def test_both_halves_are_the_same_frame_and_each_sound_has_its_channel(
    tmp_path: Path, rate: str
) -> None:
    film = counted(tmp_path / "film.mkv", 300, rate)
    dubbed = counted(tmp_path / "dubbed.mov", 1200, rate)
    info, pts = probe(film)
    task = FilmTask(film, dubbed, info, int(pts[0]), 8 * MEGABYTE)
    made = make_film(task, tmp_path / "out.mp4", tmp_path / "state")
    assert made == {"width": 192, "height": 144, "sounds": {"original": True, "dub": True}}
    with av.open(str(tmp_path / "out.mp4")) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(pictures) == info.frames
    for picture in pictures:
        left, right = picture[24:120, 24:168].mean(), picture[24:120, 216:360].mean()
        assert left == pytest.approx(right, abs=6)
    assert len({round(float(p[24:120, 24:168].mean()) / 8) for p in pictures}) > 10, "frames differ"
    with av.open(str(tmp_path / "out.mp4")) as container:
        sound = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    rate_ = 32000
    power = [np.abs(np.fft.rfft(channel[: 2 * rate_])) for channel in sound]
    for channel, own, other in ((0, 300, 1200), (1, 1200, 300)):
        assert power[channel][2 * own] > 30 * power[channel][2 * other]


def test_a_film_without_sound_has_the_dub_in_both_channels(tmp_path: Path) -> None:
    film = counted(tmp_path / "film.mkv", 300, "25", "-map", "0:v")
    dubbed = counted(tmp_path / "dubbed.mkv", 1200, "25")
    info, pts = probe(film)
    made = make_film(
        FilmTask(film, dubbed, info, int(pts[0]), 8 * MEGABYTE),
        tmp_path / "out.mp4",
        tmp_path / "state",
    )
    assert made is not None
    assert made["sounds"] == {"original": False, "dub": True}
    with av.open(str(tmp_path / "out.mp4")) as container:
        sound = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    assert np.abs(sound[0]).max() > 0.05
    assert np.abs(sound[1]).max() > 0.05


def film_of(tmp_path: Path, minutes: float) -> VideoInfo:
    info, _ = probe(counted(tmp_path / "film.mkv", 300, "25"))
    frames = round(minutes * 60 * 25)
    return replace(
        info, width=1920, height=1080, duration=minutes * 60.0, frames=frames, rate=Fraction(25)
    )


def test_the_picture_is_as_large_as_the_room_allows(tmp_path: Path) -> None:
    info = film_of(tmp_path, 90)
    assert film_size(info, 20 * MEGABYTE) is None
    assert film_size(info, room_for_film(5400.0)) is not None
    heights = []
    for room in (90, 200, 400, 1600):
        size = film_size(info, room * MEGABYTE)
        assert size is not None
        heights.append(size[1])
        assert (size[2] + 64000) * 5400 / 8 < room * MEGABYTE
    assert heights == sorted(heights)
    assert (heights[0], heights[-1]) == (144, 360)


def test_a_film_keeps_to_its_room(tmp_path: Path) -> None:
    noise = "nullsrc=size=640x360:rate=25:duration=10,geq=lum='random(1)*255':cb=128:cr=128"
    film = tmp_path / "film.mp4"
    ffmpeg("-f", "lavfi", "-i", noise, "-c:v", "libx264", "-preset", "ultrafast", str(film))
    info, pts = probe(film)
    out = tmp_path / "out.mp4"
    limit = 0.6 * MEGABYTE
    assert make_film(FilmTask(film, film, info, int(pts[0]), limit), out, tmp_path / "state")
    assert out.stat().st_size < limit


def test_a_wave_lies_where_the_sound_is_heard(tmp_path: Path) -> None:
    samples = np.zeros(32000, np.float32)
    samples[16000:17600] = 0.5 * np.sin(np.arange(1600))
    save_wav(tmp_path / "dub.wav", samples)
    bars = wave(tmp_path / "dub.wav", Placement(1.0), 4.0)
    assert bars is not None
    assert len(bars) == 4 * WAVE_RATE
    loud = [number for number, bar in enumerate(bars) if bar > 60]
    assert min(loud) in range(98, 102)
    assert max(loud) in range(103, 107)
    assert wave(tmp_path / "nothing.wav", Placement(), 1.0) is None
