"""``dubkit languages``: which languages a dub may be in, by their codes."""

from __future__ import annotations

from dubkit.cli import lazy
from dubkit.cli import options as o
from dubkit.cli.console import answers, say, say_json, table


def languages(json: o.Json = False) -> None:
    """List the languages that scripts can be read in, by the codes for --language.

    English needs nothing; the others need espeak-ng, which pip install 'dubkit\\[languages]' brings.

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
        say_json([{"code": code, "name": name} for code, name in found])
        return
    answers().print(table(("code", "language"), found))
    if not espeak.available():
        say(f"more: {espeak.INSTALL}")
