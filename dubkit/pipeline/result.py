"""What came of a run, and how failures travel: an error becomes a line of the manifest and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dubkit import errors
from dubkit.faces.consent import in_words
from dubkit.faces.people import load_people
from dubkit.metrics.gate_limits import Check, GateResult, load_gate
from dubkit.pipeline import dry_run, fingerprint
from dubkit.records import Consent, Shown, StageResult
from dubkit.stages.base import Per
from dubkit.work import junit, manifest

if TYPE_CHECKING:
    from dubkit.progress import ShotName, ShotNames

Fact = str | int | float | bool | None
_KINDS: dict[int, type[errors.DubkitError]] = {
    kind.exit_code: kind
    for kind in (
        errors.UsageError,
        errors.InputError,
        errors.MissingDependency,
        errors.ToolError,
        errors.WorkError,
        errors.ModelError,
        errors.OutputError,
        errors.ConformError,
    )
}


@dataclass(frozen=True, slots=True)
class ShotEnd:
    """How one shot ended, and why it is not dubbed where it is not."""

    shot: str  # its frames, as 0000120-0000248
    name: ShotName
    end: Literal["dubbed", "as filmed", "refused", "failed"]  # refused: by the gate, or a person
    why: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class RunResult(Shown):
    """What came of a run."""

    output: Path | None  # None where the run ended before the film
    exit_code: int
    results: tuple[StageResult, ...] = ()
    done: int = 0  # units done in this run; the others were current
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)  # "stage.fact"; of shots the sum
    kept: tuple[str, ...] = ()  # shots that kept the original picture, with the reason
    unseen: tuple[str, ...] = ()  # shots with speech in which no face is dubbed, in words
    seconds: float = 0.0
    frames: int = 0  # frames of picture in the film
    plan: tuple[dry_run.UnitState, ...] = ()  # of a dry run
    gates: tuple[GateResult, ...] = ()  # the gate's result for each shot, in film order
    consent: str = ""  # who agreed to be dubbed, in one line
    shots: tuple[ShotEnd, ...] = ()  # in film order; none where the run ended before rendering
    people: Mapping[str, float] = field(default_factory=dict)  # who is dubbed, in seconds
    work: Path | None = None  # the work folder

    @property
    def names(self) -> ShotNames:
        """What people call the shots."""
        return {shot.shot: shot.name for shot in self.shots}

    def facts_shown(self) -> dict[str, object]:
        """Where the film is, and how the run went."""
        if self.plan:
            todo = sum(not unit.current for unit in self.plan)
            return {"output": self.output, "to_do": f"{todo} of {len(self.plan)} units"}
        return {
            "output": self.output,
            "exit_code": self.exit_code,
            "frames": self.frames,
            "seconds": round(self.seconds, 1),
            "kept": len(self.kept),
            "warnings": len(self.warnings),
        }


def to_error(result: StageResult, others: int = 0, per: Per = Per.JOB) -> errors.DubkitError:
    """A failed line of the manifest as the error that it was."""
    message, hint = result.error or "failed", result.hint
    if per is Per.SHOT:
        more = f" (and {others} more)" if others else ""
        message = f"{result.stage} of shot {result.unit}{more}: {message}"
        ways = f"{errors.GO_ON}; --on-failure original keeps the original picture of such shots"
        hint = f"{hint}; {ways}" if hint else ways
    return _KINDS.get(result.error_code, errors.WorkError)(message, hint=hint)


def summarize(
    results: Iterable[StageResult],
    *,
    output: Path | None,
    done: int,
    frames: int,
    seconds: float,
    gates: tuple[GateResult, ...] = (),
    consent: Sequence[Consent] | None = None,
    shots: tuple[ShotEnd, ...] = (),
    people: Mapping[str, float] | None = None,
    work: Path | None = None,
    told: Iterable[str] = (),
) -> RunResult:
    """The outcome of a run that came to its end; ``told`` are warnings from before its first stage."""
    results = tuple(results)
    kept = tuple(about(r, why) for r in results if (why := r.error or r.kept))
    warnings = [*told, *(about(result, text) for result in results for text in result.warnings)]
    return RunResult(
        output=output,
        exit_code=errors.EXIT_PARTIAL if kept else errors.EXIT_OK,
        results=results,
        done=done,
        warnings=tuple(dict.fromkeys(warnings)),
        notes=tuple(dict.fromkeys(note for result in results for note in result.notes)),
        facts=_sum_facts(results),
        kept=kept,
        unseen=tuple(_without_speaker(results)),
        seconds=seconds,
        frames=frames,
        gates=gates,
        consent=in_words(consent),
        shots=shots,
        people=people or {},
        work=work,
    )


def shot_ends(
    run: fingerprint.Run, results: Mapping[str, StageResult], names: ShotNames
) -> tuple[ShotEnd, ...]:
    """How each shot ended; nothing before they are rendered. ``results`` are those of the manifest, ``stage/unit``."""
    return tuple(
        ShotEnd(shot, name, *_end_of(run, shot, results))
        for shot, name in names.items()
        if manifest.key("generate", shot) in results
    )


def _end_of(
    run: fingerprint.Run, shot: str, results: Mapping[str, StageResult]
) -> tuple[Literal["dubbed", "as filmed", "refused", "failed"], str]:
    of = {stage.name: results.get(manifest.key(stage.name, shot)) for stage in run.stages}
    for result in of.values():
        if result is not None and result.error:
            return "failed", f"{result.stage}: {result.error}"
    gate, made, seen, said = (of.get(name) for name in ("gate", "generate", "faces", "timing"))
    if gate is not None and gate.kept:
        return "refused", gate.kept
    if made is None or made.facts.get("painted", 1):
        return "dubbed", ""
    if made.facts.get("hidden"):
        return "as filmed", "text or a picture lies over the mouths"
    spoken = said.facts.get("spoken_frames") if said else None
    if spoken == 0:
        return "as filmed", "no speech in the dub"
    if seen is None or not seen.facts.get("faces"):
        much = isinstance(spoken, int) and spoken >= _MIN_SPOKEN
        return "as filmed", f"no face{', although there is speech' if much else ''}"
    if seen.facts.get("nobody"):
        return "as filmed", "no face clearly speaks"
    if seen.facts.get("dubbed"):
        return "as filmed", "nobody in the picture speaks"
    return "as filmed", f"no face can be dubbed ({seen.facts.get('refused') or 'see the report'})"


def dubbed_people(
    run: fingerprint.Run, results: Mapping[str, StageResult], ends: Iterable[ShotEnd]
) -> dict[str, float]:
    """The people who are dubbed in a shot of the result, and for how many seconds they could be.

    Nothing before the cast is known.
    """
    stage = next((stage for stage in run.stages if stage.name == "cast"), None)
    if stage is None or manifest.key(stage.name, fingerprint.JOB_UNIT) not in results:
        return {}
    people = load_people(run.folder(stage, None)).people
    shown = {shot.shot for shot in ends if shot.end == "dubbed"}
    there = [p for p in people if any(face.split("/")[0] in shown for face in p.faces)]
    return {p.name: round(p.dubbed, 1) for p in there if p.dub and p.dubbed}


_MIN_SPOKEN = 5  # frames of speech in a shot; fewer are the end of a word before the cut


def _without_speaker(results: Sequence[StageResult]) -> Iterator[str]:
    """The shots in which somebody is heard and no face is dubbed."""
    seen = {result.unit: result.facts for result in results if result.stage == "faces"}
    for result in results:
        spoken = result.facts.get("spoken_frames")
        facts = seen.get(result.unit)
        if result.stage != "timing" or facts is None or facts.get("dubbed") != 0:
            continue
        if isinstance(spoken, int) and spoken >= _MIN_SPOKEN:
            faces = facts.get("faces")
            why = f"{faces} faces seen" if faces else "no face found"
            yield f"shot {result.unit}: {spoken} frames of speech, none dubbed: {why}"


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


_GROUP = "dubkit.gate"


def read_gates(run: fingerprint.Run, results: Mapping[str, StageResult]) -> tuple[GateResult, ...]:
    """The gate's results in film order; ``results`` are those of the manifest, ``stage/unit``."""
    stage = next((stage for stage in run.stages if stage.name == "gate"), None)
    if stage is None:
        return ()
    found = []
    for shot in dry_run.read_shots(run) or ():
        result = results.get(manifest.key(stage.name, shot.name))
        if result is not None and result.fingerprint:
            found.append(load_gate(run.folder(stage, shot)))
    return tuple(found)


def write_junit(
    path: Path, gates: Sequence[GateResult], failures: Sequence[StageResult], name: str
) -> None:
    """One case a shot and measure; a unit that failed is an error. Raises OutputError."""
    cases = [case for result in gates for case in _cases(result)]
    for failed in failures:
        text = f"{failed.error}\n{failed.hint or ''}"
        cases.append(
            junit.Case(
                f"dubkit.{failed.stage}", failed.unit, 0.0, "error", failed.error or "failed", text
            )
        )
    try:
        junit.write_cases(path, name, cases)
    except OSError as error:
        raise errors.OutputError(f"{path} cannot be written: {error.strerror}") from error


def _cases(result: GateResult) -> Iterator[junit.Case]:
    group = f"{_GROUP}.{result.shot}"
    if result.verdict is not None:
        message = f"rejected: {result.note}" if result.note else "rejected"
        bad = result.verdict == "reject"
        yield junit.Case(
            group, "verdict", mark="failure" if bad else None, message=message if bad else ""
        )
    if not result.faces and result.verdict is None:
        why = "the gate is off" if result.action == "off" else "no face is dubbed"
        yield junit.Case(group, "gate", mark="skipped", message=why)
    for face in result.faces:
        for check in face.checks:
            yield _case(group, f"{check.measure} of face {face.track}", check, result.verdict)


def _case(group: str, name: str, check: Check, verdict: str | None) -> junit.Case:
    if check.value is None:
        return junit.Case(group, name, mark="skipped", message=check.reason)
    if check.passed or verdict == "approve":
        return junit.Case(group, name)
    bound = {"lower": "at most", "higher": "at least", "near 0": "within"}[check.better]
    text = f"{check.measure} is {check.value}, allowed is {bound} {check.limit}"
    return junit.Case(group, name, mark="failure", message=check.reason, text=text)
