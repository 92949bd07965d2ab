"""What is to be done: the units of each stage, their fingerprints, and why one is not current.

A fingerprint covers everything that decides a unit's result. It is kept in its parts, so that
the reason for doing a unit again can be read off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dubkit.config import Config
from dubkit.errors import InputError, UsageError, WorkError
from dubkit.records import FileDigest, Job, Shot, StageResult
from dubkit.stages.base import Per, Source, Stage
from dubkit.work.digest import digest_file, digest_value, short
from dubkit.work.folder import intact
from dubkit.work.manifest import key

INPUTS = ("video", "audio", "script", "shots")  # attributes of Job that are files read
SHOTS = "shots"  # the stage that finds the shots, and its record: shots.json
JOB_UNIT = "job"
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


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of one stage, with all that decides about it."""

    stage: Stage
    shot: Shot | None
    folder: Path
    parts: Mapping[str, str]
    inputs: Mapping[str, tuple[Path, ...]]
    current: bool
    reason: str
    receipt: StageResult | None
    blocked: str | None = None  # the failed upstream unit that leaves it without input

    @property
    def name(self) -> str:
        return self.shot.name if self.shot else JOB_UNIT

    @property
    def key(self) -> str:
        return key(self.stage.name, self.name)

    @property
    def frames(self) -> int:
        return self.shot.frames if self.shot else 0


@dataclass(frozen=True, slots=True)
class Run:
    """A job, its settings and its stages, with the digests of its inputs."""

    job: Job
    config: Config
    stages: tuple[Stage, ...]
    inputs: Mapping[str, FileDigest]
    force: frozenset[str] = frozenset()
    film_stage: str | None = None  # its result is the film, so the container decides about it

    @property
    def films(self) -> bool:
        """Whether this run ends with the film."""
        return self.stages[-1].name == self.film_stage

    def source(self, kind: Source) -> Path:
        """The folder of all units with this source."""
        film = self.inputs["video"].sha256
        if kind is Source.VIDEO:
            return self.job.work / f"video-{short(film)}"
        read = {name: entry.sha256 for name, entry in self.inputs.items() if name != "shots"}
        return self.job.work / f"dub-{short(digest_value(read))}"

    def folder(self, stage: Stage, shot: Shot | None) -> Path:
        return self.source(stage.source) / stage.name / (shot.name if shot else JOB_UNIT)


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
    """Digests of the input files; those unchanged in size and time since ``known`` are not read."""
    return {
        name: _digest_input(path, known.get(name))
        for name in INPUTS
        if (path := getattr(job, name)) is not None
    }


def read_shots(run: Run) -> tuple[Shot, ...] | None:
    """The published shots in film order; None before there are any, or in a run without them."""
    stage = next((stage for stage in run.stages if stage.name == SHOTS), None)
    if stage is None:
        return None
    path = run.folder(stage, None) / f"{SHOTS}.json"
    try:
        return tuple(sorted(_SHOTS.validate_json(path.read_bytes())))
    except OSError:
        return None
    except ValidationError as error:
        raise WorkError(f"{path} is damaged", hint="run again with --force shots") from error


def examine(
    run: Run,
    stage: Stage,
    shots: Sequence[Shot],
    results: Mapping[str, StageResult],
) -> list[Unit]:
    """The units of a stage in film order, each compared with what is published.

    ``results`` holds the current results of the stages before, by ``stage/unit``.
    """
    own = _own_parts(run, stage)
    wanted = list(shots) if stage.per is Per.SHOT else [None]
    return [_unit(run, stage, shot, shots, results, own) for shot in wanted]


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


def why(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Which parts of a fingerprint differ, in words."""
    changes = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if name.startswith("settings "):
            changes.append(f"{name.removeprefix('settings ')} was {before}, is {after}")
        elif name in ("stage version", "engine", "container"):
            changes.append(f"{name} was {before}, is {after}")
        else:
            changes.append(f"{name} changed")
    return "; ".join(changes) or "current"


def upstream(
    run: Run, stage: Stage, shot: Shot | None, shots: Sequence[Shot]
) -> list[tuple[Stage, list[Shot | None]]]:
    """The stages that a unit reads and, for each, the units of it."""
    by_name = {other.name: other for other in run.stages}
    read: list[tuple[Stage, list[Shot | None]]] = []
    for name in stage.after:
        other = by_name[name]
        if other.per is Per.JOB:
            read.append((other, [None]))
        else:
            read.append((other, [shot] if shot else list(shots)))
    return read


def _unit(
    run: Run,
    stage: Stage,
    shot: Shot | None,
    shots: Sequence[Shot],
    results: Mapping[str, StageResult],
    own: Mapping[str, str],
) -> Unit:
    parts = {**own, "unit": shot.name if shot else JOB_UNIT}
    inputs: dict[str, tuple[Path, ...]] = {}
    blocked = None
    for other, members in upstream(run, stage, shot, shots):
        names = [key(other.name, member.name if member else JOB_UNIT) for member in members]
        found = [results.get(name) for name in names]
        blocked = blocked or next((n for n, r in zip(names, found, strict=True) if r is None), None)
        inputs[other.name] = tuple(
            run.folder(other, member)
            for member, result in zip(members, found, strict=True)
            if result
        )
        outputs = [sorted(result.outputs.items()) if result else None for result in found]
        parts[f"input {other.name}"] = digest_value(
            [names if stage.per is Per.JOB else [], outputs]
        )
    folder = run.folder(stage, shot)
    receipt = intact(folder)
    current, reason = _judge(run, stage, folder, receipt, parts)
    return Unit(stage, shot, folder, parts, inputs, current, reason, receipt, blocked)


def _judge(
    run: Run, stage: Stage, folder: Path, receipt: StageResult | None, parts: Mapping[str, str]
) -> tuple[bool, str]:
    if receipt is None:
        return False, "its files are damaged or missing" if folder.exists() else "not done yet"
    if receipt.error is not None:
        return False, f"it kept the original last time: {receipt.error}"
    if receipt.fingerprint != digest_value(dict(parts)):
        return False, why(receipt.parts, parts)
    if stage.name in run.force:
        return False, "forced"
    return True, "current"


def _own_parts(run: Run, stage: Stage) -> dict[str, str]:
    parts = {
        "stage": stage.name,
        "stage version": str(stage.version),
        "engine": stage.identity(run.config),
    }
    for section in stage.sections:
        settings = getattr(run.config, section).model_dump(mode="json")
        parts |= {f"settings {section}.{name}": str(value) for name, value in settings.items()}
    for name in stage.files:
        parts[f"file {name}"] = run.inputs[name].sha256 if name in run.inputs else "none"
    if stage.name == run.film_stage:
        parts["container"] = run.job.output.suffix.lower()
    return parts


def _first_waiting(
    run: Run, unit: Unit, shots: Sequence[Shot] | None, waiting: Mapping[str, str]
) -> str | None:
    for other, members in upstream(run, unit.stage, unit.shot, shots or ()):
        names = [key(other.name, member.name if member else JOB_UNIT) for member in members]
        for name in [*names, key(other.name, UNKNOWN)]:
            if name in waiting:
                return waiting[name]
    return None


def _digest_input(path: Path, known: FileDigest | None) -> FileDigest:
    path = path.absolute()
    try:
        facts = path.stat()
        same = known is not None and known.path == path
        if (
            known is not None
            and same
            and (known.size, known.mtime_ns) == (facts.st_size, facts.st_mtime_ns)
        ):
            return known
        return FileDigest(path, facts.st_size, facts.st_mtime_ns, digest_file(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
