"""Dub real clips and let the outside judge measure the lips.

    python tests/benchmarks/lips_on_clips.py DATA OUT --judge JUDGE_PYTHON [--mode own|swapped|silent]
        [--no-script] [--set K=V]

DATA is the folder of clips with its ``clips.csv``; every clip of the validation split (people that training never saw;
of the one GRID speaker, four clips) is dubbed with its own sound, with the next clip's sound, or with silence. By how
much a real clip's own lips are late is estimated from its sound; lips are compared as they
are and with that taken out. JUDGE_PYTHON runs ``judge_lips.py`` in a venv of its own. Prints a line a clip and the
mean; writes ``results-MODE.json`` into OUT, beside the dubbed films. Give each variant (``--set
generate.synthesizer=tcsc``) an OUT of its own; ``--analysis`` lets them share what was found in the clips.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import dubkit
from dubkit.faces.active_speaker import mouth_motion
from dubkit.faces.selection import load_tracks
from dubkit.media.audio import load_samples
from dubkit.media.probe import probe
from dubkit.metrics.gate_limits import load_gate
from dubkit.training.lab.teacher_set import GRID_WORDS
from dubkit.training.quality import synchrony

JUDGE = Path(__file__).with_name("judge_lips.py")
KEEP_S1 = 4


def sentence(stem: str) -> str:
    """The words that a GRID file's name stands for."""
    letters = stem.rpartition("_")[2]
    return " ".join(words[letter] for words, letter in zip(GRID_WORDS, letters, strict=True))


def clips(data: Path) -> list[Path]:
    """The validation clips that may be shipped with."""
    with (data / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "val" and r["ship"] == "yes"]
    own = [r["file"] for r in rows if r["set"] == "grid_s1"][:KEEP_S1]
    return [data / f for f in [r["file"] for r in rows if r["set"] != "grid_s1"] + own]


def dub(
    video: Path,
    sound: Path,
    out: Path,
    extra: Sequence[str] = (),
    analysis: Path | None = None,
    *,
    scripted: bool = True,
) -> Path:
    """Dub one clip; the script goes along where the corpus states it. Returns the work folder."""
    out.parent.mkdir(parents=True, exist_ok=True)
    script = None
    if scripted and sound.parent.name.startswith("grid"):
        script = out.with_suffix(".txt")
        script.write_text(sentence(sound.stem), encoding="utf-8")
    work = out.with_suffix(".dubkit")
    settings = ("faces.which=largest", "generate.quality=10", *extra)
    dubkit.run(
        video,
        sound,
        script=script,
        out=out,
        work=work,
        overwrite=True,
        settings=settings,
        analysis=analysis,
    )
    return work


def silence(out: Path, seconds: float) -> Path:
    """A silent sound file."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(out), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(2 * int(16000 * seconds)))
    return out


def lateness(video: Path, work: Path) -> float | None:
    """Milliseconds by which the lips of a real clip are late to its own sound; None where it cannot be measured.

    By the sound alone (`training.quality.synchrony`), which knows neither phonemes nor the net that made the dub.
    """
    info, pts = probe(video)
    track = max((t for f in work.glob("video-*/faces/*-*") for t in load_tracks(f)), key=len)
    times = (pts[track.start :][: len(track)] - pts[0]) * float(info.time_base)
    motion = mouth_motion(track.landmarks)
    found = synchrony(motion, load_samples(video), times, float(info.average_rate))
    return None if found is None else 1000 * found.offset


def judge(
    python: Path, result: Path, real: Path | None, work: Path, late: float | None = None
) -> dict[str, float]:
    """What `judge_lips.py` says."""
    speech = next(work.glob("dub-*/speech/job/speech.json"))
    argv = [str(python), str(JUDGE), str(result), *([str(real)] if real else [])]
    argv += [] if late is None else [f"--late={late}"]
    done = subprocess.run(
        [*argv, "--speech", str(speech), "--json"], check=True, capture_output=True, text=True
    )
    rows: dict[str, float] = json.loads(done.stdout)
    return rows


def seam(work: Path) -> float:
    """The gate's ``seam``, the mean over the faces it measured; NaN where it measured none."""
    checks = [
        check
        for folder in work.glob("dub-*/gate/*-*")
        for face in load_gate(folder).faces
        for check in face.checks
    ]
    return float(np.mean([c.value for c in checks if c.measure == "seam" and c.value is not None]))


def main() -> None:
    """Dub, judge, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--mode", choices=("own", "swapped", "silent"), default="own")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--no-script", action="store_true")
    parser.add_argument("--analysis", type=Path)
    parser.add_argument("--only", help="names of clips, with commas between them")
    args = parser.parse_args()
    videos = clips(args.data)
    if args.only:
        videos = [v for v in videos if v.stem in args.only.split(",")]
    table: dict[str, dict[str, float]] = {}
    for number, video in enumerate(videos):
        out = args.out / args.mode / f"{video.parent.name}_{video.stem}.mp4"
        sound = video
        if args.mode == "swapped":
            sound = videos[(number + 1) % len(videos)]
        elif args.mode == "silent":
            sound = silence(out.with_suffix(".wav"), 10)
        work = dub(video, sound, out, args.settings, args.analysis, scripted=not args.no_script)
        if args.mode == "own":
            rows = judge(args.judge, out, video, work, lateness(video, work))
        else:
            rows = judge(args.judge, out, None, work)
        table[video.stem] = rows = {**rows, "seam": seam(work)}
        sys.stdout.write(
            f"{video.stem:20s} {json.dumps({k: round(v, 3) for k, v in rows.items()})}\n"
        )
        sys.stdout.flush()
    names = sorted({name for rows in table.values() for name in rows})
    mean = {n: float(np.mean([r[n] for r in table.values() if n in r])) for n in names}
    sys.stdout.write(f"{'mean':20s} {json.dumps({k: round(v, 3) for k, v in mean.items()})}\n")
    (args.out / f"results-{args.mode}.json").write_text(
        json.dumps({"clips": table, "mean": mean}, indent=1), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
