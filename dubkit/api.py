"""The public calls, as plain functions: what the command line itself uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dubkit.config.presets import load_config
from dubkit.config.schema import Config
from dubkit.engines.license import check_license
from dubkit.errors import OutputError
from dubkit.media.container import local_path
from dubkit.pipeline.delivery import check_media, length_warning
from dubkit.pipeline.dry_run import PlannedUnit
from dubkit.pipeline.inspect import JobStatus, StageStatus, job_status, verify, write_gate_junit
from dubkit.pipeline.job import plan_job, run_job
from dubkit.pipeline.result import RunResult
from dubkit.pipeline.verdicts import configs, read_verdicts
from dubkit.progress import NoProgress, Progress
from dubkit.records import Job
from dubkit.stages.stitch import check_delivery

__all__ = [
    "JobStatus",
    "PlannedUnit",
    "RunResult",
    "StageStatus",
    "job_status",
    "make_job",
    "plan_job",
    "run",
    "run_job",
    "verify",
]

WRITABLE = (".mp4", ".mov", ".m4v", ".mkv")  # containers that a result can have
_LOSSLESS_SUFFIX = {"ffv1": ".mkv", "prores": ".mov"}  # what mp4 cannot carry


def run(
    video: Path | str,
    audio: Path | str,
    *,
    script: Path | str | None = None,
    out: Path | str | None = None,
    work: Path | str | None = None,
    shots: Path | str | None = None,
    analysis: Path | str | None = None,
    presets: Sequence[str] = (),
    settings: Sequence[str] = (),
    until: str | None = None,
    force: Sequence[str] = (),
    license: str = "any",
    dry_run: bool = False,
    overwrite: bool = False,
    wait: bool = False,
    device: str | None = None,
    jobs: int | None = None,
    verdicts: Path | str | None = None,
    junit: Path | str | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Dub a film: its faces speak the words of ``audio``.

    ``settings`` are ``section.key=value``. The result is ``<video>.dubbed.<suffix>`` beside the
    film unless ``out`` says otherwise; finished work is kept in ``work`` and used again by the same
    call. With ``dry_run`` nothing is done and the result holds the plan; with ``wait``, another
    process in that folder is waited for. ``license="commercial"``
    refuses engines whose weights may not be used for paid work. ``verdicts`` is what a person said of single
    shots (`dubkit.pipeline.verdicts`); ``junit`` is where the gate's findings are written, one case a shot and measure.
    Raises `dubkit.errors.DubkitError`.
    """
    config = load_config(presets, settings, {"parallel.device": device, "parallel.jobs": jobs})
    check_license(license, config)
    job = make_job(
        *(video, audio, config),
        script=script,
        out=out,
        work=work,
        shots=shots,
        analysis=analysis,
        verdicts=verdicts,
    )
    for used in _of_single_shots(job, config):
        check_license(license, used)
    check_delivery(job.output, config.generate.codec)
    if junit is not None and not local_path(junit).parent.is_dir():
        raise OutputError(
            f"there is no folder {local_path(junit).parent} for {Path(junit).name}",
            hint="make it, or choose another --junit",
        )
    check_media(job)
    progress = progress or NoProgress()
    if warning := length_warning(job, config):
        progress.warn(warning)
    try:
        return run_job(
            job,
            config,
            progress=progress,
            until=until,
            force=force,
            overwrite=overwrite,
            dry_run=dry_run,
            wait=wait,
        )
    finally:
        if junit is not None and not dry_run:
            write_gate_junit(local_path(junit), job.work)


def _of_single_shots(job: Job, config: Config) -> Iterable[Config]:
    """The settings of shots that a verdict wants made otherwise."""
    if job.verdicts is None:
        return ()
    return configs(read_verdicts(job.verdicts), config).values()


def make_job(
    video: Path | str,
    audio: Path | str,
    config: Config,
    *,
    script: Path | str | None = None,
    out: Path | str | None = None,
    work: Path | str | None = None,
    shots: Path | str | None = None,
    analysis: Path | str | None = None,
    verdicts: Path | str | None = None,
) -> Job:
    """A job with its defaults: where the result goes, and where the work lies."""
    video = local_path(video)
    output = (
        local_path(out) if out else video.with_name(f"{video.stem}.dubbed{_suffix(video, config)}")
    )
    return Job(
        video=video,
        audio=local_path(audio),
        output=output,
        work=local_path(work) if work else output.with_name(f"{output.stem}.dubkit"),
        script=local_path(script) if script else None,
        shots=local_path(shots) if shots else None,
        analysis=local_path(analysis) if analysis else None,
        verdicts=local_path(verdicts) if verdicts else None,
    )


def _suffix(video: Path, config: Config) -> str:
    needed = _LOSSLESS_SUFFIX.get(config.generate.codec)
    if needed:
        return video.suffix if video.suffix.lower() in (needed, ".mkv") else needed
    return video.suffix if video.suffix.lower() in WRITABLE else ".mp4"
