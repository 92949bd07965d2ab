"""What many shots cost beside their generation, and what a second worker brings.

::

    python tests/benchmarks/bench_scaling.py [SHOTS]

A film of that many shots of 2 s, and one of six, go through the whole pipeline with the pass-through synthesizer,
in turns with one worker, two, and two, four and eight of a Dask cluster; no picture is generated, so all that is
measured is overhead: decoding, one encode, books, receipts, the queue. The difference of both films is told for a
shot, the start of processes and libraries thus left out. Processor seconds count parent and workers; on a busy
machine they tell more than the clock, and the clock's figures tell nothing there. Then the queue alone, with calls
that do nothing, and what lies on the disk for one shot.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dubkit
from dubkit.parallel.scheduler import stream
from dubkit.records import Manifest
from dubkit.work.manifest import read_manifest, write_manifest
from tests.clips import film, tone

SETTINGS = (
    "shots.detector=fixed",
    "shots.threshold=2",
    "speech.aligner=even",
    "generate.synthesizer=passthrough",
    "generate.speed=ultrafast",
)
WAYS = (("loky", 1), ("loky", 2), ("dask", 2), ("dask", 4), ("dask", 8))
FEW = 6  # shots of the film that is compared with
CALLS = 400


def spent() -> float:
    """Processor seconds of this process and of all that it has waited for."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work took."""

    wall: float
    cpu: float


def measure(name: str, work: Callable[[], object], units: int) -> Cost:
    """Print and return what a piece of work took, in all and for each unit."""
    began, used, idle = time.perf_counter(), spent(), _idle()
    work()
    wall, cpu, rest = time.perf_counter() - began, spent() - used, _idle() - idle
    share = rest / (wall * (os.cpu_count() or 1))
    each = f"{1e3 * cpu / units:7.1f} cpu ms a unit"
    say(f"{name:28} {wall:7.1f} s  {cpu:7.1f} cpu s  {each}  machine idle {share:4.0%}")
    return Cost(wall, cpu)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def nothing(_: object) -> None:
    """A call that costs nothing."""


def _idle() -> float:
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(words[4]) / os.sysconf("SC_CLK_TCK")


def _run(folder: Path, name: str, jobs: int, backend: str) -> None:
    dubkit.run(
        folder / "film.mp4",
        folder / "dub.wav",
        out=folder / f"{name}.mp4",
        work=folder / name,
        settings=(*SETTINGS, f"parallel.backend={backend}"),
        jobs=jobs,
    )


def _books(work: Path) -> None:
    manifest = read_manifest(work)
    assert manifest is not None
    count = len(manifest.results)
    size = (work / "manifest.json").stat().st_size
    receipts = [p.stat().st_size for p in work.glob("*/*/*/receipt.json")]
    files = sum(1 for p in work.rglob("*") if p.is_file())
    many = dict(zip(map(str, range(3000)), list(manifest.results.values()) * 3000, strict=False))
    large = Manifest(manifest.version, manifest.job, many, manifest.inputs)
    began = time.perf_counter()
    write_manifest(work, large)
    took = time.perf_counter() - began
    say(
        f"manifest: {size / count:.0f} bytes a unit; 3,000 units are written in {1e3 * took:.0f} ms"
    )
    say(f"receipts: {sum(receipts) / len(receipts):.0f} bytes; {files / count:.1f} files a unit")


def _queue_alone(backend: str) -> None:
    """Calls that do nothing, by two workers."""
    for _ in stream(nothing, list(range(CALLS)), jobs=2, backend=backend):
        pass


def _film(folder: Path, shots: int) -> dict[str, Cost]:
    """A film of so many shots by each kind of workers; the films must be the same."""
    folder.mkdir()
    film(folder / "film.mp4", seconds=2.0 * shots, rate="25", size="160x90")
    tone(folder / "dub.wav", 2.0 * shots)
    costs = {}
    for backend, jobs in WAYS:
        name = f"{backend}-{jobs}"
        costs[name] = measure(
            f"{shots} shots, {name}", partial(_run, folder, name, jobs, backend), shots
        )
    same = {(folder / f"{name}.mp4").read_bytes() for name in costs}
    say(f"the films are {'the same' if len(same) == 1 else 'DIFFERENT'}")
    return costs


def main(shots: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, many = _film(folder / "few", FEW), _film(folder / "many", shots)
        more = shots - FEW
        for way, cost in many.items():
            wall, cpu = cost.wall - few[way].wall, cost.cpu - few[way].cpu
            say(f"a shot more, {way}: {1e3 * wall / more:.0f} ms, {1e3 * cpu / more:.0f} cpu ms")
        alone = many["loky-1"].wall - few["loky-1"].wall
        both = many["loky-2"].wall - few["loky-2"].wall
        say(f"two workers are {alone / both:.2f} times as fast as one, by the clock")
        _books(folder / "many" / "loky-2")
    for backend in ("loky", "dask"):
        measure(f"{CALLS} empty calls, {backend}", partial(_queue_alone, backend), CALLS)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 36)
