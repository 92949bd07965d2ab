"""A batch before its first frame: jobs from folders or a list, every problem of every job found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubkit.api import make_job
from dubkit.batch.find_jobs import PATTERNS, Row, pair, read_list
from dubkit.batch.jobs import Entry, Films, Problem, check_verdicts, deal, under
from dubkit.config.presets import load_config
from dubkit.config.schema import Config, ParallelSettings
from dubkit.engines.license import check_license
from dubkit.errors import DubkitError, UsageError
from dubkit.media.container import FILMS, open_media
from dubkit.media.probe import moving_pictures
from dubkit.pipeline.delivery import check_media, length_warning
from dubkit.records import Job
from dubkit.stages.stitch import check_delivery

SHARED = ("jobs", "backend", "scheduler")  # of parallel: one set of workers does all jobs


@dataclass(frozen=True, slots=True)
class Request:
    """What a batch was asked for."""

    source: Path  # a folder of films, or a job list
    out: Path
    dubs: Path | None = None  # folder of dubs; the films' own where not given
    patterns: Sequence[str] = PATTERNS
    root: Path | None = None  # folder that a job list's paths may not leave
    work: Path | None = None
    analysis: Path | None = None  # in the work folder where not given
    presets: Sequence[str] = ()
    settings: Sequence[str] = ()
    flags: Mapping[str, object] | None = None
    license: str = "any"  # as for a single run
    verdicts: Path | None = None  # a verdict file, or a folder of them


@dataclass(frozen=True, slots=True)
class Ready:
    """A job that can start."""

    entry: Entry
    job: Job
    config: Config
    seconds: float  # of picture, as the file's head tells
    frames: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch as it was asked for: what can start, what cannot, what is odd."""

    ready: tuple[Ready, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    entries: tuple[Entry, ...]
    parallel: ParallelSettings  # where the whole batch runs


def check(request: Request) -> Checked:
    """Find the jobs of a batch and everything that would stop one. Nothing is written.

    Raises UsageError and InputError where there is no batch at all.
    """
    if request.source.is_dir():
        entries, problems, warnings = _from_folders(request)
    else:
        entries, problems, warnings = _from_list(request)
    problems += _clashes(entries)
    films = Films()
    if request.verdicts is not None:
        dealt = deal(entries, request.verdicts, films)
        entries = dealt.entries
        problems += dealt.problems
        warnings += dealt.warnings
    parallel = load_config(request.presets, request.settings, request.flags).parallel
    bad = {problem.job for problem in problems}
    ready: list[Ready] = []
    for entry in entries:
        try:
            found = _examine(entry, request, films)
        except DubkitError as error:
            problems.append(Problem(entry.name, entry.origin, error.message, error.hint))
            continue
        own = [
            name
            for name in SHARED
            if getattr(found.config.parallel, name) != getattr(parallel, name)
        ]
        if own:
            text = f"parallel.{own[0]} is one for the whole batch"
            problems.append(
                Problem(entry.name, entry.origin, text, "give it to dubkit batch itself")
            )
        elif entry.name not in bad:
            ready.append(found)
            if warning := length_warning(found.job, found.config):
                warnings.append(f"{entry.name}: {warning}")
    return Checked(tuple(ready), tuple(problems), tuple(warnings), tuple(entries), parallel)


def _nothing_fits(request: Request, dubs: Path) -> UsageError:
    if not any(path.suffix.lower() in FILMS for path in request.source.rglob("*")):
        known = ", ".join(sorted(FILMS))
        return UsageError(f"there is no film in {request.source}", hint=f"films end in {known}")
    patterns = ", ".join(request.patterns)
    own = "" if request.dubs else "--dubs names the folder of the dubs; "
    return UsageError(
        f"no dub in {dubs} fits a film in {request.source}",
        hint=f"{own}a dub is looked for as {patterns}; --pattern names another way",
    )


def _from_folders(request: Request) -> tuple[list[Entry], list[Problem], list[str]]:
    dubs = request.dubs or request.source
    found = pair(request.source, dubs, request.patterns)
    if not found.pairs and not found.unclear:
        raise _nothing_fits(request, dubs)
    entries = [
        under(
            _entry(
                request,
                p.film,
                p.video,
                p.audio,
                f"{p.audio.relative_to(dubs)}",
                p.script,
                p.language,
            ),
            request.presets,
            request.settings,
        )
        for p in found.pairs
    ]
    problems = [
        Problem(path.name, str(path), f"this dub fits several films: {', '.join(names)}")
        for path, names in found.unclear
    ]
    warnings = [f"no dub for {path}" for path in found.lonely_films]
    warnings += [f"no film for {path}" for path in found.lonely_dubs]
    return entries, problems, warnings


def _from_list(request: Request) -> tuple[list[Entry], list[Problem], list[str]]:
    entries: list[Entry] = []
    problems: list[Problem] = []
    for row in read_list(request.source, request.root):
        name = _row_name(row)
        problems += [Problem(name, row.origin, message) for message in row.problems]
        if row.video is None or row.audio is None or row.problems:
            continue
        film = row.video.stem
        entry = _entry(
            request, film, row.video, row.audio, row.origin, row.script, row.language, row.out
        )
        if not entry.output.resolve().is_relative_to(request.out.resolve()):
            problems.append(Problem(name, row.origin, f"out lies outside {request.out}: {row.out}"))
            continue
        entry = under(replace(entry, verdicts=row.verdicts), row.presets, row.settings)
        entries.append(under(entry, request.presets, request.settings))
    return entries, problems, []


def _row_name(row: Row) -> str:
    if row.out:
        return Path(row.out).with_suffix("").as_posix()
    return _name(row.video.stem if row.video else row.origin, row.language)


def _name(film: str, language: str | None) -> str:
    return f"{film}.{language}" if language else film


def _entry(
    request: Request,
    film: str,
    video: Path,
    audio: Path,
    origin: str,
    script: Path | None,
    language: str | None,
    out: str | None = None,
) -> Entry:
    suffix = video.suffix if video.suffix.lower() in (".mp4", ".mov", ".m4v", ".mkv") else ".mp4"
    output = request.out / (out or f"{_name(film, language or 'dubbed')}{suffix}")
    name = Path(out).with_suffix("").as_posix() if out else _name(film, language)
    work = (request.work or request.out / "work") / name
    return Entry(
        name=name,
        video=video.absolute(),
        audio=audio.absolute(),
        origin=origin,
        output=output.absolute(),
        work=work.absolute(),
        script=script.absolute() if script else None,
        language=language,
    )


def _clashes(entries: Sequence[Entry]) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[Path, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.output, entry)
        if other is not entry:
            problems.append(
                Problem(
                    entry.name,
                    entry.origin,
                    f"{other.origin} writes the same result, {entry.output.name}",
                    "give them languages, or an out column",
                )
            )
    return problems


def _examine(entry: Entry, request: Request, films: Films) -> Ready:
    config = load_config(entry.presets, entry.all_settings(), request.flags)
    check_license(request.license, config)
    job = make_job(
        entry.video,
        entry.audio,
        config,
        script=entry.script,
        out=entry.output,
        work=entry.work,
        analysis=request.analysis or (request.work or request.out / "work") / "analysis",
        verdicts=entry.verdicts,
    )
    check_media(job)
    check_delivery(job.output, config.generate.codec)
    with open_media(entry.video) as film:
        stream = moving_pictures(film, entry.video)
        seconds = float(film.duration or 0) / 1e6
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        frames = stream.frames or round(seconds * rate)
    check_verdicts(entry, job, config, request.license, films)
    return Ready(entry, job, config, seconds, frames)
