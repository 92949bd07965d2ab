"""A batch before its first frame: jobs from folders or a list, every problem of every job found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dubkit.batch.find_jobs import PATTERNS, Row, pair, read_list
from dubkit.batch.jobs import Entry, Films, Problem, check_verdicts, deal
from dubkit.config.presets import load_config
from dubkit.config.schema import ParallelSettings
from dubkit.errors import DubkitError, UsageError
from dubkit.media.container import FILMS, open_media
from dubkit.media.probe import moving_pictures
from dubkit.pipeline.inputs import check_request
from dubkit.pipeline.job import STAGES
from dubkit.pipeline.request import RunRequest, make_job, result_suffix

SHARED = ("jobs", "backend", "scheduler")  # of parallel: one set of workers does all jobs


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """What is requested of a batch."""

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
    overwrite: bool = False  # as for a single run
    verdicts: Path | None = None  # a verdict file, or a folder of them

    @property
    def work_folder(self) -> Path:
        """Where the jobs' work folders lie."""
        return self.work or self.out / "work"


@dataclass(frozen=True, slots=True)
class Ready:
    """A job that can start."""

    entry: Entry
    seconds: float  # of picture, by the file's head
    frames: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch as it was requested: what can start, what cannot, what is odd."""

    ready: tuple[Ready, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    entries: tuple[Entry, ...]
    parallel: ParallelSettings  # where the whole batch runs


@dataclass(slots=True)
class _Found:
    """The jobs of a batch as they come up."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check(batch: BatchRequest) -> Checked:
    """Find the jobs of a batch and everything that would stop one. Nothing is written.

    Raises UsageError, InputError and ConfigError where there is no batch at all.
    """
    parallel = load_config(batch.presets, batch.settings, batch.flags).parallel
    found = _from_folders(batch) if batch.source.is_dir() else _from_list(batch)
    found.problems += _clashes(found.entries)
    films = Films()
    if batch.verdicts is not None:
        dealt = deal(found.entries, batch.verdicts, films)
        found.entries = dealt.entries
        found.problems += dealt.problems
        found.warnings += dealt.warnings
    bad = {problem.job for problem in found.problems}
    ready: list[Ready] = []
    for entry in found.entries:
        own = entry.request.config.parallel
        other = next((n for n in SHARED if getattr(own, n) != getattr(parallel, n)), None)
        try:
            if other:
                raise UsageError(
                    f"parallel.{other} applies to the whole batch",
                    hint="pass it to dubkit batch itself",
                )
            warnings = check_request(entry.request, STAGES)
            check_verdicts(entry, films)
            seconds, frames = _length(entry.job.video)
        except DubkitError as error:
            found.problems.append(Problem(entry.name, entry.origin, error.message, error.hint))
            continue
        if entry.name not in bad:
            ready.append(Ready(entry, seconds, frames))
            found.warnings += [f"{entry.name}: {warning}" for warning in warnings]
    return Checked(
        tuple(ready), tuple(found.problems), tuple(found.warnings), tuple(found.entries), parallel
    )


def _length(video: Path) -> tuple[float, int]:
    """Seconds and frames of picture, by the file's head."""
    with open_media(video) as film:
        stream = moving_pictures(film, video)
        seconds = float(film.duration or 0) / 1e6
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        return seconds, stream.frames or round(seconds * rate)


def _nothing_fits(batch: BatchRequest, dubs: Path) -> UsageError:
    if not any(path.suffix.lower() in FILMS for path in batch.source.rglob("*")):
        known = ", ".join(sorted(FILMS))
        return UsageError(f"there is no film in {batch.source}", hint=f"films end in {known}")
    patterns = ", ".join(batch.patterns)
    own = "" if batch.dubs else "--dubs names the folder of the dubs; "
    return UsageError(
        f"no dub in {dubs} matches a film in {batch.source}",
        hint=f"{own}dubs are searched as {patterns}; --pattern sets other names",
    )


def _from_folders(batch: BatchRequest) -> _Found:
    dubs = batch.dubs or batch.source
    pairing = pair(batch.source, dubs, batch.patterns)
    if not pairing.pairs and not pairing.unclear:
        raise _nothing_fits(batch, dubs)
    found = _Found()
    for p in pairing.pairs:
        origin = f"{p.audio.relative_to(dubs)}"
        _add(found, batch, p.film, Row(origin, p.video, p.audio, p.script, language=p.language))
    found.problems += [
        Problem(path.name, str(path), f"this dub matches several films: {', '.join(names)}")
        for path, names in pairing.unclear
    ]
    found.warnings += [f"no dub for {path}" for path in pairing.lonely_films]
    found.warnings += [f"no film for {path}" for path in pairing.lonely_dubs]
    return found


def _from_list(batch: BatchRequest) -> _Found:
    found = _Found()
    for row in read_list(batch.source, batch.root):
        _add(found, batch, row.video.stem if row.video else row.origin, row)
    return found


def _add(found: _Found, batch: BatchRequest, film: str, row: Row) -> None:
    """Add the job of a row, or what is wrong with it."""
    name = Path(row.out).with_suffix("").as_posix() if row.out else _name(film, row.language)
    problems = [Problem(name, row.origin, message) for message in row.problems]
    if not problems:
        try:
            request = _request(batch, name, _name(film, row.language or "dubbed"), row)
            found.entries.append(Entry(name, row.origin, row.language, request))
        except DubkitError as error:
            problems = [Problem(name, row.origin, error.message, error.hint)]
    found.problems += problems


def _name(film: str, language: str | None) -> str:
    return f"{film}.{language}" if language else film


def _request(batch: BatchRequest, name: str, stem: str, row: Row) -> RunRequest:
    """The request of job ``name``; ``stem`` names its result where the row does not."""
    assert row.video is not None
    assert row.audio is not None
    spoken = () if row.language is None else (f"speech.language={row.language}",)
    config = load_config(
        (*batch.presets, *row.presets), (*spoken, *batch.settings, *row.settings), batch.flags
    )
    out = batch.out / (row.out or f"{stem}{result_suffix(row.video, config.generate.codec)}")
    if not out.resolve().is_relative_to(batch.out.resolve()):
        raise UsageError(f"out is outside {batch.out}: {row.out}")
    job = make_job(
        *(row.video.absolute(), row.audio.absolute(), config),
        script=row.script and row.script.absolute(),
        out=out.absolute(),
        work=(batch.work_folder / name).absolute(),
        analysis=batch.analysis or batch.work_folder / "analysis",
        verdicts=row.verdicts,
    )
    return RunRequest(
        *(job, config), license=batch.license, overwrite=batch.overwrite, make_folders=True
    )


def _clashes(entries: Sequence[Entry]) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[Path, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.job.output, entry)
        if other is not entry:
            problems.append(
                Problem(
                    entry.name,
                    entry.origin,
                    f"{other.origin} writes the same result, {entry.job.output.name}",
                    "give them languages, or an out column",
                )
            )
    return problems
