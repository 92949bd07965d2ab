"""Printing: answers to stdout, errors and logs to stderr, tables.

stdout carries answers only, so that it can be piped.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from dubkit.errors import DubkitError


def stderr_console() -> Console:
    """Return the console of logs, progress and errors."""
    return Console(stderr=True, **_PLAIN)


def stdout_console() -> Console:
    """Return the console of answers, which never wraps or shortens when piped."""
    console = Console(**_PLAIN)
    return console if console.is_terminal else Console(width=400, soft_wrap=True, **_PLAIN)


def show_error(error: DubkitError) -> None:
    """Print the message, and the hint on a line of its own."""
    console = stderr_console()
    console.print("error:", error.message, style="bold red", **_AS_IS)
    if error.hint:
        console.print("hint:", error.hint, **_AS_IS)


def write_line(text: str) -> None:
    """Write one line of an answer to stdout, without markup."""
    typer.echo(text)


def write_json(value: object) -> None:
    """Write an answer as one line of JSON; dataclasses become objects."""
    write_line(json.dumps(value, ensure_ascii=False, default=_plain))


def _plain(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[str] = ()
) -> Table:
    """Return a plain table; cells are text, never markup, and those under ``numbers`` stand to the right."""
    result = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        result.add_column(head, overflow="fold", justify="right" if head in numbers else "left")
    for row in rows:
        result.add_row(*(_escaped(cell) for cell in row))
    return result


def _escaped(cell: str) -> str:
    return cell.replace("[", r"\[")


class ConsoleHandler(logging.Handler):
    """Log records through the console, so that they never tear a live display.

    Programs that are started are shown with ``-v``, whoever else listens to their logger.
    """

    def __init__(self, least: int, programs: int) -> None:
        super().__init__()
        self._least = {"dubkit.media.process": programs}
        self._otherwise = least
        self.addFilter(self._is_wanted)

    def _is_wanted(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self._least.get(record.name, self._otherwise)

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        console = stderr_console()
        console.print(self.format(record), style="dim", **_AS_IS)


def set_verbosity(verbose: int, quiet: bool) -> None:
    """``-v`` shows every program that is started with its arguments, ``-vv`` everything."""
    level = logging.ERROR if quiet else _LEVELS[min(verbose, 2)]
    programs = logging.DEBUG if verbose else level
    handler = ConsoleHandler(level, programs)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger = logging.getLogger("dubkit")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
    logging.getLogger("dubkit.media.process").setLevel(programs)


_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_PLAIN: dict[str, Any] = {"emoji": False, "highlight": False}  # else -map 0:v:0 shows a hand
_AS_IS: dict[str, Any] = {"soft_wrap": True, "markup": False}
