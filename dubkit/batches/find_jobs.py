"""The jobs of a batch, from folders or a job list, with every problem of every job found before the first frame.

A job list is a CSV table, or TOML with one ``[[job]]`` each. Its paths are relative to the list's folder, or to
``root``, and may not leave it: a list may come from elsewhere.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dubkit.batches.jobs import Entry, Films, Problem, check_verdicts, deal
from dubkit.batches.pairing import PATTERNS, pair
from dubkit.config.presets import load_config
from dubkit.config.schema import ParallelSettings
from dubkit.errors import DubkitError, InputError, UsageError
from dubkit.media import container, probe
from dubkit.pipeline.inputs import check_request
from dubkit.pipeline.job import STAGES
from dubkit.pipeline.request import RunRequest, likely_suffix, make_job

COLUMNS = ("video", "audio", "script", "cast", "verdicts", "language", "preset", "out", "stem.NAME")
_FILES = ("video", "audio", "script", "cast", "verdicts")
_STEM = "stem."  # begins the columns of stems, each with a name of the cast
_MOST = 100_000  # jobs
_LARGEST = 64 * 2**20  # bytes of a list


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list as it was written, its paths made absolute."""

    origin: str
    video: Path | None
    audio: Path | None
    script: Path | None = None
    verdicts: Path | None = None
    cast: Path | None = None
    stems: tuple[tuple[str, Path], ...] = ()  # the speech of single people; ``audio`` is their mix
    language: str | None = None
    presets: tuple[str, ...] = ()
    out: str | None = None  # relative to the batch's output folder
    settings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    paths: dict[str, Path | None] = field(default_factory=dict)
    stems: list[tuple[str, Path]] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_list(path: Path, root: Path | None = None) -> list[Row]:
    """The rows of a ``.csv`` or ``.toml`` list. Raises InputError where it cannot be read at all."""
    if not path.exists():
        raise InputError(f"there is no folder or job list {path}")
    if path.suffix.lower() not in (".csv", ".toml"):
        raise InputError(
            f"{path} is neither a folder nor a job list", hint="lists end in .csv or .toml"
        )
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"the job list {path} is too large", hint="split it")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the job list {path} is not UTF-8", hint="save it as UTF-8") from error
    except OSError as error:
        raise InputError(f"the job list {path} cannot be read: {error.strerror}") from error
    tables = _csv_tables(path, text) if path.suffix.lower() == ".csv" else _toml_tables(path, text)
    base = (root or path.parent).resolve()
    rows = [_row(origin, table, base) for origin, table in tables]
    if not rows:
        raise InputError(f"the job list {path} holds no jobs")
    if len(rows) > _MOST:
        raise InputError(f"the job list {path} holds over {_MOST:,} jobs", hint="split it")
    return rows


def _csv_tables(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    head = text.splitlines()[0] if text.strip() else ""
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in head else ",", strict=True)
    try:
        columns = set(reader.fieldnames or ())
    except csv.Error as error:
        raise InputError(f"the first line of {path} is not CSV: {error}") from error
    if not {"video", "audio"} <= columns:
        raise InputError(
            f"the first line of {path} does not name its columns",
            hint=f"columns: {', '.join(COLUMNS)}, or any setting as section.key",
        )
    try:
        for line in reader:
            spare = line.pop(None, None)
            if any(value and value.strip() for value in line.values()):
                table: dict[str, Any] = {
                    key.strip(): value.strip() for key, value in line.items() if value
                }
                if spare:
                    table[f"more than {len(reader.fieldnames or ())} columns"] = "x"
                yield f"{path.name} line {reader.line_num}", table
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num} is not CSV: {error}") from error


def _toml_tables(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        table = tomllib.loads(text)
    except ValueError as error:
        raise InputError(f"the job list {path} is not valid TOML: {error}") from error
    except RecursionError as error:
        raise InputError(f"the job list {path} is nested too deeply") from error
    shared = table.pop("defaults", {})
    jobs = table.pop("job", [])
    good = isinstance(shared, dict) and isinstance(jobs, list)
    if table or not good or not all(isinstance(job, dict) for job in jobs):
        raise InputError(
            f"the job list {path} contains something other than [[job]] tables",
            hint="write a [[job]] with video and audio for each, and [defaults] for what they share",
        )
    for number, job in enumerate(jobs, 1):
        yield f"{path.name} job {number}", {**shared, **job}


def _row(origin: str, table: Mapping[str, Any], base: Path) -> Row:
    draft = _Draft()
    for key, value in table.items():
        if key in _FILES:
            draft.paths[key] = _path(key, value, base, draft.problems)
        elif key == _STEM[:-1] and isinstance(value, Mapping):
            _add_stems(draft, value, base)
        elif key.startswith(_STEM):
            _add_stems(draft, {key.removeprefix(_STEM): value}, base)
        elif key not in COLUMNS:
            draft.settings += _settings(key, value, draft.problems)
    for key in ("video", "audio"):
        if key not in table and not (key == "audio" and draft.stems):
            draft.problems.append(f"no {key} is given")
    return Row(
        origin=origin,
        video=draft.paths.get("video"),
        audio=draft.paths.get("audio"),
        script=draft.paths.get("script"),
        verdicts=draft.paths.get("verdicts"),
        cast=draft.paths.get("cast"),
        stems=tuple(draft.stems),
        language=_text("language", table, draft.problems),
        presets=_names(table.get("preset"), base, draft.problems),
        out=_text("out", table, draft.problems),
        settings=tuple(draft.settings),
        problems=tuple(draft.problems),
    )


def _add_stems(draft: _Draft, stems: Mapping[str, Any], base: Path) -> None:
    for name, value in stems.items():
        path = _path(f"{_STEM}{name}", value, base, draft.problems)
        draft.stems += [(name, path)] if path else []


def _path(key: str, value: object, base: Path, problems: list[str]) -> Path | None:
    if not isinstance(value, str) or not value or "\0" in value:
        problems.append(f"{key} is not a path: {value!r}")
        return None
    path = base / value
    if not path.resolve().is_relative_to(base):
        problems.append(f"{key} is outside {base}: {value}; --root names a wider folder")
        return None
    return path


def _text(key: str, table: Mapping[str, Any], problems: list[str]) -> str | None:
    value = table.get(key)
    if value is None or isinstance(value, str):
        return value or None
    problems.append(f"{key} is not text: {value!r}")
    return None


def _names(value: object, base: Path, problems: list[str]) -> tuple[str, ...]:
    """Presets: ``name``, ``name+name`` or a list; a TOML file is a path like any other here."""
    names = (value or "").split("+") if value is None or isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        problems.append(f"preset is neither a name nor a list of names: {value!r}")
        return ()
    named = [name.strip() for name in names if name.strip()]
    paths = [
        _path("preset", name, base, problems) if "/" in name or name.endswith(".toml") else name
        for name in named
    ]
    return tuple(str(name) for name in paths if name)


def _settings(key: str, value: object, problems: list[str]) -> list[str]:
    """A column ``generate.amplitude``, or a TOML table ``[job.generate]``, as ``section.key=value``."""
    if isinstance(value, Mapping):
        return [
            text for inner, v in value.items() for text in _settings(f"{key}.{inner}", v, problems)
        ]
    if key.count(".") != 1:
        problems.append(f"there is no column {key!r}; known: {', '.join(COLUMNS)}, or section.key")
        return []
    return [f"{key}={str(value).lower() if isinstance(value, bool) else value}"]


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
    around = batch.source if batch.source.is_dir() else batch.source.parent
    parallel = load_config(batch.presets, batch.settings, batch.flags, folder=around).parallel
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
    with container.open_media(video) as film:
        stream = probe.moving_pictures(film, video)
        seconds = float(film.duration or 0) / 1e6
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        return seconds, stream.frames or round(seconds * rate)


def _nothing_fits(batch: BatchRequest, dubs: Path) -> UsageError:
    if not any(path.suffix.lower() in container.FILMS for path in batch.source.rglob("*")):
        known = ", ".join(sorted(container.FILMS))
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
        row = Row(origin, p.video, p.audio if p.mixed else None, p.script, cast=p.cast)
        _add(found, batch, p.film, replace(row, stems=p.stems, language=p.language))
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
    sounds = [f"{name}={path.absolute()}" for name, path in row.stems]
    spoken = () if row.language is None else (f"speech.language={row.language}",)
    config = load_config(
        (*batch.presets, *row.presets),
        (*spoken, *batch.settings, *row.settings),
        batch.flags,
        folder=row.video.parent,
    )
    out = batch.out / (row.out or f"{stem}{likely_suffix(row.video, config)}")
    if not out.resolve().is_relative_to(batch.out.resolve()):
        raise UsageError(f"out is outside {batch.out}: {row.out}")
    job = make_job(
        *(row.video.absolute(), sounds or str(row.audio and row.audio.absolute()), config),
        script=row.script and row.script.absolute(),
        cast=row.cast and row.cast.absolute(),
        mix=row.audio.absolute() if sounds and row.audio else None,
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
