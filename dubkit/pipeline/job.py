"""The pipeline: its stages in order, and a job from request to film."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from dubkit.config.schema import Config, ParallelSettings
from dubkit.errors import (
    EXIT_OK,
    STOPPED,
    DubkitError,
    Interrupted,
    OutputError,
    WorkError,
)
from dubkit.parallel.scheduler import Course, Ended, Schedule
from dubkit.parallel.signals import Stop
from dubkit.parallel.workers import cores, open_workers
from dubkit.pipeline.delivery import (
    check_destination,
    check_request,
    deliver,
    find_film,
    is_same,
    room_warning,
)
from dubkit.pipeline.dry_run import PlannedUnit, digest_inputs, plan, select
from dubkit.pipeline.fingerprint import Run, ShotConfig
from dubkit.pipeline.log import Logged, rotate, write
from dubkit.pipeline.result import RunResult, read_gates, summarize
from dubkit.pipeline.runner import Runner
from dubkit.pipeline.verdicts import check_film, configs, decision_of, read_verdicts
from dubkit.pipeline.worker import find_devices
from dubkit.progress import Progress
from dubkit.records import FileDigest, Job, Manifest
from dubkit.stages import adapt, faces, gate, generate, probe, shots, speech, stitch, timing
from dubkit.stages.base import Stage
from dubkit.version import __version__
from dubkit.work.folder import CONFIG, check_work, drop_damaged, explain, open_work, sweep
from dubkit.work.lock import Held, hold
from dubkit.work.manifest import read_manifest, write_atomic

Key = TypeVar("Key")

STAGES: tuple[Stage, ...] = (
    probe.STAGE,
    shots.STAGE,
    faces.STAGE,
    speech.STAGE,
    adapt.STAGE,
    timing.STAGE,
    generate.STAGE,
    gate.STAGE,
    stitch.STAGE,
)


def prepare(
    job: Job,
    config: Config,
    stages: Sequence[Stage],
    *,
    until: str | None = None,
    force: Sequence[str] = (),
) -> Run:
    """Check a request and digest its inputs; writes nothing."""
    chosen = select(stages, until, force)
    check_request(job)
    if config.parallel.device != "auto" and config.parallel.backend != "dask":
        find_devices(config.parallel.device)  # raises for one that is not there
    check_work(job.work)
    known = read_manifest(job.work) if job.work.is_dir() else None
    inputs = digest_inputs(job, known.inputs if known else {})
    if known:
        _check_film(job, known, inputs)
    engines = {stage.name: stage.identity(config) for stage in chosen}
    own = _shot_configs(job, config, chosen, engines, inputs["video"].sha256)
    return Run(job, config, chosen, inputs, engines, frozenset(force), stages[-1].name, own)


def _shot_configs(
    job: Job, config: Config, stages: Sequence[Stage], engines: Mapping[str, str], film: str
) -> dict[str, ShotConfig]:
    """The settings of the shots that a person gave a verdict on."""
    if job.verdicts is None:
        return {}
    verdicts = read_verdicts(job.verdicts)
    check_film(verdicts, job.verdicts, film, job.video.name)
    known = [(config.generate, engines)]
    made: dict[str, ShotConfig] = {}
    for name, own in configs(verdicts, config).items():
        found = next((names for settings, names in known if settings == own.generate), None)
        if found is None:
            found = {stage.name: stage.identity(own) for stage in stages}
            known.append((own.generate, found))
        made[name] = ShotConfig(own, found, decision_of(verdicts.shots[name]))
    return made


def plan_job(
    job: Job,
    config: Config,
    *,
    until: str | None = None,
    force: Sequence[str] = (),
    stages: Sequence[Stage] = STAGES,
) -> list[PlannedUnit]:
    """What `run_job` would do now, unit by unit, and why; nothing is written."""
    return plan(prepare(job, config, stages, until=until, force=force))


def run_job(
    job: Job,
    config: Config,
    *,
    progress: Progress,
    until: str | None = None,
    force: Sequence[str] = (),
    overwrite: bool = False,
    dry_run: bool = False,
    wait: bool = False,
    stages: Sequence[Stage] = STAGES,
) -> RunResult:
    """Dub one film. Raises DubkitError; `Interrupted` after Ctrl-C or SIGTERM.

    Where another process has the work folder, this one is refused or, with ``wait``, goes on after it.
    """
    course = job_course(
        job,
        config,
        progress=progress,
        until=until,
        force=force,
        overwrite=overwrite,
        dry_run=dry_run,
        wait=wait,
        stages=stages,
    )
    with closing(run_courses([(job, course)], config.parallel)) as ended:
        return next(ended).result


def run_courses(
    courses: Iterable[tuple[Key, Course[RunResult]]], parallel: ParallelSettings
) -> Generator[Ended[Key, RunResult], None, None]:
    """Do jobs side by side, all their units in one queue; yields each as it ends.

    Raises `Interrupted` after Ctrl-C or SIGTERM.
    """
    jobs = parallel.jobs or cores()
    try:
        with Stop().listening() as stop:
            schedule: Schedule[Key, RunResult] = Schedule(
                open_workers(jobs, parallel.backend, parallel.scheduler), stop
            )
            with closing(schedule.run(courses)) as ended:
                yield from ended
    except KeyboardInterrupt:
        raise Interrupted(STOPPED.message, hint=STOPPED.hint) from None


def job_course(
    job: Job,
    config: Config,
    *,
    progress: Progress,
    until: str | None = None,
    force: Sequence[str] = (),
    overwrite: bool = False,
    dry_run: bool = False,
    wait: bool = False,
    stages: Sequence[Stage] = STAGES,
) -> Course[RunResult]:
    """A job from request to film, as a course that may run beside others. Raises DubkitError."""
    began = time.monotonic()

    def checked() -> Run:
        run = prepare(job, config, stages, until=until, force=force)
        if run.films:
            check_destination(job.output)
            if job.output.exists() and not overwrite and not dry_run:
                _refuse_other_film(run)
        return run

    try:
        run = checked()
        if dry_run:
            return RunResult(job.output if run.films else None, EXIT_OK, plan=tuple(plan(run)))
        open_work(job.work)
        with hold(job.work, wait=progress.note if wait else None) as held:
            rotate(job.work)
            progress = Logged(job.work, progress)
            run = checked() if held.waited else run
            write(job.work, f"dubkit {__version__}: {job.video} with {job.audio}")
            result = yield from _run_locked(run, progress, began, held)
            write(job.work, f"ended with code {result.exit_code}: {result.output}")
            return result
    except OSError as error:
        raise explain(error, job.work) from error
    except DubkitError as error:
        if job.work.is_dir():
            write(job.work, f"error: {error.message}")
        raise


def _run_locked(run: Run, progress: Progress, began: float, held: Held) -> Course[RunResult]:
    job = run.job
    sweep(job.work)
    if held.crashed:
        _distrust(job.work, progress)
        held.crashed = False
    write_atomic(job.work / CONFIG, run.config.model_dump_json(indent=1).encode() + b"\n")
    if warning := room_warning(job, run.config):
        progress.warn(warning)
    runner = Runner(run, progress)
    try:
        runner.save()
        yield from runner.do_all()
        if run.films:
            film = find_film(run.folder(run.stages[-1], None))
            if not (job.output.exists() and is_same(film, job.output)):
                deliver(film, job.output)
    finally:
        sweep(job.work)
    return summarize(
        runner.results.values(),
        output=job.output if run.films else None,
        done=runner.done,
        frames=sum(shot.frames for shot in runner.shots),
        seconds=time.monotonic() - began,
        gates=read_gates(run, runner.results),
    )


def _distrust(work: Path, progress: Progress) -> None:
    """After a crash or a power cut, believe no finished unit unread."""
    damaged = drop_damaged(work)
    found = f"damaged and done again: {', '.join(damaged)}" if damaged else "all of it is sound"
    progress.note(f"the last run in this folder was cut off; its work was checked: {found}")


def _refuse_other_film(run: Run) -> None:
    """Raise OutputError unless the existing output is what this run would make."""
    if all(line.current for line in plan(run)):
        film = find_film(run.folder(run.stages[-1], None))
        if is_same(film, run.job.output):
            return
    raise OutputError(
        f"the output {run.job.output} exists already",
        hint="--overwrite replaces it; --out names another",
    )


def _check_film(job: Job, known: Manifest, inputs: Mapping[str, FileDigest]) -> None:
    before = known.inputs.get("video")
    if before and before.sha256 != inputs["video"].sha256 and before.path != job.video.absolute():
        raise WorkError(
            f"the work folder {job.work} belongs to another film, {before.path.name}",
            hint="choose another folder with --work, or delete this one",
        )
