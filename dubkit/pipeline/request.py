"""What is requested of one run: the one record that the command line, a batch, a plan and `dubkit.run` build.

It is checked in `dubkit.pipeline.inputs` and handed down whole. A new flag is a field here, an option of the
command, and the line that reads it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubkit.config.schema import Config
from dubkit.errors import DubkitError, UsageError
from dubkit.media import codecs
from dubkit.media.container import CONTAINERS, local_path, result_suffix
from dubkit.media.probe import head
from dubkit.pipeline import stems
from dubkit.records import Job

# of two letters, ISO 639-1: "hd", "me" or "v2" before a suffix are no languages
_LANGUAGES = """
af am ar az be bg bn bs ca cs cy da de el en eo es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk kn ko ky
la lb lt lv mk ml mn mr ms mt my nb ne nl no pa pl pt ro ru si sk sl sq sr sv sw ta te th tk tr tt uk ur uz vi zh
"""
_NAMED = re.compile(r".+\.([A-Za-z]{2})(?:[-_]([A-Za-z]{2,4}))?\.[^.]+")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One film with one dub, the settings, and how the run goes; as it was requested, not yet checked."""

    job: Job
    config: Config
    until: str | None = None  # the last stage to run
    force: tuple[str, ...] = ()  # stages to do again
    license: str = "any"  # or commercial: weights that may not be used for paid work are refused
    junit: Path | None = None  # where the gate's results are written as JUnit XML
    dry_run: bool = False  # list the units and do none
    overwrite: bool = False  # an existing result gives way
    wait: bool = False  # where another process has the work folder, wait for it
    make_folders: bool = False  # the folder of the result may be missing, and is made

    def __post_init__(self) -> None:
        """Take the language of the script from the names of script and dub, where nothing else states it."""
        named = self.named_language
        if named is not None and self.config.speech.language is None:
            stated = self.config.speech.model_copy(update={"language": named[0]})
            config = self.config.model_copy(update={"speech": stated})
            object.__setattr__(self, "config", config)

    @property
    def named_language(self) -> tuple[str, str] | None:
        """The language that ``film.de.srt`` or ``film.pt-br.wav`` names, and the file; None without a script."""
        for path in (self.job.script, self.job.audio) if self.job.script else ():
            found = _NAMED.fullmatch(path.name) if path else None
            if found is not None and found[1].lower() in _LANGUAGES.split():
                return "-".join(part.lower() for part in found.groups() if part), path.name
        return None


def make_job(
    video: Path | str,
    audio: Path | str | Sequence[Path | str],
    config: Config,
    *,
    script: Path | str | None = None,
    out: Path | str | None = None,
    work: Path | str | None = None,
    shots: Path | str | None = None,
    analysis: Path | str | None = None,
    verdicts: Path | str | None = None,
    cast: Path | str | None = None,
    consent: Path | str | None = None,
    me: Path | str | None = None,
    mix: Path | str | None = None,
    reuse: Path | str | None = None,
) -> Job:
    """A job with absolute paths and its defaults: ``<video>.dubbed.<suffix>``, and the work folder beside it.

    ``audio`` is a file, or stems as ``NAME=FILE`` (`pipeline.stems`), whose sum is then heard unless there is a
    ``mix``. ``reuse`` is the work folder of an earlier cut. Raises InputError for an address, UsageError for stems
    that contradict one another.
    """
    video = local_path(video)
    named = f"{video.stem}.dubbed{likely_suffix(video, config)}"
    output = local_path(out) if out else video.with_name(named)
    dub = stems.find_dub([audio] if isinstance(audio, (str, Path)) else audio, mix, output)
    return Job(
        video=video,
        audio=dub.mix,
        output=output,
        work=local_path(work) if work else output.with_name(f"{output.stem}.dubkit"),
        script=local_path(script) if script else None,
        shots=local_path(shots) if shots else None,
        analysis=local_path(analysis) if analysis else None,
        verdicts=local_path(verdicts) if verdicts else None,
        cast=local_path(cast) if cast else None,
        consent=local_path(consent) if consent else None,
        me=local_path(me) if me else None,
        stems=dub.stems,
        summed=dub.summed,
        reuse=local_path(reuse) if reuse else None,
    )


def likely_suffix(video: Path, config: Config) -> str:
    """The suffix of a film's result; of a film that cannot be used, which is found out later, its own."""
    wanted = config.generate.codec
    if wanted != "source":
        return result_suffix(video, codecs.WANTED.get(wanted, wanted))
    try:
        return result_suffix(video, codecs.result_codec(head(video), config.generate))
    except DubkitError:
        return video.suffix if video.suffix.lower() in CONTAINERS else CONTAINERS[0]


def music_and_effects(given: Path | str | None) -> tuple[Path | str | None, list[str]]:
    """A file of music and effects, or the setting that ``track:N`` stands for. Raises UsageError."""
    if given is None or not str(given).startswith("track:"):
        return given, []
    number = str(given).removeprefix("track:")
    if not number.isdigit() or number == "0":
        raise UsageError(
            f"{given} names no sound track of the film",
            hint="count them from 1, as in track:3; dubkit names them when it keeps them",
        )
    return None, [f"stitch.me_track={number}"]
