"""A film of three shots of two still pictures under a slow camera, and its dub: faces whose every frame is known.

Credits of the pictures and of the speech are in ``assets/README.md``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from dubkit.config.schema import GenerateSettings
from dubkit.media.process import find_program, run
from dubkit.media.writer import FrameWriter
from dubkit.records import Color, Floats, Picture, StreamInfo, VideoInfo
from tests.clips import save_wav

ASSETS = Path(__file__).resolve().parent / "assets"
WIDTH, HEIGHT, RATE = 640, 480, 25
SOUND_RATE = 48000


@dataclass(frozen=True, slots=True)
class View:
    """What the camera sees of a picture, in the picture's pixels."""

    x: float  # center
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class PortraitShot:
    """A camera move over one picture."""

    picture: str  # file in the assets
    frames: int
    first: View
    last: View
    mirrored: bool = False


SHOTS = (
    PortraitShot("portrait.jpg", 90, View(238, 150, 370), View(232, 146, 310)),
    PortraitShot("launch.jpg", 40, View(320, 214, 560), View(320, 190, 500)),
    PortraitShot("portrait.jpg", 125, View(292, 122, 236), View(286, 119, 208), mirrored=True),
)


@dataclass(frozen=True, slots=True)
class PortraitFiles:
    """A film, its dub and its script."""

    film: Path
    dub: Path
    script: Path


def build_portrait_film(folder: Path) -> PortraitFiles:
    """Write film, dub and script into ``folder``; equal bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    files = PortraitFiles(folder / "film.mp4", folder / "dub.flac", folder / "dub.txt")
    shutil.copyfile(ASSETS / "dub.flac", files.dub)
    shutil.copyfile(ASSETS / "dub.txt", files.script)
    picture, sound = folder / ".film.nut", folder / ".film.wav"
    try:
        _write_pictures(picture)
        save_wav(sound, room_tone(sum(shot.frames for shot in SHOTS) / RATE), SOUND_RATE)
        _join(picture, sound, files.film)
    finally:
        picture.unlink(missing_ok=True)
        sound.unlink(missing_ok=True)
    return files


def film_info() -> VideoInfo:
    """The film's facts."""
    frames = sum(shot.frames for shot in SHOTS)
    return VideoInfo(
        width=WIDTH,
        height=HEIGHT,
        rate=Fraction(RATE),
        average_rate=Fraction(RATE),
        frames=frames,
        time_base=Fraction(1, RATE),
        pixel_format="yuv420p",
        codec="h264",
        color=Color(range=1, matrix=6, primaries=6, transfer=6),
        rotation=0,
        pixel_aspect=Fraction(1),
        duration=frames / RATE,
        video_stream=0,
        streams=(StreamInfo(0, "video", "h264"),),
        container="mp4",
    )


def render(shot: PortraitShot) -> Iterator[Picture]:
    """The shot's pictures, (H, W, 3) RGB."""
    encoded = np.frombuffer((ASSETS / shot.picture).read_bytes(), np.uint8)
    still = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB), np.uint8)
    if shot.mirrored:
        still = np.ascontiguousarray(still[:, ::-1])
    for frame in range(shot.frames):
        ease = 0.5 - 0.5 * np.cos(np.pi * frame / (shot.frames - 1))
        ends = ((shot.first.x, shot.last.x), (shot.first.y, shot.last.y))
        x, y = (first + (last - first) * ease for first, last in ends)
        width = shot.first.width + (shot.last.width - shot.first.width) * ease
        scale = WIDTH / width
        move = np.array([[scale, 0, WIDTH / 2 - scale * x], [0, scale, HEIGHT / 2 - scale * y]])
        yield cv2.warpAffine(
            still, move, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        ).astype(np.uint8)


def room_tone(seconds: float) -> Floats:
    """Quiet noise and mains hum, mono at `SOUND_RATE`, about -50 dB."""
    count = round(seconds * SOUND_RATE)
    noise = np.random.default_rng(7).standard_normal(count)
    kernel = np.hanning(48) / np.hanning(48).sum()
    hum = np.sin(2 * np.pi * 100 * np.arange(count) / SOUND_RATE)
    return (0.01 * np.convolve(noise, kernel, mode="same") + 0.001 * hum).astype(np.float32)


def _write_pictures(path: Path) -> None:
    settings = GenerateSettings(codec="h264", quality=14.0, speed="veryfast")
    with FrameWriter(path, film_info(), settings) as writer:
        pictures = (picture for shot in SHOTS for picture in render(shot))
        for pts, picture in enumerate(pictures):
            yuv = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).astype(np.uint8)
            luma, chroma = yuv[:HEIGHT], yuv[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
            writer.write((luma, chroma[0], chroma[1]), pts)


def _join(picture: Path, sound: Path, film: Path) -> None:
    exact = ["-fflags", "+bitexact", "-flags:a", "+bitexact"]
    inputs = ["-i", f"file:{picture}", "-i", f"file:{sound}"]
    codecs = ["-c:v", "copy", "-c:a", "aac", "-b:a", "64k", "-ac", "1"]
    ffmpeg = str(find_program("ffmpeg"))
    run([ffmpeg, "-v", "error", "-y", *inputs, *codecs, *exact, f"file:{film}"])
