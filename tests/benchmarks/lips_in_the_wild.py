"""How well lips go with the sound, on people nobody tuned to: everything rendered, measured by the outside judge.

    python -m tests.benchmarks.lips_in_the_wild DATA OUT --judge JUDGE_PYTHON [--people wild,val]
        [--modes own,swapped,silent] [--script] [--fast] [--set K=V] [--only NAME,NAME] [--analysis FOLDER]

DATA is the folder of clips with its ``clips.csv``. People: ``wild`` is the sets of the test split that are for judging
only, ``val`` the validation split (people that training never saw; of the one GRID speaker, four clips), ``anchors``
thirty one-word clips of news anchors who look as different as they can, ``film`` the rest of the test split. Each clip
goes through the whole pipeline with default settings and without a script, but that the gate warns only and nobody's
speech is learned from (it is what is judged): with its own sound, with the next clip's, or with silence. ``--script``
gives the sentences of GRID along. Every face that is dubbed is cut out of the film and of the original, so that the
judge sees that face and no other. JUDGE_PYTHON runs ``judge_lips.py`` in a venv of its own.

``--fast`` renders nothing: it measures the mouth shapes that the net wants, for choosing between nets.

Prints a line a face, then a table for each set: means with 95 % intervals (bootstrap over faces). Where lips go with
half of the other clips' sounds better than with their own, the clip is named: its sound may not be theirs. What was
measured is kept in OUT, so that a run that was stopped goes on; give each variant an OUT of its own, and let them
share ``--analysis``.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import run as call
from typing import Any

import av
import cv2
import numpy as np

import dubkit
from dubkit.config.presets import load_config
from dubkit.config.schema import Config, SpeechSettings
from dubkit.errors import DubkitError, Interrupted
from dubkit.faces import align
from dubkit.faces.lips_from_sound import mouth_motion
from dubkit.faces.selection import load_choice, load_tracks
from dubkit.lips import generator, mouth_shape, shape_losses
from dubkit.media.audio import load_samples
from dubkit.media.probe import probe
from dubkit.media.process import run
from dubkit.metrics import lips
from dubkit.metrics.gate_limits import load_gate
from dubkit.records import FaceState, FaceTrack, ScriptLine, TrackChoice
from dubkit.speech.pocketsphinx import PocketsphinxAligner
from dubkit.speech.timing import load_timing
from dubkit.training.lab.teacher_set import sentence, transcripts
from dubkit.training.quality import synchrony
from tests.benchmarks import judge_lips

Row = dict[str, str]
Measures = dict[str, float]
Series = np.ndarray
MODES = ("own", "swapped", "silent")
PEOPLE = ("wild", "val", "anchors", "film")
_JUDGE = Path(judge_lips.__file__)
_KEEP_S1, _ANCHORS = 4, 30
_AROUND = 0.6  # of a face's box, to either side of it, that the judge sees
_SEEN_FOR = 20  # frames: of less the judge can say nothing
_EVERY = 4  # frame whose picture is compared
_PAINTED = 0.5  # of a face's frames, from which on it is counted as dubbed
_LOW = 0.40  # correlation under which a clip is counted
_DRAWS = 2000  # of the bootstrap
_STRANGER = 0.5  # share of the other sounds that lips go with better than with their own
# how a row's clips are summed up; the bars are generator2.md's
ROWS: tuple[tuple[str, str, Callable[[Series], float]], ...] = (
    ("opening_correlation", "as it is", np.mean),
    ("correlation_there", "at its own lag", np.mean),
    ("correlation_there", f"clips under {_LOW:g}", lambda v: float((v < _LOW).sum())),
    ("reference_offset_ms", "lag, ms", np.mean),
    ("reference_offset_ms", "deviation of the lags", np.std),
    ("amplitude", "over the real one", np.mean),
    ("amplitude", "within .85 to 1.15", lambda v: float(((v >= 0.85) & (v <= 1.15)).mean())),
    ("width_correlation", "", np.mean),
    ("width_amplitude", "", np.mean),
    ("contacts", "real closures that close", np.mean),
    ("closures", "P, B, M", np.mean),
    ("open_in_silence", "", np.mean),
    ("open", "frames open, no sound", np.mean),
    ("jitter", "", np.mean),
    ("ssim", "", np.mean),
    ("sharpness", "", np.mean),
    ("rendered", "over wanted opening", np.mean),
    ("rendered", "worst", np.max),
    ("landmarker", "opening over the judge's", np.mean),
    ("landmarker", "worst", np.min),
    ("owner", "with the lips of whom the sound is", np.mean),
    ("faces_lost", "", np.sum),
)


@dataclass(frozen=True, slots=True)
class Face:
    """A dubbed face of a clip."""

    name: str  # SHOT/TRACK
    track: FaceTrack
    choice: TrackChoice
    wanted: Series  # (T,) opening that the dub asks for
    wanted_width: Series  # (T,)


def taken(data: Path, people: str) -> list[Row]:
    """The rows of ``clips.csv`` of some people."""
    with (data / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if people == "val":
        rows = [row for row in rows if row["split"] == "val" and row["ship"] == "yes"]
        own = [row for row in rows if row["set"] == "grid_s1"][:_KEEP_S1]
        return [row for row in rows if row["set"] != "grid_s1"] + own
    if people == "anchors":
        return unlike(data, [row for row in rows if row["set"] == "arabic"], _ANCHORS)
    rows = [row for row in rows if row["split"] == "test"]
    return [row for row in rows if row["set"].startswith("judge_") == (people == "wild")]


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


def silence(out: Path, seconds: float) -> Path:
    """A silent sound file."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(out), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(2 * int(16000 * seconds)))
    return out


def phonemes_of(row: Row, sound: Path, kept: Path) -> list[dict[str, Any]] | None:
    """What is said in a clip, to judge closures by, where somebody wrote it down."""
    words = sentence(row, transcripts())
    if words is None:
        return None
    if not kept.is_file():
        aligner = PocketsphinxAligner(SpeechSettings(trust_script=True))
        said = aligner.align(load_samples(sound), (ScriptLine(words),), "en").phonemes
        kept.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"symbol": p.symbol, "start": p.start, "end": p.end} for p in said]
        kept.write_text(json.dumps(rows))
    return list(json.loads(kept.read_text()))


def seam(work: Path) -> Measures:
    """The gate's ``seam``, the mean over the faces it measured."""
    checks = [
        check
        for folder in work.glob("dub-*/gate/*-*")
        for face in load_gate(folder).faces
        for check in face.checks
    ]
    found = [c.value for c in checks if c.measure == "seam" and c.value is not None]
    return {"seam": float(np.mean(found))} if found else {}


def faces(work: Path, config: Config) -> Iterator[Face]:
    """The dubbed faces of a film with what the dub wants of them."""
    width = mouth_width_effect()
    for folder in sorted(work.glob("video-*/faces/*-*")):
        timing = load_timing(next(work.glob(f"dub-*/timing/{folder.name}")))
        spoken = generator.wanted(timing, config.generate).coefficients
        start = int(folder.name.split("-")[0])
        made = next(work.glob(f"dub-*/generate/{folder.name}/chosen.json"), folder / "chosen.json")
        choices = zip(load_choice(folder), load_choice(made.parent), strict=True)
        for track, (choice, painted) in zip(load_tracks(folder), choices, strict=True):
            # a mouth that mostly stays as filmed is right for another reason
            if choice.dubbed and painted.dubbed and painted.usable.mean() >= _PAINTED:
                rows = spoken[track.start - start :][: len(track)] * speaker_gain(track, choice)
                yield Face(
                    f"{folder.name}/{track.track}",
                    track,
                    choice,
                    rows @ mouth_shape.gap_effect(),
                    rows @ width,
                )


def mouth_width_effect() -> Series:
    """(K,) mouth width over face width that a unit of each coefficient adds."""
    return np.asarray(shape_losses.effects()[1].numpy())


def speaker_gain(track: FaceTrack, choice: TrackChoice) -> float:
    """As the generator takes it."""
    if track.articulation is not None:
        return track.articulation
    present = track.state != FaceState.ABSENT
    landmarks = mouth_shape.fill_absent(track.landmarks, present)
    canonical = np.stack([align.apply(align.canonical_from_face(f), f) for f in landmarks])
    frontal = mouth_shape.frontal(canonical, mouth_shape.fill_absent(track.pose, present))
    good = frontal[choice.usable & present]
    return float(mouth_shape.gain(good, mouth_shape.resting_mouth(good)) ** 0.5)


def close_up(video: Path, face: FaceTrack, out: Path) -> Path:
    """One face's frames of a film and what is around it, without loss and without sound."""
    info, _ = probe(video)
    seen = face.boxes[np.isfinite(face.boxes).all(1)]
    low, high = seen[:, :2].min(0), seen[:, 2:].max(0)
    low, high = low - _AROUND * (high - low), high + _AROUND * (high - low)
    x, y = np.maximum(low, 0).astype(int) // 2 * 2
    right, bottom = np.minimum(high, (info.width, info.height)).astype(int)
    cut = f"trim=start_frame={face.start}:end_frame={face.start + len(face)},setpts=PTS-STARTPTS"
    look = f"crop={(right - x) // 2 * 2}:{(bottom - y) // 2 * 2}:{x}:{y}"
    coded = ["-an", "-fps_mode", "passthrough", "-c:v", "ffv1", str(out)]
    run(["ffmpeg", "-y", "-v", "error", "-i", str(video), "-vf", f"{cut},{look}", *coded])
    return out


class Bench:
    """One variant: its settings, its folder, its judge."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.out: Path = args.out
        self.analysis: Path = args.analysis or args.out / "analysis"
        self.config = load_config((), args.settings)

    def clip(self, row: Row, mode: str, rows: Sequence[Row]) -> dict[str, Measures]:
        """The measures of a clip's faces; from the folder, where they were measured before."""
        name = f"{row['set']}_{Path(row['file']).stem}"
        kept = self.out / (f"fast-{mode}" if self.args.fast else mode) / f"{name}.json"
        if kept.is_file():
            return dict(json.loads(kept.read_text()))
        other = rows[(list(rows).index(row) + 1) % len(rows)] if mode == "swapped" else row
        made = kept.with_suffix(".mp4")
        made.parent.mkdir(parents=True, exist_ok=True)
        sound = self.args.data / other["file"]
        if mode == "silent":
            seconds = float(probe(sound)[0].duration)
            sound = silence(made.with_suffix(".wav"), seconds)
        try:
            work = self.dub(row, other, sound, made)
        except Interrupted:
            raise  # the next run goes on here
        except DubkitError as error:
            sys.stdout.write(f"{name} {mode}: {type(error).__name__}: {error}\n")
            found = {}
        else:
            looked = [
                (face.name, self.face(row, other, mode, face, made, work))
                for face in faces(work, self.config)
            ]
            found = dict(looked)
        kept.write_text(json.dumps(found, indent=1))
        return found

    def dub(self, row: Row, other: Row, sound: Path, made: Path) -> Path:
        """The work folder of the dubbed film."""
        script, settings = None, list(self.args.settings)
        words = sentence(other, {}) if self.args.script else None
        if words is not None:
            script = made.with_suffix(".txt")
            script.write_text(words, encoding="utf-8")
        if row["split"] == "val":
            settings.append("faces.which=largest")
        # what is judged is what would be learned from
        fixed = [
            "generate.quality=10",
            "gate.action=warn",
            "parallel.jobs=1",
            "adapt.enabled=false",
        ]
        dubkit.run(
            self.args.data / row["file"], sound, script=script, out=made,
            work=made.with_suffix(".dubkit"), overwrite=True, settings=[*fixed, *settings],
            analysis=self.analysis, until="timing" if self.args.fast else None,
        )  # fmt: skip
        return made.with_suffix(".dubkit")

    def face(self, row: Row, other: Row, mode: str, face: Face, made: Path, work: Path) -> Measures:
        """The measures of one face."""
        video = self.args.data / row["file"]
        info, pts = probe(video)
        begin = float((pts[face.track.start] - pts[0]) * info.time_base)
        found: Measures = {"fit": float(face.choice.usable.mean()), "start": begin}
        found["side"] = float(np.nanmedian(face.track.boxes[:, 2] - face.track.boxes[:, 0]))
        if len(face.track) < _SEEN_FOR:
            return found
        there = self.out / "seen" / f"{row['set']}_{video.stem}-{face.name.replace('/', '-')}"
        there.parent.mkdir(parents=True, exist_ok=True)
        real_film = close_up(video, face.track, there.with_suffix(".real.mkv"))
        real = self.watched(real_film, there.with_suffix(".real.npz"))
        if not np.isfinite(real.points).any():
            return found | {"not_seen": 1.0}
        landmarks = lips.opening(face.track.landmarks)
        found["landmarker"] = _spread(landmarks, judge_lips.opening(real.points))
        if self.args.fast:
            return found | (follow_wanted(face, real) if mode == "own" else {})
        film = close_up(made, face.track, there.with_suffix(f".{mode}.mkv"))
        seen = self.watched(film, there.with_suffix(f".{mode}.npz"), again=True)
        if np.isfinite(seen.points).any():
            spoken = None if mode == "silent" else self.phonemes(other, begin)
            found |= judge_lips.judge(
                film,
                real_film,
                spoken,
                own_sound=mode == "own",
                every=_EVERY,
                watching={film: seen, real_film: real}.__getitem__,
            )
            mouth = judge_lips.opening(seen.points)
            found["rendered"] = _spread(mouth, face.wanted)
            if mode == "silent":
                found["open"] = float(np.nanmean(mouth > judge_lips.CLOSED))
            if mode == "swapped":
                found |= self.owner(other, mouth, begin, float(info.average_rate))
        real_film.unlink()
        film.unlink()
        return found | seam(work)

    def phonemes(self, row: Row, begin: float) -> dict[str, object] | None:
        """What is said in a clip, on a clock that starts at ``begin``."""
        sound = self.args.data / row["file"]
        said = phonemes_of(row, sound, self.out / "phonemes" / f"{sound.stem}.json")
        shifted = [(p["symbol"], p["start"] - begin, p["end"] - begin) for p in said or ()]
        rows = [dict(zip(("symbol", "start", "end"), p, strict=True)) for p in shifted]
        return None if said is None else {"phonemes": rows}

    def watched(self, film: Path, kept: Path, again: bool = False) -> judge_lips.Watched:
        """What the judge sees."""
        if again or not kept.is_file():
            argv = [str(self.args.judge), str(_JUDGE), str(film), "--watch", str(kept)]
            call(argv, check=True, capture_output=True)
        return judge_lips.load_watched(kept)

    def owner(self, other: Row, mouth: Series, begin: float, rate: float) -> Measures:
        """How these lips go with the real ones of the sound's owner, whose clip was measured with its own sound."""
        stem = f"{other['set']}_{Path(other['file']).stem}"
        kept = self.out / "own" / f"{stem}.json"
        known = dict(json.loads(kept.read_text())) if kept.is_file() else {}
        for name, facts in known.items():
            path = self.out / "seen" / f"{stem}-{name.replace('/', '-')}.real.npz"
            if "ssim" not in facts or not path.is_file():
                continue
            real = judge_lips.load_watched(path)
            theirs = judge_lips.opening(real.points)
            times = begin + np.arange(len(mouth)) / rate
            clock = float(facts["start"]) + real.times
            both = (times >= clock[0]) & (times <= clock[-1]) & np.isfinite(mouth)
            good = np.isfinite(theirs)
            if both.sum() >= _SEEN_FOR:
                at = np.interp(times[both], clock[good], theirs[good])
                return {"owner": float(judge_lips.lag_of(mouth[both], at, 1 / rate)[1])}
        return {}


def follow_wanted(face: Face, real: judge_lips.Watched) -> Measures:
    """The rows of `judge_lips.follow` that need no picture, of lips that the net asks for and nobody rendered."""
    count = min(len(face.wanted), len(real.times))
    opened = judge_lips.opening(real.points[:count])
    good = np.isfinite(opened)
    a, b = face.wanted[:count][good], opened[good]
    wide, real_wide = face.wanted_width[:count][good], judge_lips.width(real.points[:count])[good]
    offset, best = judge_lips.lag_of(a, b, real.step)
    return {
        "opening_correlation": float(np.corrcoef(a, b)[0, 1]),
        "correlation_there": best,
        "reference_offset_ms": offset,
        "amplitude": float(a.std() / b.std()),
        "width_correlation": float(np.corrcoef(wide, real_wide)[0, 1]),
        "width_amplitude": float(wide.std() / real_wide.std()),
    }


def _spread(made: Series, real: Series) -> float:
    count = min(len(made), len(real))
    good = np.isfinite(made[:count]) & np.isfinite(real[:count])
    spread = float(real[:count][good].std())
    return float(made[:count][good].std() / spread) if spread > 1e-6 else float("nan")


def interval(
    values: Series, of: Callable[[Series], float], draws: int = _DRAWS
) -> tuple[float, float]:
    """The 95 % interval of a figure over clips, by bootstrap; equal values give equal intervals."""
    rng = np.random.default_rng(0)
    found = [of(values[rng.integers(0, len(values), len(values))]) for _ in range(draws)]
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def table(found: Sequence[Measures]) -> str:
    """The rows of one set, for people."""
    lines = []
    for name, note, of in ROWS:
        values = np.array([m[name] for m in found if np.isfinite(m.get(name, np.nan))])
        if len(values):
            low, high = interval(values, of)
            lines.append(
                f"  {name:20s} {note:36s} {float(of(values)):8.3f}  [{low:.3f}, {high:.3f}]  n {len(values)}"
            )
    return "\n".join(lines) + "\n"


def strangers(
    data: Path, rows: Sequence[Row], found: dict[str, dict[str, Measures]], works: Path
) -> Iterator[str]:
    """Clips whose lips go with at least `_STRANGER` of the other sounds better than with their own.

    By the sound alone (`training.quality.synchrony`), which knows neither phonemes nor the net that made the dub.
    """
    sounds = {Path(row["file"]).stem: load_samples(data / row["file"]) for row in rows}
    for row in rows:
        stem = Path(row["file"]).stem
        work = works / f"{row['set']}_{stem}.dubkit"
        tracks = [t for f in work.glob("video-*/faces/*-*") for t in load_tracks(f)]
        if not found.get(stem) or not tracks:
            continue
        track = max(tracks, key=len)
        info, pts = probe(data / row["file"])
        times = (pts[track.start :][: len(track)] - pts[0]) * float(info.time_base)
        motion, rate = mouth_motion(track.landmarks), float(info.average_rate)
        scores = {
            k: s.agreement for k, v in sounds.items() if (s := synchrony(motion, v, times, rate))
        }
        if stem not in scores or len(scores) < 3:
            continue
        better = float(np.mean([v > scores[stem] for k, v in scores.items() if k != stem]))
        if better >= _STRANGER:
            yield f"{stem}: {better:.0%} of the other sounds go with these lips better ({scores[stem]:.2f})"


def main() -> None:
    """Dub, judge, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--judge", type=Path, required=True, help="a Python that has mediapipe")
    parser.add_argument("--people", default="wild,val", help=f"of {', '.join(PEOPLE)}")
    parser.add_argument("--modes", default="own,swapped,silent")
    parser.add_argument("--script", action="store_true", help="with GRID's sentences")
    parser.add_argument("--fast", action="store_true", help="render nothing")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--analysis", type=Path)
    parser.add_argument("--only", help="names of clips, with commas between them")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(args)
    only = set(args.only.split(",")) if args.only else None
    for people in args.people.split(","):
        rows = taken(args.data, people)
        for mode in args.modes.split(","):
            found: dict[str, dict[str, Measures]] = {}
            for row in rows:
                stem = Path(row["file"]).stem
                if only is None or stem in only:
                    found[stem] = bench.clip(row, mode, rows)
                    for face, measures in found[stem].items():
                        said = {k: round(v, 3) for k, v in measures.items()}
                        sys.stdout.write(f"{people} {mode} {stem} {face} {json.dumps(said)}\n")
                    sys.stdout.flush()
            report(args, people, mode, rows, found)


def report(
    args: argparse.Namespace,
    people: str,
    mode: str,
    rows: Sequence[Row],
    found: dict[str, dict[str, Measures]],
) -> None:
    """Print what was found, set by set, and write it."""
    there = [row for row in rows if Path(row["file"]).stem in found]
    sets = {row["set"] for row in there}
    groups = [(people, there), *((s, [r for r in there if r["set"] == s]) for s in sorted(sets))]
    for name, chosen in groups[:1] if len(sets) == 1 else groups:
        faces_found = [m for row in chosen for m in found[Path(row["file"]).stem].values()]
        empty = [Path(r["file"]).stem for r in chosen if not found[Path(r["file"]).stem]]
        sys.stdout.write(
            f"\n{name}, {mode}: {len(chosen)} clips, {len(empty)} without a dubbed face\n{table(faces_found)}"
        )
    if mode == "own":
        folder = args.out / ("fast-own" if args.fast else "own")
        for line in strangers(args.data, there, found, folder):
            sys.stdout.write(f"perhaps not their sound: {line}\n")
    (args.out / f"{people}-{mode}.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
