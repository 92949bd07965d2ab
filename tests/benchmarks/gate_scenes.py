"""A dubbed shot in memory, and the gate's measures of it: as it is, against another moment of the sound, spoilt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dubkit.config.schema import Config
from dubkit.engines.base import Locator
from dubkit.faces import align, landmark_layout
from dubkit.faces.selection import load_choice, load_tracks
from dubkit.lips.generator import wanted
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.planes import rgb_crop
from dubkit.media.probe import probe
from dubkit.metrics import lip_sync
from dubkit.metrics.shot_meter import FaceMeter, Seen, looks
from dubkit.records import SILENCE, FaceState, FaceTrack, Timing
from dubkit.speech.timing import cut_timing, load_rows, load_sound, load_speech, load_timing
from dubkit.stages.probe import load_film
from tests.benchmarks.gate_clips import ShotFiles
from tests.benchmarks.spoil_shots import Planes, Rendered

APART = 0.2  # seconds by which lips are made late or early
Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the one dubbed face of a shot says."""

    files: ShotFiles
    track: FaceTrack

    def said(self, late: float = 0.0) -> lip_sync.Speech:
        """As it was dubbed; ``late``: where the sound comes so many seconds before the lips."""
        timing = self._moved(late) if late else load_timing(self.files.folder("timing"))
        times = timing.times[self.track.start - self.files.shot.start :][: len(self.track)]
        asked = replace(timing, times=lip_sync.moments(times))
        spoken = wanted(asked, Config().generate)
        return lip_sync.Speech(times, spoken.phonemes, spoken.coefficients)

    def _moved(self, seconds: float) -> Timing:
        """The timing of the same shot with the sound so much earlier, cut as the stage ``timing`` cuts it."""
        folder = self.files.folder("speech")
        times = load_timing(self.files.folder("timing")).times + seconds
        context = Config().timing.context_seconds
        speech = load_speech(folder)
        return cut_timing(
            speech.phonemes,
            self.files.shot,
            times,
            context,
            load_sound(folder),
            load_rows(folder),
            scripted=speech.scripted,
            noise=speech.noise,
        )

    def told(self, seen: Mapping[str, Seen]) -> Iterator[tuple[str, Values]]:
        """Measures of what was seen; of real video and renders also with lips late and early, and held to silence."""
        said = self.said()
        moved = {word: self.said(late) for word, late in (("late", APART), ("early", -APART))}
        silent = [(SILENCE, float(said.times[0]) - 1, float(said.times[-1]) + 1)]
        quiet = lip_sync.Speech(said.times, silent, 0 * said.wanted)
        for what, sight in seen.items():
            yield what, sight.values(said)
            if what in ("real", "rendered"):
                for word, heard in moved.items():
                    yield f"{what}, 200 ms {word}", sight.values(heard)
                if said.opening().std() >= lip_sync.SPEAKS:  # else it does not talk in silence
                    yield f"{what}, talks in silence", sight.values(quiet)


@dataclass(frozen=True, slots=True)
class Scene:
    """A shot with its one dubbed face, all pictures in memory."""

    files: ShotFiles
    source: list[Frame]
    made: list[Frame]
    track: FaceTrack
    rows: np.ndarray  # (T,) of the track
    said: lip_sync.Speech

    @property
    def rate(self) -> float:
        return float(self.source[0].info.average_rate)

    def rendered(self) -> Rendered:
        pictures = [frame.planes for frame in self.made]
        return Rendered(self.source[0].info, self.track, self.files.shot.start, pictures)

    def with_pictures(self, pictures: Sequence[Planes]) -> list[Frame]:
        return [
            replace(frame, planes=planes) for frame, planes in zip(self.made, pictures, strict=True)
        ]

    def mouths(self, locator: Locator) -> np.ndarray:
        """(T, L, 2) canonical landmarks of the render, by row; NaN where nothing is painted wholly."""
        found = np.full((len(self.track), landmark_layout.COUNT, 2), np.nan, np.float32)
        size = locator.crop_size
        to_crop = align.crop_from_canonical(size)
        for source, frame in zip(self.source, self.made, strict=True):
            row = source.index - self.track.start
            if 0 <= row < len(self.track) and self.rows[row]:
                way = align.canonical_from_face(self.track.landmarks[row])
                crop = rgb_crop(frame, align.compose(to_crop, way), size)
                found[row] = align.apply(align.invert(to_crop), locator.locate(crop[None])[0][0])
        return found

    def seen(self, locator: Locator, frames: Sequence[Frame]) -> Seen:
        """What the gate sees in ``frames`` beside the source."""
        chosen = looks(self.rows, self.said.times, self.said.phonemes, self.rate)
        meter = FaceMeter(self.track, chosen, locator)
        for source, made in zip(self.source, frames, strict=True):
            if meter.wants(source.index):
                meter.look(source, made)
        return meter.seen()


def dubbed_tracks(files: ShotFiles) -> list[FaceTrack]:
    """The faces of a shot that are dubbed."""
    folder = files.folder("faces")
    chosen = {choice.track for choice in load_choice(folder) if choice.dubbed}
    return [track for track in load_tracks(folder) if track.track in chosen]


def load_scene(files: ShotFiles) -> Scene | None:
    """A shot's pictures and face; None where not one face was dubbed for long enough."""
    info, pts = load_film(files.folder("probe"))
    choices = {choice.track: choice for choice in load_choice(files.folder("faces"))}
    tracks = dubbed_tracks(files)
    if len(tracks) != 1 or files.shot.frames < lip_sync.LEAST:
        return None
    rows = choices[tracks[0].track].usable & (tracks[0].state == FaceState.SEEN)
    if rows.sum() < lip_sync.LEAST:
        return None
    source = list(FrameReader(files.video, info, pts).read(files.shot.start, files.shot.end))
    made = read_segment(files.folder("generate") / "segment.nut", source)
    return Scene(files, source, made, tracks[0], rows, Spoken(files, tracks[0]).said())


def read_segment(path: Path, source: Sequence[Frame]) -> list[Frame]:
    """The pictures of a segment, with the film's own facts."""
    there, times = probe(path)
    info = source[0].info
    like = replace(info, pixel_format=there.pixel_format, frames=there.frames, video_stream=0)
    return list(FrameReader(path, like, times).read(0, there.frames))
