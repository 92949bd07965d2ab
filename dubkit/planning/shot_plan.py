"""One shot of a film before it is dubbed: who is seen, what is said, what may go wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dubkit import records
from dubkit.config.schema import Config, FaceSettings
from dubkit.faces import align, selection
from dubkit.faces.people import NEVER, Person, as_cast
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.planes import rgb_crop
from dubkit.metrics import lips, picture
from dubkit.speech.timing import load_timing
from dubkit.stages.generate import shares
from dubkit.stages.probe import load_film

NEAR = 0.75  # of a limit of pose: from here on it is told
SMALL = 1.5  # of the least width that is dubbed
MANY = 0.25  # share of a face's frames from which a doubt is a high risk
SOME = 0.04  # share of a face's frames from which it is told
UNSURE = 0.6  # landmark confidence under which a face may be covered
BLURRED, SMEARED = 0.4, 0.15  # `metrics.picture.focus`
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

    kind: str  # profile | tilted | tiny | occluded | blurred | fast cut | transition | speaker | not dubbed
    level: Level
    text: str  # with its figure


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a shot's picture."""

    tracks: Sequence[records.FaceTrack]
    choices: Sequence[records.TrackChoice]
    seconds: float
    spoken: bool  # whether anybody speaks in it
    focus: float | None  # of the main face; None where there is none
    transitions: Sequence[records.Transition] = ()  # their frames stay as filmed


def main_face(seen: Seen) -> tuple[records.FaceTrack, records.TrackChoice] | None:
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
    if any(choice.reason == selection.SILENT for choice in seen.choices) and not any(
        choice.dubbed for choice in seen.choices
    ):
        level = Level.MEDIUM if seen.spoken else Level.LOW
        return level, (Reason("speaker", level, selection.NOBODY),)
    if not any(choice.dubbed for choice in seen.choices):
        level = Level.HIGH if seen.spoken else Level.LOW
        return level, (Reason("not dubbed", level, f"no face can be dubbed: {main[1].reason}"),)
    found = [*_of_face(*main, settings), *_of_shot(seen)]
    found.sort(key=lambda reason: -reason.level)
    return max((r.level for r in found), default=Level.LOW), tuple(found)


def _of_face(
    track: records.FaceTrack, choice: records.TrackChoice, settings: FaceSettings
) -> Iterator[Reason]:
    lost: Counter[str] = Counter()
    for span in choice.untouched:
        lost[span.reason] += span.end - span.start
    left_out = {reason: count / len(track) for reason, count in lost.items()}
    known = track.state != records.FaceState.ABSENT
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


def _tiny(choice: records.TrackChoice, settings: FaceSettings, lost: float) -> Iterator[Reason]:
    if lost >= MANY:
        yield Reason("tiny", Level.HIGH, f"under {settings.min_size:.0f} px in {lost:.0%}")
    elif lost >= SOME or choice.width < SMALL * settings.min_size:
        yield Reason("tiny", Level.MEDIUM, f"tiny: {choice.width:.0f} px wide")


def _occluded(
    track: records.FaceTrack, known: NDArray[np.bool_], settings: FaceSettings
) -> Iterator[Reason]:
    if not known.any():
        return
    doubtful = (track.scores < UNSURE) | (track.state == records.FaceState.BRIDGED)
    doubtful |= track.occlusion > settings.max_covered
    share = float(doubtful[known].mean())
    if share >= SOME:
        level = Level.HIGH if share >= MANY else Level.MEDIUM
        yield Reason("occluded", level, f"covered or uncertain in {share:.0%} of its frames")


def _of_shot(seen: Seen) -> Iterator[Reason]:
    if seen.focus is not None and seen.focus < BLURRED:
        level = Level.HIGH if seen.focus < SMEARED else Level.MEDIUM
        yield Reason("blurred", level, f"blurred: focus {seen.focus:.2f} of 1")
    for kind in dict.fromkeys(span.kind for span in seen.transitions):
        lengths = (str(span.end - span.start) for span in seen.transitions if span.kind == kind)
        told = f"{kind}: {' + '.join(lengths)} frames stay as filmed"
        yield Reason("transition", Level.LOW, told)
    if seen.seconds < QUICK_SECONDS:
        yield Reason("fast cut", Level.MEDIUM, f"fast cut: {seen.seconds:.1f} s")


def _most(values: NDArray[np.floating]) -> float:
    """What a pose goes up to, without its stray extremes."""
    finite = np.abs(values[np.isfinite(values)])
    return float(np.percentile(finite, 95)) if len(finite) else 0.0


_CROP = 128  # pixels of the canonical crop whose focus is judged
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is said in a shot."""

    seconds: float
    phonemes: int | None  # None where words were not recognized
    labials: int | None  # P, B and M
    bar: tuple[bool, ...]  # of even parts of the shot: whether somebody speaks


@dataclass(frozen=True, slots=True)
class Face:
    """The face that is dubbed, or the largest where none is."""

    width: float  # pixels, in the median
    share: float  # of the picture's width
    yaw: float  # degrees, in the median
    pitch: float
    confidence: float  # of the landmarks, in the median
    to_dub: int  # frames


@dataclass(frozen=True, slots=True)
class ShotPlan:
    """A shot before it is dubbed."""

    shot: str
    start: float  # seconds
    end: float
    frames: int
    faces: int
    dubbed: int  # faces
    who: str  # which face speaks and why, in words
    face: Face | None
    speech: Spoken
    focus: float | None
    risk: Level
    reasons: tuple[Reason, ...]
    to_paint: int  # frames that get a new mouth
    transitions: tuple[records.Transition, ...] = ()  # their frames stay as filmed
    thumbnail: bytes | None = None  # JPEG
    box: Box | None = None  # of the face in the thumbnail, parts of its width and height


@dataclass(frozen=True, slots=True)
class LookTask:
    """A shot to be looked at. Pickles."""

    shot: records.Shot
    video: Path
    config: Config
    probe: Path
    faces: Path | None  # None where that is not done yet
    timing: Path | None
    thumbnail: int = 0  # pixels of its long side; 0: none is wanted
    people: Mapping[int, Person] = field(default_factory=dict)  # by track


def choices_of(task: LookTask) -> list[records.TrackChoice]:
    """The choice of each face of a shot, as far as it is known by now."""
    choices = selection.load_choice(task.faces) if task.faces else []
    people = task.people
    if task.timing is not None and task.faces is not None:
        names = {track: person.name for track, person in people.items()}
        parts = shares(task.shot, task.faces, task.timing, task.config, names or None)
        choices = [part.choice for part in parts.values()]
    return [as_cast(c, dub=c.track not in people or people[c.track].dub) for c in choices]


def to_paint(shot: records.Shot, choices: Sequence[records.TrackChoice]) -> int:
    """How many frames of a shot get a new mouth."""
    painted = np.zeros(shot.frames, np.bool_)
    for choice in choices:
        if choice.dubbed:
            painted[choice.start - shot.start : choice.end - shot.start] |= choice.usable
    return int(painted.sum())


def look(task: LookTask) -> ShotPlan:
    """Read the analysis of one shot, and one of its frames."""
    cv2.setNumThreads(1)
    info, pts = load_film(task.probe)
    shot, people = task.shot, task.people
    tracks = selection.load_tracks(task.faces) if task.faces else []
    timing = load_timing(task.timing) if task.timing else None
    choices = choices_of(task)
    runs = timing.runs if timing is not None else ()
    start, end = _seconds(shot, info, pts)
    spoken = _spoken(runs, shot, (end - start) / shot.frames)
    bare = Seen(tracks, choices, end - start, spoken.seconds > 0, None)
    main = main_face(bare)
    focus, thumbnail, box = _picture(task, info, pts, main)
    seen = Seen(tracks, choices, end - start, spoken.seconds > 0, focus, shot.transitions)
    risk, reasons = judge(seen, task.config.faces)
    return ShotPlan(
        shot=shot.name,
        start=round(start, 3),
        end=round(end, 3),
        frames=shot.frames,
        faces=len(tracks),
        dubbed=sum(choice.dubbed for choice in choices),
        who=_who(choices, people),
        face=_face(main, info) if main else None,
        speech=spoken,
        focus=None if focus is None else round(focus, 2),
        risk=risk,
        reasons=reasons,
        to_paint=to_paint(shot, choices),
        transitions=shot.transitions,
        thumbnail=thumbnail,
        box=box,
    )


def _seconds(
    shot: records.Shot, info: records.VideoInfo, pts: NDArray[np.int64]
) -> tuple[float, float]:
    times = (pts - pts[0]) * float(info.time_base)
    last = float(times[-1]) + 1 / float(info.average_rate)
    return float(times[shot.start]), float(times[shot.end]) if shot.end < len(times) else last


_PARTS = 120  # of the bar of speech


def _spoken(runs: Sequence[records.PhonemeRun], shot: records.Shot, step: float) -> Spoken:
    speaking = np.zeros(shot.frames, np.bool_)
    symbols = []
    for run in runs:
        if run.symbol != records.SILENCE:
            speaking[run.start - shot.start : run.end - shot.start] = True
            symbols.append(run.symbol.rstrip(lips.MARKS))
    phonemes: int | None = len(symbols)
    labials: int | None = sum(symbol in lips.LABIALS for symbol in symbols)
    if symbols and set(symbols) == {records.SOMETHING}:
        phonemes = labials = None
    parts = min(_PARTS, shot.frames)
    at = np.linspace(0, shot.frames - 1, parts).round().astype(int)
    bar = tuple(bool(v) for v in speaking[at])
    return Spoken(round(float(speaking.sum()) * step, 3), phonemes, labials, bar)


def _who(choices: Sequence[records.TrackChoice], people: Mapping[int, Person]) -> str:
    names = {track: person.name for track, person in people.items()}
    told = [f"{names.get(c.track, f'face {c.track}')}: {c.reason}" for c in choices if c.dubbed]
    told += [f"{names[c.track]} is {NEVER}" for c in choices if c.reason == NEVER]
    if not told and any(choice.reason == selection.SILENT for choice in choices):
        return selection.NOBODY
    return "; ".join(told) or ("nobody" if not choices else "no face can be dubbed")


def _face(main: tuple[records.FaceTrack, records.TrackChoice], info: records.VideoInfo) -> Face:
    track, choice = main
    yaw, pitch = (float(np.nanmedian(track.pose[:, axis])) for axis in (0, 1))
    return Face(
        width=choice.width,
        share=round(choice.width / info.display_size[0], 3),
        yaw=round(yaw, 1),
        pitch=round(pitch, 1),
        confidence=round(float(np.median(track.scores)), 2),
        to_dub=int(choice.usable.sum()) if choice.dubbed else 0,
    )


def _picture(
    task: LookTask,
    info: records.VideoInfo,
    pts: NDArray[np.int64],
    main: tuple[records.FaceTrack, records.TrackChoice] | None,
) -> tuple[float | None, bytes | None, Box | None]:
    """Focus of the main face, a thumbnail and the face's box in it, all of one frame."""
    index, row = _frame_to_show(task.shot, main)
    if row is None and not task.thumbnail:
        return None, None, None
    reader = FrameReader(task.video, info, pts, threads=1)
    frame = next(iter(reader.read(index, index + 1)))
    focus = None if main is None or row is None else _focus(frame, main[0].landmarks[row])
    if not task.thumbnail:
        return focus, None, None
    box = None
    if main is not None and row is not None:
        width, height = info.display_size
        x0, y0, x1, y1 = (float(v) for v in main[0].boxes[row])
        box = (x0 / width, y0 / height, x1 / width, y1 / height)
    return focus, jpeg(frame.picture(task.thumbnail)), box


def _frame_to_show(
    shot: records.Shot, main: tuple[records.FaceTrack, records.TrackChoice] | None
) -> tuple[int, int | None]:
    """A frame from the middle of what is dubbed (of the shot, where there is no face) and its row in the track."""
    if main is None:
        return (shot.start + shot.end) // 2, None
    track, choice = main
    rows = np.flatnonzero(choice.usable)
    rows = rows if len(rows) else np.flatnonzero(np.isfinite(track.boxes[:, 0]))
    if not len(rows):
        return (shot.start + shot.end) // 2, None
    row = int(rows[len(rows) // 2])
    return track.start + row, row


def _focus(frame: Frame, landmarks: records.Floats) -> float:
    matrix = align.compose(align.crop_from_canonical(_CROP), align.canonical_from_face(landmarks))
    return picture.focus(rgb_crop(frame, matrix, _CROP), 1 / align.scale_of(matrix))


def jpeg(picture: NDArray[np.uint8], quality: int = 72) -> bytes:
    """(H, W, 3) RGB -> a JPEG file."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(coded)
