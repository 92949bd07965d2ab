"""Stage ``faces``: the faces of one shot, followed from frame to frame, and which of them are dubbed.

Writes ``tracks.npz`` and ``chosen.json`` (`dubkit.faces.selection`). A shot without a face is a normal result
with no tracks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from dubkit.config.schema import Config, FaceSettings
from dubkit.engines import base, registry
from dubkit.engines.versions import identity as engine_identity
from dubkit.errors import WorkError
from dubkit.faces import active_speaker, align, selection, tracker, tracklet
from dubkit.faces.selection import SoundFeatures, choose
from dubkit.media import audio, frames, planes
from dubkit.records import Detection, Doubles, FaceState, FaceTrack, Picture, Shot, TrackChoice
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.stages.probe import load_film


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

    def views(start: int, end: int) -> Iterable[tuple[int, tracklet.View]]:
        for frame in reader.read(start, end):
            yield frame.index, FrameView(frame, detector, settings.detect_size)

    rate = float(info.average_rate)
    tracks = tracker.track_shot(
        shot, views, landmarker, tracklet.TrackerSettings.of(settings, rate)
    )
    times = (pts[shot.start : shot.end] * float(info.time_base)).astype(np.float64)
    needs_sound = settings.which == "speaking" and len(tracks) > 1
    sound = _sound(context, shot, times, rate) if needs_sound else None
    choices, note = choose(tracks, settings, rate, sound)
    selection.save_tracks(context.out, tracks)
    selection.save_choice(context.out, choices)
    return StageReport(
        engine=f"{detector.name} {detector.version}, {landmarker.name} {landmarker.version}",
        notes=(
            *_engine_notes(settings, detector),
            *_notes(shot, choices, note, times - float(pts[0] * info.time_base)),
        ),
        facts=_facts(shot, tracks, choices),
    )


def _engine_notes(settings: FaceSettings, detector: object) -> Iterator[str]:
    """Which detector ``auto`` chose and why, and the notes of the detector itself."""
    line = registry.chosen_line("detector", settings.detector, settings)
    if line:
        yield line
    yield from getattr(detector, "notes", ())


def _sound(context: StageContext, shot: Shot, times: Doubles, rate: float) -> SoundFeatures | None:
    """The film's own sound in the span of the shot."""
    margin = 0.5
    begin = float(times[0]) - margin
    samples = audio.load_span(context.job.video, begin, float(times[-1]) + margin)
    if samples is None:
        return None
    middle = times - begin + 0.5 / rate  # the middle of the time that a frame is shown
    return SoundFeatures(shot.start, active_speaker.sound_features(samples, middle))


def _notes(
    shot: Shot, choices: Sequence[TrackChoice], note: str | None, seconds: Doubles
) -> Iterator[str]:
    if note:
        yield f"shot {shot.name}: {note}"
    if choices and not any(c.dubbed for c in choices):
        reasons = "; ".join(f"face {c.track}: {c.reason}" for c in choices)
        yield f"shot {shot.name}: no face can be dubbed ({reasons})"
    for choice in choices:
        if choice.dubbed and choice.untouched:
            lost: Counter[str] = Counter()
            for span in choice.untouched:
                lost[span.reason] += span.end - span.start
            what = ", ".join(f"{count} frames ({reason})" for reason, count in sorted(lost.items()))
            yield f"shot {shot.name}: face {choice.track} keeps its original mouth in {what}"
            for span in choice.untouched:
                if span.reason == "covered":
                    first, last = (seconds[t - shot.start] for t in (span.start, span.end - 1))
                    yield f"shot {shot.name}: face {choice.track} covered {_clock(first)}-{_clock(last)}"


def _clock(seconds: float) -> str:
    """Minutes and seconds of the film."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"


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
        "no_face": int((~seen).sum()),
    }


def run_without(context: StageContext) -> StageReport:
    """The shot as if it had no face: the fallback where tracking failed."""
    selection.save_tracks(context.out, [])
    selection.save_choice(context.out, [])
    return StageReport(facts={"faces": 0, "dubbed": 0})


def _identity(config: Config) -> str:
    settings = config.faces
    names = (("detector", settings.detector), ("landmarker", settings.landmarker))
    return ", ".join(engine_identity(kind, name, settings) for kind, name in names)


STAGE = Stage(
    name="faces",
    per=Per.SHOT,
    source=Source.VIDEO,
    after=("probe",),
    run=run,
    version=4,
    sections=("faces",),
    files=("video",),
    identity=_identity,
    engines=lambda config: (
        ("detector", config.faces.detector, config.faces),
        ("landmarker", config.faces.landmarker, config.faces),
    ),
    gpu=True,
    fallback=run_without,
)
