"""Speed and memory of a whole run: one face, 720p25.

    python tests/benchmarks/bench_run.py CLIP SOUND FOLDER [--minutes 1 10] [RUN_FLAGS]

The films of the README, on a machine that does nothing else (``DATA``: its clips)::

    bench_run.py DATA/hdtf/RD_Radio2.mp4 DATA/audio/en_1.flac FOLDER --minutes 1.17             # nine shots
    bench_run.py DATA/usgov/trump_10s.mp4 DATA/audio/en_1.flac FOLDER --minutes 1 10 --set speech.aligner=even

The second clip ends as it begins, so that its repeats are one single shot.

A film of each length is made in FOLDER from CLIP (repeated, scaled to fit 1280 x 720, a cut at each repeat), dubbed
with SOUND (repeated likewise) by ``dubkit run``, and a line tells frames a second from start to end and the peak of
the resident memory of all processes together (sampled ten times a second; shared pages count once a process, so it is
an upper bound).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

FRAMES_PER_MINUTE = 1500


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg."""
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)], check=True)


def make(clip: Path, sound: Path, folder: Path, minutes: float) -> tuple[Path, Path]:
    """Film and dub of a length."""
    film, dub = folder / f"film-{minutes:g}.mp4", folder / f"dub-{minutes:g}.wav"
    fit = "scale=1280:720:force_original_aspect_ratio=decrease,pad=1280:720:-1:-1,setsar=1,fps=25"
    seconds = str(60 * minutes)
    if not film.exists():
        pictures = ["-vf", fit, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", "16"]
        ffmpeg("-stream_loop", "-1", "-i", clip, "-t", seconds, *pictures, "-c:a", "aac", film)
        ffmpeg("-stream_loop", "-1", "-i", sound, "-t", seconds, "-ac", "1", "-ar", "16000", dub)
    return film, dub


def resident(root: int) -> int:
    """Bytes of resident memory of a process and all below it."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                sizes[int(entry.name)] = 4096 * int((entry / "statm").read_text().split()[1])
            except (OSError, IndexError):
                continue
            parents[int(entry.name)] = int(fields[1])
    total = 0
    for process, size in sizes.items():
        above = process
        while above not in (0, 1, root):
            above = parents.get(above, 0)
        total += size if above == root else 0
    return total


def measure(film: Path, dub: Path, flags: list[str]) -> tuple[float, int, int]:
    """Seconds, peak bytes and shots of one run."""
    out = film.with_name(f"{film.stem}.dubbed.mp4")
    work = film.with_name(f"{film.stem}.work{time.time_ns()}")
    argv = [sys.executable, "-m", "dubkit", "run", str(film), "--audio", str(dub)]
    argv += ["--out", str(out), "--work", str(work), "--overwrite", "-q", *flags]
    started, peak = time.monotonic(), 0
    process = subprocess.Popen(argv)
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"dubkit run ended with {process.returncode}")
    shots = len(list(work.glob("video-*/faces/*/receipt.json")))
    return time.monotonic() - started, peak, shots


def main() -> None:
    """Measure every length asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("sound", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0])
    args, flags = parser.parse_known_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for minutes in args.minutes:
        film, dub = make(args.clip, args.sound, args.folder, minutes)
        seconds, peak, shots = measure(film, dub, flags)
        speed = FRAMES_PER_MINUTE * minutes / seconds
        told = f"{speed:.1f} frames/s, peak {peak / 2**20:.0f} MiB"
        sys.stdout.write(f"{minutes:g} min, {shots} shots: {told}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
