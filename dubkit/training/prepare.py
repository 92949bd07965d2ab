"""Prepare footage for training: from a folder of videos to a set that trainings read.

Every file is a run of its own with two stages: the analysis of the file (`training.analyze`) and the clips of its
pieces (`training.cut_clips`); a still has one (`training.stills`). They have fingerprints, receipts and a work folder
like those of `dubkit run`: only what is new or changed is done, and after a kill at any moment the rest::

    OUT/set.json, OUT/clips/   the set; see `training.dataset`
    OUT/work/NAME/             the work folder of a file; the clips are second names of files in it

Only this process writes ``set.json``.
"""

from __future__ import annotations

import filecmp
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from dubkit.config.schema import Config, PrepareSettings
from dubkit.errors import InputError, Interrupted, WorkError
from dubkit.parallel.scheduler import JobSteps
from dubkit.pipeline.job import dry_run, job_steps, run_jobs
from dubkit.pipeline.request import RunRequest
from dubkit.pipeline.result import RunResult
from dubkit.progress import BatchProgress, NoProgress, Progress
from dubkit.records import Job, Manifest
from dubkit.stages.base import Stage
from dubkit.training import analyze, cut_clips, dataset, footage, stills
from dubkit.training.analyze import load_analysis
from dubkit.training.cut_clips import CutClip, CutResult, load_result
from dubkit.work import lock, store
from dubkit.work.folder import explain, link_or_copy
from dubkit.work.manifest import read_manifest

WORK = "work"
_OLDER = ("done", "scratch", "labels", "digests.json")  # of sets that older versions prepared
_OURS = {dataset.INDEX, dataset.CLIPS, WORK, lock.LOCK, lock.ATTEND, *_OLDER}
INDEX_SECONDS = 10.0  # between two savings of the index


@dataclass(frozen=True, slots=True)
class PrepareResult:
    """What a set holds now."""

    root: Path
    index: dataset.SetIndex
    seconds: float  # of footage in its clips
    held_out: str | None  # a sentence where nobody, or nobody else, is held out
    done: int  # units done by this run
    units: int
    frames: int  # of the pieces done by this run
    spent: float  # seconds


def prepare(folder: Path, out: Path, config: Config, progress: BatchProgress) -> PrepareResult:
    """Prepare a folder of videos; the same call resumes what an earlier one left.

    Raises `DubkitError`: nothing to prepare, a folder that is not ours or in use, a full disk; `Interrupted`
    after Ctrl-C.
    """
    began = time.monotonic()
    _check_out(out)
    wanted = config.train.prepare
    sources, forbidden = footage.find_sources(
        folder, out, research=wanted.research, stills=wanted.stills
    )
    try:
        (out / dataset.CLIPS).mkdir(parents=True, exist_ok=True)
        with lock.hold(out):
            run = Preparation(folder, out, config, progress, sources, forbidden)
            try:
                run.do_all()
            finally:
                run.collect_unfinished()
                run.save()
            return _finish(run, time.monotonic() - began)
    except OSError as error:
        raise explain(error, out) from error
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted(
            "stopped; finished clips are kept", hint="run the same command again to resume"
        ) from None


def _check_out(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise WorkError(f"{out} is a file, not a folder", hint="use another folder as OUT")
    strangers = sorted(p.name for p in out.iterdir() if p.name not in _OURS and p.name[0] != ".")
    if not dataset.is_prepared(out) and strangers and not (out / WORK).is_dir():
        raise WorkError(
            f"{out} is not a prepared set: it contains {strangers[0]}",
            hint="use an empty or new folder",
        )


def _finish(run: Preparation, spent: float) -> PrepareResult:
    """Delete what the index no longer names, and sum up. Raises `InputError` where no clip was kept."""
    index, held_out = run.index()
    run.prune(index)
    if not index.clips:
        common = Counter(index.refused.values()).most_common(1)[0][0]
        raise InputError(
            f"none of the {len(index.refused)} videos can be learned from; mostly: {common}",
            hint=f"{run.out / dataset.INDEX} holds the reason for each",
        )
    seconds = sum(facts.frames / facts.rate for facts in index.clips.values() if facts.frames > 1)
    units = sum(file.units for file in run.files)
    return PrepareResult(run.out, index, seconds, held_out, run.done, units, run.frames, spent)


@dataclass(slots=True)
class FootageFile:
    """One file of footage on its way."""

    source: footage.Source
    job: Job
    sha256: str = ""
    units: int = 0
    refused: str | None = None  # why nothing of it can be used
    lost: str | None = None  # why parts of it could not be done
    whole: bool = True  # it was not divided
    results: list[tuple[Path, CutResult]] = field(default_factory=list)  # by units, in order

    def clips(self) -> Iterator[tuple[str, CutClip, Path]]:
        """Name in the set, record and unit of each clip: the first of an undivided file has the file's name."""
        for folder, result in self.results:
            for number, clip in enumerate(result.clips):
                plain = self.whole and number == 0
                yield self.source.name if plain else f"{self.source.name}-{clip.stem}", clip, folder


def make_index(
    files: Sequence[FootageFile],
    refused: Mapping[str, str],
    share: float,
    *,
    silent: bool = False,
) -> tuple[dataset.SetIndex, str | None]:
    """The index, and a sentence where nobody, or nobody else, is held out.

    ``refused`` are the files that were not analyzed; ``share`` of the people is held out; ``silent`` if the set
    takes no sound.
    """
    found = [(name, clip, file) for file in files for name, clip, _ in file.clips()]
    people = {name: (file.source.person, file.source.split) for name, _, file in found}
    refusals, left_out = dict(refused), dict[str, str]()
    kept = {file.source.file for _, _, file in found}
    for file in files:
        if reasons := _reasons(file):
            (left_out if file.source.file in kept else refusals)[file.source.file] = reasons
    splits, held_out = footage.assign_splits(people, share)
    clips = {name: _facts(clip, file, splits[name], silent=silent) for name, clip, file in found}
    ordered = dict(sorted(clips.items())), dict(sorted(refusals.items()))
    return dataset.SetIndex(
        dataset.FORMAT, dataset.CROP, *ordered, left_out
    ), held_out if clips else None


def _reasons(file: FootageFile) -> str | None:
    """Why frames of a file are left out, the most frequent reasons first."""
    if file.refused or file.lost:
        return file.refused or file.lost
    frames: Counter[str] = Counter()
    for _, result in file.results:
        for span in result.refused:
            frames[span.reason] += span.end - span.start
    if len(frames) == 1:
        return next(iter(frames))
    common = frames.most_common(3)
    return "; ".join(f"{reason} ({count} frames)" for reason, count in common) or None


def _facts(clip: CutClip, file: FootageFile, split: str, *, silent: bool) -> dataset.ClipFacts:
    source = file.source
    return dataset.ClipFacts(
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


def in_turns(files: Sequence[FootageFile]) -> list[FootageFile]:
    """The files, one of each person in turn: what is interrupted holds something of everybody."""
    turns: Counter[str] = Counter()
    order = []
    for file in files:
        order.append((turns[file.source.person], file))
        turns[file.source.person] += 1
    return [file for _, file in sorted(order, key=lambda pair: pair[0])]


def unit_config(config: Config, source: footage.Source) -> Config:
    """The settings of a file's units, without those that change none of them."""
    plain = PrepareSettings()
    same = {name: getattr(plain, name) for name in ("val_share", "research", "stills")}
    wanted = config.train.prepare.model_copy(update=same)
    train = config.train.model_copy(update={"prepare": wanted})
    language = source.language or config.speech.language
    speech = config.speech.model_copy(update={"language": language})
    return config.model_copy(update={"train": train, "speech": speech})


@dataclass(slots=True)
class _Counted(NoProgress):
    """Progress of one file, and what this run did of it."""

    listener: Progress
    done: int = 0
    frames: int = 0

    def plan(self, stage: str, units: int, current: int, frames: int) -> None:
        self.listener.plan(stage, units, current, frames)

    def advance(
        self, stage: str, unit: str, frames: int, seconds: float, error: str | None
    ) -> None:
        if error is None:
            self.done, self.frames = self.done + 1, self.frames + frames
        self.listener.advance(stage, unit, frames, seconds, error)

    def note(self, message: str) -> None:
        self.listener.note(message)

    def warn(self, message: str) -> None:
        self.listener.warn(message)


class Preparation:
    """All files of a set."""

    def __init__(
        self,
        folder: Path,
        out: Path,
        config: Config,
        progress: BatchProgress,
        sources: Sequence[footage.Source],
        forbidden: dict[str, str],
    ) -> None:
        self.out, self.config, self.progress = out, config, progress
        self.forbidden = forbidden
        self.files = [FootageFile(source, _job(folder, out, source)) for source in sources]
        self.done = self.frames = 0
        self._next_index = time.monotonic() + INDEX_SECONDS

    def do_all(self) -> None:
        """Do the files that are not current; what cannot be done of one is a reason in the index."""
        pending = []
        for file in self.files:
            if self._current(file):
                self._collect(file)
            else:
                pending.append(file)
        jobs = self._jobs(in_turns(pending))
        with closing(run_jobs(jobs, self.config.parallel)) as ended:
            for job in ended:
                self._settle(job.key, job.error)

    def _jobs(
        self, pending: Sequence[FootageFile]
    ) -> Iterator[tuple[tuple[FootageFile, _Counted], JobSteps[RunResult]]]:
        for number, file in enumerate(pending, 1):
            listener = self.progress.begin_job(file.source.name, number, len(pending))
            counted = _Counted(listener)
            request, stages = self._request(file), _stages(file)
            yield (file, counted), job_steps(request, progress=counted, stages=stages)

    def _request(self, file: FootageFile) -> RunRequest:
        return RunRequest(file.job, unit_config(self.config, file.source))

    def _current(self, file: FootageFile) -> bool:
        """Whether nothing of a file is left to do; drops the work of another file of that name."""
        work, video = file.job.work, file.job.video
        if not work.is_dir():
            return False
        before = read_manifest(work)
        known = before.inputs.get("video") if before else None
        if known and known.path != video and store.digest_file(video) != known.sha256:
            shutil.rmtree(work)
            return False
        try:
            units = dry_run(self._request(file), _stages(file))
        except InputError:  # its run reports it
            return False
        return all(unit.current for unit in units)

    def _settle(self, key: tuple[FootageFile, _Counted], error: Exception | None) -> None:
        """Take in a file that was done. Raises an error that is not of this file alone."""
        file, counted = key
        self.done, self.frames = self.done + counted.done, self.frames + counted.frames
        if isinstance(error, WorkError | InputError):
            file.lost = error.message
            self.progress.end_job(file.source.name, "failed", error.exit_code, error.message)
        elif error is not None:
            raise error
        else:
            self.progress.end_job(file.source.name, "done", 0, None)
        self._collect(file)
        if time.monotonic() > self._next_index:
            self.save()

    def collect_unfinished(self) -> None:
        """Take in what there is of files that were begun, after a stop."""
        for file in self.files:
            if not file.sha256:
                self._collect(file)

    def _collect(self, file: FootageFile) -> None:
        """Read what was done of a file, and put its clips into the set."""
        manifest = read_manifest(file.job.work)
        if manifest is None:
            return
        file.sha256 = manifest.inputs["video"].sha256
        file.units = len(manifest.results)
        source = _source(file.job, manifest)
        for result in manifest.results.values():
            folder = source / result.stage / result.unit
            if not result.fingerprint:  # it failed
                continue
            if result.stage == analyze.STAGE.name:
                analysis = load_analysis(folder)
                file.refused, file.whole = analysis.refused, analysis.pieces == 1
            else:
                file.results.append((folder, load_result(folder)))
        for name, clip, folder in file.clips():
            for suffix in (".npz", ".mp4"):
                _place(folder / f"{clip.stem}{suffix}", dataset.clip_path(self.out, name, suffix))

    def save(self) -> None:
        """Write the index of what there is."""
        dataset.write_index(self.out, self.index()[0])
        self._next_index = time.monotonic() + INDEX_SECONDS

    def index(self) -> tuple[dataset.SetIndex, str | None]:
        """The index of what there is, and a sentence where nobody is held out."""
        wanted = self.config.train.prepare
        return make_index(self.files, self.forbidden, wanted.val_share, silent=wanted.pictures > 0)

    def prune(self, index: dataset.SetIndex) -> None:
        """Delete clips that the index does not name, and work of files, contents and pieces that are no more."""
        stale = [p for p in (self.out / dataset.CLIPS).glob("*") if p.stem not in index.clips]
        stale += [self.out / name for name in _OLDER]
        works = {file.job.work for file in self.files}
        stale += [p for p in (self.out / WORK).glob("*") if p not in works]
        for file in self.files:
            manifest = read_manifest(file.job.work)
            if manifest is None:
                continue
            source = _source(file.job, manifest)
            stale += [p for p in file.job.work.glob("video-*") if p != source]
            kept = {source / r.stage / r.unit for r in manifest.results.values()}
            stale += [p for p in source.glob("*/*") if p not in kept]
        for path in stale:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _job(folder: Path, out: Path, source: footage.Source) -> Job:
    """The run of one file: it is its own sound, and makes no film."""
    video = (folder / source.file).absolute()
    script = (folder / source.script).absolute() if source.script else None
    root = out.absolute()
    clip = dataset.clip_path(root, source.name, ".npz")
    return Job(video, video, clip, root / WORK / source.name, script=script)


def _stages(file: FootageFile) -> tuple[Stage, ...]:
    return (stills.STAGE,) if file.source.still else (analyze.STAGE, cut_clips.STAGE)


def _source(job: Job, manifest: Manifest) -> Path:
    """The folder of the units of a file's present content."""
    return job.work / f"video-{store.short(manifest.inputs['video'].sha256)}"


def _place(source: Path, target: Path) -> None:
    """Give a unit's file its name in the set, unless it has it."""
    if target.exists():
        if target.samefile(source) or filecmp.cmp(source, target, shallow=False):
            return
        target.unlink()
    link_or_copy(source, target)
