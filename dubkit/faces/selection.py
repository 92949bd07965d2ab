"""Which faces of a shot are dubbed, in which of their frames, and why the others are not."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import FaceSettings
from dubkit.errors import WorkError
from dubkit.faces import occlusion, smooth
from dubkit.records import (
    FaceState,
    FaceTrack,
    Shot,
    TrackChoice,
    Transition,
    Untouched,
    Voices,
)
from dubkit.work.store import UNREADABLE, open_arrays, read_record, write_record

MIN_SCORE = 0.5  # of landmarks: below it a frame is not dubbed
RELEASE = 0.92  # a face is usable again when it is this far inside its limit
SHARED_TIME = 0.25  # of the shorter track that two must share to compete
SILENT = "its mouth does not speak"  # the reasons of a face that is not dubbed
ANOTHER = "another face speaks"
NOBODY = "nobody on screen clearly speaks"

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Speaking:
    """When one face speaks in the original."""

    spans: tuple[tuple[int, int], ...]  # frames of the film, half-open
    score: float  # how surely, 0..1


@dataclass(frozen=True, slots=True)
class Selection:
    """The faces that are dubbed (numbers of tracks) with the reason of each."""

    dubbed: dict[int, str]
    refused: str = "not the largest face"  # why the other usable faces are not


def choose(
    tracks: Sequence[FaceTrack],
    settings: FaceSettings,
    rate: float,
    speaking: Mapping[int, Speaking] | None = None,
    by: str = "the film's own sound",
    transitions: Sequence[Transition] = (),
) -> tuple[list[TrackChoice], str | None]:
    """The choice for every track, and a note where faces could be dubbed and none is.

    ``speaking`` says when each track speaks, judged ``by`` sound or lips; used where ``settings.which`` asks for it.
    Frames of ``transitions`` stay as filmed.
    """
    spans = [untouched(track, settings, rate, transitions) for track in tracks]
    usable = [t for t, s in zip(tracks, spans, strict=True) if can_be_dubbed(t, s)]
    numbers, heard = {t.track for t in usable}, speaking or {}
    selected = _select(usable, settings, heard, by)
    choices = []
    for track, span in zip(tracks, spans, strict=True):
        number = track.track
        dubbed = number in selected.dubbed
        other = selected.refused if number in numbers else _main_reason(span)
        known = heard.get(number) if settings.which == "speaking" else None
        end = track.start + len(track)
        choices.append(
            TrackChoice(
                track=number,
                start=track.start,
                end=end,
                dubbed=dubbed,
                reason=selected.dubbed.get(number, other),
                width=round(track.median_width, 1),
                score=None if known is None else round(known.score, 3),
                untouched=span,
                speaks=(known.spans if known else ((track.start, end),)) if dubbed else (),
            )
        )
    nobody = bool(usable) and not selected.dubbed
    return choices, NOBODY if nobody else None


def can_be_dubbed(track: FaceTrack, spans: Sequence[Untouched]) -> bool:
    """Whether any frame is left beside its ``untouched`` spans."""
    return sum(span.end - span.start for span in spans) < len(track)


def beside_transitions(track: FaceTrack, shot: Shot) -> FaceTrack:
    """The track with a row more, in which the face is absent, where it begins or ends at a transition.

    A new mouth fades towards rows that keep theirs, and must be gone where the transition begins.
    """
    starts, ends = {s.start for s in shot.transitions}, {s.end for s in shot.transitions}
    before = int(track.start in ends and track.start > shot.start)
    after = int(track.start + len(track) in starts)
    if not before + after:
        return track
    rows = (before, after)

    def longer(values: NDArray[Any], fill: float) -> NDArray[Any]:
        return np.pad(values, [rows, *[(0, 0)] * (values.ndim - 1)], constant_values=fill)

    return FaceTrack(
        track.track,
        track.start - before,
        boxes=longer(track.boxes, np.nan),
        landmarks=longer(track.landmarks, np.nan),
        pose=longer(track.pose, np.nan),
        scores=longer(track.scores, 0.0),
        state=longer(track.state, FaceState.ABSENT),
        occlusion=longer(track.occlusion, 0.0),
    )


def untouched(
    track: FaceTrack,
    settings: FaceSettings,
    rate: float,
    transitions: Sequence[Transition] = (),
) -> tuple[Untouched, ...]:
    """The spans of a track in which its mouth is not replaced, each with its reason."""
    width = np.nan_to_num(track.boxes[:, 2] - track.boxes[:, 0])
    yaw, pitch = np.abs(np.nan_to_num(track.pose[:, :2])).T
    doubtful = (track.scores < MIN_SCORE) & (track.state == FaceState.SEEN)
    frames = track.start + np.arange(len(track))
    causes = [
        *((s.kind, (s.start <= frames) & (frames < s.end)) for s in transitions),
        ("absent", track.state == FaceState.ABSENT),
        ("too small", _over_limit(settings.min_size / np.maximum(width, 1e-3), 1.0)),
        ("turned away", _over_limit(yaw, settings.max_yaw)),
        ("tilted", _over_limit(pitch, settings.max_pitch)),
        ("covered", occlusion.covered_frames(track.occlusion, settings.max_covered, rate)),
        ("unsure", doubtful),
    ]
    cause = np.full(len(track), -1)
    for number, (_, mask) in reversed(list(enumerate(causes))):
        cause[mask] = number
    for run in smooth.segments(cause < 0):
        if run.stop - run.start < settings.min_track_seconds * rate:
            cause[run] = len(causes)
    names = [name for name, _ in causes] + ["too short"]
    edges = np.flatnonzero(np.diff(cause, prepend=-2, append=-2))
    return tuple(
        Untouched(track.start + int(a), track.start + int(b), names[cause[a]])
        for a, b in itertools.pairwise(edges)
        if cause[a] >= 0
    )


def _over_limit(values: NDArray[np.floating], limit: float) -> Mask:
    """(T,) where values are over the limit; once over, they must fall below `RELEASE` of it again."""
    out = np.zeros(len(values), np.bool_)
    over = False
    for row, value in enumerate(values):
        over = bool(value > limit * (RELEASE if over else 1.0))
        out[row] = over
    return out


def _select(
    usable: Sequence[FaceTrack],
    settings: FaceSettings,
    speaking: Mapping[int, Speaking],
    by: str,
) -> Selection:
    if settings.which == "all":
        return Selection({t.track: "all faces are dubbed" for t in usable})
    if settings.which == "speaking":
        found = {t.track: f"its lips speak, by {by}" for t in usable if _spans(t, speaking)}
        return Selection(found, ANOTHER if found else SILENT)
    # faces compete only with those that are in the picture at the same time
    groups = concurrent(usable)
    largest = (max(group, key=lambda t: (t.median_width * len(t), -t.track)) for group in groups)
    return Selection({t.track: "the largest face" for t in largest})


def _spans(track: FaceTrack, speaking: Mapping[int, Speaking]) -> tuple[tuple[int, int], ...]:
    found = speaking.get(track.track)
    return found.spans if found else ()


def concurrent(tracks: Sequence[FaceTrack]) -> list[list[FaceTrack]]:
    """Groups of tracks that are in the picture at the same time, directly or through others."""
    groups: list[list[FaceTrack]] = []
    for track in tracks:
        near = [g for g in groups if any(_share_time(track, other) for other in g)]
        groups = [g for g in groups if g not in near]
        groups.append([*(other for g in near for other in g), track])
    return groups


def _share_time(a: FaceTrack, b: FaceTrack) -> bool:
    both = min(a.start + len(a), b.start + len(b)) - max(a.start, b.start)
    return both > SHARED_TIME * min(len(a), len(b))


def _main_reason(spans: Sequence[Untouched]) -> str:
    lengths: dict[str, int] = {}
    for span in spans:
        lengths[span.reason] = lengths.get(span.reason, 0) + span.end - span.start
    return f"{max(lengths, key=lambda r: lengths[r])} in all its frames"


TRACKS, CHOICES, VOICES = "tracks.npz", "chosen.json", "voices.json"
DAMAGED = "damaged.json"
_ARRAYS = ("boxes", "landmarks", "pose", "scores", "state", "occlusion")
_ARTICULATION, _SETTING = "articulation", "setting"


def save_tracks(folder: Path, tracks: list[FaceTrack]) -> None:
    """Write ``tracks.npz``; equal tracks give equal bytes."""
    arrays = {f"{t.track}_{name}": getattr(t, name) for t in tracks for name in _ARRAYS}
    arrays |= {f"{t.track}_{_ARTICULATION}": np.array(t.articulation or np.nan) for t in tracks}
    arrays |= {f"{t.track}_{_SETTING}": t.setting for t in tracks if t.setting is not None}
    starts = np.array([t.start for t in tracks], np.int64)
    with (folder / TRACKS).open("wb") as file:
        np.savez(file, starts=starts, **arrays)


def load_tracks(folder: Path) -> list[FaceTrack]:
    """All tracks of a shot, largest face first. Raises WorkError where the file is missing or damaged."""
    path = folder / TRACKS
    try:
        with open_arrays(path) as stored:
            return [
                replace(
                    FaceTrack(n, int(start), *_arrays(stored, n)),
                    articulation=_known(stored.get(f"{n}_{_ARTICULATION}")),
                    setting=stored.get(f"{n}_{_SETTING}"),
                )
                for n, start in enumerate(stored["starts"])
            ]
    except UNREADABLE as error:
        raise WorkError(
            f"the work file {path} cannot be read: {error}", hint="run again with --force faces"
        ) from error


def _arrays(stored: Mapping[str, Any], number: int) -> Iterator[Any]:
    return (stored[f"{number}_{name}"] for name in _ARRAYS)


def _known(stored: np.ndarray | None) -> float | None:
    return None if stored is None or np.isnan(stored) else float(stored)


def save_choice(folder: Path, choices: list[TrackChoice]) -> None:
    """Write ``chosen.json``."""
    write_record(folder / CHOICES, choices, list[TrackChoice])


def save_damaged(folder: Path, frames: Sequence[int]) -> None:
    """Keep which frames of the film, of a shot that was read whole, could not be decoded."""
    write_record(folder / DAMAGED, sorted(set(frames)), list[int])


def load_damaged(folder: Path) -> list[int] | None:
    """What `save_damaged` kept; None where nobody read all of the shot."""
    path = folder / DAMAGED
    return read_record(path, list[int]) if path.is_file() else None


def load_choice(folder: Path) -> list[TrackChoice]:
    """What is done with each track, in the order of `load_tracks`."""
    return read_record(folder / CHOICES, list[TrackChoice])


def save_voices(folder: Path, voices: Voices) -> None:
    """Write ``voices.json``."""
    write_record(folder / VOICES, voices)


def load_voices(folder: Path) -> Voices:
    """What `save_voices` wrote; nothing known where it is not there."""
    path = folder / VOICES
    return read_record(path, Voices) if path.is_file() else Voices()
