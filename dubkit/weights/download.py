"""Download one file so that an interruption costs nothing: into ``<file>.part``, gone on with by byte range.

Written on `urllib`, which knows the usual proxy variables: pooch, the library for this, starts a broken
download of gigabytes from the beginning.
"""

from __future__ import annotations

import errno
import http.client
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dubkit.errors import ModelError, OutputError
from dubkit.version import __version__

Report = Callable[[str, int, int | None], None]  # file, bytes done, bytes in all where known

_BLOCK = 1 << 20
_PATIENCE = 30.0  # seconds without a byte
_NOT_IN_RANGE = 416
_TRIES = 4  # of which each must bring something


def silent(name: str, done: int, total: int | None) -> None:
    """Report to nobody."""


def download(url: str, target: Path, report: Report = silent) -> None:
    """Bring ``url`` to ``target``, going on with what an earlier call left in ``target.part``.

    Raises ModelError where the net or the server refuses, OutputError where the disk does.
    """
    part, idle = _part(target), 0
    while True:
        before = _size(part)
        try:
            if _attempt(url, part, report):
                break
        except urllib.error.HTTPError as error:
            if error.code == _NOT_IN_RANGE and before:
                part.unlink()  # as long as the file or longer, and not the file
                continue
            raise ModelError(
                f"{url} cannot be downloaded: the server answers {error.code} {error.reason}",
                hint=_by_hand(target),
            ) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            _refuse_disk(error, part)
            if _size(part) <= before or not _broken(error):
                raise ModelError(
                    f"{url} cannot be downloaded: {_why(error)}", hint=_by_hand(target)
                ) from None
        idle = 0 if _size(part) > before else idle + 1
        if idle >= _TRIES:
            raise ModelError(
                f"{url} stops after {_size(part)} bytes every time",
                hint="try the same command later: it resumes where it stopped",
            )
    _settle(part, target)


def read_json(url: str, hint: str) -> Any:
    """A small JSON answer. Raises ModelError with the ``hint``."""
    try:
        with urllib.request.urlopen(_request(url, {}), timeout=_PATIENCE) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise ModelError(
            f"{url} cannot be read: the server answers {error.code} {error.reason}", hint=hint
        ) from None
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise ModelError(f"{url} cannot be read: {_why(error)}", hint=hint) from None


def _attempt(url: str, part: Path, report: Report) -> bool:
    """One connection; whether the file is whole now."""
    have = _size(part)
    mark = part.with_suffix(part.suffix + ".etag")
    # without a mark of the server's, an old beginning may belong to another version of the file
    headers = (
        {"Range": f"bytes={have}-", "If-Range": mark.read_text()} if have and mark.is_file() else {}
    )
    with urllib.request.urlopen(_request(url, headers), timeout=_PATIENCE) as answer:
        resumed = answer.status == 206
        have = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length and length.isdecimal() else None
        if total is not None:
            _room(part, total - have)
        tag = answer.headers.get("ETag")
        if tag and not tag.startswith("W/"):
            mark.write_text(tag)
        with part.open("ab" if resumed else "wb") as file:
            while block := answer.read(_BLOCK):
                file.write(block)
                have += len(block)
                report(part.stem, have, total)
    return total is None or have == total


def _request(url: str, headers: Mapping[str, str]) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"User-Agent": f"dubkit/{__version__}", **headers})


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _settle(part: Path, target: Path) -> None:
    part.replace(target)
    part.with_suffix(part.suffix + ".etag").unlink(missing_ok=True)


def _room(part: Path, wanted: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if wanted > free:
        raise OutputError(
            f"{part.parent} has {free >> 20} MiB free, and {wanted >> 20} MiB are needed",
            hint="free some space, or set DUBKIT_CACHE to a folder on another disk",
        )


def _refuse_disk(error: Exception, part: Path) -> None:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise OutputError(
            f"the disk of {part.parent} is full; what was downloaded is kept",
            hint="free some space, or set DUBKIT_CACHE to a folder on another disk",
        ) from None
    if isinstance(error, PermissionError):
        raise OutputError(
            f"{part.parent} cannot be written: {error.strerror}",
            hint="set DUBKIT_CACHE to a folder of your own",
        ) from None


def _broken(error: Exception) -> bool:
    """Whether a connection was lost that had worked: then trying again makes sense."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(cause, ConnectionError | TimeoutError | http.client.HTTPException)


def _why(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    proxies = urllib.request.getproxies()
    through = f" (through the proxy {proxies['https']})" if "https" in proxies else ""
    through = (
        f" (through the proxy {proxies['http']})" if not through and "http" in proxies else through
    )
    said = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return f"{said}{through}"


def _by_hand(target: Path) -> str:
    return f"check network and proxy, or copy the file yourself to {target}"
