"""What may go wrong in a shot, told from its analysis alone, with the reasons in words.

A risk is no verdict: it says where to look first. Limits of what is dubbed at all are the settings of the
faces stage; what comes near to them is told as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import FaceSettings
from dubkit.faces.selection import UNCLEAR, TrackChoice
from dubkit.records import FaceState, FaceTrack

NEAR = 0.75  # of a limit of pose: from here on it is told
SMALL = 1.5  # of the least width that is dubbed
MANY = 0.25  # share of a face's frames from which a doubt is a high risk
SOME = 0.04  # share of a face's frames from which it is told
UNSURE = 0.6  # landmark confidence under which a face may be covered
BLURRED, SMEARED = 0.4, 0.15  # `quality.sharpness`
QUICK_SECONDS = 0.8  # shots that are hardly seen before they end


class Level(IntEnum):
    """How likely it is that a shot needs a look."""

    NONE = 0  # nothing is dubbed: no face
    LOW = 1
    MEDIUM = 2
    HIGH = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that may go wrong."""

    kind: str  # profile | tilted | tiny | occluded | blurred | fast cut | speaker | not dubbed
    level: Level
    text: str  # with its figure


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a shot's picture."""

    tracks: Sequence[FaceTrack]
    choices: Sequence[TrackChoice]
    seconds: float
    spoken: bool  # whether anybody speaks in it
    sharpness: float | None  # of the main face; None where there is none


def main_face(seen: Seen) -> tuple[FaceTrack, TrackChoice] | None:
    """The dubbed face with the most frames to dub, or the largest where none is dubbed."""
    pairs = list(zip(seen.tracks, seen.choices, strict=True))
    if not pairs:
        return None
    return max(pairs, key=lambda pair: (pair[1].dubbed, int(pair[1].usable.sum()), -pair[1].track))


def judge(seen: Seen, settings: FaceSettings) -> tuple[Level, tuple[Reason, ...]]:
    """The risk of a shot: that of its worst reason; reasons come worst first."""
    main = main_face(seen)
    if main is None:
        return Level.NONE, ()
    if not any(choice.dubbed for choice in seen.choices):
        level = Level.HIGH if seen.spoken else Level.LOW
        return level, (Reason("not dubbed", level, f"no face can be dubbed: {main[1].reason}"),)
    found = [*_of_face(*main, settings), *_of_shot(seen)]
    found.sort(key=lambda reason: -reason.level)
    return max((r.level for r in found), default=Level.LOW), tuple(found)


def _of_face(track: FaceTrack, choice: TrackChoice, settings: FaceSettings) -> Iterator[Reason]:
    lost: Counter[str] = Counter()
    for span in choice.untouched:
        lost[span.reason] += span.end - span.start
    left_out = {reason: count / len(track) for reason, count in lost.items()}
    known = track.state != FaceState.ABSENT
    yaw, pitch = (_most(track.pose[known, axis]) for axis in (0, 1))
    yield from _turned("profile", "turned", yaw, settings.max_yaw, left_out.get("turned away", 0.0))
    yield from _turned("tilted", "tilted", pitch, settings.max_pitch, left_out.get("tilted", 0.0))
    yield from _tiny(choice, settings, left_out.get("too small", 0.0))
    yield from _occluded(track, known, settings)


def _turned(kind: str, word: str, most: float, limit: float, lost: float) -> Iterator[Reason]:
    if lost >= SOME:
        level = Level.HIGH if lost >= MANY else Level.MEDIUM
        yield Reason(kind, level, f"{word} beyond {limit:.0f}° in {lost:.0%} of its frames")
    elif most > NEAR * limit:
        yield Reason(kind, Level.MEDIUM, f"{word} up to {most:.0f}°")


def _tiny(choice: TrackChoice, settings: FaceSettings, lost: float) -> Iterator[Reason]:
    if lost >= MANY:
        yield Reason("tiny", Level.HIGH, f"under {settings.min_size:.0f} px in {lost:.0%}")
    elif lost >= SOME or choice.width < SMALL * settings.min_size:
        yield Reason("tiny", Level.MEDIUM, f"tiny: {choice.width:.0f} px wide")


def _occluded(
    track: FaceTrack, known: NDArray[np.bool_], settings: FaceSettings
) -> Iterator[Reason]:
    if not known.any():
        return
    doubtful = (track.scores < UNSURE) | (track.state == FaceState.BRIDGED)
    doubtful |= track.strange > settings.max_covered
    share = float(doubtful[known].mean())
    if share >= SOME:
        level = Level.HIGH if share >= MANY else Level.MEDIUM
        yield Reason("occluded", level, f"covered or unsure in {share:.0%} of its frames")


def _of_shot(seen: Seen) -> Iterator[Reason]:
    if seen.sharpness is not None and seen.sharpness < BLURRED:
        level = Level.HIGH if seen.sharpness < SMEARED else Level.MEDIUM
        yield Reason("blurred", level, f"blurred: focus {seen.sharpness:.2f} of 1")
    if seen.seconds < QUICK_SECONDS:
        yield Reason("fast cut", Level.MEDIUM, f"fast cut: {seen.seconds:.1f} s")
    if seen.spoken and any(choice.reason == UNCLEAR for choice in seen.choices):
        yield Reason("speaker", Level.MEDIUM, "unclear which face speaks")


def _most(values: NDArray[np.floating]) -> float:
    """What a pose goes up to, without its stray extremes."""
    finite = np.abs(values[np.isfinite(values)])
    return float(np.percentile(finite, 95)) if len(finite) else 0.0
