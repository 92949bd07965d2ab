"""Films for the trials: made on the spot from the pictures and the speech that the demo carries."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.media.audio import load_samples
from tests.clips import ffmpeg
from tests.portrait import ASSETS, PortraitShot, View, render

RATE = 25
SOUND_RATE = 16000
Picture = NDArray[np.uint8]  # (H, W, 3) RGB
Samples = NDArray[np.float32]  # (N,), -1..1

_FACE = PortraitShot("portrait.jpg", 25, View(292, 122, 236), View(286, 119, 208))
_WIDE = PortraitShot("portrait.jpg", 25, View(238, 150, 370), View(232, 146, 310))
_NONE = PortraitShot("launch.jpg", 25, View(320, 214, 560), View(320, 190, 500))


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run is given."""

    film: Path
    dub: Path
    script: Path


def small_inputs(
    folder: Path, shots: int = 4, frames: int = 12, size: tuple[int, int] = (320, 240)
) -> Inputs:
    """A film of a few short shots, most of them with a face, and a dub as long as it."""
    kinds = (_FACE, _NONE, _WIDE, _mirrored(_FACE), _mirrored(_WIDE))
    folder.mkdir(parents=True, exist_ok=True)
    files = Inputs(folder / "film.mp4", folder / "dub.wav", folder / "dub.txt")
    chosen = [_lasting(kinds[n % len(kinds)], frames) for n in range(shots)]
    write_film(files.film, (p for shot in chosen for p in pictures(shot, size)))
    speech = load_samples(ASSETS / "dub.flac", SOUND_RATE)
    write_wav(files.dub, [speech[: round(shots * frames / RATE * SOUND_RATE)]])
    files.script.write_text("My portrait has been silent\n", encoding="utf-8")
    return files


def _mirrored(shot: PortraitShot) -> PortraitShot:
    return PortraitShot(shot.picture, shot.frames, shot.first, shot.last, mirrored=True)


def _lasting(shot: PortraitShot, frames: int) -> PortraitShot:
    return PortraitShot(shot.picture, frames, shot.first, shot.last, shot.mirrored)


def pictures(shot: PortraitShot, size: tuple[int, int]) -> Iterator[Picture]:
    """The pictures of a shot at another size."""
    for picture in render(shot):
        yield cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def write_film(path: Path, frames: Iterator[Picture], sound: bool = True) -> None:
    """H.264 at 25 a second; with ``sound``, a quiet tone beside it."""
    silent = path.with_name(f"silent-{path.name}") if sound else path
    count = 0
    with av.open(str(silent), "w") as target:
        stream = target.add_stream("libx264", rate=RATE, options={"crf": "20", "threads": "1"})
        stream.pix_fmt = "yuv420p"
        for picture in frames:
            if not count:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            target.mux(stream.encode(frame))
            count += 1
        target.mux(stream.encode(None))
    if sound:
        tone = ["-f", "lavfi", "-i", f"sine=frequency=200:duration={count / RATE}"]
        ffmpeg("-i", silent, *tone, "-c:v", "copy", "-c:a", "aac", path)
        silent.unlink()


def write_wav(path: Path, blocks: Sequence[Samples] | Iterator[Samples]) -> None:
    """Mono 16-bit sound at `SOUND_RATE`, block by block."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        for block in blocks:
            file.writeframes(np.rint(np.clip(block, -1, 1) * 32767).astype("<i2").tobytes())


@dataclass(frozen=True, slots=True)
class LongInputs:
    """A long film, its dub, and where both hold their marks: one white picture and one click."""

    film: Path
    dub: Path
    marks: tuple[int, int]  # pictures, near the start and near the end
    frames: int


def long_inputs(folder: Path, minutes: int, size: tuple[int, int] = (192, 144)) -> LongInputs:
    """A film joined from short clips by stream copy, ten seconds of speech in each two minutes of its dub."""
    folder.mkdir(parents=True, exist_ok=True)
    marked, plain = _clips(folder, size)
    order, frames = [marked], 4 * RATE
    number = 0
    while frames < minutes * 60 * RATE - 4 * RATE:
        path, length = plain[number * 3 % len(plain)]
        order.append((path, length))
        frames += length
        number += 1
    order.append(marked)
    frames += 4 * RATE
    marks = (2 * RATE, frames - 2 * RATE)
    film, dub = folder / "film.mp4", folder / "dub.wav"
    _concat(folder, [path for path, _ in order], frames, film)
    write_wav(dub, _speech(frames, marks))
    return LongInputs(film, dub, marks, frames)


def _clips(folder: Path, size: tuple[int, int]) -> tuple[tuple[Path, int], list[tuple[Path, int]]]:
    white = np.full((size[1], size[0], 3), 255, np.uint8)
    base = list(pictures(_lasting(_WIDE, 4 * RATE), size))
    base[2 * RATE] = white
    marked = folder / "marked.mp4"
    write_film(marked, iter(base), sound=False)
    plain = []
    for number, (kind, seconds) in enumerate(_SEQUENCE):
        path = folder / f"clip{number}.mp4"
        if isinstance(kind, PortraitShot):
            write_film(path, pictures(_lasting(kind, seconds * RATE), size), sound=False)
        else:
            _write_faceless(path, kind, seconds, size)
        plain.append((path, seconds * RATE))
    return (marked, 4 * RATE), plain


_SEQUENCE: tuple[tuple[PortraitShot | str, int], ...] = (
    (_FACE, 1), ("mandelbrot=size={}:rate=25:start_scale=2", 7), ("testsrc2=size={}:rate=25", 6),
    (_WIDE, 1), ("cellauto=size={}:rate=25:rule=30:random_seed=7", 5),
    ("mandelbrot=size={}:rate=25:start_x=0.3:start_y=0.03:start_scale=0.5", 9),
    (_mirrored(_FACE), 1), ("life=size={}:rate=25:random_seed=3:mold=8", 8),
)  # fmt: skip


def _write_faceless(path: Path, kind: str, seconds: int, size: tuple[int, int]) -> None:
    source = kind.format("x".join(map(str, size)))
    coded = ["-c:v", "libx264", "-threads", "1", "-crf", "20", "-pix_fmt", "yuv420p"]
    # one time base in all clips, so that they can be joined as they are
    ffmpeg(
        "-f",
        "lavfi",
        "-i",
        source,
        "-t",
        str(seconds),
        *coded,
        "-video_track_timescale",
        "12800",
        path,
    )


def _concat(folder: Path, paths: Sequence[Path], frames: int, film: Path) -> None:
    listing = folder / "clips.ffconcat"
    lines = ["ffconcat version 1.0", *(f"file {path.name}" for path in paths)]
    listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
    noise = f"anoisesrc=amplitude=0.01:sample_rate=16000:duration={frames / RATE}"
    inputs = ["-f", "concat", "-i", str(listing), "-f", "lavfi", "-i", noise]
    ffmpeg(*inputs, "-c:v", "copy", "-c:a", "aac", "-b:a", "24k", film)
    listing.unlink()


def _speech(frames: int, marks: tuple[int, int]) -> Iterator[Samples]:
    """One second after another."""
    words = load_samples(ASSETS / "dub.flac", SOUND_RATE)
    room = 0.001 * np.random.default_rng(3).standard_normal(SOUND_RATE)
    for second in range(frames // RATE):
        block = room.astype(np.float32)
        at = second % 120 - 10  # the speech of two minutes begins at their tenth second
        if at >= 0:
            said = words[at * SOUND_RATE : (at + 1) * SOUND_RATE]
            block[: len(said)] += said
        for mark in marks:
            if mark // RATE == second:
                place = mark % RATE * SOUND_RATE // RATE
                block[place : place + 80] = 0.9
        yield block
