"""How far a batch is: its books, and the work folders of jobs that are under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dubkit.batch.book import Outcome, read_book
from dubkit.errors import WorkError
from dubkit.work.cleanup import find_work
from dubkit.work.lock import holder
from dubkit.work.manifest import read_manifest

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


def books(folder: Path) -> list[Path]:
    """The books in a batch's output folder, one a shard."""
    return [*sorted(folder.glob("batch.json")), *sorted(folder.glob("batch.*-of-*.json"))]


def batch_status(folder: Path) -> list[JobState]:
    """Every job that ended or is under way, by name. Raises WorkError for a foreign book."""
    known: dict[Path, JobState] = {}
    for path in books(folder):
        for outcome in read_book(path).outcomes.values():
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
