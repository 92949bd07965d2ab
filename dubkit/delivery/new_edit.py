"""A new edit of a film against the job of the old one: what of each shot is still there, and where.

The new edit is a list (EDL or OTIO, whose clips have the old film's time codes) or the newly cut film itself, whose
pictures are then looked for in the old one, whatever their numbers. What is still there keeps its dubbed pictures.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dubkit.delivery import cut_list
from dubkit.errors import InputError
from dubkit.stages.shots import Stretch, match_pictures, small_film

if TYPE_CHECKING:
    from dubkit.pipeline.inspect import OpenedJob
    from dubkit.records import Shot

State = Literal["stays", "moved", "trimmed", "new"]
LISTS = (".edl", ".otio")


@dataclass(frozen=True, slots=True)
class Reuse:
    """Consecutive frames of the new edit that come from one shot of the old film, or from none."""

    start: int  # frames of the new edit, half-open
    end: int
    state: State
    shot: str | None  # of the old film
    first: int | None  # its frame of the old film
    dubbed: bool  # whether its pictures were changed


@dataclass(frozen=True, slots=True)
class NewEdit:
    """The new edit, in film order, and what is gone."""

    begins: int  # the time code of its first frame, in frames
    frames: int
    reuses: tuple[Reuse, ...]
    removed: tuple[str, ...]  # shots of the old film of which nothing is left


def compare_edit(opened: OpenedJob, edit: Path, code: str | None = None) -> NewEdit:
    """The new edit against a job; ``code`` is the time code of the old film's first frame.

    Raises WorkError, InputError for an edit of another film or rate.
    """
    info = opened.film_facts()
    film = opened.manifest.job.video
    time = cut_list.film_time(film, info, code)
    count = info.frames // info.lines
    if edit.suffix.lower() in LISTS:
        with cut_list.strange_times(edit):
            begins, stretches = _of_list(edit, time, count)
    else:
        begins = time.begins
        stretches = list(match_pictures(*(small_film(path) for path in (edit, film))))
    if not any(stretch.old is not None for stretch in stretches):
        raise InputError(
            f"nothing of {film.name} is in {edit}", hint="is it the edit of another film?"
        )
    dubbed = {shot.name for shot in opened.shots if _is_dubbed(opened, shot)}
    shots = [(s.name, s.start // info.lines, -(-s.end // info.lines)) for s in opened.shots]
    reuses = tuple(_reuses(stretches, shots, dubbed))
    left = {reuse.shot for reuse in reuses}
    removed = tuple(name for name, _, _ in shots if name not in left)
    return NewEdit(begins, sum(s.frames for s in stretches), reuses, removed)


def _is_dubbed(opened: OpenedJob, shot: Shot) -> bool:
    result, gate = opened.generated(shot), opened.gate(shot)
    return result is not None and result.touched and not (gate is not None and gate.kept)


def _of_list(edit: Path, time: cut_list.FilmTime, count: int) -> tuple[int, list[Stretch]]:
    """Where the list begins, and its stretches by time code."""
    timeline = cut_list.read_timeline(edit, time.clock.rate)
    rate = float(time.clock.rate)
    start = timeline.global_start_time
    track = next((t for t in timeline.tracks if t.kind == "Video"), None)
    if track is None or not len(track):
        raise InputError(f"{edit} has no video track")
    begins = round(start.value) if start else None
    found, at = [], 0
    for item in track:
        length = round(item.duration().rescaled_to(rate).value)
        if type(item).__name__ != "Clip":
            found.append(Stretch(at, None, length))
            at += length
            continue
        used = item.trimmed_range()
        if abs(used.start_time.rate - rate) > 0.01:
            raise InputError(
                f"{edit} counts {used.start_time.rate:.6g} frames/s, the film {rate:.6g}",
                hint="export the list at the film's rate",
            )
        first = round(used.start_time.value) - time.begins
        inside = first >= 0 and first + length <= count
        found.append(Stretch(at, first if inside else None, length))
        at += length
    return time.begins if begins is None else begins, found


def _reuses(
    stretches: Sequence[Stretch], shots: Sequence[tuple[str, int, int]], dubbed: set[str]
) -> Iterator[Reuse]:
    """Stretches cut at the old film's cuts."""
    found: list[Reuse] = []
    for stretch in stretches:
        if stretch.old is None:
            end = stretch.new + stretch.frames
            found.append(Reuse(stretch.new, end, "new", None, None, False))
            continue
        for name, low, high in shots:
            first, after = max(low, stretch.old), min(high, stretch.old + stretch.frames)
            if first < after:
                new = stretch.new + first - stretch.old
                state: State = "stays" if (first, after) == (low, high) else "trimmed"
                end = new + after - first
                found.append(Reuse(new, end, state, name, first, name in dubbed))
    in_order = _longest_rise([-1 if reuse.first is None else reuse.first for reuse in found])
    for number, reuse in enumerate(found):
        out_of_order = reuse.state == "stays" and number not in in_order
        yield replace(reuse, state="moved") if out_of_order else reuse


def _longest_rise(values: Sequence[int]) -> set[int]:
    """The places of a longest rising sequence among those that are not negative."""
    ends: list[int] = []  # places whose value ends the best sequence of each length
    before: dict[int, int | None] = {}
    for place, value in enumerate(values):
        if value < 0:
            continue
        length = bisect_left([values[end] for end in ends], value)
        before[place] = ends[length - 1] if length else None
        ends[length : length + 1] = [place]
    found: set[int] = set()
    at = ends[-1] if ends else None
    while at is not None:
        found.add(at)
        at = before[at]
    return found


def moved_clips(edit: NewEdit, clips: Sequence[cut_list.Clip]) -> list[cut_list.Clip]:
    """Clips that lie on the old film where they lie on the new edit, cut where it cuts them."""
    found = []
    for reuse in edit.reuses:
        if reuse.first is None:
            continue
        for clip in clips:
            low = max(clip.start, reuse.first)
            high = min(clip.end, reuse.first + reuse.end - reuse.start)
            if low < high:
                start = reuse.start + low - reuse.first
                found.append(clip.moved(low, start, high - low))
    return sorted(found, key=lambda clip: clip.start)
