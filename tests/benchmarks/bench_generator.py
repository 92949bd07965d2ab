"""Frames a second of nets, warp and composition, nothing else.

    python tests/benchmarks/bench_generator.py [--width 256] [--threads 2] [--engine tcsc] [--checkpoint FILE]

A made-up face of the given width talks in 720p 4:2:0; every frame gets another mouth. ``--threads`` frames are
painted at once, as the generate stage does. Decoding and encoding do not count.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dubkit.faces import align
from dubkit.lips import references
from dubkit.lips.refiner import FacePlan, MouthPainter, Renderer
from dubkit.media.frames import Frame
from dubkit.media.planes import plane_format
from dubkit.models.devices import place
from tests.clips import facts
from tests.faces.faces import drawn, placed, talking

WIDTH, HEIGHT, FRAMES, BANK = 1280, 720, 60, 12
MEAN_FACE_WIDTH = 2.3


def film(width: float) -> tuple[list[Frame], FacePlan]:
    """Frames of the face, and what it shall say."""
    info = facts("yuv420p", width=WIDTH, height=HEIGHT)
    layout, nothing = plane_format(info), None
    shapes = talking(FRAMES + 7)
    faces = [placed(s, width / MEAN_FACE_WIDTH, 0.05, WIDTH / 2, HEIGHT / 3) for s in shapes]
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 120, np.uint8)
    frames = []
    for t in range(FRAMES):
        unused: Any = nothing
        luma = drawn(faces[t], WIDTH, HEIGHT, seed=t)
        frames.append(Frame(t, t, (luma, chroma, chroma), layout, info, unused, unused))
    ways = [align.canonical_from_face(f) for f in faces[:FRAMES]]
    current = np.stack([align.apply(m, f) for m, f in zip(ways, faces, strict=False)])
    bank = tuple(range(0, FRAMES, FRAMES // BANK))
    path = np.arange(FRAMES) // 8 % BANK
    cost = (path[:, None] != np.arange(BANK)[None]).astype(np.float32)
    shut = np.zeros(FRAMES, np.float32)
    choice = references.Choice(cost, shut, 25.0, np.array(bank))
    back = [align.invert(m) for m in ways]
    full = np.ones(FRAMES, np.float32)
    return frames, FacePlan(0, back, current, shapes[7:], full, bank, choice)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--engine", choices=("tcsc", "warp"), default="tcsc")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    device = place(args.device)
    painter = MouthPainter(device, args.checkpoint) if args.engine == "tcsc" else None
    frames, plan = film(args.width)
    renderer = Renderer(frames[0].info, plan, 0.12, painter)
    for frame in frames:
        if frame.index in renderer.borrowed:
            renderer.lend(frame)

    def paint(frame: Frame) -> None:
        renderer.paint(frame, tuple(plane.copy() for plane in frame.planes))

    with ThreadPoolExecutor(args.threads) as pool:
        list(pool.map(paint, frames[: 2 * args.threads]))
        wall, busy = time.perf_counter(), time.process_time()
        list(pool.map(paint, frames))
        wall, busy = time.perf_counter() - wall, time.process_time() - busy
    sys.stdout.write(
        f"{args.engine}: {FRAMES / wall:.1f} frames/s by the clock with {args.threads} threads, "
        f"{1000 * busy / FRAMES:.1f} ms of one core a frame ({args.threads * FRAMES / busy:.1f} "
        f"frames/s on {args.threads} free cores)\n"
    )


if __name__ == "__main__":
    main()
