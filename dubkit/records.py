"""The nouns of dubkit: what stages hand to one another.

Frozen dataclasses. Positions in a video are frame indices in presentation order, half-open. Times of
pictures are exact: integer PTS in a rational ``time_base``. Times of sound are float seconds. Boxes
are ``x0 y0 x1 y1``. Faces live in *display coordinates*: square pixels, upright, x right, y down
(see `VideoInfo.display_size`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from fractions import Fraction
from html import escape
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# arrays, by their values; shapes stand where they are used
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]  # (H, W) gray or (H, W, 3) RGB
PERSON_NAME = re.compile(r"[^\W_][\w .'-]*")
NUMBERED = "person_"  # begins the names that nobody gave


def is_numbered(name: str) -> bool:
    """Whether a person has the name that dubkit gave."""
    return name.casefold().startswith(NUMBERED)


SILENCE = "sil"  # the symbol of a phoneme that is no speech: silence, breath, noise or music
LATER = "what begins in the middle of the file as another of its streams"  # one of what a film hides, see `VideoInfo`
GRID_STEP = 0.02  # seconds: a cell of the time grid on which the TC net works

TimedPhoneme = tuple[str, float, float]  # symbol, start, end in seconds


class Shown(ABC):
    """A result that people look at: one short line in a console, a table in a notebook."""

    __slots__ = ()

    @abstractmethod
    def facts_shown(self) -> dict[str, object]:
        """What is worth reading of it, by name."""

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self.facts_shown().items())
        return f"{type(self).__name__}({facts})"

    def _repr_html_(self) -> str:
        cells = (
            f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
            for name, value in self.facts_shown().items()
        )
        return f"<table><caption>{type(self).__name__}</caption>{''.join(cells)}</table>"


@dataclass(frozen=True, slots=True)
class Color:
    """Color tags as the container states them (FFmpeg's integer codes; 2 is "unspecified")."""

    range: int = 0
    matrix: int = 2
    primaries: int = 2
    transfer: int = 2


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of a container."""

    index: int
    kind: str  # video | audio | subtitle | data | attachment | cover
    codec: str  # of data: tmcd (time code), chapters, or FFmpeg's name
    language: str | None = None
    title: str | None = None
    channels: int = 0  # of sound, as the following
    rate: int = 0
    layout: str = ""
    purposes: tuple[str, ...] = ()  # FFmpeg's dispositions: default, original, comment ...


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Facts about a film: its first real video stream and what lies beside it."""

    width: int  # coded picture, as decoded
    height: int
    rate: Fraction | None  # None: variable frame rate
    average_rate: Fraction
    frames: int
    time_base: Fraction
    pixel_format: str
    codec: str
    color: Color
    rotation: int  # degrees clockwise that a player turns the decoded picture: 0 90 180 270
    pixel_aspect: Fraction  # width of a pixel over its height
    duration: float  # seconds, last frame's end minus first frame's start
    video_stream: int  # index in the container
    streams: tuple[StreamInfo, ...]
    container: str
    timed: bool = True  # False: the file states no usable times; frames are counted, not sought
    fields: Literal["", "top", "bottom"] = ""  # interlaced: which field comes first, see `lines`
    marked: Literal["", "top", "bottom"] = ""  # whether the pictures say that they are interlaced
    progressive: bool = False  # whether pictures or container state that they are not
    alpha: bool = False  # a plane beside those of `pixel_format`
    coded_format: str = ""  # FFmpeg's name of the pictures as they are stored
    profile: str = ""
    tag: str = ""  # of four letters, in the container
    bit_rate: int = 0  # of the pictures, 0: not known
    intra: bool = False  # every frame stands for itself
    siting: str = ""  # where chroma of 4:2:0 lies, as FFmpeg names it; empty: not stated
    mastering: str = ""  # HDR10 mastering display as x265 writes it
    light: str = ""  # HDR10 content light level: most, mean
    hidden: tuple[str, ...] = ()  # what else the pictures carry: captions, AFD, HDR10+ ...

    @property
    def lines(self) -> int:
        """Of a picture as coded for one of ours: 2 where a picture here is a field of an interlaced film.

        ``height``, ``frames``, the rates and ``time_base`` are then those of fields, each shown at its own
        time; ``pixel_aspect`` and ``display_size`` are the frame's.
        """
        return 2 if self.fields else 1

    @property
    def display_size(self) -> tuple[int, int]:
        """(width, height) of the upright picture with square pixels; the height is kept."""
        width, height = round(self.width * self.pixel_aspect), self.height * self.lines
        return (height, width) if self.rotation in (90, 270) else (width, height)

    @property
    def has_audio(self) -> bool:
        return any(s.kind == "audio" for s in self.streams)


@dataclass(frozen=True, slots=True, order=True)
class Transition:
    """Frames of a film, half-open, that belong to two pictures or to none: they stay as filmed."""

    start: int
    end: int
    kind: str  # dissolve | wipe | fade | flash | insert (less than a shot between two cuts)


@dataclass(frozen=True, slots=True, order=True)
class Shot:
    """Frames ``start`` (included) to ``end`` (excluded) between two cuts."""

    start: int
    end: int
    transitions: tuple[Transition, ...] = ()  # in it, in order

    @property
    def name(self) -> str:
        """The unit's name everywhere: ``0000120-0000248``."""
        return f"{self.start:07d}-{self.end:07d}"

    @property
    def frames(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Detection:
    """One face found in one picture, in that picture's pixels."""

    box: tuple[float, float, float, float]  # x0 y0 x1 y1
    score: float  # 0..1
    points: Floats  # (5, 2): eyes, nose tip, mouth corners; left before right in the picture


class FaceState(IntEnum):
    """How a face is known in a frame."""

    ABSENT = 0
    BRIDGED = 1  # interpolated between two sightings
    SEEN = 2


@dataclass(frozen=True, slots=True)
class FaceTrack:
    """One face through one shot; rows are the shot's frames ``start .. start+T``, display coordinates."""

    track: int  # number inside the shot, largest face first
    start: int  # frame index of row 0
    boxes: Floats  # (T, 4)
    landmarks: Floats  # (T, L, 2), `faces.landmark_layout`; NaN where absent
    pose: Floats  # (T, 3) yaw pitch roll in degrees
    scores: Floats  # (T,) landmark confidence 0..1
    state: NDArray[np.int8]  # (T,) FaceState
    occlusion: Floats  # (T,) score 0..2 that something is in front of the mouth, `faces.occlusion`
    # how widely it articulates, over what the lips net makes of the same sound; None: not known
    articulation: float | None = None
    # (K,) how its mouth is held in speech, beside what the net makes of the same sound; None: not known
    setting: Floats | None = None

    def __len__(self) -> int:
        return len(self.state)

    def part(self, first: int, end: int) -> FaceTrack:
        """Rows ``first`` (included) to ``end`` (excluded)."""
        rows = slice(first, end)
        return replace(
            self,
            start=self.start + first,
            boxes=self.boxes[rows],
            landmarks=self.landmarks[rows],
            pose=self.pose[rows],
            scores=self.scores[rows],
            state=self.state[rows],
            occlusion=self.occlusion[rows],
        )

    @property
    def median_width(self) -> float:
        """Of the face, in pixels."""
        return float(np.nanmedian(self.boxes[:, 2] - self.boxes[:, 0]))


@dataclass(frozen=True, slots=True)
class Untouched:
    """Frames of a film, half-open, in which a face keeps its own mouth."""

    start: int
    end: int
    # kind of a `Transition` | absent | too small | turned away | tilted | covered | unsure | too short | not speaking
    reason: str


@dataclass(frozen=True, slots=True)
class TrackChoice:
    """Whether a track is dubbed, why, and in which frames."""

    track: int
    start: int  # frames of the film, half-open
    end: int
    dubbed: bool
    reason: str  # one sentence
    width: float  # median width of the face in pixels
    score: (
        float | None
    )  # how surely it speaks where it does, or at its best moment, 0..1; None: not judged
    untouched: tuple[Untouched, ...]
    speaks: tuple[
        tuple[int, int], ...
    ] = ()  # frames of the film in which it speaks, by the original
    says: tuple[tuple[float, float], ...] | None = (
        None  # seconds of the dub that it says; None: all
    )

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(T,) frames of the track in which the mouth can be replaced."""
        mask = np.ones(self.end - self.start, np.bool_)
        for span in self.untouched:
            mask[span.start - self.start : span.end - self.start] = False
        return mask


@dataclass(frozen=True, slots=True)
class Voices:
    """Speech in the film's own sound through one shot."""

    spans: tuple[
        tuple[int, int], ...
    ] = ()  # frames of the film in which somebody speaks, seen or not
    known: bool = False  # whether that was judged: the film has sound, and faces were chosen by it


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """What one speaker says in the dub, by its script: its spoken words, and what the script states of them."""

    text: str
    start: float | None = None  # seconds
    end: float | None = None
    speaker: str | None = None  # as the script writes the name
    on_screen: bool | None = None  # None: the script does not say
    language: str | None = None  # of the line, where it is stated
    number: int = (
        0  # of the line, the subtitle or the event in the script, from 1; 0: not from a file
    )


@dataclass(frozen=True, slots=True)
class Word:
    """A spoken word."""

    text: str
    start: float
    end: float
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Phoneme:
    """A phoneme in IPA with its time; ``sil`` is silence (also breath, noise and music)."""

    symbol: str
    start: float
    end: float
    word: int | None = None  # index into Speech.words


SOMETHING = "ə"  # stands for all phonemes of a stretch of speech in which nothing was recognized


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a dub lies: its second u is second ``start + stretch * u`` after the film's first picture."""

    start: float = 0.0
    stretch: float = 1.0

    def film_time(self, dub: float) -> float:
        """When a moment of the dub is heard."""
        return self.start + self.stretch * dub

    def dub_time(self, film: float) -> float:
        """The moment of the dub that is heard then."""
        return (film - self.start) / self.stretch

    @property
    def moves(self) -> bool:
        """Whether the dub is not simply started with the film."""
        return self != AT_START


AT_START = Placement()


@dataclass(frozen=True, slots=True)
class PhonemeRun:
    """The frames of one phoneme in one shot: the unit of time consistency.

    ``start`` and ``end`` are film frames (half-open, clipped to the shot); ``begin`` and ``finish``
    are the phoneme's own times in seconds, not clipped.
    """

    symbol: str
    start: int
    end: int
    begin: float
    finish: float


@dataclass(frozen=True, slots=True)
class SpokenLine:
    """A line of the script as it was found in the dub."""

    text: str
    number: int  # as `ScriptLine.number`
    start: float | None  # seconds of the dub, of its words that are heard; None: none is
    end: float | None
    heard: float  # share of its words, 0..1
    speaker: str | None = None
    on_screen: bool | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Speech:
    """What is said in a dub, and when. Phonemes tile ``0 .. duration`` without gap or overlap."""

    language: str
    duration: float
    words: tuple[Word, ...]
    phonemes: tuple[Phoneme, ...]
    engine: str
    path: str  # how it was found: script | recognition | phone-loop | sound | silence
    warnings: tuple[str, ...] = ()
    unspoken: tuple[str, ...] = ()  # text of the script that is not heard
    unscripted: tuple[tuple[float, float], ...] = ()  # seconds that hold speech of no script line
    noise: tuple[tuple[float, float], ...] = ()  # seconds of music or noise; empty with a script
    lines: tuple[SpokenLine, ...] = ()  # of the script, in its order

    @property
    def scripted(self) -> bool:
        """Whether the phonemes are those of a script, and so reliable."""
        return self.path == "script"


@dataclass(frozen=True, slots=True)
class MelLevels:
    """Levels of the dub in mel bands (`speech.mel_levels`) in N consecutive cells of the grid."""

    first: int  # number of row 0
    levels: Floats  # (N, BANDS)

    def rows(self, numbers: NDArray[np.int64]) -> Floats:
        """(len(numbers), BANDS) levels of the cells ``numbers``; silence where nothing is known."""
        at = numbers - self.first
        found: Floats = np.zeros((len(numbers), self.levels.shape[1]), np.float32)
        inside = (at >= 0) & (at < len(self.levels))
        found[inside] = self.levels[at[inside]]
        return found

    def cut(self, start: float, end: float) -> MelLevels:
        """The cells from ``start`` to ``end`` seconds."""
        low = int(np.floor(start / GRID_STEP))
        return MelLevels(low, self.rows(np.arange(low, int(np.ceil(end / GRID_STEP)) + 1)))


ROW_STEPS = 25.0  # of a stored encoder row, in a deviation


@dataclass(frozen=True, slots=True)
class EncoderRows:
    """Rows of the speech encoder (`speech.encoder_rows`) for N consecutive cells of the grid."""

    first: int  # number of row 0
    rows: NDArray[np.int8]  # (N, R) in steps of 1 / `ROW_STEPS`

    def at(self, numbers: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """(n, R) rows of the cells ``numbers`` (n,), 0 where unknown, and (n,) 1 where they are known."""
        place = numbers - self.first
        known = (place >= 0) & (place < len(self.rows))
        found: Floats = np.zeros((len(numbers), self.rows.shape[1]), np.float32)
        found[known] = self.rows[place[known]].astype(np.float32) / np.float32(ROW_STEPS)
        return found, known.astype(np.float32)

    def cut(self, start: float, end: float) -> EncoderRows:
        """The known cells from ``start`` to ``end`` seconds."""
        low = max(int(np.floor(start / GRID_STEP)), self.first)
        high = int(np.ceil(end / GRID_STEP)) + 1
        rows = self.rows[low - self.first : max(high - self.first, 0)]
        return EncoderRows(low, np.array(rows))


@dataclass(frozen=True, slots=True)
class Timing:
    """The speech of one shot; T frames. Times are seconds of the dub."""

    times: NDArray[np.float64]  # (T,) the moment of the dub that each frame shows
    phonemes: tuple[
        TimedPhoneme, ...
    ]  # clipped to the shot and its context, in order, without gaps
    runs: tuple[PhonemeRun, ...]  # frames of the shot, phoneme by phoneme
    sound: MelLevels | None = None  # of the shot and its context
    encoder: EncoderRows | None = None  # the same
    scripted: bool = True  # whether the phonemes are those of a script
    noise: tuple[tuple[float, float], ...] = ()  # `Speech.noise` of the shot and its context
    speakers: tuple[tuple[str, float, float], ...] = ()  # who says what is near, by the script


@dataclass(frozen=True, slots=True)
class Stem:
    """The speech of one person of the dub, in a file of its own."""

    name: str  # of the person, as in the cast
    path: Path
    inside: Path | None = (
        None  # the file of several sound tracks that it is taken out of when it is needed
    )
    track: int = 0  # its number there, from 0

    @property
    def given(self) -> Path:
        """The file that the user named."""
        return self.inside or self.path


_SURE_LANGUAGE = 0.5  # probability of a language from which on nobody need doubt it


@dataclass(frozen=True, slots=True)
class DetectedLanguage:
    """The language that a dub sounds like; not ``sure``: a guess, which only words that fit the sound confirm."""

    code: str
    sure: bool
    remark: str  # on how it was detected, for the user

    @classmethod
    def of(cls, code: str, probability: float | None) -> DetectedLanguage:
        """What a recognizer says; ``probability`` is None where it knows ``code`` only."""
        if probability is None:
            return cls(code, False, f"no language was set, and the recognizer knows {code!r} only")
        sure = probability >= _SURE_LANGUAGE
        doubt = "" if sure else f", but with low confidence (probability {probability:.2f})"
        return cls(code, sure, f"no language was set: the dub sounds like {code!r}{doubt}")

    @property
    def least(self) -> float:
        """The mean log probability of a recognized line from which it counts in this language.

        English has -0.5 and more with the small Whisper of English, what that writes about other languages
        mostly -0.9 and less.
        """
        return float("-inf") if self.sure else -0.8


@dataclass(frozen=True, slots=True)
class Job:
    """One film with one dub."""

    video: Path
    audio: Path
    output: Path
    work: Path
    script: Path | None = None
    shots: Path | None = None  # a shot list to take instead of detection
    analysis: Path | None = None  # a library of analysis to take from and to add to
    verdicts: Path | None = None  # what a person said of single shots
    cast: Path | None = None  # a cast file: who is in which shot
    me: Path | None = None  # music and effects, to be mixed under the dub
    stems: tuple[Stem, ...] = ()  # the speech of single people, of which ``audio`` is the mix
    consent: Path | None = None  # a consent file: who of the cast agreed to which languages
    summed: bool = False  # the mix is the sum of the stems, which is written when it is needed
    reuse: Path | None = None  # the work folder of an earlier cut, whose renders are taken over

    @property
    def name(self) -> str:
        return self.output.stem


TAKEN = "taken.json"  # a list of `Taken`, published by the stage ``shots``


@dataclass(frozen=True, slots=True)
class Taken:
    """A shot whose frames are those of a shot of an earlier job, so that its render may be taken over."""

    shot: str  # of this film, by its frames
    earlier: str  # of the other film
    first: int  # the frame of the other film that this shot begins with


@dataclass(frozen=True, slots=True)
class Consent:
    """One person's consent to a dub in the language of a job."""

    name: str
    given: bool
    why: str  # why there is none, or until when it holds
    document: str  # SHA-256 of what was signed, or nothing


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's decision on a shot, which overrides what the gate measured."""

    verdict: Literal["approve", "reject"]
    note: str = ""  # the person's remark


@dataclass(frozen=True, slots=True)
class StageResult:
    """A line of the manifest: one finished or failed unit."""

    stage: str
    unit: str  # shot name, or "job"
    fingerprint: str
    outputs: Mapping[str, str] = field(default_factory=dict)  # file name -> sha256
    sizes: Mapping[str, int] = field(default_factory=dict)  # file name -> bytes
    parts: Mapping[str, str] = field(default_factory=dict)  # what the fingerprint was made of
    seconds: float = 0.0
    engine: str | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    error: str | None = None
    error_code: int = 0
    kept: str | None = None  # why a unit that did not fail keeps the original picture
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file as it was when it was hashed."""

    path: Path
    size: int
    mtime_ns: int
    sha256: str
    ctime_ns: int = 0  # cannot be set back; 0: not known


@dataclass(frozen=True, slots=True)
class Manifest:
    """The record of a job's units; only the parent process writes it."""

    version: int
    job: Job
    results: Mapping[str, StageResult]  # "stage/unit" -> result
    inputs: Mapping[str, FileDigest] = field(default_factory=dict)  # attribute of Job -> its file
    kind: str = "dubkit work folder"
    consent: tuple[Consent, ...] | None = None  # of each person of the cast; None: not checked
