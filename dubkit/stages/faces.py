"""Stage ``faces``: the faces of one shot, followed from frame to frame, and which of them are dubbed.

Writes ``tracks.npz``, ``chosen.json``, ``voices.json`` and ``damaged.json`` (`dubkit.faces.selection`). A shot without
a face is a normal result with no tracks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import cv2
import numpy as np

from dubkit.config.schema import Config, FaceSettings
from dubkit.engines import base, registry
from dubkit.engines.versions import identity as engine_identity
from dubkit.errors import WorkError
from dubkit.faces import align, selection, smooth, tracker, tracklet
from dubkit.faces.selection import choose
from dubkit.media import audio, frames, planes
from dubkit.progress import place_in_film
from dubkit.records import (
    Detection,
    Doubles,
    FaceState,
    FaceTrack,
    Floats,
    Mask,
    Picture,
    Shot,
    Taken,
    TrackChoice,
    Voices,
)
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.stages.probe import load_film
from dubkit.work.folder import counted
from dubkit.work.store import digest_file, digest_value


@dataclass(frozen=True, slots=True)
class FrameView:
    """A frame as the tracker uses it; implements `tracklet.View`."""

    frame: frames.Frame
    detector: base.FaceDetector
    long_side: int

    def detect(self) -> Sequence[Detection]:
        """Faces in display coordinates."""
        picture = self.frame.picture(self.long_side)
        width, height = self.frame.info.display_size
        scale = np.array([width / picture.shape[1], height / picture.shape[0]])
        return [_enlarged(d, scale) for d in self.detector.detect(picture)]

    def crop(self, crop_from_display: align.Matrix, size: int) -> Picture:
        return planes.rgb_crop(self.frame, crop_from_display, size)


def _enlarged(found: Detection, scale: Doubles) -> Detection:
    """From the small picture's pixels to the display's; pixel centers are at integers."""
    points = ((found.points + 0.5) * scale - 0.5).astype(np.float32)
    corners = (np.array(found.box).reshape(2, 2) + 0.5) * scale - 0.5
    x0, y0, x1, y1 = (float(v) for v in corners.ravel())
    return replace(found, box=(x0, y0, x1, y1), points=points)


def run(context: StageContext) -> StageReport:
    """Track the faces of one shot and choose those to dub."""
    shot, settings = context.shot, context.config.faces
    if shot is None:
        raise WorkError("the faces stage works on one shot at a time")
    cv2.setNumThreads(1)  # workers share the cores; results must not depend on how many there are
    detector = registry.load_engine("detector", settings.detector, settings, context.device)
    landmarker = registry.load_engine("landmarker", settings.landmarker, settings, context.device)
    info, pts = load_film(context.folder("probe"))
    reader = frames.FrameReader(context.job.video, info, pts, threads=context.cores)

    left_out = {i for span in shot.transitions for i in range(span.start, span.end)}

    def views(start: int, end: int) -> Iterable[tuple[int, tracklet.View]]:
        for frame in counted(context.out, STAGE.name, reader.read(start, end)):
            if frame.index not in left_out:
                yield frame.index, FrameView(frame, detector, settings.detect_size)

    rate = float(info.average_rate)
    if context.taken is not None:
        tracks = earlier_tracks(context, shot, context.taken)
    else:
        tracks = tracker.track_shot(
            shot, views, landmarker, tracklet.TrackerSettings.of(settings, rate)
        )
    tracks = [selection.beside_transitions(track, shot) for track in tracks]
    times = (pts[shot.start : shot.end] * float(info.time_base)).astype(np.float64)
    spoken = _who_speaks(context, shot, tracks, times, rate)
    choices, note = choose(tracks, settings, rate, spoken.faces, spoken.by, shot.transitions)
    tracks = [
        replace(t, articulation=spoken.ranges.get(t.track), setting=spoken.held.get(t.track))
        for t in tracks
    ]
    selection.save_tracks(context.out, tracks)
    selection.save_choice(context.out, choices)
    selection.save_voices(context.out, spoken.voices)
    if context.taken is None:  # all of the shot was read
        selection.save_damaged(context.out, reader.damaged)
    return StageReport(
        engine=f"{detector.name} {detector.version}, {landmarker.name} {landmarker.version}",
        notes=(
            *_engine_notes(settings, detector),
            *_notes(shot, choices, note, times - float(pts[0] * info.time_base)),
        ),
        facts=_facts(shot, tracks, choices) | {"nobody": int(note is not None)},
    )


def earlier_tracks(context: StageContext, shot: Shot, taken: Taken) -> list[FaceTrack]:
    """The tracks that an earlier cut's job found in these frames."""
    folder = context.earlier.picture(STAGE.name, taken.earlier)
    found: list[FaceTrack] = []
    for track in selection.load_tracks(folder):
        first = max(0, taken.first - track.start)
        last = min(len(track), taken.first + shot.frames - track.start)
        if first >= last or (track.state[first:last] == FaceState.ABSENT).all():
            continue
        part = track.part(first, last)
        moved = part.start + shot.start - taken.first
        found.append(replace(part, track=len(found), start=moved))
    return found


def _engine_notes(settings: FaceSettings, detector: object) -> Iterator[str]:
    """Which detector ``auto`` chose and why, and the notes of the detector itself."""
    line = registry.chosen_line("detector", settings.detector, settings)
    if line:
        yield line
    yield from getattr(detector, "notes", ())


_PLACES = 3  # where a face is covered, that are named
_MARGIN = 1.5  # seconds of the film's own sound around a shot


@dataclass(frozen=True, slots=True)
class _Spoken:
    """Who speaks in a shot of the original, and by what that was judged."""

    faces: dict[int, selection.Speaking] = field(default_factory=dict)
    voices: Voices = field(default_factory=Voices)
    ranges: dict[int, float | None] = field(default_factory=dict)  # `FaceTrack.articulation`
    held: dict[int, Floats | None] = field(default_factory=dict)  # `FaceTrack.setting`
    by: str = "the film's own sound"


def _who_speaks(
    context: StageContext, shot: Shot, tracks: Sequence[FaceTrack], times: Doubles, rate: float
) -> _Spoken:
    """When each face speaks, where that decides who is dubbed, and how widely; nothing where none could be dubbed."""
    settings = context.config.faces
    masks = {t.track: _usable(t, settings, rate) for t in tracks}
    if not any(mask.any() for mask in masks.values()):
        return _Spoken()
    speaker: Any = registry.load_module("dubkit.lips.active_speaker", what="finding who speaks")
    begin = float(times[0]) - _MARGIN
    clock = times - begin + 0.5 / rate  # the middle of the time that a frame is shown
    samples = audio.load_span(context.job.video, begin, float(times[-1]) + _MARGIN)
    heard = speaker.hear_samples(samples, float(clock[0]), float(clock[-1]))
    found = {}
    for track in tracks:
        if masks[track.track].any():
            there = clock[track.start - shot.start :][: len(track)]
            found[track.track] = speaker.match(heard, track, masks[track.track], there)
    by_sound, speaking = speaker.speaks(heard, found)

    def frames_of(beats: Mask) -> tuple[tuple[int, int], ...]:
        rows = np.interp(clock, heard.times, beats) > 0.5
        spans = smooth.segments(rows)
        return tuple((shot.start + span.start, shot.start + span.stop) for span in spans)

    faces = {n: selection.Speaking(frames_of(b), score) for n, (b, score) in speaking.items()}
    ranges, held = (
        {n: known(heard, found[n], beats) for n, (beats, _) in speaking.items() if by_sound}
        for known in (speaker.articulation_range, speaker.articulatory_setting)
    )
    if settings.which != "speaking":
        return _Spoken(ranges=ranges, held=held)
    voices = Voices(frames_of(heard.speech > 0), True) if by_sound else Voices()
    by = "the film's own sound" if by_sound else "the picture alone: the sound holds no speech here"
    return _Spoken(faces, voices, ranges, held, by)


def _usable(track: FaceTrack, settings: FaceSettings, rate: float) -> Mask:
    rows = np.ones(len(track), np.bool_)
    for span in selection.untouched(track, settings, rate):
        rows[span.start - track.start : span.end - track.start] = False
    return rows


def _notes(
    shot: Shot, choices: Sequence[TrackChoice], note: str | None, seconds: Doubles
) -> Iterator[str]:
    if note:
        yield f"shot {shot.name}: {note}, so every mouth stays as filmed (--faces largest dubs the largest)"
    elif choices and not any(c.dubbed for c in choices):
        reasons = "; ".join(f"face {c.track}: {c.reason}" for c in choices)
        yield f"shot {shot.name}: no face can be dubbed ({reasons})"
    for choice in choices:
        if choice.dubbed and choice.untouched:
            lost: Counter[str] = Counter()
            for span in choice.untouched:
                lost[span.reason] += span.end - span.start
            what = ", ".join(f"{count} frames ({reason})" for reason, count in sorted(lost.items()))
            covered = [span for span in choice.untouched if span.reason == "covered"]
            ends = [seconds[[s.start - shot.start, s.end - 1 - shot.start]] for s in covered]
            places = ["-".join(place_in_film(float(end)) for end in pair) for pair in ends]
            more = f" and {len(places) - _PLACES} more" if len(places) > _PLACES else ""
            where = f"; covered at {', '.join(places[:_PLACES])}{more}" if places else ""
            yield f"shot {shot.name}: face {choice.track} keeps its original mouth in {what}{where}"


def _facts(
    shot: Shot, tracks: Sequence[FaceTrack], choices: Sequence[TrackChoice]
) -> dict[str, str | int | float | bool | None]:
    """Counts for the report; frames are summed over the dubbed faces' tracks, ``no_face`` over the shot's frames."""
    chosen = {c.track for c in choices if c.dubbed}
    states = [t.state for t in tracks if t.track in chosen]
    state = np.concatenate([*states, np.zeros(0, np.int8)])
    seen = np.zeros(shot.frames, np.bool_)
    for track in tracks:
        first = track.start - shot.start
        seen[first : first + len(track)] |= track.state != FaceState.ABSENT
    return {
        "faces": len(tracks),
        "dubbed": len(chosen),
        "seen": int((state == FaceState.SEEN).sum()),
        "bridged": int((state == FaceState.BRIDGED).sum()),
        "absent": int((state == FaceState.ABSENT).sum()),
        "untouched": sum(u.end - u.start for c in choices if c.dubbed for u in c.untouched),
        "covered": sum(
            u.end - u.start
            for c in choices
            if c.dubbed
            for u in c.untouched
            if u.reason == "covered"
        ),
        "refused": None if chosen else ", ".join(dict.fromkeys(c.reason for c in choices)),
        "no_face": int((~seen).sum()),
    }


def run_without(context: StageContext) -> StageReport:
    """The shot as if it had no face: the fallback where tracking failed."""
    selection.save_tracks(context.out, [])
    selection.save_choice(context.out, [])
    selection.save_voices(context.out, Voices())
    return StageReport(facts={"faces": 0, "dubbed": 0})


def _identity(config: Config) -> str:
    settings = config.faces
    names = (("detector", settings.detector), ("landmarker", settings.landmarker))
    engines = ", ".join(engine_identity(kind, name, settings) for kind, name in names)
    return f"{engines}, speaker {_speaker_digest()}" if settings.which == "speaking" else engines


@cache
def _speaker_digest() -> str:
    """Of all nets that say who speaks."""
    found = []
    for name in ("speaker", "tc", "speech_encoder"):
        with as_file(files("dubkit") / "weights" / f"{name}.safetensors") as path:
            found.append(digest_file(path))
    return digest_value(found)[:16]


STAGE = Stage(
    name="faces",
    per=Per.SHOT,
    source=Source.VIDEO,
    after=("probe",),
    run=run,
    version=18,
    sections=("faces",),
    files=("video",),
    identity=_identity,
    engines=lambda config: (
        ("detector", config.faces.detector, config.faces),
        ("landmarker", config.faces.landmarker, config.faces),
    ),
    gpu=True,
    takes_over=True,
    fallback=run_without,
)
