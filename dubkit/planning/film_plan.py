"""Plan a film: run its analysis, look at every shot, measure how fast this machine renders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubkit.config.schema import Config
from dubkit.parallel.workers import cores
from dubkit.pipeline.inspect import OpenedJob
from dubkit.pipeline.job import STAGES, dry_run, run_job
from dubkit.pipeline.map_shots import map_shots
from dubkit.pipeline.request import RunRequest
from dubkit.pipeline.worker import find_devices
from dubkit.planning.contact_sheet import SheetWriter
from dubkit.planning.shot_plan import Level, LookTask, ShotPlan, look
from dubkit.planning.time_estimate import LEAST, Speed, Trial, earlier, measure
from dubkit.progress import Progress
from dubkit.records import Shot
from dubkit.stages import generate
from dubkit.stages.base import Per

ANALYZED = "timing"  # the last stage before anything is rendered
RENDERING = "generate"
THUMBNAIL = 320  # pixels of the long side


@dataclass(frozen=True, slots=True)
class FilmPlan:
    """What a film needs, before it is rendered."""

    shots: tuple[ShotPlan, ...]
    speed: Speed | None
    minutes: tuple[float | None, ...]  # of rendering, a shot; of one worker
    rendered: tuple[bool, ...]  # shots that are done already
    workers: int
    pictures: tuple[Path, ...]

    @property
    def left(self) -> float | None:
        """Minutes that rendering still takes with all workers; None where no speed could be measured."""
        if self.speed is None:
            return None
        rows = zip(self.minutes, self.rendered, strict=True)
        todo = [minutes or 0.0 for minutes, done in rows if not done]
        return sum(todo) / self.workers + self.speed.start / 60 if todo else 0.0

    @property
    def risks(self) -> dict[str, int]:
        """How many shots have which risk."""
        found = Counter(shot.risk.word for shot in self.shots)
        return {level.word: found[level.word] for level in sorted(Level, reverse=True)}


def plan_film(request: RunRequest, *, progress: Progress, picture: Path | None = None) -> FilmPlan:
    """Analyze a film as `run_job` does, in the same work folder, and find what rendering it would meet.

    ``picture`` is a PNG with all shots; long films get several. Raises DubkitError.
    """
    config = request.config
    run_job(replace(request, until=ANALYZED), progress=progress)
    opened = OpenedJob(request.job.work)
    done = {s.unit for s in dry_run(request) if s.stage == RENDERING and s.current}
    sheets = SheetWriter(picture, len(opened.shots)) if picture else None
    shots = _look_at_all(opened, config, progress, sheets)
    speed = _speed(opened, config, shots, progress)
    minutes = tuple(
        None if speed is None else speed.seconds(shot.frames, shot.to_paint) / 60 for shot in shots
    )
    return FilmPlan(
        shots=tuple(shots),
        speed=speed,
        minutes=minutes,
        rendered=tuple(shot.shot in done for shot in shots),
        workers=max(1, min(config.parallel.jobs or cores(), len(shots))),
        pictures=tuple(sheets.close()) if sheets else (),
    )


def _look_at_all(
    opened: OpenedJob, config: Config, progress: Progress, sheets: SheetWriter | None
) -> list[ShotPlan]:
    """Shots in film order; thumbnails go to the sheets as they come and are not kept."""
    probe = opened.folder("probe", None)
    tasks = [
        LookTask(
            shot,
            opened.run.job.video,
            config,
            probe,
            opened.folder("faces", shot),
            opened.folder("timing", shot),
            THUMBNAIL if sheets else 0,
        )
        for shot in opened.shots
    ]
    jobs = config.parallel.jobs or cores()
    looked = map_shots(look, tasks, name="plan", progress=progress, jobs=jobs)
    return [sheets.add(i, shot) if sheets else shot for i, shot in enumerate(looked)]


def _speed(
    opened: OpenedJob, config: Config, shots: Sequence[ShotPlan], progress: Progress
) -> Speed | None:
    receipts = [
        (made, judged.seconds)
        for shot in opened.shots
        if (made := opened.receipt(RENDERING, shot)) and (judged := opened.receipt("gate", shot))
    ]
    settings = {
        f"settings generate.{name}": str(value)
        for name, value in config.generate.model_dump(mode="json").items()
    }
    found = earlier(receipts, generate.identity(config), settings)
    if found:
        return found
    typical = _typical(opened.shots, shots)
    progress.note(f"measuring how fast this machine renders, on a part of shot {typical.name}")
    stage = next(stage for stage in STAGES if stage.name == RENDERING)
    inputs = {name: _published(opened, name, typical) for name in stage.after}
    device = find_devices(config.parallel.device)[0]
    speed = measure(Trial(typical, opened.run.job, config, inputs, device))
    if speed is None:
        progress.warn("a trial rendering failed: there is no estimate of the time")
    return speed


def _published(opened: OpenedJob, name: str, shot: Shot) -> tuple[Path, ...]:
    stage = next(stage for stage in STAGES if stage.name == name)
    unit = shot if stage.per is Per.SHOT else None
    return (opened.folder(name, unit),) if opened.receipt(name, unit) else ()


def _typical(shots: Sequence[Shot], plans: Sequence[ShotPlan]) -> Shot:
    """The shot whose dubbed face is nearest the middle in size, among those long enough to measure.

    In a film without faces, the longest shot.
    """
    pairs = [pair for pair in zip(shots, plans, strict=True) if pair[1].to_paint]
    if not pairs:
        return max(shots, key=lambda shot: shot.frames)
    pairs = [pair for pair in pairs if pair[1].to_paint >= LEAST] or pairs
    by_size = sorted(pairs, key=lambda pair: (pair[1].face.width if pair[1].face else 0, pair[0]))
    return by_size[len(by_size) // 2][0]
