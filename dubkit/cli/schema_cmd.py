"""``dubkit schema``: the JSON Schema of ``--json`` output."""

from __future__ import annotations

import json

from dubkit.cli import lazy
from dubkit.cli.console import write_line


def schema() -> None:
    """Print the JSON Schema of a line of --json output, with the exit codes.

    \b
    Examples:
      dubkit schema > events.schema.json
    """
    write_line(json.dumps(lazy.event_schema.event_schema(), indent=2))
