"""The jobs of a batch: what is requested, what is wrong with it, and how each ended (``batch.json``)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from dubkit.errors import DubkitError, UsageError, WorkError
from dubkit.pipeline import dry_run, inputs, verdicts
from dubkit.pipeline.job import STAGES
from dubkit.pipeline.request import RunRequest
from dubkit.records import Job
from dubkit.work import cleanup, lock, store
from dubkit.work.manifest import read_manifest, write_atomic


@dataclass(frozen=True, slots=True)
class Entry:
    """One job of a batch: what is requested, and where that was found."""

    name: str  # film and language; unique in its batch
    origin: str  # for messages: ``jobs.csv line 3``
    language: str | None
    request: RunRequest

    @property
    def job(self) -> Job:
        return self.request.job


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a job cannot be done, found before the first frame."""

    job: str
    origin: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` of ``count``, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``2/8``. Raises UsageError."""
        found = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(
                f"{text!r} is not a shard", hint="write --shard 1/4, up to --shard 4/4"
            )
        return cls(int(found[1]), int(found[2]))


def take_shard(
    entries: Sequence[Entry], shard: Shard | None, weight: Mapping[str, float]
) -> list[Entry]:
    """The entries of a shard. Films are dealt out whole, longest first, to the shard that has least.

    All dubs of a film fall into one shard, so that its analysis is done once; every shard that sees the same
    entries and weights (seconds by job name) deals alike.
    """
    if shard is None:
        return list(entries)
    films: dict[Path, float] = {}
    for entry in entries:
        films[entry.job.video] = films.get(entry.job.video, 0.0) + weight.get(entry.name, 1.0)
    load = [0.0] * shard.count
    home: dict[Path, int] = {}
    for film in sorted(films, key=lambda film: (-films[film], str(film))):
        home[film] = load.index(min(load))
        load[home[film]] += films[film]
    return [entry for entry in entries if home[entry.job.video] == shard.number - 1]


SUFFIX = ".verdicts.json"  # after the job's name: as a report's page calls the file


@dataclass(slots=True)
class Dealt:
    """The entries with the verdict files that are theirs, and what is wrong with the others."""

    entries: list[Entry]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Films:
    """The films of a batch by what is in them; each is read once, and not where a manifest knows it already."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def sha256(self, entry: Entry) -> str:
        """Of an entry's film. Raises InputError and WorkError."""
        if entry.job.video not in self._known:
            manifest = read_manifest(entry.job.work) if entry.job.work.is_dir() else None
            known = manifest.inputs.get("video") if manifest else None
            self._known[entry.job.video] = inputs.digest_input(entry.job.video, known).sha256
        return self._known[entry.job.video]


def deal(entries: Sequence[Entry], given: Path, films: Films) -> Dealt:
    """Give each entry the verdict file of its film, from the file ``given`` or from those in that folder.

    Of several files of one film, a job takes the one that is named
    after it, as its report named it; a file that is named after one job is no other's. An entry that has
    a file of its own keeps it. Raises UsageError where there is no such file or folder.
    """
    files, problems = _read(given)
    own = {f"{entry.job.output.stem}{SUFFIX}" for entry in entries}
    found = Dealt([], problems)
    used: set[Path] = set()
    for entry in entries:
        of_film = files.get(_film(entry, films), []) if entry.job.verdicts is None else []
        named = [path for path in of_film if path.name == f"{entry.job.output.stem}{SUFFIX}"]
        fits = named or [path for path in of_film if path.name not in own]
        used.update(fits)
        if len(fits) > 1:
            names = ", ".join(path.name for path in fits)
            hint = (
                f"name one {entry.job.output.stem}{SUFFIX}, or add a column verdicts to a job list"
            )
            text = f"several verdict files are for its film: {names}"
            found.problems.append(Problem(entry.name, entry.origin, text, hint))
        found.entries.append(_with_verdicts(entry, fits[0]) if fits else entry)
    rest = [path for paths in files.values() for path in paths if path not in used]
    found.warnings += [f"no job for the verdicts in {path}" for path in sorted(rest)]
    return found


def _with_verdicts(entry: Entry, path: Path) -> Entry:
    job = replace(entry.job, verdicts=path)
    return replace(entry, request=replace(entry.request, job=job))


def _film(entry: Entry, films: Films) -> str:
    """An entry's film; nothing where it cannot be read, which the check of the job reports."""
    try:
        return films.sha256(entry)
    except DubkitError:
        return ""


def _read(given: Path) -> tuple[dict[str, list[Path]], list[Problem]]:
    """The verdict files by the film that they are of, and those that are none."""
    paths = sorted(given.glob("*.json")) if given.is_dir() else [given]
    if not given.exists() or not paths:
        raise UsageError(
            f"there are no verdict files in {given}" if given.exists() else f"there is no {given}",
            hint="--verdicts takes a verdict file of a report, or a folder of them",
        )
    files: dict[str, list[Path]] = defaultdict(list)
    problems: list[Problem] = []
    for path in paths:
        try:
            files[verdicts.read_verdicts(path).film].append(path.absolute())
        except DubkitError as error:
            problems.append(Problem(path.name, str(path), error.message, error.hint))
    return files, problems


def check_verdicts(entry: Entry, films: Films) -> None:
    """Raise DubkitError for a verdict file of another film, or of shots that the film is known not to have."""
    job = entry.job
    if job.verdicts is None:
        return
    verdicts.check_film(
        verdicts.read_verdicts(job.verdicts), job.verdicts, films.sha256(entry), job.video.name
    )
    if job.work.is_dir() and read_manifest(job.work) is not None:
        dry_run.read_shots(inputs.open_run(entry.request, STAGES))


VERSION = 1
KIND = "dubkit batch"
State = Literal["done", "partial", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended."""

    name: str
    state: State
    exit_code: int
    output: Path
    asked: str  # digest of the request: files, settings, version
    made: str = ""  # size and time of the result as it was left
    seconds: float = 0.0
    worked: float = 0.0  # seconds of workers, over all tries of the same request
    frames: int = 0
    error: str | None = None
    hint: str | None = None
    kept: tuple[str, ...] = ()  # shots with their original picture, and why
    warnings: tuple[str, ...] = ()
    work: Path | None = None  # its work folder


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """What ``batch.json`` holds: all outcomes known, by job name."""

    outcomes: Mapping[str, Outcome]
    version: int
    kind: str


_RECORD: TypeAdapter[BatchRecord] = TypeAdapter(BatchRecord)


def record_path(folder: Path, shard: Shard | None) -> Path:
    """Where a batch keeps its outcomes: one file for each shard, since shards may share the folder."""
    part = f".{shard.number}-of-{shard.count}" if shard else ""
    return folder / f"batch{part}.json"


def read_outcomes(path: Path) -> BatchRecord:
    """The outcomes so far; empty where there is none. Raises WorkError for a file that is something else."""
    try:
        record = _RECORD.validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return BatchRecord({}, VERSION, KIND)
    except (OSError, ValidationError) as error:
        raise WorkError(
            f"{path} is not a batch record of this version of dubkit",
            hint="move it away, or choose another --out",
        ) from error
    if record.kind != KIND or record.version != VERSION:
        raise WorkError(
            f"{path} is not a batch record of this version of dubkit",
            hint="move it away, or choose another --out",
        )
    return record


def write_outcomes(path: Path, record: BatchRecord) -> None:
    """Replace the outcomes in one step."""
    write_atomic(path, _RECORD.dump_json(record, indent=1) + b"\n")


def request_digest(request: RunRequest, version: str) -> str:
    """What decides a job's result, by names, sizes and times: cheap, and enough to skip it."""
    job = request.job
    files = [
        [str(path), (stat := path.stat()).st_size, stat.st_mtime_ns]
        for path in (
            *(job.video, None if job.summed else job.audio, job.script, job.verdicts),
            *(job.cast, job.me, *(stem.given for stem in job.stems)),
        )
        if path
    ]
    settings = request.config.model_dump(mode="json", exclude={"parallel"})
    return store.digest_value([version, files, settings, str(job.output)])


def state_of(path: Path) -> str:
    """Size and time of a file; empty where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns}"


RUNNING, UNFINISHED = "running", "unfinished"


@dataclass(frozen=True, slots=True)
class JobState:
    """One job of a batch."""

    name: str
    state: str  # done | partial | failed | interrupted | running | unfinished
    exit_code: int | None  # None before its end
    output: Path
    seconds: float
    error: str | None
    hint: str | None
    in_use_by: str | None
    units: Mapping[str, int]  # finished ones by stage, of a job under way
    work: Path | None = None  # its work folder, where it has one


def outcome_files(folder: Path) -> list[Path]:
    """The files of outcomes in a batch's output folder, one for each shard."""
    return [*sorted(folder.glob("batch.json")), *sorted(folder.glob("batch.*-of-*.json"))]


def batch_status(folder: Path) -> list[JobState]:
    """Every job that ended or is under way, by name. Raises WorkError for a foreign file."""
    known: dict[Path, JobState] = {}
    for path in outcome_files(folder):
        for outcome in read_outcomes(path).outcomes.values():
            known[outcome.output] = _ended(outcome)
    for work in _work_folders(folder):
        manifest, user = read_manifest(work), lock.holder(work)
        if manifest is None or (manifest.job.output in known and user is None):
            continue
        units = Counter(key.split("/")[0] for key, r in manifest.results.items() if r.fingerprint)
        output, state = manifest.job.output, RUNNING if user else UNFINISHED
        name = known[output].name if output in known else output.stem
        known[output] = JobState(name, state, None, output, 0.0, None, None, user, units, work)
    return sorted(known.values(), key=lambda job: job.name)


def _work_folders(folder: Path) -> list[Path]:
    try:
        return cleanup.find_work(folder)
    except WorkError:
        return []


def _ended(outcome: Outcome) -> JobState:
    return JobState(
        outcome.name,
        outcome.state,
        outcome.exit_code,
        outcome.output,
        outcome.seconds,
        outcome.error,
        outcome.hint,
        None,
        {},
        outcome.work if outcome.work is not None and outcome.work.is_dir() else None,
    )
