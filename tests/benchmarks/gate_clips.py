"""The clips that `calibrate_gate.py` measures: which ones, cut how, dubbed with their own sound."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import dubkit
from dubkit.config.schema import Config
from dubkit.engines.base import ShotDetector
from dubkit.engines.registry import load_engine
from dubkit.media.probe import probe
from dubkit.media.process import run
from dubkit.records import Shot
from dubkit.training.lab.teacher_set import GRID_WORDS
from dubkit.work.manifest import read_manifest

SETS = ("first", "second", "long")
LONG = 4.0  # seconds of a long shot
MOST = 20.0  # seconds taken of one clip
_MOST_ARABIC = 30  # one-word clips
_MOST_OTHERS = 24  # of them in the second group
_MOST_GRID = 10
_MOST_LONG = 4  # clips of a kind in the third group
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip, and how long its shots are."""

    name: str
    group: str  # of `SETS`
    person: str
    video: Path
    seconds: float

    @property
    def grid(self) -> bool:
        return self.video.parent.name.startswith("grid")


@dataclass(frozen=True, slots=True)
class ShotFiles:
    """One dubbed shot of a clip in its work folder."""

    clip: Clip
    video: Path
    work: Path
    shot: Shot

    @property
    def name(self) -> str:
        return f"{self.clip.name}/{self.shot.name}"

    def folder(self, stage: str) -> Path:
        source = "video" if stage in ("probe", "faces") else "dub"
        unit = "job" if stage in ("probe", "speech") else self.shot.name
        return next(self.work.glob(f"{source}-*/{stage}/{unit}"))


def clips(data: Path, group: str) -> list[Clip]:
    """``first``: people whom no training saw; the limits were chosen by them. ``second``: other people and clips,
    by which nothing was chosen. ``long``: clips of either in shots of `LONG` seconds.
    """
    with (data / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = {"first": _unseen, "second": _others, "long": _long}[group](rows)
    return [_clip(data / row["file"], row["person"], group) for row in chosen]


def _unseen(rows: Sequence[Row]) -> Iterator[Row]:
    for name in ("grid_other", "hdtf", "film", "grid_s1", "arabic"):
        found = [r for r in rows if r["set"] == name and r["split"] in ("val", "test")]
        yield from found[:_MOST_ARABIC] if name == "arabic" else found


def _others(rows: Sequence[Row]) -> Iterator[Row]:
    """People of the nets' training too, but none whom the limits were chosen by, apart from GRID's first speaker.

    The shipped nets were not trained on ``arabic``; of it every person's first clip is taken.
    """
    for name in ("hdtf", "webcam", "grid_other", "grid_s1", "arabic", "usgov"):
        found = [r for r in rows if r["set"] == name and r["split"] == "train"]
        if name == "arabic":
            people = {r["person"]: r for r in reversed(found)}
            yield from [people[name] for name in sorted(people)][:_MOST_OTHERS]
        else:
            yield from found[:_MOST_GRID] if name == "grid_s1" else found


def _long(rows: Sequence[Row]) -> Iterator[Row]:
    kinds = (("hdtf", "val"), ("film", "test"), ("webcam", "train"), ("hdtf", "train"))
    for name, split in kinds:
        found = [r for r in rows if r["set"] == name and r["split"] == split]
        if name == "film":
            found = [row for row in found if "side_by_side" in row["file"]]  # others are shorter
        yield from found[:_MOST_LONG]


def _clip(video: Path, person: str, group: str) -> Clip:
    grid = video.parent.name.startswith("grid")
    seconds = LONG if group == "long" else 1.5 if grid else 2.0
    name = f"{video.parent.name}_{video.stem}"
    return Clip(f"{name}_long" if group == "long" else name, group, person, video, seconds)


def _shortened(video: Path, out: Path) -> Path:
    """The first `MOST` seconds of a video that is longer."""
    if probe(video)[0].duration <= MOST + 1:
        return video
    short = out / f"{video.stem}.start{video.suffix}"
    run(
        ["ffmpeg", "-y", "-v", "error", "-i", str(video), "-t", str(MOST), "-c", "copy", str(short)]
    )
    return short


def _starts(clip: Clip, video: Path) -> list[int]:
    """First frames of the shots: real cuts, and even pieces of what lies between them."""
    info, pts = probe(video)
    settings = Config().shots
    detector = cast(ShotDetector, load_engine("shots", settings.detector, settings))
    cuts = [shot.start for shot in detector.detect(video, info, pts)]
    step = int(clip.seconds * float(info.average_rate) + 0.01)
    starts: list[int] = []
    for a, b in itertools.pairwise([*cuts, info.frames]):
        starts += range(a, max(a + 1, b - step // 2), step)
    return starts


def dub(clip: Clip, out: Path) -> Iterator[ShotFiles]:
    """Dub a clip with its own sound, unless that was done; its shots."""
    made, work = out / f"{clip.name}.mp4", out / clip.name
    if not made.exists():
        listed, script = out / f"{clip.name}.txt", out / f"{clip.name}.script.txt"
        video = _shortened(clip.video, out)
        listed.write_text("\n".join(map(str, _starts(clip, video))) + "\n")
        if clip.grid:
            words = zip(GRID_WORDS, clip.video.stem, strict=True)
            script.write_text(" ".join(table[letter] for table, letter in words))
        dubkit.run(
            *(video, video),
            script=script if clip.grid else None,
            out=made,
            work=work,
            shots=listed,
            settings=["faces.which=largest", "gate.action=off"],
            overwrite=True,
            jobs=1,
        )
    manifest = read_manifest(work)
    assert manifest is not None
    for folder in sorted(next(work.glob("dub-*")).joinpath("generate").iterdir()):
        start, end = map(int, folder.name.split("-"))
        yield ShotFiles(clip, manifest.job.video, work, Shot(start, end))
