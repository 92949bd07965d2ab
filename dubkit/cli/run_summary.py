"""The end of a run for people: what became of the shots, who was dubbed, what to look at, where the result is."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dubkit.cli.progress_bar import clock_text
from dubkit.progress import ShotName, in_words

if TYPE_CHECKING:
    from dubkit.pipeline.result import RunResult

_GROUPS = 8  # reasons of one kind that are listed
_PLACES = 5  # shots or ranges of shots that a reason names
_WARNINGS = 6
_ABOUT = re.compile(r"shot (\d{7}-\d{7}): ")
_FIGURE = re.compile(
    r" \(\d[\d.]*\)"
)  # of a shot's own measure, by which equal reasons would differ
_SAID = {
    "dubbed": "dubbed",
    "as filmed": "as filmed",
    "refused": "refused by the gate",
    "rejected": "rejected by a verdict",
    "failed": "failed",
}


def summary(result: RunResult) -> Iterator[str]:
    """The lines of the summary; the last one is where the result is."""
    yield from _shots(result)
    if taken := result.facts.get("generate.taken_over"):
        yield f"renders of {taken} shots are taken over from the earlier cut"
    if result.people and any(shot.end == "dubbed" for shot in result.shots):
        people = sorted(result.people.items(), key=lambda row: -row[1])
        yield "people dubbed: " + ", ".join(f"{name} ({took:.1f} s)" for name, took in people)
    if result.output and result.consent:
        yield result.consent
    yield from _warnings(result)
    yield _time(result)
    if result.work is not None and result.shots:
        yield f"review every shot: dubkit report {shlex.quote(_short(result.work))}"
    yield str(result.output or "stopped before the film was written, as requested")


def _shots(result: RunResult) -> Iterator[str]:
    if not result.shots:
        yield from (f"original picture kept: {kept}" for kept in result.kept)
        return
    ends = Counter(_became(shot.end, shot.why) for shot in result.shots)
    count = len(result.shots)
    parts = ", ".join(f"{ends[end]} {said}" for end, said in _SAID.items() if ends[end])
    yield f"{count} shot{'s' if count != 1 else ''}: {parts}"
    for end in ("as filmed", "refused", "failed"):
        groups: dict[str, list[ShotName]] = {}
        whole: dict[str, str] = {}
        for shot in result.shots:
            if shot.end == end:
                why = _FIGURE.sub("", shot.why)
                whole[why] = why if why in groups else shot.why
                groups.setdefault(why, []).append(shot.name)
        for why, names in list(groups.items())[:_GROUPS]:
            yield f"  {_end(end, whole[why])}: {places(names)}"
        if len(groups) > _GROUPS:
            left = sum(len(names) for names in list(groups.values())[_GROUPS:])
            yield f"  {_SAID[end]}: {left} more, see the report"
    if not ends["dubbed"]:
        yield "no face in this film was dubbed: only its sound is new"
    if any("clearly speaks" in shot.why for shot in result.shots):
        yield "  --faces largest dubs the largest face where none clearly speaks"


def _end(end: str, why: str) -> str:
    """What became of a shot, and why; a person's verdict is told from the gate's."""
    became = _became(end, why)
    if became == "rejected":
        return why.replace(became, _SAID[became], 1)
    return f"{_SAID[became]}, {why}"


def _became(end: str, why: str) -> str:
    """What a shot came to, a person's verdict apart from the gate's."""
    return "rejected" if end == "refused" and why.startswith("rejected") else end


def places(names: Sequence[ShotName]) -> str:
    """Shots in words, neighbors as ranges: ``shot 2, 00:00:03:15; shots 5-7, 00:00:20:01``."""
    ranges: list[list[ShotName]] = []
    for name in sorted(names, key=lambda name: name.number):
        if ranges and ranges[-1][-1].number + 1 == name.number:
            ranges[-1].append(name)
        else:
            ranges.append([name])
    found = [_range(group) for group in ranges[:_PLACES]]
    left = sum(len(group) for group in ranges[_PLACES:])
    return "; ".join(found) + (f"; {left} more" if left else "")


def _range(group: Sequence[ShotName]) -> str:
    first, last = group[0], group[-1]
    if first is last:
        return str(first)
    code = f", {first.timecode}" if first.timecode else ""
    return f"shots {first.number}-{last.number}{code}"


def _warnings(result: RunResult) -> Iterator[str]:
    """Each warning once, with the shots that it is about."""
    found: dict[str, list[ShotName]] = {}
    for warning in result.warnings:
        about = _ABOUT.match(warning)
        names = found.setdefault(warning[about.end() :] if about else warning, [])
        if about and about[1] in result.names:
            names.append(result.names[about[1]])
    for text, names in list(found.items())[:_WARNINGS]:
        where = f" ({places(names)})" if names else ""
        yield f"warning: {in_words(text, result.names)}{where}"
    if len(found) > _WARNINGS:
        yield f"{len(found) - _WARNINGS} more warnings: see run.log in the work folder"


def _time(result: RunResult) -> str:
    speed = f", {result.frames / result.seconds:.1f} frames/s" if result.seconds else ""
    kept = len(result.results) - result.done
    resumed = f", {kept} of {len(result.results)} units done earlier" if kept else ""
    return (
        f"{result.frames} frames in {clock_text(result.seconds)}{'' if resumed else speed}{resumed}"
    )


def _short(path: Path) -> str:
    """Relative to the current folder where it lies in it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
