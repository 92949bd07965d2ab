"""Make a prepared set from the labels of an outside teacher, which are more exact than our own landmarks.

    python -m dubkit.training.lab.teacher_set DATA LABELS SET

``DATA`` holds ``clips.csv`` and the clips, ``LABELS`` the teacher's landmarks (`training.lab.teacher`). Clips that may
be shipped with are taken, with their phonemes by each way in which a dub may be aligned (script, recognition,
phone loop) and without pictures: it is what the TC net of the package learns from. Finished clips are left alone.
"""

from __future__ import annotations

import csv
import hashlib
import sys
import zlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np

from dubkit.config.schema import SpeechSettings
from dubkit.faces import landmark_layout
from dubkit.faces.align import canonical_from_face, compose
from dubkit.lips.mesh_warp import grid_from_canonical
from dubkit.media.audio import load_samples
from dubkit.records import GRID_STEP, Floats, ScriptLine, Speech, TimedPhoneme
from dubkit.speech.mel_levels import SAMPLE_RATE
from dubkit.speech.pocketsphinx import PocketsphinxAligner
from dubkit.training.dataset import (
    CROP,
    FORMAT,
    ClipFacts,
    PreparedClip,
    SetIndex,
    clip_path,
    read_index,
    write_clip,
    write_index,
)
from dubkit.training.lab.pose import Template, fit_template, rotation_angles
from dubkit.training.sound_versions import sound_versions

SETS = (
    "grid_s1", "grid_other", "grid_more", "hdtf", "hdtf_more", "usgov", "webcam", "actors_mit",
)  # fmt: skip
# lips that do not go with the sound, or a sound too low to be used
LEFT_OUT = ("apologizing", "praising_the_product", "nvidia_eye_contact")
VERSIONS = 5  # of the sound of a training clip; one where a person has hundreds of clips
PORTRAITS = 600
SCRIPT_ONLY = 6  # of one person's many clips, only every sixth is aligned without its script too
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


def rows(data: Path) -> Iterator[dict[str, str]]:
    """The lines of ``clips.csv`` that weights for shipping may be trained or validated on."""
    with (data / "clips.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            usable = row["ship"] == "yes" and row["split"] in ("train", "val")
            left_out = row["set"] == "actors_mit" and Path(row["file"]).stem in LEFT_OUT
            if usable and row["set"] in SETS and not left_out:
                yield row


def transcripts() -> dict[str, str]:
    """What is said in the clips without a script: recognized by Whisper (base), corrected by hand."""
    text = (files("dubkit") / "training" / "lab" / "transcripts.csv").read_text(encoding="utf-8")
    return {row["file"]: row["text"] for row in csv.DictReader(text.splitlines())}


def sentence(row: dict[str, str], known: dict[str, str]) -> str | None:
    """The words of one clip; None where they are not known."""
    if row["set"].startswith("grid"):
        letters = Path(row["file"]).stem.rpartition("_")[2]
        return " ".join(words[c] for words, c in zip(GRID_WORDS, letters, strict=True))
    return known.get(row["file"])


def template(labels: Path) -> Template:
    """The average face that poses are measured against."""
    portraits = sorted((labels / "portraits").glob("*.npz"))[:PORTRAITS]
    found = [np.load(path)["points"][:, landmark_layout.MESH] for path in portraits]
    faces = np.concatenate(found)
    return fit_template(faces[np.isfinite(faces).all((1, 2))])


def speech_of(
    aligner: PocketsphinxAligner,
    samples: Floats,
    words: str | None,
    language: str,
    script_only: bool,
) -> dict[str, list[TimedPhoneme]]:
    """Phonemes by each path that is known for the clip."""
    found: dict[str, Speech] = {}
    if words is not None:
        found["script"] = aligner.align(samples, (ScriptLine(words),), "en")
    if words is None or not script_only:
        if language == "en":
            found["recognition"] = aligner.align(samples, None, "en")
        found["loop"] = aligner.align(samples, None, "und")
    return {way: [(p.symbol, p.start, p.end) for p in s.phonemes] for way, s in found.items()}


def clip_of(
    label: Path,
    average: Template,
    samples: Floats,
    phonemes: dict[str, list[TimedPhoneme]],
    versions: int,
) -> PreparedClip:
    """The frames of a clip that have a face, with what is said in it and so many versions of its sound."""
    stored = np.load(label)
    points = stored["points"][:, landmark_layout.MESH]
    seen = np.isfinite(points).all((1, 2))
    faces = points[seen]
    flat = faces[..., :2].astype(np.float32)
    crop = grid_from_canonical(CROP)
    hop = round(GRID_STEP * SAMPLE_RATE)
    level = np.sqrt([np.mean(samples[at : at + hop] ** 2) for at in range(0, len(samples), hop)])
    return PreparedClip(
        times=stored["pts"][seen] - stored["pts"][0],
        landmarks=flat,
        confidence=np.ones(len(flat), np.float32),
        pose=np.stack([rotation_angles(face, average) for face in faces]).astype(np.float32),
        crop_from_display=np.stack([compose(crop, canonical_from_face(face)) for face in flat]),
        energy=np.clip(1 + 20 * np.log10(level + 1e-5) / 80, 0, 1).astype(np.float32),
        phonemes=phonemes,
        sounds=sound_versions(samples, versions, zlib.crc32(label.stem.encode())),
    )


def prepare(data: Path, labels: Path, target: Path) -> None:
    """Write the set, or go on with it."""
    (target / "clips").mkdir(parents=True, exist_ok=True)
    average, known = template(labels), transcripts()
    aligner = PocketsphinxAligner(SpeechSettings(trust_script=True))
    before = read_index(target)
    clips = dict(before.clips) if before else {}
    for row in rows(data):
        file = Path(row["file"])
        name = f"{row['set']}__{file.stem}"
        if name in clips:
            continue
        samples = load_samples(data / file)
        known_of_person = sum(facts.person == row["person"] for facts in clips.values())
        script_only = row["split"] == "train" and known_of_person % SCRIPT_ONLY > 0
        language = row["language"].removesuffix("?")
        phonemes = speech_of(aligner, samples, sentence(row, known), language, script_only)
        versions = VERSIONS if row["set"] != "grid_s1" else 1
        versions = versions if row["split"] == "train" else 0
        label = (labels / file).with_suffix(".npz")
        clip = clip_of(label, average, samples, phonemes, versions)
        write_clip(clip_path(target, name, ".npz"), clip)
        rate = 1 / float(np.median(np.diff(clip.times)))
        digest = hashlib.sha256((data / file).read_bytes()).hexdigest()
        clips[name] = ClipFacts(
            row["file"], row["person"], row["split"], row["set"], len(clip.times), rate, digest
        )
        write_index(target, SetIndex(FORMAT, CROP, clips))
        sys.stderr.write(f"{row['file']}\n")


if __name__ == "__main__":
    prepare(*(Path(argument) for argument in sys.argv[1:4]))
