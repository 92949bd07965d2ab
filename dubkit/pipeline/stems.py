"""A dub given as stems: one file for each person, and the mix that is heard.

``NAME=FILE`` is the speech of the person NAME of the cast; where the file has several sound tracks, that of the title
NAME. The mix is a file of its own, or the sum of the stems; it, and tracks of a file, are written into
``<result>.stems`` when a run needs them (`write_files`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubkit.errors import InputError, UsageError
from dubkit.media import audio, container
from dubkit.media.process import find_program, run
from dubkit.records import PERSON_NAME, Job, Stem

_HINT = "one dub: --audio FILE; or a stem for each person: --audio anna=anna.wav --audio boris=boris.wav"
_EXACT = ("-fflags", "+bitexact", "-flags:a", "+bitexact")


@dataclass(frozen=True, slots=True)
class Dub:
    """What is heard, and the stems in it."""

    mix: Path
    stems: tuple[Stem, ...] = ()
    summed: bool = False  # the mix is the sum of the stems, which may not be written yet


def find_dub(sounds: Sequence[str | Path], mix: Path | str | None, output: Path) -> Dub:
    """The dub that ``sounds`` name: one file, or stems as ``NAME=FILE``, heard together where no ``mix`` is given.

    Raises UsageError for sounds that contradict one another, InputError for files that are not there.
    """
    named = [_named(sound) for sound in sounds]
    plain = [path for name, path in named if name is None]
    if not sounds or (plain and len(named) > 1):
        raise UsageError("a dub is one file, or stems that all have a name", hint=_HINT)
    if plain:
        if mix is not None:
            raise UsageError(
                f"--mix is the mix of stems, but {plain[0].name} has no name", hint=_HINT
            )
        return Dub(plain[0])
    names = [name for name, _ in named if name is not None]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two stems are named {twice}", hint="give each person one stem")
    folder = output.with_name(f"{output.stem}.stems")
    stems = tuple(_stem(name, path, folder) for name, path in named if name)
    if mix is not None:
        return Dub(container.local_path(mix), stems)
    return Dub(folder / "mix.wav", stems, summed=True)


def write_files(job: Job) -> None:
    """Take a job's stems out of files of several tracks, and write their sum where that is its dub."""
    for stem in job.stems:
        if stem.inside is not None:
            taken = ["-i", f"file:{stem.inside}", "-map", f"0:a:{stem.track}", "-c", "copy"]
            _make([stem.inside], stem.path, taken)
    if job.summed:
        _sum(job.stems, job.audio)


def before_files(job: Job) -> Job:
    """The job with what was given in place of what `write_files` did not write yet; for a sum its longest stem."""
    stems = tuple(
        stem if stem.path.is_file() else replace(stem, path=stem.given) for stem in job.stems
    )
    job = replace(job, stems=stems)
    if not job.summed or job.audio.is_file():
        return job
    return replace(job, audio=max(stems, key=lambda stem: audio.audio_end(stem.path)).path)


def _named(sound: str | Path) -> tuple[str | None, Path]:
    """Name and file of a sound; a file that is there as it is written has no name."""
    name, equals, rest = str(sound).partition("=")
    if not equals or Path(sound).exists():
        return None, container.local_path(sound)
    if not PERSON_NAME.fullmatch(name.strip()) or not rest:
        raise UsageError(f"the stem {str(sound)!r} needs a name and a file", hint=_HINT)
    path = container.local_path(rest)
    if not path.is_file():
        raise InputError(f"there is no file {path}", hint=f"it was given as the stem {name}")
    return name.strip(), path


def _stem(name: str, path: Path, folder: Path) -> Stem:
    """A stem: the whole file, or the one of its sound tracks that has this title."""
    with container.open_media(path) as media:
        titles = [stream.metadata.get("title", "") for stream in media.streams.audio]
    if len(titles) < 2:
        return Stem(name, path)
    if name not in titles:
        known = ", ".join(title for title in titles if title) or "none has a title"
        raise InputError(f"no sound track of {path.name} is titled {name}", hint=f"titles: {known}")
    return Stem(name, folder / f"{name}.mka", path, titles.index(name))


def _sum(stems: Sequence[Stem], made: Path) -> Path:
    """All stems at once, as loud as they are."""
    sounds = [audio.audio_info(stem.path) for stem in stems]
    for stem, sound in zip(stems, sounds, strict=True):
        if container.layout_of(sound.channels, sound.layout) is None:
            raise InputError(
                f"{stem.path} has {sound.channels} channels in no stated order",
                hint="mix it down, or state its layout",
            )
    wide = any(sound.channels > 1 for sound in sounds)
    even = f"aformat=sample_rates=48000:channel_layouts={'stereo' if wide else 'mono'}"
    inputs = [word for stem in stems for word in ("-i", f"file:{stem.path}")]
    graph = ";".join(f"[{k}:a:0]{even}[s{k}]" for k in range(len(stems)))
    graph += ";" + "".join(f"[s{k}]" for k in range(len(stems)))
    graph += f"amix=inputs={len(stems)}:duration=longest:normalize=0[mix]"
    coded = ["-filter_complex", graph, "-map", "[mix]", "-c:a", "pcm_s24le"]
    return _make([stem.path for stem in stems], made, [*inputs, *coded])


def _make(sources: Sequence[Path], made: Path, words: Sequence[str]) -> Path:
    """Run ffmpeg unless ``made`` is there already and younger than its ``sources``."""
    if made.is_file() and all(made.stat().st_mtime > s.stat().st_mtime for s in sources):
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    part = made.with_name(f".{made.stem}.part{made.suffix}")
    ffmpeg = str(find_program("ffmpeg"))
    run([ffmpeg, "-nostdin", "-v", "error", "-y", *words, *_EXACT, f"file:{part}"])
    part.replace(made)
    return made
