"""What a run is given: checked once, before anything is written, and hashed.

`check_request` finds all that names, settings and the heads of files can tell; `open_run` then reads the files
whole. Both come before the first frame.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from difflib import get_close_matches
from pathlib import Path

import av

from dubkit.config.schema import Config
from dubkit.engines.registry import AUTO, ENGINES, choose, engine_class
from dubkit.errors import InputError, OutputError, UsageError, WorkError
from dubkit.faces import consent, people
from dubkit.media import audio, codecs, container, writer
from dubkit.media.probe import head, moving_pictures
from dubkit.media.script import read_script
from dubkit.pipeline import fingerprint, shot_names, stems, worker
from dubkit.pipeline.request import RunRequest
from dubkit.pipeline.verdicts import check_film, configs, decision_of, read_verdicts
from dubkit.records import Consent, FileDigest, Job, Manifest, ScriptLine, is_numbered
from dubkit.stages import base, probe, shots, speech, stitch
from dubkit.weights.entries import WEIGHTS
from dubkit.work.folder import EarlierJob, check_work
from dubkit.work.manifest import MANIFEST, read_manifest
from dubkit.work.store import digest_file

INPUTS = (
    "video",
    "audio",
    "script",
    "shots",
    "verdicts",
    "cast",
    "me",
    "consent",
)  # attributes of Job that are files read
_SPACE = {"h264": 2.0, "h265": 2.0, "prores": 15.0, "ffv1": 30.0}  # times the film's size, roughly
_LEAST_SPACE = 100 * 2**20


def check_request(request: RunRequest, stages: Sequence[base.Stage]) -> tuple[str, ...]:
    """Refuse a request that could not be fulfilled; returns warnings about one that can.

    Cheap: no file is read whole, and nothing is left behind. What only certain of the ``stages`` would refuse
    (a film without pictures, a dub without sound, pictures that the container does not hold) is checked for those
    that are among them. Raises DubkitError for the first problem.
    """
    job, config = request.job, request.config
    chosen = select(stages, request.until, request.force)
    check_license(request.license, config)
    _check_names(request)
    job = stems.before_files(job)
    _check_files(job)
    if chosen[-1].name == fingerprint.FILM:
        _check_destination(request)
    if config.parallel.device != "auto" and config.parallel.backend != "dask":
        worker.find_devices(config.parallel.device)  # raises for one that is not there
    check_work(job.work)
    if job.verdicts is not None:
        for own in configs(read_verdicts(job.verdicts), config).values():
            check_license(request.license, own)
    cast = None if job.cast is None else people.read_cast(job.cast)
    withheld = [one for one in consent_of(request) or () if not one.given]
    if job.script is not None:
        remarks: list[str] = []  # the stage speech warns of the same
        lines = read_script(job.script, config.speech.language, remarks.append)
        if speech.STAGE in stages:
            speech.check_language(lines, config.speech)
    if probe.STAGE in stages:
        _check_film_head(job.video)
    if job.reuse is not None:
        _check_earlier(job, config)
    losses = picture_losses(job, config) if stitch.STAGE in stages else ()
    if speech.STAGE in stages:
        with container.open_media(job.audio) as dub:
            audio.sound_stream(dub, job.audio)
    for stem in job.stems if speech.STAGE in stages else ():
        with container.open_media(stem.path) as media:
            audio.sound_stream(media, stem.path)
    said = tuple(stem_remarks(job)) if speech.STAGE in stages else ()
    said += tuple(f"{one.name} stays as filmed: {one.why}" for one in withheld)
    if cast is not None and job.script is not None:
        said += tuple(script_remarks(lines, cast))
    if stitch.STAGE not in stages:
        return said
    warning = length_warning(job, config)
    return (*said, *losses, *([warning] if warning else []), *stitch.plan_result(job, config))


def picture_losses(job: Job, config: Config) -> tuple[str, ...]:
    """What the result's pictures will not hold of the film's. Raises DubkitError where they cannot be made."""
    info = head(job.video, config.probe.fields)
    encoding = codecs.encoding_for(info, config.generate)
    container.check_delivery(job.output, encoding.codec)
    writer.try_encoding(info, config.generate)
    suffix = job.output.suffix.lower()
    losses = (*encoding.losses, *codecs.container_losses(info, encoding, suffix))
    return (f"the picture changes: {', '.join(losses)}",) if losses else ()


def picture_line(job: Job, config: Config) -> str:
    """What becomes of the pictures, and why."""
    info = head(job.video, config.probe.fields)
    return codecs.first_line(info, codecs.encoding_for(info, config.generate), config.generate)


def open_run(request: RunRequest, stages: Sequence[base.Stage]) -> fingerprint.Run:
    """A checked request with the digests of its inputs and the identities of its engines; writes nothing.

    Raises InputError for a file that cannot be read, WorkError where the work folder belongs to another film,
    UsageError for verdicts on another film.
    """
    job, config = request.job, request.config
    chosen = select(stages, request.until, request.force)
    check_work(job.work)  # once more: another run may have made it since
    known = read_manifest(job.work) if job.work.is_dir() else None
    if not request.dry_run:
        stems.write_files(job)
    inputs = digest_inputs(stems.before_files(job), known.inputs if known else {})
    if known:
        _check_same_film(job, known, inputs)
    if job.cast is not None:
        people.check_cast(
            people.read_cast(job.cast), job.cast, inputs["video"].sha256, job.video.name
        )
    found = consent_of(request, inputs["video"].sha256)
    if found is not None:
        names = tuple(one.name for one in found if one.given)
        section = config.references.model_copy(update={"consented": names})
        config = config.model_copy(update={"references": section})
        request = replace(request, config=config)
    engines = {stage.name: stage.identity(config) for stage in chosen}
    run = fingerprint.Run(request, chosen, inputs, engines, consent=found)
    own = _shot_configs(request, chosen, engines, inputs["video"].sha256)
    own = {shot_names.frames_of(run, shot): one for shot, one in own.items()}
    return replace(run, own=own)


def consent_of(request: RunRequest, film: str | None = None) -> tuple[Consent, ...] | None:
    """The consent of everybody in the cast to this dub; None where no file is given. ``film`` is its SHA-256.

    Raises UsageError where no cast or language is given, or somebody has none and that is to stop the run;
    InputError for a file that cannot be used.
    """
    job, config = request.job, request.config
    if job.consent is None:
        return None
    if job.cast is None:
        raise UsageError(
            "a consent file is given, but no cast that says who is who",
            hint="dubkit cast MOVIE writes a cast file; name the people in it, and give it with --cast",
        )
    language = config.speech.language
    if language is None:
        raise UsageError(
            "consent is given to languages, and that of the dub is not stated",
            hint="set it with --language",
        )
    cast, file = people.read_cast(job.cast), consent.read_consent(job.consent)
    names = tuple(dict.fromkeys(person.name for person in cast.person))
    consent.check_consent(file, job.consent, names, film or cast.film, job.video.name)
    dubbed = tuple(dict.fromkeys(person.name for person in cast.person if person.dub))
    found = consent.consents(file, dubbed, language, date.today())
    missing = [f"{one.name}: {one.why}" for one in found if not one.given]
    if missing and config.references.without_consent == "stop":
        raise UsageError(
            f"there is no consent of {'; '.join(missing)}",
            hint="--set references.without_consent=original leaves them as filmed",
        )
    return found


def select(
    stages: Sequence[base.Stage], until: str | None, force: Iterable[str]
) -> tuple[base.Stage, ...]:
    """The stages up to and including ``until``. Raises UsageError for names that are not there."""
    names = [stage.name for stage in stages]
    for name in [*([until] if until else []), *force]:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"there is no stage named {name!r}", hint=f"{meant}stages: {', '.join(names)}"
            )
    return tuple(stages[: names.index(until) + 1] if until else stages)


def _check_names(request: RunRequest) -> None:
    job, junit = request.job, request.junit
    if job.output.absolute() == job.work.absolute():
        raise UsageError(
            f"{job.output} is both the output and the work folder", hint="choose another --work"
        )
    if junit is not None and not junit.absolute().parent.is_dir():
        raise OutputError(
            f"there is no folder {junit.absolute().parent} for {junit.name}",
            hint="create it, or choose another --junit",
        )
    if junit is not None and junit.is_dir():
        raise OutputError(f"{junit} is a folder", hint="give a file name with --junit")


def _files(job: Job) -> dict[str, Path | None]:
    """The files that a job reads, by what they are."""
    found: dict[str, Path | None] = {name: getattr(job, name) for name in INPUTS}
    if job.reuse is not None:
        found["reuse"] = job.reuse / MANIFEST
    return found | {f"{fingerprint.STEM}{stem.name}": stem.path for stem in job.stems}


def _check_files(job: Job) -> None:
    """Refuse inputs that are not there, and an output that would replace one of them."""
    for name, path in _files(job).items():
        if path is None or name == "reuse" or (name == "audio" and job.summed):
            continue
        if not path.exists():
            raise InputError(f"there is no file {path}", hint=_way_to(path, name))
        if path.is_dir():
            raise InputError(
                f"{path} is a folder, not a file", hint=f"it was given as the {_CALLED[name]}"
            )
        if job.output.exists() and job.output.samefile(path):
            raise UsageError(
                f"the output {job.output} is the {_CALLED[name].partition(' (')[0]} itself",
                hint="choose another --out",
            )


_CALLED = {"video": "film", "audio": "dub (--audio)", "me": "music and effects (--me)"}
_CALLED |= {name: f"{name} (--{name})" for name in INPUTS if name not in _CALLED}


def _way_to(path: Path, name: str) -> str:
    """As what a file that is not there was given, and which file may be meant."""
    given = f"it was given as the {_CALLED.get(name, name)}"
    folder = path.parent
    if not folder.is_dir():
        return f"{given}; there is no folder {folder} either"
    near = get_close_matches(path.name, [other.name for other in folder.iterdir()], 1, 0.8)
    return f"did you mean {near[0]}? {given}" if near else given


def _check_destination(request: RunRequest) -> None:
    """Raise OutputError where the result could not be written at the end."""
    output = request.job.output
    if output.is_dir():
        raise OutputError(f"the output {output} is a folder", hint="give a file name with --out")
    folder = output.absolute().parent
    if request.make_folders:
        folder = next(place for place in (folder, *folder.parents) if place.exists())
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, not a folder", hint="choose another --out")
    if not folder.is_dir():
        raise OutputError(
            f"there is no folder {folder} for the result", hint="create it, or choose another --out"
        )
    trial = folder / f".{output.name}.{os.getpid()}.part"
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise OutputError(
            f"the result cannot be written to {folder}: {error.strerror}",
            hint="choose another --out",
        ) from error


def _check_film_head(video: Path) -> None:
    with container.open_media(video) as film:
        has_sound = bool(film.streams.audio)
        try:
            moving_pictures(film, video)
        except InputError as error:
            swapped = "is it the dub? The film comes first, the dub after --audio"
            raise InputError(error.message, hint=swapped if has_sound else error.hint) from None


def _check_earlier(job: Job, config: Config) -> None:
    """Raise WorkError, InputError or UsageError where nothing can be taken over from an earlier cut."""
    assert job.reuse is not None
    earlier = EarlierJob(job.reuse)
    if job.reuse.absolute() == job.work.absolute():
        raise UsageError(
            f"{job.work} is this run's own work folder",
            hint="--reuse names that of the earlier cut",
        )
    if not is_unchanged(earlier.inputs["video"]):
        raise InputError(
            f"{earlier.job.video}, which {job.reuse} is the dub of, is gone or has changed: its pictures "
            "cannot be looked for",
            hint="put it back where it was, or run without --reuse",
        )
    folder = earlier.picture(shots.STAGE.name)
    if not (folder / shots.SHOTS).is_file():
        raise WorkError(
            f"the job in {job.reuse} was not finished", hint="finish it, or run without --reuse"
        )
    shots.check_alike(
        *(job.video, head(job.video, config.probe.fields)),
        *(earlier.job.video, head(earlier.job.video, config.probe.fields)),
    )


def _check_same_film(job: Job, known: Manifest, inputs: Mapping[str, FileDigest]) -> None:
    before = known.inputs.get("video")
    if before and before.sha256 != inputs["video"].sha256 and before.path != job.video.absolute():
        raise WorkError(
            f"the work folder {job.work} belongs to another film, {before.path.name}",
            hint="choose another folder with --work, or delete this one; --reuse takes its renders over",
        )


def _shot_configs(
    request: RunRequest, stages: Sequence[base.Stage], engines: Mapping[str, str], film: str
) -> dict[str, fingerprint.ShotConfig]:
    """The settings of the shots that a person gave a verdict on."""
    job, config = request.job, request.config
    if job.verdicts is None:
        return {}
    verdicts = read_verdicts(job.verdicts)
    check_film(verdicts, job.verdicts, film, job.video.name)
    known = [(config.generate, engines)]
    made: dict[str, fingerprint.ShotConfig] = {}
    for name, own in configs(verdicts, config).items():
        found = next((names for settings, names in known if settings == own.generate), None)
        if found is None:
            found = {stage.name: stage.identity(own) for stage in stages}
            known.append((own.generate, found))
        made[name] = fingerprint.ShotConfig(own, found, decision_of(verdicts.shots[name]))
    return made


def digest_inputs(job: Job, known: Mapping[str, FileDigest]) -> dict[str, FileDigest]:
    """Digests of the input files; those unchanged in size and times since ``known`` are not read."""
    found: dict[str, FileDigest] = {}
    for name, path in _files(job).items():
        if path is not None:
            twice = (entry for entry in found.values() if entry.path == path.absolute())
            found[name] = next(twice, None) or digest_input(path, known.get(name))
    return found


def digest_input(path: Path, known: FileDigest | None) -> FileDigest:
    """The digest of a file, which is not read where it has not changed since ``known``. Raises InputError."""
    path = path.absolute()
    try:
        facts = path.stat()
        state = (path, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if known and state == (known.path, known.size, known.mtime_ns, known.ctime_ns):
            return known
        digest = digest_file(path)
        return FileDigest(path, facts.st_size, facts.st_mtime_ns, digest, facts.st_ctime_ns)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def is_unchanged(known: FileDigest) -> bool:
    """Whether a file still has the size and times that it had when it was hashed."""
    try:
        facts = known.path.stat()
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) == (known.size, known.mtime_ns)


def length_warning(job: Job, config: Config) -> str | None:
    """What is cut off, or silent, because film and dub differ by more than `probe.NOTED` seconds, or None."""
    with container.open_media(job.video) as film, container.open_media(job.audio) as dub:
        seconds, sound = ((media.duration or 0) / av.time_base for media in (film, dub))
    if not seconds or abs(sound - seconds) <= probe.NOTED:
        return None
    more = audio.audio_end(job.audio) - seconds  # what headers say may be a guess
    if more > probe.NOTED:
        with container.open_media(job.video) as film:
            more = seconds + more - audio.end_of(film, moving_pictures(film, job.video), seconds)
    if abs(more) <= probe.NOTED:
        return None
    if more > 0 and config.stitch.length != "freeze":
        return f"the dub is {more:.1f} s longer than the film: its end is cut off, unless --length freeze is given"
    if more < 0 and config.stitch.length != "shortest":
        return f"the dub ends {-more:.1f} s before the film: silence follows, unless --length shortest is given"
    return None


def space_warning(job: Job, config: Config) -> str | None:
    """A sentence where the disk of the work folder, which is there, is clearly too small for this job."""
    factor = _SPACE.get(config.generate.codec, 4.0)
    wanted = max(job.video.stat().st_size * factor, _LEAST_SPACE)
    free = shutil.disk_usage(job.work).free
    if free >= wanted:
        return None
    have, need = round(free / 2**20), round(wanted / 2**20)
    return f"only {have} MB are free at {job.work}; this film may need {need} MB"


_OWN = {
    "whisperx": "speech.aligner=pocketsphinx",
    "whisper": "speech.aligner=pocketsphinx",
    "retinaface": "faces.detector=embedded",
}
LICENSES = ("any", "commercial")


def check_license(wanted: str, config: Config) -> None:
    """``any`` allows every weight, ``commercial`` those that `check_paid_work` allows.

    Raises UsageError.
    """
    if wanted not in LICENSES:
        raise UsageError(f"the license {wanted!r} is not known", hint=" or ".join(LICENSES))
    if wanted == "commercial":
        check_paid_work(config)


def check_paid_work(config: Config) -> None:
    """Raise UsageError where an engine of this configuration uses weights not licensed for paid work.

    Engines and weight files of the user's own are the user's to judge.
    """
    chosen = (
        ("aligner", config.speech.aligner, config.speech),
        ("detector", config.faces.detector, config.faces),
    )
    for kind, wanted, settings in chosen:
        name = choose(kind, wanted, settings)[0] if wanted == AUTO else wanted
        entry = ENGINES[kind].get(name)
        if entry is None or entry.weights is None:
            continue  # dubkit's own weights are Apache-2.0
        names = engine_class(kind, name, settings).weights(settings)
        for weight in names:
            _refuse(weight, name)
        speech = config.speech
        if name == "whisperx" and speech.language is None and speech.align_model is None:
            raise UsageError(
                "the license of the alignment model depends on the language of the dub",
                hint="set it with --language",
            )


def _refuse(weight: str, engine: str) -> None:
    entry = WEIGHTS.get(weight)
    if entry is None or entry.paid:
        return
    says = f"is {entry.license}" if entry.paid is False else "is not stated"
    raise UsageError(
        f"the engine {engine} would use {weight}, whose license {says}, so it is not cleared for paid work",
        hint=f"use dubkit's own engine (--set {_OWN[engine]}), or weights of your own; "
        "dubkit models list shows every license",
    )


_LISTED = 8  # names in a sentence


def script_remarks(lines: Sequence[ScriptLine], cast: people.CastFile) -> Iterator[str]:
    """Of whom only one of script and cast knows: names are compared without regard to case."""
    speakers = {line.speaker.casefold(): line.speaker for line in lines if line.speaker}
    known = {person.name.casefold(): person.name for person in cast.person}
    if not speakers:
        return
    strange = [name for key, name in speakers.items() if key not in known]
    if strange:
        yield f"the cast does not know the script's {_listed(strange)}: their lines go to who speaks in the film"
    silent = [name for key, name in known.items() if key not in speakers and not is_numbered(name)]
    if silent:
        yield f"no line of the script is by {_listed(silent)} of the cast"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


_EVEN = 1.0  # seconds by which stems may differ in length without a word


def stem_remarks(job: Job) -> Iterator[str]:
    """What a user should know of stems before anything is done. Raises UsageError where there is no cast."""
    if not job.stems:
        return
    ends = {stem.name: audio.audio_end(stem.path) for stem in job.stems}
    longest = max(ends, key=lambda name: ends[name])
    for name, end in ends.items():
        if ends[longest] - end > _EVEN:
            yield f"the stem {name} ends {ends[longest] - end:.1f} s before {longest}: silence follows"
    if job.cast is None:
        raise UsageError(
            f"stems are given, but no cast that says who {job.stems[0].name} is",
            hint="dubkit cast MOVIE writes a cast file; name the people in it, and give it with --cast",
        )
    known = {person.name for person in people.read_cast(job.cast).person}
    for name in ends:
        if name not in known:
            yield f"the cast has nobody named {name}: that stem is part of the mix, but moves no lips"
    for name in sorted(known - set(ends)):
        yield f"{name} of the cast has no stem: this person's lips rest"
