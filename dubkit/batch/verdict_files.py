"""Verdict files for the jobs of a batch: whose they are, and whether they can be obeyed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dubkit.batch.jobs import Entry, Problem
from dubkit.config.schema import Config
from dubkit.engines.license import check_licence
from dubkit.errors import DubkitError, UsageError
from dubkit.pipeline.dry_run import digest_input, read_shots
from dubkit.pipeline.job import STAGES, prepare
from dubkit.pipeline.verdicts import check_film, configs, read_verdicts
from dubkit.records import Job
from dubkit.work.manifest import read_manifest

SUFFIX = ".verdicts.json"  # after the job's name: as a report's page calls the file


@dataclass(slots=True)
class Dealt:
    """The entries with the verdict files that are theirs, and what is wrong with the others."""

    entries: list[Entry]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Films:
    """The films of a batch by what is in them; each is read once, and not where a manifest knows it already."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def sha256(self, entry: Entry) -> str:
        """Of an entry's film. Raises InputError and WorkError."""
        if entry.video not in self._known:
            manifest = read_manifest(entry.work) if entry.work.is_dir() else None
            known = manifest.inputs.get("video") if manifest else None
            self._known[entry.video] = digest_input(entry.video, known).sha256
        return self._known[entry.video]


def deal(entries: Sequence[Entry], given: Path, films: Films) -> Dealt:
    """Give each entry the verdict file of its film, from the file ``given`` or from those in that folder.

    Of several files of one film, a job takes the one that is named
    after it, as its report named it; a file that is named after one job is no other's. An entry that has
    a file of its own keeps it. Raises UsageError where there is no such file or folder.
    """
    files, problems = _read(given)
    own = {f"{entry.output.stem}{SUFFIX}" for entry in entries}
    found = Dealt([], problems)
    used: set[Path] = set()
    for entry in entries:
        of_film = files.get(_film(entry, films), []) if entry.verdicts is None else []
        named = [path for path in of_film if path.name == f"{entry.output.stem}{SUFFIX}"]
        fits = named or [path for path in of_film if path.name not in own]
        used.update(fits)
        if len(fits) > 1:
            names = ", ".join(path.name for path in fits)
            hint = f"name one {entry.output.stem}{SUFFIX}, or give a job list a column verdicts"
            text = f"several verdict files are of its film: {names}"
            found.problems.append(Problem(entry.name, entry.origin, text, hint))
        found.entries.append(replace(entry, verdicts=fits[0]) if fits else entry)
    rest = [path for paths in files.values() for path in paths if path not in used]
    found.warnings += [f"no job for the verdicts in {path}" for path in sorted(rest)]
    return found


def _film(entry: Entry, films: Films) -> str:
    """An entry's film; nothing where it cannot be read, which the check of the job tells."""
    try:
        return films.sha256(entry)
    except DubkitError:
        return ""


def _read(given: Path) -> tuple[dict[str, list[Path]], list[Problem]]:
    """The verdict files by the film that they are of, and those that are none."""
    paths = sorted(given.glob("*.json")) if given.is_dir() else [given]
    if not given.exists() or not paths:
        raise UsageError(
            f"there are no verdict files in {given}" if given.exists() else f"there is no {given}",
            hint="--verdicts takes a verdict file of a report, or a folder of them",
        )
    files: dict[str, list[Path]] = defaultdict(list)
    problems: list[Problem] = []
    for path in paths:
        try:
            files[read_verdicts(path).film].append(path.absolute())
        except DubkitError as error:
            problems.append(Problem(path.name, str(path), error.message, error.hint))
    return files, problems


def check_verdicts(entry: Entry, job: Job, config: Config, licence: str, films: Films) -> None:
    """Raise DubkitError where a run would not obey an entry's verdict file: one of another film, of shots that
    the film is known not to have, or with presets that cannot be used or whose weights ``licence`` forbids.
    """
    if entry.verdicts is None:
        return
    verdicts = read_verdicts(entry.verdicts)
    check_film(verdicts, entry.verdicts, films.sha256(entry), entry.video.name)
    for own in configs(verdicts, config).values():
        check_licence(licence, own)
    if job.work.is_dir() and read_manifest(job.work) is not None:
        read_shots(prepare(job, config, STAGES))
