"""Printing: answers to stdout, errors and logs to stderr, tables.

stdout carries answers only, so that it can be piped. Names of files and texts of scripts come from strangers: what
would steer a terminal in them is shown, not sent (`printable`).
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from dubkit.errors import DubkitError

# what moves the cursor, turns the direction of writing, or is no character at all; tabs and line ends are kept
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with control characters as ``\\u001b``; in JSON, that means the same."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class SafeConsole(Console):
    """A console that prints texts of others `printable`."""

    def print(self, *objects: Any, **more: Any) -> None:
        """Print; only rich's own styles reach the terminal as codes."""
        super().print(*(printable(o) if isinstance(o, str) else o for o in objects), **more)


def stderr_console() -> Console:
    """Return the console of logs, progress and errors."""
    return SafeConsole(stderr=True, **_PLAIN)


def stdout_console() -> Console:
    """Return the console of answers, which never wraps or shortens when piped."""
    console = SafeConsole(**_PLAIN)
    return console if console.is_terminal else SafeConsole(width=400, soft_wrap=True, **_PLAIN)


def show_error(error: DubkitError) -> None:
    """Print the message, and the hint on a line of its own."""
    console = stderr_console()
    console.print("error:", error.message, style="bold red", **_AS_IS)
    if error.hint:
        console.print("hint:", error.hint, **_AS_IS)


def write_line(text: str) -> None:
    """Write one line of an answer to stdout, without markup: `printable` on a terminal, to programs as it is."""
    if sys.stdout.isatty():
        text = printable(text)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # a file's name that is no text
        typer.echo(os.fsencode(text) if _is_name(text) else printable(text))
        return
    typer.echo(text)


def write_words(text: str) -> None:
    """Write a sentence of an answer: on a terminal no word is torn at the end of a line."""
    if not sys.stdout.isatty():
        write_line(text)
        return
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    wide = max(40, shutil.get_terminal_size().columns)
    lines = textwrap.wrap(
        text,
        wide,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines or [""]:
        write_line(line)


def _is_name(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def write_json(value: object) -> None:
    """Write an answer as one line of JSON; dataclasses become objects."""
    write_line(printable(json.dumps(value, ensure_ascii=False, default=_plain)))


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
    return printable(cell).replace("[", r"\[")


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
