"""Bring a weight here: whole, checked, one process at a time. What knows the network is loaded with this."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dubkit.errors import ModelError, OutputError
from dubkit.weights import cache, entries, hub
from dubkit.weights.download import Report, download, silent
from dubkit.work.lock import EXCLUSIVE, take


def weight_path(
    name: str, offline: bool = False, report: Report = silent, *, trust_new: bool = False
) -> Path:
    """A complete weight, pulled where it is not here and ``offline`` allows. Raises ModelError."""
    path = cache.find(name)
    if path is None and offline:
        raise ModelError(
            f"the weight {name} is not here, and --offline forbids downloading it",
            hint=cache.hint(name),
        )
    return path or pull(name, report, trust_new=trust_new)


def pull(name: str, report: Report = silent, *, trust_new: bool = False) -> Path:
    """Bring a weight here, or go on bringing it, and check it: against the catalog, against what its hub says,
    and against what was brought first (`locked`), unless ``trust_new`` forgets that.

    Raises ModelError where the net refuses or a checksum is wrong, OutputError where the disk does.
    """
    entry = cache.weight(name)
    folder = cache.cache_root() / name
    with _one_at_a_time(folder):
        if trust_new:
            cache.forget(name)
        path = cache.find(name)
        if path is not None:
            return path
        if entry.hub is not None and _hub_is_off():
            raise ModelError(
                f"the weight {name} comes from Hugging Face's hub, and HF_HUB_OFFLINE forbids contacting it",
                hint="unset HF_HUB_OFFLINE, or bring the files yourself",
            )
        first, checks, files = cache.first_pull(entry), {}, {}
        revision = _revision(entry, first)
        for file, url, check in _remote(entry, revision):
            target = folder / file
            if not target.is_file():
                download(url, target, report)
            told = cache.checksum(target, check)
            if check and not told.startswith(check):
                target.unlink()
                raise ModelError(
                    f"{url} is {told}, not {check}: it was discarded",
                    hint="try again; if that fails, a proxy or the owner has changed the file",
                )
            sha256 = (told if told.startswith("sha256:") else cache.checksum(target))[
                len("sha256:") :
            ]
            try:
                cache.check_first_pull(first, file, sha256, url)
            except ModelError:
                target.unlink()
                raise
            checks[file], files[file] = check, cache.PulledFile(sha256, target.stat().st_size)
        cache.write_receipt(folder, entry, checks)
        if not entry.pinned:
            cache.write_first_pull(cache.FirstPull(name, revision, files))
    return cache.place(name)


def _hub_is_off() -> bool:
    """Whether ``HF_HUB_OFFLINE`` is set, as Hugging Face's own library reads it."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _revision(entry: entries.Weight, first: cache.FirstPull | None) -> str:
    """The commit of a repository that is taken: the catalog's, the one of the first pull, or what is newest."""
    if entry.hub is None:
        return ""
    return (first.revision if first else "") or hub.commit(entry, cache.cache_root() / entry.name)


def _remote(entry: entries.Weight, revision: str) -> Iterator[tuple[str, str, str]]:
    """Name, address and check of each file to bring."""
    pins = {file.name: cache.pin(file) for file in entry.files}
    if entry.hub is None:
        yield from ((file.name, file.url or "", pins[file.name]) for file in entry.files)
        return
    for file in hub.listing(entry, cache.cache_root() / entry.name, revision):
        yield file.name, file.url, pins.get(file.name) or file.check


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """One process at a time brings one weight."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / cache.LOCK).open("a")
    except OSError as error:
        raise OutputError(
            f"the cache folder {folder} cannot be written: {error.strerror}",
            hint="set DUBKIT_CACHE to a folder of your own",
        ) from None
    with stream:
        take(stream.fileno(), EXCLUSIVE, wait=True)
        yield
