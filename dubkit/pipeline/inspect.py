"""What a work folder holds, for ``dubkit status``, ``diff``, ``plan`` and ``report``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from dubkit.config.schema import Config
from dubkit.errors import WorkError
from dubkit.faces.people import Person, load_people
from dubkit.metrics.gate_limits import GateResult, load_gate
from dubkit.pipeline import fingerprint, request
from dubkit.pipeline.dry_run import UNKNOWN, UnitState, read_shots
from dubkit.pipeline.job import STAGES, dry_run, find_film
from dubkit.pipeline.result import about, read_gates
from dubkit.pipeline.shot_names import film_clock, find_shot, name_shots
from dubkit.records import Job, Manifest, Shot, Shown, StageResult, VideoInfo
from dubkit.stages import generate, probe
from dubkit.stages.base import Stage
from dubkit.work import folder, lock, store
from dubkit.work.manifest import MANIFEST, key, read_manifest, read_receipt

if TYPE_CHECKING:
    from dubkit.media.timecode import Clock
    from dubkit.progress import ShotNames


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How far one stage is."""

    stage: str
    units: int | None  # None while the shots are not known
    current: int
    failed: int
    seconds: float  # spent on the units that are current


@dataclass(frozen=True, slots=True, repr=False)
class JobStatus(Shown):
    """How far a job is."""

    job: Job
    stages: tuple[StageStatus, ...]
    units: tuple[UnitState, ...]  # with the reason for each that is not current
    failures: tuple[StageResult, ...]  # of the last run
    warnings: tuple[str, ...]
    in_use_by: str | None
    gates: tuple[GateResult, ...] = ()  # the gate's result for each shot, in film order
    names: ShotNames = field(default_factory=dict)  # what people call the shots

    @property
    def finished(self) -> bool:
        return all(unit.current for unit in self.units) and self.job.output.exists()

    def facts_shown(self) -> dict[str, object]:
        """The result, and how far each stage is."""
        stages = {stage.stage: f"{stage.current} of {stage.units}" for stage in self.stages}
        return {"output": self.job.output, "finished": self.finished, **stages}


def find_work(path: Path) -> Path:
    """The work folder that ``path`` is, or that lies beside it where it is a film that was dubbed, or a result.

    Of several, that of the latest run. Raises WorkError where there is none.
    """
    if not path.exists():
        raise WorkError(
            f"there is no file or folder {path}",
            hint="name a work folder (it ends in .dubkit), or the film or result that it lies beside",
        )
    if not path.is_file():
        return path
    wanted, found = path.absolute(), []
    for folder_ in sorted(wanted.parent.glob("*.dubkit")):
        known = read_manifest(folder_) if folder_.is_dir() else None
        if known is not None and wanted in (known.job.output, known.job.video):
            written = last_change(folder_)
            found.append((known.job.output == wanted, written, folder_))
    if not found:
        raise WorkError(
            f"no work folder of {path.name} lies beside it",
            hint="name the folder: it ends in .dubkit",
        )
    return max(found)[-1]


def last_change(work: Path) -> int:
    """When the record of a job was last written, in nanoseconds. Raises FileNotFoundError where there is none."""
    return (work / MANIFEST).stat().st_mtime_ns


def job_status(work: Path, *, stages: Sequence[Stage] = STAGES) -> JobStatus:
    """What is done in a work folder and what is not, and why. Raises WorkError where it is none."""
    manifest = read_job(work)
    config = read_config(work)
    units = dry_run(request.RunRequest(manifest.job, config), stages)
    results = manifest.results.values()
    failures = tuple(result for result in results if result.error)
    run = _run_of(manifest, config, stages)
    return JobStatus(
        job=manifest.job,
        stages=tuple(_stage_status(stage.name, units, failures) for stage in stages),
        units=tuple(units),
        failures=failures,
        warnings=tuple(about(result, text) for result in results for text in result.warnings),
        in_use_by=lock.holder(work),
        gates=read_gates(run, manifest.results),
        names=name_shots(run, read_shots(run) or ()),
    )


def of_shot(state: JobStatus, shot: str) -> JobStatus:
    """What a status says of one shot, named as people do (`shot_names.find_shot`). Raises UsageError for none."""
    wanted = find_shot(shot, state.names)
    warnings = (text for text in state.warnings if f"shot {wanted}: " in text)
    return replace(
        state,
        stages=(),
        units=tuple(unit for unit in state.units if unit.unit == wanted),
        failures=tuple(result for result in state.failures if result.unit == wanted),
        warnings=tuple(warnings),
        gates=tuple(gate for gate in state.gates if gate.shot == wanted),
    )


def _run_of(manifest: Manifest, config: Config, stages: Sequence[Stage]) -> fingerprint.Run:
    return fingerprint.Run(
        request.RunRequest(manifest.job, config), tuple(stages), manifest.inputs, {}
    )


def verify_work(work: Path) -> tuple[str, ...]:
    """Hash the inputs and every published file; returns what is not as it was.

    Damaged units lose their receipt, so that the next run does them again, and them alone.
    """
    manifest = read_job(work)
    with lock.hold(work) as held:
        changed = [
            f"the {name} {entry.path} has changed since"
            for name, entry in manifest.inputs.items()
            if not entry.path.is_file() or store.digest_file(entry.path) != entry.sha256
        ]
        damaged = [f"{unit} is damaged and will be redone" for unit in folder.drop_damaged(work)]
        held.crashed = False
    return (*changed, *damaged)


def read_config(work: Path) -> Config:
    """The resolved configuration of the last run in a work folder."""
    path = work / folder.CONFIG
    try:
        return Config.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise WorkError(f"{path} cannot be read", hint="the next run rewrites it") from error


def read_job(work: Path) -> Manifest:
    """The manifest of a work folder. Raises WorkError where there is none."""
    manifest = read_manifest(work) if work.is_dir() else None
    if manifest is None:
        raise WorkError(
            f"{work} is not a work folder of dubkit: it holds no readable manifest",
            hint="name the work folder (it ends in .dubkit); a damaged one is repaired by its run",
        )
    return manifest


def _stage_status(
    stage: str, units: Sequence[UnitState], failures: Sequence[StageResult]
) -> StageStatus:
    own = [state for state in units if state.stage == stage]
    known = not any(state.unit == UNKNOWN for state in own)
    current = [state for state in own if state.current]
    failed = sum(result.stage == stage for result in failures)
    seconds = sum(state.seconds for state in current)
    return StageStatus(stage, len(own) if known else None, len(current), failed, seconds)


class OpenedJob:
    """The work folder of a run, finished or not. Raises WorkError where it is none."""

    def __init__(self, work: Path) -> None:
        self.manifest = read_job(work)
        self.config = read_config(work)
        engines = {stage.name: "" for stage in STAGES}
        job = replace(self.manifest.job, work=work)  # it may have been moved since
        self.run = fingerprint.Run(
            request.RunRequest(job, self.config), STAGES, self.manifest.inputs, engines
        )
        self.shots: tuple[Shot, ...] = read_shots(self.run) or ()
        self.names = name_shots(self.run, self.shots)
        self._people: dict[str, Person] | None = None

    def folder(self, name: str, shot: Shot | None) -> Path:
        """Where a unit is published, whether it is there or not."""
        stage = next(stage for stage in STAGES if stage.name == name)
        return self.run.folder(stage, shot)

    def people_of(self, shot: Shot) -> dict[int, Person]:
        """The people in a shot by their tracks; none before the cast is known."""
        if self.receipt("cast", None) is None:
            return {}
        if self._people is None:
            self._people = load_people(self.folder("cast", None)).by_face()
        pairs = (face.rpartition("/") for face in self._people)
        return {
            int(track): self._people[f"{name}/{track}"]
            for name, _, track in pairs
            if name == shot.name
        }

    def cast(self) -> tuple[Person, ...]:
        """All people of the film, those longest on screen first; none before they are known."""
        if self.receipt("cast", None) is None:
            return ()
        return load_people(self.folder("cast", None)).people

    def clock(self, info: VideoInfo) -> tuple[int, Clock]:
        """The number of the film's first frame and how its frames are numbered; from 0 where it cannot be read."""
        return film_clock(self.manifest.job.video, info)

    def gate(self, shot: Shot) -> GateResult | None:
        """What the gate said of a shot; None where it was not asked yet."""
        done = self.receipt("gate", shot) is not None
        return load_gate(self.folder("gate", shot)) if done else None

    def film_facts(self) -> VideoInfo:
        """The facts of the film. Raises WorkError where it was not looked at yet."""
        return probe.load_film(self.folder("probe", None))[0]

    def generated(self, shot: Shot) -> generate.GenerateResult | None:
        """What was made of a shot; None where that is not done."""
        path = self.folder("generate", shot) / generate.RESULT
        done = self.receipt("generate", shot) is not None
        return store.read_record(path, generate.GenerateResult) if done else None

    def finished_film(self) -> Path:
        """The dubbed film in the work folder. Raises WorkError unless it was made of the shots as they are now."""
        stitched = self.receipt("stitch", None)
        for name in ("generate", "gate"):
            names = [key(name, shot.name) for shot in self.shots]
            lines = [self.receipt(name, shot) for shot in self.shots]
            outputs = [sorted(line.outputs.items()) if line else None for line in lines]
            wanted = store.digest_value([names, outputs])
            if stitched is None or stitched.parts.get(f"input {name}") != wanted:
                raise WorkError(
                    f"the job in {self.run.job.work} is not finished",
                    hint="run it to its end first",
                )
        return find_film(self.folder("stitch", None))

    def receipt(self, name: str, shot: Shot | None) -> StageResult | None:
        """The line of a published unit; None where it is not done."""
        receipt = read_receipt(self.folder(name, shot))
        return receipt if receipt and receipt.fingerprint else None
