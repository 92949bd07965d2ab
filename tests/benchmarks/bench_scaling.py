"""What many shots cost beside their generation, and what a second worker brings.

::

    python tests/benchmarks/bench_scaling.py [SHOTS]

A film of that many shots of 2 s goes through the whole pipeline with the pass-through synthesizer, in turns with
one worker, two, and two of a Dask cluster; no picture is generated, so all that is measured is overhead: decoding,
one encode, books, receipts, the queue. Processor seconds count parent and workers; on a busy machine they tell
more than the clock. Then the queue alone, with calls that do nothing, and what lies on the disk for one shot.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dubkit
from dubkit.records import Manifest
from dubkit.work.manifest import read_manifest, write_manifest
from dubkit.work.schedule import stream
from tests.clips import film, tone

SETTINGS = (
    "shots.detector=fixed",
    "shots.threshold=2",
    "speech.aligner=even",
    "generate.synthesizer=passthrough",
    "generate.speed=ultrafast",
)
ROUNDS = 1
CALLS = 400


def spent() -> float:
    """Processor seconds of this process and of all that it has waited for."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))


def measure(name: str, work: Callable[[], object], units: int) -> None:
    """Print what a piece of work took, in all and for each unit."""
    began, used, idle = time.perf_counter(), spent(), _idle()
    work()
    wall, cpu, rest = time.perf_counter() - began, spent() - used, _idle() - idle
    share = rest / (wall * (os.cpu_count() or 1))
    say(
        f"{name:28} {wall:7.1f} s  {cpu:7.1f} cpu s  {1e3 * cpu / units:7.1f} cpu ms a unit  machine idle {share:4.0%}"
    )


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


def main(shots: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film(folder / "film.mp4", seconds=2.0 * shots, rate="25", size="160x90")
        tone(folder / "dub.wav", 2.0 * shots)
        for turn in range(ROUNDS):
            for backend, jobs in (("loky", 1), ("loky", 2), ("dask", 2)):
                work = f"{backend}-{jobs}-{turn}"
                measure(work, partial(_run, folder, work, jobs, backend), shots)
        same = {(folder / f"{b}.mp4").read_bytes() for b in ("loky-1-0", "loky-2-0", "dask-2-0")}
        say(f"the films are {'the same' if len(same) == 1 else 'DIFFERENT'}")
        _books(folder / "loky-2-0")
    for backend in ("loky", "dask"):
        measure(f"{CALLS} empty calls, {backend}", partial(_queue_alone, backend), CALLS)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
