"""Jobs that are to be broken: kills, power cuts, full disks, damaged inputs, a two-hour film. Run by hand.

Everything goes through the command line of this checkout, with the real engines. Each program is seeded,
prints a line a trial and a summary, and adds the line to ``FOLDER/<program>.jsonl``; it ends with 1 where something
broke. A trial that broke leaves its folder for a look::

    python tests/benchmarks/torture.py kills /tmp/torture --count 100
    python tests/benchmarks/torture.py stops /tmp/torture --count 40
    python tests/benchmarks/torture.py power /tmp/torture --count 15
    python tests/benchmarks/torture.py together /tmp/torture --count 8
    python tests/benchmarks/torture.py cluster /tmp/torture --count 8
    python tests/benchmarks/torture.py places /tmp/torture          # needs root, for mounts
    python tests/benchmarks/torture.py damaged /tmp/torture --count 240
    python tests/benchmarks/torture.py damaged /tmp/torture --first 240 --count 60 --real
    python tests/benchmarks/torture.py long /tmp/torture --minutes 120
    python tests/benchmarks/torture.py series /tmp/torture --resume --hours 8

``series`` is all of it, `SERIES` trials of each: the program that is farthest from its number comes next. With
``--resume`` what a folder holds counts, and the same command goes on with the next trial, today or another day; a
trial that was cut off is tried again. Each line names the commit that was tried; the summary is of all lines.

Linux only: processes are found in /proc, limits are set by the kernel.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.torture import bounds, cluster, damage, endurance, kills, places, power, together
from tests.torture.films import small_inputs
from tests.torture.kills import Outcome
from tests.torture.work_folders import Case, undisturbed

Row = dict[str, Any]
_TRIALS: dict[str, Callable[[Case, Path, int, int], Outcome]] = {
    "kills": kills.kill,
    "stops": kills.stop,
    "power": power.cut_power,
    "together": together.two_at_once,
    "cluster": cluster.kill_worker,
}
SERIES = {"kills": 1000, "damaged": 1000, "stops": 100, "power": 50, "places": 28, "together": 40}


def main() -> int:
    """Run one program, or the series; 1 where anything was wrong."""
    args = _arguments()
    args.folder.mkdir(parents=True, exist_ok=True)
    programs = SERIES if args.program == "series" else {args.program: 0}
    if not args.resume:
        for program in programs:
            (args.folder / f"{program}.jsonl").unlink(missing_ok=True)
    if args.program == "long":
        _write(args.folder, "long", endurance.endure(args.folder / "long", args.minutes))
    elif args.program == "series":
        _series(args)
    else:
        bench = Bench(args.program, args)
        for number in bench.numbers(args.first, args.count):
            _write(args.folder, args.program, bench.trial(number))
    return int(any(_summary(args.folder, program) for program in programs))


def _series(args: argparse.Namespace) -> None:
    """Trials of all programs in turn, until all are done or the time is over."""
    benches = {program: Bench(program, args) for program in SERIES}
    deadline = time.monotonic() + 3600 * args.hours
    while time.monotonic() < deadline:
        done = {program: len(_rows(args.folder, program)) for program in SERIES}
        program = min(SERIES, key=lambda name: done[name] / SERIES[name])
        if done[program] >= SERIES[program]:
            return
        _write(args.folder, program, benches[program].trial(done[program]))


class Bench:
    """One program: what it needs is made when its first trial comes."""

    def __init__(self, program: str, args: argparse.Namespace) -> None:
        self._program, self._seed, self._real = program, args.seed, args.real
        self._folder: Path = args.folder / program
        self._rows = len(_rows(args.folder, program))
        # an earlier process's films are made again: the same bytes, or a trial says so
        shutil.rmtree(self._folder / "undisturbed", ignore_errors=True)

    def numbers(self, first: int, count: int) -> range:
        """The trials to make; a program that is gone on with begins after its last one."""
        if self._program == "places":
            return range(self._rows, len(self._places))
        return range(max(first, self._rows), first + count)

    @cached_property
    def _case(self) -> Case:
        inputs = self._folder / "inputs"
        shutil.rmtree(inputs, ignore_errors=True)
        return undisturbed(small_inputs(inputs), self._folder / "undisturbed")

    @cached_property
    def _good(self) -> damage.Whole:
        place = self._folder / "whole"
        shutil.rmtree(place, ignore_errors=True)
        if not self._real:
            bounds.warm_up()
        return damage.whole(place)

    @cached_property
    def _places(self) -> list[tuple[str, str | float]]:
        found: list[tuple[str, str | float]] = [
            (name, stage) for name in places.TRIALS for stage in self._case.stages
        ]
        return [*found, ("clock", -30.0), ("clock", 30.0)]

    def trial(self, number: int) -> Row:
        """Make one, and say how it went."""
        if self._program == "damaged":
            return self._damaged(number)
        folder = self._folder / f"trial{number}"
        shutil.rmtree(folder, ignore_errors=True)  # of a trial that was cut off
        if self._program != "places":
            outcome = _TRIALS[self._program](self._case, folder, number, self._seed)
            return {"number": number, **asdict(outcome)}
        name, what = self._places[number % len(self._places)]
        if isinstance(what, float):
            outcome = places.move_clock(self._case, folder, what)
        else:
            outcome = places.TRIALS[name](self._case, folder, what)
        return {"number": number, **asdict(outcome)}

    def _damaged(self, number: int) -> Row:
        place = self._folder / f"case{number}"
        shutil.rmtree(place, ignore_errors=True)
        case = damage.damaged(self._good, place, number, self._seed)
        end = bounds.real if self._real else bounds.forked
        verdict = end(case.what, case.words(place), place / "log")
        if verdict.code in (0, 10) and case.makes_film:
            verdict.faults += bounds.hollow(place / "out.mp4")
        if not verdict.faults:
            shutil.rmtree(place)
        return {"number": number, **asdict(verdict)}


def _commit() -> str:
    words = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def _write(folder: Path, program: str, row: Row) -> None:
    """Add a line; one that a power cut tore is no line."""
    line = json.dumps({**row, "commit": _commit(), "day": time.strftime("%Y-%m-%d")})
    say(line)
    path = folder / f"{program}.jsonl"
    torn = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + line + "\n")


def _rows(folder: Path, program: str) -> list[Row]:
    path, found = folder / f"{program}.jsonl", []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def _summary(folder: Path, program: str) -> bool:
    """Say how all trials went; whether any was wrong."""
    rows = _rows(folder, program)
    bad = sum(bool(row.get("faults")) for row in rows)
    hit = sum(bool(row.get("hit", True)) for row in rows)
    wanted = f" of {SERIES[program]}" if program in SERIES else ""
    say(
        f"{program}: {len(rows)}{wanted} tried, {len(rows) - bad} as they should be, {hit} hit in time"
    )
    if program == "damaged" and rows:
        codes = Counter(row["code"] for row in rows)
        told = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
        say(f"exit codes {told}; peak {max(r['peak_mb'] for r in rows):.0f} MB, "
            f"longest {max(r['seconds'] for r in rows):.1f} s of processor time")  # fmt: skip
    return bad > 0


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", choices=[*_TRIALS, "places", "damaged", "long", "series"])
    parser.add_argument("folder", type=Path, help="where films and trials are put")
    parser.add_argument("--count", type=int, default=12, help="how many trials")
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", action="store_true", help="damaged: processes instead of forks")
    parser.add_argument("--minutes", type=int, default=120, help="long: length of the film")
    parser.add_argument("--resume", action="store_true", help="go on with what the folder holds")
    parser.add_argument("--hours", type=float, default=1000.0, help="series: stop after so long")
    args = parser.parse_args()
    args.folder = args.folder.absolute()
    return args


if __name__ == "__main__":
    sys.exit(main())
