"""The units of a stage, their fingerprints, and whether what is published is still current.

A fingerprint covers everything that decides a unit's result. It is kept in its parts, so that
the reason for doing a unit again can be read off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from dubkit.config.schema import Config
from dubkit.pipeline.request import RunRequest
from dubkit.records import TAKEN, Consent, Decision, FileDigest, Job, Shot, StageResult, Taken
from dubkit.stages.base import Per, Source, Stage
from dubkit.work import manifest, store
from dubkit.work.folder import EarlierJob, dub_name, find_shared, intact, picture_name

JOB_UNIT = "job"
SHOTS = "shots"  # the stage that finds the shots
FILM = "stitch"  # the stage whose result is the film, so that the container decides about it
STEM = "stem "  # begins the name of a stem among the inputs


@dataclass(frozen=True, slots=True)
class ShotConfig:
    """The settings of a single shot, what the stages' identities returned for them, and a person's decision on it."""

    config: Config
    engines: Mapping[str, str]
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A checked request: its stages, the digests of its inputs and the identities of its engines.

    ``engines`` holds what each stage's identity returned; it is called once, since it may load weights.
    """

    request: RunRequest
    stages: tuple[Stage, ...]
    inputs: Mapping[str, FileDigest]
    engines: Mapping[str, str]
    own: Mapping[str, ShotConfig] = field(default_factory=dict)  # shots with settings of their own
    consent: tuple[Consent, ...] | None = None  # of the people of the cast; None: not checked

    @property
    def job(self) -> Job:
        return self.request.job

    @property
    def config(self) -> Config:
        return self.request.config

    @property
    def films(self) -> bool:
        """Whether this run ends with the film."""
        return self.stages[-1].name == FILM

    def config_of(self, shot: Shot | None) -> Config:
        """The settings of a unit."""
        own = self.own.get(shot.name) if shot else None
        return own.config if own else self.config

    def decision_of(self, shot: Shot | None) -> Decision | None:
        """A person's decision on a shot, where there is one."""
        own = self.own.get(shot.name) if shot else None
        return own.decision if own else None

    def engine_of(self, stage: Stage, shot: Shot | None) -> str:
        """What the stage's identity returned for a unit's settings."""
        own = self.own.get(shot.name) if shot else None
        return (own.engines if own else self.engines)[stage.name]

    def source(self, kind: Source) -> Path:
        """The folder of all units with this source."""
        named = picture_name if kind is Source.VIDEO else dub_name
        return self.job.work / named(self.inputs)

    def library(self, stage: Stage) -> Path | None:
        """The library that this stage's units are shared through; None for those of a dub."""
        return self.job.analysis if stage.source is Source.VIDEO else None

    def folder(self, stage: Stage, shot: Shot | None) -> Path:
        return self.source(stage.source) / stage.name / (shot.name if shot else JOB_UNIT)


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
    twin: Path | None = None  # the same work, done for another dub of this film
    blocked: str | None = None  # the failed upstream unit that leaves it without input
    taken: Taken | None = None  # the shot of an earlier cut whose render may be taken over

    @property
    def name(self) -> str:
        return self.shot.name if self.shot else JOB_UNIT

    @property
    def key(self) -> str:
        return manifest.key(self.stage.name, self.name)

    @property
    def frames(self) -> int:
        return self.shot.frames if self.shot else 0


def examine(
    run: Run,
    stage: Stage,
    shots: Sequence[Shot],
    results: Mapping[str, StageResult],
) -> list[Unit]:
    """The units of a stage in film order, each compared with what is published.

    ``results`` holds the current results of the stages before, by ``stage/unit``.
    """
    common = _own_parts(run, stage, None)
    earlier = _Earlier.of(run) if stage.takes_over else None
    wanted = list(shots) if stage.per is Per.SHOT else [None]
    units = []
    for shot in wanted:
        special = shot is not None and shot.name in run.own
        own = _own_parts(run, stage, shot) if special else common
        units.append(_unit(run, stage, shot, shots, results, own, earlier))
    return units


def why(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Which parts of a fingerprint differ, in words."""
    changes = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if name.startswith("settings "):
            changes.append(f"{name.removeprefix('settings ')} was {before}, is {after}")
        elif name in ("stage version", "engine", "container", "verdict"):
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
    earlier: _Earlier | None = None,
) -> Unit:
    parts = {**own, "unit": shot.name if shot else JOB_UNIT}
    taken = earlier.made_of(stage, shot, parts) if earlier and shot else None
    if (
        shot and shot.transitions and stage.source is Source.VIDEO
    ):  # a dub's stages read its outputs
        parts["transitions"] = " ".join(f"{s.kind} {s.start}-{s.end}" for s in shot.transitions)
    inputs: dict[str, tuple[Path, ...]] = {}
    blocked = None
    for other, members in upstream(run, stage, shot, shots):
        names = [
            manifest.key(other.name, member.name if member else JOB_UNIT) for member in members
        ]
        found = [results.get(name) for name in names]
        blocked = blocked or next((n for n, r in zip(names, found, strict=True) if r is None), None)
        inputs[other.name] = tuple(
            run.folder(other, member)
            for member, result in zip(members, found, strict=True)
            if result
        )
        outputs = [sorted(result.outputs.items()) if result else None for result in found]
        parts[f"input {other.name}"] = store.digest_value(
            [names if stage.per is Per.JOB else [], outputs]
        )
    folder = run.folder(stage, shot)
    receipt = intact(folder)
    current, reason = _judge(run, stage, folder, receipt, parts)
    twin = None
    if not current and stage.name not in run.request.force:
        fingerprint = store.digest_value(parts)
        shared = run.library(stage)
        twin = _find_twin(folder, fingerprint)
        twin = twin or (find_shared(shared, folder, fingerprint) if shared else None)
    if twin:
        current, reason, receipt = True, "current", intact(twin)
    return Unit(stage, shot, folder, parts, inputs, current, reason, receipt, twin, blocked, taken)


class _Earlier:
    """The job of an earlier cut, and which of its shots are in this film."""

    def __init__(self, job: EarlierJob, taken: Sequence[Taken]) -> None:
        self.job, self.taken = job, {one.shot: one for one in taken}

    @classmethod
    def of(cls, run: Run) -> _Earlier | None:
        """None where there is no such job, or the shots are not known yet."""
        stage = next((stage for stage in run.stages if stage.name == SHOTS), None)
        if run.job.reuse is None or stage is None:
            return None
        path = run.folder(stage, None) / TAKEN
        if not path.is_file():
            return None
        return cls(EarlierJob(run.job.reuse), store.read_record(path, list[Taken]))

    def made_of(self, stage: Stage, shot: Shot, parts: dict[str, str]) -> Taken | None:
        """The shot whose unit may be taken over, made with the same settings; ``parts`` then name it."""
        taken = self.taken.get(shot.name)
        if taken is None:
            return None
        of_dub = stage.source is Source.DUB
        place = self.job.dub if of_dub else self.job.picture
        receipt = intact(place(stage.name, taken.earlier))
        if receipt is None or receipt.error is not None:
            return None
        own = {name: value for name, value in parts.items() if name.startswith(_DECIDES)}
        if own != {n: value for n, value in receipt.parts.items() if n.startswith(_DECIDES)}:
            return None
        named = [taken.earlier, taken.first, sorted(receipt.outputs.items())]
        named += [self.job.inputs["audio"].sha256] if of_dub else []
        parts["taken over"] = store.digest_value(named)
        return taken


_DECIDES = ("stage version", "engine", "settings ")  # parts of a fingerprint besides the inputs


def _find_twin(folder: Path, fingerprint: str) -> Path | None:
    """A finished unit with this fingerprint under another dub (or an earlier state of this one)."""
    source, stage, unit = folder.parts[-3:]
    for other in sorted(folder.parents[2].glob(f"{source.split('-')[0]}-*/{stage}/{unit}")):
        receipt = intact(other) if other != folder else None
        if receipt and receipt.error is None and receipt.fingerprint == fingerprint:
            return other
    return None


def _judge(
    run: Run, stage: Stage, folder: Path, receipt: StageResult | None, parts: Mapping[str, str]
) -> tuple[bool, str]:
    if receipt is None:
        return False, "its files are damaged or missing" if folder.exists() else "not done yet"
    if receipt.error is not None:
        return False, f"it kept the original last time: {receipt.error}"
    if receipt.fingerprint != store.digest_value(dict(parts)):
        return False, why(receipt.parts, parts)
    if stage.name in run.request.force:
        return False, "forced"
    return True, "current"


def _own_parts(run: Run, stage: Stage, shot: Shot | None) -> dict[str, str]:
    parts = {
        "stage": stage.name,
        "stage version": str(stage.version),
        "engine": run.engine_of(stage, shot),
    }
    for section in stage.sections:
        settings = attrgetter(section)(run.config_of(shot)).model_dump(mode="json")
        parts |= {f"settings {section}.{name}": str(value) for name, value in settings.items()}
    if stage.heeds_decision:
        decision = run.decision_of(shot)
        parts["verdict"] = f"{decision.verdict} {decision.note}".strip() if decision else "none"
    files = [name for name in run.inputs if name.startswith(STEM) and "stems" in stage.files]
    named = [n for n in stage.files if n != "stems" and (n != "reuse" or n in run.inputs)]
    for name in (*named, *files):
        parts[f"file {name}"] = run.inputs[name].sha256 if name in run.inputs else "none"
    if stage.name == FILM:
        parts["container"] = run.job.output.suffix.lower()
    return parts
