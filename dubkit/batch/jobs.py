"""The jobs of a batch: what is asked, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubkit.errors import UsageError

LANGUAGE = r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,2}"  # fr, pt-BR, zh_Hans_CN


@dataclass(frozen=True, slots=True)
class Entry:
    """One film with one dub. Paths are absolute."""

    name: str  # of the job: film and language; unique in its batch
    video: Path
    audio: Path
    origin: str  # where it comes from, for messages: ``jobs.csv line 3``
    output: Path
    work: Path
    script: Path | None = None
    language: str | None = None
    verdicts: Path | None = None  # what a person said of its shots
    presets: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()  # ``section.key=value``

    def all_settings(self) -> tuple[str, ...]:
        """The settings with the language among them, which a setting of its own overrides."""
        spoken = () if self.language is None else (f"speech.language={self.language}",)
        return (*spoken, *self.settings)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a job cannot be done, found before the first frame."""

    job: str
    origin: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` of ``count``, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``2/8``. Raises UsageError."""
        found = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(
                f"{text!r} is no part of a whole", hint="write --shard 1/4, up to --shard 4/4"
            )
        return cls(int(found[1]), int(found[2]))


def take_shard(
    entries: Sequence[Entry], shard: Shard | None, weight: Mapping[str, float]
) -> list[Entry]:
    """The entries of a shard. Films are dealt out whole, longest first, to the shard that has least.

    All dubs of a film fall into one shard, so that its analysis is done once; every shard that sees the same
    entries and weights (seconds by job name) deals alike.
    """
    if shard is None:
        return list(entries)
    films: dict[Path, float] = {}
    for entry in entries:
        films[entry.video] = films.get(entry.video, 0.0) + weight.get(entry.name, 1.0)
    load = [0.0] * shard.count
    home: dict[Path, int] = {}
    for film in sorted(films, key=lambda film: (-films[film], str(film))):
        home[film] = load.index(min(load))
        load[home[film]] += films[film]
    return [entry for entry in entries if home[entry.video] == shard.number - 1]


def under(entry: Entry, presets: Sequence[str], settings: Sequence[str]) -> Entry:
    """The entry with the batch's own presets and settings below those of the entry itself."""
    return replace(entry, presets=(*presets, *entry.presets), settings=(*settings, *entry.settings))
