"""The pipeline: its stages in order, and a job from request to film."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from dubkit.config.schema import ParallelSettings
from dubkit.errors import EXIT_OK, STOPPED, DubkitError, Interrupted, OutputError
from dubkit.parallel import scheduler, workers
from dubkit.pipeline import fingerprint, log
from dubkit.pipeline.dry_run import UnitState, read_shots, unit_states
from dubkit.pipeline.inputs import check_request, open_run, picture_line, space_warning
from dubkit.pipeline.request import RunRequest
from dubkit.pipeline.result import (
    RunResult,
    dubbed_people,
    read_gates,
    shot_ends,
    summarize,
    write_junit,
)
from dubkit.pipeline.runner import Runner
from dubkit.stages import (
    adapt,
    appearance,
    base,
    cast,
    conform,
    faces,
    gate,
    generate,
    probe,
    references,
    shots,
    speech,
    stitch,
    timing,
)
from dubkit.version import __version__
from dubkit.work import lock, manifest, store
from dubkit.work.folder import CONFIG, drop_damaged, explain, open_work, sweep

if TYPE_CHECKING:
    from dubkit.progress import Progress


Key = TypeVar("Key")

STAGES: tuple[base.Stage, ...] = (
    probe.STAGE,
    conform.STAGE,
    shots.STAGE,
    speech.STAGE,  # a script that is not this dub's ends the run before faces are analyzed
    faces.STAGE,
    appearance.STAGE,
    cast.STAGE,
    adapt.STAGE,
    references.STAGE,
    timing.STAGE,
    generate.STAGE,
    gate.STAGE,
    stitch.STAGE,
)


def dry_run(request: RunRequest, stages: Sequence[base.Stage] = STAGES) -> list[UnitState]:
    """What `run_job` would do now, unit by unit, and why; nothing is written. Raises DubkitError."""
    return unit_states(open_run(request, stages))


def run_job(
    request: RunRequest,
    *,
    progress: Progress,
    stages: Sequence[base.Stage] = STAGES,
    cancel: Event | None = None,
) -> RunResult:
    """Check a request and fulfill it. Raises DubkitError; `Interrupted` after Ctrl-C, SIGTERM, or
    once ``cancel`` is set.

    Where another process has the work folder, this one is refused or, if so requested, waits for it.
    """
    told = check_request(request, stages)
    for warning in told:
        progress.warn(warning)
    steps = job_steps(request, progress=progress, stages=stages, told=told)
    with closing(run_jobs([(request, steps)], request.config.parallel, cancel)) as ended:
        return next(ended).result


def run_jobs(
    jobs: Iterable[tuple[Key, scheduler.JobSteps[RunResult]]],
    parallel: ParallelSettings,
    cancel: Event | None = None,
) -> Generator[scheduler.Ended[Key, RunResult], None, None]:
    """Do jobs side by side, all their units in one queue; yields each as it ends.

    Raises `Interrupted` after Ctrl-C, SIGTERM, or once ``cancel`` is set.
    """
    wide = parallel.jobs or workers.cores()
    try:
        with workers.Stop(cancel).installed() as stop:
            schedule: scheduler.Schedule[Key, RunResult] = scheduler.Schedule(
                workers.open_workers(wide, parallel.backend, parallel.scheduler), stop
            )
            with closing(schedule.run(jobs)) as ended:
                yield from ended
    except KeyboardInterrupt:
        raise Interrupted(STOPPED.message, hint=STOPPED.hint) from None


def job_steps(
    request: RunRequest,
    *,
    progress: Progress,
    stages: Sequence[base.Stage] = STAGES,
    told: Collection[str] = (),
) -> scheduler.JobSteps[RunResult]:
    """The steps of a checked request up to its film, to run beside other jobs; warnings ``told`` are not repeated.

    Raises DubkitError.
    """
    began = time.monotonic()
    job = request.job
    try:
        run = _open(request, stages)
        if request.dry_run:
            units = tuple(unit_states(run))
            return RunResult(job.output if run.films else None, EXIT_OK, plan=units)
        if request.make_folders:
            job.output.parent.mkdir(parents=True, exist_ok=True)
        open_work(job.work)
        with lock.hold(job.work, wait=progress.note if request.wait else None) as held:
            log.rotate(job.work)
            progress = log.Logged(job.work, progress, told)
            run = _open(request, stages) if held.waited else run
            log.write(job.work, f"dubkit {__version__}: {job.video} with {job.audio}")
            result = yield from _run_locked(run, progress, began, held, told)
            log.write(job.work, f"ended with code {result.exit_code}: {result.output}")
            return result
    except OSError as error:
        raise explain(error, job.work) from error
    except DubkitError as error:
        if job.work.is_dir():
            log.write(job.work, f"error: {error.message}")
        raise


def _open(request: RunRequest, stages: Sequence[base.Stage]) -> fingerprint.Run:
    """`open_run`; also refuses verdicts on shots that are not there, and a result that this run would not make."""
    run = open_run(request, stages)
    if run.own:
        read_shots(run)
    if run.films and run.job.output.exists() and not (request.overwrite or request.dry_run):
        _refuse_other_film(run)
    return run


def _run_locked(
    run: fingerprint.Run,
    progress: Progress,
    began: float,
    held: lock.Held,
    told: Collection[str],
) -> scheduler.JobSteps[RunResult]:
    job = run.job
    sweep(job.work)
    if held.crashed:
        _distrust(job.work, progress)
        held.crashed = False
    manifest.write_atomic(job.work / CONFIG, run.config.model_dump_json(indent=1).encode() + b"\n")
    named = run.request.named_language
    if named is not None and named[0] == run.config.speech.language:
        progress.note(f"language of the script: {named[0]}, from the name of {named[1]}")
    if stitch.STAGE in run.stages:
        progress.note(picture_line(job, run.config))
    if warning := space_warning(job, run.config):
        progress.warn(warning)
    runner = Runner(run, progress)
    try:
        runner.save()
        yield from runner.do_all()
        if run.films:
            film = find_film(run.folder(run.stages[-1], None))
            if not (job.output.exists() and is_same(film, job.output)):
                deliver(film, job.output)
            for name, target in stitch.beside(job.output).items():
                if (beside := film.with_name(name)).is_file():
                    deliver(beside, target)
    finally:
        sweep(job.work)
        if run.request.junit is not None:
            _report_gate(run, runner)
    ends = shot_ends(run, runner.all_results, runner.names)
    return summarize(
        runner.results.values(),
        output=job.output if run.films else None,
        done=runner.done,
        frames=sum(shot.frames for shot in runner.shots),
        seconds=time.monotonic() - began,
        gates=read_gates(run, runner.results),
        consent=run.consent,
        shots=ends,
        people=dubbed_people(run, runner.results, ends),
        work=job.work,
        told=told,
    )


def _report_gate(run: fingerprint.Run, runner: Runner) -> None:
    """The gate's results as JUnit XML, also of a run that failed or was stopped."""
    assert run.request.junit is not None
    failures = [result for result in runner.all_results.values() if result.error]
    gates = read_gates(run, runner.results)
    write_junit(run.request.junit, gates, failures, f"dubkit run {run.job.name}")


def _distrust(work: Path, progress: Progress) -> None:
    """After a crash or a power cut, believe no finished unit unread."""
    damaged = drop_damaged(work)
    found = f"damaged and redone: {', '.join(damaged)}" if damaged else "all of it is intact"
    progress.note(f"the last run in this folder ended abruptly; its work was checked: {found}")


def _refuse_other_film(run: fingerprint.Run) -> None:
    """Raise OutputError unless the existing output is what this run would make."""
    if all(unit.current for unit in unit_states(run)):
        film = find_film(run.folder(run.stages[-1], None))
        if is_same(film, run.job.output):
            return
    raise OutputError(
        f"the output {run.job.output} exists already",
        hint="--overwrite replaces it; --out names another",
    )


def is_same(film: Path, output: Path) -> bool:
    """Whether the output already is this film, byte for byte."""
    if film.stat().st_size != output.stat().st_size:
        return False
    return film.samefile(output) or store.digest_file(film) == store.digest_file(output)


def find_film(folder: Path) -> Path:
    """The film in the folder of the last stage: its one file named ``film`` with any suffix."""
    films = sorted(folder.glob("film.*"))
    if len(films) != 1:
        raise OutputError(f"{folder} holds {len(films)} films where one was expected")
    return films[0]


def deliver(film: Path, output: Path) -> None:
    """Put the film at its destination in one step: a copy, so that editing it in place spoils no finished work."""
    beside = _beside(output)
    try:
        beside.unlink(missing_ok=True)
        shutil.copyfile(film, beside)
        beside.replace(output)
        manifest.sync(output.absolute().parent)
    except OSError as error:  # which names the file that was read
        raise explain(OSError(error.errno, error.strerror), output) from error
    finally:
        beside.unlink(missing_ok=True)


def _beside(output: Path) -> Path:
    return output.absolute().with_name(f".{output.name}.{os.getpid()}.part")
