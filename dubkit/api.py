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
from dubkit.media.container import local_path, open_media
from dubkit.pipeline.inspect import JobStatus, StageStatus, find_work, job_status, verify_work
from dubkit.pipeline.job import dry_run, run_job
from dubkit.pipeline.request import RunRequest, make_job, music_and_effects
from dubkit.pipeline.result import RunResult
from dubkit.progress import BatchProgress, NoProgress, Progress

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from dubkit.batches.run_batch import BatchResult
    from dubkit.config.schema import Config
    from dubkit.delivery import Delivered
    from dubkit.evaluation.evaluate_films import Evaluation
    from dubkit.media.credentials import Verification
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
    "deliver",
    "dry_run",
    "evaluate",
    "job_status",
    "make_job",
    "music_and_effects",
    "plan",
    "report",
    "run",
    "run_and_deliver",
    "run_job",
    "verify",
    "verify_work",
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
    reuse: Path | str | None = None,
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
    consent: Path | str | None = None,
    me: Path | str | None = None,
    junit: Path | str | None = None,
    deliver: str | None = None,
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
    (`dubkit.pipeline.verdicts`), ``cast`` one of the people in it (`dubkit.faces.people`), ``consent`` one of who of
    them agreed (`dubkit.faces.consent`); ``junit`` is where the gate's results are written, one case for each shot and
    measure. ``me`` is a file of music and effects that are mixed under the dub, or ``track:N`` for a sound track of
    the film. ``reuse`` is the work folder of an earlier cut (or its film or result): shots whose frames and dub are
    still the same are taken over from it. ``deliver="patches"`` also writes what `deliver` does. Raises
    `dubkit.errors.DubkitError`.
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
        reuse=None if reuse is None else find_work(local_path(reuse)),
        verdicts=verdicts,
        cast=cast,
        consent=consent,
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
    progress = progress or NoProgress()
    if deliver is not None:
        return run_and_deliver(request, deliver, progress=progress, cancel=cancel)
    return run_job(request, progress=progress, cancel=cancel)


def run_and_deliver(
    request: RunRequest, kind: str, *, progress: Progress, cancel: Event | None = None
) -> RunResult:
    """Run a job, and deliver its film as ``kind``, which is checked before. Raises DubkitError."""
    from dubkit import delivery

    wanted = delivery.DeliveryRequest(request.job.work, kind=kind, overwrite=True)
    delivery.check_delivery_request(wanted)
    result = run_job(request, progress=progress, cancel=cancel)
    if result.output is not None and not result.plan:
        made = delivery.deliver(wanted, progress)
        progress.note(f"delivered: {made.folder}")
    return result


def deliver(
    work: Path | str,
    out: Path | str | None = None,
    *,
    codec: str = "source",
    handles: int = 8,
    alpha: str = "straight",
    reel: str | None = None,
    timecode: str | None = None,
    edit: Path | str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Delivered:
    """Write patches of the changed shots of the finished job in ``work``, with the lists that conform them.

    ``out`` is the folder, ``FILM.patches`` beside the result by default; ``handles`` are frames. ``codec`` is the
    film's own, one of the setting ``generate.codec``, or ``prores_4444``, ``exr`` or ``png``, which carry the mouth's
    soft mask as ``alpha``, straight or premultiplied. ``edit`` is a new edit of the film, on which the lists put the
    patches. Raises `dubkit.errors.DubkitError`.
    """
    from dubkit import delivery

    request = delivery.DeliveryRequest(
        local_path(work),
        None if out is None else local_path(out),
        codec=codec,
        handles=handles,
        alpha=alpha,
        reel=reel,
        timecode=timecode,
        edit=None if edit is None else local_path(edit),
        overwrite=overwrite,
    )
    return delivery.deliver(request, progress or NoProgress())


def verify(film: Path | str) -> Verification:
    """What a dubbed film says of how it was made, and whether that is true. Raises `dubkit.errors.InputError`."""
    from dubkit.media import credentials
    from dubkit.work.store import digest_file

    path = local_path(film)
    with open_media(path):
        return credentials.verify_film(path, digest_file(path))


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
    consent: Path | str | None = None,
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

    ``cast`` is an earlier cast file, whose names are kept; ``consent`` is where a consent file to fill in is
    written. `run` of the film continues from the analysis. Raises `dubkit.errors.OutputError` where the cast file
    exists already, unless ``overwrite``.
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
        consent=None if consent is None else local_path(consent),
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
    from dubkit.batches.find_jobs import BatchRequest
    from dubkit.batches.pairing import PATTERNS
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
    """Write the review page of a job: one HTML file, beside the result unless ``out`` says otherwise.

    ``work`` is the work folder, or the film or the result that it lies beside; or the output folder of a batch, whose
    page leads to those of all its films.

    ``videos`` of shots are worst, all or none; ``room`` is what they may take, in megabytes. Raises
    `dubkit.errors.DubkitError`.
    """
    from dubkit.batches.jobs import batch_status, outcome_files
    from dubkit.review.report_page import make_overview, make_report

    place, target = local_path(work), None if out is None else local_path(out)
    reporter = progress or NoProgress()
    if outcome_files(place):
        films = batch_status(place)
        return make_overview(
            *(place, films, target), progress=reporter, videos=videos, room=room, jobs=jobs
        )
    return make_report(
        *(find_work(place), target), progress=reporter, videos=videos, room=room, jobs=jobs
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
    """Learn how the person in a film speaks and write the profile ``out``, to be given as ``actor``.

    Raises `dubkit.errors.InputError` where there is too little speech, or where it predicts held-out speech no better;
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
