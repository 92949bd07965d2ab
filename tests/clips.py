"""Tiny films and sounds for tests, made with ffmpeg and PyAV: never real footage."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import GenerateSettings
from dubkit.media.concat import join_segments
from dubkit.media.planes import Plane, plane_format
from dubkit.media.process import find_program, run
from dubkit.media.writer import FrameWriter
from dubkit.records import Color, StreamInfo, VideoInfo


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg, quietly."""
    run([str(find_program("ffmpeg")), "-nostdin", "-v", "error", "-y", *map(str, arguments)])


def film(
    path: Path,
    *,
    size: str = "96x64",
    rate: str = "25",
    seconds: float = 1.0,
    sound: bool = True,
    video: Sequence[str] = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "12"),
    extra: Sequence[str] = (),
) -> Path:
    """A film of a moving test picture, with a tone beside it."""
    inputs = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]
    if sound:
        inputs += ["-f", "lavfi", "-i", f"sine=440:sample_rate=44100:duration={seconds}"]
    ffmpeg(*inputs, *video, *extra, f"file:{path}")
    return path


def hdr10_plus(brightness: int = 50000) -> bytes:
    """A message of HDR10+ (ST 2094-40) with the least that decoders take: one window, without percentiles."""
    window = 3 * f"{brightness:017b}" + f"{20000:017b}" + "0" * 14
    bits = f"{1:08b}{1:02b}{4000:027b}0{window}" + "000"
    bits += "0" * (-len(bits) % 8)
    return b"\xb5\x00\x3c\x00\x01\x04" + int(bits, 2).to_bytes(len(bits) // 8, "big")


def shots_film(path: Path, lengths: Sequence[int], *, rate: int = 25, size: str = "160x96") -> Path:
    """A film whose shots are quiet pictures of very different colors, ``lengths`` frames each."""
    colors = ("red", "white", "navy", "yellow", "black", "lime", "purple", "orange")
    inputs: list[str] = []
    for number, length in enumerate(lengths):
        color = colors[number % len(colors)]
        source = f"color={color}:size={size}:rate={rate}:duration={length / rate}"
        inputs += ["-f", "lavfi", "-i", source]
    joined = (
        "".join(f"[{n}]" for n in range(len(lengths))) + f"concat=n={len(lengths)},format=yuv420p"
    )
    ffmpeg(*inputs, "-filter_complex", joined, "-c:v", "libx264", "-bf", "2", f"file:{path}")
    return path


def pictures_film(path: Path, pictures: Sequence[NDArray[np.uint8]], *, sound: bool = True) -> Path:
    """RGB pictures as H.264 at 25 a second, with a quiet tone beside them or without any sound."""
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"crf": "14"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    if sound:
        silent = path.rename(path.with_name(f"silent-{path.name}"))
        tone = ["-f", "lavfi", "-i", f"sine=frequency=200:duration={len(pictures) / 25}"]
        ffmpeg("-i", silent, *tone, "-c:v", "copy", "-c:a", "aac", path)
    return path


def noise(info: VideoInfo, frames: int, seed: int = 0) -> list[tuple[Plane, ...]]:
    """Random planes of the film's format: what no lossy step survives."""
    layout = plane_format(info)
    random = np.random.default_rng(seed)
    width, height = info.width, info.height
    across, down = layout.shift
    small = (-(-height // 2**down), -(-width // 2**across))
    shapes = [(height, width)] + [(height, width) if layout.is_rgb else small] * (layout.planes - 1)
    top = 2**layout.depth
    return [
        tuple(random.integers(0, top, shape).astype(layout.sample_type) for shape in shapes)
        for _ in range(frames)
    ]


def facts(
    pixel_format: str = "yuv420p",
    *,
    width: int = 64,
    height: int = 48,
    rate: Fraction = Fraction(25),
    time_base: Fraction = Fraction(1, 25),
    frames: int = 10,
    rotation: int = 0,
    pixel_aspect: Fraction = Fraction(1),
    color: Color | None = None,
) -> VideoInfo:
    """Facts of a film that is yet to be made."""
    return VideoInfo(
        width=width,
        height=height,
        rate=rate,
        average_rate=rate,
        frames=frames,
        time_base=time_base,
        pixel_format=pixel_format,
        codec="h264",
        color=color or Color(),
        rotation=rotation,
        pixel_aspect=pixel_aspect,
        duration=float(frames / rate),
        video_stream=0,
        streams=(StreamInfo(0, "video", "h264"),),
        container="mov",
    )


def timed_film(path: Path, times: Sequence[int], time_base: Fraction, *, size: int = 64) -> Path:
    """A film (B-frames, H.264) whose pictures are shown at ``times``, any spacing."""
    spacing = Fraction(times[-1] - times[0], len(times) - 1) * time_base
    info = facts(width=size, height=size, rate=1 / spacing, time_base=time_base, frames=len(times))
    pictures = noise(info, len(times))
    segment, joined = path.with_suffix(".segment"), path.with_suffix(".joined")
    with FrameWriter(segment, info, GenerateSettings(quality=20)) as writer:
        for planes, at in zip(pictures, times, strict=True):
            writer.write(planes, at)
    pts: NDArray[np.int64] = np.array(times, np.int64)
    join_segments([segment], pts, time_base, joined)
    scale = ("-video_track_timescale", str(time_base.denominator)) if path.suffix == ".mp4" else ()
    ffmpeg("-i", joined, "-c", "copy", *scale, f"file:{path}")
    segment.unlink()
    joined.unlink()
    return path


def turned(info: VideoInfo, rotation: int, aspect: Fraction = Fraction(1)) -> VideoInfo:
    return replace(info, rotation=rotation, pixel_aspect=aspect)


def tone(path: Path, seconds: float, rate: int = 16000, level: float = 0.5) -> Path:
    """A WAV file of a 220 Hz tone."""
    samples = level * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def save_wav(path: Path, samples: NDArray[np.float32], rate: int = 16000) -> None:
    """Write mono samples (N,), -1..1, as 16-bit WAV."""
    whole = np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(whole.tobytes())
