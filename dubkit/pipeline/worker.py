"""One unit of work, in whatever process it lands: run the stage, publish its files."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dubkit.config.schema import Config
from dubkit.engines.registry import engine_class, load_module
from dubkit.errors import DubkitError, InputError, OutputError, ToolError, WorkError
from dubkit.pipeline.log import programs
from dubkit.records import Decision, FileDigest, Job, Shot, StageResult, Taken
from dubkit.stages.base import Selected, StageContext, StageReport
from dubkit.work import folder, lock, manifest, store

Work = Callable[[StageContext], StageReport]


@dataclass(frozen=True, slots=True)
class Task:
    """A unit on its way to a worker. Pickles: it carries functions, not the stage."""

    stage: str
    unit: str
    run: Work
    fallback: Work | None  # given only where a failure may keep the original
    job: Job
    config: Config
    inputs: Mapping[str, tuple[Path, ...]]
    target: Path
    parts: Mapping[str, str]
    shot: Shot | None = None
    decision: Decision | None = None
    taken: Taken | None = None
    device: str = "cpu"  # as settings name it: auto and cuda are looked up where the work is done
    cores: int = 1
    given: Mapping[str, FileDigest] = field(
        default_factory=dict
    )  # the input files as they were hashed
    owner: str | None = None  # who holds the work folder, by its `lock.signature`
    problem: DubkitError | None = None  # known beforehand: go straight to the fallback


def warm_up(work: Sequence[Work], engines: Sequence[Selected]) -> None:
    """Load what units of some stages will need: their modules (``work`` names them) and their engines' libraries."""
    for engine in engines:
        with suppress(DubkitError):  # the unit that needs it reports it
            engine_class(*engine)


def execute(task: Task) -> StageResult:
    """Do one unit. Deliberate errors come back inside the result; bugs are raised."""
    try:
        with (
            lock.attend(task.job.work, task.owner),
            programs(task.job.work, f"{task.stage} {task.unit}"),
        ):
            return _do(task)
    except DubkitError as error:
        return failure(task, error)
    finally:
        _give_back_memory()


def _give_back_memory() -> None:
    """Return freed memory to the system: the C library keeps it, in pieces that the next unit may not use."""
    with suppress(AttributeError, OSError, TypeError):  # not the C library of GNU
        ctypes.CDLL(None).malloc_trim(0)


def _do(task: Task) -> StageResult:
    problem = task.problem
    if problem is None:
        try:
            return _attempt(task, task.run, None)
        except DubkitError as error:
            problem = error
    if task.fallback is None:
        return failure(task, problem)
    return _attempt(task, task.fallback, problem)


def failure(task: Task, error: DubkitError) -> StageResult:
    """The line of the manifest for a unit that has no result."""
    return StageResult(
        stage=task.stage,
        unit=task.unit,
        fingerprint="",
        error=error.message,
        error_code=error.exit_code,
        hint=error.hint,
    )


def _attempt(task: Task, work: Work, problem: DubkitError | None) -> StageResult:
    try:
        return _make(task, work, problem)
    except OSError as error:
        raise folder.explain(error, task.job.work) from error
    except MemoryError as error:
        raise WorkError(
            f"not enough memory for {task.stage} of {task.unit}", hint="use fewer workers: --jobs 1"
        ) from error
    except ToolError as error:
        if "No space left on device" in error.message:
            raise OutputError(
                "the disk is full", hint="free some space and run the same command again"
            ) from error
        raise


def _make(task: Task, work: Work, problem: DubkitError | None) -> StageResult:
    began = time.monotonic()
    scratch = folder.new_scratch(task.job.work)
    try:
        report = work(
            StageContext(
                task.job,
                task.config,
                scratch,
                task.inputs,
                shot=task.shot,
                decision=task.decision,
                taken=task.taken,
                given=task.given,
                device=task.device if ":" in task.device else find_devices(task.device)[0],
                cores=task.cores,
            )
        )
        _check_unchanged(task.given)  # else this may be the work of two files
        outputs, sizes = folder.describe(scratch)
        result = StageResult(
            stage=task.stage,
            unit=task.unit,
            fingerprint=store.digest_value(dict(task.parts)),
            outputs=outputs,
            sizes=sizes,
            parts=task.parts,
            seconds=round(time.monotonic() - began, 3),
            engine=report.engine,
            warnings=report.warnings,
            notes=report.notes,
            facts=report.facts,
            error=problem.message if problem else None,
            error_code=problem.exit_code if problem else 0,
            hint=problem.hint if problem else None,
            kept=report.kept,
        )
        manifest.write_receipt(scratch, result)
        folder.publish(scratch, task.target)
        return result
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _check_unchanged(given: Mapping[str, FileDigest]) -> None:
    """Raise InputError where an input is not the file it was when it was hashed."""
    for name, entry in given.items():
        try:
            facts = entry.path.stat()
        except OSError as error:
            raise InputError(f"{entry.path} cannot be read any more: {error.strerror}") from error
        if (entry.size, entry.mtime_ns) != (facts.st_size, facts.st_mtime_ns):
            raise InputError(
                f"the {name} {entry.path} changed during the run",
                hint="run the same command again: it starts from the file as it is now",
            )


def find_devices(wanted: str) -> tuple[str, ...]:
    """Devices for nets; torch is not loaded to learn that there is only the CPU."""
    nodes = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    bare = sys.platform.startswith("linux") and Path("/dev").is_dir()
    if wanted == "cpu" or (wanted == "auto" and bare and not any(map(os.path.exists, nodes))):
        return ("cpu",)
    devices: tuple[str, ...] = load_module("dubkit.models.devices", what="a device").list_devices(
        wanted
    )
    return devices
