"""What users see beside progress: errors as two lines, logs, tables.

Logs, progress and errors go to stderr; stdout carries answers only.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from dubkit.errors import STOPPED, DubkitError


class DubkitGroup(TyperGroup):
    """Ends every deliberate error as a message, a hint and its own exit code; its help is easy to read."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read its own flags."""
        _tidy(self, ctx)
        return super().parse_args(ctx, args)

    def get_command(self, ctx: typer.Context, name: str) -> Any:  # type: ignore[override]
        """One of its commands."""
        command = super().get_command(ctx, name)
        if command is not None:
            _tidy(command, ctx)
        return command

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """Read the command line; stopped meanwhile, say so (Typer would not)."""
        try:
            return super().make_context(*arguments, **more)
        except KeyboardInterrupt:
            show_error(STOPPED)
            raise typer.Exit(STOPPED.exit_code) from None

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the chosen command; bugs pass through as tracebacks (exit 1)."""
        try:
            return super().invoke(ctx)
        except DubkitError as error:
            show_error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            show_error(STOPPED)
            raise typer.Exit(STOPPED.exit_code) from None


def _tidy(command: Any, ctx: typer.Context) -> None:
    """Flags take no value, which Typer would show as ``<bool>``; its help breaks lines where the source does."""
    for option in (*command.params, command.get_help_option(ctx)):
        if getattr(option, "is_flag", False) or getattr(option, "count", False):
            option.metavar = ""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    command.help = "\n\n".join(p if "\b" in p else p.replace("\n", " ") for p in paragraphs)


def errors() -> Console:
    """The console of logs, progress and errors."""
    return Console(stderr=True, **_PLAIN)


def answers() -> Console:
    """The console of answers; never wraps or shortens where the output is piped."""
    console = Console(**_PLAIN)
    return console if console.is_terminal else Console(width=200, soft_wrap=True, **_PLAIN)


def show_error(error: DubkitError) -> None:
    """Print the message, and the hint on a line of its own."""
    console = errors()
    console.print("error:", error.message, style="bold red", **_AS_IS)
    if error.hint:
        console.print("hint:", error.hint, **_AS_IS)


def say(text: str) -> None:
    """Write one line of an answer to stdout, as it is."""
    typer.echo(text)


def say_json(value: object) -> None:
    """Write an answer as one line of JSON; dataclasses become objects."""
    say(json.dumps(value, ensure_ascii=False, default=_plain))


def _plain(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A plain table; cells are text, never markup."""
    result = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        result.add_column(head, overflow="fold")
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
        console = errors()
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
