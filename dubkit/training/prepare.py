"""Prepare footage for training: from a folder of videos to a set that trainings read.

Two kinds of units run side by side in workers: a *look* at every file (`training.analyze`), then a *cut* of every
piece of it (`training.clips`). The parent publishes their files, then notes the unit as done, so a run that is
killed at any moment goes on where it was. Only the parent writes ``set.json``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dubkit.config.schema import Config
from dubkit.errors import InputError, Interrupted, WorkError
from dubkit.parallel.scheduler import stream
from dubkit.parallel.workers import WorkerLost, cores
from dubkit.pipeline.worker import find_devices
from dubkit.progress import Progress
from dubkit.stages import faces as faces_stage
from dubkit.stages import shots as shots_stage
from dubkit.stages import speech as speech_stage
from dubkit.training.analyze import Look, LookTask, look
from dubkit.training.clips import Cut, CutTask, Kept, cut, cut_pictures
from dubkit.training.dataset import (
    CLIPS,
    CROP,
    FORMAT,
    INDEX,
    ClipFacts,
    SetIndex,
    clip_path,
    read_index,
    write_index,
)
from dubkit.training.footage import Source, assign_splits, find_sources
from dubkit.training.receipts import (
    DIGESTS,
    DONE,
    SCRATCH,
    digests,
    move_files,
    prune,
    read_receipt,
    sweep,
    write_receipt,
)
from dubkit.training.stills import StillTask, cut_still
from dubkit.work.digest import digest_value, short
from dubkit.work.folder import explain
from dubkit.work.lock import ATTEND, LOCK, hold

_OURS = {INDEX, CLIPS, "labels", DONE, SCRATCH, DIGESTS, LOCK, ATTEND}


@dataclass(frozen=True, slots=True)
class PrepareResult:
    """What a set holds now."""

    root: Path
    index: SetIndex
    seconds: float  # of footage in its clips
    held_out: str | None  # a sentence where nobody, or nobody else, is held out
    done: int  # units done by this run
    units: int
    frames: int  # looked at in this run
    spent: float  # seconds


def prepare(folder: Path, out: Path, config: Config, progress: Progress) -> PrepareResult:
    """Prepare a folder of videos; the same call goes on where an earlier one stopped.

    Raises `DubkitError`: nothing to prepare, a folder that is not ours or in use, a full disk; `Interrupted`
    after Ctrl-C.
    """
    began = time.monotonic()
    _check_out(out)
    wanted = config.train.prepare
    sources, forbidden = find_sources(folder, out, research=wanted.research, stills=wanted.stills)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with hold(out):
            run = Preparation(folder, out, config, progress, sources, forbidden)
            try:
                run.do_all()
            finally:
                run.save()
            return _finish(run, time.monotonic() - began)
    except OSError as error:
        raise explain(error, out) from error
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped; finished clips are kept", hint="run the same command again to resume"
        ) from None


def _check_out(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise WorkError(f"{out} is a file, not a folder", hint="use another folder as OUT")
    strangers = sorted(p.name for p in out.iterdir() if p.name not in _OURS and p.name[0] != ".")
    if read_index(out) is None and strangers and not (out / DONE).is_dir():
        raise WorkError(
            f"{out} is not a prepared set: it contains {strangers[0]}",
            hint="use an empty or new folder",
        )


def _finish(run: Preparation, spent: float) -> PrepareResult:
    """Clear away what nothing speaks of, and sum up. Raises `InputError` where no clip was kept."""
    index, held_out = run.index()
    prune(run.out, run.keys, {CLIPS: index.clips})
    if not index.clips:
        common = Counter(index.refused.values()).most_common(1)[0][0]
        raise InputError(
            f"none of the {len(index.refused)} videos can be learned from; mostly: {common}",
            hint=f"{run.out / INDEX} holds the reason for each",
        )
    seconds = sum(facts.frames / facts.rate for facts in index.clips.values() if facts.frames > 1)
    return PrepareResult(
        run.out, index, seconds, held_out, run.done, len(run.keys), run.frames, spent
    )


@dataclass(slots=True)
class FootageFile:
    """One file of footage on its way."""

    source: Source
    key: str  # of its look
    sha256: str
    look: Look | None = None
    cuts: dict[tuple[int, int], Cut] = field(default_factory=dict)


def make_index(
    files: Sequence[FootageFile],
    refused: Mapping[str, str],
    share: float,
    *,
    silent: bool = False,
) -> tuple[SetIndex, str | None]:
    """The index, and a sentence where nobody, or nobody else, is held out.

    ``refused`` are the files that were not looked at; ``share`` of the people is held out; ``silent`` if
    nothing was asked of the sound.
    """
    people: dict[str, tuple[str, str | None]] = {}
    found: list[tuple[Kept, FootageFile]] = []
    refusals, left_out = dict(refused), {}
    for file in files:
        kept = [clip for result in file.cuts.values() for clip in result.kept]
        found += [(clip, file) for clip in kept]
        people |= {clip.name: (file.source.person, file.source.split) for clip in kept}
        reasons = _reasons(file)
        if kept and reasons:
            left_out[file.source.file] = reasons
        elif reasons:
            refusals[file.source.file] = reasons
    splits, held_out = assign_splits(people, share)
    clips = {
        clip.name: _facts(clip, file, splits[clip.name], silent=silent) for clip, file in found
    }
    ordered = dict(sorted(clips.items())), dict(sorted(refusals.items()))
    index = SetIndex(FORMAT, CROP, *ordered, left_out)
    return index, held_out if clips else None


def _reasons(file: FootageFile) -> str | None:
    """Why frames of a file are left out, the most frequent reasons first."""
    if file.look is not None and file.look.refused:
        return file.look.refused
    frames: Counter[str] = Counter()
    for result in file.cuts.values():
        for span in result.refused:
            frames[span.reason] += span.end - span.start
    if len(frames) == 1:
        return next(iter(frames))
    common = frames.most_common(3)
    return "; ".join(f"{reason} ({count} frames)" for reason, count in common) or None


def _facts(clip: Kept, file: FootageFile, split: str, *, silent: bool) -> ClipFacts:
    source = file.source
    return ClipFacts(
        file=source.file,
        person=source.person,
        split=split,
        group=source.group,
        frames=clip.frames,
        rate=clip.rate,
        sha256=file.sha256,
        start=clip.start,
        width=clip.width,
        offset=clip.offset,
        agreement=clip.agreement,
        silent=silent or source.still,
    )


VERSION = 2  # of the results: a change makes every unit stale
INDEX_SECONDS = 10.0  # between two savings of the index

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Unit:
    """One unit to do."""

    key: str
    task: LookTask | CutTask | StillTask
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
        (out / CLIPS).mkdir(exist_ok=True)
        read = [p for s in sources for p in (s.file, s.script) if p]
        self.known = known = digests(folder, out, read)
        common = self._common()
        self.files = [
            FootageFile(s, self._look_key(s, known, common), known[s.file]) for s in sources
        ]
        self.keys: set[str] = set()
        self.done = self.frames = 0
        self._next_index = time.monotonic() + INDEX_SECONDS

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
                self.lost[unit.file.source.file] = "its worker died every time: too little memory?"
                self.progress.advance(stage, unit.name, unit.frames, spent, str(result))
                continue
            self._publish(unit, result)
            settle(unit, result)
            self.done, self.frames = self.done + 1, self.frames + unit.frames
            self.progress.advance(stage, unit.name, unit.frames, spent, None)
            if time.monotonic() > self._next_index:
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
            move_files(task.out, self.out / CLIPS)
        write_receipt(self.out, unit.key, result)

    def _looked(self, unit: _Unit, result: Look) -> None:
        unit.file.look = result
        if result.note:
            self.progress.note(f"{unit.file.source.file}: {result.note}")

    def _was_cut(self, unit: _Unit, result: Cut) -> None:
        piece = (unit.task.start, unit.task.end) if isinstance(unit.task, CutTask) else (0, 1)
        unit.file.cuts[piece] = result

    def save(self) -> None:
        """Write the index of what is there."""
        write_index(self.out, self.index()[0])
        self._next_index = time.monotonic() + INDEX_SECONDS

    def index(self) -> tuple[SetIndex, str | None]:
        """The index of what is there, and a sentence where nobody is held out."""
        refused = {**self.forbidden, **self.lost}
        wanted = self.config.train.prepare
        return make_index(self.files, refused, wanted.val_share, silent=wanted.pictures > 0)
