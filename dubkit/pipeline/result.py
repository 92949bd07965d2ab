"""What came of a run, and how failures travel: an error becomes a line of the manifest and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dubkit.errors import (
    EXIT_OK,
    EXIT_PARTIAL,
    GO_ON,
    DubkitError,
    InputError,
    MissingDependency,
    ModelError,
    OutputError,
    ToolError,
    UsageError,
    WorkError,
)
from dubkit.metrics.gate_limits import GateResult
from dubkit.pipeline.dry_run import PlannedUnit
from dubkit.records import StageResult
from dubkit.stages.base import Per

Fact = str | int | float | bool | None
_KINDS: dict[int, type[DubkitError]] = {
    kind.exit_code: kind
    for kind in (
        UsageError,
        InputError,
        MissingDependency,
        ToolError,
        WorkError,
        ModelError,
        OutputError,
    )
}


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run."""

    output: Path | None  # None where the run ended before the film
    exit_code: int
    results: tuple[StageResult, ...] = ()
    done: int = 0  # units done in this run; the others were current
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)  # "stage.fact"; of shots the sum
    kept: tuple[str, ...] = ()  # shots that kept the original picture, with the reason
    seconds: float = 0.0
    frames: int = 0  # frames of picture in the film
    plan: tuple[PlannedUnit, ...] = ()  # of a dry run
    gates: tuple[GateResult, ...] = ()  # what the gate said of each shot, in film order


def to_error(result: StageResult, others: int = 0, per: Per = Per.JOB) -> DubkitError:
    """A failed line of the manifest as the error that it was."""
    message, hint = result.error or "failed", result.hint
    if per is Per.SHOT:
        more = f" (and {others} more)" if others else ""
        message = f"{result.stage} of shot {result.unit}{more}: {message}"
        ways = f"{GO_ON}, or --on-failure original keeps the picture of such shots"
        hint = f"{hint}; {ways}" if hint else ways
    return _KINDS.get(result.error_code, WorkError)(message, hint=hint)


def summarize(
    results: Iterable[StageResult],
    *,
    output: Path | None,
    done: int,
    frames: int,
    seconds: float,
    gates: tuple[GateResult, ...] = (),
) -> RunResult:
    """The outcome of a run that came to its end."""
    results = tuple(results)
    kept = tuple(about(r, why) for r in results if (why := r.error or r.kept))
    warnings = [about(result, text) for result in results for text in result.warnings]
    return RunResult(
        output=output,
        exit_code=EXIT_PARTIAL if kept else EXIT_OK,
        results=results,
        done=done,
        warnings=tuple(dict.fromkeys(warnings)),
        notes=tuple(dict.fromkeys(note for result in results for note in result.notes)),
        facts=_sum_facts(results),
        kept=kept,
        seconds=seconds,
        frames=frames,
        gates=gates,
    )


def about(result: StageResult, text: str) -> str:
    """A sentence with the shot that it is about."""
    return text if result.unit == "job" else f"shot {result.unit}: {text}"


def _sum_facts(results: Sequence[StageResult]) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for result in results:
        for name, value in result.facts.items():
            path = f"{result.stage}.{name}"
            before = facts.get(path)
            if isinstance(before, (int, float)) and isinstance(value, (int, float)):
                facts[path] = before + value
            else:
                facts[path] = value
    return facts
