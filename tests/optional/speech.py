"""Speech with known word times: single words of espeak-ng, put on a track where we want them."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from dubkit.records import Floats

RATE = 16000


@dataclass(frozen=True)
class Spoken:
    """A track and its words: text, start, end in seconds."""

    samples: Floats
    words: tuple[tuple[str, float, float], ...]

    @property
    def text(self) -> str:
        return " ".join(word for word, _, _ in self.words)


@cache
def say(word: str, voice: str = "en-us", pitch: int = 50) -> Floats:
    """One word at 16 kHz without the silence around it."""
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("espeak-ng is not installed")
    command = [program, "--stdout", "-v", voice, "-p", str(pitch), "-s", "140", word]
    done = subprocess.run(command, capture_output=True, check=True)
    with wave.open(io.BytesIO(done.stdout)) as file:
        rate = file.getframerate()
        raw = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    sound = raw.astype(np.float32) / 32768
    at = np.arange(0, len(sound), rate / RATE)
    sound = np.interp(at, np.arange(len(sound)), sound).astype(np.float32)
    loud = np.flatnonzero(np.abs(sound) > 0.01)
    return np.asarray(sound[loud[0] : loud[-1] + 1], np.float32)


def speak(
    words: str, *, voice: str = "en-us", pitch: int = 50, seed: int = 0, pause: float = 0.0
) -> Spoken:
    """The words one after another with short pauses; ``pause`` seconds more before and after."""
    rng = np.random.default_rng(seed)
    parts = [np.zeros(round((pause + 0.3) * RATE), np.float32)]
    times = []
    for word in words.split():
        at = sum(map(len, parts))
        parts.append(say(word, voice, pitch))
        times.append((word, at / RATE, (at + len(parts[-1])) / RATE))
        parts.append(np.zeros(int(rng.integers(RATE // 20, RATE // 5)), np.float32))
    parts.append(np.zeros(round((pause + 0.3) * RATE), np.float32))
    samples = np.concatenate(parts)
    samples += rng.normal(0, 0.001, len(samples)).astype(np.float32)
    return Spoken(samples.astype(np.float32), tuple(times))
