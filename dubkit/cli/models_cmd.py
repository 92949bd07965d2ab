"""``dubkit models``: list, pull, verify and locate the weights of optional engines and measures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich import progress

from dubkit.cli import command, lazy, options as o
from dubkit.cli.console import stderr_console, stdout_console, table, write_json, write_line
from dubkit.errors import ModelError

if TYPE_CHECKING:
    from dubkit.weights.download import Report
    from dubkit.weights.entries import Weight

ALL_COLUMNS = 150  # characters that all columns take side by side
NARROW = 5  # columns of the list where there are fewer

app = typer.Typer(
    cls=command.DubkitGroup,
    no_args_is_help=True,
    help="List, pull, and verify the weights of optional engines.",
)

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Names from dubkit models list.", show_default=False),
]


TrustNew = Annotated[
    bool,
    typer.Option(
        "--trust-new",
        help="Accept what the owner offers now, even if it is not what was pulled first.",
    ),
]


@app.command("list", cls=command.DubkitCommand)
def list_(json: o.Json = False) -> None:
    """List all weights: use, size, license, source, checksum, and whether they are here.

    What dubkit itself needs is part of the package and not listed.

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
        write_json(found)
        return
    console = stdout_console()
    heads = ("weight", "use", "size", "paid work", "state", "license", "sha256", "source")
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
        write_line(
            "license, checksum and source: in a wider terminal, through a pipe, or with --json"
        )


@app.command(cls=command.DubkitCommand)
def pull(
    names: Names = None,
    trust_new: TrustNew = False,
    offline: o.Offline = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Download weights and check them; an interrupted download resumes.

    Without NAME, only unfinished downloads are completed. Where no checksum is known, the first download is
    trusted, and every later one must equal it.

    \b
    Examples:
      dubkit models pull whisper-small align-de
      HTTPS_PROXY=http://proxy:3128 dubkit models pull align-de
    """
    cache = lazy.cache
    wanted = [cache.weight(name).name for name in names or cache.unfinished()]
    found = []
    with _bars(hidden=quiet or json) as report:
        for name in wanted:
            path = lazy.pull.weight_path(name, offline=offline, report=report, trust_new=trust_new)
            found.append({"name": name, "path": str(path)})
    if json:
        write_json(found)
    elif not found:
        write_line("no download is unfinished; name what to pull, as in dubkit models list")
    for line in [] if json else found:
        write_line(f"{line['name']}  {line['path']}")


@app.command(cls=command.DubkitCommand)
def verify(names: Names = None, json: o.Json = False) -> None:
    """Compare the checksums of the weights that are here; exits with code 7 if one is wrong.

    Files that you copied here yourself are accepted by this command, or by the first run that uses them.

    \b
    Examples:
      dubkit models verify
      dubkit models verify whisper-small
    """
    cache = lazy.cache
    wanted = [cache.weight(name).name for name in names or cache.present()]
    found = [(name, cache.inspect(name)) for name in wanted]
    if json:
        write_json([{"name": n, "state": f.state.value, "detail": f.detail} for n, f in found])
    else:
        rows = [(name, f.state.value, f.detail, str(f.path)) for name, f in found]
        stdout_console().print(table(("weight", "state", "", "path"), rows))
    bad = [n for n, f in found if f.state is cache.State.DAMAGED or (names and not f.good)]
    if bad:
        hint = (
            f"remove {'it' if len(bad) == 1 else 'them'}, then dubkit models pull {' '.join(bad)}"
        )
        raise ModelError(f"not usable: {', '.join(bad)}", hint=hint)


@app.command(cls=command.DubkitCommand)
def path(names: Names = None) -> None:
    """Print where weights are kept: the cache folder, or the file or folder of each NAME.

    \b
    Examples:
      dubkit models path
      dubkit models path retinaface-resnet50
    """
    cache = lazy.cache
    for name in names or ():
        write_line(str(cache.place(name)))
    if not names:
        write_line(str(cache.cache_root()))


@contextmanager
def _bars(*, hidden: bool) -> Iterator[Report]:
    """Yield what shows downloads: one bar per file on stderr, none when ``hidden``."""
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
    )
    bars = progress.Progress(
        *columns, progress.TimeRemainingColumn(), console=stderr_console(), disable=hidden
    )
    tasks: dict[str, progress.TaskID] = {}

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
    return f"{size / 1e6:,.0f} MB" if size else "unknown"


def _paid(paid: bool | None) -> str:
    return {True: "yes", False: "no", None: "not stated"}[paid]


def _known(weight: Weight, first: dict[str, str]) -> str:
    known = next((file.sha256 for file in weight.files if file.sha256), "")
    if known:
        return known[:12]
    if len(first) == 1:
        return f"{next(iter(first.values()))[:12]} (first pull)"
    return "from the hub" if weight.hub else "not pinned"
