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
from difflib import get_close_matches
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
        """Read the arguments. Raises UsageError for what cannot be read, for a second film, a dub without --audio."""
        takes_dub = any("--audio" in parameter.opts for parameter in self.params)
        names = list(takewhile(lambda word: not word.startswith("-"), args))
        if takes_dub and len(names) > 1:
            raise _too_many(f"dubkit {self.name}", names, "--audio" in args or "-a" in args)
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except _CommandLineError as error:
            raise _in_words(error, ctx, given) from None


_CommandLineError: type[Exception] = typer.BadParameter.__bases__[0]  # of Typer's own click
_NEEDED = {
    "valid integer": "a whole number",
    "valid number": "a number",
    "valid boolean": "true or false",
}


def _in_words(error: Any, ctx: Any, args: Sequence[str]) -> Exception:
    """What is wrong with a command line, as dubkit says it; help that was asked for by naming no command stays."""
    kind, command = type(error).__name__, ctx.command_path
    example = _example(ctx.command)
    if kind == "MissingParameter":
        names = [name for name in error.param.opts if name.startswith("--")]
        what = f"{names[0]} {error.param.metavar or ''}" if names else error.param.metavar
        return UsageError(f"{command} needs {what}".strip(), hint=example)
    if kind == "NoSuchOption":
        # dashes are alike in all, and say nothing
        known = {name.lstrip("-"): name for param in ctx.command.params for name in param.opts}
        near = get_close_matches(error.option_name.lstrip("-"), known, 1, 0.6)
        hint = f"did you mean {known[near[0]]}?" if near else f"{command} --help lists all options"
        return UsageError(f"{command} has no option {error.option_name}", hint=hint)
    if kind == "BadParameter" and error.param is not None:
        name = error.param.opts[0]
        given = next((args[n + 1] for n, a in enumerate(args[:-1]) if a in error.param.opts), None)
        needed = next((said for part, said in _NEEDED.items() if part in error.message), None)
        if needed:
            return UsageError(f"{name} takes {needed}" + (f", not {given!r}" if given else ""))
        return UsageError(f"{name}: {error.message[:1].lower()}{error.message[1:].rstrip('.')}")
    if kind == "BadOptionUsage":
        return UsageError(f"{error.option_name} needs a value", hint=example)
    if kind == "NoArgsIsHelpError":
        return error  # type: ignore[no-any-return]
    extra = re.search(r"unexpected extra argument\S* \((.*)\)", error.message)
    if extra:
        return UsageError(f"{command} does not take {extra[1]}", hint=example)
    return UsageError(error.message.rstrip("."), hint=f"{command} --help")


def _example(command: Any) -> str | None:
    """The first of the examples in a command's help."""
    found = re.search(r"Examples:\s*\n\s*(dubkit .*)", command.help or "")
    return f"as in: {found[1].strip()}" if found else None


def _too_many(command: str, names: Sequence[str], has_dub: bool) -> UsageError:
    said = f"{command} takes one film, not {' and '.join(names) if len(names) == 2 else len(names)}"
    several = "for several films: dubkit batch FOLDER --dubs FOLDER --out FOLDER, or a list of them in a .csv"
    if len(names) == 2 and not has_dub:
        film, dub = (shlex.quote(name) for name in names)
        hint = f"with a dub: {command} {film} --audio {dub}"
        are_films = dub.rpartition(".")[2].lower() == film.rpartition(".")[2].lower()
        return UsageError(said, hint=f"{hint}; {several}" if are_films else hint)
    return UsageError(said, hint=several)


_MEANT = {"dub": "run", "render": "run", "process": "run", "make": "run", "lipsync": "run"}
_MEANT |= {"review": "report", "check": "plan", "measure": "evaluate", "install": "models"}


class DubkitGroup(_HelpPage, TyperGroup):
    """A group of commands; ends every deliberate error as a message, a hint and its own exit code."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """Read the command line; when interrupted meanwhile, report it (Typer would not)."""
        try:
            return super().make_context(*arguments, **more)
        except KeyboardInterrupt:
            console.show_error(STOPPED)
            raise typer.Exit(STOPPED.exit_code) from None
        except DubkitError as error:  # of the program's own options: there is no command yet
            console.show_error(error)
            raise typer.Exit(error.exit_code) from None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments. Raises UsageError for what cannot be read."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except _CommandLineError as error:
            raise _in_words(error, ctx, given) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is named. Raises UsageError with the one that may be meant."""
        try:
            return super().resolve_command(ctx, args)
        except _CommandLineError:
            known = list(self.commands)
            near = get_close_matches(args[0], known, 1, 0.6) or [_MEANT.get(args[0], "")]
            way = ctx.command_path
            hint = f"{way} --help lists all commands"
            if near[0] in known:
                hint = f"did you mean {way} {near[0]}? {hint}"
            raise UsageError(f"there is no command {way} {args[0]}", hint=hint) from None

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
