"""Make the review page of a job from its work folder, finished or not."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dubkit.config.schema import Config
from dubkit.engines.registry import load_engine
from dubkit.errors import DubkitError, OutputError, UsageError
from dubkit.faces import align, tracklet
from dubkit.media import audio, pictures, planes
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.probe import probe
from dubkit.parallel.workers import cores
from dubkit.pipeline.inspect import OpenedJob
from dubkit.pipeline.map_shots import map_shots
from dubkit.planning.shot_plan import Level, LookTask, ShotPlan, look
from dubkit.records import (
    AT_START,
    FaceState,
    FaceTrack,
    Floats,
    Integers,
    Picture,
    Placement,
    Shot,
    VideoInfo,
)
from dubkit.review import data as page_data
from dubkit.stages.conform import load_conform
from dubkit.stages.generate import SEGMENT
from dubkit.stages.probe import load_film

if TYPE_CHECKING:
    from dubkit.progress import Progress

VIDEOS = ("worst", "all", "none")
MEGABYTE = 2**20
THUMBNAIL = 208  # pixels of the long side


@dataclass(frozen=True, slots=True)
class Report:
    """A page that was written."""

    path: Path
    shots: int
    videos: int
    size: int  # bytes


def make_report(
    work: Path,
    out: Path | None,
    *,
    progress: Progress,
    videos: str = "worst",
    room: float = 48.0,
    jobs: int | None = None,
) -> Report:
    """Write the page of the job in ``work``; ``room`` is what its videos may take, in megabytes.

    Raises WorkError where ``work`` is none, OutputError where ``out`` cannot be written.
    """
    if videos not in VIDEOS:
        raise UsageError(f"videos cannot be {videos!r}", hint=" or ".join(VIDEOS))
    opened = OpenedJob(work)
    target = out or opened.manifest.job.output.with_suffix(".report.html")
    _check_target(target)
    workers = jobs or cores()
    speech = page_data.load_words(opened)
    facts = [page_data.shot_facts(opened, shot, speech) for shot in opened.shots]
    pictured = opened.receipt("probe", None) is not None and opened.run.job.video.is_file()
    if pictured:
        _look_at_all(opened, facts, progress, workers)
    else:
        progress.warn(f"the film {opened.run.job.video} is missing: the page has no pictures")
    _rank(facts)
    clips: dict[str, Clip] = {}
    if pictured and videos != "none" and (room > 0 or videos == "all"):
        limit = room * MEGABYTE if videos == "worst" else float("inf")
        clips = _clips(opened, facts, progress, workers, limit)
    for fact in facts:
        _measure(opened, fact, clips.get(fact.shot.name))
    data = page_data.page_data(opened, facts, _video_summary(facts, clips, videos, room))
    shown = [(name, clips[name].video) for name in sorted(clips)]
    size = _write(target, build(data, shown, f"{data['film']['name']} · dubkit report"))
    return Report(target, len(facts), len(clips), size)


def _check_target(path: Path) -> None:
    """An older page gives way, anything else does not."""
    try:
        with path.open("rb") as file:
            ours = MARK.encode() in file.read(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    if not ours:
        raise OutputError(f"{path} exists and is not a report", hint="name another with --out")


def _look_at_all(
    opened: OpenedJob, facts: Sequence[page_data.ShotFacts], progress: Progress, workers: int
) -> None:
    """Thumbnails, risks and sizes, into the tables."""
    probe = opened.folder("probe", None)
    tasks = [
        LookTask(
            shot,
            opened.run.job.video,
            opened.config,
            probe,
            opened.folder("faces", shot) if opened.receipt("faces", shot) else None,
            opened.folder("timing", shot) if opened.receipt("timing", shot) else None,
            THUMBNAIL,
            opened.people_of(shot),
        )
        for shot in opened.shots
    ]
    looked = map_shots(_try_to_look, tasks, name="pictures", progress=progress, jobs=workers)
    for fact, found in zip(facts, looked, strict=True):
        if isinstance(found, ShotPlan):
            fact.table |= _of_plan(found)
        else:
            fact.table["notes"].append(found)


def _try_to_look(task: LookTask) -> ShotPlan | str:
    """A shot that cannot be looked at has its place on the page all the same, and says why."""
    try:
        return look(task)
    except DubkitError as error:
        return error.message


def _of_plan(plan: ShotPlan) -> dict[str, Any]:
    speech = asdict(plan.speech)
    del speech["bar"]
    return {
        "start": plan.start,
        "end": plan.end,
        "faces": plan.faces,
        "dubbed_faces": plan.dubbed,
        "who": plan.who,
        "face": asdict(plan.face) if plan.face else None,
        "speech": speech,
        "focus": plan.focus,
        "risk": plan.risk.word,
        "reasons": [{"kind": r.kind, "level": r.level.word, "text": r.text} for r in plan.reasons],
        "thumb": base64.b64encode(plan.thumbnail).decode("ascii") if plan.thumbnail else "",
    }


def _rank(facts: Sequence[page_data.ShotFacts]) -> None:
    """How much a shot needs a look: by its state, then by how far it is beyond the gate's limits, then by its risk."""
    for fact in facts:
        word = fact.table.get("risk", "none")
        worst = next((level for level in Level if level.word == word), Level.NONE)
        reasons = min(9, len(fact.table.get("reasons", ())))
        state = len(page_data.STATES) - page_data.STATES.index(fact.state)
        excess = min(9.0, fact.table.pop("excess", 0.0))
        fact.table["rank"] = 1000 * state + round(100 * excess) + 10 * int(worst) + reasons


def _clips(
    opened: OpenedJob,
    facts: Sequence[page_data.ShotFacts],
    progress: Progress,
    workers: int,
    limit: float,
) -> dict[str, Clip]:
    """Videos of the worst shots, as many as there is room for."""
    wanted = [fact for fact in facts if fact.rendered]
    wanted.sort(key=lambda fact: (-fact.table["rank"], fact.shot))
    taken = 0
    found: dict[str, Clip] = {}
    tasks = [_task(opened, fact) for fact in wanted]
    made = map_shots(
        make_clip,
        tasks,
        name="videos",
        progress=progress,
        jobs=workers,
        lost=lambda task: "the process that made it died",
    )
    with closing(made) as clips:
        for fact, clip in zip(wanted, clips, strict=True):  # the worst ones first
            if isinstance(clip, str):
                fact.table["notes"].append(f"no video: {clip}")
                progress.warn(f"shot {fact.shot.name} has no video: {clip}")
                continue
            taken += len(clip.video) * 4 // 3
            if taken > limit:
                break
            found[fact.shot.name] = clip
    return found


def _task(opened: OpenedJob, fact: page_data.ShotFacts) -> ClipTask:
    assert fact.track is not None
    job, shot = opened.run.job, fact.shot
    segment = opened.folder("generate", shot) / SEGMENT
    probe = opened.folder("probe", None)
    placed = opened.receipt("conform", None) is not None
    place = load_conform(opened.folder("conform", None)).placement if placed else AT_START
    return ClipTask(shot, fact.track, job.video, segment, job.audio, probe, opened.config, place)


def _measure(opened: OpenedJob, fact: page_data.ShotFacts, clip: Clip | None) -> None:
    table = fact.table
    table["rendered"] = fact.rendered
    if clip is None:
        return
    table["dubbed"] = clip.dubbed
    if clip.frames < fact.shot.frames:
        table["cut"] = LONGEST
    if not table["measures"]:
        table["measures"] = page_data.lip_rows(
            opened.folder("timing", fact.shot), clip.dubbed, page_data.THOUSAND
        )


def _video_summary(
    facts: Sequence[page_data.ShotFacts], clips: dict[str, Clip], videos: str, room: float
) -> dict[str, Any]:
    could = sum(fact.rendered for fact in facts)
    if videos == "none":
        summary = "This page was made without videos (--videos none)."
    elif len(clips) == could:
        summary = f"All {could} dubbed shots have a video."
    else:
        why = (
            f"{room:g} MB of them: --videos all or a larger --room shows more"
            if videos == "worst"
            else "the notes of the others say why they have none"
        )
        summary = f"The worst {len(clips)} of {could} dubbed shots have a video, {why}."
    return {"count": len(clips), "summary": summary}


def _write(path: Path, parts: Iterator[str]) -> int:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(parts)
        size = beside.stat().st_size
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    return size


MARK = '<meta name="generator" content="dubkit report">'  # by which a page of ours is known
_TEMPLATES = Environment(  # what is no Markup is escaped, JSON so that no string ends its element
    loader=PackageLoader("dubkit.review", "assets"),
    autoescape=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)
_TEMPLATES.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "sort_keys": True}


def build(data: Mapping[str, Any], clips: Iterable[tuple[str, bytes]], title: str) -> Iterator[str]:
    """The parts of the page in order; ``clips`` are names of shots and MP4 files, taken one at a time."""
    assets = files("dubkit.review") / "assets"
    names = sorted(path.name for path in assets.iterdir())
    style = (assets / "page.css").read_text(encoding="utf-8")
    script = "\n".join(
        (assets / name).read_text(encoding="utf-8") for name in names if name.endswith(".js")
    )
    return _TEMPLATES.get_template("page.html").generate(
        policy=Markup(_policy(script, style)),
        title=title,
        style=Markup(style),
        script=Markup(script),
        data=data,
        clips=((name, Markup(base64.b64encode(video).decode("ascii"))) for name, video in clips),
    )


def _policy(script: str, style: str) -> str:
    rules = {
        "default-src": "'none'",
        "script-src": _checksum(script),
        "style-src": _checksum(style),
        "img-src": "data:",
        "media-src": "blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _checksum(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode('ascii')}'"


SIDE = 288  # pixels of each of the two pictures
ROOM = 2.1  # side of what is shown, over the face's height
LONGEST = 20.0  # seconds; what is longer is cut there, and the page says so
SOUND_RATE, SOUND_BITS = 32000, 56000
_VIDEO: dict[str, str] = {"crf": "27", "preset": "veryfast", "bf": "0", "g": "50"}
_MILLISECONDS = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class ClipTask:
    """A shot of which a video is made. Pickles."""

    shot: Shot
    track: FaceTrack
    video: Path
    segment: Path
    dub: Path
    probe: Path
    config: Config
    placement: Placement = AT_START


@dataclass(frozen=True, slots=True)
class Clip:
    """A video, and what the dubbed mouth does in it."""

    video: bytes  # MP4
    frames: int  # fewer than the shot's where it was cut
    dubbed: list[int | None]  # `facts.openings` of the rendered picture


def make_clip(task: ClipTask) -> Clip | str:
    """Render one video; where original or segment cannot be read any more, why."""
    cv2.setNumThreads(1)
    try:
        return _make(task)
    except DubkitError as error:
        return error.message


def _make(task: ClipTask) -> Clip:
    info, pts = load_film(task.probe)
    shot = task.shot
    times = (pts - pts[0]) * float(info.time_base)
    began = float(times[shot.start])
    count = int(np.searchsorted(times[shot.start : shot.end] - began, LONGEST))
    ends = float(times[shot.start + count]) if shot.start + count < len(times) else None
    until = ends if ends is not None else float(times[-1]) + 1 / float(info.average_rate)
    way = crop_way(task.track, info)
    landmarks = np.full_like(task.track.landmarks, np.nan)
    sound = _dub_span(task, began, until)
    clock = np.rint(1000 * (times[shot.start : shot.start + count] - began)).astype(int)
    writer = _Writer(float(info.average_rate), sound)
    landmarker = load_engine("landmarker", task.config.faces.landmarker, task.config.faces, "cpu")
    for row, (real, made) in enumerate(_pairs(task, info, pts, count)):
        both = np.hstack([planes.rgb_crop(real, way, SIDE), planes.rgb_crop(made, way, SIDE)])
        writer.write(both, int(clock[row]))
        at = shot.start + row - task.track.start
        if 0 <= at < len(task.track) and task.track.state[at] != FaceState.ABSENT:
            landmarks[at] = _mouth(made, landmarker, task.track.landmarks[at])
    spoken = replace(task.track, landmarks=landmarks)
    return Clip(writer.close(), count, page_data.openings(spoken, shot))


def _dub_span(task: ClipTask, began: float, until: float) -> Floats | None:
    """What is heard of the dub in seconds of the film."""
    place = task.placement
    sound = audio.load_span(task.dub, place.dub_time(began), place.dub_time(until), SOUND_RATE)
    if sound is None or place.stretch == 1:
        return sound
    at = np.arange(round((until - began) * SOUND_RATE)) / place.stretch
    return np.interp(at, np.arange(len(sound)), sound).astype(np.float32)


def crop_way(track: FaceTrack, info: VideoInfo) -> align.Matrix:
    """``crop_from_display`` of a square that holds the face over the whole shot, standing still."""
    boxes = track.boxes[np.isfinite(track.boxes[:, 0])]
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    tall = float(np.median(boxes[:, 3] - boxes[:, 1]))
    width, height = info.display_size
    side = min(max(ROOM * tall, float((high - low).max()) * 1.1), float(min(width, height)))
    center = (low + high) / 2
    corner = np.clip(center - side / 2, 0, np.maximum((width - side, height - side), 0))
    scale = SIDE / side
    shift = -scale * (corner - 0.5) - 0.5
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)


def _pairs(
    task: ClipTask, info: VideoInfo, pts: Integers, count: int
) -> Iterator[tuple[Frame, Frame]]:
    """The first frames of the shot, original and rendered."""
    start = task.shot.start
    real = FrameReader(task.video, info, pts, threads=1).read(start, start + count)
    there, times = probe(task.segment)
    made = FrameReader(task.segment, _like(there, info), times, threads=1).read(0, count)
    yield from zip(real, made, strict=True)


def _like(segment: VideoInfo, film: VideoInfo) -> VideoInfo:
    """A segment knows nothing of turned pictures and of pixels that are not square."""
    return replace(segment, rotation=film.rotation, pixel_aspect=film.pixel_aspect)


class _View:
    """A rendered frame as the landmarker sees it."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def detect(self) -> list[Any]:
        return []

    def crop(self, crop_from_display: align.Matrix, size: int) -> Picture:
        return planes.rgb_crop(self.frame, crop_from_display, size)


def _mouth(frame: Frame, landmarker: Any, where: Floats) -> Floats:
    found = tracklet.locate(_View(frame), landmarker, [align.canonical_from_face(where)])
    return found[0].landmarks


class _Writer:
    """Pictures and sound into an MP4 in memory."""

    def __init__(self, rate: float, sound: Floats | None) -> None:
        self._file = io.BytesIO()
        self._container = av.open(
            self._file, "w", format="mp4", container_options={"fflags": "+bitexact"}
        )
        stream = self._container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 2 * SIDE, SIDE, "yuv420p"
        stream.codec_context.time_base = stream.time_base = _MILLISECONDS
        stream.codec_context.thread_count = 1
        stream.options = dict(_VIDEO)
        self._stream = stream
        self._sound = sound
        self._voice: AudioStream | None = None
        if sound is not None:
            voice = self._container.add_stream("aac", rate=SOUND_RATE)
            assert isinstance(voice, AudioStream)
            voice.layout = "mono"
            voice.bit_rate = SOUND_BITS
            self._voice = voice

    def write(self, picture: Picture, at: int) -> None:
        """Add a picture, shown from ``at`` milliseconds."""
        self._container.mux(self._stream.encode(pictures.to_frame(picture, at, _MILLISECONDS)))

    def close(self) -> bytes:
        """The finished file."""
        self._container.mux(self._stream.encode(None))
        if self._voice is not None and self._sound is not None:
            block = AudioFrame.from_ndarray(
                np.clip(self._sound, -1, 1)[None].astype(np.float32), format="fltp", layout="mono"
            )
            block.sample_rate = SOUND_RATE
            block.pts = 0
            block.time_base = Fraction(1, SOUND_RATE)
            self._container.mux(self._voice.encode(block))
            self._container.mux(self._voice.encode(None))
        self._container.close()
        return self._file.getvalue()
