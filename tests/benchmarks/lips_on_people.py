"""Dub people whom no net was trained on and no choice was made by, and let the outside judge look at each face.

    python tests/benchmarks/lips_on_people.py DATA OUT --judge JUDGE_PYTHON [--mode own|swapped|silent]
        [--count 30] [--set K=V]

DATA is the folder of clips with its ``clips.csv``. Taken are ``--count`` one-word clips of news anchors that look as
different from one another as they can, and every clip of the test split: footage that may be used to judge by, and for
nothing else. Each goes through the whole pipeline as a user would send it, but for the gate, which warns only: with its
own sound, with that of the next clip of its set, or with silence. Every face that is dubbed is cut out of the film and
of the original, so that the judge sees that face and no other. Prints a line a face, then the mean of each set; writes
``people-MODE.json`` into OUT, beside the films.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CalledProcessError

import av
import cv2
import numpy as np

import dubkit
from dubkit.errors import DubkitError
from dubkit.faces.selection import load_choice, load_tracks
from dubkit.media.probe import probe
from dubkit.media.process import run
from dubkit.metrics.gate_limits import GateResult
from dubkit.records import FaceTrack, VideoInfo
from tests.benchmarks.lips_on_clips import judge, seam, silence

Row = dict[str, str]
Measures = dict[str, float]
_AROUND = 0.6  # of a face's box, to either side of it, that the judge sees
_SEEN_FOR = 20  # frames: of less the judge can say nothing
_FAILED = "failed"  # key of clips that ended with an error


def taken(data: Path, count: int) -> list[Row]:
    """The rows of ``clips.csv`` that are looked at."""
    with (data / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    anchors = [row for row in rows if row["set"] == "arabic"]
    return unlike(data, anchors, count) + [row for row in rows if row["split"] == "test"]


def unlike(data: Path, rows: Sequence[Row], count: int) -> list[Row]:
    """The first clip, and then always the one whose first picture is least like all that were taken."""
    looks = np.stack([thumbnail(data / row["file"]) for row in rows])
    chosen: list[int] = [0]
    nearest = np.full(len(rows), np.inf)
    while len(chosen) < min(count, len(rows)):
        nearest = np.minimum(nearest, np.abs(looks - looks[chosen[-1]]).mean(1))
        chosen.append(int(nearest.argmax()))
    return [rows[k] for k in chosen]


def thumbnail(video: Path) -> np.ndarray:
    """(N,) the middle of the first picture, made small."""
    with av.open(str(video)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    height, width = picture.shape[:2]
    middle = picture[height // 8 : height * 7 // 8, width // 4 : width * 3 // 4]
    small = cv2.resize(middle, (16, 24), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).ravel()


def dub(
    video: Path, sound: Path, out: Path, language: str, extra: Sequence[str], analysis: Path
) -> dubkit.RunResult:
    """The film, dubbed."""
    out.parent.mkdir(parents=True, exist_ok=True)
    spoken = [f"speech.language={language}"] if language != "?" else []
    return dubkit.run(
        *(video, sound),
        out=out,
        work=out.with_suffix(".dubkit"),
        overwrite=True,
        settings=["generate.quality=10", "gate.action=warn", "parallel.jobs=1", *spoken, *extra],
        analysis=analysis,
    )


def faces(work: Path) -> Iterator[tuple[str, FaceTrack, int]]:
    """The dubbed faces of a film: name, track, frames that are fit to be dubbed."""
    for folder in sorted(work.glob("video-*/faces/*-*")):
        for track, choice in zip(load_tracks(folder), load_choice(folder), strict=True):
            if choice.dubbed and choice.usable.any():
                yield f"{folder.name}/{track.track}", track, int(choice.usable.sum())


def close_up(video: Path, info: VideoInfo, track: FaceTrack, out: Path) -> Path:
    """One face's frames of a film and what is around it, without loss and without sound."""
    seen = track.boxes[np.isfinite(track.boxes).all(1)]
    low, high = seen[:, :2].min(0), seen[:, 2:].max(0)
    low, high = low - _AROUND * (high - low), high + _AROUND * (high - low)
    x, y = np.maximum(low, 0).astype(int) // 2 * 2
    right, bottom = np.minimum(high, (info.width, info.height)).astype(int)
    end = track.start + len(track)
    cut = f"trim=start_frame={track.start}:end_frame={end},setpts=PTS-STARTPTS"
    look = f"crop={(right - x) // 2 * 2}:{(bottom - y) // 2 * 2}:{x}:{y}"
    coded = ["-an", "-fps_mode", "passthrough", "-c:v", "ffv1", str(out)]
    run(["ffmpeg", "-y", "-v", "error", "-i", str(video), "-vf", f"{cut},{look}", *coded])
    return out


def spoken_from(work: Path, begin: float, out: Path) -> Path:
    """What is said, on a clock that starts at ``begin``; in a folder as `judge` looks for it."""
    speech = json.loads(next(work.glob("dub-*/speech/job/speech.json")).read_text())
    for phoneme in speech["phonemes"]:
        phoneme["start"] -= begin
        phoneme["end"] -= begin
    there = out / "dub-face" / "speech" / "job" / "speech.json"
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text(json.dumps(speech))
    return out


def measured(python: Path, original: Path, made: Path, own: bool) -> Iterator[tuple[str, Measures]]:
    """What the judge says of each dubbed face of a film, and how much of it was painted."""
    info, pts = probe(original)
    work = made.with_suffix(".dubkit")
    for name, track, fit in faces(work):
        folder = work / "close-ups" / name.replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        found: Measures = {"fit": fit / len(track), "side": float(np.nanmedian(_sides(track)))}
        real = close_up(original, info, track, folder / "real.mkv")
        dubbed = close_up(made, info, track, folder / "dubbed.mkv")
        begin = float(pts[track.start] * info.time_base)
        if len(track) >= _SEEN_FOR:
            spoken = spoken_from(work, begin, folder)
            found |= judged(python, dubbed, real, spoken, own)
        yield name, found


def judged(python: Path, dubbed: Path, real: Path, work: Path, own: bool) -> Measures:
    """The rows of `judge_lips.py`; without what follows the sound where it is another."""
    try:
        rows = judge(python, dubbed, real, work)
    except CalledProcessError:
        return {"not_seen": 1.0}  # no face that the judge could see
    said = ("opening_correlation", "correlation_there", "amplitude", "reference_offset_ms")
    return rows if own else {k: v for k, v in rows.items() if k not in said and k[:5] != "real_"}


def _sides(track: FaceTrack) -> np.ndarray:
    return np.asarray(track.boxes[:, 2] - track.boxes[:, 0])


def failures(gates: Sequence[GateResult]) -> str:
    """Why shots failed the gate."""
    return "; ".join(f"{g.shot}: {', '.join(g.reasons)}" for g in gates if not g.passed)


def main() -> None:
    """Dub, judge, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--mode", choices=("own", "swapped", "silent"), default="own")
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--only", help="names of clips, with commas between them")
    args = parser.parse_args()
    rows = taken(args.data, args.count)
    said: dict[str, dict[str, object]] = {}
    by_set: dict[str, list[Measures]] = defaultdict(list)
    for row in rows:
        name = Path(row["file"]).stem
        if args.only and name not in args.only.split(","):
            continue
        said[name] = looked = _one(args, row, rows)
        for face, found in dict(looked.get("faces", {})).items():  # type: ignore[call-overload]
            by_set[row["set"]].append(found)
            _say(f"{name} {face}", {k: round(v, 3) for k, v in found.items()})
        _say(name, {k: v for k, v in looked.items() if k != "faces"})
    means = {name: _mean(found) for name, found in by_set.items()}
    for name, mean in means.items():
        _say(f"mean of {name}", {k: round(v, 3) for k, v in mean.items()})
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"people-{args.mode}.json").write_text(
        json.dumps({"clips": said, "means": means}, indent=1), encoding="utf-8"
    )


def _one(args: argparse.Namespace, row: Row, rows: Sequence[Row]) -> dict[str, object]:
    """One clip: how the job ended, and its faces."""
    name, video = Path(row["file"]).stem, args.data / row["file"]
    made = args.out / args.mode / f"{row['set']}_{name}.mp4"
    others = [other for other in rows if other["set"] == row["set"]]
    sound, language = video, row["language"]
    if args.mode == "swapped":
        other = others[(others.index(row) + 1) % len(others)]
        sound, language = args.data / other["file"], other["language"]
    elif args.mode == "silent":
        seconds = float(probe(video)[0].duration)
        sound, language = silence(made.with_suffix(".wav"), seconds), "?"
    try:
        done = dub(video, sound, made, language, args.settings, args.out / "analysis")
    except DubkitError as error:
        return {_FAILED: f"{type(error).__name__}: {error}"}
    found: dict[str, Measures] = {}
    for face, measures in measured(args.judge, video, made, args.mode == "own"):
        found[face] = measures
    work = made.with_suffix(".dubkit")
    if len(list(work.glob("video-*/faces/*-*"))) == 1 and len(found) == 1:
        next(iter(found.values()))["seam"] = seam(work)
    facts = {k: v for k, v in done.facts.items() if k.startswith(("generate.", "gate."))}
    return {
        "faces": found,
        "frames": done.frames,
        "gate": failures(done.gates),
        "warnings": [w for w in done.warnings if "gate" not in w],
        **facts,
    }


def _mean(found: Sequence[Measures]) -> Measures:
    keys = sorted({key for measures in found for key in measures})
    return {k: float(np.mean([m[k] for m in found if k in m])) for k in keys}


def _say(name: str, what: object) -> None:
    sys.stdout.write(f"{name:34s} {json.dumps(what)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
