"""How dubkit's commands show their help and end: classes for Typer.

Help joins the lines of a paragraph, shows flags without a type and arguments without braces, and adds what would
otherwise stand in two places: the default of an option that changes a setting, and the names of the stages.
"""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Sequence
from copy import copy
from itertools import takewhile
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from dubkit.cli import console, lazy, options
from dubkit.config.flags import OF_SETTING
from dubkit.errors import STOPPED, DubkitError, UsageError


class _HelpPage:
    """Mixed into Typer's classes: the help page of a command."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **{**more, "help": _joined(more.get("help"))})

    def collect_usage_pieces(self, ctx: Any) -> Any:
        """The parts of the usage line: ``MOVIE``, where Typer writes ``{MOVIE}``."""
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [re.sub("[{}]", "", piece) for piece in pieces]

    def as_shown(self, ctx: Any) -> Any:
        """Return a copy as help shows it; what it adds must not change how a command line is read."""
        page: Any = copy(self)
        page.params = [copy(option) for option in page.get_params(ctx)]
        page.add_help_option = False  # it is among the parameters now
        panels = [panel for o in page.params if (panel := getattr(o, "rich_help_panel", None))]
        for option in page.params:
            _complete(option)
            if option.name == "help" and panels:
                option.rich_help_panel = panels[-1]
        return page

    def format_help(self, ctx: Any, formatter: Any) -> Any:
        """Write the help page."""
        super(_HelpPage, self.as_shown(ctx)).format_help(ctx, formatter)  # type: ignore[misc]


def _joined(text: str | None) -> str:
    """A docstring with each paragraph on one line, so that it wraps where the terminal ends."""
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(p if "\b" in p else p.replace("\n", " ") for p in paragraphs)


def _complete(option: Any) -> None:
    """Add to a parameter that help shows: the stages, and the default from the configuration."""
    if getattr(option, "is_flag", False) or getattr(option, "count", False):
        option.metavar = ""
    option.opts = [name for name in option.opts if name not in options.HIDDEN_ALIASES]
    if "{stages}" in (getattr(option, "help", None) or ""):
        option.help = option.help.replace("{stages}", ", ".join(lazy.schema.STAGE_NAMES))
    path = OF_SETTING.get(option.name)
    if isinstance(option.show_default, str):
        option.default, option.show_default = option.show_default, True
    elif path and option.default is None and option.show_default is True:
        section, _, key = path.partition(".")
        option.default = getattr(getattr(lazy.schema.Config(), section), key)


class DubkitCommand(_HelpPage, TyperCommand):
    """A command; one that takes a film and a dub says how when it is given more names of files."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments. Raises UsageError for a second film, or a dub without --audio."""
        takes_dub = any("--audio" in parameter.opts for parameter in self.params)
        names = list(takewhile(lambda word: not word.startswith("-"), args))
        if takes_dub and len(names) > 1:
            raise _too_many(f"dubkit {self.name}", names, "--audio" in args or "-a" in args)
        return super().parse_args(ctx, args)


def _too_many(command: str, names: Sequence[str], has_dub: bool) -> UsageError:
    said = f"{command} takes one film, not {' and '.join(names) if len(names) == 2 else len(names)}"
    if len(names) == 2 and not has_dub:
        film, dub = (shlex.quote(name) for name in names)
        return UsageError(said, hint=f"with a dub: {command} {film} --audio {dub}")
    return UsageError(said, hint="for several: dubkit batch FOLDER, or a list of them in a .csv")


class DubkitGroup(_HelpPage, TyperGroup):
    """A group of commands; ends every deliberate error as a message, a hint and its own exit code."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """Read the command line; when interrupted meanwhile, report it (Typer would not)."""
        try:
            return super().make_context(*arguments, **more)
        except KeyboardInterrupt:
            console.show_error(STOPPED)
            raise typer.Exit(STOPPED.exit_code) from None

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the chosen command; bugs pass through as tracebacks (exit 1)."""
        try:
            return super().invoke(ctx)
        except DubkitError as error:
            console.show_error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            console.show_error(STOPPED)
            raise typer.Exit(STOPPED.exit_code) from None
