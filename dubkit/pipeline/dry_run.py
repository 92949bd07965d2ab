"""What a run would do, and what it must know before: its stages, its inputs, its shots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dubkit.errors import InputError, UsageError, WorkError
from dubkit.pipeline.fingerprint import JOB_UNIT, Run, Unit, examine, upstream
from dubkit.pipeline.verdicts import check_shots
from dubkit.records import FileDigest, Job, Shot, StageResult
from dubkit.stages.base import Per, Stage
from dubkit.work.digest import digest_file
from dubkit.work.manifest import key

INPUTS = ("video", "audio", "script", "shots", "verdicts")  # attributes of Job that are files read
SHOTS = "shots"  # the stage that finds the shots, and its record: shots.json
UNKNOWN = "*"

_SHOTS: TypeAdapter[tuple[Shot, ...]] = TypeAdapter(tuple[Shot, ...])


@dataclass(frozen=True, slots=True)
class PlannedUnit:
    """A line of the plan, for people. ``unit`` is ``*`` while the shots are not known."""

    stage: str
    unit: str
    current: bool
    reason: str
    seconds: float = 0.0  # what its current result took


def select(stages: Sequence[Stage], until: str | None, force: Iterable[str]) -> tuple[Stage, ...]:
    """The stages up to and including ``until``. Raises UsageError for names that are not there."""
    names = [stage.name for stage in stages]
    for name in [*([until] if until else []), *force]:
        if name not in names:
            raise UsageError(
                f"there is no stage named {name!r}", hint=f"stages: {', '.join(names)}"
            )
    return tuple(stages[: names.index(until) + 1] if until else stages)


def digest_inputs(job: Job, known: Mapping[str, FileDigest]) -> dict[str, FileDigest]:
    """Digests of the input files; those unchanged in size and times since ``known`` are not read."""
    return {
        name: digest_input(path, known.get(name))
        for name in INPUTS
        if (path := getattr(job, name)) is not None
    }


def read_shots(run: Run) -> tuple[Shot, ...] | None:
    """The published shots in film order; None before there are any, or in a run without them.

    Raises UsageError for verdicts on shots that are not among them.
    """
    stage = next((stage for stage in run.stages if stage.name == SHOTS), None)
    if stage is None:
        return None
    path = run.folder(stage, None) / f"{SHOTS}.json"
    try:
        shots = tuple(sorted(_SHOTS.validate_json(path.read_bytes())))
    except OSError:
        return None
    except ValidationError as error:
        raise WorkError(f"{path} is damaged", hint="run again with --force shots") from error
    check_shots(run.own, (shot.name for shot in shots))
    return shots


def plan(run: Run) -> list[PlannedUnit]:
    """What a run would do now; later stages are judged only as far as their inputs are current."""
    results: dict[str, StageResult] = {}
    waiting: dict[str, str] = {}  # stage/unit that will run
    shots: tuple[Shot, ...] | None = ()
    lines: list[PlannedUnit] = []
    for stage in run.stages:
        if stage.per is Per.SHOT and shots is None:
            waiting[key(stage.name, UNKNOWN)] = stage.name
            lines.append(PlannedUnit(stage.name, UNKNOWN, False, "the shots are not known yet"))
            continue
        for unit in examine(run, stage, shots or (), results):
            before = _first_waiting(run, unit, shots, waiting)
            current = unit.current and before is None
            reason = unit.reason if before is None else f"{before} runs before it"
            seconds = unit.receipt.seconds if current and unit.receipt else 0.0
            lines.append(PlannedUnit(stage.name, unit.name, current, reason, seconds))
            if current and unit.receipt is not None:
                results[unit.key] = unit.receipt
            else:
                waiting[unit.key] = stage.name
        if stage.name == SHOTS:
            shots = None if key(SHOTS, JOB_UNIT) in waiting else read_shots(run)
    return lines


def _first_waiting(
    run: Run, unit: Unit, shots: Sequence[Shot] | None, waiting: Mapping[str, str]
) -> str | None:
    for other, members in upstream(run, unit.stage, unit.shot, shots or ()):
        names = [key(other.name, member.name if member else JOB_UNIT) for member in members]
        for name in [*names, key(other.name, UNKNOWN)]:
            if name in waiting:
                return waiting[name]
    return None


def check_unchanged(given: Mapping[str, FileDigest]) -> None:
    """Raise InputError where an input is not the file it was when it was hashed."""
    for name, entry in given.items():
        try:
            facts = entry.path.stat()
        except OSError as error:
            raise InputError(f"{entry.path} cannot be read any more: {error.strerror}") from error
        if (entry.size, entry.mtime_ns) != (facts.st_size, facts.st_mtime_ns):
            raise InputError(
                f"the {name} {entry.path} was changed while it was worked on",
                hint="give the same command again: it begins with the file as it is now",
            )


def digest_input(path: Path, known: FileDigest | None) -> FileDigest:
    """The digest of a file, which is not read where it has not changed since ``known``. Raises InputError."""
    path = path.absolute()
    try:
        facts = path.stat()
        state = (path, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if known and state == (known.path, known.size, known.mtime_ns, known.ctime_ns):
            return known
        digest = digest_file(path)
        return FileDigest(path, facts.st_size, facts.st_mtime_ns, digest, facts.st_ctime_ns)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
