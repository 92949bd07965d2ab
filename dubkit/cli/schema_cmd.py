"""``dubkit schema``: the JSON Schema of ``--json`` output."""

from __future__ import annotations

from importlib.resources import files

from dubkit.cli.console import write_line


def schema() -> None:
    """Print the JSON Schema of a line of --json output, with the exit codes.

    \b
    Examples:
      dubkit schema > events.schema.json
    """
    write_line((files("dubkit.cli") / "events.schema.json").read_text(encoding="utf-8").rstrip())
