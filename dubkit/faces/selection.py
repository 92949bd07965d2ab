"""Which faces of a shot are dubbed, in which of their frames, and why the others are not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import FaceSettings
from dubkit.faces.active_speaker import MIN_MOTION, Series, Voice, mouth_motion, voice
from dubkit.faces.occlusion import covered
from dubkit.faces.smooth import segments
from dubkit.faces.tracker import median_width
from dubkit.records import FaceState, FaceTrack, TrackChoice, Untouched

MIN_SCORE = 0.5  # landmarks less sure than this are not worked with
RETURN = 0.92  # a face is usable again when it is this far inside its limit
SHARED = 0.25  # of the shorter track that two must share to be rivals
UNCLEAR = "the largest face; none clearly speaks"  # the reason of a choice that is a guess
RIVAL = 0.6  # of the best face's correlation that makes another one speak as well

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The faces that are dubbed (numbers of tracks) with the reason of each, and what the user should know."""

    dubbed: dict[int, str]
    voices: dict[int, Voice]
    note: str | None = None
    others: str = "not the largest face"  # why their rivals are not


def choose(
    tracks: Sequence[FaceTrack], settings: FaceSettings, rate: float, sound: Sound | None
) -> tuple[list[TrackChoice], str | None]:
    """Decide for every track; with it a note where the wanted way could not be gone.

    ``sound`` gives the features of the film's own sound; None where it has none.
    """
    spans = [untouched(track, settings, rate) for track in tracks]
    able = [
        t for t, s in zip(tracks, spans, strict=True) if sum(u.end - u.start for u in s) < len(t)
    ]
    dubbed, refused, voices, note = _decide(able, settings, rate, sound)
    choices = []
    for track, span in zip(tracks, spans, strict=True):
        measured = voices.get(track.track)
        reason = dubbed.get(track.track) or refused.get(track.track) or _unable(span)
        choices.append(
            TrackChoice(
                track=track.track,
                start=track.start,
                end=track.start + len(track),
                dubbed=track.track in dubbed,
                reason=reason,
                width=round(median_width(track), 1),
                correlation=None if measured is None else round(measured.correlation, 3),
                untouched=span,
            )
        )
    return choices, note


@dataclass(frozen=True, slots=True)
class Sound:
    """The film's own sound of one shot: `speaking.sound_features` of its frames."""

    start: int  # frame of row 0
    features: Series  # (T, K)

    def of(self, track: FaceTrack) -> Series:
        first = track.start - self.start
        return self.features[first : first + len(track)]


def untouched(track: FaceTrack, settings: FaceSettings, rate: float) -> tuple[Untouched, ...]:
    """The spans of a track in which its mouth cannot be replaced well."""
    width = np.nan_to_num(track.boxes[:, 2] - track.boxes[:, 0])
    yaw, pitch = np.abs(np.nan_to_num(track.pose[:, :2])).T
    doubtful = (track.scores < MIN_SCORE) & (track.state == FaceState.SEEN)
    causes = [
        ("absent", track.state == FaceState.ABSENT),
        ("too small", _beyond(settings.min_size / np.maximum(width, 1e-3), 1.0)),
        ("turned away", _beyond(yaw, settings.max_yaw)),
        ("tilted", _beyond(pitch, settings.max_pitch)),
        ("covered", covered(track.strange, settings.max_covered, rate)),
        ("unsure", doubtful),
    ]
    cause = np.full(len(track), -1)
    for number, (_, mask) in reversed(list(enumerate(causes))):
        cause[mask] = number
    for run in segments(cause < 0):
        if run.stop - run.start < settings.min_track_seconds * rate:
            cause[run] = len(causes)
    names = [name for name, _ in causes] + ["too short"]
    edges = np.flatnonzero(np.diff(cause, prepend=-2, append=-2))
    return tuple(
        Untouched(track.start + int(a), track.start + int(b), names[cause[a]])
        for a, b in itertools.pairwise(edges)
        if cause[a] >= 0
    )


def _beyond(values: NDArray[np.floating], limit: float) -> Mask:
    """Where values are over the limit; once over, they must come well under it again."""
    out = np.zeros(len(values), np.bool_)
    over = False
    for row, value in enumerate(values):
        over = bool(value > limit * (RETURN if over else 1.0))
        out[row] = over
    return out


def _decide(
    able: Sequence[FaceTrack], settings: FaceSettings, rate: float, sound: Sound | None
) -> tuple[dict[int, str], dict[int, str], dict[int, Voice], str | None]:
    """Tracks that are dubbed and those that are not, with their reasons; voices; a note.

    Faces compete only with those that are in the picture at the same time.
    """
    dubbed: dict[int, str] = {}
    refused: dict[int, str] = {}
    voices: dict[int, Voice] = {}
    notes: list[str] = []
    for rivals in _rivals(able):
        verdict = _contest(rivals, settings, rate, sound)
        dubbed |= verdict.dubbed
        refused |= {t.track: verdict.others for t in rivals if t.track not in verdict.dubbed}
        voices |= verdict.voices
        notes += [verdict.note] if verdict.note and verdict.note not in notes else []
    return dubbed, refused, voices, "; ".join(notes) or None


def _rivals(tracks: Sequence[FaceTrack]) -> list[list[FaceTrack]]:
    """Groups of tracks that share their time, directly or through others."""
    groups: list[list[FaceTrack]] = []
    for track in tracks:
        near = [g for g in groups if any(_share_time(track, other) for other in g)]
        groups = [g for g in groups if g not in near]
        groups.append([*(other for g in near for other in g), track])
    return groups


def _share_time(a: FaceTrack, b: FaceTrack) -> bool:
    both = min(a.start + len(a), b.start + len(b)) - max(a.start, b.start)
    return both > SHARED * min(len(a), len(b))


def _contest(
    able: Sequence[FaceTrack], settings: FaceSettings, rate: float, sound: Sound | None
) -> Verdict:
    largest = max(able, key=lambda t: (median_width(t) * len(t), -t.track))
    if len(able) == 1:
        return Verdict({largest.track: "the only face that can be dubbed"}, {})
    if settings.which == "all":
        return Verdict({t.track: "all faces are dubbed" for t in able}, {})
    if settings.which == "largest":
        return Verdict({largest.track: "the largest face"}, {})
    if sound is None:
        note = "the film has no sound that shows who speaks, so the largest face is dubbed"
        return Verdict({largest.track: "the largest face; there is no sound"}, {}, note)
    voices = _voices(able, rate, sound)
    speaking = _speaking(voices)
    if speaking:
        return Verdict(speaking, voices, others="another face speaks")
    note = f"no face clearly speaks among {len(able)}, so the largest is dubbed"
    return Verdict({largest.track: UNCLEAR}, voices, note)


def _voices(able: Sequence[FaceTrack], rate: float, sound: Sound) -> dict[int, Voice]:
    measured = {t.track: voice(mouth_motion(t.landmarks), sound.of(t), rate) for t in able}
    return {track: v for track, v in measured.items() if v is not None}


def _speaking(voices: dict[int, Voice]) -> dict[int, str]:
    best = max((v.correlation for v in voices.values() if v.speaks), default=None)
    if best is None:
        moving = [track for track, v in voices.items() if v.motion >= MIN_MOTION]
        if len(moving) == 1 and len(voices) > 1:
            return {moving[0]: "the only mouth that moves"}
        return {}
    return {
        track: f"its lips move with the film's own sound (r = {v.correlation:.2f})"
        for track, v in voices.items()
        if v.speaks and v.correlation >= RIVAL * best
    }


def _unable(spans: Sequence[Untouched]) -> str:
    lengths: dict[str, int] = {}
    for span in spans:
        lengths[span.reason] = lengths.get(span.reason, 0) + span.end - span.start
    return f"{max(lengths, key=lambda r: lengths[r])} in all its frames"
