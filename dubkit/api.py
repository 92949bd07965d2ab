"""The public calls, as plain functions: what the command line itself uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubkit.config.presets import load_config
from dubkit.media.container import local_path
from dubkit.pipeline.dry_run import UnitState
from dubkit.pipeline.inspect import JobStatus, StageStatus, job_status, verify
from dubkit.pipeline.job import dry_run, run_job
from dubkit.pipeline.request import RunRequest, make_job
from dubkit.pipeline.result import RunResult
from dubkit.progress import NoProgress, Progress

__all__ = [
    "JobStatus",
    "RunRequest",
    "RunResult",
    "StageStatus",
    "UnitState",
    "dry_run",
    "job_status",
    "make_job",
    "run",
    "run_job",
    "verify",
]


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
    call. With ``dry_run`` nothing is done and the result holds the state of every unit; with ``wait``, another
    process in that folder is waited for. ``license="commercial"`` refuses engines whose weights may not be used for
    paid work. ``verdicts`` is a file of a person's verdicts on single shots (`dubkit.pipeline.verdicts`); ``junit``
    is where the gate's results are written, one case for each shot and measure. Raises `dubkit.errors.DubkitError`.
    """
    config = load_config(
        presets,
        settings,
        {"parallel.device": device, "parallel.jobs": jobs},
        folder=local_path(video).parent,
    )
    job = make_job(
        *(video, audio, config),
        script=script,
        out=out,
        work=work,
        shots=shots,
        analysis=analysis,
        verdicts=verdicts,
    )
    request = RunRequest(
        *(job, config),
        until=until,
        force=tuple(force),
        license=license,
        junit=None if junit is None else local_path(junit),
        dry_run=dry_run,
        overwrite=overwrite,
        wait=wait,
    )
    return run_job(request, progress=progress or NoProgress())
