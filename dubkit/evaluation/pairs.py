"""Which reference, and which dub, belongs to which result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dubkit.errors import InputError, UsageError
from dubkit.media.container import FILMS, SOUNDS

_ALIKE = "give two of a kind"


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
    references = None if reference is None else _by_stem(files_in(reference, FILMS, "film"))
    dubs = None if audio is None else _by_stem(files_in(audio, SOUNDS | FILMS, "sound"))
    return [
        Pair(path, _of(path, references, reference, "film"), _of(path, dubs, audio, "dub"))
        for path in files_in(result, FILMS, "film")
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
            hint="a result is called like its film, with something after it: movie.fr.mp4",
        )
    return known[max(names, key=len)]
