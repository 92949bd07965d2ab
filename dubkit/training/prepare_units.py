"""The units of preparing: which there are, which are done, and the parent's side of doing the others."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dubkit.config.schema import Config
from dubkit.parallel.scheduler import stream
from dubkit.parallel.workers import WorkerLost, cores
from dubkit.pipeline.worker import find_devices
from dubkit.progress import Progress
from dubkit.stages import faces as faces_stage
from dubkit.stages import shots as shots_stage
from dubkit.stages import speech as speech_stage
from dubkit.training.analyse import Look, LookTask, look
from dubkit.training.clips import Cut, CutTask, cut
from dubkit.training.dataset import CLIPS, CROP, LABELS, Book, clip_path, write_book
from dubkit.training.dataset_index import FootageFile, make_book
from dubkit.training.footage import Source
from dubkit.training.lab.corrected import Gathered, LabelTask, gather
from dubkit.training.pictures_cut import cut_pictures
from dubkit.training.receipts import (
    SCRATCH,
    digests,
    move_files,
    read_receipt,
    sweep,
    write_receipt,
)
from dubkit.training.stills import StillTask, cut_still
from dubkit.work.digest import digest_value, short

VERSION = 2  # of the results: a change makes every unit stale
BOOK_SECONDS = 10.0  # between two savings of the book

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Unit:
    """One unit to do."""

    key: str
    task: LookTask | CutTask | LabelTask | StillTask
    file: FootageFile
    name: str
    frames: int


def dealt(files: Sequence[FootageFile]) -> list[FootageFile]:
    """The files, one of each person in turn: what is interrupted holds something of everybody."""
    turns: Counter[str] = Counter()
    order = []
    for file in files:
        order.append((turns[file.source.person], file))
        turns[file.source.person] += 1
    return [file for _, file in sorted(order, key=lambda pair: pair[0])]


class Preparation:
    """The parent's side of the work."""

    def __init__(
        self,
        folder: Path,
        out: Path,
        config: Config,
        progress: Progress,
        sources: Sequence[Source],
        forbidden: dict[str, str],
    ) -> None:
        self.folder, self.out, self.config, self.progress = folder, out, config, progress
        self.forbidden: dict[str, str] = forbidden
        self.lost: dict[str, str] = {}
        self.devices = find_devices(config.parallel.device)
        sweep(out)
        for name in (CLIPS, LABELS):
            (out / name).mkdir(exist_ok=True)
        read = [p for s in sources for p in (s.file, s.script, s.labels) if p]
        self.known = known = digests(folder, out, read)
        common = self._common()
        self.files = [
            FootageFile(s, self._look_key(s, known, common), known[s.file]) for s in sources
        ]
        self.keys: set[str] = set()
        self.done = self.frames = 0
        self._next_book = time.monotonic() + BOOK_SECONDS

    def _common(self) -> list[object]:
        """What decides about every unit: versions, settings and engines."""
        config = self.config
        wanted = config.train.prepare.model_dump(exclude={"val_share", "research", "stills"})
        sections = (config.probe, config.shots, config.faces, config.speech)
        stages = (shots_stage.STAGE, faces_stage.STAGE, speech_stage.STAGE)
        engines = [stage.identity(config) for stage in stages]
        return [VERSION, CROP, wanted, [s.model_dump(mode="json") for s in sections], engines]

    def _look_key(self, source: Source, known: dict[str, str], common: list[object]) -> str:
        script = known[source.script] if source.script else None
        facts = (source.name, known[source.file], script, source.language)
        return short(digest_value([common, facts])) + "-look"

    def do_all(self) -> None:
        """All stills, all looks, then all cuts."""
        films = [f for f in self.files if not f.source.still]
        stills = [self._still_unit(f) for f in self.files if f.source.still]
        if stills:
            self._do("stills", stills, cut_still, Cut, self._was_cut)
        self._do("look", [self._look_unit(f) for f in films], look, Look, self._looked)
        cuts = [u for f in dealt(self.files) for u in self._cut_units(f)]
        way = cut_pictures if self.config.train.prepare.pictures else cut
        self._do("cut", cuts, way, Cut, self._was_cut)
        labels = [u for f in self.files for u in self._label_units(f)]
        if labels:
            self._do("labels", labels, gather, Gathered, self._gathered)

    def _look_unit(self, file: FootageFile) -> _Unit:
        source = file.source
        script = self.folder / source.script if source.script else None
        task = LookTask(self.folder / source.file, script, source.language, self.config)
        return _Unit(file.key, task, file, source.name, 0)

    def _still_unit(self, file: FootageFile) -> _Unit:
        source, key = file.source, file.key.removesuffix("-look") + "-still"
        scratch = self.out / SCRATCH / key
        task = StillTask(
            self.folder / source.file, source.name, self.config, scratch, self.devices[0]
        )
        return _Unit(key, task, file, source.name, 1)

    def _cut_units(self, file: FootageFile) -> list[_Unit]:
        seen, source = file.look, file.source
        if seen is None:
            return []
        units: list[_Unit] = []
        for start, end in seen.pieces:
            key = f"{file.key.removesuffix('-look')}-{start:07d}-{end:07d}"
            task = CutTask(
                video=self.folder / source.file,
                start=start,
                end=end,
                name=source.name,
                whole=len(seen.pieces) == 1,
                language=source.language,
                script=seen.script,
                config=self.config,
                out=self.out / SCRATCH / key,
                device=self.devices[len(units) % len(self.devices)],
            )
            units.append(_Unit(key, task, file, f"{source.name} {start}-{end}", end - start))
        return units

    def _label_units(self, file: FootageFile) -> list[_Unit]:
        source = file.source
        if source.labels is None or (file.look is not None and file.look.frames == 0):
            return []
        path = self.folder / source.labels
        key = short(digest_value([file.sha256, self.known[source.labels], source.name])) + "-labels"
        task = LabelTask(self.folder / source.file, path, source.name, self.out / SCRATCH / key)
        return [_Unit(key, task, file, source.name, 0)]

    def _do(
        self,
        stage: str,
        units: Sequence[_Unit],
        function: Callable[[Task], Result],
        kind: type[Result],
        settle: Callable[[_Unit, Result], None],
    ) -> None:
        """Take up what is done; do the rest, in workers."""
        self.keys |= {unit.key for unit in units}
        todo = []
        for unit in units:
            known = read_receipt(self.out, unit.key, kind)
            if known is None or not self._complete(unit, known):
                todo.append(unit)
            else:
                settle(unit, known)
        self.progress.plan(
            stage, len(units), len(units) - len(todo), sum(unit.frames for unit in todo)
        )
        jobs = self.config.parallel.jobs or cores()
        tasks: list[Task] = [unit.task for unit in todo]  # type: ignore[misc]
        began, at = time.monotonic(), 0.0
        for index, result in stream(function, tasks, jobs=min(jobs, max(1, len(tasks)))):
            unit = todo[index]
            spent, at = time.monotonic() - began - at, time.monotonic() - began
            if isinstance(result, WorkerLost):
                self.lost[unit.file.source.file] = "its worker died each time: too little memory?"
                self.progress.advance(stage, unit.name, unit.frames, spent, str(result))
                continue
            self._publish(unit, result)
            settle(unit, result)
            self.done, self.frames = self.done + 1, self.frames + unit.frames
            self.progress.advance(stage, unit.name, unit.frames, spent, None)
            if time.monotonic() > self._next_book:
                self.save()

    def _complete(self, unit: _Unit, result: object) -> bool:
        """Whether the files that a result speaks of are there."""
        kept = result.kept if isinstance(result, Cut) else ()
        return all(
            clip_path(self.out, clip.name, end).is_file()
            for clip in kept
            for end in (".npz", ".mp4")
        )

    def _publish(self, unit: _Unit, result: object) -> None:
        task = unit.task
        if not isinstance(task, LookTask) and task.out.is_dir():
            move_files(task.out, self.out / (LABELS if isinstance(task, LabelTask) else CLIPS))
        write_receipt(self.out, unit.key, result)

    def _looked(self, unit: _Unit, result: Look) -> None:
        unit.file.look = result
        if result.note:
            self.progress.note(f"{unit.file.source.file}: {result.note}")

    def _gathered(self, unit: _Unit, result: Gathered) -> None:
        unit.file.labels = result
        if result.refused:
            labels = unit.file.source.labels
            self.progress.warn(f"{labels} is left aside: {result.refused}")

    def _was_cut(self, unit: _Unit, result: Cut) -> None:
        piece = (unit.task.start, unit.task.end) if isinstance(unit.task, CutTask) else (0, 1)
        unit.file.cuts[piece] = result

    def save(self) -> None:
        """Write the book of what is there."""
        write_book(self.out, self.book()[0])
        self._next_book = time.monotonic() + BOOK_SECONDS

    def book(self) -> tuple[Book, str | None]:
        """The book of what is there, and a sentence where nobody is held out."""
        refused = {**self.forbidden, **self.lost}
        wanted = self.config.train.prepare
        return make_book(self.files, refused, wanted.val_share, silent=wanted.pictures > 0)
