"""Every error that dubkit raises on purpose, and its exit code.

::

    DubkitError
      UsageError 2          the request is wrong
        ConfigError 2       a setting or preset is wrong; lists every bad key with its file
      InputError 3          the media cannot be used
      MissingDependency 4   a program or an extra is absent; the hint is the install line
      ToolError 5           a program failed; argv, code and the last lines of its stderr
      WorkError 6           the work folder is locked, damaged, or of another version
      ModelError 7          a checkpoint is absent or does not fit
      OutputError 8         the result exists, cannot be written, or failed its check
      ConformError 9        the dub does not lie on the film
      Interrupted 130       stopped by the user; the same command goes on

Exit 0 is success, 1 a bug (a traceback), 10 PARTIAL: some shots or jobs kept the original picture.

Every error takes its message as the one positional argument and nothing else but keyword ``hint``, so
that it survives pickling on its way from a worker.
"""

from __future__ import annotations

import re

EXIT_OK = 0
EXIT_BUG = 1
EXIT_PARTIAL = 10
_ENDLESS = re.compile(r"\S{400,}")
_LONGEST = 3000  # characters of a message
GO_ON = "run the same command again to resume"


class DubkitError(Exception):
    """Base of all deliberate errors: one clear sentence, and a hint that names the way out."""

    exit_code = EXIT_BUG

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = _short(message)
        super().__init__(self.message)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.hint)


def _short(message: str) -> str:
    """The message with endless words and an endless end cut: files of strangers are quoted in it."""
    message = _ENDLESS.sub(lambda found: f"{found[0][:200]}...{found[0][-60:]}", message)
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]}..."


def _rebuild(kind: type[DubkitError], message: str, hint: str | None) -> DubkitError:
    return kind(message, hint=hint)


class UsageError(DubkitError):
    """The request itself is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """A preset, setting or flag is wrong."""


class InputError(DubkitError):
    """A media file, script or list cannot be used."""

    exit_code = 3


class MissingDependency(DubkitError):  # noqa: N818 - named for what is missing, as in the docs
    """A program or an optional package is absent."""

    exit_code = 4


class ToolError(DubkitError):
    """A program that dubkit started failed."""

    exit_code = 5


class WorkError(DubkitError):
    """The work folder cannot be used."""

    exit_code = 6


class ModelError(DubkitError):
    """A checkpoint is absent, damaged, or does not fit."""

    exit_code = 7


class OutputError(DubkitError):
    """The result exists already, cannot be written, or failed its check."""

    exit_code = 8


class ConformError(DubkitError):
    """The dub is off the film by more than was allowed."""

    exit_code = 9


class Interrupted(DubkitError):  # noqa: N818 - an outcome, not a fault
    """The user stopped the run; finished work is kept."""

    exit_code = 130


STOPPED = Interrupted("stopped; finished work is kept", hint=GO_ON)
