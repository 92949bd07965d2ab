"""Who agreed to be dubbed: a consent file beside the cast, read before anything is rendered.

TOML: ``kind = "dubkit-consent"``, ``version = 1``, ``film`` (its SHA-256) and a ``[[person]]`` for each of the cast,
with ``name``, ``languages`` (codes, or ``"*"`` for all), ``until`` (a date) and ``document`` (the SHA-256 of what was
signed). Who has no consent for the dub's language stays as filmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal

from dubkit.config.schema import Section
from dubkit.errors import InputError, UsageError
from dubkit.faces.people import read_sheet
from dubkit.records import Consent

KIND: Literal["dubkit-consent"] = "dubkit-consent"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HINT = "dubkit cast MOVIE --consent FILE writes one to fill in"


class ConsentPerson(Section):
    """What one person agreed to."""

    name: str
    languages: tuple[str, ...] = ()
    until: date | Literal[""] = ""
    document: str = ""


class ConsentFile(Section):
    """A consent file."""

    kind: Literal["dubkit-consent"]
    version: Literal[1]
    film: str
    person: tuple[ConsentPerson, ...] = ()


def read_consent(path: Path) -> ConsentFile:
    """Read a consent file. Raises InputError with the first thing that is wrong with it."""
    found = read_sheet(path, ConsentFile, "consent file", _HINT)
    names = [person.name for person in found.person]
    for person in found.person:
        if names.count(person.name) > 1:
            raise InputError(f"{path} names {person.name} twice", hint="list each person once")
        if person.document and not _DIGEST.fullmatch(person.document):
            raise InputError(
                f"{path}: the document of {person.name} is not a SHA-256",
                hint="64 hexadecimal digits, as sha256sum prints them",
            )
        if person.languages and not person.document:
            raise InputError(
                f"{path}: {person.name} agreed to {', '.join(person.languages)}, but no document says so",
                hint="give the SHA-256 of what was signed as document",
            )
    return found


def check_consent(
    consent: ConsentFile, path: Path, cast: Sequence[str], film: str, title: str
) -> None:
    """Raise UsageError for another film's consent, InputError for people who are not in the cast."""
    if consent.film != film:
        raise UsageError(
            f"the consent in {path} is for another film than {title}",
            hint="dubkit cast MOVIE --consent FILE writes a file for this one",
        )
    for person in consent.person:
        if person.name not in cast:
            raise InputError(
                f"{path} names {person.name}, who is not in the cast",
                hint=f"the cast: {', '.join(cast) or 'nobody'}",
            )


def consents(
    consent: ConsentFile, names: Sequence[str], language: str, today: date
) -> tuple[Consent, ...]:
    """The consent of each of ``names`` to a dub in ``language`` on this day."""
    listed: Mapping[str, ConsentPerson] = {person.name: person for person in consent.person}
    return tuple(_consent(name, listed.get(name), language, today) for name in names)


def _consent(name: str, person: ConsentPerson | None, language: str, today: date) -> Consent:
    if person is None or not person.languages:
        return Consent(name, False, "no consent is listed", "")
    if "*" not in person.languages and not any(_same(code, language) for code in person.languages):
        listed = ", ".join(person.languages)
        return Consent(name, False, f"agreed to {listed}, not to {language}", person.document)
    if isinstance(person.until, date) and person.until < today:
        return Consent(name, False, f"the consent expired on {person.until}", person.document)
    until = f"until {person.until}" if person.until else "without an end"
    return Consent(name, True, until, person.document)


def _same(code: str, language: str) -> bool:
    """Whether a code stands for a language: ``de`` for ``de-AT`` too, but not the other way."""
    code, language = code.lower().replace("_", "-"), language.lower().replace("_", "-")
    return code == language or language.startswith(f"{code}-")


def in_words(found: Sequence[Consent] | None) -> str:
    """What is known of consent, in one line."""
    if found is None:
        return "consent was not checked: --consent FILE does"
    given = [f"{one.name} ({one.why})" for one in found if one.given]
    missing = [f"{one.name} ({one.why})" for one in found if not one.given]
    told = f"consent of {', '.join(given) or 'nobody'}"
    return f"{told}; as filmed without it: {', '.join(missing)}" if missing else told


def consent_text(names: Sequence[str], film: str, title: str) -> str:
    """A consent file in which nobody agreed to anything yet."""
    lines = [
        f"# Consent of the people of {title}. Give it to dubkit run with --consent, beside --cast and --language.",
        '# languages: codes that this person agreed to, as ["de", "fr"], or ["*"] for all.',
        "# until: the last day, as 2027-12-31; without it the consent has no end.",
        "# document: the SHA-256 of what was signed, as sha256sum prints it.",
        f'kind = "{KIND}"',
        "version = 1",
        f'film = "{film}"',
    ]
    for name in names:
        lines += ["", "[[person]]", f'name = "{name}"', "languages = []", 'until = ""']
        lines += ['document = ""']
    return "\n".join(lines) + "\n"
