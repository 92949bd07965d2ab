"""What each part of the image net is worth, on people that training never saw.

    python tests/benchmarks/ablate_sc.py PREPARED [CHECKPOINT] [--samples 160] [--beside OTHER ...]

PREPARED is a prepared set with a validation split (``dubkit train prepare``); of that, people who are trained on
in other clips are left out. ``--beside`` adds a row for another checkpoint, as of a training without its judge.
Each sample is a frame whose mouth is made from other frames of its clip, at least 0.4 s away, chosen by mouth shape
and pose from 40 of them; the frame's own jaw is hidden. Printed for each variant: mean absolute error of the light
under the mask and around the lips (of 255), SSIM under the mask, and slope energy around the lips over the real
frame's (1: as sharp as real).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dubkit.faces import align
from dubkit.lips import blend, mesh_warp
from dubkit.models.sc import ScNet, load_sc
from dubkit.records import Floats
from dubkit.training import sc_data
from dubkit.training.dataset import PreparedSet
from dubkit.training.sc_data import Footage, Maps, load_footage, matrices
from dubkit.training.train_sc import Made, compose, energy, without_net

PACKAGED = Path(sc_data.__file__).parents[1] / "weights" / "sc.safetensors"
Variant = Callable[[Maps], Made]


def only(maps: Maps, count: int) -> Maps:
    """The sample with its first ``count`` references, by weight."""
    order = maps.weights[0].argsort(descending=True)[:count]
    weights = maps.weights[:, order]
    return replace(
        maps,
        references=maps.references[:, order],
        shade=maps.shade[:, order],
        weights=weights / weights.sum(),
    )


def ssim(a: np.ndarray, b: np.ndarray, area: np.ndarray) -> float:
    """SSIM (Wang 2004) of two pictures of light, weighted by ``area``."""
    x, y = (np.asarray(v, np.float64) * 255 for v in (a, b))

    def blur(v: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(v, (11, 11), 1.5)

    mx, my = blur(x), blur(y)
    sx, sy, sxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    top = (2 * mx * my + 6.5025) * (2 * sxy + 58.5225)
    every = top / ((mx * mx + my * my + 6.5025) * (sx + sy + 58.5225))
    return float((every * area).sum() / area.sum())


def figures(maps: Maps, made: Made) -> dict[str, float]:
    """The row of one sample."""
    gap = (made.patch - maps.truth)[:, :1].abs() * 255
    small = torch.nn.functional.avg_pool2d(maps.core, 8)
    mine, real = ((energy(p) * small).sum() for p in (made.patch, maps.truth))
    light = [p[0, 0].numpy() for p in (made.patch, maps.truth)]
    return {
        "error": float((gap * maps.mask).sum() / maps.mask.sum()),
        "error lips": float((gap * maps.core).sum() / maps.core.sum()),
        "ssim": ssim(light[0], light[1], maps.mask[0, 0].numpy()),
        "sharpness": float(mine / real),
    }


def by_box(clip: Footage) -> tuple[np.ndarray, list[tuple[align.Matrix, ...]]]:
    """The clip as a face box would place it: no roll, whole pixels, size by the box of all landmarks.

    Canonical landmarks (T, L, 2) and, per frame, ``plane_from_canonical``.
    """
    mean = align.mean_face()
    low, high = mean.min(0), mean.max(0)
    crop = mesh_warp.grid_from_canonical(192)
    points, ways = [], []
    for face in clip.canonical:
        pixels = align.apply(crop, face)
        size = np.round(np.ptp(pixels, axis=0).mean())
        corner = np.round(pixels.min(0))
        scale = size / float((high - low).mean())
        placed = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
        to_crop = align.compose(placed, np.array([[1, 0, -low[0]], [0, 1, -low[1]]]))
        points.append(align.apply(align.invert(to_crop), pixels))
        back = align.invert(crop)
        ways.append(tuple(align.compose(m, align.compose(back, to_crop)) for m in matrices()))
    return np.stack(points), ways


class Boxed(Footage):
    """Footage placed by boxes."""

    def reference(self, row: int) -> blend.Reference:
        """A frame as it would be kept."""
        points, ways = BOXES[self.name]
        planes = (self.luma[row], self.chroma[row, 0], self.chroma[row, 1])
        return blend.Reference(mesh_warp.vertices(points[row]), planes, ways[row])


BOXES: dict[str, tuple[np.ndarray, list[tuple[align.Matrix, ...]]]] = {}


def boxed(clip: Footage) -> Footage:
    """The same clip, placed by boxes."""
    BOXES[clip.name] = by_box(clip)
    parts = {n: getattr(clip, n) for n in Footage.__slots__}
    return Boxed(**{**parts, "canonical": BOXES[clip.name][0]})


def drawn(clips: list[Footage], count: int, carried: bool = True) -> list[Maps]:
    """The samples, always the same; ``carried`` False: references as they are, not warped to the mouth."""
    rng = np.random.default_rng(7)
    plain = mesh_warp.warp

    def unmoved(
        target: Floats,
        source: Floats,
        ids: NDArray[np.int32],
        split: Floats = mesh_warp.SPLIT,
        part: mesh_warp.Part = mesh_warp.WHOLE,
    ) -> mesh_warp.Warp:
        return plain(target, target, ids, split, part)

    if not carried:
        mesh_warp.warp = unmoved
    try:
        found = []
        for number in range(count):
            clip = clips[number % len(clips)]
            row = int(rng.integers(len(clip.times)))
            seeded = np.random.default_rng((number, 1))
            found.append(sc_data.moving_sample(clip, row, seeded, relight=False))
        return found
    finally:
        mesh_warp.warp = plain


def variants(net: ScNet) -> dict[str, Variant]:
    """Ways to make the picture of a sample."""

    @torch.no_grad()
    def made(maps: Maps) -> Made:
        return compose(maps, net(maps.given()))

    return {
        "warp, 1 reference": lambda maps: without_net(only(maps, 1)),
        "warp, mixed": without_net,
        "net, 1 reference": lambda maps: made(only(maps, 1)),
        "net, 2 references": lambda maps: made(only(maps, 2)),
        "net, 3 references": made,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", type=Path)
    parser.add_argument("checkpoint", type=Path, nargs="?", default=PACKAGED)
    parser.add_argument("--samples", type=int, default=160)
    parser.add_argument("--beside", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    torch.set_num_threads(1)
    net, _ = load_sc(args.checkpoint)
    prepared = PreparedSet(args.prepared)
    known = {prepared.clips[name].person for name in prepared.names("train")}
    held_out = load_footage(prepared, "val", 200)
    clips = [c for c in held_out if c.times[-1] > 1 and c.person not in known]
    ways = variants(net)
    for path in args.beside:
        ways[f"{path.stem}, 3 references"] = variants(load_sc(path)[0])["net, 3 references"]
    aligned = drawn(clips, args.samples)
    table = {name: rows(aligned, way) for name, way in ways.items()}
    last = ways["net, 3 references"]
    table["net, 3 references not carried to the mouth"] = rows(
        drawn(clips, args.samples, carried=False), last
    )
    by_boxes = drawn([boxed(c) for c in clips], args.samples)
    table["net, 3 references, faces placed by boxes"] = rows(by_boxes, last)
    table["warp, 1 reference, faces placed by boxes"] = rows(by_boxes, ways["warp, 1 reference"])
    for name, row in table.items():
        sys.stdout.write(f"{name:45s} {json.dumps({k: round(v, 4) for k, v in row.items()})}\n")


def rows(samples: list[Maps], way: Variant) -> dict[str, float]:
    """Means over all samples."""
    found = [figures(maps, way(maps)) for maps in samples]
    return {name: float(np.mean([f[name] for f in found])) for name in found[0]}


if __name__ == "__main__":
    main()
