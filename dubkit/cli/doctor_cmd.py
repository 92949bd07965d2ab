"""``dubkit doctor``: can this machine dub, and with what?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from dubkit.cli import lazy
from dubkit.cli import options as o
from dubkit.cli.console import stdout_console, table, write_json, write_line


def doctor(json: o.Json = False) -> None:
    """Check programs, packages, engines, weights, devices, and disk space.

    Exits with code 4 if dubkit run cannot work here.

    \b
    Examples:
      dubkit doctor
      dubkit doctor --json
    """
    found = list(lazy.doctor_checks.all_checks(Path.cwd()))
    if json:
        lines = [{**asdict(check), "state": check.state.value} for check in found]
        write_json({"checks": lines})
    else:
        heads = ("", "", "state", "", "how to fix it")
        rows = [(c.group, c.name, c.state.value, c.detail, c.hint or "") for c in found]
        stdout_console().print(table(heads, rows))
    error = lazy.doctor_checks.main_job_error(found)
    if error:
        raise error
    if not json:
        write_line("dubkit run works here; whatever is not installed is optional")
