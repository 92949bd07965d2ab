"""``batch.json``: how every job of a batch ended, so that a second run does only what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from dubkit.batch.jobs import Shard
from dubkit.errors import WorkError
from dubkit.pipeline.request import RunRequest
from dubkit.work.cleanup import find_work
from dubkit.work.digest import digest_value
from dubkit.work.lock import holder
from dubkit.work.manifest import read_manifest, write_atomic

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
        for path in (job.video, job.audio, job.script, job.verdicts)
        if path
    ]
    settings = request.config.model_dump(mode="json", exclude={"parallel"})
    return digest_value([version, files, settings, str(job.output)])


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
        manifest, user = read_manifest(work), holder(work)
        if manifest is None or (manifest.job.output in known and user is None):
            continue
        units = Counter(key.split("/")[0] for key, r in manifest.results.items() if r.fingerprint)
        output, state = manifest.job.output, RUNNING if user else UNFINISHED
        name = known[output].name if output in known else output.stem
        known[output] = JobState(name, state, None, output, 0.0, None, None, user, units)
    return sorted(known.values(), key=lambda job: job.name)


def _work_folders(folder: Path) -> list[Path]:
    try:
        return find_work(folder)
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
    )
