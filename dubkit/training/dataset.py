"""A prepared set on disk: what every training reads, and nothing else.

::

    OUT/set.json         format, crop size, the clips by name, the refused files with the reason
    OUT/clips/NAME.npz   times, landmarks, confidence, pose, crop_from_display, phonemes, energy, versions of the sound
    OUT/clips/NAME.mp4   aligned crops, one picture a row of NAME.npz

A clip is one face through an unbroken run of frames. Its clock starts with its first frame. Files are
written beside their place and renamed, so an interruption leaves whole files only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from dubkit.errors import InputError, WorkError
from dubkit.faces import landmark_layout
from dubkit.media.pictures import read_pictures
from dubkit.records import Doubles, Floats, Picture, TimedPhoneme
from dubkit.work import manifest, store

FORMAT = 2
CROP = 192  # pixels
INDEX, CLIPS = "set.json", "clips"
PATHS = ("script", "recognition", "loop")
ENERGY_STEP = 0.02  # seconds; value n is about the moment n * ENERGY_STEP
_AGAIN = "prepare it again: dubkit train prepare CLIPS OUT"
_ARRAYS = ("times", "landmarks", "confidence", "pose", "crop_from_display", "energy")


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What the index says of one clip."""

    file: str  # relative to the folder it was prepared from
    person: str
    split: str  # train | val
    group: str  # of clips.csv, else the topmost folder
    frames: int
    rate: float  # pictures a second
    sha256: str  # of the file
    start: int = 0  # the file's frame of row 0
    width: float = 0.0  # of the face in the file, pixels
    offset: float = 0.0  # seconds that the picture is behind its sound, by estimate; not removed
    agreement: float | None = None  # correlation of lips and sound at that offset
    silent: bool = False  # pictures alone: a still, or of a film prepared without its sound


@dataclass(frozen=True, slots=True)
class SetIndex:
    """``set.json``."""

    format: int
    crop: int
    clips: Mapping[str, ClipFacts] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)  # file -> why nothing of it is here
    left_out: Mapping[str, str] = field(default_factory=dict)  # file -> why parts of it are not


@dataclass(frozen=True, slots=True)
class SoundVersion:
    """One version of a clip's sound; N cells of the grid of 20 ms from the clip's start."""

    rows: NDArray[np.int8]  # (N, R) as in `records.EncoderRows`
    levels: Floats  # (N, BANDS) of `speech.mel_levels`
    stretch: float = 1.0  # seconds of it for a second of the clip


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """One clip in memory, without its pictures; T frames, N cells of energy."""

    times: Doubles  # (T,) seconds from the clip's start
    landmarks: Floats  # (T, L, 2) display pixels
    confidence: Floats  # (T,)
    pose: Floats  # (T, 3) degrees
    crop_from_display: Doubles  # (T, 2, 3)
    energy: Floats  # (N,) level of the sound, 0 at -80 dB, 1 at full scale
    phonemes: Mapping[
        str, list[TimedPhoneme]
    ]  # by path, those of PATHS that were found; clip's clock
    sounds: tuple[SoundVersion, ...] = ()  # the first as recorded; none of a silent clip


_INDEX: TypeAdapter[SetIndex] = TypeAdapter(SetIndex)


class PreparedSet:
    """Reads a prepared set. Raises `InputError` or `WorkError` with the reason where it cannot be used."""

    def __init__(self, root: Path) -> None:
        self.root = root
        index = read_index(root)
        if index is None:
            raise InputError(f"{root} is not a prepared set: it contains no {INDEX}", hint=_AGAIN)
        self.crop, self.clips, self.refused = index.crop, index.clips, index.refused

    def names(self, split: str | None = None) -> list[str]:
        """The clips of a split, or all, in order of name."""
        return sorted(n for n, facts in self.clips.items() if split in (None, facts.split))

    def held_out(self) -> list[str]:
        """The clips to measure on: those of the val split, or where there are none, all."""
        return self.names("val") or self.names()

    def load(self, name: str) -> PreparedClip:
        """All of a clip but its pictures."""
        return read_clip(clip_path(self.root, name, ".npz"))

    def pictures(self, name: str) -> Iterator[Picture]:
        """The aligned crops of a clip, (crop, crop, 3) RGB, in order, one at a time."""
        return read_pictures(clip_path(self.root, name, ".mp4"))


def clip_path(root: Path, name: str, suffix: str) -> Path:
    """Where a file of a clip lies."""
    return root / CLIPS / f"{name}{suffix}"


def is_prepared(root: Path) -> bool:
    """Whether ``root`` is a prepared set, of whatever format. Raises WorkError for a damaged ``set.json``."""
    return _read_table(root / INDEX) is not None


def read_index(root: Path) -> SetIndex | None:
    """``set.json``; None where there is none. Raises WorkError for another format or a damaged one."""
    path = root / INDEX
    table = _read_table(path)
    if table is None:
        return None
    version = table["format"]
    if version != FORMAT:
        raise WorkError(
            f"the prepared set {root} has format {version}, this dubkit reads {FORMAT}", hint=_AGAIN
        )
    try:
        return _INDEX.validate_python(table)
    except ValidationError as error:
        raise WorkError(f"{path} is damaged: {str(error).splitlines()[0]}", hint=_AGAIN) from error


def _read_table(path: Path) -> dict[str, Any] | None:
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise WorkError(f"{path} cannot be read: {error.strerror}") from error
    try:
        table: dict[str, Any] = json.loads(raw)
        int(table["format"])
    except (ValueError, TypeError, KeyError) as error:
        raise WorkError(f"{path} is damaged or not of dubkit", hint=_AGAIN) from error
    return table


def write_index(root: Path, index: SetIndex) -> None:
    """Replace ``set.json``."""
    manifest.write_atomic(root / INDEX, _INDEX.dump_json(index, indent=1) + b"\n")


def write_clip(path: Path, clip: PreparedClip) -> None:
    """Write a clip's arrays to ``path``; equal clips give equal bytes."""
    arrays: dict[str, Any] = {name: getattr(clip, name) for name in _ARRAYS}
    for way, timed in clip.phonemes.items():
        arrays[f"phonemes_{way}"] = np.array(json.dumps(timed))
    for number, sound in enumerate(clip.sounds):
        arrays[f"rows_{number}"] = sound.rows
        arrays[f"levels_{number}"] = sound.levels.astype(np.float16)
    if clip.sounds:
        arrays["stretches"] = np.array([sound.stretch for sound in clip.sounds])
    with path.open("wb") as file:
        np.savez(file, **arrays)


def read_clip(path: Path) -> PreparedClip:
    """Read what `write_clip` wrote. Raises WorkError where it is missing or damaged."""
    try:
        with store.open_arrays(path) as stored:
            arrays: dict[str, Any] = {name: stored[name] for name in _ARRAYS}
            ways = [way for way in PATHS if f"phonemes_{way}" in stored.files]
            phonemes = {way: _timed(str(stored[f"phonemes_{way}"])) for way in ways}
            stretches = stored["stretches"].tolist() if "stretches" in stored.files else []
            arrays["sounds"] = tuple(
                SoundVersion(stored[f"rows_{n}"], stored[f"levels_{n}"].astype(np.float32), stretch)
                for n, stretch in enumerate(stretches)
            )
    except (*store.UNREADABLE, TypeError) as error:
        raise WorkError(f"the prepared clip {path} is damaged: {error}", hint=_AGAIN) from error
    clip = PreparedClip(phonemes=phonemes, **arrays)
    count = len(clip.times)
    if (
        clip.landmarks.shape != (count, landmark_layout.COUNT, 2)
        or len(clip.crop_from_display) != count
    ):
        raise WorkError(f"the prepared clip {path} is of another layout", hint=_AGAIN)
    return clip


def _timed(text: str) -> list[TimedPhoneme]:
    return [(str(symbol), float(start), float(end)) for symbol, start, end in json.loads(text)]
