"""How often a dub that does not lie on its film is found, and how often one that does is called wrong.

    python tests/benchmarks/conform_trials.py DATA [--trials 200] [--seed 0] [--minutes 8] [--set test]

Films are made up: lines of real speech in one language at random places over music, room sound and effects (made here),
and dubs with lines of another language at the same places (each up to 80 ms off and up to 15 % longer or shorter, a few
missing or added) with the same music and effects or without any. A dub is moved by up to 2 s and stretched by the ratio
of two frame rates, with its pitch or without. Beside them are dubs that lie right and dubs of other films.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubkit.errors import InputError
from dubkit.media.audio import SPEECH_RATE, load_samples
from dubkit.media.process import find_program, run
from dubkit.speech.sound_offset import RATIOS, Finding, band_levels, find
from dubkit.stages.conform import SURE

Samples = NDArray[np.float32]
LIMITS = {"common sound": 0.04, "speech": 0.25}  # seconds off the truth that count as found
_TEST_SETS = ("judge_talkvid", "judge_lrs3")


def speech_bank(data: Path, which: str) -> dict[str, list[Samples]]:
    """Phrases by language; ``test`` are other people than ``train``."""
    files: list[tuple[str, Path]] = []
    if which == "train":
        files = [(path.name[:2], path) for path in sorted((data / "audio").glob("*.flac"))]
    with (data / "clips.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            test = row["set"] in _TEST_SETS
            wanted = test if which == "test" else row["set"] in ("usgov", "hdtf", "webcam")
            if wanted:
                unknown = row["language"].strip("?") in ("", "en") and test
                group = f"group {len(files) % 4}" if unknown else row["language"].strip("?")
                files.append((group, data / row["file"]))
    bank: dict[str, list[Samples]] = defaultdict(list)
    for language, path in files:
        try:
            bank[language] += phrases(load_samples(path))
        except InputError:
            continue
    return {language: found for language, found in bank.items() if len(found) >= 2}


def phrases(samples: Samples) -> list[Samples]:
    """Stretches of sound between pauses of .2 s, at equal power."""
    hop = SPEECH_RATE // 100
    power = (samples[: len(samples) // hop * hop].reshape(-1, hop) ** 2).mean(1)
    loud = power > 0.03 * np.percentile(power, 90)
    loud = np.convolve(loud, np.ones(20), "same") > 0
    edges = np.flatnonzero(np.diff(np.pad(loud.astype(int), 1)))
    found = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        part = samples[start * hop : end * hop]
        for at in range(0, len(part), 5 * SPEECH_RATE):
            piece = part[at : at + 5 * SPEECH_RATE]
            if len(piece) > 0.5 * SPEECH_RATE:
                found.append(piece / max(1e-4, float(piece.std())) * 0.08)
    return found


def lines(random: np.random.Generator, seconds: float) -> list[tuple[float, float]]:
    """Start and length of the lines of a film."""
    at, found = float(random.uniform(0.5, 4)), []
    while at < seconds - 6:
        length = float(random.uniform(0.6, 4.5))
        found.append((at, length))
        pause = random.exponential(1.2) if random.random() < 0.85 else random.uniform(4, 20)
        at += length + 0.25 + float(pause)
    return found


def spoken(
    random: np.random.Generator,
    bank: list[Samples],
    spots: list[tuple[float, float]],
    seconds: float,
) -> Samples:
    """A track of speech with a phrase at every spot."""
    track: Samples = np.zeros(round(seconds * SPEECH_RATE), np.float32)
    for start, length in spots:
        wanted = round(length * SPEECH_RATE)
        piece = bank[random.integers(len(bank))]
        while len(piece) < wanted:
            piece = np.concatenate([piece, bank[random.integers(len(bank))]])
        piece = piece[:wanted] * np.float32(random.uniform(0.5, 1.4))
        at = max(0, round(start * SPEECH_RATE))
        part = track[at : at + wanted]
        part += piece[: len(part)]
    return track


def dubbed(
    random: np.random.Generator, spots: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """The lines of a dub: where those of the film are, but for what actors do."""
    kept = [spot for spot in spots if random.random() > 0.04]
    moved = [
        (start + float(random.normal(0, 0.06)), length * float(random.uniform(0.85, 1.15)))
        for start, length in kept
    ]
    extra = [spots[random.integers(len(spots))] for _ in range(len(spots) // 30)]
    return moved + [(start + length + 0.3, 0.8) for start, length in extra]


def effects(random: np.random.Generator, seconds: float) -> Samples:
    """Music, room sound and noises."""
    count = round(seconds * SPEECH_RATE)
    time_ = np.arange(count) / SPEECH_RATE
    noise = random.normal(size=count).astype(np.float32)
    room = np.convolve(noise, np.exp(-np.arange(200) / 30).astype(np.float32), "same") * 0.004
    swell = np.interp(
        time_, np.arange(0, seconds + 10, 10), random.uniform(0.3, 1, int(seconds // 10) + 2)
    )
    track = (room * swell).astype(np.float32)
    at = 0.0
    while at < seconds:  # passages of music between passages without
        length = float(random.uniform(8, 40))
        if random.random() < 0.5:
            music(random, track, at, min(length, seconds - at))
        at += length
    for _ in range(int(seconds / 6)):  # doors, steps, blows
        start, size = random.integers(count), int(random.uniform(0.05, 0.6) * SPEECH_RATE)
        part = track[start : start + size]
        burst = random.normal(size=len(part)) * np.exp(-np.arange(len(part)) / (size / 4))
        part += (burst * random.uniform(0.02, 0.15)).astype(np.float32)
    return track


def music(random: np.random.Generator, track: Samples, start: float, seconds: float) -> None:
    """Chords that change with a beat that is never quite even."""
    at, beat = start, float(random.uniform(0.3, 0.8))
    while at < start + seconds:
        length = beat * float(random.choice([1, 1, 2, 0.5])) * float(random.uniform(0.97, 1.03))
        low, size = round(at * SPEECH_RATE), round(length * 1.5 * SPEECH_RATE)
        part = track[low : low + size]
        when = np.arange(len(part)) / SPEECH_RATE
        chord = sum(
            np.sin(2 * np.pi * 110 * 2 ** (k / 12) * when) for k in random.integers(0, 36, 3)
        )
        part += (0.02 * chord * np.exp(-when * 2)).astype(np.float32)
        at += length


def moved(samples: Samples, offset: float, stretch: float, *, keep_pitch: bool) -> Samples:
    """The dub of which second u is second ``offset + stretch * u`` of ``samples``."""
    if keep_pitch and stretch != 1:
        argv = [str(find_program("ffmpeg")), "-v", "error", "-f", "f32le", "-ar", str(SPEECH_RATE)]
        argv += ["-ac", "1", "-i", "-", "-af", f"atempo={stretch:.9f}", "-f", "f32le", "-"]
        samples = np.frombuffer(run(argv, stdin=samples.tobytes()), np.float32)
        offset, stretch = offset / stretch, 1.0
    count = int((len(samples) / SPEECH_RATE - offset) / stretch * SPEECH_RATE)
    at = (offset + stretch * np.arange(count) / SPEECH_RATE) * SPEECH_RATE
    return np.interp(at, np.arange(len(samples)), samples, left=0, right=0).astype(np.float32)


def levels_of(samples: Samples) -> Samples:
    return band_levels(samples[at : at + 65536] for at in range(0, len(samples), 65536))


def trial(
    random: np.random.Generator, bank: dict[str, list[Samples]], minutes: float
) -> dict[str, object]:
    """One film and one dub, and what is found."""
    seconds = 60 * minutes * float(random.uniform(0.6, 1.4))
    first, second = random.choice(sorted(bank), 2, replace=False)
    spots, around = lines(random, seconds), effects(random, seconds)
    film = spoken(random, bank[first], spots, seconds) + around
    with_effects = bool(random.random() < 0.5)
    kind = str(random.choice(["moved", "moved", "right", "other"]))
    if kind == "other":  # of another film
        spots, around = lines(random, seconds), effects(random, seconds)
    dub = spoken(random, bank[second], dubbed(random, spots), seconds)
    if with_effects:
        dub = dub + np.float32(random.uniform(0.5, 1.5)) * around
    offset, stretch = 0.0, 1.0
    if kind == "moved":
        offset = float(random.uniform(-2, 2))
        stretch = float(random.choice(list(RATIOS)))
        dub = moved(dub, offset, stretch, keep_pitch=bool(random.random() < 0.5))
    dub = dub + random.normal(size=len(dub)).astype(np.float32) * np.float32(
        10 ** random.uniform(-5, -3.5)
    )
    began = time.process_time()
    found = find(levels_of(film), levels_of(dub))
    return {
        "kind": kind,
        "effects": with_effects,
        "seconds": round(seconds),
        "languages": f"{first} {second}",
        "offset": offset,
        "ratio": RATIOS[stretch],
        **judged(found, offset, stretch, seconds, kind),
        "cpu": round(time.process_time() - began, 2),
    }


def judged(
    found: Finding, offset: float, stretch: float, seconds: float, kind: str
) -> dict[str, object]:
    """Whether what was found is true, at the start and at the end of the dub."""
    ends = (0.0, (seconds - offset) / stretch)
    error = max(abs(found.offset + found.stretch * u - offset - stretch * u) for u in ends)
    sure = found.confidence >= SURE
    near = error <= LIMITS.get(found.basis, 0)
    return {
        "basis": found.basis,
        "score": round(found.score, 1),
        "confidence": round(found.confidence, 2),
        "error_ms": round(1000 * error, 1),
        "found": sure and near,
        "false": sure and (kind == "other" or not near),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--set", choices=("train", "test"), default="test")
    given = parser.parse_args()
    bank = speech_bank(given.data, given.set)
    random = np.random.default_rng(given.seed)
    rows = []
    for _ in range(given.trials):
        rows.append(trial(random, bank, given.minutes))
        print(json.dumps(rows[-1]), flush=True)  # noqa: T201
    for kind in ("moved", "right", "other"):
        for with_effects in (True, False):
            own = [r for r in rows if r["kind"] == kind and r["effects"] == with_effects]
            count = max(1, len(own))
            shares = {
                name: round(sum(bool(r[name]) for r in own) / count, 3)
                for name in ("found", "false")
            }
            print(kind, "with" if with_effects else "without", "effects:", len(own), shares)  # noqa: T201


if __name__ == "__main__":
    main()
