"""Measure a dubbed film, shot by shot: with a reference, with the dub, or by itself.

The film is analyzed by the pipeline's own stages in a work folder, so that a second call only measures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dubkit.engines.registry import load_module
from dubkit.errors import DubkitError, InputError, UsageError
from dubkit.evaluation.against_reference import ShotMeasures, ShotTask, Side, measure
from dubkit.evaluation.fid import ROWS as FID_ROWS, FidTask, fid, obstacle, spacing
from dubkit.media import container, shotlist
from dubkit.media.audio import audio_info
from dubkit.media.probe import moving_pictures, probe
from dubkit.metrics.definitions import MEASURES
from dubkit.metrics.lips import Tally, vowel_closure_ratio
from dubkit.parallel.workers import cores
from dubkit.pipeline import dry_run, fingerprint, inputs, inspect
from dubkit.pipeline.job import STAGES, find_film, is_same, run_job
from dubkit.pipeline.map_shots import map_shots
from dubkit.pipeline.request import RunRequest, make_job
from dubkit.pipeline.shot_names import name_shots
from dubkit.records import Shot, Shown
from dubkit.stages.base import Source
from dubkit.stages.probe import load_film
from dubkit.weights.cache import find

if TYPE_CHECKING:
    from dubkit.config.schema import Config
    from dubkit.progress import Progress, ShotNames

NAME = "evaluate"
SLACK = 1  # frames by which two films may differ in length
RATE_SLACK = 0.001  # share by which their frame rates may: time stamps of containers are rounded
OTHER_FILM = 15.0  # dB: a reference less like the result than this in most shots is another film
OTHER_TAKE = (
    0.04  # eye distances: and so is one whose eyes are elsewhere (dubs: .006, other takes: .09)
)


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation(Shown):
    """What was measured of a film."""

    result: Path
    reference: Path | None
    shots: tuple[ShotMeasures, ...]
    rows: Mapping[str, float]  # over all shots
    missing: Mapping[str, str]  # measure -> why it is not there
    names: ShotNames = field(default_factory=dict)  # what people call the shots

    def facts_shown(self) -> dict[str, object]:
        """Every measure of the whole film."""
        return {"result": self.result, **{name: f"{row:.4g}" for name, row in self.rows.items()}}


def evaluate(
    result: Path,
    config: Config,
    work: Path,
    progress: Progress,
    *,
    reference: Path | None = None,
    audio: Path | None = None,
    script: Path | None = None,
    same_sound: bool = True,
    syncnet: Path | None = None,
    inception: Path | None = None,
) -> Evaluation:
    """Measure ``result``.

    Where the work folder of its run lies beside it, original, script, phonemes and the original's faces are those of
    the run, unless others are given. Otherwise, without ``audio``, its own sound is what should be spoken.
    ``syncnet`` and ``inception`` are their weights, None those of the weights cache. ``same_sound`` says that the
    reference speaks the same words, so that lips can be compared. Raises InputError for films that cannot be measured
    or compared, UsageError for a reference that is another film, ModelError for weights of another net; each before
    anything long is done.
    """
    with container.open_media(result) as film:
        moving_pictures(film, result)
    if reference is not None:
        _check_alike(result, reference)
    syncnet = syncnet or find("syncnet")
    if syncnet is not None:
        load_module("dubkit.metrics.syncnet", what="LSE").load_syncnet(syncnet)
    no_fid = obstacle(inception) if reference is not None else None
    known = _job_of(result, reference, audio, script, progress)
    if known is not None:
        alike = (
            same_sound and reference is not None
        )  # else the original of a dub: it has other words
        return _evaluate_known(known, config, work, progress, syncnet, inception, alike)
    sound = audio or result
    heard = _has_sound(sound, given=audio is not None)
    made = _analyze(
        result, sound, script if heard else None, config, work / "result", progress, heard
    )
    shots = dry_run.read_shots(made)
    assert shots is not None  # the analysis went past them
    real: fingerprint.Run | None = None
    if reference is not None:
        listed = work / "shots.csv"
        shotlist.write_shots(listed, shots)
        place = work / f"reference-{reference.stem}"
        real = _analyze(reference, reference, None, config, place, progress, False, listed)
    with _for_syncnet(sound if heard and syncnet else None, work) as spoken:
        tasks = [
            _task(shot, made, real, config, heard, same_sound, spoken, syncnet) for shot in shots
        ]
        found = _measure_all(tasks, config, progress)
    rows = totals(found)
    if real is not None:
        _check_same_film(result, reference, found)
        if no_fid is None:
            both = [(_side(made, s, heard=False), _side(real, s, heard=False)) for s in shots]
            rows |= _pictures(shots, both, config, progress, inception)
    missing = _missing(heard, real, same_sound, syncnet)
    if no_fid is not None:
        missing |= dict.fromkeys(FID_ROWS, no_fid)
    rest = _with_the_rest(missing, rows, found)
    names = name_shots(made, shots)
    return Evaluation(result, reference, found, _ordered(rows), rest, names)


def _job_of(
    result: Path,
    reference: Path | None,
    audio: Path | None,
    script: Path | None,
    progress: Progress,
) -> inspect.OpenedJob | None:
    """The finished job whose result this is, where its work folder lies beside it and no other files are given."""
    try:
        known = inspect.OpenedJob(inspect.find_work(result))
    except DubkitError:
        return None
    job = known.run.job
    others = ((reference, job.video), (audio, job.audio), (script, job.script))
    if any(given is not None and given.absolute() != own for given, own in others):
        return None
    film = known.folder(fingerprint.FILM, None)
    whole = all(known.receipt(name, s) for name in ("faces", "timing") for s in known.shots)
    original = known.run.inputs["video"]
    cut = known.config.stitch.length != "keep-video"  # frames of both may not be the same
    if cut or not whole or not known.shots or known.receipt(fingerprint.FILM, None) is None:
        return None
    if not is_same(find_film(film), result) or not inputs.is_unchanged(original):
        return None
    progress.note(f"script, phonemes and the original's faces are those of {job.work}")
    return known


def _evaluate_known(
    known: inspect.OpenedJob,
    config: Config,
    work: Path,
    progress: Progress,
    syncnet: Path | None,
    inception: Path | None,
    same_sound: bool,
) -> Evaluation:
    """Measure the dubbed shots of a finished job.

    Everything about them is known, the faces too, which a dub leaves in their places; only where both films speak the
    ``same_sound`` the result's own landmarks are followed, to compare the lips.
    """
    job, every = known.run.job, known.shots
    listed = work / "shots.csv"
    work.mkdir(parents=True, exist_ok=True)
    info, _ = load_film(known.folder("probe", None))
    shotlist.write_shots(listed, [Shot(s.start // info.lines, s.end // info.lines) for s in every])
    until = "faces" if same_sound else "probe"
    place = work / "result"
    made = _analyze(job.output, job.audio, None, config, place, progress, False, listed, until)
    shots = [shot for shot in every if _is_dubbed(known, shot)]
    if len(shots) < len(every):
        progress.note(f"measured: the {len(shots)} dubbed shots of {len(every)}")
    with _for_syncnet(job.audio if syncnet else None, work) as spoken:
        sides = {shot: _side(known.run, shot, heard=False) for shot in shots}
        tasks = [
            ShotTask(
                shot,
                replace(
                    _side(made, shot, heard=False),
                    timing=known.folder("timing", shot),
                    **({} if same_sound else {"faces": sides[shot].faces}),
                ),
                sides[shot],
                config,
                same_sound,
                spoken,
                syncnet,
            )
            for shot in shots
        ]
        found = _measure_all(tasks, config, progress)
    rows = totals(found)
    missing = _missing(True, known.run, same_sound, syncnet)
    no_fid = obstacle(inception)
    if no_fid is not None:
        missing |= dict.fromkeys(FID_ROWS, no_fid)
    elif shots:
        pairs = [(task.made, sides[task.shot]) for task in tasks]
        rows |= _pictures(shots, pairs, config, progress, inception)
    rest = _with_the_rest(missing, rows, found)
    return Evaluation(job.output, job.video, found, _ordered(rows), rest, known.names)


def _is_dubbed(known: inspect.OpenedJob, shot: Shot) -> bool:
    """Whether a shot of the result has a new mouth."""
    made, gate = known.receipt("generate", shot), known.receipt("gate", shot)
    return bool(made and made.facts.get("painted") and not (gate and gate.facts.get("kept")))


def _ordered(rows: Mapping[str, float]) -> dict[str, float]:
    return {m.name: rows[m.name] for m in MEASURES if m.name in rows}


def _with_the_rest(
    missing: dict[str, str], rows: Mapping[str, float], shots: Sequence[ShotMeasures]
) -> dict[str, str]:
    """Every row that is not there has its reason."""
    seen = any(shot.faces for shot in shots)
    why = "nothing in the film to measure it on" if seen else "no face was found in the film"
    absent = {m.name: missing.get(m.name, why) for m in MEASURES}
    return {name: reason for name, reason in absent.items() if name not in rows}


def _pictures(
    shots: Sequence[Shot],
    sides: Sequence[tuple[Side, Side]],
    config: Config,
    progress: Progress,
    inception: Path | None,
) -> dict[str, float]:
    every = spacing(sum(shot.frames for shot in shots))
    tasks = [
        FidTask(shot, *pair, every, inception) for shot, pair in zip(shots, sides, strict=True)
    ]
    return fid(tasks, config, progress)


def totals(shots: Sequence[ShotMeasures]) -> dict[str, float]:
    """Rows of a whole film: means weighted by frames, counts added up."""
    found: dict[str, float] = {}
    for name in (m.name for m in MEASURES):
        parts = [(s.rows[name], s.frames) for s in shots if name in s.rows]
        if parts:
            values, weights = zip(*parts, strict=True)
            found[name] = float(np.average(values, weights=weights))
        tally = sum((s.tallies[name] for s in shots if name in s.tallies), Tally())
        if tally.share is not None:
            found[name] = tally.share
    vowels = [v for s in shots for v in s.vowel_openings]
    closed = [v for s in shots for v in s.labial_openings]
    if vowels and closed:
        found["vowel_closure_ratio"] = vowel_closure_ratio(vowels, closed)
    return found


def _check_alike(result: Path, reference: Path) -> None:
    a, _ = probe(result)
    b, _ = probe(reference)
    if a.display_size != b.display_size:
        raise InputError(
            f"{result.name} is {a.display_size[0]} x {a.display_size[1]}, {reference.name} is "
            f"{b.display_size[0]} x {b.display_size[1]}: frames of different sizes are not compared"
        )
    if abs(a.average_rate / b.average_rate - 1) > RATE_SLACK:
        raise InputError(
            f"{result.name} has {float(a.average_rate):.3f} frames per second, {reference.name} has "
            f"{float(b.average_rate):.3f}: their frames show different moments",
            hint="the reference must be the film that was dubbed, at its own rate",
        )
    if abs(a.frames - b.frames) > SLACK:
        raise InputError(
            f"{result.name} has {a.frames} frames, {reference.name} has {b.frames}",
            hint="the reference must be the film that was dubbed, in full length",
        )


def _has_sound(path: Path, *, given: bool) -> bool:
    try:
        audio_info(path)
    except InputError:
        if given:
            raise
        return False
    return True


def _analyze(
    video: Path,
    audio: Path,
    script: Path | None,
    config: Config,
    work: Path,
    progress: Progress,
    heard: bool,
    shots: Path | None = None,
    until: str = "",
) -> fingerprint.Run:
    out = work / "none.mkv"  # no film is made
    job = make_job(video, audio, config, out=out, work=work, script=script, shots=shots)
    # a dub that is off its film is what may have to be measured
    accept = config.conform.model_copy(update={"over": "accept"})
    request = RunRequest(job, config.model_copy(update={"conform": accept}))
    stages = inputs.select(STAGES, until or ("timing" if heard else "faces"), ())
    if not heard:
        stages = tuple(stage for stage in stages if stage.source is not Source.DUB)
    run_job(request, progress=progress, stages=stages)
    return fingerprint.Run(request, STAGES, inputs.digest_inputs(job, {}), {})


@contextmanager
def _for_syncnet(sound: Path | None, work: Path) -> Iterator[Path | None]:
    """The sound in a file from which every face reads its part, while it is measured."""
    if sound is None:
        yield None
        return
    with tempfile.TemporaryDirectory(dir=work) as folder:
        spoken = Path(folder) / "sound.wav"
        load_module("dubkit.metrics.syncnet", what="LSE").write_sound(sound, spoken)
        yield spoken


def _task(
    shot: Shot,
    made: fingerprint.Run,
    real: fingerprint.Run | None,
    config: Config,
    heard: bool,
    same_sound: bool,
    sound: Path | None,
    syncnet: Path | None,
) -> ShotTask:
    other = _side(real, shot, heard=False) if real else None
    own = _side(made, shot, heard=heard)
    return ShotTask(shot, own, other, config, same_sound, sound, syncnet)


def _side(run: fingerprint.Run, shot: Shot, *, heard: bool) -> Side:
    stages = {stage.name: stage for stage in STAGES}
    timing = run.folder(stages["timing"], shot) if heard else None
    probed, faces = run.folder(stages["probe"], None), run.folder(stages["faces"], shot)
    return Side(run.job.video, probed, faces, timing)


def _measure_all(
    tasks: Sequence[ShotTask], config: Config, progress: Progress
) -> tuple[ShotMeasures, ...]:
    parallel = config.parallel
    jobs, backend = parallel.jobs or cores(), parallel.backend
    return tuple(
        map_shots(
            *(measure, tasks),
            name=NAME,
            progress=progress,
            jobs=jobs,
            backend=backend,
            frames=True,
        )
    )


def _check_same_film(result: Path, reference: Path | None, shots: Sequence[ShotMeasures]) -> None:
    likeness = [s.rows["psnr_frame"] for s in shots if "psnr_frame" in s.rows]
    apart = [s.apart for s in shots if s.apart is not None]
    reason = ""
    if likeness and float(np.median(likeness)) < OTHER_FILM:
        reason = f"their frames have nothing in common ({float(np.median(likeness)):.0f} dB)"
    elif apart and float(np.median(apart)) > OTHER_TAKE:
        reason = "their faces are not in the same places"
    if reason:
        raise UsageError(
            f"{reference} is another film, or another take, than {result}: {reason}",
            hint="--reference is the film that was dubbed",
        )


def _missing(
    heard: bool, real: fingerprint.Run | None, same_sound: bool, syncnet: Path | None
) -> dict[str, str]:
    spoken = "closures vowel_closure_ratio silence open_in_silence movement offset_ms"
    speech = set(spoken.split())
    lips = ("opening_correlation", "amplitude", "reference_offset_ms", "jitter")
    absent: dict[str, str] = {}
    for measure_ in MEASURES:
        name = measure_.name
        if name in speech | {"lse_d", "lse_c"} and not heard:
            absent[name] = "the film has no sound; give the dub with --audio"
        elif name.startswith("lse"):
            if syncnet is None:
                absent[name] = "needs SyncNet's weights: dubkit models pull syncnet, or --syncnet"
        elif name not in speech | {"found"} and real is None:
            absent[name] = "needs the film that was dubbed: --reference"
        elif name in lips and not same_sound:
            absent[name] = "the reference has other words"
    return absent


_ALIKE = "pass two files or two folders"


@dataclass(frozen=True, slots=True)
class Pair:
    """A dubbed film with what it is measured against."""

    result: Path
    reference: Path | None = None
    audio: Path | None = None


def pairs_of(result: Path, reference: Path | None, audio: Path | None = None) -> list[Pair]:
    """Results with their references and dubs, files or folders.

    In folders ``movie.dubbed.mp4`` and ``movie.fr.mp4`` belong to ``movie.mp4``, and ``movie.fr.wav`` or
    ``movie.wav`` to them. Raises InputError for a folder without films, UsageError for a result that fits nothing.
    """
    if not result.is_dir():
        for other in (reference, audio):
            if other is not None and other.is_dir():
                raise UsageError(f"{other} is a folder, {result} is not", hint=_ALIKE)
        return [Pair(result, reference, audio)]
    for other in (reference, audio):
        if other is not None and not other.is_dir():
            raise UsageError(f"{result} is a folder, {other} is not", hint=_ALIKE)
    references = (
        None if reference is None else _by_stem(files_in(reference, container.FILMS, "film"))
    )
    dubs = (
        None
        if audio is None
        else _by_stem(files_in(audio, container.SOUNDS | container.FILMS, "sound"))
    )
    return [
        Pair(path, _of(path, references, reference, "film"), _of(path, dubs, audio, "dub"))
        for path in files_in(result, container.FILMS, "film")
    ]


def files_in(folder: Path, suffixes: Iterable[str], what: str) -> list[Path]:
    """The files of a folder with these suffixes, by name. Raises InputError where there is none."""
    wanted = set(suffixes)
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in wanted and p.is_file())
    if not files:
        raise InputError(f"there is no {what} in {folder}")
    return files


def _by_stem(files: Iterable[Path]) -> dict[str, Path]:
    return {path.stem: path for path in files}


def _of(path: Path, known: dict[str, Path] | None, folder: Path | None, what: str) -> Path | None:
    """What of a folder belongs to a result: the longest name that its own begins with."""
    if known is None:
        return None
    names = [
        n for n in known if path.stem == n or path.stem.startswith((f"{n}.", f"{n}_", f"{n}-"))
    ]
    if not names:
        raise UsageError(
            f"no {what} in {folder} belongs to {path.name}",
            hint="a result is named like its film plus a suffix: movie.fr.mp4",
        )
    return known[max(names, key=len)]
