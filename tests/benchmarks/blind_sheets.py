"""Real or dubbed? Sheets of mouths to judge before a key is opened, and a small classifier that tries the same.

    python tests/benchmarks/blind_sheets.py make OUT DATA [--dubs FOLDER] [--sheets 40] [--seed 1]
    python tests/benchmarks/blind_sheets.py score OUT ANSWERS
    python tests/benchmarks/blind_sheets.py auc OUT

``make`` takes the clips that `calibrate_gate.py` dubbed into ``FOLDER/work`` (people of train, val and test, never
those of the judge's sets) and writes ``OUT/NN.png``, each 16 consecutive frames of one mouth in a shot: as filmed, or
as dubbed, by a coin. What was filmed went through the same codec as the dub, so that the codec does not tell.
``OUT/key.json`` has the answers: look first, and write one line a sheet, ``NN real`` or ``NN dubbed``, into ANSWERS.
All mouths, both ways, lie in ``OUT/mouths.npz`` for ``auc``: a small convolutional net is trained on some people and
judges the others; .5 is a guess, 1 always right.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dubkit.config.schema import Config
from dubkit.faces import align
from dubkit.media.frames import Frame
from dubkit.media.planes import rgb_crop
from dubkit.media.writer import FrameWriter
from tests.benchmarks.gate_clips import SETS, ShotFiles, clips, dub
from tests.benchmarks.gate_scenes import Scene, load_scene, read_segment

FRAMES, COLUMNS, TILE = 16, 8, 160
SIDE = 48  # pixels of a mouth for the classifier
_SHOWN, _TOP = 1.6, 0.45  # canonical units that a mouth shows, and where it begins
_SETS = ("judge_talkvid", "judge_lrs3")
Mouths = NDArray[np.uint8]  # (FRAMES, TILE, TILE, 3)
REAL, DUBBED = "real", "dubbed"


def span(rows: NDArray[np.bool_]) -> int | None:
    """The first of `FRAMES` consecutive rows in the middle of the longest run; None where there are not so many."""
    padded = np.concatenate([[0], rows.astype(np.int8), [0]])
    starts, ends = (np.flatnonzero(np.diff(padded) == sign) for sign in (1, -1))
    if not len(starts) or (ends - starts).max() < FRAMES:
        return None
    longest = int((ends - starts).argmax())
    return int(starts[longest] + (ends[longest] - starts[longest] - FRAMES) // 2)


def mouths(scene: Scene, frames: Sequence[Frame], first: int) -> Mouths:
    """The mouth in `FRAMES` rows of the track from ``first`` on."""
    scale = TILE / _SHOWN
    view = np.array([[scale, 0, _SHOWN / 2 * scale], [0, scale, -_TOP * scale]])
    seen = []
    for row in range(first, first + FRAMES):
        frame = frames[scene.track.start + row - scene.files.shot.start]
        way = align.canonical_from_face(scene.track.landmarks[row])
        seen.append(rgb_crop(frame, align.compose(view, way), TILE))
    return np.stack(seen)


def coded(scene: Scene) -> list[Frame]:
    """The filmed frames after the codec that the dub went through."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "real.nut"
        with FrameWriter(path, scene.source[0].info, Config().generate) as writer:
            for frame in scene.source:
                writer.write(frame.planes, frame.pts, frame.extras)
        return read_segment(path, scene.source)


def pairs(files: ShotFiles) -> tuple[Mouths, Mouths] | None:
    """The same mouths of a shot, filmed and dubbed; None where none is dubbed for long enough."""
    scene = load_scene(files)
    first = None if scene is None else span(scene.rows)
    if scene is None or first is None:
        return None
    return mouths(scene, coded(scene), first), mouths(scene, scene.made, first)


def sheet(seen: Mouths) -> Mouths:
    """All frames in rows of `COLUMNS`."""
    rows = [np.hstack(list(seen[k : k + COLUMNS])) for k in range(0, len(seen), COLUMNS)]
    return np.asarray(np.vstack(rows), np.uint8)


def coins(count: int, seed: int) -> list[bool]:
    """Which of so many sheets are dubbed: as many as not, in random order."""
    thrown = [k % 2 == 0 for k in range(count)]
    np.random.default_rng(seed).shuffle(thrown)
    return thrown


def make(out: Path, data: Path, dubs: Path, count: int, seed: int) -> None:
    """Write sheets, key and mouths."""
    out.mkdir(parents=True, exist_ok=True)
    found: list[tuple[str, str, Mouths, Mouths]] = []
    for group in SETS[:2]:  # the third has the same clips once more
        for clip in clips(data, group):
            if not (dubs / "work" / f"{clip.name}.mp4").exists():
                continue
            assert clip.video.parent.name not in _SETS
            for files in dub(clip, dubs / "work"):
                both = pairs(files)
                if both is not None:
                    found.append((clip.person, files.name, *both))
    np.savez_compressed(
        out / "mouths.npz",
        people=np.array([person for person, *_ in found]),
        real=np.stack([small(real) for *_, real, _ in found]),
        dubbed=np.stack([small(made) for *_, made in found]),
    )
    chosen = spread([person for person, *_ in found], count, seed)
    key = {}
    for number, (index, is_dubbed) in enumerate(zip(chosen, coins(len(chosen), seed), strict=True)):
        person, name, real, made = found[index]
        cv2.imwrite(str(out / f"{number:02d}.png"), sheet(made if is_dubbed else real)[..., ::-1])
        key[f"{number:02d}"] = [DUBBED if is_dubbed else REAL, person, name]
    (out / "key.json").write_text(json.dumps(key, indent=1), encoding="utf-8")
    sys.stdout.write(f"{len(found)} shots, {len(chosen)} sheets in {out}\n")


def spread(people: Sequence[str], count: int, seed: int) -> list[int]:
    """At most ``count`` shots, of as many people as there are, in random order."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(people)).tolist()
    taken: dict[str, int] = {}
    turns = {}
    for index in order:
        turns[index] = taken[people[index]] = taken.get(people[index], 0) + 1
    chosen = sorted(order, key=lambda index: (turns[index], order.index(index)))[:count]
    random.shuffle(chosen)
    return chosen


def small(seen: Mouths) -> NDArray[np.uint8]:
    """(FRAMES, SIDE, SIDE, 3) for the classifier: the middle, where the mouth is."""
    cut = TILE // 10
    inner = seen[:, : TILE - cut, cut // 2 : TILE - cut // 2]
    return np.stack([cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in inner])


def score(key: dict[str, list[str]], answers: str) -> tuple[int, int, int, int]:
    """Of the answers (lines ``NN real`` or ``NN dubbed``): right, all; dubbed ones found out, dubbed ones."""
    given = dict(line.split()[:2] for line in answers.splitlines() if line.strip())
    right = [(said == key[name][0], key[name][0]) for name, said in given.items() if name in key]
    dubs = [good for good, truth in right if truth == DUBBED]
    return sum(good for good, _ in right), len(right), sum(dubs), len(dubs)


def auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Area under the curve: how often a true one scores higher than a false one, ties half."""
    high, low = scores[truth], scores[~truth]
    wins = (high[:, None] > low[None]).mean() + 0.5 * (high[:, None] == low[None]).mean()
    return float(wins)


class Net(nn.Sequential):
    """Of three frames in a row, (N, 9, SIDE, SIDE), how much they look dubbed: (N, 1)."""

    def __init__(self) -> None:
        widths = (9, 16, 24, 32)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(widths[-1], 1)]
        super().__init__(*layers)


FOLDS, EPOCHS, BATCH = 4, 8, 32


def triples(seen: NDArray[np.uint8], step: int) -> torch.Tensor:
    """(N, 9, SIDE, SIDE) of (FRAMES, SIDE, SIDE, 3): each ``step``-th three frames in a row, their light taken out."""
    whole = torch.from_numpy(seen).float().permute(0, 3, 1, 2) / 255
    whole = (whole - whole.mean((0, 2, 3), keepdim=True)) / (whole.std() + 1e-3)
    return torch.stack(
        [whole[k : k + 3].reshape(9, SIDE, SIDE) for k in range(0, FRAMES - 2, step)]
    )


def trained(real: Sequence[torch.Tensor], made: Sequence[torch.Tensor], seed: int) -> Net:
    """The net after `EPOCHS` rounds; every shot is there both ways, so nothing but the dub tells them apart."""
    torch.manual_seed(seed)
    net = Net().train()
    inputs = torch.cat([*real, *made])
    count = sum(len(part) for part in real)
    truth = (torch.arange(len(inputs)) >= count).float()[:, None]
    rounds = -(-len(inputs) // BATCH) * EPOCHS
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=rounds)
    for _ in range(EPOCHS):
        order = torch.randperm(len(inputs))
        for first in range(0, len(order), BATCH):
            part = order[first : first + BATCH]
            batch = inputs[part]
            batch = batch.flip(3) if torch.rand(()) < 0.5 else batch
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(net(batch), truth[part])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return net.eval()


def judged(
    people: NDArray[np.str_], real: NDArray[np.uint8], made: NDArray[np.uint8], seed: int = 1
) -> tuple[float, dict[str, float]]:
    """AUC over all shots, each judged by a net that saw none of its person; and by person with three shots or more."""
    names = np.random.default_rng(seed).permutation(np.unique(people))
    scores = np.zeros((2, len(people)))
    for fold in range(FOLDS):
        left_out = np.isin(people, names[fold::FOLDS])
        if not left_out.any() or left_out.all():
            continue
        rows = np.flatnonzero(~left_out)
        net = trained(
            [triples(real[k], 3) for k in rows], [triples(made[k], 3) for k in rows], seed
        )
        with torch.no_grad():
            for k in np.flatnonzero(left_out):
                for kind, seen in enumerate((real[k], made[k])):
                    scores[kind, k] = float(net(triples(seen, 2)).mean())
    truth = np.repeat([False, True], len(people))
    each = {
        str(name): auc(scores[:, people == name].ravel(), np.repeat([False, True], count))
        for name, count in zip(*np.unique(people, return_counts=True), strict=True)
        if count >= 3
    }
    return auc(scores.ravel(), truth), each


def main() -> None:
    """Make, score or classify."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("make", "score", "auc"))
    parser.add_argument("out", type=Path)
    parser.add_argument("input", type=Path, nargs="?", help="make: DATA; score: ANSWERS")
    parser.add_argument("--dubs", type=Path, default=Path("gate"), help="OUT of calibrate_gate.py")
    parser.add_argument("--sheets", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if args.what == "make":
        make(args.out, args.input, args.dubs, args.sheets, args.seed)
    elif args.what == "score":
        key = json.loads((args.out / "key.json").read_text(encoding="utf-8"))
        right, count, found, dubs = score(key, args.input.read_text(encoding="utf-8"))
        sys.stdout.write(f"{right} of {count} right; {found} of {dubs} dubbed ones found out\n")
    else:
        with np.load(args.out / "mouths.npz") as stored:
            whole, each = judged(stored["people"], stored["real"], stored["dubbed"], args.seed)
        sys.stdout.write(f"AUC {whole:.3f} over people that the net did not see\n")
        for person, value in sorted(each.items()):
            sys.stdout.write(f"  {person} {value:.2f}\n")


if __name__ == "__main__":
    main()
