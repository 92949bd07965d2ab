"""Plan a film: run its analysis, look at every shot, measure how fast this machine renders."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dubkit.config.schema import Config
from dubkit.errors import ConformError, DubkitError
from dubkit.faces import people
from dubkit.faces.selection import load_choice, load_tracks, save_choice, save_tracks
from dubkit.lips.film_offset import FilmOffset
from dubkit.parallel.workers import cores
from dubkit.pipeline import inspect, worker
from dubkit.pipeline.job import STAGES, dry_run, run_job
from dubkit.pipeline.map_shots import map_shots, worker_died
from dubkit.pipeline.request import RunRequest
from dubkit.planning import contact_sheet, shot_plan
from dubkit.records import (
    FaceTrack,
    Job,
    Shot,
    Shown,
    StageResult,
    Timing,
    TrackChoice,
    Untouched,
)
from dubkit.speech.timing import load_speech, load_timing, save_timing
from dubkit.stages import adapt, base, conform, gate, generate
from dubkit.stages.probe import load_film
from dubkit.work.folder import link_or_copy

if TYPE_CHECKING:
    from dubkit.progress import Progress, ShotNames

ENOUGH = 100  # painted frames of earlier shots that tell a speed
TRIED, WARM, LEAST = 48, 8, 25  # frames rendered to measure, to load the nets before, at least
SOME = 64  # shots at most of which a typical one is chosen


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds a frame, of one worker."""

    painted: float
    plain: float
    basis: str  # how it was measured, in words
    start: float = 0.0  # seconds until a worker has loaded all it needs

    def seconds(self, frames: int, painted: int) -> float:
        """Time of a shot."""
        return painted * self.painted + (frames - painted) * self.plain


@dataclass(frozen=True, slots=True)
class Trial:
    """A shot of which a few frames are rendered, to see how long that takes. Pickles."""

    shot: Shot
    job: Job
    config: Config
    inputs: Mapping[str, tuple[Path, ...]]  # of the whole shot
    device: str


def earlier(
    receipts: Iterable[tuple[StageResult, float]], engine: str, settings: Mapping[str, str]
) -> Speed | None:
    """The speed of shots that were rendered with the same generator and settings; None where they are too few.

    ``receipts`` are those of the stage generate, each with the seconds that the gate then took.
    """
    rows = [
        (int(r.facts.get("painted") or 0), _frames(r.unit), r.seconds + more)
        for r, more in receipts
        if r.error is None
        and r.parts.get("engine") == engine
        and all(r.parts.get(name) == value for name, value in settings.items())
    ]
    painted = sum(row[0] for row in rows)
    if painted < ENOUGH:
        return None
    basis = f"{len(rows)} shots rendered earlier in this work folder"
    bare = [row for row in rows if row[0] == 0]
    if not bare:  # what frames without a new mouth take is not known: all count alike
        each = sum(row[2] for row in rows) / sum(row[1] for row in rows)
        return Speed(each, each, basis)
    plain = sum(row[2] for row in bare) / sum(row[1] for row in bare)
    rest = sum(seconds - plain * (frames - new) for new, frames, seconds in rows)
    return Speed(max(plain, rest / painted), plain, basis)


def _frames(unit: str) -> int:
    start, end = unit.split("-")
    return int(end) - int(start)


def _try(trial: Trial) -> tuple[Speed, float] | None:
    """Render a few frames of a shot into nowhere: the speed, and the seconds that it took; None where that fails."""
    tracks = load_tracks(trial.inputs["faces"][0])
    choices = load_choice(trial.inputs["faces"][0])
    part = _busiest(trial.shot, choices, TRIED)
    try:
        with tempfile.TemporaryDirectory(prefix="dubkit-plan-") as folder:
            root = Path(folder)
            warm = replace(part, end=min(part.end, part.start + WARM))
            _render(_context(trial, root / "warm", warm, tracks, choices))
            made = _context(trial, root / "made", part, tracks, choices)
            bare = _context(trial, root / "bare", part, tracks, choices)
            began = time.monotonic()
            report = _render(made)
            middle = time.monotonic()
            generate.keep_original(bare)
            end = time.monotonic()
    except DubkitError:
        return None
    painted = int(report.facts["painted"] or 0)
    plain = (end - middle) / part.frames
    basis = f"{part.frames} frames of shot {trial.shot.name} rendered just now, on one core"
    if not painted:
        hoped = any(choice.dubbed for choice in choices)
        return None if hoped else (Speed(plain, plain, basis), end - began)
    spent = (middle - began) - plain * (part.frames - painted)
    return Speed(max(plain, spent / painted), plain, basis), end - began


def _render(context: base.StageContext) -> base.StageReport:
    """Make the pictures, and look at them as the gate does."""
    report = generate.run(context)
    made = {"generate": (context.out,)}
    judged = replace(context, inputs={**context.inputs, **made}, out=context.out / "gate")
    judged.out.mkdir()
    gate.run(judged)
    return report


def _busiest(shot: Shot, choices: Sequence[TrackChoice], count: int) -> Shot:
    """The part of a shot, ``count`` frames or the whole, in which most mouths are new."""
    busy = np.zeros(shot.frames)
    for choice in choices:
        if choice.dubbed:
            busy[choice.start - shot.start : choice.end - shot.start] += choice.usable
    if shot.frames <= count:
        return shot
    sums = np.convolve(busy, np.ones(count), "valid")
    start = shot.start + int(sums.argmax())
    return Shot(start, start + count)


def _context(
    trial: Trial,
    root: Path,
    part: Shot,
    tracks: Sequence[FaceTrack],
    choices: Sequence[TrackChoice],
) -> base.StageContext:
    """What the generate stage reads, cut down to a part of the shot."""
    faces, timing, out = (root / name for name in ("faces", "timing", "out"))
    for folder in (faces, timing, out):
        folder.mkdir(parents=True)
    cut = [_cut(t, c, part) for t, c in zip(tracks, choices, strict=True)]
    kept = [pair for pair in cut if pair is not None]
    save_tracks(faces, [replace(t, track=n) for n, (t, _) in enumerate(kept)])
    save_choice(faces, [replace(c, track=n) for n, (_, c) in enumerate(kept)])
    _save_roles(trial, out.parent / "references", [t.track for t, _ in kept])
    whole = load_timing(trial.inputs["timing"][0])
    save_timing(timing, _cut_timing(whole, trial.shot, part))
    inputs = {**trial.inputs, "faces": (faces,), "timing": (timing,)}
    inputs["references"] = (out.parent / "references",)
    return base.StageContext(trial.job, trial.config, out, inputs, shot=part, device=trial.device)


def _save_roles(trial: Trial, folder: Path, tracks: Sequence[int]) -> None:
    """The roles of the faces ``tracks``, which are numbered from 0 in the part, with the files that they name."""
    folder.mkdir()
    known = {}
    for given in trial.inputs.get("references", ()):
        known = people.load_roles(given)

    def beside(file: str | None) -> str | None:
        if file is None:
            return None
        link_or_copy(file, folder / Path(file).name)
        return Path(file).name

    roles = [
        replace(role, track=new, profile=beside(role.profile), lent=beside(role.lent))
        for new, old in enumerate(tracks)
        if (role := known.get(old)) is not None
    ]
    people.save_roles(folder, roles)


def _cut(track: FaceTrack, choice: TrackChoice, part: Shot) -> tuple[FaceTrack, TrackChoice] | None:
    start, end = max(track.start, part.start), min(track.start + len(track), part.end)
    if end <= start:
        return None
    spans = tuple(
        Untouched(max(span.start, start), min(span.end, end), span.reason)
        for span in choice.untouched
        if span.end > start and span.start < end
    )
    shorter = track.part(start - track.start, end - track.start)
    speaks = tuple((max(a, start), min(b, end)) for a, b in choice.speaks if b > start and a < end)
    return shorter, replace(choice, start=start, end=end, untouched=spans, speaks=speaks)


def _cut_timing(timing: Timing, shot: Shot, part: Shot) -> Timing:
    rows = slice(part.start - shot.start, part.end - shot.start)
    runs = tuple(
        replace(run, start=max(run.start, part.start), end=min(run.end, part.end))
        for run in timing.runs
        if run.end > part.start and run.start < part.end
    )
    return replace(timing, times=timing.times[rows], runs=runs)


ANALYZED = "timing"  # the last stage before anything is rendered
RENDERING = "generate"
THUMBNAIL = 320  # pixels of the long side


@dataclass(frozen=True, slots=True, repr=False)
class FilmPlan(Shown):
    """What a film needs, before it is rendered."""

    shots: tuple[shot_plan.ShotPlan, ...]
    speed: Speed | None
    minutes: tuple[float | None, ...]  # of rendering, a shot; of one worker
    rendered: tuple[bool, ...]  # shots that are done already
    workers: int
    pictures: tuple[Path, ...]
    offset: FilmOffset | None = None  # of the film's picture against its own sound
    conform: conform.Conform | None = None  # how the dub lies on the film
    lost: tuple[str, ...] = ()  # words of the dub that would not be heard
    names: ShotNames = field(default_factory=dict)  # what people call the shots

    @property
    def left(self) -> float | None:
        """Minutes that rendering still takes with all workers; None where no speed could be measured."""
        if self.speed is None:
            return None
        rows = zip(self.minutes, self.rendered, strict=True)
        todo = [minutes or 0.0 for minutes, done in rows if not done]
        return sum(todo) / self.workers + self.speed.start / 60 if todo else 0.0

    def facts_shown(self) -> dict[str, object]:
        """Its size, the time that rendering takes, and its risks."""
        left = "unknown" if self.left is None else f"{self.left:.1f}"
        risks = {f"risk_{word}": count for word, count in self.risks.items()}
        return {"shots": len(self.shots), "minutes_left": left, **risks}

    @property
    def risks(self) -> dict[str, int]:
        """How many shots have which risk."""
        found = Counter(shot.risk.word for shot in self.shots)
        return {level.word: found[level.word] for level in sorted(shot_plan.Level, reverse=True)}


def plan_film(request: RunRequest, *, progress: Progress, picture: Path | None = None) -> FilmPlan:
    """Analyze a film as `run_job` does, in the same work folder, and find what rendering it would meet.

    ``picture`` is a PNG with all shots; long films get several. Raises DubkitError.
    """
    config = request.config
    try:
        run_job(replace(request, until=ANALYZED), progress=progress)
    except ConformError:  # a plan says what a run would stop at
        accept = config.conform.model_copy(update={"over": "accept"})
        request = replace(request, config=config.model_copy(update={"conform": accept}))
        run_job(replace(request, until=ANALYZED), progress=progress)
    opened = inspect.OpenedJob(request.job.work)
    done = {s.unit for s in dry_run(request) if s.stage == RENDERING and s.current}
    sheets = contact_sheet.SheetWriter(picture, len(opened.shots)) if picture else None
    shots, speed = _look_at_all(opened, config, progress, sheets)
    minutes = tuple(
        None if speed is None else speed.seconds(shot.frames, shot.to_paint) / 60 for shot in shots
    )
    placed = conform.load_conform(opened.folder("conform", None))
    return FilmPlan(
        shots=tuple(shots),
        speed=speed,
        minutes=minutes,
        rendered=tuple(shot.shot in done for shot in shots),
        workers=max(1, min(config.parallel.jobs or cores(), len(shots))),
        pictures=tuple(sheets.close()) if sheets else (),
        offset=adapt.film_offset_of(opened.folder("adapt", None)),
        conform=placed,
        lost=_lost(opened, placed),
        names=opened.names,
    )


def _lost(opened: inspect.OpenedJob, placed: conform.Conform) -> tuple[str, ...]:
    info, _ = load_film(opened.folder("probe", None))
    if opened.config.stitch.length == "freeze":
        return ()
    speech = load_speech(opened.folder("speech", None))
    return conform.lost_words(speech, placed.placement, info.duration)


def _look_at_all(
    opened: inspect.OpenedJob,
    config: Config,
    progress: Progress,
    sheets: contact_sheet.SheetWriter | None,
) -> tuple[list[shot_plan.ShotPlan], Speed | None]:
    """Shots in film order; thumbnails go to the sheets as they come and are not kept. And how fast this machine
    renders: where that is not known from earlier shots, a worker tries while others look.
    """
    probe = opened.folder("probe", None)
    tasks = [
        shot_plan.LookTask(
            shot,
            opened.run.job.video,
            config,
            probe,
            opened.folder("faces", shot),
            opened.folder("timing", shot),
            THUMBNAIL if sheets else 0,
            opened.people_of(shot),
        )
        for shot in opened.shots
    ]
    speed = _known_speed(opened, config)
    trials = [] if speed else [_trial(opened, config, tasks, progress)]
    began = time.monotonic()
    jobs, shots = config.parallel.jobs or cores(), list[shot_plan.ShotPlan]()
    every: list[Task] = [*trials, *tasks]
    for found in map_shots(_work, every, name="plan", progress=progress, jobs=jobs, lost=_given_up):
        if isinstance(found, shot_plan.ShotPlan):
            shots.append(sheets.add(len(shots), found) if sheets else found)
        elif found is not None:
            tried, rendering = found
            speed = replace(tried, start=max(0.0, time.monotonic() - began - rendering))
    if speed is None:
        progress.warn("a trial rendering failed: there is no estimate of the time")
    return shots, speed


Task = shot_plan.LookTask | Trial


def _work(task: Task) -> shot_plan.ShotPlan | tuple[Speed, float] | None:
    return _try(task) if isinstance(task, Trial) else shot_plan.look(task)


def _given_up(task: Task) -> None:
    """A trial may fail; of a shot everything must be known."""
    if not isinstance(task, Trial):
        raise worker_died(task.shot)


def _known_speed(opened: inspect.OpenedJob, config: Config) -> Speed | None:
    """The speed of shots that were rendered earlier in this work folder; None where they are too few."""
    receipts = [
        (made, judged.seconds)
        for shot in opened.shots
        if (made := opened.receipt(RENDERING, shot)) and (judged := opened.receipt("gate", shot))
    ]
    settings = {
        f"settings generate.{name}": str(value)
        for name, value in config.generate.model_dump(mode="json").items()
    }
    return earlier(receipts, generate.identity(config), settings)


def _trial(
    opened: inspect.OpenedJob,
    config: Config,
    tasks: Sequence[shot_plan.LookTask],
    progress: Progress,
) -> Trial:
    """A part of a typical shot, to render."""
    typical = _typical(tasks)
    progress.note(f"measuring how fast this machine renders, on a part of shot {typical.name}")
    stage = next(stage for stage in STAGES if stage.name == RENDERING)
    inputs = {name: _published(opened, name, typical) for name in stage.after}
    device = worker.find_devices(config.parallel.device)[0]
    return Trial(typical, opened.run.job, config, inputs, device)


def _published(opened: inspect.OpenedJob, name: str, shot: Shot) -> tuple[Path, ...]:
    stage = next(stage for stage in STAGES if stage.name == name)
    unit = shot if stage.per is base.Per.SHOT else None
    return (opened.folder(name, unit),) if opened.receipt(name, unit) else ()


def _typical(tasks: Sequence[shot_plan.LookTask]) -> Shot:
    """The shot whose widest dubbed face is nearest the middle in size, among those long enough to measure; `SOME`
    shots from all of the film are looked at. In a film without faces, the longest shot.
    """
    some = tasks[:: -(-len(tasks) // SOME)]
    known = [(task.shot, shot_plan.choices_of(task)) for task in some]
    sizes = [
        (max(choice.width for choice in choices if choice.dubbed), shot, painted)
        for shot, choices in known
        if (painted := shot_plan.to_paint(shot, choices))
    ]
    if not sizes:
        return max((task.shot for task in tasks), key=lambda shot: shot.frames)
    by_size = sorted([size for size in sizes if size[2] >= LEAST] or sizes)
    return by_size[len(by_size) // 2][1]
