"""Where the processor time of a run goes, stage by stage, beside ffmpeg's own transcode of the same film.

    python tests/benchmarks/bench_stages.py FILM DUB FOLDER [--functions STAGE] [--set SECTION.KEY=VALUE ...]

The film is dubbed by one worker in this process, so that all of its processor time (user and system, all threads, and
the programs that it starts) can be told apart; the clock is told too, but only means something on an idle machine.
ffmpeg transcodes the same film with the default encoder settings (libx264, veryfast, CRF 16) and the dub as AAC.
``--functions`` profiles one stage by cProfile, whose own cost is then in the figures.

Make the film of eight shots with ``bench_stages.py --film CLIP [CLIP ...] OUT HEIGHT``: 60 s of pieces of 7.5 s, the
second half enlarged and mirrored.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import dubkit
from dubkit.pipeline import worker

PIECES, SECONDS = 8, 7.5


def spent() -> float:
    """Processor seconds of this process and of all that it has waited for."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def make_film(clips: list[Path], out: Path, height: int) -> None:
    """Eight shots of 7.5 s with one face each, 16:9 at 25 frames/s, with the clips' own sound."""
    width = height * 16 // 9 // 2 * 2
    words, chain = [], ""
    for k in range(PIECES):
        words += ["-t", str(SECONDS), "-i", str(clips[k % len(clips)])]
        closer = "crop=iw*.8:ih*.8,hflip," if k >= PIECES // 2 else ""
        fit = f"scale={width}:{height}:force_original_aspect_ratio=decrease,pad={width}:{height}:-1:-1"
        chain += f"[{k}:v]{closer}{fit},setsar=1,fps=25,format=yuv420p[v{k}];"
        chain += f"[{k}:a]aresample=48000,pan=mono|c0=c0,apad,atrim=0:{SECONDS}[a{k}];"
    chain += "".join(f"[v{k}][a{k}]" for k in range(PIECES)) + f"concat=n={PIECES}:v=1:a=1[v][a]"
    words += ["-filter_complex", chain, "-map", "[v]", "-map", "[a]", "-t", str(PIECES * SECONDS)]
    words += ["-c:v", "libx264", "-crf", "16", "-c:a", "aac", str(out)]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *words], check=True)


def transcode(film: Path, dub: Path, out: Path) -> tuple[float, float]:
    """Processor and clock seconds of ffmpeg's own transcode."""
    used, began = spent(), time.perf_counter()
    words = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(film), "-i", str(dub)]
    words += ["-map", "0:v", "-map", "1:a", "-c:v", "libx264", "-preset", "veryfast", "-crf", "16"]
    subprocess.run([*words, "-c:a", "aac", str(out)], check=True)
    return spent() - used, time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--film", action="store_true", help="make the film: CLIP... OUT HEIGHT")
    parser.add_argument("--functions", help="a stage to profile")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    args = parser.parse_args()
    if args.film:
        *clips, out, height = args.paths
        make_film(clips, out, int(str(height)))
        return
    film, dub, folder = args.paths
    folder.mkdir(parents=True, exist_ok=True)
    stages: dict[str, float] = defaultdict(float)
    peaks: dict[str, int] = {}
    profile = cProfile.Profile()
    make = worker._make

    def measured(task: worker.Task, *more: Any) -> Any:
        used = spent()
        if task.stage == args.functions:
            profile.enable()
        try:
            return make(task, *more)
        finally:
            profile.disable()
            stages[task.stage] += spent() - used
            peaks[task.stage] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

    worker._make = measured  # type: ignore[assignment]
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    used, began = spent(), time.perf_counter()
    result = dubkit.run(
        film, dub, out=folder / "out.mp4", work=work, jobs=1, settings=tuple(args.settings), overwrite=True
    )  # fmt: skip
    total, clock = spent() - used, time.perf_counter() - began
    other, others = transcode(film, dub, folder / "ffmpeg.mp4")
    for stage, seconds in sorted(stages.items(), key=lambda pair: -pair[1]):
        say(
            f"{stage:12} {seconds:7.2f} s  {seconds / total:4.0%}  memory up to then {peaks[stage]} MiB"
        )
    rest = total - sum(stages.values())
    say(f"{'all else':12} {rest:7.2f} s  {rest / total:4.0%}")
    say(
        f"dubkit {total:.1f} s of processor time, {clock:.1f} s by the clock: {result.frames} frames"
    )
    say(f"ffmpeg {other:.1f} s of processor time, {others:.1f} s by the clock")
    say(f"ratio {total / other:.2f} in processor time, {clock / others:.2f} by the clock")
    say(
        f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB"
    )
    if args.functions:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
