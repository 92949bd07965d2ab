"""``dubkit clean``: free the disk space that work folders take."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer

from dubkit.cli import lazy
from dubkit.cli import options as o
from dubkit.cli.console import stderr_console, stdout_console, table, write_json, write_line
from dubkit.errors import DubkitError, WorkError

Folders = Annotated[
    list[Path],
    typer.Argument(
        metavar="WORK", help="Work folders, or folders that contain some.", show_default=False
    ),
]
All = Annotated[
    bool, typer.Option("--all", help="Delete finished work too: a later run starts from scratch.")
]
OlderThan = Annotated[
    str | None,
    typer.Option(
        metavar="AGE", help="Only files older than this: 30d, 12h, 2w.", show_default="of any age"
    ),
]
Dry = Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted, and stop.")]


def clean(
    work: Folders,
    every: All = False,
    older_than: OlderThan = None,
    dry_run: Dry = False,
    json: o.Json = False,
) -> None:
    """Delete what work folders hold beyond their last job: older dubs, moved shots, unfinished work.

    Dubbed films are never touched, nor files that dubkit did not write.

    \b
    Examples:
      dubkit clean movie.dubbed.dubkit --dry-run
      dubkit clean dubbed/work --older-than 30d
      dubkit clean dubbed/work --all
    """
    age = lazy.cleanup.parse_age(older_than) if older_than else 0.0
    folders = [found for path in work for found in lazy.cleanup.find_work(path)]
    gone: list[dict[str, object]] = []
    busy: list[str] = []
    names: Counter[tuple[int, int]] = Counter()
    for folder in dict.fromkeys(folders):
        what: Literal["stale", "all"] = "all" if every else "stale"
        try:
            leftovers = (
                lazy.cleanup.survey(folder, what, age, names)
                if dry_run
                else lazy.cleanup.remove(folder, what, age)
            )
        except DubkitError as error:
            busy.append(error.message)
            continue
        gone += [
            {"path": str(x.path), "work": str(x.work), "what": x.what, "bytes": x.size}
            for x in leftovers
        ]
    freed = sum(int(str(line["bytes"])) for line in gone)
    if json:
        write_json(
            {"removed": [] if dry_run else gone, "planned": gone, "bytes": freed, "busy": busy}
        )
    else:
        _show(gone, freed, dry_run)
    if busy:
        for message in busy:
            stderr_console().print(
                f"warning: {message}", markup=False, highlight=False, soft_wrap=True
            )
        raise typer.Exit(WorkError.exit_code)


def _show(gone: list[dict[str, object]], freed: int, dry_run: bool) -> None:
    tally: dict[tuple[str, str], list[int]] = {}
    for line in gone:
        tally.setdefault((str(line["work"]), str(line["what"])), []).append(int(str(line["bytes"])))
    rows = [(where, what, str(len(s)), _size(sum(s))) for (where, what), s in tally.items()]
    if rows:
        stdout_console().print(table(("in", "what", "number", "size"), rows))
    write_line(f"{_size(freed)} {'would be freed' if dry_run else 'freed'}")


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for bigger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, bigger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
