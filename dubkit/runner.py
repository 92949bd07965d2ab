"""The stages of one run: examine each in order, do what is not current, keep the book."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from dubkit.engines.registry import load_module
from dubkit.errors import WorkError
from dubkit.execute import Task, execute, failure
from dubkit.outcome import about, to_error
from dubkit.plan import SHOTS, read_shots
from dubkit.progress import Progress
from dubkit.records import Manifest, Shot, StageResult
from dubkit.stages.base import Per, Stage
from dubkit.units import Run, Unit, examine
from dubkit.work.folder import adopt
from dubkit.work.library import contribute, hold_film
from dubkit.work.manifest import VERSION, key, write_manifest
from dubkit.work.parallel import WorkerLost, cores, share_cores, stream

SAVE_SECONDS = 0.5  # the book is saved at most this often; receipts cover the time between
SAVE_SHARE = 20  # and takes at most one part in so many of the run


class Runner:
    """One run of one job. Only this process writes the manifest."""

    def __init__(self, run: Run, progress: Progress) -> None:
        self.run = run
        self.progress = progress
        self.results: dict[str, StageResult] = {}  # units whose outputs may be read
        self.failed: dict[str, StageResult] = {}
        self.done = 0
        self.shots: tuple[Shot, ...] = ()
        self._next_save = 0.0
        self._noted: set[str] = set()
        self._devices: tuple[str, ...] | None = None

    def do_all(self) -> None:
        """Run all stages. Raises the first failure in film order once its siblings are done."""
        try:
            for stages in side_by_side(self.run.stages):
                with self._alone(stages):
                    self._do(stages)
                if any(stage.name == SHOTS for stage in stages):
                    self.shots = read_shots(self.run) or ()
        finally:
            self.save()

    def save(self) -> None:
        """Write the manifest."""
        began = time.monotonic()
        results = {**self.failed, **self.results}
        write_manifest(self.run.job.work, Manifest(VERSION, self.run.job, results, self.run.inputs))
        took = time.monotonic() - began
        self._next_save = began + max(SAVE_SECONDS, SAVE_SHARE * took)

    @contextmanager
    def _alone(self, stages: Sequence[Stage]) -> Iterator[None]:
        """Where analysis is shared, only one run analyses a film; the others find it done."""
        films = {
            (shared, self.run.source(stage.source).name)
            for stage in stages
            if (shared := self.run.library(stage)) is not None
        }
        with ExitStack() as held:
            for shared, film in sorted(films):
                held.enter_context(hold_film(shared, film, self.progress.note))
            yield

    def _do(self, stages: Sequence[Stage]) -> None:
        """Do stages that do not read one another, all their units in one queue."""
        examined = [(stage, self._examine(stage)) for stage in stages]
        pending = [unit for _, units in examined for unit in units if not unit.current]
        # one unit for the whole job is long, and then the longest shot first
        pending.sort(key=lambda unit: (unit.shot is not None, -unit.frames))
        self._work(pending)
        for stage, units in examined:
            self._settle(stage, units)

    def _examine(self, stage: Stage) -> list[Unit]:
        units = examine(self.run, stage, self.shots, self.results)
        for unit in units:
            if unit.twin:
                adopt(self.run.job.work, unit.twin, unit.folder)
            if unit.current and unit.receipt:
                self._record(unit.receipt, fresh=False)
        current = sum(unit.current for unit in units)
        frames = sum(unit.frames for unit in units if not unit.current)
        self.progress.plan(stage.name, len(units), current, frames)
        return units

    def _work(self, pending: Sequence[Unit]) -> None:
        tasks, jobs = self._plan_work(pending)
        ready = [i for i, task in enumerate(tasks) if task.problem is None or task.fallback]
        for i in sorted({*range(len(tasks))} - {*ready}):
            self._finish(pending[i], failure(tasks[i], tasks[i].problem or WorkError("no input")))
        backend = self.run.config.parallel.backend
        work = stream(execute, [tasks[i] for i in ready], jobs=jobs, backend=backend)
        for position, result in work:
            unit, task = pending[ready[position]], tasks[ready[position]]
            if isinstance(result, WorkerLost):
                result = self._bury(task)
            self._finish(unit, result)

    def _plan_work(self, pending: Sequence[Unit]) -> tuple[list[Task], int]:
        """The tasks, each with its device and its share of the cores, and how many at once."""
        devices = {stage: self._devices_for(stage) for stage in {unit.stage for unit in pending}}
        wide = self.run.config.parallel.jobs or cores()
        others = [found for found in devices.values() if found[0] != "cpu"]
        jobs = wide if not others else len(others[0]) + (len(others) < len(devices))
        jobs = 1 if all(unit.shot is None for unit in pending) else jobs
        shares = share_cores([unit.frames for unit in pending], wide, jobs)
        tasks: list[Task] = []
        for unit, share in zip(pending, shares, strict=True):
            place = devices[unit.stage]
            tasks.append(self._task(unit, place[len(tasks) % len(place)], share))
        return tasks, jobs

    def _bury(self, task: Task) -> StageResult:
        lost = WorkError(
            "the process that worked on it died, twice: out of memory, or a crash in a library",
            hint="use fewer workers with --jobs, or close other programs",
        )
        return execute(replace(task, problem=lost)) if task.fallback else failure(task, lost)

    def _task(self, unit: Unit, device: str, share: int) -> Task:
        stage, config = unit.stage, self.run.config
        keep = config.parallel.on_failure == "original" and stage.per is Per.SHOT
        problem = None
        if unit.blocked:
            cause = self.failed.get(unit.blocked)
            problem = to_error(cause) if cause else WorkError(f"{unit.blocked} has no result")
        return Task(
            stage=stage.name,
            unit=unit.name,
            run=stage.run,
            fallback=stage.fallback if keep else None,
            job=self.run.job,
            config=self.run.config_of(unit.shot),
            inputs=unit.inputs,
            target=unit.folder,
            parts=unit.parts,
            shot=unit.shot,
            given=self.run.inputs,
            device=device,
            cores=share,
            problem=problem,
        )

    def _finish(self, unit: Unit, result: StageResult) -> None:
        self._record(result, fresh=True)
        shared = self.run.library(unit.stage)
        if shared and result.fingerprint and result.error is None:
            contribute(shared, unit.folder, result)
        self.progress.advance(unit.stage.name, unit.name, unit.frames, result.seconds, result.error)
        if time.monotonic() > self._next_save:
            self.save()

    def _record(self, result: StageResult, *, fresh: bool) -> None:
        name = key(result.stage, result.unit)
        if result.fingerprint:
            self.results[name] = result
            self.done += fresh
        else:
            self.failed[name] = result
        for note in result.notes:
            if note not in self._noted:
                self._noted.add(note)
                self.progress.note(note)
        for warning in result.warnings:
            self.progress.warn(about(result, warning))
        why = result.error or result.kept
        if fresh and why and result.fingerprint:
            self.progress.warn(about(result, f"keeps its original picture: {why}"))

    def _settle(self, stage: Stage, units: Sequence[Unit]) -> None:
        for unit in units:  # they ended in any order; the book is in film order
            if unit.key in self.results:
                self.results[unit.key] = self.results.pop(unit.key)
        bad = [self.failed[unit.key] for unit in units if unit.key in self.failed]
        if not bad:
            return
        rest = self.run.stages[self.run.stages.index(stage) + 1 :]
        keep = self.run.config.parallel.on_failure == "original" and stage.per is Per.SHOT
        if keep and any(later.fallback for later in rest if later.per is Per.SHOT):
            return
        raise to_error(bad[0], others=len(bad) - 1, per=stage.per)

    def _devices_for(self, stage: Stage) -> tuple[str, ...]:
        if not stage.gpu:
            return ("cpu",)
        if self._devices is None:
            self._devices = find_devices(self.run.config.parallel.device)
        return self._devices


def side_by_side(stages: Sequence[Stage]) -> list[list[Stage]]:
    """Consecutive stages that can be done at once: none reads another, and the shots are known before."""
    groups: list[list[Stage]] = []
    for stage in stages:
        before = {other.name for other in groups[-1]} if groups else set()
        reads = {*stage.after, SHOTS} if stage.per is Per.SHOT else {*stage.after}
        if groups and not before & reads:
            groups[-1].append(stage)
        else:
            groups.append([stage])
    return groups


def find_devices(wanted: str) -> tuple[str, ...]:
    """Devices for nets; torch is not loaded to learn that there is only the CPU."""
    nodes = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    bare = Path("/dev").is_dir() and os.uname().sysname == "Linux"
    if wanted == "cpu" or (wanted == "auto" and bare and not any(map(os.path.exists, nodes))):
        return ("cpu",)
    devices: tuple[str, ...] = load_module("dubkit.engines.devices", what="a device").list_devices(
        wanted
    )
    return devices
