"""Jobs that are to be broken: kills, power cuts, full disks, damaged inputs, a two-hour film. Run by hand.

Everything goes through the command line of this checkout, with the real engines. Each program is seeded,
prints a line a trial and a summary, and writes ``FOLDER/<program>.json``; it ends with 1 where something broke.
A trial that broke leaves its folder for a look::

    python tests/benchmarks/torture.py kills /tmp/torture --count 100
    python tests/benchmarks/torture.py stops /tmp/torture --count 40
    python tests/benchmarks/torture.py power /tmp/torture --count 15
    python tests/benchmarks/torture.py cluster /tmp/torture --count 8
    python tests/benchmarks/torture.py places /tmp/torture          # needs root, for mounts
    python tests/benchmarks/torture.py damaged /tmp/torture --count 240
    python tests/benchmarks/torture.py damaged /tmp/torture --first 240 --count 60 --real
    python tests/benchmarks/torture.py long /tmp/torture --minutes 120

Linux only: processes are found in /proc, limits are set by the kernel.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.torture import bounds, cluster, damage, endurance, kills, places, power
from tests.torture.films import small_inputs
from tests.torture.kills import Outcome
from tests.torture.work_folders import Case, undisturbed

Row = dict[str, Any]
_SERIES: dict[str, Callable[[Case, Path, int, int], Outcome]] = {
    "kills": kills.kill,
    "stops": kills.stop,
    "power": power.cut_power,
    "cluster": cluster.kill_worker,
}


def main() -> int:
    """Run one program; 1 where anything was wrong."""
    args = _arguments()
    folder: Path = args.folder / args.program
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows: list[Row] = []
    for row in _rows(args, folder):
        rows.append(row)
        say(json.dumps(row))
        (args.folder / f"{args.program}.json").write_text(json.dumps(rows, indent=1))
    bad = sum(bool(row.get("faults")) for row in rows)
    hit = sum(bool(row.get("hit", True)) for row in rows)
    say(f"{args.program}: {len(rows) - bad} of {len(rows)} as they should be ({hit} hit in time)")
    if args.program == "damaged":
        codes = sorted({row["code"] for row in rows})
        told = ", ".join(f"{c}: {sum(r['code'] == c for r in rows)}" for c in codes)
        say(f"exit codes {told}; peak {max(r['peak_mb'] for r in rows):.0f} MB, "
            f"longest {max(r['seconds'] for r in rows):.1f} s of processor time")  # fmt: skip
    return int(bad > 0)


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", choices=[*_SERIES, "places", "damaged", "long"])
    parser.add_argument("folder", type=Path, help="where films and trials are put")
    parser.add_argument("--count", type=int, default=12, help="how many trials")
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", action="store_true", help="damaged: processes instead of forks")
    parser.add_argument("--minutes", type=int, default=120, help="long: length of the film")
    args = parser.parse_args()
    args.folder = args.folder.absolute()
    return args


def _rows(args: argparse.Namespace, folder: Path) -> Iterator[Row]:
    if args.program == "long":
        yield endurance.endure(folder, args.minutes)
    elif args.program == "damaged":
        yield from _damaged(args, folder)
    else:
        case = undisturbed(small_inputs(folder / "inputs"), folder / "undisturbed")
        if args.program == "places":
            yield from map(asdict, _places(case, folder))
            return
        for number in range(args.first, args.first + args.count):
            outcome = _SERIES[args.program](case, folder / f"trial{number}", number, args.seed)
            yield {"number": number, **asdict(outcome)}


def _places(case: Case, folder: Path) -> Iterator[Outcome]:
    for name, trial in places.TRIALS.items():
        for stage in case.stages:
            yield trial(case, folder / f"{name}-{stage}", stage)
    for years in (-30.0, 30.0):
        yield places.move_clock(case, folder / f"clock{years:+g}", years)


def _damaged(args: argparse.Namespace, folder: Path) -> Iterator[Row]:
    good = damage.whole(folder / "whole")
    end = bounds.real if args.real else bounds.forked
    if not args.real:
        bounds.warm_up()
    for number in range(args.first, args.first + args.count):
        place = folder / f"case{number}"
        case = damage.damaged(good, place, number, args.seed)
        verdict = end(case.what, case.words(place), place / "log")
        if verdict.code in (0, 10):
            verdict.faults += bounds.hollow(place / "out.mp4")
        if not verdict.faults:
            shutil.rmtree(place)
        yield {"number": number, **asdict(verdict)}


if __name__ == "__main__":
    sys.exit(main())
