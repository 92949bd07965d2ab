"""``dubkit schema``: what ``--json`` writes, as a JSON Schema."""

from __future__ import annotations

from importlib.resources import files

from dubkit.cli.console import say


def schema() -> None:
    """Print the JSON Schema of one line of --json, with the exit codes.

    \b
    Examples:
      dubkit schema > events.schema.json
    """
    say((files("dubkit.cli") / "events.schema.json").read_text(encoding="utf-8").rstrip())
