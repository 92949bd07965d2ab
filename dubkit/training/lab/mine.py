"""Collect what a detector wrongly takes for faces, so that the next one learns it is none.

    python -m dubkit.training.lab.mine SET DETECTOR.safetensors [--scenes N] [--least SCORE]

Face-free scenes are made from the training pictures of SET; every detection in one is a mistake. Its
canonical crop goes to ``SET/hard.npy`` (N, 128, 128, 3), added to those of earlier rounds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from dubkit.faces import align, embedded
from dubkit.models.face_nets import STRIDES, decode, for_inference, load_detector
from dubkit.records import Picture
from dubkit.training.lab import faces_data, scenes, train_landmarker

SIDE, SCENE = 128, 320


@torch.inference_mode()
def mistakes(net: torch.nn.Module, picture: Picture, least: float) -> list[Picture]:
    """Canonical crops of all that the detector finds."""
    levels = net(train_landmarker.to_tensor(picture[None]))
    parts = [decode(level, stride) for level, stride in zip(levels, STRIDES, strict=True)]
    score, box, five = (torch.cat([p[i] for p in parts], 1)[0].numpy() for i in range(3))
    crops = []
    for i in embedded.suppress(box, score, least):
        canonical = align.canonical_from_points(five[i])
        matrix = align.compose(align.crop_from_canonical(SIDE), canonical)
        crop = cv2.warpAffine(picture, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
        crops.append(np.asarray(crop, np.uint8))
    return crops


def main() -> None:
    """Make scenes, look, keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("detector", type=Path)
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--least", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    net = for_inference(load_detector(args.detector)[0])
    maker, rng = (
        scenes.SceneMaker(faces_data.PictureSource(args.set)),
        np.random.default_rng(args.seed),
    )
    found: list[Picture] = []
    for _ in range(args.scenes):
        found += mistakes(net, np.ascontiguousarray(maker.ground(rng, SCENE)), args.least)
    old = maker.source.hard
    everything = np.concatenate([old, np.stack(found)]) if found else old
    np.save(args.set / "hard.npy", everything)
    sys.stderr.write(f"{len(found)} mistakes in {args.scenes} scenes, {len(everything)} in all\n")


if __name__ == "__main__":
    main()
