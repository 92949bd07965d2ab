"""``dubkit languages``: the languages that a dub may be in."""

from __future__ import annotations

from dubkit.cli import lazy
from dubkit.cli import options as o
from dubkit.cli.console import stdout_console, table, write_json, write_line


def languages(json: o.Json = False) -> None:
    """List the languages that a dub may be in, with the codes for --language.

    English is built in; the others need espeak-ng: pip install 'dubkit\\[languages]'.

    \b
    Examples:
      dubkit languages
      dubkit languages --json
    """
    espeak = lazy.espeak
    found = [("en", "English")]
    if espeak.available():
        listed = espeak.espeak().languages().values()
        found = [(language.code, language.name) for language in listed]
    if json:
        write_json([{"code": code, "name": name} for code, name in found])
        return
    stdout_console().print(table(("code", "language"), found))
    if not espeak.available():
        write_line(f"for more languages: {espeak.INSTALL}")
