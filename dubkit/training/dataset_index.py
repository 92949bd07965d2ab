"""The book of a prepared set, from what became of every file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dubkit.training.analyse import Look
from dubkit.training.clips import Cut, Kept
from dubkit.training.dataset import CROP, FORMAT, Book, ClipFacts, LabelFacts
from dubkit.training.footage import Source, assign_splits
from dubkit.training.lab.corrected import Gathered


@dataclass(slots=True)
class FootageFile:
    """One file of footage on its way."""

    source: Source
    key: str  # of its look
    sha256: str
    look: Look | None = None
    cuts: dict[tuple[int, int], Cut] = field(default_factory=dict)
    labels: Gathered | None = None


def make_book(
    files: Sequence[FootageFile],
    refused: Mapping[str, str],
    share: float,
    *,
    silent: bool = False,
) -> tuple[Book, str | None]:
    """The book, and a sentence where nobody, or nobody else, is held out.

    ``refused`` are the files that were not looked at; ``share`` of the people is held out; ``silent`` if
    nothing was asked of the sound.
    """
    people: dict[str, tuple[str, str | None]] = {}
    found: list[tuple[Kept, FootageFile]] = []
    refusals, left_out = dict(refused), {}
    for file in files:
        kept = [clip for result in file.cuts.values() for clip in result.kept]
        found += [(clip, file) for clip in kept]
        people |= {clip.name: (file.source.person, file.source.split) for clip in kept}
        if file.labels is not None and file.labels.count:
            people |= {_labels_key(file): (file.source.person, file.source.split)}
        reasons = _reasons(file)
        if kept and reasons:
            left_out[file.source.file] = reasons
        elif reasons:
            refusals[file.source.file] = reasons
    splits, held_out = assign_splits(people, share)
    clips = {
        clip.name: _facts(clip, file, splits[clip.name], silent=silent) for clip, file in found
    }
    labels = {
        file.source.name: LabelFacts(
            file.source.file, file.source.person, splits[_labels_key(file)], file.labels.count
        )
        for file in files
        if file.labels is not None and file.labels.count
    }
    ordered = dict(sorted(clips.items())), dict(sorted(refusals.items()))
    book = Book(FORMAT, CROP, *ordered, left_out, labels)
    return book, held_out if clips else None


def _labels_key(file: FootageFile) -> str:
    """What stands for a file's labels among the clips when people are held out."""
    return f"labels/{file.source.name}"


def _reasons(file: FootageFile) -> str | None:
    """Why frames of a file are left out, the most frequent reasons first."""
    if file.look is not None and file.look.refused:
        return file.look.refused
    frames: Counter[str] = Counter()
    for result in file.cuts.values():
        for span in result.refused:
            frames[span.reason] += span.end - span.start
    if len(frames) == 1:
        return next(iter(frames))
    common = frames.most_common(3)
    return "; ".join(f"{reason} ({count} frames)" for reason, count in common) or None


def _facts(clip: Kept, file: FootageFile, split: str, *, silent: bool) -> ClipFacts:
    source = file.source
    return ClipFacts(
        file=source.file,
        person=source.person,
        split=split,
        group=source.group,
        frames=clip.frames,
        rate=clip.rate,
        sha256=file.sha256,
        start=clip.start,
        width=clip.width,
        offset=clip.offset,
        agreement=clip.agreement,
        silent=silent or source.still,
    )
