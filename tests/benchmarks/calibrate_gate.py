"""Hold the gate's limits to real video, to dubkit's own renders and to renders spoilt on purpose.

    python tests/benchmarks/calibrate_gate.py DATA OUT [--group NAME] [--table] [--preset NAME]

DATA is the folder of clips with its ``clips.csv``. The clips of three groups (`gate_clips.py`) are cut into shots and
dubbed with their own sound; then each shot is measured as the gate measures it: the source in place of the result
(real video), the result, and the result spoilt (`spoil_shots.py`). Dubs and measures are kept in OUT and not made
again; ``--group`` takes one group only, ``--table`` shows what there is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch

from dubkit.config import Config
from dubkit.engines.registry import load_engine
from dubkit.errors import DubkitError
from dubkit.faces.trail import Locator
from dubkit.measures.checks import LIMITS, check
from dubkit.presets import load_config
from tests.benchmarks import spoil_shots
from tests.benchmarks.gate_clips import SETS, Clip, ShotFiles, clips, dub
from tests.benchmarks.gate_scenes import Scene, Values, load_scene
from tests.benchmarks.gate_witness import witness
from tests.benchmarks.spoil_shots import Rendered, Spoil

IN_SYNC, HEARD = "real, in sync", "heard"
# what is told of each kind of shot, in the table's order
KINDS: Mapping[str, str] = {
    "real": "real video, held against its own sound",
    IN_SYNC: "the same without clips that their sound alone shows to be out of sync",
    "rendered": "dubkit's own renders, own sound",
    "frozen": "renders whose mouth is frozen",
    "wrong face": "renders with someone else's lower face, colours brought near",
    "seam": "renders with a patch 12 of 255 levels too bright and a hard border",
    "flicker": "renders whose patch jumps by 6 levels (standard deviation)",
    "blurred": "renders with a soft mouth",
    "open lips": "renders whose lips stay open in P, B and M",
    "beside": "renders whose eyes and forehead are 12 levels too bright",
    "lost": "renders whose face is one stain",
    "rendered, talks in silence": "renders that talk in silence",
    "rendered, 200 ms late": "renders with lips 200 ms late",
    "rendered, 200 ms early": "renders with lips 200 ms early",
    "real, talks in silence": "real video held against silence",
    "real, 200 ms late": "real video with lips 200 ms late",
    "real, 200 ms early": "real video with lips 200 ms early",
}
PASS = ("real", IN_SYNC, "rendered")
# lips can only be late, or frozen, where there is speech
IN_SPEECH = frozenset(kind for kind in KINDS if "200 ms" in kind or kind == "frozen")


class Bench:
    """Measures shots as the gate does, and keeps what was measured."""

    def __init__(self, out: Path) -> None:
        self.locator: Locator = load_engine("landmarker", "auto", Config().faces, "cpu")
        self.book = out / "measures.jsonl"
        self.known: set[tuple[str, str]] = set()
        self.donors: dict[str, Rendered] = {}
        if self.book.exists():
            self.known = {(r["shot"], r["what"]) for r in map(json.loads, self.book.open())}

    def note(self, files: ShotFiles, what: str, values: Values | None) -> None:
        """``None``: this kind cannot be made of this shot."""
        self._write(files.clip, files.name, what, values)

    def _write(self, clip: Clip, name: str, what: str, values: Values | None) -> None:
        entry = {"group": clip.group, "shot": name, "what": what, "values": values}
        with self.book.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self.known.add((name, what))

    def hear(self, clip: Clip, shots: Sequence[ShotFiles]) -> None:
        """What the sound alone says of the clip's sync."""
        if (clip.name, HEARD) not in self.known:
            found = witness(shots)
            values = None if found is None else asdict(found) | {"off": found.out_of_sync}
            self._write(clip, clip.name, HEARD, values)

    def measure(self, files: ShotFiles) -> None:
        """All measures of a shot; nothing where no single face was dubbed in it."""
        kinds = ["real", "rendered", *self._ways(files)]
        if all((files.name, what) in self.known for what in kinds):
            return
        scene = load_scene(files)
        if scene is None:
            return
        for base, frames in (("real", scene.source), ("rendered", scene.made)):
            if (files.name, base) not in self.known:
                told = [*scene.told(base, scene.seen(self.locator, frames))]
                for what, values in reversed(told):
                    self.note(files, what, values)
        self._spoil(files, scene)

    def _spoil(self, files: ShotFiles, scene: Scene) -> None:
        rendered = scene.rendered()
        for what, way in self._ways(files).items():
            if (files.name, what) in self.known:
                continue
            spoil = way(scene, rendered)
            values = None
            if spoil is not None:
                pictures = [spoil(rendered, i) for i in range(len(scene.made))]
                seen = scene.seen(self.locator, scene.with_pictures(pictures))
                values = seen.values(scene.said, True)
            self.note(files, what, values)
        self.donors[files.clip.person] = rendered
        if len(self.donors) > 4:
            self.donors.pop(next(iter(self.donors)))

    def _ways(self, files: ShotFiles) -> Mapping[str, Callable[[Scene, Rendered], Spoil | None]]:
        """How a shot is spoilt. Shots of one word, and long ones that say nothing new, are spared what is slow."""

        def plain(spoil: Spoil) -> Callable[[Scene, Rendered], Spoil]:
            return lambda scene, rendered: spoil

        ways: dict[str, Callable[[Scene, Rendered], Spoil | None]] = {
            "open lips": self._open_lips,
            "lost": plain(spoil_shots.lost),
        }
        if not files.clip.name.startswith("arabic"):
            ways |= {
                "frozen": plain(spoil_shots.frozen),
                "seam": plain(spoil_shots.seam),
                "flicker": plain(spoil_shots.flicker),
                "blurred": plain(spoil_shots.blurred),
                "beside": plain(spoil_shots.beside),
                "wrong face": lambda scene, rendered: self._stranger(files),
            }
        return ways

    def _open_lips(self, scene: Scene, rendered: Rendered) -> Spoil | None:
        seen = scene.seen(self.locator, scene.made)
        return spoil_shots.open_lips(rendered, seen.lips.opening(), scene.said)

    def _stranger(self, files: ShotFiles) -> Spoil | None:
        others = [donor for name, donor in self.donors.items() if name != files.clip.person]
        return spoil_shots.wrong_face(others[len(self.known) % len(others)]) if others else None


def load_book(out: Path) -> dict[tuple[str, str], list[tuple[str, Values]]]:
    """Shots and their measures by kind and group."""
    entries = [json.loads(line) for line in (out / "measures.jsonl").open(encoding="utf-8")]
    entries = [entry for entry in entries if entry["values"] is not None]
    off = {e["shot"] for e in entries if e["what"] == HEARD and e["values"]["off"]}
    speak = {e["shot"] for e in entries if e["what"] == "rendered" and "movement" in e["values"]}
    rows: dict[tuple[str, str], list[tuple[str, Values]]] = defaultdict(list)
    for entry in entries:
        if entry["what"] == HEARD:
            continue
        if entry["shot"] in speak or entry["what"] not in IN_SPEECH:
            rows[entry["what"], entry["group"]].append((entry["shot"], entry["values"]))
        if entry["what"] == "real" and entry["shot"].partition("/")[0] not in off:
            rows[IN_SYNC, entry["group"]].append((entry["shot"], entry["values"]))
    return rows


def table(out: Path, config: Config) -> None:
    """What share of the shots passes, or is caught, group by group."""
    rows = load_book(out)
    sys.stdout.write(f"| shots | {' | '.join(SETS)} |\n|---|{'---|' * len(SETS)}\n")
    for kind, told in KINDS.items():
        cells = []
        for group in SETS:
            verdicts = [
                any(not c.passed for c in check(values, config.gate))
                for _, values in rows[kind, group]
            ]
            count = sum(v != (kind in PASS) for v in verdicts)
            word = "pass" if kind in PASS else "refused"
            share = f"{100 * count / max(1, len(verdicts)):.1f} %"
            cells.append(f"{count} of {len(verdicts)} {word} ({share})" if verdicts else "none")
        sys.stdout.write(f"| {told} | {' | '.join(cells)} |\n")


def reasons(out: Path, config: Config) -> None:
    """By which measures each kind is refused, and which real video and renders are."""
    rows = load_book(out)
    for (kind, group), shots in sorted(rows.items()):
        failed = [
            (shot, [c for c in check(values, config.gate) if not c.passed])
            for shot, values in shots
        ]
        by = Counter(c.measure for _, checks in failed for c in checks)
        told = ", ".join(f"{name} {n}" for name, n in by.most_common())
        sys.stdout.write(f"{group:7s} {kind:28s} {len(shots):4d}  {told}\n")
        if kind in PASS:
            for shot, checks in failed:
                if checks:
                    sys.stdout.write(f"    {shot}: {'; '.join(c.reason for c in checks)}\n")
    for name in LIMITS:
        sys.stdout.write(f"\n{name}: 1, 5, 50, 95, 99 % of the shots\n")
        for kind, group in sorted(rows):
            values = [v[name] for _, v in rows[kind, group] if name in v]
            if values:
                spread = "  ".join(f"{x:8.4f}" for x in np.percentile(values, (1, 5, 50, 95, 99)))
                sys.stdout.write(f"  {group:7s} {kind:28s} {len(values):4d}  {spread}\n")


def main() -> None:
    """Dub, spoil, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--group", choices=SETS, action="append", default=[])
    parser.add_argument("--table", action="store_true", help="only show what was measured")
    parser.add_argument("--reasons", action="store_true", help="the same, measure by measure")
    parser.add_argument("--preset", action="append", default=[])
    args = parser.parse_args()
    if not (args.table or args.reasons):
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        (args.out / "work").mkdir(parents=True, exist_ok=True)
        bench = Bench(args.out)
        for group in args.group or SETS:
            for clip in clips(args.data, group):
                try:
                    shots = [*dub(clip, args.out / "work")]
                    bench.hear(clip, shots)
                    for files in shots:
                        bench.measure(files)
                except DubkitError as error:
                    sys.stderr.write(f"{clip.name}: {error.message}\n")
    (reasons if args.reasons else table)(args.out, load_config(args.preset))


if __name__ == "__main__":
    main()
