"""Whether a segment of footage can be trained on: measures of one face in a run of frames, and why it is refused.

Every reason names its figure and its limit, so that a refusal can be understood and the limit changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import Config, FaceSettings, PrepareSettings
from dubkit.faces import lips_from_sound, selection, smooth
from dubkit.metrics.picture import focus
from dubkit.records import SILENCE, FaceTrack, Floats, Shot, TimedPhoneme, TrackChoice

Series = NDArray[np.float64]

REACH_SECONDS = 0.48  # largest lag that is looked for
SAME = 0.3  # mean difference of two crops, gray levels, under which a picture was repeated
REPEATED = 0.45  # share of repeated pictures that makes a still picture or a jerky film
SILENT_LEVEL = 0.25  # of `energy`, -60 dB: nothing louder is no sound
STEADY = 0.02  # deviation of `energy`, 1.6 dB: a tone, a hum; speech has .1 and more
_EDGE = 10  # values at each end that the clip's ends may have changed
ENERGY_STEP, ENERGY_FLOOR = 0.02, 80.0  # seconds a value, decibel under full scale that are 0
JUDGED_SECONDS = 6.0  # shorter segments correlate with any sound by chance


@dataclass(frozen=True, slots=True)
class Sync:
    """How well lips and sound agree."""

    agreement: float  # correlation at the best lag
    offset: float  # seconds that the picture is behind
    sure: bool  # the segment is long, and the agreement is above chance


def energy(samples: Floats, rate: int = 16000) -> Floats:
    """(N,) level of the sound around every 20 ms: 0 at -80 dB, 1 at full scale."""
    step, reach = round(ENERGY_STEP * rate), round(ENERGY_STEP * rate)
    padded = np.pad(samples.astype(np.float64) ** 2, reach)
    total = np.concatenate([[0.0], np.cumsum(padded)])
    centers = np.arange(0, len(samples) + 1, step) + reach
    power = (total[centers + reach] - total[centers - reach]) / (2 * reach)
    level = 10 * np.log10(np.maximum(power, 1e-12))
    return np.asarray(np.clip(1 + level / ENERGY_FLOOR, 0, 1), np.float32)


def synchrony(motion: Series, samples: Floats, times: Series, rate: float) -> Sync | None:
    """Compare a mouth's motion (T, 3) with the sound; ``times`` (T,) seconds into ``samples``.

    None where the sound has one level throughout or the segment is too short.
    """
    count = len(motion)
    if count < max(8, 0.6 * rate) or not np.isfinite(motion).all():
        return None
    features = lips_from_sound.sound_features(samples, times + 0.5 / rate)
    if np.ptp(features) < 0.5:
        return None
    predicted, seen = (
        lips_from_sound.without_slow(features, rate) @ lips_from_sound.lips_from_sound(),
        lips_from_sound.without_slow(motion, rate),
    )
    reach = min(round(REACH_SECONDS * rate), count // 3)
    lags = np.arange(-reach, reach + 1)
    curve = np.array([_agreement(seen, predicted, int(lag)) for lag in lags])
    top = int(curve.argmax())
    offset = float(lags[top]) + _peak(curve, top)
    best, seconds = float(curve[top]), count / rate
    sure = seconds >= JUDGED_SECONDS and best >= lips_from_sound.LIMIT / float(np.sqrt(seconds))
    return Sync(best, offset / rate, sure)


def _agreement(seen: Series, predicted: Series, lag: int) -> float:
    """Weighted correlation of ``seen[t + lag]`` with ``predicted[t]``."""
    count = len(seen)
    a = seen[max(0, lag) : count + min(0, lag)]
    b = predicted[max(0, -lag) : count - max(0, lag)]
    a, b = a - a.mean(0), b - b.mean(0)
    power = np.sqrt((a * a).sum(0) * (b * b).sum(0))
    alike = np.where(power > 1e-9, (a * b).sum(0) / np.maximum(power, 1e-9), 0.0)
    return float(alike @ np.array(lips_from_sound.WEIGHTS) / sum(lips_from_sound.WEIGHTS))


def _peak(curve: Series, top: int) -> float:
    """Where between the steps a curve is highest, by a parabola."""
    if not 0 < top < len(curve) - 1:
        return 0.0
    before, here, after = curve[top - 1 : top + 2]
    bend = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


@dataclass(slots=True)
class CropQuality:
    """Focus and change of the crops of a run; added one by one, only the last is kept."""

    focus: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    _last: NDArray[np.int16] | None = None

    def add(self, crop: NDArray[np.uint8], native: float) -> None:
        """Measure the next crop; ``native`` is pixels of the film per pixel of the crop."""
        self.focus.append(focus(crop, native))
        small = crop[::3, ::3].astype(np.int16)
        if self._last is not None:
            self.changes.append(float(np.abs(small - self._last).mean()))
        self._last = small

    @property
    def repeated(self) -> float:
        """Share of pictures that equal the one before."""
        return float((np.array(self.changes) < SAME).mean()) if self.changes else 0.0


def crop_fault(crops: CropQuality, settings: PrepareSettings) -> str | None:
    """What is wrong with the pictures, if anything."""
    found = float(np.median(crops.focus))
    if found < settings.min_focus:
        return f"blurred: {found:.2f} of the detail of a sharp face, {settings.min_focus:g} needed"
    if crops.repeated >= REPEATED:
        return f"{crops.repeated:.0%} of its pictures repeat the one before"
    return None


def face_fault(scores: Floats, settings: PrepareSettings) -> str | None:
    """What is wrong with the landmarks, if anything."""
    sure = float(np.median(scores))
    if sure < settings.min_confidence:
        return f"the face is uncertain: confidence {sure:.2f}, {settings.min_confidence:g} needed"
    return None


def sound_fault(
    level: Floats, motion: Series, rate: float, sync: Sync | None, settings: PrepareSettings
) -> str | None:
    """What is wrong with the sound, or with lips and sound together, if anything."""
    if float(level.max(initial=0.0)) < SILENT_LEVEL:
        return "its sound is silent"
    inner = level[_EDGE:-_EDGE] if len(level) > 4 * _EDGE else level
    if sync is None or float(inner.std()) < STEADY:
        return "its sound is not speech: one level throughout"
    moved = float(motion[:, 0].std())
    if moved < lips_from_sound.MIN_MOTION:
        return (
            f"a still picture or a still mouth: it moves by {moved:.3f} of the eye distance, "
            f"{lips_from_sound.MIN_MOTION} needed"
        )
    long = len(motion) / rate >= JUDGED_SECONDS
    if long and sync.agreement < settings.min_agreement:
        return (
            "the lips do not move with the sound: "
            f"correlation {sync.agreement:.2f}, {settings.min_agreement:g} needed"
        )
    if sync.sure and abs(sync.offset) * 1000 > settings.max_offset_ms:
        late = "behind" if sync.offset > 0 else "ahead of"
        return (
            f"the picture is {abs(sync.offset) * 1000:.0f} ms {late} the sound, "
            f"{settings.max_offset_ms:g} allowed"
        )
    return None


def speech_fault(
    phonemes: list[TimedPhoneme], duration: float, settings: PrepareSettings
) -> str | None:
    """Whether too little is spoken."""
    spoken = sum(end - start for symbol, start, end in phonemes if symbol != SILENCE)
    if spoken < settings.min_voiced * duration:
        return f"speech in {spoken / duration:.0%} of it, {settings.min_voiced:.0%} needed"
    return None


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
    """How faces are tracked and selected: as in `dubkit run`, with the limits of preparing."""
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


SHARE_OF_BEST = 0.6  # correlation, against the best face's, from which on another face speaks too


def talkers(
    tracks: Sequence[FaceTrack], start: int, features: Series, settings: FaceSettings, rate: float
) -> tuple[dict[int, selection.Speaking], str | None]:
    """The faces that go with the sound in the whole of their tracks, and a note where that is not clear.

    ``features`` are `lips_from_sound.sound_features` of the frames from ``start`` on. A face that has no rival is
    taken: whether it goes with its sound is measured later, run by run.
    """
    spans = [selection.untouched(track, settings, rate) for track in tracks]
    usable = [t for t, s in zip(tracks, spans, strict=True) if selection.can_be_dubbed(t, s)]
    chosen: list[FaceTrack] = []
    note = None
    for group in selection.concurrent(usable):
        scores = [
            lips_from_sound.speaker_score(
                lips_from_sound.mouth_motion(t.landmarks),
                features[t.start - start :][: len(t)],
                rate,
            )
            for t in group
        ]
        pairs = [(t, s) for t, s in zip(group, scores, strict=True) if s is not None]
        best = max((s.correlation for _, s in pairs if s.speaks), default=None)
        moving = [t for t, s in pairs if s.motion >= lips_from_sound.MIN_MOTION]
        if best is not None:
            enough = SHARE_OF_BEST * best
            chosen += [t for t, s in pairs if s.speaks and s.correlation >= enough]
        elif len(moving) == 1 and len(pairs) > 1:
            chosen += moving
        else:
            chosen.append(max(group, key=lambda t: t.median_width * len(t)))
            note = "it is not clear who speaks" if len(group) > 1 else note
    return {t.track: selection.Speaking(((t.start, t.start + len(t)),), 1.0) for t in chosen}, note


def usable_runs(found: Choices, settings: PrepareSettings) -> Iterator[Run]:
    """Unbroken runs, long enough, of faces that surely are the ones who speak."""
    for track, choice in zip(found.tracks, found.choices, strict=True):
        if choice.dubbed and _undecided(choice, found) is None:
            for rows in smooth.segments(choice.usable):
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
        for rows in smooth.segments(choice.usable):
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
