"""Which runs of frames, of which face, may be learnt from, and why the others may not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dubkit.config.schema import Config, FaceSettings, PrepareSettings
from dubkit.faces.selection import TrackChoice
from dubkit.faces.smooth import segments
from dubkit.records import FaceTrack, Shot


@dataclass(frozen=True, slots=True)
class Refused:
    """Frames of which no clip was made."""

    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Run:
    """Frames of one track that may become a clip."""

    track: FaceTrack
    rows: slice

    @property
    def start(self) -> int:
        return self.track.start + int(self.rows.start)

    @property
    def end(self) -> int:
        return self.track.start + int(self.rows.stop)


@dataclass(frozen=True, slots=True)
class Choices:
    """The faces of a piece and what `faces.selection` decided about them."""

    shot: Shot
    rate: float
    tracks: Sequence[FaceTrack]
    choices: Sequence[TrackChoice]
    note: str | None


def face_settings(config: Config) -> FaceSettings:
    """The faces that are followed and chosen: the product's way, with the limits of preparing."""
    wanted = config.train.prepare
    return config.faces.model_copy(
        update={
            "which": "speaking",
            "min_size": wanted.min_width,
            "max_yaw": wanted.max_yaw,
            "max_pitch": wanted.max_pitch,
            "min_track_seconds": min(wanted.min_seconds, 0.5),
        }
    )


def usable_runs(found: Choices, settings: PrepareSettings) -> Iterator[Run]:
    """Unbroken runs, long enough, of faces that surely are the ones who speak."""
    for track, choice in zip(found.tracks, found.choices, strict=True):
        if choice.dubbed and _undecided(choice, found) is None:
            for rows in segments(choice.usable):
                if int(rows.stop - rows.start) >= settings.min_seconds * found.rate:
                    yield Run(track, rows)


def refusals(found: Choices, settings: PrepareSettings) -> Iterator[Refused]:
    """The frames that are left out before anything is measured, and why."""
    if not found.tracks:
        yield Refused(found.shot.start, found.shot.end, "no face")
    for choice in found.choices:
        doubt = _undecided(choice, found) if choice.dubbed else _plain(choice, settings)
        if doubt:
            yield Refused(choice.start, choice.end, doubt)
            continue
        for span in choice.untouched:
            yield Refused(span.start, span.end, f"face {span.reason}")
        for rows in segments(choice.usable):
            start, end = choice.start + rows.start, choice.start + rows.stop
            seconds, least = (end - start) / found.rate, settings.min_seconds
            if seconds < least:
                yield Refused(start, end, f"too short: {seconds:.1f} s, {least:g} needed")


def _undecided(choice: TrackChoice, found: Choices) -> str | None:
    """Why a chosen face is not surely the one, and the only one, who speaks."""
    if _overlaps(choice, [c for c in found.choices if c.dubbed]):
        return "two faces speak at the same time"
    if found.note is not None and _overlaps(choice, found.choices):
        return "two faces, and it is not clear who speaks"
    return None


def _overlaps(choice: TrackChoice, others: Iterable[TrackChoice]) -> bool:
    return any(
        o is not choice and o.usable.any() and o.start < choice.end and choice.start < o.end
        for o in others
    )


def _plain(choice: TrackChoice, settings: PrepareSettings) -> str:
    """The reason of a face that was not chosen, with figures where they help."""
    if choice.reason.startswith("too small"):
        needed = settings.min_width
        return f"face too small: {choice.width:.0f} pixels wide, {needed:g} needed"
    return choice.reason if choice.reason.startswith("another") else f"face {choice.reason}"
