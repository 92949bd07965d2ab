"""A two-hour film from start to end: memory, marks of sound and picture, cost of each shot."""

from __future__ import annotations

import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from dubkit.media.audio import load_samples
from tests.clips import ffmpeg
from tests.torture.films import RATE, SOUND_RATE, LongInputs, long_inputs
from tests.torture.processes import Memory, Trial, processor_seconds, start

SAMPLE_SECONDS = 3.0


def endure(folder: Path, minutes: int = 120, jobs: int = 2) -> dict[str, Any]:
    """A film of ``minutes`` through the whole pipeline, its faces found and their mouths passed through."""
    inputs = long_inputs(folder, minutes)
    before, began = processor_seconds(), time.monotonic()
    words = ["run", inputs.film, "--audio", inputs.dub, "--jobs", jobs, "--json", "--overwrite"]
    settings = ["--set", "generate.synthesizer=passthrough", "--set", "generate.speed=ultrafast"]
    trial = start([*map(str, words), *settings], folder)
    memory = Memory()
    while trial.wait(SAMPLE_SECONDS) is None:
        memory.sample(trial.family())
    wall, spent = time.monotonic() - began, processor_seconds() - before
    assert trial.process.returncode in (0, 10), trial.err()
    result = trial.events()[-1]
    shots = result["facts"]["stages"]["shots.shots"]
    return {
        "frames": inputs.frames,
        "shots": shots,
        "wall_seconds": round(wall),
        "cpu_seconds": round(spent),
        "frames_a_cpu_second": round(inputs.frames / spent),
        "cpu_ms_a_shot": round(1000 * spent / shots),  # nothing is generated: all of it is overhead
        "left_over": trial.left_over(),
        "peak_mb": round(memory.peak),
        **_flatness(memory, began, trial),
        "offsets_in_frames": _offsets(inputs, Path(result["output"])),
        "lengths": _lengths(Path(result["output"])),
        "stage_seconds": _stage_seconds(trial),
    }


def _flatness(memory: Memory, began: float, trial: Trial) -> dict[str, Any]:
    """The highest of each tenth of the run, and of each third of the stages that go from shot to shot."""
    tenth = max(1, len(memory.used) // 10)
    tenths = [max(memory.used[i : i + tenth]) for i in range(0, len(memory.used), tenth)]
    thirds = {}
    for stage in ("faces", "generate"):
        ends = [e["time"] for e in trial.events() if e["event"] == "unit" and e["stage"] == stage]
        edges = np.linspace(min(ends), max(ends), 4) + began
        inside = [
            [used for at, used in zip(memory.times, memory.used, strict=True) if a <= at <= b]
            for a, b in pairwise(edges)
        ]
        thirds[stage] = [round(max(used, default=0.0)) for used in inside]
    return {"peak_mb_by_tenths": [round(used) for used in tenths], "peak_mb_by_thirds": thirds}


def _stage_seconds(trial: Trial) -> dict[str, float]:
    """By the clock, of all workers."""
    seconds: dict[str, float] = defaultdict(float)
    for event in trial.events():
        if event["event"] == "unit":
            seconds[event["stage"]] += event["seconds"]
    return {stage: round(spent, 1) for stage, spent in seconds.items()}


def _offsets(inputs: LongInputs, output: Path) -> list[float]:
    """How far the white picture is from the click in the result, for each mark, in frames."""
    folder = output.parent
    offsets = []
    for mark in inputs.marks:
        begin = max(0.0, mark / RATE - 1)
        part = folder / "part.mkv"
        ffmpeg(
            "-i", output, "-ss", f"{begin}", "-t", "2", "-c:v", "ffv1", "-c:a", "pcm_s16le", part
        )
        samples = load_samples(part, SOUND_RATE)
        heard = float(np.argmax(np.abs(samples) > 0.6)) / SOUND_RATE
        offsets.append(round((_white(part) - heard) * RATE, 2))
        part.unlink()
    return offsets


def _white(path: Path) -> float:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.to_ndarray(format="gray").mean() > 240 and frame.time is not None:
                return float(frame.time - (container.start_time or 0) / av.time_base)
    raise AssertionError(f"no white picture in {path}")


def _lengths(path: Path) -> dict[str, float]:
    with av.open(str(path)) as container:
        return {
            s.type: round(float((s.duration or 0) * (s.time_base or 0)), 3)
            for s in container.streams
        }
