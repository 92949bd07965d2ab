"""Prepare what the TC net learns from: phonemes and mouth shapes of talking-face clips.

    python -m dubkit.training.tc_data DATA LABELS CACHE

``DATA`` holds ``clips.csv`` and the clips, ``LABELS`` the teacher's landmarks (`training.teacher`). For every
clip that may be shipped one ``CACHE/<set>__<name>.npz`` is written: frame times, mouth shapes as offset from
the clip's own resting mouth, and the phonemes by each way in which a dub may be aligned (script, recognition,
phone loop). Finished clips are left alone.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from dubkit.config import SpeechSettings
from dubkit.engines.pocketsphinx import PocketsphinxAligner
from dubkit.faces import layout, shape
from dubkit.faces.align import apply, canonical_from_face
from dubkit.media.audio import load_samples
from dubkit.records import Floats, ScriptLine
from dubkit.synthesis.timing import Timed
from dubkit.training.pose import Template, fit_template, rotation_angles

SETS = ("grid_s1", "grid_other", "hdtf", "usgov", "webcam")
PORTRAITS = 600
# the GRID corpus names its clips by their sentence, a letter a word
GRID_WORDS = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    dict(
        zip(
            "z123456789",
            ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
            strict=True,
        )
    ),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)


@dataclass(frozen=True, slots=True)
class Clip:
    """One prepared clip; T frames."""

    name: str
    group: str  # the set that it is of
    split: str
    times: np.ndarray  # (T,) seconds
    shapes: Floats  # (T, K) offsets from rest
    duration: float
    phonemes: dict[str, list[Timed]]  # by path: script, recognition, loop


def rows(data: Path) -> Iterator[dict[str, str]]:
    """The lines of ``clips.csv`` that weights for shipping may be trained or validated on."""
    with (data / "clips.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            usable = row["ship"] == "yes" and row["split"] in ("train", "val")
            if usable and row["set"] in SETS:
                yield row


def transcripts() -> dict[str, str]:
    """What is said in the clips without a script: recognised by Whisper (base), corrected by hand."""
    text = (files("dubkit") / "training" / "transcripts.csv").read_text(encoding="utf-8")
    return {row["file"]: row["text"] for row in csv.DictReader(text.splitlines())}


def sentence(row: dict[str, str], known: dict[str, str]) -> str:
    """The words of one clip."""
    if row["set"].startswith("grid"):
        letters = Path(row["file"]).stem
        return " ".join(words[c] for words, c in zip(GRID_WORDS, letters, strict=True))
    return known[row["file"]]


def template(labels: Path) -> Template:
    """The average face that poses are measured against."""
    portraits = sorted((labels / "portraits").glob("*.npz"))[:PORTRAITS]
    found = [np.load(path)["points"][:, layout.MESH] for path in portraits]
    faces = np.concatenate(found)
    return fit_template(faces[np.isfinite(faces).all((1, 2))])


def shapes_of(label: Path, average: Template) -> tuple[np.ndarray, Floats]:
    """Times (T,) and mouth shapes (T, K) of the frames of a clip that have a face."""
    stored = np.load(label)
    points = stored["points"][:, layout.MESH]
    seen = np.isfinite(points).all((1, 2))
    points = points[seen]
    flat = points[..., :2]
    canonical = np.stack([apply(canonical_from_face(face), face) for face in flat])
    pose = np.stack([rotation_angles(face, average) for face in points]).astype(np.float32)
    mouths = shape.frontal(canonical, pose)
    return stored["pts"][seen], shape.encode(mouths - shape.resting_mouth(mouths))


def speech_of(aligner: PocketsphinxAligner, samples: Floats, words: str) -> dict[str, list[Timed]]:
    """Phonemes by each path."""
    ways = {
        "script": ((ScriptLine(words),), "en"),
        "recognition": (None, "en"),
        "loop": (None, "und"),
    }
    found = {way: aligner.align(samples, *arguments) for way, arguments in ways.items()}
    return {way: [(p.symbol, p.start, p.end) for p in s.phonemes] for way, s in found.items()}


def prepare(data: Path, labels: Path, cache: Path) -> None:
    """Write the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    average, known = template(labels), transcripts()
    aligner = PocketsphinxAligner(SpeechSettings())
    for row in rows(data):
        clip = Path(row["file"])
        target = cache / f"{row['set']}__{clip.stem}.npz"
        if target.exists():
            continue
        samples = load_samples(data / clip)
        times, shapes = shapes_of((labels / clip).with_suffix(".npz"), average)
        phonemes = speech_of(aligner, samples, sentence(row, known))
        facts = {"split": row["split"], "duration": len(samples) / 16000, "phonemes": phonemes}
        np.savez(target, times=times, shapes=shapes, facts=json.dumps(facts))
        sys.stderr.write(f"{row['file']}\n")


def load(cache: Path) -> list[Clip]:
    """All prepared clips."""
    clips = []
    for path in sorted(cache.glob("*.npz")):
        stored = np.load(path)
        facts = json.loads(str(stored["facts"]))
        phonemes = {
            way: [(str(s), float(a), float(b)) for s, a, b in rows]
            for way, rows in facts["phonemes"].items()
        }
        group = path.stem.partition("__")[0]
        clips.append(
            Clip(
                path.stem,
                group,
                facts["split"],
                stored["times"],
                stored["shapes"],
                facts["duration"],
                phonemes,
            )
        )
    return clips


if __name__ == "__main__":
    prepare(*(Path(argument) for argument in sys.argv[1:4]))
