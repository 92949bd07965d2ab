"""Which faces of a shot are dubbed, in which of their frames, and why the others are not."""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import FaceSettings
from dubkit.errors import WorkError
from dubkit.faces import active_speaker, occlusion, smooth
from dubkit.records import FaceState, FaceTrack, TrackChoice, Untouched
from dubkit.work.store import open_arrays, read_record, write_record

MIN_SCORE = 0.5  # of landmarks: below it a frame is not dubbed
RELEASE = 0.92  # a face is usable again when it is this far inside its limit
SHARED_TIME = 0.25  # of the shorter track that two must share to compete
UNCLEAR = "the largest face; none clearly speaks"  # the reason of a choice without evidence
SHARE_OF_BEST = (
    0.6  # correlation, relative to the best face's, from which on another face speaks too
)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Selection:
    """The faces that are dubbed (numbers of tracks) with the reason of each, and a note for the user."""

    dubbed: dict[int, str]
    scores: dict[int, active_speaker.SpeakerScore]
    note: str | None = None
    rejected: str = "not the largest face"  # why the competing faces are not


def choose(
    tracks: Sequence[FaceTrack], settings: FaceSettings, rate: float, sound: SoundFeatures | None
) -> tuple[list[TrackChoice], str | None]:
    """The choice for every track, and a note where ``settings.which`` could not be followed.

    ``sound`` holds the features of the film's own sound; None where it has none.
    """
    spans = [untouched(track, settings, rate) for track in tracks]
    usable = [
        t for t, s in zip(tracks, spans, strict=True) if sum(u.end - u.start for u in s) < len(t)
    ]
    dubbed, refused, scores, note = _decide(usable, settings, rate, sound)
    choices = []
    for track, span in zip(tracks, spans, strict=True):
        measured = scores.get(track.track)
        reason = dubbed.get(track.track) or refused.get(track.track) or _main_reason(span)
        choices.append(
            TrackChoice(
                track=track.track,
                start=track.start,
                end=track.start + len(track),
                dubbed=track.track in dubbed,
                reason=reason,
                width=round(track.median_width, 1),
                correlation=None if measured is None else round(measured.correlation, 3),
                untouched=span,
            )
        )
    return choices, note


@dataclass(frozen=True, slots=True)
class SoundFeatures:
    """The film's own sound in one shot: `active_speaker.sound_features` of its frames."""

    start: int  # frame of row 0
    features: active_speaker.Series  # (T, K)

    def of(self, track: FaceTrack) -> active_speaker.Series:
        first = track.start - self.start
        return self.features[first : first + len(track)]


def untouched(track: FaceTrack, settings: FaceSettings, rate: float) -> tuple[Untouched, ...]:
    """The spans of a track in which its mouth is not replaced, each with its reason."""
    width = np.nan_to_num(track.boxes[:, 2] - track.boxes[:, 0])
    yaw, pitch = np.abs(np.nan_to_num(track.pose[:, :2])).T
    doubtful = (track.scores < MIN_SCORE) & (track.state == FaceState.SEEN)
    causes = [
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


def _decide(
    usable: Sequence[FaceTrack], settings: FaceSettings, rate: float, sound: SoundFeatures | None
) -> tuple[dict[int, str], dict[int, str], dict[int, active_speaker.SpeakerScore], str | None]:
    """Tracks that are dubbed and those that are not, with their reasons; speaker scores; a note.

    Faces compete only with those that are in the picture at the same time.
    """
    dubbed: dict[int, str] = {}
    refused: dict[int, str] = {}
    scores: dict[int, active_speaker.SpeakerScore] = {}
    notes: list[str] = []
    for concurrent in _concurrent(usable):
        selection = _select_among(concurrent, settings, rate, sound)
        dubbed |= selection.dubbed
        refused |= {
            t.track: selection.rejected for t in concurrent if t.track not in selection.dubbed
        }
        scores |= selection.scores
        notes += [selection.note] if selection.note and selection.note not in notes else []
    return dubbed, refused, scores, "; ".join(notes) or None


def _concurrent(tracks: Sequence[FaceTrack]) -> list[list[FaceTrack]]:
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


def _select_among(
    usable: Sequence[FaceTrack], settings: FaceSettings, rate: float, sound: SoundFeatures | None
) -> Selection:
    largest = max(usable, key=lambda t: (t.median_width * len(t), -t.track))
    if len(usable) == 1:
        return Selection({largest.track: "the only face that can be dubbed"}, {})
    if settings.which == "all":
        return Selection({t.track: "all faces are dubbed" for t in usable}, {})
    if settings.which == "largest":
        return Selection({largest.track: "the largest face"}, {})
    if sound is None:
        note = "the film has no sound that shows who speaks, so the largest face is dubbed"
        return Selection({largest.track: "the largest face; there is no sound"}, {}, note)
    scores = _speaker_scores(usable, rate, sound)
    speaking = _speakers(scores)
    if speaking:
        return Selection(speaking, scores, rejected="another face speaks")
    note = f"no face clearly speaks among {len(usable)}, so the largest is dubbed"
    return Selection({largest.track: UNCLEAR}, scores, note)


def _speaker_scores(
    usable: Sequence[FaceTrack], rate: float, sound: SoundFeatures
) -> dict[int, active_speaker.SpeakerScore]:
    measured = {
        t.track: active_speaker.speaker_score(
            active_speaker.mouth_motion(t.landmarks), sound.of(t), rate
        )
        for t in usable
    }
    return {track: s for track, s in measured.items() if s is not None}


def _speakers(scores: dict[int, active_speaker.SpeakerScore]) -> dict[int, str]:
    best = max((s.correlation for s in scores.values() if s.speaks), default=None)
    if best is None:
        moving = [track for track, s in scores.items() if s.motion >= active_speaker.MIN_MOTION]
        if len(moving) == 1 and len(scores) > 1:
            return {moving[0]: "the only mouth that moves"}
        return {}
    return {
        track: f"its lips move with the film's own sound (r = {s.correlation:.2f})"
        for track, s in scores.items()
        if s.speaks and s.correlation >= SHARE_OF_BEST * best
    }


def _main_reason(spans: Sequence[Untouched]) -> str:
    lengths: dict[str, int] = {}
    for span in spans:
        lengths[span.reason] = lengths.get(span.reason, 0) + span.end - span.start
    return f"{max(lengths, key=lambda r: lengths[r])} in all its frames"


TRACKS, CHOICES = "tracks.npz", "chosen.json"
_ARRAYS = ("boxes", "landmarks", "pose", "scores", "state", "occlusion")


def save_tracks(folder: Path, tracks: list[FaceTrack]) -> None:
    """Write ``tracks.npz``; equal tracks give equal bytes."""
    arrays = {f"{t.track}_{name}": getattr(t, name) for t in tracks for name in _ARRAYS}
    starts = np.array([t.start for t in tracks], np.int64)
    with (folder / TRACKS).open("wb") as file:
        np.savez(file, starts=starts, **arrays)


def load_tracks(folder: Path) -> list[FaceTrack]:
    """All tracks of a shot, largest face first. Raises WorkError where the file is missing or damaged."""
    path = folder / TRACKS
    try:
        with open_arrays(path) as stored:
            return [
                FaceTrack(n, int(start), *(stored[f"{n}_{name}"] for name in _ARRAYS))
                for n, start in enumerate(stored["starts"])
            ]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WorkError(
            f"the work file {path} cannot be read: {error}", hint="run again with --force faces"
        ) from error


def save_choice(folder: Path, choices: list[TrackChoice]) -> None:
    """Write ``chosen.json``."""
    write_record(folder / CHOICES, choices, list[TrackChoice])


def load_choice(folder: Path) -> list[TrackChoice]:
    """What is done with each track, in the order of `load_tracks`."""
    return read_record(folder / CHOICES, list[TrackChoice])
