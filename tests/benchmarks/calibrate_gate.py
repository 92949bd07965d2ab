"""Hold the gate's limits to real video, to dubkit's own renders and to renders spoilt on purpose.

    python tests/benchmarks/calibrate_gate.py DATA OUT [--part I/N] [--table] [--preset NAME]

DATA is the folder of clips with its ``clips.csv``. Every clip that training never saw is cut into shots of 1 to 2 s
and dubbed with its own sound; then each shot is measured as the stage ``gate`` measures it: the source in place of
the result (real video), the result, and the result spoilt (`spoil_shots.py`) and coded anew. Dubs and measures are
kept in OUT and not made again; ``--part`` shares the work among processes, ``--table`` shows what there is.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

import dubkit
from dubkit.config import Config
from dubkit.engines.registry import load_engine
from dubkit.engines.tcsc import wanted_opening
from dubkit.errors import DubkitError
from dubkit.faces.store import load_choice, load_tracks
from dubkit.faces.trail import Locator
from dubkit.measures import speech
from dubkit.measures.checks import LIMITS, check
from dubkit.measures.meter import FaceMeter
from dubkit.measures.sampling import looks
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.probe import probe
from dubkit.media.writer import FrameWriter
from dubkit.presets import load_config
from dubkit.records import FaceState, Shot
from dubkit.stages.probe import load_film
from dubkit.synthesis.timing import SILENCE, load_timing
from dubkit.training.teacher_set import GRID_WORDS
from dubkit.work.manifest import read_manifest
from tests.benchmarks import spoil_shots
from tests.benchmarks.spoil_shots import Planes, Rendered, Spoil

SETS = ("grid_other", "hdtf", "film", "grid_s1", "arabic")
MOST_ARABIC = 30  # one-word clips: real video and renders only
LATE = 0.2  # seconds
SPOILT = ("frozen", "wrong face", "seam", "flicker", "blurred")
Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ShotFiles:
    """One dubbed shot of a clip in its work folder."""

    clip: str
    video: Path
    work: Path
    shot: Shot

    @property
    def name(self) -> str:
        return f"{self.clip}/{self.shot.name}"

    def folder(self, stage: str) -> Path:
        source = "video" if stage in ("probe", "faces") else "dub"
        unit = "job" if stage == "probe" else self.shot.name
        return next(self.work.glob(f"{source}-*/{stage}/{unit}"))


def clips(data: Path) -> list[Path]:
    """The clips of people that training never saw."""
    with (data / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] in ("val", "test")]
    found = []
    for name in SETS:
        files = [data / r["file"] for r in rows if r["set"] == name]
        found += files[:MOST_ARABIC] if name == "arabic" else files
    return found


def dub(video: Path, out: Path) -> Iterator[ShotFiles]:
    """Dub a clip with its own sound, unless that was done; its shots."""
    clip = f"{video.parent.name}_{video.stem}"
    made, work = out / f"{clip}.mp4", out / clip
    if not made.exists():
        info, _ = probe(video)
        grid = video.parent.name.startswith("grid")
        step = 37 if grid else round(2 * float(info.average_rate))
        listed, script = out / f"{clip}.txt", out / f"{clip}.script.txt"
        starts = range(0, max(1, info.frames - step // 2), step)
        listed.write_text("\n".join(map(str, starts)) + "\n")
        if grid:
            words = zip(GRID_WORDS, video.stem, strict=True)
            script.write_text(" ".join(table[letter] for table, letter in words))
        settings = ["faces.which=largest", "gate.action=off"]
        dubkit.run(
            *(video, video),
            script=script if grid else None,
            out=made,
            work=work,
            shots=listed,
            settings=settings,
            overwrite=True,
            jobs=1,
        )
    manifest = read_manifest(work)
    assert manifest is not None
    for folder in sorted(next(work.glob("dub-*")).joinpath("generate").iterdir()):
        start, end = map(int, folder.name.split("-"))
        yield ShotFiles(clip, manifest.job.video, work, Shot(start, end))


class Bench:
    """Measures shots as the gate does."""

    def __init__(self, out: Path, part: int) -> None:
        settings = Config().faces
        self.locator: Locator = load_engine("landmarker", "auto", settings, "cpu")
        self.coded = out / f"coded-{part}.nut"
        self.book = out / f"measures-{part}.jsonl"
        self.known: set[tuple[str, str]] = set()
        self.donors: dict[str, Rendered] = {}
        for path in out.glob("measures-*.jsonl"):
            self.known |= {(r["shot"], r["what"]) for r in map(json.loads, path.open())}

    def note(self, files: ShotFiles, what: str, values: Values) -> None:
        with self.book.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"shot": files.name, "what": what, "values": values}) + "\n")
        self.known.add((files.name, what))

    def measure(self, files: ShotFiles, spoil: bool) -> None:
        """All measures of a shot; nothing where no single face was dubbed in it."""
        wanted = [what for what in SPOILT if (files.name, what) not in self.known]
        if (files.name, "rendered") in self.known and not (spoil and wanted):
            return
        scene = load_scene(files)
        if scene is None:
            return
        if (files.name, "rendered") not in self.known:
            for base, frames in (("real", scene.source), ("rendered", scene.made)):
                meter = scene.meter(self.locator, frames)
                for what, values in scene.told(base, meter):
                    self.note(files, what, values)
        rendered = scene.rendered()
        others = [d for clip, d in self.donors.items() if not _same_person(clip, files.clip)]
        if spoil:
            ways: dict[str, Spoil] = {
                "frozen": spoil_shots.frozen,
                "seam": spoil_shots.seam,
                "flicker": spoil_shots.flicker,
                "blurred": spoil_shots.blurred,
            }
            if others:
                ways["wrong face"] = spoil_shots.wrong_face(others[len(self.known) % len(others)])
            for what in wanted:
                if what in ways:
                    count = range(len(scene.made))
                    frames = self.coded_anew([ways[what](rendered, i) for i in count], scene)
                    meter = scene.meter(self.locator, frames)
                    self.note(files, what, scene.values(meter))
        self.donors[files.clip] = rendered
        if len(self.donors) > 6:
            self.donors.pop(next(iter(self.donors)))

    def coded_anew(self, pictures: Sequence[Planes], scene: Scene) -> list[Frame]:
        info = scene.source[0].info
        step = round(1 / float(info.average_rate * info.time_base))
        with FrameWriter(self.coded, info, Config().generate) as writer:
            for number, planes in enumerate(pictures):
                writer.write(planes, number * step)
        return read_segment(self.coded, scene)


@dataclass(frozen=True, slots=True)
class Scene:
    """A shot with its one dubbed face, all pictures in memory."""

    files: ShotFiles
    source: list[Frame]
    made: list[Frame]
    track: dubkit.records.FaceTrack
    rows: np.ndarray  # (T,) of the track

    def rendered(self) -> Rendered:
        pictures = [frame.planes for frame in self.made]
        return Rendered(self.source[0].info, self.track, self.files.shot.start, pictures)

    def meter(self, locator: Locator, frames: Sequence[Frame]) -> FaceMeter:
        timing = load_timing(self.files.folder("timing"))
        rows = slice(self.track.start - self.files.shot.start, None)
        times = timing.times[rows][: len(self.track)]
        rate = float(self.source[0].info.average_rate)
        meter = FaceMeter(self.track, looks(self.rows, times, timing.phonemes, rate), locator)
        for source, made in zip(self.source, frames, strict=True):
            if meter.wants(source.index):
                meter.look(source, made)
        return meter

    def values(self, meter: FaceMeter) -> Values:
        timing = load_timing(self.files.folder("timing"))
        rows = slice(self.track.start - self.files.shot.start, None)
        wanted = wanted_opening(timing, Config().generate)[rows][: len(self.track)]
        times = timing.times[rows][: len(self.track)]
        return dict(meter.values(times, timing.phonemes, wanted, True))

    def told(self, base: str, meter: FaceMeter) -> Iterator[tuple[str, Values]]:
        """As it is, with its lips 200 ms late and early, and held against silence."""
        values = self.values(meter)
        timing = load_timing(self.files.folder("timing"))
        rows = slice(self.track.start - self.files.shot.start, None)
        wanted = wanted_opening(timing, Config().generate)[rows][: len(self.track)]
        times = timing.times[rows][: len(self.track)]
        opened = meter.opening()
        lips = ("silence", "closures", "movement", "offset_ms")
        rest = {name: value for name, value in values.items() if name not in lips}
        shift = max(1, round(LATE / float(np.median(np.diff(times)))))
        at = np.arange(len(opened))
        for word, back in (("late", shift), ("early", -shift)):
            moved = opened[np.clip(at - back, 0, len(at) - 1)]
            found = speech.measures(moved, times, timing.phonemes, wanted, True)
            yield f"{base}, 200 ms {word}", rest | found
        silent = [(SILENCE, float(times[0]) - 1, float(times[-1]) + 1)]
        quiet = speech.measures(opened, times, silent, np.zeros_like(wanted), True)
        if wanted.std() >= speech.SPEAKS:  # a face that hardly speaks does not talk in silence
            yield f"{base}, talks in silence", rest | quiet
        yield base, values


def load_scene(files: ShotFiles) -> Scene | None:
    """A shot's pictures and face; None where not one face was dubbed for long enough."""
    info, pts = load_film(files.folder("probe"))
    folder = files.folder("faces")
    choices = {choice.track: choice for choice in load_choice(folder)}
    tracks = [track for track in load_tracks(folder) if choices[track.track].dubbed]
    if len(tracks) != 1 or files.shot.frames < speech.LEAST:
        return None
    rows = choices[tracks[0].track].usable & (tracks[0].state == FaceState.SEEN)
    source = list(FrameReader(files.video, info, pts).read(files.shot.start, files.shot.end))
    bare = Scene(files, source, source, tracks[0], rows)
    made = read_segment(files.folder("generate") / "segment.nut", bare)
    return replace(bare, made=made) if rows.sum() >= speech.LEAST else None


def read_segment(path: Path, scene: Scene) -> list[Frame]:
    there, times = probe(path)
    info = scene.source[0].info
    like = replace(info, pixel_format=there.pixel_format, frames=there.frames, video_stream=0)
    return list(FrameReader(path, like, times).read(0, there.frames))


def _same_person(a: str, b: str) -> bool:
    return a == b or (a.startswith("grid_s1") and b.startswith("grid_s1"))


def table(out: Path, config: Config) -> None:
    """What share of the shots passes, or is caught, and by which measures."""
    entries = [
        json.loads(line)
        for path in sorted(out.glob("measures-*.jsonl"))
        for line in path.open(encoding="utf-8")
    ]
    speak = {e["shot"] for e in entries if e["what"] == "rendered" and "movement" in e["values"]}
    rows: dict[str, list[Values]] = defaultdict(list)
    for entry in entries:
        # lips can only be late, or frozen, where there is speech
        if entry["shot"] in speak or not ("200 ms" in entry["what"] or entry["what"] == "frozen"):
            rows[entry["what"]].append(entry["values"])
    for what in sorted(rows):
        failed = [[c.measure for c in check(v, config.gate) if not c.passed] for v in rows[what]]
        by = Counter(name for names in failed for name in names)
        count = sum(bool(names) for names in failed)
        told = ", ".join(f"{name} {n}" for name, n in by.most_common())
        sys.stdout.write(
            f"{what:28s} {len(failed):4d} shots, {count:4d} refused "
            f"({100 * count / len(failed):5.1f} %) {told}\n"
        )
    for name in LIMITS:
        sys.stdout.write(f"\n{name}: 1, 5, 50, 95, 99 % of the shots\n")
        for what in sorted(rows):
            values = [v[name] for v in rows[what] if name in v]
            if values:
                spread = "  ".join(f"{x:8.4f}" for x in np.percentile(values, (1, 5, 50, 95, 99)))
                sys.stdout.write(f"  {what:28s} {len(values):4d}  {spread}\n")


def main() -> None:
    """Dub, spoil, measure, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", default="0/1", help="I/N: every N-th shot from I on")
    parser.add_argument("--table", action="store_true", help="only show what was measured")
    parser.add_argument("--preset", action="append", default=[])
    args = parser.parse_args()
    if not args.table:
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        part, parts = map(int, args.part.split("/"))
        (args.out / "work").mkdir(parents=True, exist_ok=True)
        bench = Bench(args.out, part)
        shots: list[ShotFiles] = []
        for video in clips(args.data)[part::parts]:
            try:
                shots += dub(video, args.out / "work")
            except DubkitError as error:
                sys.stderr.write(f"{video.name}: {error.message}\n")
        np.random.default_rng(0).shuffle(shots)
        for spoil in (False, True):
            for files in shots:
                bench.measure(files, spoil and not files.clip.startswith("arabic"))
    table(args.out, load_config(args.preset))


if __name__ == "__main__":
    main()
