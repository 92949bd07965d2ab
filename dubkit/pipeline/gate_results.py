"""What the gate said of the shots of a job, read back, and as cases for CI systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dubkit.errors import OutputError
from dubkit.metrics.gate_limits import Check, GateResult
from dubkit.pipeline.dry_run import read_shots
from dubkit.pipeline.fingerprint import Run
from dubkit.records import StageResult
from dubkit.stages import gate
from dubkit.work.junit import Case, write_cases
from dubkit.work.manifest import key

_GROUP = "dubkit.gate"


def read_gates(run: Run, results: Mapping[str, StageResult]) -> tuple[GateResult, ...]:
    """The gate's results in film order; ``results`` are those of the manifest, ``stage/unit``."""
    stage = next((stage for stage in run.stages if stage.name == gate.STAGE.name), None)
    if stage is None:
        return ()
    found = []
    for shot in read_shots(run) or ():
        result = results.get(key(stage.name, shot.name))
        if result is not None and result.fingerprint:
            found.append(gate.load_gate(run.folder(stage, shot)))
    return tuple(found)


def write_junit(
    path: Path, gates: Sequence[GateResult], failures: Sequence[StageResult], name: str
) -> None:
    """One case a shot and measure; a unit that failed is an error. Raises OutputError."""
    cases = [case for result in gates for case in _cases(result)]
    for failed in failures:
        text = f"{failed.error}\n{failed.hint or ''}"
        cases.append(
            Case(
                f"dubkit.{failed.stage}", failed.unit, 0.0, "error", failed.error or "failed", text
            )
        )
    try:
        write_cases(path, name, cases)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def _cases(result: GateResult) -> Iterator[Case]:
    group = f"{_GROUP}.{result.shot}"
    if result.verdict is not None:
        message = f"rejected: {result.note}" if result.note else "rejected"
        bad = result.verdict == "reject"
        yield Case(
            group, "verdict", mark="failure" if bad else None, message=message if bad else ""
        )
    if not result.faces and result.verdict is None:
        why = "the gate is off" if result.action == "off" else "no face is dubbed"
        yield Case(group, "gate", mark="skipped", message=why)
    for face in result.faces:
        for check in face.checks:
            yield _case(group, f"{check.measure} of face {face.track}", check, result.verdict)


def _case(group: str, name: str, check: Check, verdict: str | None) -> Case:
    if check.value is None:
        return Case(group, name, mark="skipped", message=check.reason)
    if check.passed or verdict == "approve":
        return Case(group, name)
    bound = "at most" if check.better == "lower" else "at least"
    text = f"{check.measure} is {check.value}, allowed is {bound} {check.limit}"
    return Case(group, name, mark="failure", message=check.reason, text=text)
