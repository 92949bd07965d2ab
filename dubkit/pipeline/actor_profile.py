"""Make an actor's profile of a film: everything up to the stage ``adapt``, and its result as a file of its own.

Alone because it is a command of its own, ``dubkit adapt``, which no run needs.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from dubkit.config.presets import load_config
from dubkit.errors import InputError, OutputError
from dubkit.media.container import local_path
from dubkit.pipeline.job import run_job
from dubkit.pipeline.request import RunRequest, make_job
from dubkit.progress import NoProgress, Progress
from dubkit.records import Job
from dubkit.stages import adapt, appearance, cast, faces, probe, shots
from dubkit.stages.adapt import RESULT, AdaptResult, PersonResult
from dubkit.work.manifest import read_manifest, write_atomic
from dubkit.work.store import read_record, short

SUFFIX = ".safetensors"
_STAGES = (
    *(probe.STAGE, shots.STAGE, faces.STAGE),
    *(appearance.STAGE, cast.STAGE, adapt.STAGE),
)  # none of them reads a dub


def make_profile(
    video: Path | str,
    out: Path | str,
    *,
    work: Path | str | None = None,
    shots: Path | str | None = None,
    presets: Sequence[str] = (),
    settings: Sequence[str] = (),
    overwrite: bool = False,
    device: str | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> PersonResult:
    """Learn how the person in a film speaks and write the profile ``out``.

    Raises InputError where there is too little speech, or where it predicts held-out speech no better; then no
    profile is written. Raises other `dubkit.errors.DubkitError` as a run does.
    """
    video, out = local_path(video), local_path(out)
    if out.suffix != SUFFIX:
        out = out.with_name(out.name + SUFFIX)
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists already", hint="--overwrite replaces it")
    if not out.parent.is_dir():
        raise OutputError(
            f"there is no folder {out.parent} for {out.name}",
            hint="create it, or choose another --out",
        )
    given = {"parallel.device": device, "parallel.jobs": jobs}
    settings = ["adapt.persons=one", *settings, "adapt.enabled=true"]
    config = load_config(presets, settings, given, folder=video.parent)
    folder = local_path(work) if work else out.with_suffix(".dubkit")
    job = make_job(video, video, config, work=folder, shots=shots)  # the film is its own dub
    try:
        run_job(RunRequest(job, config), progress=progress or NoProgress(), stages=_STAGES)
    except InputError:
        if work is None:  # nobody asked for it, and there is nothing to go on with
            shutil.rmtree(folder, ignore_errors=True)
        raise
    result = _result(job)
    persons = read_record(result / RESULT, AdaptResult).persons
    person = max(persons, key=lambda p: (p.kept, p.seconds))
    if person.profile is not None:
        write_atomic(out, (result / person.profile).read_bytes())
    if work is None:
        shutil.rmtree(folder, ignore_errors=True)
    if person.profile is None:
        raise InputError(
            f"no profile was written: with {person.seconds:.0f} s of speech, the lips follow held-out speech not "
            f"surely better (correlation {person.before:.2f} -> {person.after:.2f})",
            hint="use footage with more speech of this person",
        )
    return person


def _result(job: Job) -> Path:
    """The published folder of the stage adapt."""
    manifest = read_manifest(job.work)
    if manifest is None:
        raise InputError(f"{job.work} contains no work")
    source = f"video-{short(manifest.inputs['video'].sha256)}"
    return job.work / source / adapt.STAGE.name / "job"
