"""What a run would do: every unit of its stages, whether its published result is current, and why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from dubkit.errors import WorkError
from dubkit.pipeline import fingerprint, verdicts
from dubkit.records import Shot, StageResult
from dubkit.stages.base import Per
from dubkit.work.manifest import key

SHOTS = fingerprint.SHOTS  # its record is shots.json
UNKNOWN = "*"

_SHOTS: TypeAdapter[tuple[Shot, ...]] = TypeAdapter(tuple[Shot, ...])


@dataclass(frozen=True, slots=True)
class UnitState:
    """How far one unit is, for people. ``unit`` is ``*`` while the shots are not known."""

    stage: str
    unit: str
    current: bool
    reason: str
    seconds: float = 0.0  # what its current result took


def read_shots(run: fingerprint.Run) -> tuple[Shot, ...] | None:
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
    verdicts.check_shots(run.own, (shot.name for shot in shots))
    return shots


def unit_states(run: fingerprint.Run) -> list[UnitState]:
    """The state of every unit; later stages are judged only as far as their inputs are current."""
    results: dict[str, StageResult] = {}
    waiting: dict[str, str] = {}  # stage/unit that will run
    shots: tuple[Shot, ...] | None = ()
    lines: list[UnitState] = []
    for stage in run.stages:
        if stage.per is Per.SHOT and shots is None:
            waiting[key(stage.name, UNKNOWN)] = stage.name
            lines.append(UnitState(stage.name, UNKNOWN, False, "the shots are not known yet"))
            continue
        for unit in fingerprint.examine(run, stage, shots or (), results):
            before = _first_waiting(run, unit, shots, waiting)
            current = unit.current and before is None
            reason = unit.reason if before is None else f"{before} runs before it"
            seconds = unit.receipt.seconds if current and unit.receipt else 0.0
            lines.append(UnitState(stage.name, unit.name, current, reason, seconds))
            if current and unit.receipt is not None:
                results[unit.key] = unit.receipt
            else:
                waiting[unit.key] = stage.name
        if stage.name == SHOTS:
            shots = None if key(SHOTS, fingerprint.JOB_UNIT) in waiting else read_shots(run)
    return lines


def _first_waiting(
    run: fingerprint.Run,
    unit: fingerprint.Unit,
    shots: Sequence[Shot] | None,
    waiting: Mapping[str, str],
) -> str | None:
    for other, members in fingerprint.upstream(run, unit.stage, unit.shot, shots or ()):
        names = [
            key(other.name, member.name if member else fingerprint.JOB_UNIT) for member in members
        ]
        for name in [*names, key(other.name, UNKNOWN)]:
            if name in waiting:
                return waiting[name]
    return None
