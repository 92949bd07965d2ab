"""A folder of finished analysis that runs share, so that a film is looked at once for all its dubs.

::

    video-<digest>/<stage>/<unit>/   as in a work folder, receipts included
    video-<digest>.lock              held by the run that analyses this film now
    scratch/video-<digest>/          on its way in; swept by the holder

Runs link what they find here into their own work folder and put in what they had to do themselves, so a work
folder never depends on the library. Several machines may share it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO

from dubkit.errors import WorkError
from dubkit.records import StageResult
from dubkit.work.folder import explain, intact, link_or_copy, publish, refuse_links
from dubkit.work.lock import EXCLUSIVE, signature, take

SCRATCH = "scratch"


def find(library: Path, folder: Path, fingerprint: str) -> Path | None:
    """The library's copy of a unit, found by the last parts of its folder; None unless the fingerprint is the same."""
    path = library.joinpath(*folder.parts[-3:])
    receipt = intact(path)
    same = receipt is not None and receipt.error is None and receipt.fingerprint == fingerprint
    return path if same else None


def contribute(library: Path, folder: Path, result: StageResult) -> None:
    """Put a finished unit into the library. Raises DubkitError where that cannot be."""
    if find(library, folder, result.fingerprint):
        return
    film = folder.parts[-3]
    scratch = library / SCRATCH / film / f"{os.getpid()}-{folder.parts[-2]}-{folder.name}"
    try:
        shutil.copytree(folder, scratch, copy_function=link_or_copy)
        publish(scratch, library.joinpath(*folder.parts[-3:]))
    except OSError as error:
        raise explain(error, library) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        with suppress(OSError):  # not empty: something else is on its way
            scratch.parent.rmdir()


def take_film(library: Path, film: str) -> IO[str] | None:
    """Be the one run that analyses a film, until what is returned is closed; None while another is.

    Raises WorkError where the library cannot be used.
    """
    refuse_links(library, (SCRATCH, film, f"{film}/*"))
    try:
        (library / SCRATCH).mkdir(parents=True, exist_ok=True)
        stream = (library / f"{film}.lock").open("a+")
    except (FileExistsError, NotADirectoryError) as error:
        raise WorkError(
            f"the analysis folder {library} is a file", hint="choose another with --analysis"
        ) from error
    except OSError as error:
        raise explain(error, library) from error
    if not take(stream.fileno(), EXCLUSIVE):
        stream.close()
        return None
    stream.truncate(0)
    stream.write(signature())
    stream.flush()
    shutil.rmtree(library / SCRATCH / film, ignore_errors=True)
    return stream
