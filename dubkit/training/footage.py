"""Footage to train on: which files a folder holds, who is in them, and their scripts.

A folder is read with all its subfolders. Beside it may lie ``clips.csv`` with the columns ``file``, ``person``,
``split`` and, optionally, ``set`` or ``group``, ``language`` and ``ship``. Without it a person is a subfolder, or
a file that lies in none. A script has the name of its clip and ends in .txt, .srt, .vtt, .ass or .align (words
with times as the GRID corpus has them).
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubkit.errors import InputError
from dubkit.media.script import read_script
from dubkit.records import ScriptLine

LIST = "clips.csv"
SCRIPTS = (".txt", ".srt", ".vtt", ".ass", ".align")
_KINDS = "mp4 mov m4v mkv webm avi mpg mpeg ts mts m2ts mxf wmv flv ogv 3gp vob nut"
VIDEOS = frozenset(f".{kind}" for kind in _KINDS.split())
STILLS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"))
_PAUSES = frozenset(("sil", "sp", "spn"))
_LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class Source:
    """One file of footage."""

    file: str  # relative to the folder
    name: str  # of its clips
    person: str
    group: str
    split: str | None  # None: not given
    language: str | None
    script: str | None  # relative to the folder
    still: bool = False  # a picture, without sound


def find_sources(
    folder: Path, without: Path, *, research: bool, stills: bool = False
) -> tuple[list[Source], dict[str, str]]:
    """The videos of a folder in order of name, and those that the list forbids with the reason; with ``stills``
    its pictures as well.

    What lies under ``without`` is passed over. Raises `InputError` where there is nothing to prepare.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder} is not a folder", hint="use the folder that contains your videos"
        )
    known = _read_list(folder / LIST)
    kinds = VIDEOS | STILLS if stills else VIDEOS
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in kinds and p.is_file())
    inside = without.resolve()
    paths = [p for p in paths if inside not in p.resolve().parents]
    if not paths:
        raise InputError(f"{folder} holds no videos", hint=f"accepted: {' '.join(sorted(kinds))}")
    files = [path.relative_to(folder).as_posix() for path in paths]
    names = _names(files)
    forbidden = {
        file: reason for file in files if (reason := _forbidden(known.get(file, {}), research))
    }
    sources = [
        _source(folder, file, names[file], known.get(file, {}))
        for file in files
        if file not in forbidden
    ]
    return sources, forbidden


def _forbidden(row: Mapping[str, str], research: bool) -> str | None:
    if row.get("split") == "test":
        return f"{LIST} keeps it for tests"
    if row.get("ship") == "no" and not research:
        return f"{LIST} says ship=no (train.prepare.research=true takes it)"
    return None


def _source(folder: Path, file: str, name: str, row: Mapping[str, str]) -> Source:
    path = Path(file)
    beside = [path.with_suffix(suffix) for suffix in SCRIPTS]
    script = next((p.as_posix() for p in beside if (folder / p).is_file()), None)
    top = path.parts[0] if len(path.parts) > 1 else ""
    split = row.get("split")
    still = path.suffix.lower() in STILLS
    alone = still or not top  # a still is a person of its own, if the list does not say otherwise
    return Source(
        file=file,
        name=name,
        person=row.get("person")
        or (path.with_suffix("").as_posix() if alone else path.parent.as_posix()),
        group=row.get("group") or row.get("set") or top,
        split=split if split in ("train", "val") else None,
        language=row.get("language") or None,
        script=script,
        still=still,
    )


def _names(files: Sequence[str]) -> dict[str, str]:
    """A name for every file: its path in one word, with a digest of it where two would be equal."""
    plain = {file: Path(file).with_suffix("").as_posix().replace("/", "__") for file in files}
    taken = Counter(name.lower() for name in plain.values())
    names = {}
    for file, name in plain.items():
        if taken[name.lower()] > 1 or len(name) > _LONGEST_NAME:
            digest = hashlib.sha256(file.encode()).hexdigest()[:12]
            name = f"{name[: _LONGEST_NAME - 13]}-{digest}"
        names[file] = name
    return names


def _read_list(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("file")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the list {path} cannot be read: {error}") from error
    if not rows:
        raise InputError(f"the list {path} has no column file, or no rows")
    return {row["file"]: {k: v for k, v in row.items() if k and isinstance(v, str)} for row in rows}


def read_lines(path: Path) -> tuple[ScriptLine, ...]:
    """The lines of a script. Raises `InputError` where the script cannot be used."""
    if path.suffix.lower() != ".align":
        return read_script(path)
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line]
        words = [row[2] for row in rows if row[2].lower() not in _PAUSES]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise InputError(f"the script {path} is not a list of words with times") from error
    if not words:
        raise InputError(f"the script {path} holds no words")
    return (ScriptLine(" ".join(words)),)


def assign_splits(
    clips: Mapping[str, tuple[str, str | None]], share: float
) -> tuple[dict[str, str], str | None]:
    """The split, train or val, of every clip, and a sentence where nobody can be held out.

    ``clips`` gives each clip's person and the split that a list states. Where none is stated, people are held
    out by a stable hash of their name, one at least; of a single person, clips are.
    """
    stated = {person: split for person, split in clips.values() if split}
    splits = {
        name: s for name, (person, split) in clips.items() if (s := split or stated.get(person))
    }
    free = {name: person for name, (person, _) in clips.items() if name not in splits}
    if not free:
        remark = "no clip is held out: the list names none"
        return splits, None if "val" in splits.values() else remark
    people, known = set(free.values()), set(splits.values())
    if len(people) + len(stated) >= 2 or "val" in known:
        least = 0 if "val" in known else 1
        most = len(people) - (0 if "train" in known else 1)
        held = _held(people, share, least, most)
        splits |= {name: "val" if person in held else "train" for name, person in free.items()}
        return splits, None
    names = _held(free, share, 1, len(free) - 1)
    splits |= {name: "val" if name in names else "train" for name in free}
    if not names:
        return splits, "there is one clip only: nothing can be held out"
    return splits, (
        f"all clips are of one person: {len(names)} of {len(free)} are held out, "
        "which shows nothing about other people"
    )


def _held(names: Iterable[str], share: float, least: int, most: int) -> set[str]:
    """About this share of the names, always the same ones, within the limits."""
    if share <= 0:
        return set()
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    order = sorted(hashes, key=lambda name: hashes[name])
    below = sum(int(digest[:8], 16) < share * 2**32 for digest in hashes.values())
    return set(order[: max(0, min(max(least, below), most))])
