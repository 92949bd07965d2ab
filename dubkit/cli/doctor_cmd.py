"""``dubkit doctor``: can this machine dub, and with what?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from dubkit.cli import lazy
from dubkit.cli import options as o
from dubkit.cli.console import answers, say, say_json, table


def doctor(json: o.Json = False) -> None:
    """Show programs, packages, engines, weights, device and disk.

    Ends with code 4 where the main job could not run.

    \b
    Examples:
      dubkit doctor
      dubkit doctor --json
    """
    found = list(lazy.checks.all_checks(Path.cwd()))
    if json:
        lines = [{**asdict(check), "state": check.state.value} for check in found]
        say_json({"checks": lines})
    else:
        heads = ("", "", "state", "", "how to get it")
        rows = [(c.group, c.name, c.state.value, c.detail, c.hint or "") for c in found]
        answers().print(table(heads, rows))
    error = lazy.checks.main_job_error(found)
    if error:
        raise error
    if not json:
        say("dubkit run works here; what is not installed is optional")
