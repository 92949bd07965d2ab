"""The public calls, as plain functions: what the command line itself uses.

Modules that only one of them needs are loaded when it is called. What a command takes as a flag is a keyword here.
``settings`` are a table (``{"faces": {"which": "all"}}``), or ``section.key=value`` as for ``--set``. ``cancel`` is a
`threading.Event`: once it is set, the call raises `dubkit.errors.Interrupted` as soon as the units under way allow it,
and finished work is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING

from dubkit.config.flags import OF_SETTING, Flags, Settings
from dubkit.config.presets import as_settings, load_config
from dubkit.config.schema import Config
from dubkit.media.container import local_path
from dubkit.pipeline.inspect import JobStatus, StageStatus, job_status, verify
from dubkit.pipeline.job import dry_run, run_job
from dubkit.pipeline.request import RunRequest, make_job, music_and_effects
from dubkit.pipeline.result import RunResult
from dubkit.progress import BatchProgress, NoProgress, Progress

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from dubkit.batches.run_batch import BatchResult
    from dubkit.evaluation.evaluate_films import Evaluation
    from dubkit.planning.film_cast import FilmCast
    from dubkit.planning.film_plan import FilmPlan
    from dubkit.review.report_page import Report
    from dubkit.stages.adapt import PersonResult

__all__ = [
    "JobStatus",
    "RunRequest",
    "RunResult",
    "StageStatus",
    "adapt",
    "batch",
    "cast",
    "dry_run",
    "evaluate",
    "job_status",
    "make_job",
    "music_and_effects",
    "plan",
    "report",
    "run",
    "run_job",
    "verify",
]

logging.getLogger("dubkit").addHandler(logging.NullHandler())


def run(
    video: Path | str,
    audio: Path | str | Sequence[Path | str],
    *,
    mix: Path | str | None = None,
    script: Path | str | None = None,
    out: Path | str | None = None,
    work: Path | str | None = None,
    shots: Path | str | None = None,
    analysis: Path | str | None = None,
    presets: Sequence[str] = (),
    settings: Settings = (),
    until: str | None = None,
    force: Sequence[str] = (),
    license: str = "any",
    dry_run: bool = False,
    overwrite: bool = False,
    wait: bool = False,
    verdicts: Path | str | None = None,
    cast: Path | str | None = None,
    me: Path | str | None = None,
    junit: Path | str | None = None,
    progress: Progress | None = None,
    cancel: Event | None = None,
    **flags: Unpack[Flags],
) -> RunResult:
    """Dub a film: its faces speak the words of ``audio``.

    ``audio`` may be stems, ``["anna=anna.wav", "boris=boris.wav"]``: each person of the cast then follows their own,
    and ``mix`` (or their sum) is what is heard.

    The result is ``<video>.dubbed.<suffix>`` beside the film unless ``out`` says otherwise; finished work is kept in
    ``work`` and used again by the same call. With ``dry_run`` nothing is done and the result holds the state of every
    unit; with ``wait``, another process in that folder is waited for. ``license="commercial"`` refuses engines whose
    weights may not be used for paid work. ``verdicts`` is a file of a person's verdicts on single shots
    (`dubkit.pipeline.verdicts`), ``cast`` one of the people in it (`dubkit.faces.people`); ``junit`` is where the
    gate's results are written, one case for each shot and measure. ``me`` is a file of music and effects that are
    mixed under the dub, or ``track:N`` for a sound track of the film. Raises `dubkit.errors.DubkitError`.
    """
    under, chosen = music_and_effects(me)
    config = _config(video, presets, [*as_settings(settings), *chosen], flags)
    job = make_job(
        *(video, audio, config),
        mix=mix,
        script=script,
        out=out,
        work=work,
        shots=shots,
        analysis=analysis,
        verdicts=verdicts,
        cast=cast,
        me=under,
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
    return run_job(request, progress=progress or NoProgress(), cancel=cancel)


def plan(
    video: Path | str,
    audio: Path | str | Sequence[Path | str],
    *,
    mix: Path | str | None = None,
    script: Path | str | None = None,
    out: Path | str | None = None,
    work: Path | str | None = None,
    shots: Path | str | None = None,
    analysis: Path | str | None = None,
    presets: Sequence[str] = (),
    settings: Settings = (),
    cast: Path | str | None = None,
    picture: Path | str | None = None,
    progress: Progress | None = None,
    **flags: Unpack[Flags],
) -> FilmPlan:
    """Analyze a film shot by shot before it is dubbed; `run` with the same arguments continues from it.

    ``picture`` is where a PNG with all shots is written. Raises `dubkit.errors.DubkitError`.
    """
    from dubkit.planning.film_plan import plan_film

    config = _config(video, presets, settings, flags)
    job = make_job(
        *(video, audio, config),
        mix=mix,
        script=script,
        out=out,
        work=work,
        shots=shots,
        analysis=analysis,
        cast=cast,
    )
    sheet = None if picture is None else local_path(picture)
    return plan_film(RunRequest(job, config), progress=progress or NoProgress(), picture=sheet)


def cast(
    video: Path | str,
    *,
    cast: Path | str | None = None,
    out: Path | str | None = None,
    work: Path | str | None = None,
    shots: Path | str | None = None,
    analysis: Path | str | None = None,
    presets: Sequence[str] = (),
    settings: Settings = (),
    overwrite: bool = False,
    progress: Progress | None = None,
    **flags: Unpack[Flags],
) -> FilmCast:
    """Find the people of a film: a cast file to edit, ``<video>.cast.toml`` unless ``out`` says otherwise, and a
    contact sheet beside it.

    ``cast`` is an earlier cast file, whose names are kept. `run` of the film continues from the analysis. Raises
    `dubkit.errors.OutputError` where the cast file exists already, unless ``overwrite``.
    """
    from dubkit.planning.film_cast import make_cast

    return make_cast(
        *(video, _config(video, presets, settings, flags)),
        progress=progress or NoProgress(),
        out=None if out is None else local_path(out),
        work=work,
        shots=shots,
        analysis=analysis,
        known=cast,
        overwrite=overwrite,
    )


def batch(
    source: Path | str,
    out: Path | str,
    *,
    dubs: Path | str | None = None,
    patterns: Sequence[str] | None = None,
    root: Path | str | None = None,
    work: Path | str | None = None,
    analysis: Path | str | None = None,
    presets: Sequence[str] = (),
    settings: Settings = (),
    license: str = "any",
    overwrite: bool = False,
    verdicts: Path | str | None = None,
    retry_failed: bool = False,
    skip_invalid: bool = False,
    progress: BatchProgress | None = None,
    cancel: Event | None = None,
    **flags: Unpack[Flags],
) -> BatchResult:
    """Dub all films of a folder, or of a job list, into ``out``; jobs that are done are skipped.

    A job that fails stops no other: see the result's ``outcomes``. Raises `dubkit.errors.UsageError` where jobs are
    invalid, unless ``skip_invalid``, and other `dubkit.errors.DubkitError` where there is no batch at all.
    """
    from dubkit.batches.find_jobs import PATTERNS, BatchRequest
    from dubkit.batches.run_batch import open_batch, run_batch

    paths = {"dubs": dubs, "root": root, "work": work, "analysis": analysis, "verdicts": verdicts}
    request = BatchRequest(
        source=local_path(source),
        out=local_path(out),
        patterns=patterns or PATTERNS,
        presets=presets,
        settings=as_settings(settings),
        flags=_of_settings(flags),
        license=license,
        overwrite=overwrite,
        **{name: None if path is None else local_path(path) for name, path in paths.items()},
    )
    return run_batch(
        open_batch(request),
        progress or NoProgress(),
        retry_failed=retry_failed,
        skip_invalid=skip_invalid,
        cancel=cancel,
    )


def report(
    work: Path | str,
    out: Path | str | None = None,
    *,
    videos: str = "worst",
    room: float = 48.0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Write the review page of the job in ``work``: one HTML file, beside the result unless ``out`` says otherwise.

    ``videos`` of shots are worst, all or none; ``room`` is what they may take, in megabytes. Raises
    `dubkit.errors.DubkitError`.
    """
    from dubkit.review.report_page import make_report

    target = None if out is None else local_path(out)
    return make_report(
        *(local_path(work), target),
        progress=progress or NoProgress(),
        videos=videos,
        room=room,
        jobs=jobs,
    )


def evaluate(
    result: Path | str,
    reference: Path | str | None = None,
    *,
    audio: Path | str | None = None,
    script: Path | str | None = None,
    work: Path | str | None = None,
    same_words: bool = True,
    presets: Sequence[str] = (),
    settings: Settings = (),
    progress: Progress | None = None,
    **flags: Unpack[Flags],
) -> Evaluation:
    """Measure a dubbed film: lips, sync, and its pictures against those of ``reference``, the film that was dubbed.

    Without ``audio`` the film's own sound is what should be spoken. ``same_words`` says that the reference speaks the
    same, so that lips can be compared. The analysis is kept in ``work``, or nowhere. Raises
    `dubkit.errors.DubkitError`.
    """
    from dubkit.evaluation.evaluate_films import evaluate as measure

    config = _config(result, presets, settings, flags)
    paths = {"reference": reference, "audio": audio, "script": script}
    with TemporaryDirectory(prefix="dubkit-evaluate-") as scratch:
        return measure(
            local_path(result),
            config,
            Path(scratch) if work is None else local_path(work),
            progress or NoProgress(),
            same_sound=same_words,
            **{name: None if path is None else local_path(path) for name, path in paths.items()},
        )


def adapt(
    video: Path | str,
    out: Path | str,
    *,
    work: Path | str | None = None,
    shots: Path | str | None = None,
    presets: Sequence[str] = (),
    settings: Settings = (),
    overwrite: bool = False,
    progress: Progress | None = None,
    **flags: Unpack[Flags],
) -> PersonResult:
    """Tune the generator to the person in a film and write the profile ``out``, to be given as ``actor``.

    Raises `dubkit.errors.InputError` where there is too little speech, or where tuning made held-out speech no better;
    then no profile is written.
    """
    from dubkit.pipeline.actor_profile import make_profile

    given = [f"{path}={value}" for path, value in _of_settings(flags).items() if value is not None]
    return make_profile(
        *(video, out),
        work=work,
        shots=shots,
        presets=presets,
        settings=[*as_settings(settings), *given],
        overwrite=overwrite,
        progress=progress,
    )


def _config(video: Path | str, presets: Sequence[str], settings: Settings, flags: Flags) -> Config:
    return load_config(
        presets, as_settings(settings), _of_settings(flags), folder=local_path(video).parent
    )


def _of_settings(flags: Flags) -> dict[str, object]:
    """Keywords as settings by their dotted paths. Raises TypeError for one that there is not."""
    given: Mapping[str, object] = {**flags}
    for name in given:
        if name not in OF_SETTING:
            raise TypeError(f"there is no keyword {name!r}; known: {', '.join(OF_SETTING)}")
    return {
        OF_SETTING[name]: str(local_path(value)) if isinstance(value, Path) else value
        for name, value in given.items()
    }
