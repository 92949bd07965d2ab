"""Cuts and transitions found in random films, and cuts found where there are none.

    python tests/benchmarks/bench_shots.py CLIPS... [--films 20] [--seed 1] [--false] [--keep FOLDER]

Joins random parts of the clips (files or folders) into films: plain, with color noise, pans, shake, zooms, blur,
flashes and light that changes; joined by hard cuts, dissolves, wipes, fades and slides. Prints how many cuts are found
within one frame, how many transitions are found and how much of them is covered, and what is found where nothing is.
With ``--false`` the clips themselves are run, in which every cut is a false one (but in those of several shots).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import ShotSettings
from dubkit.engines.registry import load_engine
from dubkit.media.probe import probe

Picture = NDArray[np.uint8]
RATE = 25
WIDTH, HEIGHT = 448, 256
TREATMENTS = ("plain", "plain", "plain", "noise", "pan", "shake", "zoom", "blur", "light", "flash")
JOINS = ("cut", "cut", "cut", "cut", "dissolve", "dissolve", "wipe", "circle", "slide", "fade")
SUFFIXES = (".mp4", ".mkv", ".mpg", ".mov")


def pictures(path: Path, start: float, count: int) -> list[Picture]:
    """``count`` pictures of a clip from ``start`` seconds on, cropped to the film's shape."""
    scale = f"scale={WIDTH}:{HEIGHT}:force_original_aspect_ratio=increase"
    scale += f",crop={WIDTH}:{HEIGHT},fps={RATE}"
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-ss",
        str(start),
        "-i",
        str(path),
        "-vf",
        scale,
    ]
    command += ["-frames:v", str(count), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return list(np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3))


def treated(kind: str, shots: list[Picture], chance: np.random.Generator) -> list[Picture]:
    """A shot as a film may show it."""
    if kind == "noise":
        level = chance.uniform(8, 40)
        return [clipped(p + chance.normal(0, level, p.shape)) for p in shots]
    if kind == "blur":
        return [clipped(cv2.GaussianBlur(p, (0, 0), 4)) for p in shots]
    if kind == "light":
        swing = 0.35 * np.sin(np.arange(len(shots)) * chance.uniform(0.1, 0.4))
        return [clipped(p * (1 + s)) for p, s in zip(shots, swing, strict=True)]
    if kind == "flash":
        at = int(chance.integers(8, len(shots) - 8))
        return [clipped(p * 3.0 + 90) if at <= i < at + 2 else p for i, p in enumerate(shots)]
    if kind in ("pan", "shake", "zoom"):
        return [moved(kind, i, p, 2 if kind == "pan" else 1.25) for i, p in enumerate(shots)]
    return shots


def moved(kind: str, index: int, picture: Picture, zoom: float) -> Picture:
    """The picture of a moving camera."""
    dx = dy = 0.0
    room = (zoom - 1) / 2
    if kind == "pan":
        dx = 0.9 * room * WIDTH * np.sin(index * 0.3)
    elif kind == "shake":
        dx, dy = 0.8 * room * WIDTH * np.sin(index * 1.7), 0.8 * room * HEIGHT * np.cos(index * 2.3)
    else:
        zoom = 1.0 + 0.012 * index
    matrix = np.array(
        [[zoom, 0, WIDTH * (1 - zoom) / 2 + dx], [0, zoom, HEIGHT * (1 - zoom) / 2 + dy]]
    )
    return np.asarray(cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT)), np.uint8)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def clipped(values: NDArray[Any]) -> Picture:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def mixed(kind: str, a: Picture, b: Picture, part: float) -> Picture:
    """What a transition shows when ``part`` of it is over."""
    if kind == "dissolve":
        return clipped(a * (1 - part) + b * part)
    if kind == "fade":
        return clipped(a * max(0.0, 1 - 2 * part) + b * max(0.0, 2 * part - 1))
    if kind == "slide":
        edge = round(WIDTH * part)
        return np.concatenate([a[:, edge:], b[:, :edge]], 1)
    if kind == "wipe":
        shown = np.arange(WIDTH)[None, :] < WIDTH * part
    else:
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        shown = np.hypot(x - WIDTH / 2, y - HEIGHT / 2) < np.hypot(WIDTH, HEIGHT) / 2 * part
    return np.asarray(np.where(shown[..., None], b, a), np.uint8)


def random_film(
    clips: list[Path], chance: np.random.Generator, path: Path
) -> list[tuple[str, int, int, str]]:
    """Write a film; its joins: kind, first frame, end, treatments of the shots at both sides."""
    film: list[Picture] = []
    joins: list[tuple[str, int, int, str]] = []
    before, last = "", ""
    for _ in range(9):
        while True:
            clip = clips[int(chance.integers(len(clips)))]
            found = pictures(clip, float(chance.uniform(0, 1.0)), int(chance.integers(30, 75)))
            if len(found) >= 30 and str(clip) != last:
                break
        last = str(clip)
        kind = str(chance.choice(TREATMENTS))
        shot = treated(kind, found, chance)
        join = str(chance.choice(JOINS)) if film else "none"
        if join == "cut":
            joins.append((join, len(film), len(film), f"{before}|{kind}"))
        elif join != "none":
            length = int(chance.integers(8, 28))
            length = min(
                length, len(shot) - 6, 24 if len(joins) == 0 else len(film) - joins[-1][2] - 6
            )
            if length < 6:
                joins.append(("cut", len(film), len(film), f"{before}|{kind}"))
            else:
                start = len(film) - length
                parts = (np.arange(length) + 1) / (length + 1)
                film[start:] = [
                    mixed(join, film[start + i], shot[i], float(p)) for i, p in enumerate(parts)
                ]
                joins.append((join, start, start + length, f"{before}|{kind}"))
                shot = shot[length:]
        film += shot
        before = kind
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{WIDTH}x{HEIGHT}", "-r", str(RATE), "-i", "-", "-c:v", "libx264"]
    command += ["-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, input=np.stack(film).tobytes(), check=True)
    return joins


def score(
    joins: list[tuple[str, int, int, str]],
    cuts: list[int],
    spans: list[tuple[int, int, str]],
    table: Counter[str],
    name: str,
) -> None:
    """Count what was found of the joins of one film."""
    free = set(cuts)
    for kind, start, end, sides in joins:
        table[f"{kind} all"] += 1
        near = {c for c in free if start - (1 if kind == "cut" else 3) <= c <= end + 3}
        if kind == "cut":
            near = {c for c in near if abs(c - start) <= 1}
        table[f"{kind} border"] += bool(near)
        free -= near
        if not near:
            say(f"  {name}: {kind} at {start}-{end} missed ({sides})")
        if kind != "cut":
            covered = np.zeros(end - start, np.bool_)
            for a, b, _ in spans:
                covered[max(a - start, 0) : max(b - start, 0)] = True
            table[f"{kind} frames"] += end - start
            table[f"{kind} kept as filmed"] += int(covered.sum())
            if covered.mean() < 0.5:
                say(f"  {name}: {kind} at {start}-{end} covered {covered.mean():.0%} ({sides})")
    for cut in sorted(free):
        table["false cuts"] += 1
        say(f"  {name}: false cut at {cut}")


def shots_of(path: Path, engine: str) -> tuple[int, list[int], list[tuple[int, int, str]], float]:
    info, pts = probe(path)
    began = time.process_time()
    shots = load_engine("shots", engine, ShotSettings(detector=engine)).detect(path, info, pts)
    spent = time.process_time() - began
    spans = [(t.start, t.end, t.kind) for s in shots for t in getattr(s, "transitions", ())]
    return info.frames, [s.start for s in shots[1:]], spans, spent


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("clips", nargs="+", type=Path)
    options.add_argument("--films", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--engine", default="adaptive")
    options.add_argument("--false", action="store_true")
    options.add_argument("--keep", type=Path)
    given = options.parse_args()
    clips = sorted(
        file
        for place in given.clips
        for file in (place.rglob("*") if place.is_dir() else [place])
        if file.suffix in SUFFIXES
    )
    table: Counter[str] = Counter()
    frames, spent = 0, 0.0
    with tempfile.TemporaryDirectory() as scratch:
        if given.false:
            for clip in clips:
                count, cuts, spans, took = shots_of(clip, given.engine)
                frames, spent = frames + count, spent + took
                table["clips"] += 1
                table["cuts"] += len(cuts)
                table["transitions"] += len(spans)
                if cuts or spans:
                    say(f"  {clip.name}: cuts {cuts} transitions {spans}")
        else:
            chance = np.random.default_rng(given.seed)
            for number in range(given.films):
                path = (given.keep or Path(scratch)) / f"film_{given.seed}_{number}.mp4"
                joins = random_film(clips, chance, path)
                count, cuts, spans, took = shots_of(path, given.engine)
                frames, spent = frames + count, spent + took
                score(joins, cuts, spans, table, path.name)
                inside = np.zeros(count, np.bool_)
                for _, a, b, _ in joins:
                    inside[max(a - 3, 0) : b + 3] = True
                kept = np.zeros(count, np.bool_)
                for a, b, kind in spans:
                    kept[a:b] = kind != "flash"
                table["frames kept as filmed outside of joins"] += int((kept & ~inside).sum())
                if not given.keep:
                    path.unlink()
    for name, value in sorted(table.items()):
        say(f"{name:40s} {value}")
    say(f"{frames} frames, {1e3 * spent / frames:.1f} ms of CPU a frame")


if __name__ == "__main__":
    main()
