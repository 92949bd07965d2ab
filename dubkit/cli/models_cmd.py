"""``dubkit models``: the weights of optional engines and measures: list, pull, verify, where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from dubkit.cli import lazy
from dubkit.cli import options as o
from dubkit.cli.console import DubkitGroup, answers, errors, say, say_json, table
from dubkit.errors import ModelError

if TYPE_CHECKING:
    from dubkit.weights.download import Report
    from dubkit.weights.entries import Weight

ALL_COLUMNS = 150  # characters that all columns take side by side
NARROW = 5  # columns of the list where there are fewer

app = typer.Typer(
    cls=DubkitGroup,
    no_args_is_help=True,
    help="List, pull and verify the weights of optional engines.",
)

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Names that the list shows.", show_default=False),
]


TrustNew = Annotated[
    bool,
    typer.Option(
        "--trust-new",
        help="Take what the owner offers now, though it is not what was taken the first time.",
    ),
]


@app.command("list")
def list_(json: o.Json = False) -> None:
    """List every weight: use, size, license, source, checksum, and whether it is here.

    What dubkit itself needs is inside the package and not listed.

    \b
    Examples:
      dubkit models list
      dubkit models list --json
    """
    cache = lazy.cache
    rows = [(weight, cache.glance(weight.name)) for weight in cache.everything()]
    if json:
        found = [
            {
                **_entry(w),
                "size": cache.size(w.name),
                "state": state.value,
                "locked": cache.first_pulled(w.name),
            }
            for w, state in rows
        ]
        say_json(found)
        return
    console = answers()
    heads = ("weight", "for", "size", "paid work", "state", "license", "sha256", "source")
    cells = [
        (
            w.name,
            w.use,
            _size(cache.size(w.name)),
            _paid(w.paid),
            s.value,
            w.license,
            _known(w, cache.first_pulled(w.name)),
            w.source.split("//")[1],
        )
        for w, s in rows
    ]
    shown = len(heads) if console.width >= ALL_COLUMNS else NARROW
    console.print(table(heads[:shown], (row[:shown] for row in cells)))
    if shown < len(heads):
        say("a wider terminal, a pipe or --json shows license, checksum and source too")


@app.command()
def pull(
    names: Names = None,
    trust_new: TrustNew = False,
    offline: o.Offline = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Download weights and check them; what was interrupted goes on where it stopped.

    Without NAME: those that are here in part, and nothing else. Where no checksum is known, what is pulled first is
    taken on trust, and everything later has to be the same.

    \b
    Examples:
      dubkit models pull whisper-small align-de
      HTTPS_PROXY=http://proxy:3128 dubkit models pull retinaface-resnet50
    """
    cache = lazy.cache
    wanted = [cache.weight(name).name for name in names or cache.unfinished()]
    found = []
    with _bars(hidden=quiet or json) as report:
        for name in wanted:
            path = lazy.pull.weight_path(name, offline=offline, report=report, trust_new=trust_new)
            found.append({"name": name, "path": str(path)})
    if json:
        say_json(found)
    elif not found:
        say("nothing to go on with; name what to pull, as dubkit models list shows it")
    for line in [] if json else found:
        say(f"{line['name']}  {line['path']}")


@app.command()
def verify(names: Names = None, json: o.Json = False) -> None:
    """Hash every file of the weights that are here and compare; ends with code 7 where one is wrong.

    A file that you brought yourself is accepted by this, and by the first run that uses it.

    \b
    Examples:
      dubkit models verify
      dubkit models verify whisper-small
    """
    cache = lazy.cache
    wanted = [cache.weight(name).name for name in names or cache.present()]
    found = [(name, cache.inspect(name)) for name in wanted]
    if json:
        say_json([{"name": n, "state": f.state.value, "detail": f.detail} for n, f in found])
    else:
        rows = [(name, f.state.value, f.detail, str(f.path)) for name, f in found]
        answers().print(table(("weight", "state", "", "where"), rows))
    bad = [n for n, f in found if f.state is cache.State.DAMAGED or (names and not f.good)]
    if bad:
        hint = (
            f"remove {'it' if len(bad) == 1 else 'them'}, then dubkit models pull {' '.join(bad)}"
        )
        raise ModelError(f"not usable: {', '.join(bad)}", hint=hint)


@app.command()
def path(names: Names = None) -> None:
    """Print where weights lie: the cache folder, or each NAME's file or folder.

    \b
    Examples:
      dubkit models path
      dubkit models path retinaface-resnet50
    """
    cache = lazy.cache
    for name in names or ():
        say(str(cache.place(name)))
    if not names:
        say(str(cache.cache_root()))


@contextmanager
def _bars(*, hidden: bool) -> Iterator[Report]:
    """One bar a file on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    bars = Progress(*columns, TimeRemainingColumn(), console=errors(), disable=hidden)
    tasks: dict[str, TaskID] = {}

    def report(name: str, done: int, total: int | None) -> None:
        if not tasks:
            bars.start()
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=total)
        bars.update(tasks[name], completed=done, total=total)

    try:
        yield report
    finally:
        if tasks:  # a display of nothing would still be a blank line
            bars.stop()


def _entry(weight: Weight) -> dict[str, object]:
    return {
        "name": weight.name,
        "use": weight.use,
        "license": weight.license,
        "paid_work": weight.paid,
        "source": weight.source,
        "files": {file.name: file.sha256 for file in weight.files},
    }


def _size(size: int | None) -> str:
    return f"{size / 1e6:,.0f} MB" if size else "not known"


def _paid(paid: bool | None) -> str:
    return {True: "yes", False: "no", None: "not stated"}[paid]


def _known(weight: Weight, first: dict[str, str]) -> str:
    known = next((file.sha256 for file in weight.files if file.sha256), "")
    if known:
        return known[:12]
    if len(first) == 1:
        return f"{next(iter(first.values()))[:12]} (first pull)"
    return "the hub's own" if weight.hub else "not pinned"
