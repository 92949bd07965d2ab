"""Hold the gate's limits to real video, to dubkit's own renders and to renders spoilt on purpose.

    python tests/benchmarks/calibrate_gate.py DATA OUT [--group NAME] [--table] [--preset NAME]

DATA is the folder of clips with its ``clips.csv``. The clips of three groups (`gate_clips.py`) are cut into shots and
dubbed with their own sound; then each shot is measured as the gate measures it: the source in place of the result
(real video), the result, and the result spoilt (`spoil_shots.py`). Dubs and what was seen of them are kept in OUT and
not made again; ``--group`` takes one group only, ``--table`` judges what there is.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from dubkit.config.presets import load_config
from dubkit.config.schema import Config
from dubkit.engines.base import Locator
from dubkit.engines.registry import load_engine
from dubkit.errors import DubkitError
from dubkit.metrics.gate_limits import LIMITS, check
from dubkit.metrics.lips import opening
from dubkit.metrics.shot_meter import Seen, load_seen, save_seen
from tests.benchmarks import spoil_shots
from tests.benchmarks.gate_clips import SETS, ShotFiles, clips, dub
from tests.benchmarks.gate_scenes import Scene, Spoken, Values, dubbed_tracks, load_scene
from tests.benchmarks.gate_witness import witness
from tests.benchmarks.spoil_shots import Rendered, Spoil

IN_SYNC = "real, in sync"
# what is told of each kind of shot, in the table's order
KINDS: Mapping[str, str] = {
    "real": "real video, held against its own sound",
    IN_SYNC: "the same without clips that their sound alone shows to be out of sync",
    "rendered": "dubkit's own renders, own sound",
    "frozen": "renders whose mouth is frozen",
    "wrong face": "renders with someone else's lower face, colors brought near",
    "seam": "renders with a patch 12 of 255 levels too bright and a hard border",
    "flicker": "renders whose patch jumps by 6 levels (standard deviation)",
    "blurred": "renders with a soft mouth",
    "stained": "renders with a stain on a cheek, 14 of 255 levels of color",
    "second chin": "renders with a second chin under the first",
    "switching teeth": "renders whose inner mouth changes every third frame",
    "blurred at times": "renders with a soft mouth in every eighth frame",
    "piece": "renders with a piece of cheek beside the face",
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
    """Looks at shots as the gate does, and keeps what was seen: ``seen/CLIP/SHOT/KIND``."""

    def __init__(self, out: Path) -> None:
        self.locator: Locator = load_engine("landmarker", "auto", Config().faces, "cpu")
        self.seen = out / "seen"
        self.donors: dict[str, Rendered] = {}

    def look(self, files: ShotFiles) -> None:
        """All kinds of a shot; nothing where no single face was dubbed in it."""
        kinds = ["real", "rendered", *self._ways(files)]
        missing = [what for what in kinds if not self._place(files, what).exists()]
        scene = load_scene(files) if missing else None
        if scene is None:
            return
        rendered = scene.rendered()
        for what in missing:
            if what in ("real", "rendered"):
                frames = scene.source if what == "real" else scene.made
                self._keep(files, what, [scene.seen(self.locator, frames)])
                continue
            spoil = self._ways(files)[what](scene, rendered)
            pictures = [spoil(rendered, i) for i in range(len(scene.made))] if spoil else []
            frames = scene.with_pictures(pictures) if pictures else []
            self._keep(files, what, [scene.seen(self.locator, frames)] if frames else [])
        self.donors[files.clip.person] = rendered
        if len(self.donors) > 4:
            self.donors.pop(next(iter(self.donors)))

    def _place(self, files: ShotFiles, what: str) -> Path:
        return self.seen / files.name / what.replace(" ", "-")

    def _keep(self, files: ShotFiles, what: str, seen: Sequence[Seen]) -> None:
        """Nothing is kept of a kind that cannot be made of this shot, but that it was tried."""
        place = self._place(files, what)
        scratch = place.with_suffix(".part")
        scratch.mkdir(parents=True, exist_ok=True)
        save_seen(scratch, seen)
        scratch.rename(place)

    def _ways(self, files: ShotFiles) -> Mapping[str, Callable[[Scene, Rendered], Spoil | None]]:
        """How a shot is spoilt. Shots of one word, and later ones of the second group, are spared most of it."""

        def plain(spoil: Spoil) -> Callable[[Scene, Rendered], Spoil]:
            return lambda scene, rendered: spoil

        ways: dict[str, Callable[[Scene, Rendered], Spoil | None]] = {
            "open lips": self._open_lips,
            "lost": plain(spoil_shots.lost),
            "switching teeth": self._switching,
        }
        spared = files.clip.group == "second" and files.shot.start > 0
        if not (spared or files.clip.name.startswith("arabic")):
            ways |= {
                "frozen": plain(spoil_shots.frozen),
                "seam": plain(spoil_shots.seam),
                "flicker": plain(spoil_shots.flicker),
                "blurred": plain(spoil_shots.blurred),
                "beside": plain(spoil_shots.beside),
                "stained": plain(spoil_shots.stained),
                "second chin": plain(spoil_shots.second_chin),
                "blurred at times": plain(spoil_shots.blurred_at_times),
                "piece": plain(spoil_shots.piece),
                "wrong face": lambda scene, rendered: self._stranger(files),
            }
        return ways

    def _open_lips(self, scene: Scene, rendered: Rendered) -> Spoil | None:
        seen = scene.seen(self.locator, scene.made)
        return spoil_shots.open_lips(rendered, seen.lips.opening(), scene.said)

    def _switching(self, scene: Scene, rendered: Rendered) -> Spoil | None:
        mouths = scene.mouths(self.locator)
        return spoil_shots.switching_teeth(rendered, mouths, np.nan_to_num(opening(mouths)))

    def _stranger(self, files: ShotFiles) -> Spoil | None:
        others = [donor for name, donor in self.donors.items() if name != files.clip.person]
        return spoil_shots.wrong_face(others[files.shot.start % len(others)]) if others else None


Book = dict[tuple[str, str], list[tuple[str, Values]]]  # shots and their measures by kind and group


def judged(data: Path, out: Path, groups: Sequence[str]) -> Book:
    """The measures of all that was seen."""
    rows: Book = defaultdict(list)
    for group in groups:
        for clip in clips(data, group):
            if (out / "work" / f"{clip.name}.mp4").exists():
                shots = [*dub(clip, out / "work")]
                heard = witness(shots)
                for files in shots:
                    _judge(rows, out, files, heard is None or not heard.out_of_sync)
                if heard is not None and heard.out_of_sync:
                    sys.stderr.write(
                        f"{clip.name}: by its sound the lips are {1000 * heard.late:+.0f} ms late "
                        f"(correlation {heard.there:.2f} there, {heard.here:.2f} as it is)\n"
                    )
    return rows


def _judge(rows: Book, out: Path, files: ShotFiles, in_sync: bool) -> None:
    seen = {}
    for place in sorted((out / "seen" / files.name).glob("*")):
        if place.suffix != ".part":
            for sight in load_seen(place):
                seen[place.name.replace("-", " ")] = sight
    if not seen:
        return
    told = dict(Spoken(files, dubbed_tracks(files)[0]).told(seen))
    speaks = "movement" in told["rendered"]
    for what, values in told.items():
        if speaks or what not in IN_SPEECH:
            rows[what, files.clip.group].append((files.name, values))
    if in_sync:
        rows[IN_SYNC, files.clip.group].append((files.name, told["real"]))


def table(rows: Book, config: Config) -> None:
    """What share of the shots passes, or is caught, group by group."""
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


def reasons(rows: Book, config: Config) -> None:
    """By which measures each kind is refused, and which shots are judged otherwise than they should be."""
    for (kind, group), shots in sorted(rows.items()):
        failed = [
            (shot, [c for c in check(values, config.gate) if not c.passed])
            for shot, values in shots
        ]
        by = Counter(c.measure for _, checks in failed for c in checks)
        told = ", ".join(f"{name} {n}" for name, n in by.most_common())
        sys.stdout.write(f"{group:7s} {kind:28s} {len(shots):4d}  {told}\n")
        for shot, checks in failed:
            if bool(checks) == (kind in PASS):
                why = "; ".join(c.reason for c in checks) or "passes"
                sys.stdout.write(f"    {shot}: {why}\n")
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
                    for files in dub(clip, args.out / "work"):
                        bench.look(files)
                except DubkitError as error:
                    sys.stderr.write(f"{clip.name}: {error.message}\n")
    rows = judged(args.data, args.out, args.group or SETS)
    (reasons if args.reasons else table)(rows, load_config(args.preset))


if __name__ == "__main__":
    main()
