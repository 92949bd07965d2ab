"""The result's way out of the work folder.

Alone because nothing else of a run writes outside the work folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from dubkit.errors import OutputError
from dubkit.work.digest import digest_file
from dubkit.work.folder import explain, link_or_copy
from dubkit.work.manifest import sync


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


def _beside(output: Path) -> Path:
    return output.absolute().with_name(f".{output.name}.{os.getpid()}.part")
