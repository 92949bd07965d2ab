"""The result's way out of the work folder, and all that is checked before the first frame."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import av

from dubkit.config.schema import Config
from dubkit.errors import InputError, OutputError, UsageError
from dubkit.media.audio import audio_end, sound_stream
from dubkit.media.container import open_media
from dubkit.media.probe import moving_pictures
from dubkit.media.script import read_script
from dubkit.pipeline.dry_run import INPUTS
from dubkit.records import Job
from dubkit.work.digest import digest_file
from dubkit.work.folder import explain, link_or_copy
from dubkit.work.manifest import sync

_ROOM = {"h264": 2.0, "h265": 2.0, "prores": 15.0, "ffv1": 30.0}  # times the film's size, roughly
_LEAST_ROOM = 100 * 2**20
_NOTED = 1.0  # seconds between the ends of film and dub that are no accident


def check_request(job: Job) -> None:
    """Raise for inputs that are not there, a script that holds no words that can be read, and an output
    that would hurt one of them.
    """
    for name in INPUTS:
        path: Path | None = getattr(job, name)
        if path is None:
            continue
        if not path.exists():
            raise InputError(f"there is no file {path}", hint=f"it was given as the {name}")
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a file", hint=f"it was given as the {name}")
        if job.output.exists() and job.output.samefile(path):
            raise UsageError(
                f"the output {job.output} is the {name} itself", hint="choose another --out"
            )
    if job.script is not None:
        read_script(job.script)
    if job.output.absolute() == job.work.absolute():
        raise UsageError(
            f"{job.output} is both the output and the work folder", hint="choose another --work"
        )


def check_media(job: Job) -> None:
    """Raise what `check_request` does, and InputError for a film without moving pictures or a dub without sound.

    For commands: nothing is left beside the film of one that was called with the wrong file.
    """
    check_request(job)
    with open_media(job.video) as film:
        heard = bool(film.streams.audio)
        try:
            moving_pictures(film, job.video)
        except InputError as error:
            swapped = "is it the dub? The film comes first, the dub after --audio"
            raise InputError(error.message, hint=swapped if heard else error.hint) from None
    with open_media(job.audio) as dub:
        sound_stream(dub, job.audio)


def check_destination(output: Path) -> None:
    """Raise OutputError where the result could not be written at the end."""
    if output.is_dir():
        raise OutputError(f"the output {output} is a folder", hint="give a file name with --out")
    folder = output.absolute().parent
    if not folder.is_dir():
        raise OutputError(
            f"there is no folder {folder} for the result", hint="make it, or choose another --out"
        )
    probe = _beside(output)
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"the result cannot be written to {folder}: {error.strerror}",
            hint="choose another --out",
        ) from error


def is_same(film: Path, output: Path) -> bool:
    """Whether the output already is this film, byte for byte."""
    if film.stat().st_size != output.stat().st_size:
        return False
    return film.samefile(output) or digest_file(film) == digest_file(output)


def find_film(folder: Path) -> Path:
    """The film in the folder of the last stage: its one file named ``film`` with any suffix."""
    films = sorted(folder.glob("film.*"))
    if len(films) != 1:
        raise OutputError(f"{folder} holds {len(films)} films where one was expected")
    return films[0]


def deliver(film: Path, output: Path) -> None:
    """Put the film at its destination in one step: a link where that can be, else a copy."""
    beside = _beside(output)
    try:
        beside.unlink(missing_ok=True)
        link_or_copy(film, beside)
        beside.replace(output)
        sync(output.absolute().parent)
    except OSError as error:
        raise explain(error, output) from error
    finally:
        beside.unlink(missing_ok=True)


def length_warning(job: Job, config: Config) -> str | None:
    """What is lost, or silent, because film and dub differ by more than `_NOTED` seconds; None where nothing is."""
    with open_media(job.video) as film, open_media(job.audio) as dub:
        seconds, heard = ((media.duration or 0) / av.time_base for media in (film, dub))
    if not seconds or abs(heard - seconds) <= _NOTED:
        return None
    more = audio_end(job.audio) - seconds  # what headers say of sound may be a guess
    if abs(more) <= _NOTED:
        return None
    if more > 0 and config.stitch.length != "freeze":
        return f"the dub is {more:.1f} s longer than the film: its end is cut off, unless --length freeze is given"
    if more < 0 and config.stitch.length != "shortest":
        return f"the dub ends {-more:.1f} s before the film: silence follows, unless --length shortest is given"
    return None


def room_warning(job: Job, config: Config) -> str | None:
    """A sentence where the disk is clearly too small for this job."""
    wanted = max(job.video.stat().st_size * _ROOM[config.generate.codec], _LEAST_ROOM)
    free = shutil.disk_usage(job.work).free
    if free >= wanted:
        return None
    have, need = round(free / 2**20), round(wanted / 2**20)
    return f"only {have} MB are free at {job.work}; this film may need {need} MB"


def _beside(output: Path) -> Path:
    return output.absolute().with_name(f".{output.name}.{os.getpid()}.part")
