"""A job as it lies in its work folder, to be looked at: nothing is done, nothing is judged, nothing is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dubkit.pipeline.dry_run import read_shots
from dubkit.pipeline.fingerprint import Run
from dubkit.pipeline.inspect import read_config, read_job
from dubkit.pipeline.job import STAGES
from dubkit.records import Shot, StageResult
from dubkit.work.manifest import read_receipt


class OpenedJob:
    """The work folder of a run, finished or not. Raises WorkError where it is none."""

    def __init__(self, work: Path) -> None:
        self.manifest = read_job(work)
        self.config = read_config(work)
        engines = {stage.name: "" for stage in STAGES}
        job = replace(self.manifest.job, work=work)  # it may have been moved since
        self.run = Run(job, self.config, STAGES, self.manifest.inputs, engines)
        self.shots: tuple[Shot, ...] = read_shots(self.run) or ()

    def folder(self, name: str, shot: Shot | None) -> Path:
        """Where a unit is published, whether it is there or not."""
        stage = next(stage for stage in STAGES if stage.name == name)
        return self.run.folder(stage, shot)

    def receipt(self, name: str, shot: Shot | None) -> StageResult | None:
        """The line of a published unit; None where it is not done."""
        receipt = read_receipt(self.folder(name, shot))
        return receipt if receipt and receipt.fingerprint else None
