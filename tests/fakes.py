"""Stages that fail, sleep, die and count on purpose, run through the same seam as the real ones.

The film is a text file: one line a shot, ``start end words``. A real run over it writes real files.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dubkit.config.schema import Config
from dubkit.errors import InputError
from dubkit.pipeline.job import run_job
from dubkit.pipeline.request import RunRequest
from dubkit.pipeline.result import RunResult
from dubkit.progress import NoProgress, Progress
from dubkit.records import Job, Shot
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.work.store import write_record


def count(context: StageContext, stage: str) -> None:
    """Note in a file beside the film that a unit was really worked on."""
    unit = context.shot.name if context.shot else "job"
    with (context.job.video.parent / "counts.txt").open("a") as stream:
        stream.write(f"{stage}/{unit}\n")


def counts(folder: Path) -> list[str]:
    """The units worked on since the last call, in order."""
    path = folder / "counts.txt"
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def _trouble(context: StageContext, stage: str) -> None:
    """Do what ``trouble.json`` asks for this unit: fail, exit, sleep, fill memory."""
    path = context.job.video.parent / "trouble.json"
    asked = json.loads(path.read_text()) if path.exists() else {}
    unit = context.shot.name if context.shot else "job"
    what = asked.get(f"{stage}/{unit}") or asked.get(stage)
    if what is None:
        return
    if what == "fail":
        raise InputError(f"{stage} does not like this picture", hint="look at it")
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "memory":
        raise MemoryError
    if what == "disk":
        raise OSError(28, "No space left on device", str(context.out / "x"))
    if what == "replace":
        context.job.video.write_text(context.job.video.read_text().rstrip() + " anew\n")
        return
    if what == "bug":
        raise ZeroDivisionError("a bug")
    time.sleep(float(what))


def fake_probe(context: StageContext) -> StageReport:
    count(context, "probe")
    _trouble(context, "probe")
    (context.out / "video.json").write_text(json.dumps({"lines": len(_lines(context))}))
    return StageReport(engine="fake 1")


def fake_shots(context: StageContext) -> StageReport:
    count(context, "shots")
    _trouble(context, "shots")
    found = [Shot(int(line.split()[0]), int(line.split()[1])) for line in _lines(context)]
    write_record(context.out / "shots.json", found, list[Shot])
    return StageReport(facts={"shots": len(found)})


def fake_faces(context: StageContext) -> StageReport:
    count(context, "faces")
    _trouble(context, "faces")
    assert context.shot is not None
    threshold = context.config.faces.min_score
    (context.out / "faces.txt").write_text(f"{context.shot.name} {threshold}")
    return StageReport(facts={"faces": 1}, warnings=("a small face",))


def fake_speech(context: StageContext) -> StageReport:
    count(context, "speech")
    _trouble(context, "speech")
    (context.out / "speech.txt").write_text(context.job.audio.read_text())
    return StageReport(notes=("the aligner is fake",))


def fake_timing(context: StageContext) -> StageReport:
    """The words of a shot are those of the dub's lines ``start: words``."""
    count(context, "timing")
    _trouble(context, "timing")
    shot = context.shot
    assert shot is not None
    lines = (context.folder("speech") / "speech.txt").read_text().splitlines()
    own = [line for line in lines if shot.start <= int(line.split(":")[0]) < shot.end]
    (context.out / "timing.txt").write_text("\n".join(own))
    return StageReport()


def fake_generate(context: StageContext) -> StageReport:
    _trouble(context, "generate")
    face = (context.folder("faces") / "faces.txt").read_text()
    words = (context.folder("timing") / "timing.txt").read_text()
    (context.out / "part.txt").write_text(f"[{face} says {words}]\n")
    count(context, "generate")  # at the end: what is counted is finished work
    return StageReport(engine="fake", facts={"frames": context.shot.frames if context.shot else 0})


def keep_original(context: StageContext) -> StageReport:
    assert context.shot is not None
    (context.out / "part.txt").write_text(f"[{context.shot.name} as it was]\n")
    return StageReport()


def fake_stitch(context: StageContext) -> StageReport:
    count(context, "stitch")
    _trouble(context, "stitch")
    parts = [(folder / "part.txt").read_text() for folder in context.inputs["generate"]]
    text = "".join(parts) + context.job.audio.read_text()
    (context.out / f"film{context.job.output.suffix}").write_text(text)
    return StageReport()


def _lines(context: StageContext) -> list[str]:
    return (context.job.shots or context.job.video).read_text().splitlines()


def stages(**changes: object) -> tuple[Stage, ...]:
    """The fake pipeline; ``changes`` are ``stage__field=value``."""
    job, shot, video, dub = Per.JOB, Per.SHOT, Source.VIDEO, Source.DUB
    made = [
        Stage("probe", job, video, (), fake_probe, 1, ("probe",), ("video",)),
        Stage("shots", job, video, ("probe",), fake_shots, 1, ("shots",), ("video", "shots")),
        Stage("faces", shot, video, ("probe",), fake_faces, 1, ("faces",)),
        Stage("speech", job, dub, (), fake_speech, 1, ("speech",), ("audio", "script")),
        Stage("timing", shot, dub, ("speech",), fake_timing, 1, ("timing",)),
        Stage(
            "generate",
            shot,
            dub,
            ("faces", "timing"),
            fake_generate,
            1,
            ("generate",),
            gpu=True,
            fallback=keep_original,
        ),
        Stage("stitch", job, dub, ("generate",), fake_stitch, 1, ("stitch",), ("audio",)),
    ]
    for name, value in changes.items():
        stage, _, attribute = name.partition("__")
        index = [other.name for other in made].index(stage)
        made[index] = replace(made[index], **{attribute: value})  # type: ignore[arg-type]
    return tuple(made)


FILM = "0 50\n50 90\n90 200\n200 230\n"
DUB = "0:hello\n60:there\n100:general\n210:kenobi\n"


@dataclass
class Bench:
    """A film, a dub and a run of the fake pipeline over them."""

    folder: Path
    config: Config = field(default_factory=lambda: make_config(jobs=1))
    stages: tuple[Stage, ...] = field(default_factory=stages)
    film: str = FILM
    dub: str = DUB

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.job = Job(
            video=self.folder / "film.txt",
            audio=self.folder / "dub.txt",
            output=self.folder / "out.txt",
            work=self.folder / "out.dubkit",
        )
        if not self.job.video.exists():
            self.job.video.write_text(self.film)
            self.job.audio.write_text(self.dub)

    def request(self, **options: Any) -> RunRequest:
        return RunRequest(self.job, self.config, **options)

    def run(self, *, progress: Progress | None = None, **options: Any) -> RunResult:
        request = self.request(**{"overwrite": True, **options})
        return run_job(request, progress=progress or NoProgress(), stages=self.stages)

    def trouble(self, **asked: str | None) -> None:
        """``trouble(generate="fail")``; ``__`` in a name stands for the slash before a unit."""
        table = {name.replace("__", "/").replace("_", "-"): what for name, what in asked.items()}
        (self.folder / "trouble.json").write_text(json.dumps(table))

    def counts(self) -> list[str]:
        return counts(self.folder)

    def scratch(self) -> list[Path]:
        return list((self.job.work / "scratch").iterdir())


def make_config(**parallel: object) -> Config:
    """For films of stills, in which nobody speaks: the largest face is dubbed."""
    shared = {"device": "cpu", **parallel}
    return Config.model_validate({"parallel": shared, "faces": {"which": "largest"}})


class Recorder(NoProgress):
    """A progress that remembers."""

    def __init__(self) -> None:
        self.plans: list[tuple[str, int, int, int]] = []
        self.units: list[tuple[str, str, int, str | None]] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.thread = threading.current_thread()

    def plan(self, stage: str, units: int, current: int, frames: int) -> None:
        self.plans.append((stage, units, current, frames))

    def advance(
        self, stage: str, unit: str, frames: int, seconds: float, error: str | None
    ) -> None:
        self.units.append((stage, unit, frames, error))

    def note(self, message: str) -> None:
        self.notes.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def main(folder: str, jobs: str) -> int:
    """Run the fake pipeline as a process of its own, to be killed: ``fakes.py FOLDER JOBS``."""
    from dubkit.errors import DubkitError

    bench = Bench(Path(folder), config=make_config(jobs=int(jobs)))
    try:
        return bench.run().exit_code
    except DubkitError as error:
        sys.stderr.write(f"{error.message}\n{error.hint}\n")
        return error.exit_code


if __name__ == "__main__":
    pass

    sys.exit(main(*sys.argv[1:]))
