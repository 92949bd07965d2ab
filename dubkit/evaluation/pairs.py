"""Which reference belongs to which result."""

from __future__ import annotations

from pathlib import Path

from dubkit.errors import InputError, UsageError
from dubkit.media.container import FILMS


def pairs_of(result: Path, reference: Path | None) -> list[tuple[Path, Path | None]]:
    """Results with their references; in folders ``movie.dubbed.mp4`` and ``movie.fr.mp4`` belong to ``movie.mp4``.

    Raises InputError for a folder without films, UsageError for a result that fits no reference.
    """
    if not result.is_dir():
        if reference is not None and reference.is_dir():
            raise UsageError(f"{reference} is a folder, {result} is not", hint="give two of a kind")
        return [(result, reference)]
    results = films_in(result)
    if reference is None:
        return [(path, None) for path in results]
    if not reference.is_dir():
        raise UsageError(f"{result} is a folder, {reference} is not", hint="give two of a kind")
    known = {path.stem: path for path in films_in(reference)}
    found: list[tuple[Path, Path | None]] = []
    for path in results:
        names = [
            n for n in known if path.stem == n or path.stem.startswith((f"{n}.", f"{n}_", f"{n}-"))
        ]
        if not names:
            raise UsageError(
                f"no film in {reference} belongs to {path.name}",
                hint="a result is called like its film, with something after it: movie.fr.mp4",
            )
        found.append((path, known[max(names, key=len)]))
    return found


def films_in(folder: Path) -> list[Path]:
    """The films of a folder by name. Raises InputError where there is none."""
    films = sorted(p for p in folder.iterdir() if p.suffix.lower() in FILMS and p.is_file())
    if not films:
        raise InputError(f"there is no film in {folder}")
    return films
