"""The stages of one run: examine each in order, do what is not current, keep the manifest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from dubkit.errors import WorkError
from dubkit.parallel import scheduler, workers
from dubkit.pipeline import dry_run, fingerprint, worker
from dubkit.pipeline.result import about, to_error
from dubkit.pipeline.shot_names import name_shots
from dubkit.records import Manifest, Shot, StageResult
from dubkit.stages.base import Per, Stage
from dubkit.work import folder
from dubkit.work.lock import signature
from dubkit.work.manifest import VERSION, key, write_manifest

if TYPE_CHECKING:
    from dubkit.progress import Progress, ShotNames

SAVE_SECONDS = 0.5  # the manifest is saved at most this often; receipts cover the time between
SAVE_SHARE = 20  # and takes at most one part in so many of the run


class Runner:
    """One run of one job. Only this process writes the manifest."""

    def __init__(self, run: fingerprint.Run, progress: Progress) -> None:
        self.run = run
        self.progress = progress
        self.results: dict[str, StageResult] = {}  # units whose outputs may be read
        self.failed: dict[str, StageResult] = {}
        self.done = 0
        self.shots: tuple[Shot, ...] = ()
        self.names: ShotNames = {}
        self._next_save = 0.0
        self._noted: set[str] = set()
        self._devices: tuple[str, ...] | None = None

    @property
    def all_results(self) -> dict[str, StageResult]:
        """The results of finished and of failed units, as the manifest holds them."""
        return {**self.failed, **self.results}

    def do_all(self) -> scheduler.JobSteps[None]:
        """Run all stages. Raises the first failure in film order once its siblings are done."""
        self.progress.watch(partial(folder.frames_under_way, self.run.job.work))
        try:
            for stages in side_by_side(self.run.stages):
                with (yield from self._alone(stages)):
                    yield from self._do(stages)
                if any(stage.name == dry_run.SHOTS for stage in stages):
                    self.shots = dry_run.read_shots(self.run) or ()
                    self.names = name_shots(self.run, self.shots)
                    self.progress.name_shots(self.names)
        finally:
            self.save()

    def save(self) -> None:
        """Write the manifest."""
        began = time.monotonic()
        manifest = Manifest(
            VERSION, self.run.job, self.all_results, self.run.inputs, consent=self.run.consent
        )
        write_manifest(self.run.job.work, manifest)
        took = time.monotonic() - began
        self._next_save = began + max(SAVE_SECONDS, SAVE_SHARE * took)

    def _alone(self, stages: Sequence[Stage]) -> scheduler.JobSteps[ExitStack]:
        """Where analysis is shared, only one run analyses a film; the others find it done."""
        films = {
            (shared, self.run.source(stage.source).name)
            for stage in stages
            if (shared := self.run.library(stage)) is not None
        }
        with ExitStack() as held:
            for shared, film in sorted(films):
                while (lock := folder.take_film(shared, film)) is None:
                    self._note(f"another job analyzes this film in {shared}: waiting to share it")
                    yield ()
                held.enter_context(lock)
            return held.pop_all()

    def _do(self, stages: Sequence[Stage]) -> scheduler.JobSteps[None]:
        """Do stages that do not read one another, all their units side by side."""
        examined = [(stage, self._examine(stage)) for stage in stages]
        yield from self._work([unit for _, units in examined for unit in units if not unit.current])
        for stage, units in examined:
            self._settle(stage, units)

    def _examine(self, stage: Stage) -> list[fingerprint.Unit]:
        units = fingerprint.examine(self.run, stage, self.shots, self.results)
        for unit in units:
            if unit.twin:
                folder.adopt(self.run.job.work, unit.twin, unit.folder)
            if unit.current and unit.receipt:
                self._record(unit.receipt, fresh=False)
                self._share(unit, unit.receipt)
        current = sum(unit.current for unit in units)
        frames = sum(unit.frames for unit in units if not unit.current)
        if stage.shown(self.run.config):
            self.progress.plan(stage.name, len(units), current, frames)
        return units

    def _work(self, pending: Sequence[fingerprint.Unit]) -> scheduler.JobSteps[None]:
        calls: dict[scheduler.Call, tuple[fingerprint.Unit, worker.Task]] = {}
        for unit in pending:
            task = self._task(unit)
            if task.problem is None or task.fallback:
                calls[self._call(unit, task)] = (unit, task)
            else:
                self._finish(unit, worker.failure(task, task.problem))
        fresh = tuple(calls)
        while calls:
            answer = yield fresh
            fresh = ()
            if answer is None:
                continue
            unit, task = calls.pop(answer.call)
            lost = isinstance(answer.result, workers.WorkerLost)
            self._finish(unit, self._after_lost_worker(task) if lost else answer.result)

    def _call(self, unit: fingerprint.Unit, task: worker.Task) -> scheduler.Call:
        return scheduler.Call(
            function=worker.execute,
            make=lambda place, cores: replace(task, device=place, cores=cores),
            size=unit.frames,
            whole=unit.shot is None,
            places=self._devices_for(unit.stage),
            warm_up=self._warm_up(unit.stage) if unit.shot is None else None,
        )

    def _warm_up(self, stage: Stage) -> Callable[[], None] | None:
        """What readies a worker for the shots that come after a stage of the whole film; None where none come."""
        config, later = self.run.config, self.run.stages[self.run.stages.index(stage) + 1 :]
        shots = [stage for stage in later if stage.per is Per.SHOT]
        if not shots:
            return None
        here = [stage for stage in shots if self._devices_for(stage) == (workers.CPU,)]
        engines = [engine for stage in here for engine in stage.engines(config)]
        return partial(worker.warm_up, [stage.run for stage in shots], engines)

    def _after_lost_worker(self, task: worker.Task) -> StageResult:
        lost = WorkError(
            "the process that worked on it died three times: out of memory, or a crash in a library",
            hint="use fewer workers with --jobs, or close other programs",
        )
        return (
            worker.execute(replace(task, problem=lost))
            if task.fallback
            else worker.failure(task, lost)
        )

    def _task(self, unit: fingerprint.Unit) -> worker.Task:
        stage, config = unit.stage, self.run.config
        keep = config.parallel.on_failure == "original" and stage.per is Per.SHOT
        problem = None
        if unit.blocked:
            cause = self.failed.get(unit.blocked)
            problem = to_error(cause) if cause else WorkError(f"{unit.blocked} has no result")
        return worker.Task(
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
            decision=self.run.decision_of(unit.shot),
            taken=unit.taken,
            given=self.run.inputs,
            owner=signature(),
            problem=problem,
        )

    def _finish(self, unit: fingerprint.Unit, result: StageResult) -> None:
        self._record(result, fresh=True)
        self._share(unit, result)
        if unit.stage.shown(self.run.config):
            self.progress.advance(
                unit.stage.name, unit.name, unit.frames, result.seconds, result.error
            )
        if time.monotonic() > self._next_save:
            self.save()

    def _share(self, unit: fingerprint.Unit, result: StageResult) -> None:
        """Put a finished unit of the picture into the library, also one of a run that knew of none."""
        shared = self.run.library(unit.stage)
        if shared and result.fingerprint and result.error is None:
            folder.contribute(shared, unit.folder, result)

    def _record(self, result: StageResult, *, fresh: bool) -> None:
        name = key(result.stage, result.unit)
        if result.fingerprint:
            self.results[name] = result
            self.done += fresh
        else:
            self.failed[name] = result
        for note in result.notes:
            self._note(note)
        for warning in result.warnings:
            self.progress.warn(about(result, warning))
        why = result.error or result.kept
        if fresh and why and result.fingerprint:
            self.progress.warn(about(result, f"keeps its original picture: {why}"))

    def _note(self, note: str) -> None:
        if note not in self._noted:
            self._noted.add(note)
            self.progress.note(note)

    def _settle(self, stage: Stage, units: Sequence[fingerprint.Unit]) -> None:
        for unit in units:  # they ended in any order; the manifest is in film order
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
            return (workers.CPU,)
        if self._devices is None:
            wanted, backend = self.run.config.parallel.device, self.run.config.parallel.backend
            self._devices = (wanted,) if backend == "dask" else worker.find_devices(wanted)
        return self._devices


def side_by_side(stages: Sequence[Stage]) -> list[list[Stage]]:
    """Consecutive stages that can be done at once: none reads another, and the shots are known before."""
    groups: list[list[Stage]] = []
    for stage in stages:
        before = {other.name for other in groups[-1]} if groups else set()
        reads = {*stage.after, dry_run.SHOTS} if stage.per is Per.SHOT else {*stage.after}
        if groups and not before & reads:
            groups[-1].append(stage)
        else:
            groups.append([stage])
    return groups
