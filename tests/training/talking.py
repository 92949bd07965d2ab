"""Talking films for tests: painted faces whose mouths go with real speech, and an aligner that is quick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dubkit.config.presets import load_config
from dubkit.config.schema import Config
from dubkit.errors import InputError
from dubkit.media.audio import load_samples
from dubkit.records import Floats, Phoneme, ScriptLine, Speech
from tests.painted import Person, paint
from tests.portrait import ASSETS

SIZE = (208, 160)
RATE = 25
ENGINES = (
    "faces.detector=tests.painted:PaintedDetector",
    "faces.landmarker=tests.painted:PaintedLandmarker",
    "speech.aligner=tests.training.talking:QuickAligner",
    "shots.detector=fixed",
    "train.prepare.min_focus=0",  # painted faces are ramps of color
    "parallel.jobs=1",
)


class QuickAligner:
    """Says ``a`` wherever the sound is loud, by whichever way it is asked for."""

    name = "quick"
    version = "1"

    def __init__(self, settings: object = None, device: str = "cpu") -> None: ...

    def align(
        self, samples: Floats, script: tuple[ScriptLine, ...] | None, language: str | None
    ) -> Speech:
        if script and "another" in script[0].text:
            raise InputError("the script is that of another dub")
        path = "script" if script else "phone-loop" if language == "und" else "recognition"
        duration, cells = len(samples) / 16000, max(1, len(samples) // 1600)
        loud = [bool(np.abs(part).max() > 0.02) for part in np.array_split(samples, cells)]
        edges = np.linspace(0, duration, cells + 1).tolist()
        spoken = [Phoneme("a" if loud[i] else "sil", edges[i], edges[i + 1]) for i in range(cells)]
        return Speech("en", duration, (), tuple(spoken), "quick 1", path)


def config(*settings: str) -> Config:
    return load_config([], [*ENGINES, *settings])


def speech(seconds: float) -> Floats:
    """Real speech, of the demo, over and over."""
    sound = load_samples(ASSETS / "dub.flac")
    return np.resize(sound, round(seconds * 16000)).astype(np.float32)


def openings(sound: Floats, frames: int, late: float = 0.0) -> Floats:
    """How far a mouth opens at each frame, 0..1, by the loudness of the sound ``late`` seconds before."""
    times = np.arange(frames) / RATE - late
    level = [
        float(
            np.abs(
                sound[max(0, round((t - 0.03) * 16000)) : max(1, round((t + 0.05) * 16000))]
            ).mean()
        )
        for t in times
    ]
    return np.clip(np.array(level, np.float32) / (np.percentile(level, 90) + 1e-6), 0, 1)


Cast = Callable[[int, float], Sequence[Person]]  # frame, opening -> the people in it


def one_face(frame: int, opening: float) -> list[Person]:
    """A face that sways a little."""
    x = SIZE[0] / 2 + 4 * np.sin(frame / 9)
    return [Person(0, float(x), 62.0, 32.0, float(2 * np.sin(frame / 13)), opening)]


def write_film(
    path: Path,
    seconds: float = 2.0,
    *,
    late: float = 0.0,
    cast: Cast = one_face,
    sound: Floats | None = None,
    mute: bool = False,
    grain: float = 3.0,
) -> Path:
    """A film of painted people that speak; ``mute`` leaves its sound out."""
    frames = round(seconds * RATE)
    spoken = speech(seconds) if sound is None else sound
    opening = openings(speech(seconds), frames, late)
    random, step = np.random.default_rng(frames), 16000 // RATE
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=RATE)
        video.width, video.height, video.pix_fmt = *SIZE, "bgr0"
        audio = None if mute else container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for index in range(frames):
            picture = paint(cast(index, float(opening[index])), *SIZE).astype(np.float32)
            painted = picture.max(2, keepdims=True) > 0
            noise = random.normal(0, grain, 3) + random.normal(0, grain / 3, picture.shape)
            picture += noise.astype(np.float32) * painted
            shown = np.clip(np.round(picture), 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(video.encode(frame.reformat(format="bgr0")))
            if audio is not None:
                part = spoken[index * step : (index + 1) * step]
                samples = (np.clip(part, -1, 1)[None] * 32767).astype(np.int16)
                block = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                block.sample_rate, block.pts = 16000, index * step
                container.mux(audio.encode(block))
        container.mux(video.encode())
        if audio is not None:
            container.mux(audio.encode())
    return path
