"""Make the appearance net's weights of OpenCV's SFace: its layers, the last one split in two by the faces it sees.

    python -m dubkit.training.lab.make_appearance SFACE PORTRAITS OUT [--rank N]

SFACE is ``face_recognition_sface_2021dec_int8bq.onnx`` of opencv_zoo (Apache-2.0), PORTRAITS a folder of pictures of
one face each that may be used; every fourth is taken, and every tenth left out, by name. Needs the package ``onnx``.
The last layer of SFace has two thirds of its weights: the ``rank`` combinations of channels that carry most of what it
makes of those faces stay.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from onnx import numpy_helper

from dubkit.config.schema import FaceSettings
from dubkit.faces import align, tracklet
from dubkit.faces.appearance import aligned_from_display
from dubkit.faces.embedded import EmbeddedDetector, EmbeddedLandmarker, shrink, to_tensor
from dubkit.models import appearance_net
from dubkit.models.appearance_net import AppearanceConfig, AppearanceNet, save_appearance_net
from dubkit.records import Picture

_FACES = 64  # a batch
_LONG_SIDE = 320  # pixels of a portrait
_SURE = 0.7
_LEVEL = 127.5 / 128  # SFace divides the levels of pixels by 128, dubkit by 127.5
CPU = torch.device("cpu")


def main() -> None:
    """Convert, split and save; prints how alike the vectors of both nets are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("sface", "portraits", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--rank", type=int, default=AppearanceConfig().rank)
    args = parser.parse_args()
    whole = AppearanceNet(AppearanceConfig(rank=AppearanceConfig().widths[-1]))
    fill(whole, read_onnx(args.sface))
    faces = list(aligned_faces(args.portraits))
    net = split(whole, np.stack(faces), args.rank)
    save_appearance_net(args.out, net)
    sys.stdout.write(f"{args.out}: {args.out.stat().st_size} bytes, rank {args.rank}\n")


def aligned_faces(folder: Path) -> Iterator[Picture]:
    """The faces of the portraits, (SIDE, SIDE, 3) RGB; pictures without a clear one are left out."""
    torch.set_num_threads(1)
    settings = FaceSettings()
    detector, landmarker = EmbeddedDetector(settings), EmbeddedLandmarker(settings)
    names = sorted(folder.glob("*.jpg"))
    for path in (p for n, p in enumerate(names) if n % 4 == 0 and n % 10 != 9):
        shown = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        if shown is None:
            continue
        picture = shrink(np.asarray(shown, np.uint8), _LONG_SIDE)[0]
        found = detector.detect(picture)
        if not found or found[0].score < _SURE:
            continue
        region = tracklet.Region(picture, np.eye(2, 3))
        way = align.canonical_from_points(found[0].points)
        (face,) = tracklet.locate(region, landmarker, [way])
        if tracklet.plausible(face.landmarks) and face.score > _SURE:
            yield region.crop(aligned_from_display(face.landmarks), appearance_net.SIDE)


def read_onnx(path: Path) -> dict[str, np.ndarray]:
    """The weights of SFace by node: ``NODE.w``, and ``NODE.scale`` and ``NODE.shift`` of the normalizations."""
    graph = onnx.load(str(path)).graph
    values: dict[str, Any] = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    found: dict[str, np.ndarray] = {}
    for node in graph.node:
        given: list[Any] = [values.get(name) for name in node.input]
        facts = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "DequantizeLinear":
            values[node.output[0]] = _dequantized(given, facts["block_size"], facts["axis"])
        elif node.op_type == "Reshape":
            values[node.output[0]] = given[0].reshape(given[1])
        elif node.op_type in ("Conv", "PRelu"):
            found[f"{node.name}.w"] = given[1]
        elif node.op_type == "Gemm":
            found[f"{node.name}.w"], found[f"{node.name}.b"] = given[1], given[2]
        elif node.op_type == "BatchNormalization":
            gamma, beta, mean, variance = given[1:]
            scale = gamma / np.sqrt(variance + facts["epsilon"])
            found[f"{node.name}.scale"], found[f"{node.name}.shift"] = scale, beta - mean * scale
    return found


def _dequantized(given: list[Any], block: int, axis: int) -> np.ndarray:
    steps, scale, zero = (part.astype(np.float32) for part in given)
    which = np.arange(steps.shape[axis]) // block
    return np.asarray((steps - zero.take(which, axis)) * scale.take(which, axis))


def fill(net: AppearanceNet, read: Mapping[str, np.ndarray]) -> None:
    """Put SFace's weights into a net of full rank, the normalizations folded in."""

    def part(name: str) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(read[name]))

    def fold(layer: Any, node: str) -> None:
        normal = node.replace("conv2d", "batchnorm")
        layer.weight.data = part(f"{node}.w") * part(f"{normal}.scale").view(-1, 1, 1, 1)
        layer.bias.data = part(f"{normal}.shift")

    fold(net.first, "conv_1_conv2d")
    net.first.weight.data *= _LEVEL
    net.slope.weight.data = part("conv_1_relu.w").flatten()
    for number, block in enumerate(net.blocks, 2):
        parts: Any = block
        fold(parts.depth, f"conv_{number}_dw_conv2d")
        parts.depth_slope.weight.data = part(f"conv_{number}_dw_relu.w").flatten()
        fold(parts.point, f"conv_{number}_conv2d")
        parts.point_slope.weight.data = part(f"conv_{number}_relu.w").flatten()
    channels = net.config.widths[-1]
    weight = part("pre_fc1.w").view(net.config.out, channels, -1)
    bias = part("pre_fc1.b") + (weight * part("bn1.shift").view(1, -1, 1)).sum((1, 2))
    after = part("fc1.scale")
    weight = weight * part("bn1.scale").view(1, -1, 1) * after.view(-1, 1, 1)
    net.head.weight.data = weight.flatten(1)
    net.head.bias.data = bias * after + part("fc1.shift")
    net.reduce.weight.data = torch.eye(channels).view(channels, channels, 1, 1)


def split(whole: AppearanceNet, faces: np.ndarray, rank: int) -> AppearanceNet:
    """The net with ``rank`` channels before its last layer, which is then fitted to the whole net's output."""
    config = AppearanceConfig(rank=rank)
    net = AppearanceNet(config)
    state = {k: v for k, v in whole.state_dict().items() if not k.startswith(("reduce", "head"))}
    net.load_state_dict({**net.state_dict(), **state})
    channels = config.widths[-1]
    weight = whole.head.weight.data.view(config.out, channels, -1)
    with torch.inference_mode():
        seen = torch.cat(
            [
                whole.features(torch.cat([to_tensor(f, CPU) for f in faces[i : i + _FACES]]))
                for i in range(0, len(faces), _FACES)
            ]
        ).flatten(2)  # (N, C, S)
        flat = seen.transpose(1, 2).reshape(-1, channels)
        mean = flat.mean(0)
        spread = (flat - mean).T @ (flat - mean) / len(flat)
        power, axes = torch.linalg.eigh(spread)
        root = axes * power.clamp(min=1e-12).sqrt()  # (C, C): spread = root root^T
        both = torch.einsum("oci,cr->oir", weight, root).flatten(0, 1)  # (out S, C)
        kept = torch.linalg.svd(both, full_matrices=False)[2][
            :rank
        ]  # (rank, C) of whitened channels
        down = kept @ (axes / power.clamp(min=1e-12).sqrt()).T  # channels -> rank
        up = root @ kept.T  # rank -> channels
        rest = mean - up @ (down @ mean)
        net.reduce.weight.copy_(down.view(rank, channels, 1, 1))
        net.head.weight.copy_(torch.einsum("oci,cr->ori", weight, up).flatten(1))
        net.head.bias.copy_(whole.head.bias + torch.einsum("oci,c->o", weight, rest))
        goal = whole.head(seen.flatten(1))
        made = net.head(torch.einsum("rc,nci->nri", down, seen).flatten(1))
        alike = torch.nn.functional.cosine_similarity(goal, made)
    sys.stdout.write(
        f"likeness to the whole net: mean {alike.mean():.4f}, least {alike.min():.4f}\n"
    )
    return net.eval()


if __name__ == "__main__":
    main()
